"""Estimate the cost of a plan: requests, bytes fetched and written, and read amplification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Provider, Sensor, SensorCollection
from landmark.config.recipe import Recipe
from landmark.domain.acquisition import Acquisition
from landmark.plan.candidates import Candidates
from landmark.plan.clearest import AcquisitionRanking, CloudCover

# Size of real pixels after zstd-1, and size of a row's other columns.
_COMPRESSION = 0.76
_ROW_BYTES = 1_500
# Bytes of a sample in a tar besides its uncompressed pixels.
_TAR_ROW_BYTES = 7_000
# Largest request of the reader (raster/direct.py).
_MAX_RANGE_BYTES = 2**22
# More than the blocks in any row of a raster.
_MAX_COLUMNS = 2**32


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a plan, in bytes. `amplification` is bytes fetched per byte of the chips cut from them."""

    samples: int
    acquisitions: int
    requests: int
    fetched_bytes: int
    amplification: float
    corpus_bytes: int
    staging_bytes: int


def estimate_plan(
    plan: pa.Table,
    acquisitions: Mapping[str, Acquisition],
    recipe: Recipe,
    *,
    provider: Provider,
    sensors: Mapping[str, Sensor],
) -> Estimate:
    """Count the distinct blocks of each task, at the block and compressed size expected of the provider.

    Cells of another zone than the acquisition's are counted as if they lay at their own coordinates in its zone, which
    gives about as many blocks.
    """
    requests, fetched_bytes, chip_bytes = 0, 0.0, 0.0
    names = plan["acquisition"].combine_chunks().dictionary_encode()
    order = np.argsort(names.indices.to_numpy(), kind="stable")
    starts = np.searchsorted(names.indices.to_numpy()[order], np.arange(len(names.dictionary) + 1))
    x, y = plan["x"].to_numpy(), plan["y"].to_numpy()
    for number, name in enumerate(names.dictionary.to_pylist()):
        rows, acquisition = order[starts[number] : starts[number + 1]], acquisitions[name]
        sensor = sensors[acquisition.sensor]
        collection = provider.sensors[sensor.name]
        left, top = acquisition.origin
        corners = np.stack([top - y[rows], x[rows] - left], axis=1) / recipe.resolution_m
        for factor, bands in _layers(sensor):
            blocks = _find_blocks(corners / factor, recipe.patch_px // factor, collection)
            block_bytes = collection.block_px**2 * collection.bytes_per_px
            rasters = bands * len(acquisition.items)
            requests += rasters * (1 + _count_requests(blocks, max(1, int(_MAX_RANGE_BYTES // block_bytes))))
            fetched_bytes += rasters * len(blocks) * block_bytes
            chip_bytes += bands * len(rows) * (recipe.patch_px // factor) ** 2 * collection.bytes_per_px
    counts = {name: int(pc.sum(pc.equal(plan["sensor"], name)).as_py() or 0) for name in recipe.sensors}
    raw_bytes = sum(sensors[name].sample_bytes(recipe.patch_px) * count for name, count in counts.items())
    tar_bytes = raw_bytes + _TAR_ROW_BYTES * plan.num_rows if "webdataset" in recipe.output.formats else 0
    return Estimate(
        samples=plan.num_rows,
        acquisitions=len(names.dictionary),
        requests=requests,
        fetched_bytes=int(fetched_bytes),
        amplification=fetched_bytes / chip_bytes,
        corpus_bytes=int(_COMPRESSION * raw_bytes) + _ROW_BYTES * plan.num_rows + tar_bytes,
        staging_bytes=raw_bytes + _ROW_BYTES * plan.num_rows,
    )


def estimate_amplification(
    candidates: Candidates, recipe: Recipe, *, provider: Provider, sensors: Mapping[str, Sensor]
) -> float:
    """Estimate the read amplification of taking one acquisition of each sensor in every cell and slot."""
    chosen, _ = AcquisitionRanking(candidates, CloudCover.empty(), recipe).choose_all()
    acquisitions = {item.id: item for item in candidates.acquisitions}
    number = pa.array(candidates.acquisition[chosen])
    cells = candidates.cells.take(pa.array(candidates.cell[chosen]))
    plan = pa.table(
        {
            "acquisition": pa.chunked_array([pa.array(list(acquisitions)).take(number)]),
            "x": cells["x"],
            "y": cells["y"],
            "sensor": pa.array([item.sensor for item in candidates.acquisitions]).take(number),
        }
    )
    return estimate_plan(plan, acquisitions, recipe, provider=provider, sensors=sensors).amplification


def _layers(sensor: Sensor) -> Sequence[tuple[int, int]]:
    """(factor, number of bands) of everything read for a sample."""
    layers = [(group.factor, len(group.bands)) for group in sensor.groups]
    return [*layers, (sensor.mask.factor, 1)] if sensor.mask else layers


def _find_blocks(corners: NDArray[np.float64], size: int, collection: SensorCollection) -> NDArray[np.int64]:
    """Distinct blocks under squares of `size` pixels at (row, column), numbered row by row."""
    first = np.floor(corners / collection.block_px).astype(np.int64)
    last = np.floor((corners + size - 1) / collection.block_px).astype(np.int64)
    max_rows, max_cols = (last - first).max(axis=0).tolist()
    offsets = [first + np.array(offset) for offset in product(range(max_rows + 1), range(max_cols + 1))]
    blocks = np.concatenate([block[(block <= last).all(axis=1)] for block in offsets])
    return np.unique(blocks[:, 0] * _MAX_COLUMNS + blocks[:, 1])


def _count_requests(blocks: NDArray[np.int64], max_blocks: int) -> int:
    """Requests for sorted blocks: adjacent ones of a row share a request of at most `max_blocks`."""
    edges = np.flatnonzero(np.diff(blocks, prepend=-2, append=-2) != 1)
    return int(np.ceil(np.diff(edges) / max_blocks).sum())
