"""Signs of the finest detail of a radar image at fixed places, which are those of its speckle.

Speckle of two acquisitions is independent, so that half of their signs agree, and is the same in copies of an image
whatever their gain and offset. Sensors that see the same ground from the same orbit share a part of it: intensities of
a desert with a coherence of 0.9 correlate with 0.8, and 80 % of the signs agree (1 - arccos(r) / pi).
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

N_SIGNS = 256  # per polarisation
_POLARISATIONS = ("vv", "vh")


class SpeckleCopy(NamedTuple):
    """Two images of a cell with the same speckle: rows of a table, polarisation, share of equal signs."""

    first: int
    second: int
    polarisation: str
    agreement: float


def speckle_signs(bands: Mapping[str, NDArray[Any]]) -> bytes:
    """Packed signs of the discrete Laplacian of VV, then of VH, at N_SIGNS places each.

    Args:
        bands: `vv`, `vh` → (y, x) int16, of at least 3 px, without gaps.
    """
    return b"".join(_signs(bands[name]) for name in _POLARISATIONS)


def _signs(band: NDArray[Any]) -> bytes:
    values, (y, x) = band.astype(np.int32), _places(len(band))
    around = values[y - 1, x] + values[y + 1, x] + values[y, x - 1] + values[y, x + 1]
    return np.packbits(4 * values[y, x] > around).tobytes()


@cache
def _places(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    inner = size - 2
    y, x = np.divmod(np.linspace(0, inner * inner - 1, N_SIGNS).astype(np.intp), inner)
    return y + 1, x + 1


def speckle_copies(samples: pa.Table, min_agreement: float) -> Iterator[SpeckleCopy]:
    """Pairs of images of a cell whose signs agree in a polarisation, the one that agrees most."""
    rows = np.flatnonzero(pc.is_valid(samples["speckle_signs"]).to_numpy())
    if not rows.size:
        return
    packed = np.frombuffer(b"".join(samples["speckle_signs"].take(rows).to_pylist()), dtype=np.uint64)
    cells = np.unique(samples["cell"].take(rows).to_pylist(), return_inverse=True)[1]
    order = np.argsort(cells, kind="stable")
    signs, cells, rows = packed.reshape(len(rows), len(_POLARISATIONS), -1)[order], cells[order], rows[order]
    for step in range(1, int(np.bincount(cells).max())):
        near = np.flatnonzero(cells[step:] == cells[:-step])
        different = np.bitwise_count(signs[near] ^ signs[near + step]).sum(axis=2, dtype=np.int64)
        for pair in np.flatnonzero(different.min(axis=1) <= (1 - min_agreement) * N_SIGNS).tolist():
            best = int(different[pair].argmin())
            agreement = 1 - float(different[pair, best]) / N_SIGNS
            first, second = int(rows[near[pair]]), int(rows[near[pair] + step])
            yield SpeckleCopy(first, second, _POLARISATIONS[best], agreement)
