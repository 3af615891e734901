"""A lower bound of the read time: fetch, decode and copy, one after the other, each on all cores.

Fetch: obstore, neighbouring blocks in one range request. Decode: libdeflate and predictors of imagecodecs, into warm
buffers. Copy: into chips whose memory was touched before. Block offsets are known before the clock starts.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray

from bench.scene import PATCH_PX, Reading, offsets

REQUEST_BYTES = 4 * 2**20
IN_FLIGHT = 16
BATCH_BYTES = 256 * 2**20  # fetched before decoding starts; enough to keep all requests in flight
T = TypeVar("T")
R = TypeVar("R")


class Block(NamedTuple):
    """Position of a block in a raster, and in its file."""

    row: int
    column: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The byte after the block's last."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster: the blocks its chips intersect, and the (row, column) of the chips."""

    root: str
    name: str
    dtype: str
    predictor: int
    block_px: int
    chip_px: int
    chip_offsets: list[tuple[int, int]]
    blocks: list[Block]


def find_layers(reading: Reading, folder: Path) -> list[Layer]:
    """Return every raster of a reading; headers are read from the files in `folder`."""
    return [
        _layer(reading, name, folder / reading.acquisition.items[0].assets[name], PATCH_PX // factor)
        for factor, names in reading.factors.items()
        for name in names
    ]


def _layer(reading: Reading, name: str, path: Path, chip_px: int) -> Layer:
    with rasterio.open(path) as file:
        chip_offsets = offsets(reading.corners, (file.transform.c, file.transform.f), file.transform.a)
        block_px = file.block_shapes[0][0]
        touched = {
            (row, column)
            for top, left in chip_offsets
            for row in range(top // block_px, (top + chip_px - 1) // block_px + 1)
            for column in range(left // block_px, (left + chip_px - 1) // block_px + 1)
        }
        blocks = [
            Block(
                row,
                column,
                *(int(file.get_tag_item(f"BLOCK_{tag}_{column}_{row}", "TIFF", 1)) for tag in ("OFFSET", "SIZE")),
            )
            for row, column in sorted(touched)
        ]
        predictor = int(file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR", 1))
        root, file_name = reading.href(name).rsplit("/", 1)
        return Layer(root, file_name, file.dtypes[0], predictor, block_px, chip_px, chip_offsets, blocks)


def block_bytes(rasters: Iterable[Layer]) -> int:
    """Return the bytes of all blocks, each counted once."""
    return sum(block.size for layer in rasters for block in layer.blocks)


@dataclass(slots=True)
class Floor:
    """Seconds of each part, and the chips of each raster, (chip, y, x)."""

    seconds: dict[str, float] = field(default_factory=lambda: {"fetch": 0.0, "decode": 0.0, "scatter": 0.0})
    chips: list[NDArray[Any]] = field(default_factory=list)

    def timed(self, part: str, work: Callable[[], T]) -> T:
        """Run work and add its time to a part."""
        start = time.perf_counter()
        result = work()
        self.seconds[part] += time.perf_counter() - start
        return result


@dataclass(frozen=True, slots=True)
class _Threads:
    """A thread pool, and how many jobs run at once."""

    pool: ThreadPoolExecutor
    cores: int

    def run(self, work: Callable[[T], Any], jobs: Sequence[T]) -> None:
        """Run all jobs, distributed evenly."""

        def share(first: int) -> None:
            for job in jobs[first :: self.cores]:
                work(job)

        list(self.pool.map(share, range(self.cores)))


def floor(rasters: Sequence[Layer], cores: int) -> Floor:
    """Read all chips: fetch the blocks of a batch of rasters, then decode and copy block row by block row."""
    from obstore.store import HTTPStore

    result = Floor()
    stores = {
        root: HTTPStore.from_url(root, client_options={"allow_http": True})
        for root in {layer.root for layer in rasters}
    }
    with ThreadPoolExecutor(IN_FLIGHT) as fetching, ThreadPoolExecutor(cores) as computing:
        threads = _Threads(computing, cores)
        for batch in _batches(rasters):
            fetched = result.timed("fetch", partial(_fetch, batch, stores, fetching))
            for layer, data in zip(batch, fetched, strict=True):
                chips = np.ones((len(layer.chip_offsets), layer.chip_px, layer.chip_px), layer.dtype)
                result.chips.append(chips)
                for _, row in groupby(layer.blocks, lambda block: block.row):
                    _row(layer, list(row), data, chips, result, threads)
    return result


def _batches(rasters: Sequence[Layer]) -> Iterator[list[Layer]]:
    batch: list[Layer] = []
    for layer in rasters:
        batch.append(layer)
        if block_bytes(batch) > BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _row(
    layer: Layer,
    row: list[Block],
    data: dict[Block, memoryview],
    chips: NDArray[Any],
    result: Floor,
    threads: _Threads,
) -> None:
    pixels = _warm("row", (len(row), layer.block_px, layer.block_px), layer.dtype)
    parts = _parts(layer, row)
    jobs = [(data[block], out, layer.predictor) for block, out in zip(row, pixels, strict=True)]
    result.timed("decode", lambda: threads.run(_decode, jobs))
    result.timed("scatter", lambda: threads.run(lambda part: _scatter(part, pixels, chips), parts))


def _fetch(batch: list[Layer], stores: dict[str, Any], pool: ThreadPoolExecutor) -> list[dict[Block, memoryview]]:
    """Fetch all blocks of some rasters, all requests at once."""
    requests = [
        [pool.submit(_range, stores[layer.root], layer.name, group) for group in _coalesce(layer.blocks)]
        for layer in batch
    ]
    return [dict(chain.from_iterable(future.result() for future in futures)) for futures in requests]


def _range(store: Any, name: str, group: list[Block]) -> list[tuple[Block, memoryview]]:
    data, first = memoryview(store.get_range(name, start=group[0].start, end=group[-1].end)), group[0].start
    return [(block, data[block.start - first : block.end - first]) for block in group]


def _coalesce(blocks: list[Block]) -> list[list[Block]]:
    """Group blocks that are adjacent in the file, up to the size of a request."""
    ordered = sorted(blocks, key=lambda block: block.start)
    groups = [[ordered[0]]]
    for before, block in pairwise(ordered):
        # GDAL writes four bytes before each block of some files.
        if block.start - before.end > 8 or block.end - groups[-1][0].start > REQUEST_BYTES:
            groups.append([])
        groups[-1].append(block)
    return groups


def _decode(job: tuple[memoryview, NDArray[Any], int]) -> None:
    import imagecodecs

    data, out, predictor = job
    rows = out.view("u1")
    if predictor != 3:
        imagecodecs.deflate_decode(data, out=rows.reshape(-1))
        if predictor == 2:
            imagecodecs.delta_decode(out, axis=-1, out=out)
        return
    # imagecodecs.floatpred_decode takes four times as long as delta_decode and a copy per byte of a number.
    planes = _warm(f"planes {threading.get_ident()}", rows.shape, "u1")
    imagecodecs.deflate_decode(data, out=planes.reshape(-1))
    imagecodecs.delta_decode(planes, axis=-1, out=planes)
    size, numbers = out.itemsize, rows.reshape(*out.shape, out.itemsize)
    for byte in range(size):
        numbers[..., size - 1 - byte] = planes.reshape(len(out), size, -1)[:, byte]


Part = tuple[int, int, tuple[slice, slice], tuple[slice, slice]]


def _parts(layer: Layer, row: list[Block]) -> list[Part]:
    """Return (block of the row, chip, slices in the chip, slices in the block) of every copy."""
    size, parts = layer.block_px, []
    number = {block.column: index for index, block in enumerate(row)}
    top = row[0].row * size
    for chip, (y, x) in enumerate(layer.chip_offsets):
        first, last = max(y, top), min(y + layer.chip_px, top + size)
        for column in range(x // size, (x + layer.chip_px - 1) // size + 1) if first < last else ():
            left, right = max(x, column * size), min(x + layer.chip_px, (column + 1) * size)
            target = slice(first - y, last - y), slice(left - x, right - x)
            source = slice(first - top, last - top), slice(left - column * size, right - column * size)
            parts.append((number[column], chip, target, source))
    return parts


def _scatter(part: Part, pixels: NDArray[Any], chips: NDArray[Any]) -> None:
    block, chip, target, source = part
    chips[chip][target] = pixels[block][source]


_BUFFERS: dict[str, NDArray[np.uint8]] = {}


def _warm(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return a buffer whose memory was written before."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if name not in _BUFFERS or _BUFFERS[name].size < size:
        _BUFFERS[name] = np.ones(size, np.uint8)
    return _BUFFERS[name][:size].view(dtype).reshape(shape)
