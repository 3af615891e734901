"""The floor of the loader benchmark: only what reading pages needs, in two threads and as little Python as possible.

The pages of the samples that landmark's loader delivers, in its order: pread, checksum, zstd, and one copy into the
arrays of the batch. Positions and checksums of the pages are known beforehand, files are open, and all memory was
touched. `in_place` decompresses into the arrays of the batch: a step less than the floor has.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from imagecodecs import deflate_crc32, zstd_decode
from numpy.typing import NDArray

import landmark
from bench.loader_landmark import epoch_rows
from bench.loader_rivals import BATCH, WORKERS, Batch, Columns, Epochs, columns_of, files_of
from landmark.corpus.pages import PREFIX_BYTES, find_pages
from landmark.corpus.pixels import BandGroup

_DEPTH = 4  # batches in flight

# Per pixel column of a batch: (sample, prefix and value).
Buffers = list[NDArray[np.uint8]]


class Page(NamedTuple):
    """The compressed bytes of one value of a pixel column."""

    descriptor: int
    offset: int
    size: int
    crc: int


class Scratch(NamedTuple):
    """Memory of a thread: a page's compressed bytes, and its value of each pixel column."""

    compressed: NDArray[np.uint8]
    values: Buffers


def open_floor(corpus: Path, *, in_place: bool = False) -> Epochs:
    """Find all pages; return a function that reads an epoch."""
    columns, pages = columns_of(corpus), [page for file in files_of(corpus) for page in _find(file)]
    ids = landmark.open(corpus).columns("id")["id"].to_numpy()
    largest = max(page.size for row in pages for page in row)
    read, scratch = _read_in_place if in_place else _read_and_copy, SimpleQueue[Scratch]()
    for _ in range(WORKERS):
        scratch.put(Scratch(np.ones(largest, np.uint8), [buffer[0] for buffer in _buffers(columns, 1)]))

    def read_batch(rows: NDArray[np.int64], buffers: Buffers) -> Batch:
        own = scratch.get()
        read([pages[row] for row in rows.tolist()], buffers, own)
        scratch.put(own)
        arrays = zip(columns.items(), buffers, strict=True)
        return ids[rows].tolist(), {name: _values(buffer[: len(rows)], group) for (name, group), buffer in arrays}

    free = deque(_buffers(columns, BATCH) for _ in range(_DEPTH))
    return lambda epoch: _read_ahead(epoch_rows(corpus, epoch), read_batch, free)


def _read_ahead(
    batches: Iterable[NDArray[np.int64]],
    read: Callable[[NDArray[np.int64], Buffers], Batch],
    free: deque[Buffers],
) -> Iterator[Batch]:
    """Read batches in order, as many ahead as there are free buffers but one, which the consumer has."""
    running: deque[tuple[Future[Batch], Buffers]] = deque()
    with ThreadPoolExecutor(WORKERS) as threads:
        for rows in batches:
            running.append((threads.submit(read, rows, free[0]), free.popleft()))
            if len(free) < 2:
                yield from _finish(running, free)
        while running:
            yield from _finish(running, free)


def _finish(running: deque[tuple[Future[Batch], Buffers]], free: deque[Buffers]) -> Iterator[Batch]:
    future, buffers = running.popleft()
    yield future.result()
    free.append(buffers)


def _read_and_copy(samples: Sequence[Sequence[Page]], buffers: Buffers, scratch: Scratch) -> None:
    for slot, pages in enumerate(samples):
        for page, buffer, value in zip(pages, buffers, scratch.values, strict=True):
            _decode(page, scratch.compressed, value)
            buffer[slot] = value


def _read_in_place(samples: Sequence[Sequence[Page]], buffers: Buffers, scratch: Scratch) -> None:
    for slot, pages in enumerate(samples):
        for page, buffer in zip(pages, buffers, strict=True):
            _decode(page, scratch.compressed, buffer[slot])


def _decode(page: Page, compressed: NDArray[np.uint8], out: Any) -> None:
    descriptor, offset, size, crc = page
    data: Any = compressed[:size]
    os.preadv(descriptor, [data], offset)
    if deflate_crc32(data) != crc:
        raise ValueError(f"page at {offset}: another checksum")
    zstd_decode(data, out=out)


def _find(file: str) -> Iterator[list[Page]]:
    """Yield the pages of each row of a shard, which stays open."""
    descriptor = os.open(file, os.O_RDONLY)
    pages = find_pages(Path(file))
    for offsets, sizes in zip(pages.offsets + pages.header_sizes, pages.sizes - pages.header_sizes, strict=True):
        yield [_locate(descriptor, *place) for place in zip(offsets.tolist(), sizes.tolist(), strict=True)]


def _locate(descriptor: int, offset: int, size: int) -> Page:
    return Page(descriptor, offset, size, deflate_crc32(os.pread(descriptor, size, offset)))


def _buffers(columns: Columns, samples: int) -> Buffers:
    """Return memory that was touched."""
    sizes = [math.prod(group.shape) * np.dtype(group.dtype).itemsize for group in columns.values()]
    return [np.ones((samples, PREFIX_BYTES + size), np.uint8) for size in sizes]


def _values(buffer: NDArray[np.uint8], group: BandGroup) -> NDArray[Any]:
    """Return values (sample, band, y, x) behind their prefixes, without a copy."""
    return buffer[:, PREFIX_BYTES:].view(group.dtype).reshape(-1, *group.shape)
