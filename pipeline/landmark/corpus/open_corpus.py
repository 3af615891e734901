"""Open a sealed corpus."""

import os
from pathlib import Path

import numpy as np

from landmark.core.errors import InvalidCorpus
from landmark.core.hosts import is_url
from landmark.corpus.chips import ChipReader
from landmark.corpus.index import Index, open_index
from landmark.corpus.manifest import Manifest, read_manifest
from landmark.corpus.reader import Corpus, CorpusSource
from landmark.corpus.shard_files import LocalShardFiles, ShardFiles
from landmark.corpus.tables import INDEX_FILE


def open_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Open a sealed corpus.

    Args:
        path: Folder of the corpus, or its URL: https://, http://, s3://, az:// or gs://.

    Raises:
        InvalidCorpus: manifest or index is missing, damaged, or of another corpus; or a URL cannot be read.
        InputError: not the URL of a corpus, or its manifest and index cannot be kept on this disk.
    """
    if is_url(os.fspath(path)):
        # Imported here: corpora on this machine need no library of requests.
        from landmark.corpus.remote import open_remote

        return _open(*open_remote(os.fspath(path)))
    root = Path(path)
    manifest = read_manifest(root)
    index = open_index(root, manifest)
    if index is None:
        raise InvalidCorpus(
            "is missing, damaged, or of another corpus",
            file=root / INDEX_FILE,
            remedy="run `landmark build`, which rewrites it",
        )
    return _open(root, manifest, index, LocalShardFiles(root, manifest))


def _open(root: Path, manifest: Manifest, index: Index, files: ShardFiles) -> Corpus:
    chips = ChipReader(root, manifest, index, files)
    return Corpus(CorpusSource(root, manifest, index, chips), np.arange(index.n_rows))
