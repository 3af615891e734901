"""Manifest and index of a corpus below a URL: downloaded into the user's cache, and read there."""

import hashlib
import os
import shutil
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from landmark.core.atomic import wait_for_lock
from landmark.core.disk_cache import cache_folder, unsynced_path
from landmark.core.errors import InputError
from landmark.core.hashing import digest
from landmark.core.limits import DOWNLOAD_BYTES, JSON_BYTES
from landmark.core.ranges.errors import Unreadable
from landmark.core.ranges.remote_folder import RemoteFolder
from landmark.corpus.tables import INDEX_FILE

MANIFEST_FILE = "corpus.json"

_FIRST_BYTES, _PIECE_BYTES, _PIECES = 2**20, 2**22, 8
# Folders of documents that stay in the cache.
_MAX_FOLDERS = 64


class Documents(NamedTuple):
    """A folder with the manifest and, once it is downloaded, the index of a remote corpus.

    Attributes:
        root: The folder.
        owner: Kept while the folder is needed: a temporary one is deleted with it.
    """

    root: Path
    owner: Any = None


def read_bytes(folder: RemoteFolder, path: str, max_bytes: int = JSON_BYTES) -> bytes:
    """Read a file.

    Raises:
        Unreadable: missing, refused, too large, or its server does not answer.
    """
    reader = folder.open(path)
    first = bytes(reader.get(0, _FIRST_BYTES))
    if len(first) < _FIRST_BYTES:
        return first
    size = reader.find_size() or 0
    if size > max_bytes:
        raise Unreadable(f"has {size} bytes, more than {max_bytes}")
    return first + bytes(reader.get(_FIRST_BYTES, size))


def fetch_manifest(folder: RemoteFolder) -> Documents:
    """Download the manifest into a folder of its own, by URL and content.

    Raises:
        Unreadable: as `read_bytes`.
    """
    content = read_bytes(folder, MANIFEST_FILE)
    name = digest([folder.url, hashlib.sha256(content).hexdigest()])
    try:
        return Documents(_write_manifest(cache_folder() / "corpora" / name, content))
    except (OSError, InputError):
        root = Path(tempfile.mkdtemp(prefix="landmark-"))
        owner = _Owner()
        weakref.finalize(owner, shutil.rmtree, root, ignore_errors=True)
        return Documents(_write_manifest(root, content), owner)


def fetch_index(folder: RemoteFolder, root: Path) -> None:
    """Download the index into the folder of the manifest, unless it is there; processes wait for each other.

    Raises:
        Unreadable: as `read_bytes`.
    """
    path = root / INDEX_FILE
    if path.exists():
        return
    with wait_for_lock(root / ".lock", lambda _: None):
        if not path.exists():
            with unsynced_path(path) as partial:
                _download(folder, INDEX_FILE, partial)


class _Owner:
    pass


def _write_manifest(root: Path, content: bytes) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    path = root / MANIFEST_FILE
    if not path.exists() or path.read_bytes() != content:
        with unsynced_path(path) as partial:
            partial.write_bytes(content)
        _delete_oldest(root.parent)
    os.utime(root)
    return root


def _delete_oldest(folder: Path) -> None:
    """Delete the documents that were not used for longest."""
    if folder.name != "corpora":
        return
    with suppress(OSError):
        folders = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in folders[:-_MAX_FOLDERS]:
            shutil.rmtree(path, ignore_errors=True)


def _download(folder: RemoteFolder, path: str, target: Path) -> None:
    reader = folder.open(path)
    first = reader.get(0, _FIRST_BYTES)
    with target.open("r+b", buffering=0) as file:
        file.write(first)
        if len(first) < _FIRST_BYTES:
            return
        size = reader.find_size() or 0
        if size > DOWNLOAD_BYTES:
            raise Unreadable(f"has {size} bytes, more than {DOWNLOAD_BYTES}")

        def copy(start: int) -> None:
            content = memoryview(reader.get(start, min(start + _PIECE_BYTES, size)))
            os.pwrite(file.fileno(), content, start)

        with ThreadPoolExecutor(_PIECES) as threads:
            list(threads.map(copy, range(_FIRST_BYTES, size, _PIECE_BYTES)))
