"""Open a corpus below a URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmark.core.errors import InputError, InvalidCorpus
from landmark.core.ranges.errors import Unreadable
from landmark.core.ranges.remote_folder import RemoteFolder
from landmark.corpus.index import Index, open_index
from landmark.corpus.manifest import Manifest, read_manifest
from landmark.corpus.remote_errors import UPLOAD_REMEDY, unreadable
from landmark.corpus.remote_files import MANIFEST_FILE, fetch_index, fetch_manifest
from landmark.corpus.remote_shards import RemoteShardFiles
from landmark.corpus.tables import INDEX_FILE


def open_remote(url: str) -> tuple[Path, Manifest, Index, RemoteShardFiles]:
    """Open a corpus below the user's own URL: two requests, or one where its index is in the cache.

    Returns:
        The folder on this disk with manifest and index, these, and the shards.

    Raises:
        InputError: not a URL of a corpus, or the cache cannot be written.
        InvalidCorpus: manifest or index is missing, refused, damaged, or of another corpus.
    """
    folder = RemoteFolder.parse(url)
    with _reporting(folder, MANIFEST_FILE):
        documents = fetch_manifest(folder)
        manifest = read_manifest(documents.root)
    with _reporting(folder, INDEX_FILE):
        index = _open_index(folder, documents.root, manifest)
    return documents.root, manifest, index, RemoteShardFiles(folder, manifest, index, documents)


def _open_index(folder: RemoteFolder, root: Path, manifest: Manifest) -> Index:
    # A file that this disk damaged is downloaded once more.
    for _ in range(2):
        fetch_index(folder, root)
        if (index := open_index(root, manifest)) is not None:
            return index
        (root / INDEX_FILE).unlink(missing_ok=True)
    raise InvalidCorpus("is damaged, or of another corpus", remedy=UPLOAD_REMEDY)


@contextmanager
def _reporting(folder: RemoteFolder, path: str) -> Iterator[None]:
    """Report what is wrong with a file by its URL."""
    try:
        yield
    except Unreadable as error:
        raise unreadable(folder, path, error) from error
    except InvalidCorpus as error:
        error.file, error.remedy = folder.href(path), UPLOAD_REMEDY
        raise
    except OSError as error:
        remedy = "free space, or name another folder in LANDMARK_CACHE"
        raise InputError(
            f"cannot be kept on this disk: {error.strerror}", file=folder.href(path), remedy=remedy
        ) from error
