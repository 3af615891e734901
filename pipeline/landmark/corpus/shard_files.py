"""Ranges of bytes of a corpus's shards."""

import os
import resource
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InvalidCorpus
from landmark.corpus.files import locate
from landmark.corpus.manifest import Export, Manifest, Shard
from landmark.corpus.tables import damaged, reporting_damage

_MAX_OPEN = 256
# Device, inode, size in bytes, and time of the last change in nanoseconds.
_Version = tuple[int, int, int, int]


class PageRange(NamedTuple):
    """A page in a shard, by the shard's number in the manifest."""

    shard: int
    offset: int
    size_bytes: int


class ShardFiles(Protocol):
    """Reads ranges of the shards of a manifest, by their number in it. Thread-safe.

    Attributes:
        location: Folder or URL of the corpus.
        remote: Whether reading takes long, so that pages should be announced.
    """

    location: str
    remote: bool

    def locate(self, file: Shard | Export) -> str:
        """Path or URL of a file of the manifest.

        Raises:
            GenerationReplaced: a newer generation has replaced it.
            InvalidCorpus: it is missing or has another size than recorded; a remote file is not looked at.
        """

    def read(self, shard: int, offset: int, out: NDArray[np.uint8]) -> None:
        """Fill an array with the bytes from an offset on.

        Raises:
            GenerationReplaced: a newer generation has replaced the shard.
            InvalidCorpus: the shard is missing, too short, or another file than before.
        """

    def check(self, shard: int) -> None:
        """Require that a shard is still the file that was read.

        Raises:
            GenerationReplaced: a newer generation has replaced it.
            InvalidCorpus: it is missing, or another file than before.
        """

    def prefetch(self, pages: Sequence[PageRange], *, soon: bool = True) -> None:
        """Start to read pages in the background, if `remote`.

        Args:
            pages: The pages, in the order in which they will be read.
            soon: Whether they are read next. Others only count towards what is read together with its neighbours.
        """

    def drop(self, shard: int, offset: int) -> bool:
        """Forget what is held of a damaged page; False where the next read would give the same bytes."""

    def damaged(self, shard: int, problem: str, *, value: str | None = None) -> InvalidCorpus:
        """The error of a damaged shard, or of a value in it."""

    def close(self) -> None:
        """Close what is open; the next read opens it again."""


class LocalShardFiles:
    """Shards in a folder. A shard that has been read must remain the same file.

    Files stay open, at most a quarter of what the process may open. Works in a forked process and, pickled, in any
    other.
    """

    remote = False

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.location, self._root, self._manifest = str(root), root, manifest
        self._opened: OrderedDict[int, _OpenFile] = OrderedDict()
        self._versions: dict[int, _Version] = {}
        self._max_open = max(1, min(_MAX_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalShardFiles, (self._root, self._manifest)

    def locate(self, file: Shard | Export) -> str:
        """Path of a file of the manifest, as `ShardFiles.locate`."""
        return str(locate(self._root, self._manifest, file))

    def read(self, shard: int, offset: int, out: NDArray[np.uint8]) -> None:
        """Fill an array with the bytes from an offset on, as `ShardFiles.read`."""
        file = self._opened.get(shard) or self._open(shard)
        try:
            count = os.preadv(file.descriptor, (out.data,), offset)
        except OSError as error:
            raise damaged(file.path, f"cannot be read: {error.strerror}") from error
        if count != out.nbytes:
            self.check(shard)
            raise damaged(file.path, f"is damaged: it ends before byte {offset + out.nbytes}")

    def check(self, shard: int) -> None:
        """Require that a shard is still the file that was read, as `ShardFiles.check`."""
        file = self._opened.get(shard) or self._open(shard)
        # Of the path: an open file outlives its replacement.
        if _version(file.name) != file.version:
            raise self._changed(shard)

    def prefetch(self, pages: Sequence[PageRange], *, soon: bool = True) -> None:
        """Nothing: the system reads ahead."""

    def drop(self, shard: int, offset: int) -> bool:
        """False: nothing is held."""
        return False

    def damaged(self, shard: int, problem: str, *, value: str | None = None) -> InvalidCorpus:
        """The error of a damaged shard, or of a value in it."""
        return damaged(self._root / self._manifest.shards[shard].path, problem, value=value)

    def close(self) -> None:
        """Close all files."""
        self._opened.clear()

    def _open(self, shard: int) -> "_OpenFile":
        # Without a lock, which a fork may leave locked: the operations of dictionaries are atomic, and of two threads
        # that open a shard at once, one has its file closed when it is done with it.
        path = locate(self._root, self._manifest, self._manifest.shards[shard])
        with reporting_damage(path):
            file = _OpenFile(path)
        if self._versions.setdefault(shard, file.version) != file.version:
            raise self._changed(shard)
        self._opened[shard] = file
        while len(self._opened) > self._max_open:
            with suppress(KeyError):
                self._opened.popitem(last=False)
        return file

    def _changed(self, shard: int) -> InvalidCorpus:
        """The error of a shard that is another file than before; raises that of a replaced generation."""
        path = locate(self._root, self._manifest, self._manifest.shards[shard])
        return damaged(path, "has changed since it was opened")


class _OpenFile:
    """A file that is closed when nothing refers to it any more: a thread may still read what others replace."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor).atexit = False
        self.version = _status_version(os.fstat(self.descriptor))


def _version(path: str) -> _Version | None:
    """Version of the file a path leads to; None if there is none."""
    try:
        return _status_version(os.stat(path))  # noqa: PTH116 (twice as fast as of a Path)
    except OSError:
        return None


def _status_version(status: os.stat_result) -> _Version:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
