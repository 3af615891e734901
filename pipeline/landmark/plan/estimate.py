"""What a plan will cost: requests, bytes in and out, and how many bytes are fetched for each byte kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Imagery, Provider, Sensor
from landmark.config.recipe import Recipe
from landmark.domain.acquisition import Acquisition
from landmark.plan.candidates import Choices
from landmark.plan.clearest import Seen, choose

# What zstd-1 makes of real pixels, and what the other columns of a row take.
_PACKED = 0.76
_ROW_BYTES = 1_500
# What a sample takes in a tar beside its pixels, which lie there as they are.
_TAR_ROW_BYTES = 7_000
# What the reader brings in one request (io/direct.py).
_RANGE_BYTES = 2**22
# More than the blocks of any row of a raster.
_MANY = 2**32


@dataclass(frozen=True, slots=True)
class Estimate:
    """Sizes in bytes. `amplification` is bytes fetched per byte of the chips cut from them."""

    samples: int
    acquisitions: int
    requests: int
    fetched_bytes: int
    amplification: float
    corpus_bytes: int
    staging_bytes: int


def estimate(
    plan: pa.Table,
    acquisitions: Mapping[str, Acquisition],
    recipe: Recipe,
    *,
    provider: Provider,
    sensors: Mapping[str, Sensor],
) -> Estimate:
    """Count the distinct blocks each unit touches, at the block and compressed size expected of the provider.

    Cells of the zone beside an image's are counted as if they lay at their own coordinates in its zone: about as many.
    """
    requests, fetched, useful = 0, 0.0, 0.0
    names = plan["acquisition"].combine_chunks().dictionary_encode()
    order = np.argsort(names.indices.to_numpy(), kind="stable")
    starts = np.searchsorted(names.indices.to_numpy()[order], np.arange(len(names.dictionary) + 1))
    x, y = plan["x"].to_numpy(), plan["y"].to_numpy()
    for number, name in enumerate(names.dictionary.to_pylist()):
        rows, one = order[starts[number] : starts[number + 1]], acquisitions[name]
        imagery = provider.sensors[sensors[one.sensor].name]
        corners = np.stack([(one.origin[1] - y[rows]), (x[rows] - one.origin[0])], axis=1) / recipe.resolution_m
        for factor, bands in _layers(sensors[one.sensor]):
            blocks = _blocks(corners / factor, recipe.patch_px // factor, imagery)
            block_bytes, rasters = imagery.block_px**2 * imagery.bytes_per_px, bands * len(one.items)
            requests += rasters * (1 + _ranges(blocks, max(1, int(_RANGE_BYTES // block_bytes))))
            fetched += rasters * len(blocks) * block_bytes
            useful += bands * len(rows) * (recipe.patch_px // factor) ** 2 * imagery.bytes_per_px
    raw = sum(sensors[name].sample_bytes(recipe.patch_px) * _count(plan, name) for name in recipe.sensors)
    tars = raw + _TAR_ROW_BYTES * plan.num_rows if "webdataset" in recipe.output.formats else 0
    return Estimate(
        samples=plan.num_rows,
        acquisitions=len(names.dictionary),
        requests=requests,
        fetched_bytes=int(fetched),
        amplification=fetched / useful,
        corpus_bytes=int(_PACKED * raw) + _ROW_BYTES * plan.num_rows + tars,
        staging_bytes=raw + _ROW_BYTES * plan.num_rows,
    )


def amplification(of: Choices, recipe: Recipe, *, provider: Provider, sensors: Mapping[str, Sensor]) -> float:
    """Bytes fetched for each byte kept, if one image of each sensor were taken in every cell and slot."""
    chosen = np.empty(0, np.int64)
    for name in sorted(recipe.sensors, reverse=True):
        chosen = np.concatenate([chosen, choose(of, name, Seen.nothing(), chosen, recipe)])
    known = {one.id: one for one in of.acquisitions}
    taken, names = of.cells.take(of.cell[chosen]), pa.array(list(known)).take(pa.array(of.acquisition[chosen]))
    sensor = [of.acquisitions[row].sensor for row in of.acquisition[chosen].tolist()]
    plan = pa.table({"acquisition": pa.chunked_array([names]), "x": taken["x"], "y": taken["y"], "sensor": sensor})
    return estimate(plan, known, recipe, provider=provider, sensors=sensors).amplification


def _layers(sensor: Sensor) -> Sequence[tuple[int, int]]:
    """(factor, number of bands) of everything read for a sample."""
    layers = [(group.factor, len(group.bands)) for group in sensor.groups]
    return [*layers, (sensor.mask.factor, 1)] if sensor.mask else layers


def _blocks(corners: NDArray[np.float64], size: int, imagery: Imagery) -> NDArray[np.int64]:
    """Distinct blocks under squares of `size` pixels at (row, column), numbered row by row."""
    first = np.floor(corners / imagery.block_px).astype(np.int64)
    last = np.floor((corners + size - 1) / imagery.block_px).astype(np.int64)
    deep, wide = (last - first).max(axis=0).tolist()
    steps = [first + np.array(step) for step in product(range(deep + 1), range(wide + 1))]
    touched = np.concatenate([block[(block <= last).all(axis=1)] for block in steps])
    return np.unique(touched[:, 0] * _MANY + touched[:, 1])


def _ranges(blocks: NDArray[np.int64], most: int) -> int:
    """Requests that bring some blocks: neighbours of a row together, at most so many."""
    edges = np.flatnonzero(np.diff(blocks, prepend=-2, append=-2) != 1)
    return int(np.ceil(np.diff(edges) / most).sum())


def _count(plan: pa.Table, sensor: str) -> int:
    return int(pc.sum(pc.equal(plan["sensor"], sensor)).as_py() or 0)
