"""A resumable map over tasks that write one file each.

Every job that resumes after an interruption uses a `Journal`: packing shards, exporting, recaptioning. A finished task
leaves an entry with its file's path, size and SHA-256, which are taken while the file is written. On resume the size of
every file is compared. Files that the job itself reads next are compared by SHA-256 as well (`reread`); the others are
compared by `landmark check`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from landmark.core.atomic import remove_partials, write_bytes
from landmark.core.corpus_paths import (
    delete_contents,
    delete_empty_folder,
    delete_folder,
    make_folder,
    readable,
    writable,
)
from landmark.core.errors import LandmarkError
from landmark.core.executor import TaskMap, WorkerLost
from landmark.core.hashing import file_sha256

_FOLDER = "journal"
# A task that writes a file compresses and hashes most of its time, which another thread can use.
_THREADS = 2


class OutputFile(Protocol):
    """Record of the file a task wrote; `path` is relative to the corpus."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def size_bytes(self) -> int: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102


class OutputTask(Protocol):
    """A task that writes the file `path`, relative to the corpus."""

    @property
    def path(self) -> str: ...  # noqa: D102


Entry = TypeVar("Entry", bound=BaseModel)


class Journal(Generic[Entry]):
    """The finished tasks of one job in a corpus folder.

    Args:
        corpus: The corpus folder.
        job: Kind of job; one job of a kind is remembered.
        key: Digest of everything the outputs follow from: entries of another key are discarded.
        model: Type of the entries: a model with the fields of `OutputFile`.
        failed: Error raised where a worker died on a task.
        reread: The job reads the files of an earlier run itself: compare their SHA-256, too.
    """

    def __init__(
        self, corpus: Path, job: str, key: str, model: type[Entry], *, failed: type[LandmarkError], reread: bool
    ) -> None:
        self._corpus, self._model, self._failed, self._reread = corpus, model, failed, reread
        self._job = f"{_FOLDER}/{job}"
        self._folder = f"{self._job}/{key}"

    def run(
        self,
        function: Callable[[Any], Entry],
        paths: Sequence[str],
        tasks: Callable[[Sequence[str]], Iterable[OutputTask]],
        map_tasks: TaskMap,
        progress: Callable[[int, int], None],
    ) -> Mapping[str, Entry]:
        """Run the tasks that have no valid entry, and return the entries of all by path.

        Args:
            function: Writes a task's file atomically; runs in a worker.
            paths: Files of all tasks, relative to the corpus.
            tasks: Makes the tasks of some paths.
            map_tasks: Where they run.
            progress: Receives (done, total).
        """
        self._open()
        entries = {path: entry for path in paths if (entry := self._valid(path)) is not None}
        pending = tasks([path for path in paths if path not in entries])
        for task, result in map_tasks(function, pending, threads=_THREADS):
            if isinstance(result, WorkerLost):
                raise self._failed(
                    f"could not be written: {result.detail}", file=task.path, remedy="run again to resume"
                )
            write_bytes(writable(self._corpus, self._note(task.path)), result.model_dump_json().encode())
            entries[task.path] = result
            progress(len(entries), len(paths))
        # Workers that were killed while they wrote, whose tasks others have completed.
        for folder in {(self._corpus / path).parent for path in paths}:
            remove_partials(folder)
        return entries

    def clear_folder(self, folder: str) -> None:
        """Make an output folder, relative to the corpus, and delete everything in it that no entry names.

        Raises:
            InvalidCorpus: it is outside, or one of the folders is a link.
        """
        self._open()
        make_folder(self._corpus, folder)
        entries = {note.stem for note in (self._corpus / self._folder).iterdir()}
        delete_contents(self._corpus, folder, keep=entries)

    def close(self) -> None:
        """Forget the job, once its outputs are named by the manifest."""
        discard(self._corpus, PurePosixPath(self._job).name)

    def _open(self) -> None:
        folder = make_folder(self._corpus, self._folder)
        remove_partials(folder)
        delete_contents(self._corpus, self._job, keep=[folder.name])

    def _valid(self, path: str) -> Entry | None:
        try:
            entry: Any = self._model.model_validate_json(readable(self._corpus, self._note(path)).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        # An entry of another path would name a file that this job has not written.
        is_valid = entry.path == path and matches(self._corpus, entry, hashed=self._reread)
        return entry if is_valid else None

    def _note(self, path: str) -> str:
        return f"{self._folder}/{PurePosixPath(path).name}.json"


def matches(root: Path, recorded: OutputFile, *, hashed: bool) -> bool:
    """Whether a file below a folder is as recorded: by its size, and by its SHA-256 where `hashed`.

    Raises:
        InvalidCorpus: its path is outside, or leads through a link to a folder.
    """
    path = readable(root, recorded.path)
    if not path.is_file() or path.stat().st_size != recorded.size_bytes:
        return False
    return not hashed or file_sha256(path) == recorded.sha256


def is_open(corpus: Path, job: str) -> bool:
    """Whether a job was started and not completed."""
    return (corpus / _FOLDER / job).is_dir()


def discard(corpus: Path, job: str) -> None:
    """Delete the journal of a job, if there is one.

    Raises:
        InvalidCorpus: its folder is a link.
    """
    delete_folder(corpus, f"{_FOLDER}/{job}")
    delete_empty_folder(corpus, _FOLDER)
