"""Errors of corpora below a URL: they name the file by its URL, without a token."""

from pydantic import ValidationError

from landmark.core.errors import GenerationReplaced, InvalidCorpus, LandmarkError
from landmark.core.ranges.errors import ChangedFile, Unreadable
from landmark.core.ranges.remote_folder import RemoteFolder
from landmark.corpus.manifest import Manifest, Shard
from landmark.corpus.remote_files import MANIFEST_FILE, read_bytes

UPLOAD_REMEDY = "upload the corpus again from where it was sealed"
_ACCESS_REMEDY = "check the URL, the network and your credentials"


def unreadable(folder: RemoteFolder, path: str, error: Unreadable) -> InvalidCorpus:
    """The error of a file that cannot be requested."""
    return InvalidCorpus(f"cannot be read: {error}", file=folder.href(path), remedy=_ACCESS_REMEDY)


class RemoteErrors:
    """Errors of the shards of a manifest that was read earlier."""

    def __init__(self, folder: RemoteFolder, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest

    def damaged(self, shard: int, problem: str, *, value: str | None = None) -> InvalidCorpus:
        """The error of a damaged shard."""
        path = self._manifest.shards[shard].path
        return InvalidCorpus(problem, file=self._folder.href(path), value=value, remedy=UPLOAD_REMEDY)

    def unreadable(self, shard: int, error: Unreadable) -> LandmarkError:
        """The error of a shard that cannot be requested, or is another file than before."""
        record = self._manifest.shards[shard]
        path = record.path
        if self._is_replaced(record):
            problem = f"{path} was replaced by a newer generation"
            return GenerationReplaced(problem, file=self._folder.url, remedy="open the corpus again")
        if isinstance(error, ChangedFile):
            return InvalidCorpus(str(error), file=self._folder.href(path), remedy=UPLOAD_REMEDY)
        return unreadable(self._folder, path, error)

    def _is_replaced(self, shard: Shard) -> bool:
        try:
            current = Manifest.model_validate_json(read_bytes(self._folder, MANIFEST_FILE))
        except (Unreadable, ValidationError):
            return False
        return shard not in current.shards
