"""What no reader of these files can beat: its three parts, each alone on all cores, in libraries made for them.

Ranges by obstore, neighbouring blocks in one request; libdeflate and the predictors by imagecodecs, into buffers that
are there already; copies into chips whose memory was touched before. Where the blocks lie was looked up beforehand.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray

from bench.scene import PATCH_PX, Reading, offsets

REQUEST_BYTES = 4 * 2**20
IN_FLIGHT = 16
HELD_BYTES = 256 * 2**20  # fetched before any of it is decoded: enough to keep all requests busy
T = TypeVar("T")
R = TypeVar("R")


class Block(NamedTuple):
    """Where a block of a raster lies, in the raster and in its file."""

    row: int
    column: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster: the blocks its chips touch, and where the chips lie in it."""

    root: str
    name: str
    dtype: str
    predictor: int
    block_px: int
    chip_px: int
    places: list[tuple[int, int]]
    blocks: list[Block]


def layers(reading: Reading, folder: Path) -> list[Layer]:
    """Every raster of a reading; the files' own headers lie in `folder`."""
    return [
        _layer(reading, name, folder / reading.acquisition.items[0].assets[name], PATCH_PX // factor)
        for factor, names in reading.factors.items()
        for name in names
    ]


def _layer(reading: Reading, name: str, path: Path, chip_px: int) -> Layer:
    with rasterio.open(path) as file:
        places = offsets(reading.corners, (file.transform.c, file.transform.f), file.transform.a)
        block_px = file.block_shapes[0][0]
        touched = {
            (row, column)
            for top, left in places
            for row in range(top // block_px, (top + chip_px - 1) // block_px + 1)
            for column in range(left // block_px, (left + chip_px - 1) // block_px + 1)
        }
        found = [
            Block(
                row,
                column,
                *(int(file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", 1)) for what in ("OFFSET", "SIZE")),
            )
            for row, column in sorted(touched)
        ]
        predictor = int(file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR", 1))
        root, file_name = reading.href(name).rsplit("/", 1)
        return Layer(root, file_name, file.dtypes[0], predictor, block_px, chip_px, places, found)


def block_bytes(found: Iterable[Layer]) -> int:
    """Bytes of all blocks touched, each counted once."""
    return sum(block.size for layer in found for block in layer.blocks)


@dataclass(slots=True)
class Floor:
    """Seconds of each part, and the chips of each raster, (chip, y, x)."""

    seconds: dict[str, float] = field(default_factory=lambda: {"fetch": 0.0, "decode": 0.0, "scatter": 0.0})
    chips: list[NDArray[Any]] = field(default_factory=list)

    def timed(self, part: str, work: Callable[[], T]) -> T:
        """Do a piece of one part."""
        start = time.perf_counter()
        result = work()
        self.seconds[part] += time.perf_counter() - start
        return result


def floor(found: Sequence[Layer], cores: int) -> Floor:
    """Read all chips: fetch the blocks of some rasters; of each, row by row of blocks, decode, copy what chips need."""
    from obstore.store import HTTPStore

    result = Floor()
    stores = {
        root: HTTPStore.from_url(root, client_options={"allow_http": True}) for root in {one.root for one in found}
    }
    with ThreadPoolExecutor(IN_FLIGHT) as fetching, ThreadPoolExecutor(cores) as computing:
        for batch in _batches(found):
            data = result.timed("fetch", lambda batch=batch: _fetched(batch, stores, fetching))
            for layer, held in zip(batch, data, strict=True):
                chips = np.ones((len(layer.places), layer.chip_px, layer.chip_px), layer.dtype)
                result.chips.append(chips)
                for _, row in groupby(layer.blocks, lambda block: block.row):
                    _row(layer, list(row), held, chips, result, computing, cores)
    return result


def _batches(found: Sequence[Layer]) -> Iterator[list[Layer]]:
    batch: list[Layer] = []
    for layer in found:
        batch.append(layer)
        if block_bytes(batch) > HELD_BYTES:
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
    pool: ThreadPoolExecutor,
    cores: int,
) -> None:
    pixels = _warm("row", (len(row), layer.block_px, layer.block_px), layer.dtype)
    parts = _parts(layer, row)
    jobs = [(data[block], out, layer.predictor) for block, out in zip(row, pixels, strict=True)]
    result.timed("decode", lambda: _spread(pool, cores, _decode, jobs))
    result.timed("scatter", lambda: _spread(pool, cores, lambda part: _scatter(part, pixels, chips), parts))


def _fetched(batch: list[Layer], stores: dict[str, Any], pool: ThreadPoolExecutor) -> list[dict[Block, memoryview]]:
    """The bytes of all blocks of some rasters, all requests at once."""
    asked = [
        [pool.submit(_range, stores[layer.root], layer.name, group) for group in _together(layer.blocks)]
        for layer in batch
    ]
    return [dict(chain.from_iterable(future.result() for future in futures)) for futures in asked]


def _range(store: Any, name: str, group: list[Block]) -> list[tuple[Block, memoryview]]:
    whole, first = memoryview(store.get_range(name, start=group[0].start, end=group[-1].end)), group[0].start
    return [(block, whole[block.start - first : block.end - first]) for block in group]


def _together(blocks: list[Block]) -> list[list[Block]]:
    """Blocks that follow one another in the file, up to a request's size."""
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
    # Its floatpred_decode takes four times as long as its delta_decode and a copy for each byte of a number.
    planes = _warm(f"planes {threading.get_ident()}", rows.shape, "u1")
    imagecodecs.deflate_decode(data, out=planes.reshape(-1))
    imagecodecs.delta_decode(planes, axis=-1, out=planes)
    size, numbers = out.itemsize, rows.reshape(*out.shape, out.itemsize)
    for byte in range(size):
        numbers[..., size - 1 - byte] = planes.reshape(len(out), size, -1)[:, byte]


Part = tuple[int, int, tuple[slice, slice], tuple[slice, slice]]


def _parts(layer: Layer, row: list[Block]) -> list[Part]:
    """(block of the row, chip, where in the chip, where in the block) of everything to be copied."""
    size, found = layer.block_px, []
    number = {block.column: place for place, block in enumerate(row)}
    top = row[0].row * size
    for chip, (y, x) in enumerate(layer.places):
        first, last = max(y, top), min(y + layer.chip_px, top + size)
        for column in range(x // size, (x + layer.chip_px - 1) // size + 1) if first < last else ():
            left, right = max(x, column * size), min(x + layer.chip_px, (column + 1) * size)
            target = slice(first - y, last - y), slice(left - x, right - x)
            source = slice(first - top, last - top), slice(left - column * size, right - column * size)
            found.append((number[column], chip, target, source))
    return found


def _scatter(part: Part, pixels: NDArray[Any], chips: NDArray[Any]) -> None:
    block, chip, target, source = part
    chips[chip][target] = pixels[block][source]


_BUFFERS: dict[str, NDArray[np.uint8]] = {}


def _warm(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Memory that was written before."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if name not in _BUFFERS or _BUFFERS[name].size < size:
        _BUFFERS[name] = np.ones(size, np.uint8)
    return _BUFFERS[name][:size].view(dtype).reshape(shape)


def _spread(pool: ThreadPoolExecutor, cores: int, work: Callable[[T], Any], jobs: Sequence[T]) -> None:
    """Do all jobs, each core its share."""

    def share(first: int) -> None:
        for job in jobs[first::cores]:
            work(job)

    list(pool.map(share, range(cores)))
