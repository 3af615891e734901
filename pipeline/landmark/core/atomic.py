"""Atomic file writes, and a lock on output folders."""

import datetime as dt
import fcntl
import hashlib
import io
import os
import platform
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.errors import FolderLocked, InputError

# Small row groups, so that reading the rows of one shard does not read the entire table.
_ROW_GROUP_SIZE = 2**15


# Bytes of a growing file after which a thread flushes it.
_FLUSH_BYTES = 2**25


@contextmanager
def atomic_path(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Provide a temporary path; flush and rename it to `path` if the block ends without an error.

    The folder must exist: a worker that outlives its build must not create it again.

    Args:
        path: The file.
        flush: False where whoever reads the file compares its content with a digest: after a power loss, it may have
            its name and any content.

    Raises:
        InputError: the path is a folder.
    """
    if path.is_dir() and not path.is_symlink():
        raise InputError("is a folder, not a file", file=path, remedy="delete it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _create(partial)
    try:
        yield partial
        if flush:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
        if flush:
            _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _create(partial: Path) -> None:
    """Create an empty file in place of anything of its name: writing would follow a link that somebody put there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        handle = os.open(partial, flags, 0o666)
    except FileExistsError:
        partial.unlink()
        handle = os.open(partial, flags, 0o666)
    os.close(handle)


class HashedFile(io.RawIOBase):
    """Write-only binary file that counts and hashes the bytes written.

    A thread flushes what is written while more is, so that the disk does not wait for the end of the file.
    """

    def __init__(self, file: IO[bytes], thread: ThreadPoolExecutor) -> None:
        self._file, self._digest, self.size_bytes = file, hashlib.sha256(), 0
        self._thread, self._flushed_bytes = thread, 0
        self._flushing: Future[None] | None = None

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Any, /) -> int:
        """Append bytes."""
        self._digest.update(data)
        size = self._file.write(data)
        self.size_bytes += size
        if self.size_bytes - self._flushed_bytes >= _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            self.await_flush()
            self._flushed_bytes = self.size_bytes
            self._flushing = self._thread.submit(os.fsync, self._file.fileno())
        return size

    def await_flush(self) -> None:
        """Wait for the thread.

        Raises:
            OSError: the disk refused what was written.
        """
        if self._flushing is not None:
            self._flushing.result()

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size_bytes

    def flush(self) -> None:
        """Flush buffered bytes to the operating system."""
        if not self._file.closed:
            self._file.flush()

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes written so far."""
        return self._digest.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[HashedFile]:
    """Provide a file that is hashed while written, and renamed to `path` if the block ends without an error."""
    with (
        atomic_path(path) as partial,
        partial.open("wb") as file,
        ThreadPoolExecutor(1, thread_name_prefix="flush") as thread,
    ):
        hashed = HashedFile(file, thread)
        yield hashed
        hashed.await_flush()


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, unless they exist, and flush their names, which a power loss would undo."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync_folder(path.parent)


def remove_partials(folder: Path) -> None:
    """Remove temporary files of processes that were killed."""
    for partial in folder.glob(".*.partial"):
        if partial.is_symlink() or not partial.is_dir():
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, atomically; equal tables give equal bytes."""
    with atomic_path(path) as partial:
        pq.write_table(table, partial, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP_SIZE)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other landmark processes. The kernel releases the lock if this process dies.

    A missing folder is created, and removed on exit if it is empty.

    Raises:
        FolderLocked: another process has locked it.
        InputError: it cannot be created or written.
    """
    lock = folder / ".landmark.lock"
    with _locked(lock):
        try:
            yield
        finally:
            lock.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def wait_for_lock(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Lock a file that stays; where another process holds it, report that process and wait."""
    with _open_regular(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(_read_owner(file))
            fcntl.flock(file, fcntl.LOCK_EX)
        _write_owner(file)
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        with _open_lock(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderLocked(
                    f"another landmark command is using the folder: {_read_owner(file)}",
                    file=path.parent,
                    remedy="wait for it or choose another --out",
                ) from error
            # The last owner may have removed the file in the meantime, and a lock on a removed file has no effect.
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                _write_owner(file)
                yield
                return


def _write_owner(file: IO[str]) -> None:
    """Name this process in the file it has locked, for others that want the lock."""
    file.truncate(0)
    with suppress(OSError):  # a full disk, which the work itself will report
        file.write(f"process {os.getpid()} on {platform.node()}, since {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}")
        file.flush()


def _read_owner(file: IO[str]) -> str:
    file.seek(0)
    return file.read() or "a process that has just started"


def _open_lock(path: Path) -> IO[str]:
    for may_retry in (True, True, False):
        try:
            make_folders(path.parent)
            return _open_regular(path)
        except OSError as error:
            # The last owner may have removed the empty folder between the two calls.
            if not (may_retry and isinstance(error, FileNotFoundError)):
                raise InputError(f"cannot be written: {error.strerror}", file=path.parent) from error
    raise AssertionError


def _open_regular(path: Path) -> IO[str]:
    """Open a lock file; its name must lead to no other file, as a link would, whose contents the owner would replace.

    Raises:
        InputError: it is a link, has other names, or is no file.
    """
    if path.is_symlink() or path.is_dir():
        raise InputError("is a link or a folder", file=path, remedy="delete it")
    # A pipe would wait for a reader.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o666)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise InputError("is not a file of its own", file=path, remedy="delete it")
    return os.fdopen(handle, "a+")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
