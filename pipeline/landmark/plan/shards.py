"""Assign samples to shards."""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Sensor
from landmark.config.recipe import SPLITS, Recipe
from landmark.core.hashing import ranks
from landmark.core.salts import SHARD
from landmark.plan.candidates import Candidates, Rows


def assign_shards(
    candidates: Candidates, chosen: Rows, recipe: Recipe, sensors: Mapping[str, Sensor]
) -> NDArray[np.int32]:
    """Assign a shard number to each chosen candidate.

    The cells of a split are ordered by hash and cut into parts of equal bytes, so that shard k of both sensors holds
    the same cells.
    """
    cell, acquisition = candidates.cell[chosen], candidates.acquisition[chosen]
    sensor = np.array([item.sensor for item in candidates.acquisitions])[acquisition]
    sizes = [sensors[item.sensor].sample_bytes(recipe.patch_px) for item in candidates.acquisitions]
    size = np.array(sizes, dtype=np.float64)[acquisition]
    split = pc.index_in(candidates.cells["split"], pa.array(SPLITS)).to_numpy()
    cell_rank = ranks(recipe.sampling.seed, SHARD, candidates.cells["cell"].to_pylist())
    shard = np.zeros(len(cell), dtype=np.int32)
    for number in range(len(SPLITS)):
        rows = np.flatnonzero(split[cell] == number)
        if not len(rows):
            continue
        largest_bytes = max(size[rows][sensor[rows] == name].sum() for name in recipe.sensors)
        cells, inverse = np.unique(cell[rows], return_inverse=True)
        count = min(len(cells), max(1, math.ceil(largest_bytes / (recipe.output.shard_mb * 1e6))))
        cell_bytes = np.bincount(inverse, weights=size[rows])
        order = np.argsort(cell_rank[cells], kind="stable")
        bytes_before = np.empty(len(cells))
        bytes_before[order] = np.cumsum(cell_bytes[order]) - cell_bytes[order]
        shard[rows] = np.floor(bytes_before / cell_bytes.sum() * count).astype(np.int32)[inverse]
    return shard
