"""Row groups of shards that are downloaded at once: their place, and the check of their pixels."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.core.disk_cache import CachedFile
from landmark.core.errors import LandmarkError
from landmark.corpus.index import Index
from landmark.corpus.manifest import Manifest
from landmark.corpus.pages import PREFIX_BYTES, DamagedPage, Pages, decode_page
from landmark.corpus.pixels import parse_group, pixels_sha256
from landmark.domain.schemas import PAGES

# Larger ones are read page by page.
_MAX_BYTES = 2**28


class RowGroup:
    """The pixel pages of a row group, which lie together in its shard.

    Attributes:
        start, end: Their range of bytes.
        first_row: Row in the index of the first.
        pages: Its pages, as (row, column).
        requested_bytes: Bytes of the pages that were requested so far.
        n_single: Pages that were requested by themselves.
        looked_up: Whether the range was looked for on this disk.
        file: The range on this disk, while it is open.
        download: The download, once it is started.
        damage: The error of a download with other pixels than the index says.
    """

    def __init__(self, first_row: int, pages: Pages) -> None:
        self.first_row, self.pages = first_row, pages
        self.start, self.end = int(pages.offsets.min()), int((pages.offsets + pages.sizes).max())
        self.requested_bytes, self.n_single = 0, 0
        self.looked_up = False
        self.file: CachedFile | None = None
        self.download: Future[CachedFile | None] | None = None
        self.damage: LandmarkError | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the range."""
        return self.end - self.start

    def close(self) -> None:
        """Close the file; it is opened or downloaded again when it is needed."""
        self.file = self.download = None
        self.looked_up = False
        self.requested_bytes = self.n_single = 0

    def find_damage(self, content: NDArray[np.uint8], value_bytes: Sequence[int], sha256: Sequence[str]) -> int | None:
        """Row, in the index, of the first sample of a downloaded range with other pixels than its digest; else None."""
        outs = [np.empty(PREFIX_BYTES + size, np.uint8) for size in value_bytes]
        for row, digest in enumerate(sha256):
            try:
                pages = zip(*(numbers[row].tolist() for numbers in self.pages), strict=True)
                for (offset, size, header_bytes, checksum), out in zip(pages, outs, strict=True):
                    decode_page(content[offset - self.start :][:size], header_bytes, checksum, out)
            except DamagedPage:
                return self.first_row + row
            if pixels_sha256([out[PREFIX_BYTES:] for out in outs]) != digest:
                return self.first_row + row
        return None


class _ShardGroups(NamedTuple):
    groups: list[RowGroup]
    starts: NDArray[np.int64]


class RowGroups:
    """The row groups of all shards, by the pages that the index lists. Thread-safe."""

    def __init__(self, manifest: Manifest, index: Index) -> None:
        self._manifest, self._index = manifest, index
        self._first_rows = np.cumsum([0, *(shard.rows for shard in manifest.shards)]).tolist()
        self._shards: dict[int, _ShardGroups] = {}
        self._lock = threading.Lock()

    def find(self, shard: int, offset: int) -> RowGroup | None:
        """The row group with a page; None where it is too large, or the index is damaged."""
        opened = self._shards.get(shard)
        if opened is None:
            with self._lock:
                opened = self._shards.get(shard) or self._open(shard)
                self._shards[shard] = opened
        number = int(opened.starts.searchsorted(offset, side="right")) - 1
        if number < 0 or offset >= opened.groups[number].end or opened.groups[number].size_bytes > _MAX_BYTES:
            return None
        return opened.groups[number]

    def find_damage(self, shard: int, group: RowGroup, content: NDArray[np.uint8]) -> str | None:
        """Id of the first sample of a downloaded group with other pixels than the index says; else None."""
        fields = self._index.pixel_columns[self._manifest.shards[shard].sensor]
        sizes = [parse_group(field).size_bytes for field in fields]
        sha256 = self._index.columns(["sha256"])["sha256"].slice(group.first_row, len(group.pages.offsets)).to_pylist()
        row = group.find_damage(content, sizes, sha256)
        return None if row is None else str(self._index.value("id", row))

    def _open(self, shard: int) -> _ShardGroups:
        record, first_row = self._manifest.shards[shard], self._first_rows[shard]
        lists = self._index.columns(PAGES.names)
        columns = [
            np.array(lists[name].slice(first_row, record.rows).to_pylist(), dtype=np.int64).reshape(record.rows, -1)
            for name in PAGES.names
        ]
        groups = [
            RowGroup(first_row + row, Pages(*(column[row : row + record.group_rows] for column in columns)))
            for row in range(0, record.rows, record.group_rows)
        ]
        groups.sort(key=lambda group: group.start)
        return _ShardGroups(groups, np.array([group.start for group in groups]))
