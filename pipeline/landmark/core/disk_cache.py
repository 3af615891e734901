"""A bounded folder of files by key, shared by the processes of a machine."""

import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from landmark.core.errors import InputError
from landmark.core.timeouts import TIMEOUT_S

_log = logging.getLogger(__name__)

_DEFAULT_GB = 20.0
# Files of processes that were killed are deleted after so long.
_MAX_PARTIAL_AGE_S = 3600
# The folder is listed again after files of this part of its bound were added.
_LIST_FRACTION = 1 / 32
_WAIT_S = 0.02
# After a failure to write, nothing is added for so long.
_PAUSE_S = 60


def cache_folder() -> Path:
    """The user's folder of caches: `LANDMARK_CACHE`, or the system's."""
    return Path(os.environ.get("LANDMARK_CACHE") or platformdirs.user_cache_path("landmark"))


def cache_bytes() -> int:
    """Bound of the cache of downloads: `LANDMARK_CACHE_GB`, 20 by default; 0 for none.

    Raises:
        InputError: it is no number from 0 on.
    """
    text = os.environ.get("LANDMARK_CACHE_GB") or f"{_DEFAULT_GB:g}"
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1
    if not 0 <= gigabytes < 10**6:
        remedy = "give the gigabytes that downloads may occupy, or unset it"
        raise InputError("not a number from 0 on", key="LANDMARK_CACHE_GB", value=text, remedy=remedy)
    return int(gigabytes * 1e9)


@contextmanager
def unsynced_path(path: Path) -> Iterator[Path]:
    """Provide the path of an empty file, renamed to `path` if the block ends without an error; not flushed to the disk.

    For files that are made again if a power loss damages them: whoever reads one must notice.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        partial.touch(exist_ok=False)
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class CachedFile:
    """An open file of a cache; it is read also after another process has deleted it. Closed with the object."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        self.size_bytes = os.fstat(self._handle).st_size

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def read(self, offset: int, out: memoryview) -> bool:
        """Fill `out` with the bytes from `offset` on; False where the file ends before."""
        return os.preadv(self._handle, [out], offset) == len(out)


class DiskCache:
    """Files that can be made again, of at most so many bytes together: the longest unused ones are deleted.

    Thread-safe. Where the folder cannot be written, as on a full disk, nothing is kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        self._added_bytes = self._max_bytes  # the folder has not been listed
        self._paused_until_s = 0.0

    @property
    def available(self) -> bool:
        """Whether files are added now."""
        return self._max_bytes > 0 and time.monotonic() >= self._paused_until_s

    def open(self, key: str, size_bytes: int) -> CachedFile | None:
        """The file of a key, if it is there with this size."""
        path = self._path(key)
        try:
            file = CachedFile(path)
            if file.size_bytes == size_bytes:
                os.utime(path)
                return file
        except OSError:
            return None
        return None

    def add(self, key: str, size_bytes: int, write: Callable[[Path], None]) -> CachedFile | None:
        """The file of a key, which `write` makes unless another process does; None where it cannot be kept.

        What `write` raises is raised, but for errors of the disk.
        """
        if size_bytes > self._max_bytes or not self.available:
            return None
        path = self._path(key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked(path.name):
                if (file := self.open(key, size_bytes)) is not None:
                    return file
                self._make_room(size_bytes)
                with unsynced_path(path) as partial:
                    _reserve(partial, size_bytes)
                    write(partial)
                return self.open(key, size_bytes)
        except TimeoutError:
            return None
        except (OSError, InputError) as error:
            self._paused_until_s = time.monotonic() + _PAUSE_S
            _log.warning("%s: cannot keep downloads: %s", self._folder, error)
            return None

    def delete(self, key: str) -> None:
        """Delete the file of a key, if there is one."""
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold the lock of some keys, which the kernel releases if this process dies.

        Raises:
            TimeoutError: another process holds it for too long.
        """
        end_s = time.monotonic() + TIMEOUT_S
        with (self._folder / f"{name[:2]}.lock").open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end_s:
                        raise TimeoutError("another process is downloading") from None
                    time.sleep(_WAIT_S)
            yield

    def _make_room(self, size_bytes: int) -> None:
        with self._lock:
            self._added_bytes += size_bytes
            if self._added_bytes < self._max_bytes * _LIST_FRACTION:
                return
            files = sorted(_list_files(self._folder), reverse=True)
            # Room for all that is added before the next listing.
            room = self._max_bytes * (1 - _LIST_FRACTION) - size_bytes
            for _, size, path in files:
                room -= size
                if room < 0:
                    path.unlink(missing_ok=True)
            self._added_bytes = 0


def _reserve(path: Path, size_bytes: int) -> None:
    """Occupy the space of a file, so that a full disk shows before the download."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.posix_fallocate(handle, 0, size_bytes)
    finally:
        os.close(handle)


def _list_files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time of last use, size and path of the files of a cache; deletes what killed processes left."""
    now_s = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if entry.name.endswith(".partial") and now_s - status.st_mtime > _MAX_PARTIAL_AGE_S:
                    Path(entry.path).unlink()
                elif not entry.name.startswith(".") and not entry.name.endswith(".lock"):
                    yield status.st_mtime, status.st_size, Path(entry.path)
