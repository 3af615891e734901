"""Count the quality-mask classes of candidate acquisitions per cell, to choose the clearest image of each cell."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Mask
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import Acquisition
from landmark.domain.schemas import CLOUD_STATS
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import Header, describe_bands, open_raster


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """Settings shared by all tasks of a sensor.

    Attributes:
        root: Prefix of relative hrefs.
        access: How absolute hrefs are read.
        nodata: Nodata value of the provider's profile.
    """

    mask: Mask
    cell_m: float
    root: str
    access: AccessPolicy = PUBLIC_ACCESS
    nodata: float | None = None


@dataclass(frozen=True, slots=True)
class CloudStatTask:
    """One acquisition and the cells (`cell`, `x` and `y` of the CELLS table) for which its mask is read."""

    acquisition: Acquisition
    cells: pa.Table
    config: MaskConfig


def cloud_stat_tasks(
    shortlist: Mapping[str, NDArray[np.int64]],
    acquisitions: Mapping[str, Acquisition],
    cells: pa.Table,
    config: MaskConfig,
) -> list[CloudStatTask]:
    """One task per acquisition of a shortlist (acquisition id → rows of the cells)."""
    squares = cells.select(["cell", "x", "y"])
    return [CloudStatTask(acquisitions[id], squares.take(rows), config) for id, rows in shortlist.items()]


def measure_mask(task: CloudStatTask) -> pa.Table:
    """Pixels of each mask class per cell, sorted by cell and class.

    Cells outside the mask, or with an unreadable mask, are left out; extraction rejects them if necessary.
    """
    columns: dict[str, list[Any]] = {"cell": [], "code": [], "pixels": []}
    try:
        for cell, mask in sorted(_read_masks(task), key=lambda pair: pair[0]):
            codes, counts = np.unique(mask, return_counts=True)
            columns["cell"] += [cell] * len(codes)
            columns["code"] += codes.tolist()
            columns["pixels"] += counts.tolist()
    except Unreadable:
        return CLOUD_STATS.empty_table()
    columns["acquisition"] = [task.acquisition.id] * len(columns["cell"])
    return pa.table({name: columns[name] for name in CLOUD_STATS.names}, schema=CLOUD_STATS)


def merge_stats(tables: Mapping[str, pa.Table], cells: pa.ChunkedArray) -> pa.Table:
    """CLOUD_STATS rows of several acquisitions, sorted by cell, acquisition and code; names are dictionaries.

    Of a continent there are millions of rows.

    Args:
        tables: Acquisition id → columns `cell`, `code` and `pixels`.
        cells: The names of all cells, sorted.
    """
    ids, names = sorted(tables), cells.combine_chunks()
    stats = pa.concat_tables([CLOUD_STATS.empty_table().drop_columns("acquisition"), *(tables[id] for id in ids)])
    cell = pc.index_in(stats["cell"], names).to_numpy()
    acquisition = np.repeat(np.arange(len(ids), dtype=np.int32), [tables[id].num_rows for id in ids])
    order = np.lexsort((stats["code"].to_numpy(), acquisition, cell))
    return pa.table(
        {
            "cell": pa.DictionaryArray.from_arrays(cell[order], names),
            "acquisition": pa.DictionaryArray.from_arrays(acquisition[order], pa.array(ids, pa.string())),
            **{name: stats[name].take(pa.array(order)) for name in ("code", "pixels")},
        }
    )


def _read_masks(task: CloudStatTask) -> Iterator[tuple[str, NDArray[Any]]]:
    config, mask, items = task.config, task.config.mask, task.acquisition.items
    with ExitStack() as stack:
        rasters = [
            stack.enter_context(
                open_raster(item.href(mask.band, config.root), config.access, band=item.bands.get(mask.band))
            )
            for item in items
        ]
        for raster, item in zip(rasters, items, strict=True):
            if raster.grid_problem or (raster.header.n_bands > 1 and mask.band not in item.bands):
                raise Unreadable(raster.grid_problem or describe_bands(raster.header.n_bands))
        windows = _windows(task, rasters[0].header)
        size = round(config.cell_m / rasters[0].header.pixel_size)
        corners = [window for window, _ in windows]
        chips = (raster.chips(corners, size, fill=raster.fill(mask.fill, [config.nodata])) for raster in rasters)
        for (_, cell), *parts in zip(windows, *chips, strict=True):
            if not any(isinstance(part, FailedChip) for part in parts):
                yield cell, _mosaic(parts, mask.classes["nodata"])


def _windows(task: CloudStatTask, header: Header) -> list[tuple[tuple[int, int], str]]:
    """(row, column) and name of each cell inside the mask, from north to south."""
    (left, top), (height, width) = header.origin, header.shape
    size = round(task.config.cell_m / header.pixel_size)
    x, y = (task.cells[axis].to_numpy() for axis in ("x", "y"))
    rows, cols = (np.rint(metres / header.pixel_size).astype(int).tolist() for metres in (top - y, x - left))
    windows = sorted(zip(zip(rows, cols, strict=True), task.cells["cell"].to_pylist(), strict=True))
    return [
        ((row, col), cell) for (row, col), cell in windows if 0 <= row <= height - size and 0 <= col <= width - size
    ]


def _mosaic(parts: Sequence[Any], nodata: tuple[int, ...]) -> NDArray[Any]:
    """Combine the masks of a split granule; the first item with data wins."""
    mosaic = parts[0]
    for part in parts[1:]:
        mosaic = np.where(np.isin(mosaic, nodata), part, mosaic)
    return np.asarray(mosaic)
