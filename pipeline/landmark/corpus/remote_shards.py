"""Shards on a server or in the store of a cloud: single pages at once, row groups ahead into the cache on disk."""

import logging
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark.core.background import BackgroundCalls, result
from landmark.core.disk_cache import CachedFile, DiskCache, cache_bytes, cache_folder
from landmark.core.errors import InputError, InvalidCorpus, LandmarkError
from landmark.core.ranges.errors import ChangedFile, Unreadable
from landmark.core.ranges.range_reader import RangeReader
from landmark.core.ranges.remote_folder import RemoteFolder
from landmark.corpus.index import Index
from landmark.corpus.manifest import Export, Manifest, Shard
from landmark.corpus.remote_errors import RemoteErrors
from landmark.corpus.remote_files import Documents
from landmark.corpus.row_groups import RowGroup, RowGroups
from landmark.corpus.shard_files import PageRange

T = TypeVar("T")
_log = logging.getLogger(__name__)

_PAGE_THREADS, _GROUP_THREADS = 48, 4
# A row group is downloaded once this part of its bytes was requested; pages are requested by themselves before, and
# until so many of them were, while it is downloaded.
_GROUP_FRACTION, _MAX_SINGLE_FRACTION = 1 / 8, 1 / 2
# Pages that are held for readers.
_MAX_HELD_BYTES = 2**28
_MAX_OPEN = 256
# Single pages come first: row groups wait for them, for so long.
_MAX_PAGE_WAIT_S = 2
_PIECE_BYTES = 2**23


