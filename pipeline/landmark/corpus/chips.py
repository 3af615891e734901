"""Pixels of single samples: pages of a row, read and decoded into given buffers."""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.errors import InvalidCorpus
from landmark.corpus.index import Index
from landmark.corpus.manifest import Manifest
from landmark.corpus.pages import PREFIX_BYTES, DamagedPage, decode_page
from landmark.corpus.pixels import parse_group, pixels_sha256
from landmark.corpus.shard_files import PageRange, ShardFiles
from landmark.corpus.tables import INDEX_FILE, damaged
from landmark.domain.schemas import PAGES

# More than zstd, a header and a length ever add to a value.
_MAX_GROWTH, _MAX_ADDED_BYTES = 1.01, 1024


class PageTable(NamedTuple):
    """Pages of all rows, one after the other.

    Attributes:
        first: Per shard, the number of its first page.
        offsets: Per page, its offset in the shard.
        sizes: Per page, its size in bytes with its header.
        header_sizes: Per page, size of its header in bytes.
        checksums: Per page, its CRC-32.
    """

    first: list[int]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    header_sizes: NDArray[np.int64]
    checksums: NDArray[np.int64]


class ChipReader:
    """Reads the pixels of rows of a corpus, which are numbered in the order of the index. Thread-safe and picklable.

    Attributes:
        files: The shards.
        fields: Sensor -> its pixel columns, in the order of the shards; sensors without a shard are missing.
        value_bytes: Sensor -> bytes of a value of each of them.
    """

    def __init__(self, root: Path, manifest: Manifest, index: Index, files: ShardFiles) -> None:
        self._root, self._manifest, self._index, self.files = root, manifest, index, files
        self.fields = index.pixel_columns
        self.value_bytes = {
            name: [parse_group(field).size_bytes for field in fields] for name, fields in self.fields.items()
        }
        self._starts = np.cumsum([0, *(shard.rows for shard in manifest.shards)]).tolist()
        self._scratch = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return ChipReader, (self._root, self._manifest, self._index, self.files)

    def shard_of(self, row: int) -> int:
        """Number of the shard, in the manifest, that has a row."""
        return bisect_right(self._starts, row) - 1

    def read(self, row: int, columns: Sequence[int], outs: Sequence[NDArray[np.uint8]]) -> float:
        """Read and decode the pages of some pixel columns of a row.

        Args:
            row: Number of the row in the index.
            columns: Numbers of the pixel columns of its sensor.
            outs: Per column, receives `PREFIX_BYTES` bytes and the value. Contiguous.

        Returns:
            Seconds that it waited for storage.

        Raises:
            GenerationReplaced: a newer generation has replaced the shard.
            InvalidCorpus: the shard is missing, damaged or another, or the index is damaged.
        """
        number, first = self._first_page(row)
        pages, files, buffer, waited_s = self.pages, self.files, self._buffer(), 0.0
        try:
            for column, out in zip(columns, outs, strict=True):
                page = first + column
                data, offset = buffer[: pages.sizes.item(page)], pages.offsets.item(page)
                expected = pages.header_sizes.item(page), pages.checksums.item(page)
                start = perf_counter()
                files.read(number, offset, data)
                waited_s += perf_counter() - start
                try:
                    decode_page(data, *expected, out)
                except DamagedPage:
                    files.check(number)
                    if not files.drop(number, offset):
                        raise
                    files.read(number, offset, data)
                    decode_page(data, *expected, out)
        except DamagedPage as error:
            raise self._damaged(row, f"is damaged: {error}") from error
        except InvalidCorpus as error:
            error.value = error.value or self._index.value("id", row)
            raise
        return waited_s

    def check(self, row: int) -> None:
        """Require that the shard of a row is still the file that was read.

        Raises:
            GenerationReplaced: a newer generation has replaced it.
            InvalidCorpus: it is missing, or another file than before.
        """
        self.files.check(self.shard_of(row))

    def prefetch(self, rows: Iterable[int], columns: Sequence[int], *, soon: bool = True) -> None:
        """Start to read pages of some pixel columns of rows of a sensor, as `ShardFiles.prefetch`."""
        if not self.files.remote:
            return
        pages = self.pages
        ranges: list[PageRange] = []
        for row in rows:
            number, first = self._first_page(row)
            ranges += [
                PageRange(number, pages.offsets.item(first + column), pages.sizes.item(first + column))
                for column in columns
            ]
        self.files.prefetch(ranges, soon=soon)

    def read_values(self, row: int) -> list[NDArray[np.uint8]]:
        """Read all pixel columns of a row, and compare them with the digest in the index.

        Raises:
            GenerationReplaced: a newer generation has replaced the shard.
            InvalidCorpus: the shard is missing, damaged or another, or the index is damaged.
        """
        sizes = self.value_bytes[self._manifest.shards[self.shard_of(row)].sensor]
        outs = [np.empty(PREFIX_BYTES + size, np.uint8) for size in sizes]
        self.prefetch([row], range(len(outs)))
        self.read(row, range(len(outs)), outs)
        self.check(row)
        values = [out[PREFIX_BYTES:] for out in outs]
        if pixels_sha256(values) != self._index.value("sha256", row):
            raise self._damaged(row, "is damaged: other pixels than those of the index")
        return values

    @cached_property
    def pages(self) -> PageTable:
        """Pages of all rows.

        Raises:
            InvalidCorpus: the index does not list a page inside the shard for each pixel column of a row.
        """
        path, lists = self._root / INDEX_FILE, self._index.columns(PAGES.names)
        shards, rows = self._manifest.shards, np.diff(self._starts)
        widths = [len(self.fields[shard.sensor]) for shard in shards]
        counts = np.repeat(widths, rows)
        for name in PAGES.names:
            if (
                not np.array_equal(pc.list_value_length(lists[name]).to_numpy(), counts)
                or pc.list_flatten(lists[name]).null_count
            ):
                raise damaged(path, f"is damaged: column {name} has not one page a column of pixels")
        offsets, sizes, *columns = (pc.list_flatten(lists[name]).to_numpy().astype(np.int64) for name in PAGES.names)
        ends = np.repeat([shard.size_bytes for shard in shards], rows * widths)
        largest = np.concatenate([np.tile(self.value_bytes[shard.sensor], shard.rows) for shard in shards])
        within = (offsets >= 0) & (sizes > 0) & (offsets <= ends - sizes)
        if not np.all(within & (sizes <= largest * _MAX_GROWTH + _MAX_ADDED_BYTES)):
            raise damaged(path, "is damaged: a page lies outside its shard, or is too large")
        return PageTable(np.cumsum([0, *(rows * widths)]).tolist(), offsets, sizes, *columns)

    def _first_page(self, row: int) -> tuple[int, int]:
        """Number of the shard of a row, and number of the row's first page."""
        number = self.shard_of(row)
        width = len(self.fields[self._manifest.shards[number].sensor])
        return number, self.pages.first[number] + (row - self._starts[number]) * width

    def _buffer(self) -> NDArray[np.uint8]:
        """Memory of this thread for a page, valid until its next call."""
        buffer: NDArray[np.uint8] | None = getattr(self._scratch, "buffer", None)
        if buffer is None:
            buffer = self._scratch.buffer = np.empty(int(self.pages.sizes.max(initial=0)), np.uint8)
        return buffer

    def _damaged(self, row: int, problem: str) -> InvalidCorpus:
        return self.files.damaged(self.shard_of(row), problem, value=self._index.value("id", row))
