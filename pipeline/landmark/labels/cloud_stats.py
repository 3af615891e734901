"""What the quality masks of candidate acquisitions show in their cells: the clearest image is chosen chip by chip."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.profiles import Mask
from landmark.domain.acquisition import Acquisition
from landmark.domain.schemas import CLEAR
from landmark.raster.access import OPEN, Access
from landmark.raster.reader import Header, Unread, opened
from landmark.raster.source import Unreadable


@dataclass(frozen=True, slots=True)
class ClearUnit:
    """One acquisition, and the cells whose mask is looked at (rows of the CELLS table)."""

    acquisition: Acquisition
    cells: pa.Table
    cell_m: float
    mask: Mask
    root: str
    access: Access = OPEN


def clear_units(
    shortlist: Mapping[str, NDArray[np.int64]],
    acquisitions: Mapping[str, Acquisition],
    cells: pa.Table,
    *,
    cell_m: float,
    mask: Mask,
    root: str,
    access: Access = OPEN,
) -> list[ClearUnit]:
    """One unit per acquisition of a shortlist (acquisition id → rows of the cells)."""
    return [ClearUnit(acquisitions[id], cells.take(rows), cell_m, mask, root, access) for id, rows in shortlist.items()]


def look(unit: ClearUnit) -> pa.Table:
    """Pixels of each mask class per cell, sorted by cell and class.

    A cell outside the mask, or whose mask cannot be read, is absent: it is judged when its pixels are cut.
    """
    columns: dict[str, list[Any]] = {"cell": [], "code": [], "pixels": []}
    try:
        for cell, mask in sorted(_masks(unit), key=lambda found: found[0]):
            codes, counts = np.unique(mask, return_counts=True)
            columns["cell"] += [cell] * len(codes)
            columns["code"] += codes.tolist()
            columns["pixels"] += counts.tolist()
    except Unreadable:
        return CLEAR.empty_table()
    columns["acquisition"] = [unit.acquisition.id] * len(columns["cell"])
    return pa.table({name: columns[name] for name in CLEAR.names}, schema=CLEAR)


def _masks(unit: ClearUnit) -> Iterator[tuple[str, NDArray[Any]]]:
    hrefs = [item.href(unit.mask.band, unit.root) for item in unit.acquisition.items]
    with ExitStack() as stack:
        rasters = [stack.enter_context(opened(href, unit.access)) for href in hrefs]
        places = _places(unit, rasters[0].header)
        size = round(unit.cell_m / rasters[0].header.pixel)
        chips = (raster.chips([place for place, _ in places], size) for raster in rasters)
        for (_, cell), *parts in zip(places, *chips, strict=True):
            if not any(isinstance(part, Unread) for part in parts):
                yield cell, _filled(parts, unit.mask.classes["nodata"])


def _places(unit: ClearUnit, header: Header) -> list[tuple[tuple[int, int], str]]:
    """(row, column) of each cell inside the mask, from north to south, and its name."""
    (left, top), (height, width) = header.origin, header.shape
    size = round(unit.cell_m / header.pixel)
    x, y = (unit.cells[axis].to_numpy() for axis in ("x", "y"))
    rows, cols = (np.rint(metres / header.pixel).astype(int).tolist() for metres in (top - y, x - left))
    placed = sorted(zip(zip(rows, cols, strict=True), unit.cells["cell"].to_pylist(), strict=True))
    return [(place, cell) for place, cell in placed if 0 <= place[0] <= height - size and 0 <= place[1] <= width - size]


def _filled(parts: Sequence[Any], nodata: tuple[int, ...]) -> NDArray[Any]:
    """The mask of a split granule put together."""
    whole = parts[0]
    for part in parts[1:]:
        whole = np.where(np.isin(whole, nodata), part, whole)
    return np.asarray(whole)
