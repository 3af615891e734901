"""Sample candidate cells: clusters in the order of their hash, splits by block, and a buffer between the splits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.recipe import Recipe
from landmark.core.hashing import ranks
from landmark.core.salts import CLUSTER, LIMIT
from landmark.domain.acquisition import Acquisition
from landmark.domain.event import Event
from landmark.plan.event_windows import events_touching
from landmark.plan.splits import split_cells

# More than the clusters in any column of a raster.
_MAX_ROWS = 2**32


@dataclass(frozen=True, slots=True)
class CellSample:
    """Sampled cells.

    Attributes:
        cells: CELLS columns, sorted by cell, and `split` once they are divided.
        buffered: Ids of the cells in the buffer of another split.
        counts: Number of candidate cells (`cells`), and of those left out by reason.
        outside: Cells that are not inside a raster of their own zone.
    """

    cells: pa.Table
    buffered: list[str]
    counts: dict[str, int]
    outside: pa.Table

    def filter(self, mask: NDArray[np.bool_]) -> "CellSample":
        """Keep the cells of a mask; the others are counted as `not_chosen`."""
        if mask.all():
            return self
        counts = {**self.counts, "not_chosen": int((~mask).sum())}
        return replace(self, cells=self.cells.filter(pa.array(mask)), counts=counts)


def sample_cells(
    cells: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe, events: Sequence[Event] = ()
) -> CellSample:
    """Sample cells inside a raster by complete clusters, and divide them by hash.

    With `splits.balance: classes`, `divide` has to be called once the label counts of all sampled cells are known.
    """
    clusters, names = _find_clusters(cells, acquisitions, recipe)
    inside = clusters >= 0
    sampled = inside & np.isin(clusters, _select_clusters(clusters[inside], names, recipe))
    counts = {
        "cells": cells.num_rows,
        "outside_rasters": int((~inside).sum()),
        "not_sampled": int((inside & ~sampled).sum()),
    }
    sample = CellSample(cells.filter(pa.array(sampled)), [], counts, cells.filter(pa.array(~inside)))
    return sample if recipe.splits.balance == "classes" else divide(sample, recipe, events)


def divide(
    sample: CellSample, recipe: Recipe, events: Sequence[Event] = (), classes: NDArray[np.bool_] | None = None
) -> CellSample:
    """Assign splits to sampled cells, and apply the buffer and the recipe's limit.

    Blocks that events of one group touch go to one split.

    Args:
        sample: Cells without splits.
        recipe: The recipe.
        events: All events.
        classes: (cell, class) mask, by which the cells are divided; by hash without it.
    """
    cells, seed, cell_m = sample.cells, recipe.sampling.seed, recipe.cell_m
    touched = events_touching(cells, events, cell_m)
    assigned = split_cells(cells, touched, recipe.splits, seed=seed, cell_m=cell_m, classes=classes)
    divided = cells.append_column("split", pa.array(assigned.split, pa.string()))
    outside_buffer = divided.filter(pa.array(~assigned.in_buffer))
    limited = _apply_limit(outside_buffer, recipe).combine_chunks()
    buffered = cells.filter(pa.array(assigned.in_buffer))["cell"].to_pylist()
    excluded = {"buffer": len(buffered), "beyond_limit": outside_buffer.num_rows - limited.num_rows}
    return replace(sample, cells=limited, buffered=buffered, counts={**sample.counts, **excluded})


def _find_clusters(
    cells: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe
) -> tuple[NDArray[np.int64], list[str]]:
    """Find each cell's cluster, aligned to the pixels of a raster that contains the cell.

    Of several rasters the first by EPSG code and corner counts. Only Sentinel-2's rasters are used if it is among the
    sensors, as its tiles are fixed.

    Returns:
        Index of each cell's cluster, -1 outside all rasters, and the names of the clusters.
    """
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    size, cluster_m = recipe.cell_m, recipe.sampling.cluster_px * recipe.resolution_m
    clusters, names = np.full(cells.num_rows, -1, dtype=np.int64), list[str]()
    # A continent has millions of cells and a thousand rasters: each raster tests its zone's unassigned cells only.
    unassigned = {code: np.flatnonzero(epsg == code) for code in np.unique(epsg).tolist()}
    sensor = "s2" if "s2" in recipe.sensors else "s1"
    grids = {(item.epsg, *item.origin, *item.size_px, item.pixel_m) for item in acquisitions if item.sensor == sensor}
    for code, left, top, width, height, pixel_m in sorted(grids):
        rows = unassigned.get(code, np.empty(0, np.int64))
        right, bottom = left + width * pixel_m, top - height * pixel_m
        inside = (x[rows] >= left) & (x[rows] + size <= right) & (y[rows] <= top) & (y[rows] - size >= bottom)
        unassigned[code], rows = rows[~inside], rows[inside]
        col = np.floor((x[rows] + size / 2 - left) / cluster_m).astype(np.int64)
        row = np.floor((top - y[rows] + size / 2) / cluster_m).astype(np.int64)
        keys, number = np.unique(col * _MAX_ROWS + row, return_inverse=True)
        clusters[rows] = len(names) + number
        names += [f"{code}_{left:.0f}_{top:.0f}_{key // _MAX_ROWS}_{key % _MAX_ROWS}" for key in keys.tolist()]
    return clusters, names


def _select_clusters(clusters: NDArray[np.int64], names: list[str], recipe: Recipe) -> NDArray[np.int64]:
    """Select clusters in the order of their hash, up to the recipe's fraction and number of cells."""
    counts = np.bincount(clusters, minlength=len(names))
    order = np.argsort(ranks(recipe.sampling.seed, CLUSTER, names), kind="stable")
    count = int(np.ceil(recipe.sampling.fraction * len(names)))
    if recipe.sampling.candidates is not None:
        count = min(count, int(np.searchsorted(np.cumsum(counts[order]), recipe.sampling.candidates)) + 1)
    return order[:count]


def _apply_limit(cells: pa.Table, recipe: Recipe) -> pa.Table:
    # With event sampling the limit counts the cells that have a role; `choose_samples` applies it.
    if recipe.event_sampling is not None:
        return cells
    return cells.take(np.sort(limit_rows(cells, np.arange(cells.num_rows), recipe)))


def limit_rows(cells: pa.Table, rows: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """Select as many rows as the recipe's limit allows, in the order of their hash."""
    if recipe.limit is None or len(rows) <= recipe.limit:
        return rows
    names = cells["cell"].take(pa.array(rows)).to_pylist()
    return rows[np.argsort(ranks(recipe.sampling.seed, LIMIT, names), kind="stable")][: recipe.limit]