class RemoteShardFiles:
    """Shards below a URL, read by ranges; implements `ShardFiles`. Thread-safe and picklable.

    All bytes of a shard are of the version of the first answer, whose size is that of the manifest.
    """

    remote = True

    def __init__(self, folder: RemoteFolder, manifest: Manifest, index: Index, documents: Documents) -> None:
        self._folder, self._manifest, self._index, self._documents = folder, manifest, index, documents
        self.location, self._process = folder.url, os.getpid()
        self._groups, self._errors = RowGroups(manifest, index), RemoteErrors(folder, manifest)
        self._cache = DiskCache(cache_folder() / "row-groups", cache_bytes())
        self._readers: dict[int, RangeReader] = {}
        self._open_groups: deque[RowGroup] = deque()
        self._pages: OrderedDict[tuple[int, int], tuple[int, Future[Any]]] = OrderedDict()
        self.held_bytes = 0
        self._lock = threading.Lock()
        self._page_calls, self._group_calls = BackgroundCalls(_PAGE_THREADS), BackgroundCalls(_GROUP_THREADS)

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteShardFiles, (self._folder, self._manifest, self._index, self._documents._replace(owner=None))

    def locate(self, file: Shard | Export) -> str:
        """URL of a file of the manifest; nothing is requested."""
        return self._folder.href(file.path)

    def read(self, shard: int, offset: int, out: NDArray[np.uint8]) -> None:
        """Fill an array with the bytes from an offset on.

        Raises:
            InputError: this process was forked after the corpus was opened.
            GenerationReplaced: a newer generation has replaced the shard.
            InvalidCorpus: the shard is missing, refused, damaged or another than before, or its server does not answer.
        """
        self._check_process()
        group = self._groups.find(shard, offset)
        if group is not None and self._read_group(group, offset, out):
            return
        with self._lock:
            held = self._pages.pop((shard, offset), None)
            self.held_bytes -= held[0] if held else 0
        content = None if held is None else result(held[1])
        if content is None:
            if group is not None and _must_wait(group) and self._read_group(group, offset, out, wait=True):
                return
            content = self._get(shard, offset, out.nbytes)
        out[:] = np.frombuffer(content, np.uint8)

    def prefetch(self, pages: Sequence[PageRange], *, soon: bool = True) -> None:
        """Start to request pages in the background.

        Args:
            pages: Shard, offset and bytes of each, in the order in which they will be read.
            soon: Whether they are read next. Others only count towards the row groups that are downloaded.
        """
        self._check_process()
        for page in pages:
            group = self._groups.find(page.shard, page.offset)
            if group is not None:
                group.requested_bytes += page.size_bytes
                if self._open(page.shard, group) is not None:
                    continue
                self._start_download(page.shard, group)
                if _must_wait(group):
                    continue
                group.n_single += soon
            if soon:
                self._request(page)

    def check(self, shard: int) -> None:
        """Nothing: each answer is compared with the first one of its file."""

    def drop(self, shard: int, offset: int) -> bool:
        """Forget the row group on this disk that has a damaged page; the next read requests the page again."""
        if (group := self._groups.find(shard, offset)) is not None and group.file is not None:
            self._cache.delete(self._key(shard, group))
            group.close()
        return True

    def damaged(self, shard: int, problem: str, *, value: str | None = None) -> InvalidCorpus:
        """The error of a damaged shard."""
        return self._errors.damaged(shard, problem, value=value)

    def close(self) -> None:
        """Drop what was requested and not read; the next read requests it again."""
        with self._lock:
            self._pages.clear()
            self.held_bytes = 0
        self._page_calls.cancel()
        self._group_calls.cancel()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            problem = "a corpus below a URL works in the process that opened it only, whose threads make its requests"
            raise InputError(problem, key="path", value=self.location, remedy="open it in each process, or pickle it")

    def _request(self, page: PageRange) -> None:
        """Request a page and hold it, unless that was done."""
        unread = []
        with self._lock:
            if page[:2] in self._pages:
                return
            self._pages[page[:2]] = page.size_bytes, self._page_calls.submit(partial(self._get, *page))
            self.held_bytes += page.size_bytes
            while self.held_bytes > _MAX_HELD_BYTES:
                _, (size, oldest) = self._pages.popitem(last=False)
                self.held_bytes -= size
                unread.append(oldest)
        for oldest in unread:
            oldest.cancel()

    def _get(self, shard: int, offset: int, size: int) -> Any:
        """Request a range of a shard."""
        reader = self._readers.get(shard)
        try:
            if reader is None:
                record = self._manifest.shards[shard]
                reader = self._readers.setdefault(shard, self._folder.open(record.path))
            content = reader.get(offset, offset + size)
            size_bytes = reader.find_size()
        except Unreadable as error:
            raise self._errors.unreadable(shard, error) from error
        expected = self._manifest.shards[shard].size_bytes
        if size_bytes != expected or len(content) != size:
            raise self._errors.unreadable(
                shard, ChangedFile(f"has {size_bytes} bytes, not {expected} as in the manifest")
            )
        return content

    def _open(self, shard: int, group: RowGroup) -> CachedFile | None:
        """A row group on this disk, None if it is not there."""
        if not group.looked_up:
            group.looked_up = True
            self._set_file(group, self._cache.open(self._key(shard, group), group.size_bytes))
        return group.file

    def _set_file(self, group: RowGroup, file: CachedFile | None) -> None:
        group.file = file
        if file is not None:
            self._open_groups.append(group)
        while len(self._open_groups) > _MAX_OPEN:
            self._open_groups.popleft().close()

    def _read_group(self, group: RowGroup, offset: int, out: NDArray[np.uint8], *, wait: bool = False) -> bool:
        """Read a page from the row group on this disk; False if it is not there."""
        if group.damage is not None:
            raise group.damage
        file, download = group.file, group.download
        if file is None and download is not None and (wait or download.done()):
            try:
                file = result(download)
            except LandmarkError:
                group.download = None
                raise
        return file is not None and file.read(offset - group.start, out.data)

    def _start_download(self, shard: int, group: RowGroup) -> None:
        """Download a row group, unless that was started, is too early, or not possible."""
        if group.requested_bytes < _GROUP_FRACTION * group.size_bytes or not self._cache.available:
            return
        with self._lock:
            if group.download is None:
                group.download = self._group_calls.submit(partial(_download, weakref.ref(self), shard, group))

    def _download(self, shard: int, group: RowGroup) -> CachedFile | None:
        self._page_calls.wait(_MAX_PAGE_WAIT_S)
        key = self._key(shard, group)
        file = self._cache.add(key, group.size_bytes, partial(self._write, shard, group))
        self._set_file(group, file)
        if file is None:  # later, perhaps
            group.download = None
        return file

    def _write(self, shard: int, group: RowGroup, path: Path) -> None:
        """Download a row group, once more if its pixels are not those of the index."""
        content = np.empty(group.size_bytes, np.uint8)
        for _ in range(2):
            for start in range(0, len(content), _PIECE_BYTES):
                piece = content[start : start + _PIECE_BYTES]
                piece[:] = np.frombuffer(self._get(shard, group.start + start, len(piece)), np.uint8)
            if (id := self._groups.find_damage(shard, group, content)) is None:
                with path.open("r+b") as file:
                    file.write(content.data)
                return
        group.damage = self._errors.damaged(shard, "is damaged: other pixels than those of the index", value=id)
        raise group.damage

    def _key(self, shard: int, group: RowGroup) -> str:
        return f"{self._manifest.shards[shard].sha256} {group.start}-{group.end}"


def _must_wait(group: RowGroup) -> bool:
    """Whether a page is to come with its row group, which is being downloaded."""
    download = group.download
    is_running = download is not None and not download.done()
    return is_running and group.n_single >= _MAX_SINGLE_FRACTION * group.pages.offsets.size


def _download(files: "weakref.ref[RemoteShardFiles]", shard: int, group: RowGroup) -> CachedFile | None:
    """Download a row group unless nobody will read it."""
    owner = files()
    return None if owner is None else owner._download(shard, group)
