"""Names of the Major-TOM grid (10 km), a join key shared with other Earth-observation corpora.

Source: Francis & Czerkawski 2024, "Major TOM: Expandable Datasets for Earth Observation" (arXiv 2402.12095). Rows of
equal latitude are counted from the equator (U north, D south), each divided into equal columns counted from Greenwich
(R east, L west).
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_SPACING_KM = 10.0
_RADIUS_KM = 6378.137
_ROWS = int(np.ceil(np.pi * _RADIUS_KM / _SPACING_KM))


def majortom_names(lon: NDArray[np.floating[Any]], lat: NDArray[np.floating[Any]]) -> pa.Array:
    """`<row>_<column>` of the grid cell that holds each point (degrees), e.g. `637U_59R`."""
    step = 180 / _ROWS
    row = np.floor(lat / step).astype(np.int64)
    columns = np.ceil(2 * np.pi * _RADIUS_KM * np.cos(np.radians(row * step)) / _SPACING_KM).astype(np.int64)
    col = np.floor(lon / (360 / columns)).astype(np.int64)
    return join_names(_with_letter(row, "U", "D"), _with_letter(col, "R", "L"))


def join_names(*parts: str | NDArray[np.int64] | pa.Array) -> pa.Array:
    """Join texts and columns of numbers with underscores, vectorised: a continent has millions of cells."""
    texts = [part if isinstance(part, str) else pc.cast(pa.array(part), pa.string()) for part in parts]
    return pc.binary_join_element_wise(*texts, "_")


def _with_letter(number: NDArray[np.int64], positive: str, negative: str) -> pa.Array:
    letter = pc.if_else(pa.array(number >= 0), positive, negative)
    return pc.binary_join_element_wise(pc.cast(pa.array(np.abs(number)), pa.string()), letter, "")
