"""Files that appear whole or not at all, and the lock that keeps a second build out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.errors import FolderLocked, InputError

# Small enough that who needs the rows of one shard does not read a continent's.
_GROUP_ROWS = 2**15


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` by one rename, its bytes on disk first, when the block ends well.

    The folder must stand: a worker that outlives its build must not make it anew.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what builds that were killed left half-written."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with appearing(path) as partial:
        partial.write_bytes(data)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole; the same table gives the same bytes."""
    with appearing(path) as partial:
        pq.write_table(table, partial, compression="zstd", compression_level=1, row_group_size=_GROUP_ROWS)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder against other builds. The kernel lets go when its owner dies, however it dies.

    The folder is made where it is missing, and removed again if nothing was put into it.

    Raises:
        FolderLocked: another process holds it.
        InputError: it cannot be made or written.
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
def _locked(path: Path) -> Iterator[None]:
    while True:
        with _made(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderLocked(
                    f"{path.parent}: another landmark command is at work there; wait for it or choose another --out"
                ) from error
            # Its last owner removes the file; a lock on a removed file keeps nobody out.
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                yield
                return


def _made(path: Path) -> IO[str]:
    for again in (True, True, False):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("w")
        except OSError as error:
            # Its last owner may have removed the empty folder between the two calls.
            if not (again and isinstance(error, FileNotFoundError)):
                raise InputError(f"--out {path.parent}: cannot be written: {error.strerror}") from error
    raise AssertionError


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
