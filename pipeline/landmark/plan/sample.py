"""Which cells are candidates: whole clusters by hash, splits by block, and a buffer between the splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.config.recipe import SPLITS, Recipe, Splits
from landmark.core.hashing import ranks
from landmark.core.salts import CLUSTER, LIMIT, SPLIT
from landmark.domain.acquisition import Acquisition
from landmark.domain.event import Event
from landmark.plan.distance import gaps_below

_ALL = 2.0**64
_M_A_DEGREE = 110_500
# Of a cell, and a little more: its edges are not quite those of degrees.
_HALF = 0.55
# More than the clusters of any column of a raster.
_MANY = 2**32


@dataclass(frozen=True, slots=True)
class Sampled:
    """The cells of the sample, each with its split, and what became of the rest.

    Attributes:
        cells: CELLS columns and `split`, sorted by cell.
        buffered: Cells that lie in the buffer of another split.
        considered: Candidates, and how many were left out, by reason.
    """

    cells: pa.Table
    buffered: list[str]
    considered: dict[str, int]

    def only(self, keep: NDArray[np.bool_]) -> "Sampled":
        """Some of the cells."""
        if keep.all():
            return self
        considered = {**self.considered, "not_chosen": int((~keep).sum())}
        return replace(self, cells=self.cells.filter(pa.array(keep)), considered=considered)


def sample(
    cells: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe, events: Sequence[Event] = ()
) -> Sampled:
    """Cells inside a raster: whole clusters in the order of their hash, split by block, buffered, cut at the limit.

    Blocks that events of one group touch go to one split.
    """
    clusters, names = _clusters(cells, acquisitions, recipe)
    inside = clusters >= 0
    chosen = inside & np.isin(clusters, _first(clusters[inside], names, recipe))
    taken = cells.filter(pa.array(chosen))
    blocks, touched = taken["block"].to_pylist(), touching(taken, events, recipe.cell_m)
    split = assign_splits(blocks, recipe.splits, recipe.sampling.seed, together(blocks, touched))
    buffered = _buffered(taken, split, recipe, np.isin(np.arange(len(split)), [row for _, row in touched]))
    kept = taken.append_column("split", pa.array(split, pa.string())).filter(pa.array(~buffered))
    limited = _limited(kept, recipe).combine_chunks()
    considered = {
        "cells": cells.num_rows,
        "outside_rasters": int((~inside).sum()),
        "not_sampled": int((inside & ~chosen).sum()),
        "buffer": int(buffered.sum()),
        "beyond_limit": kept.num_rows - limited.num_rows,
    }
    return Sampled(limited, taken.filter(pa.array(buffered))["cell"].to_pylist(), considered)


def assign_splits(
    blocks: Sequence[str], splits: Splits, seed: int, group_of: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """A split for each block, by its hash alone, or that of the group of events that holds it.

    A block keeps its split whatever else is in the corpus, but for events.
    """
    names, inverse = np.unique(np.array([group_of.get(block, block) for block in blocks], str), return_inverse=True)
    place = ranks(seed, SPLIT, names.tolist()) / _ALL * 100
    edges = np.cumsum([splits.train, splits.val])
    return [SPLITS[number] for number in np.searchsorted(edges, place, side="right")[inverse]]


def touching(cells: pa.Table, events: Sequence[Event], cell_m: float, *, beyond_m: float = 0) -> list[tuple[str, int]]:
    """(group, row) of every cell that an event of the group touches, or all but touches, or comes near to.

    Holes in an event's ground are part of it: nobody can speak for them.
    """
    if not events or not cells.num_rows:
        return []
    shapes = [(event.group, shape) for event in events for part in event.parts for shape in _filled(part.shape)]
    lon, lat = cells["lon"].to_numpy(), cells["lat"].to_numpy()
    high = (_HALF * cell_m + beyond_m) / _M_A_DEGREE
    wide = high / np.maximum(np.cos(np.radians(lat)), 0.01)
    boxes = shapely.box(lon - wide, lat - high, lon + wide, lat + high)
    number, rows = shapely.STRtree(boxes).query([shape for _, shape in shapes], predicate="intersects")
    return sorted({(shapes[one][0], row) for one, row in zip(number.tolist(), rows.tolist(), strict=True)})


def _filled(shape: BaseGeometry) -> list[BaseGeometry]:
    return [shapely.Polygon(ring) for ring in shapely.get_exterior_ring(shapely.get_parts(shape))]


def together(blocks: Sequence[str], touched: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Block → the first of all groups that it shares blocks with, however far the chain goes."""
    leader: dict[str, str] = {}

    def first(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    # Every block of a group is led by the first group that reaches it.
    for group, row in touched:
        one, other = sorted((first(f"event {group}"), first(f"~{blocks[row]}")))
        leader[other] = one
    return {blocks[row]: first(f"~{blocks[row]}") for _, row in touched}


def _clusters(
    cells: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe
) -> tuple[NDArray[np.int64], list[str]]:
    """The cluster of each cell, aligned to the blocks of a raster that holds the cell; -1 outside all rasters.

    A cluster is a number into the list of names. Of several rasters the first counts, by EPSG code and corner.
    Sentinel-2's tiles are fixed, so its rasters lead where it is among the sensors.
    """
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    size, cluster_m = recipe.cell_m, recipe.sampling.cluster_px * recipe.resolution_m
    clusters, names = np.full(cells.num_rows, -1, dtype=np.int64), list[str]()
    # A continent has millions of cells and a thousand rasters: each raster looks at its zone's unclaimed cells only.
    unclaimed = {code: np.flatnonzero(epsg == code) for code in np.unique(epsg).tolist()}
    lead = "s2" if "s2" in recipe.sensors else "s1"
    grids = {(one.epsg, *one.origin, *one.size_px, one.pixel_m) for one in acquisitions if one.sensor == lead}
    for code, left, top, width, height, pixel_m in sorted(grids):
        rows = unclaimed.get(code, np.empty(0, np.int64))
        right, bottom = left + width * pixel_m, top - height * pixel_m
        mine = (x[rows] >= left) & (x[rows] + size <= right) & (y[rows] <= top) & (y[rows] - size >= bottom)
        unclaimed[code], rows = rows[~mine], rows[mine]
        col = np.floor((x[rows] + size / 2 - left) / cluster_m).astype(np.int64)
        row = np.floor((top - y[rows] + size / 2) / cluster_m).astype(np.int64)
        places, number = np.unique(col * _MANY + row, return_inverse=True)
        clusters[rows] = len(names) + number
        names += [f"{code}_{left:.0f}_{top:.0f}_{place // _MANY}_{place % _MANY}" for place in places.tolist()]
    return clusters, names


def _first(clusters: NDArray[np.int64], names: list[str], recipe: Recipe) -> NDArray[np.int64]:
    """The clusters to take: first in the order of their hash, up to the fraction and the number of cells asked for."""
    counts = np.bincount(clusters, minlength=len(names))
    order = np.argsort(ranks(recipe.sampling.seed, CLUSTER, names), kind="stable")
    enough = int(np.ceil(recipe.sampling.fraction * len(names)))
    if recipe.sampling.candidates is not None:
        enough = min(enough, int(np.searchsorted(np.cumsum(counts[order]), recipe.sampling.candidates)) + 1)
    return order[:enough]


def _buffered(cells: pa.Table, split: list[str], recipe: Recipe, touched: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells to leave out: nearer than the buffer to another split.

    Of the two, what no event touches yields to what one does; then train yields to val and val to test.
    """
    group = np.array([SPLITS.index(name) for name in split])
    priority = group + len(SPLITS) * touched
    lost = np.zeros(len(split), dtype=bool)
    one, other, _ = gaps_below(cells, group, buffer_m=recipe.splits.buffer_m, cell_m=recipe.cell_m)
    lost[np.where(priority[one] < priority[other], one, other)] = True
    return lost


def _limited(cells: pa.Table, recipe: Recipe) -> pa.Table:
    # Round events the limit counts the cells that play a role: draw.
    if recipe.around_events is not None:
        return cells
    return cells.take(np.sort(first_cells(cells, np.arange(cells.num_rows), recipe)))


def first_cells(cells: pa.Table, rows: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """As many of some rows as the recipe's limit allows, in the order of their hash."""
    if recipe.limit is None or len(rows) <= recipe.limit:
        return rows
    names = cells["cell"].take(pa.array(rows)).to_pylist()
    return rows[np.argsort(ranks(recipe.sampling.seed, LIMIT, names), kind="stable")][: recipe.limit]
