"""The floor of the loader benchmark: only what reading pages needs, in two threads and as little Python as possible.

The pages of the samples that landmark's loader would deliver, in its order: pread, checksum, zstd, and one copy into the
arrays of the batch. Positions and checksums of pages are known beforehand, files are open, and all memory is touched.
`in_place` decompresses into the arrays of the batch instead of copying: fewer steps than the floor asks for.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from imagecodecs import deflate_crc32, zstd_decode
from numpy.typing import NDArray

import landmark
from bench.loader_rivals import BATCH, SEED, Batch, Columns, Epochs, columns_of
from landmark.corpus.pages import PREFIX_BYTES

THREADS = 2
_DEPTH = 4  # batches in flight

Buffers = list[NDArray[np.uint8]]  # per pixel column (sample, prefix and value)


class Page(NamedTuple):
    """One value of a pixel column: where its page lies, without the header, and the checksum of its bytes."""

    file: int
    offset: int
    size: int
    crc: int


def open_floor(corpus: Path, *, in_place: bool = False) -> Epochs:
    """Find all pages, and return the floor's epochs."""
    pages, columns, ids = find_all_pages(corpus), columns_of(corpus), landmark.open(corpus).table["id"].to_pylist()
    read = _read_in_place if in_place else _read_and_copy
    buffers = [_make_buffers(columns) for _ in range(_DEPTH)]
    scratch = [np.zeros(..., np.uint8) for _ in range(THREADS)]

    def read_epoch(epoch: int) -> Iterator[Batch]:
        ...

    return read_epoch
