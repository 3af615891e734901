"""A resumable map over tasks that write one file each.

Every job that resumes after an interruption uses a `Journal`: packing shards, exporting, recaptioning. A finished task
leaves an entry with its file's path, size and SHA-256, which are taken while the file is written. On resume the size of
every file is compared. Files that the job itself reads next are compared by SHA-256 as well (`reread`); the others are
compared by `landmark check`.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from landmark.core.atomic import remove_partials, write_bytes
from landmark.core.errors import LandmarkError
from landmark.core.executor import TaskMap, WorkerLost
from landmark.core.hashing import file_sha256

_FOLDER = "journal"


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
        self._job = corpus / _FOLDER / job
        self._folder = self._job / key

    def run(
        self,
        function: Callable[[Any], Entry],
        paths: Sequence[str],
        tasks: Callable[[Sequence[str]], Iterable[OutputTask]],
        map_tasks: TaskMap[Any, Entry],
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
        for task, result in map_tasks(function, tasks([path for path in paths if path not in entries])):
            if isinstance(result, WorkerLost):
                raise self._failed(
                    f"could not be written: {result.detail}", file=task.path, remedy="run again to resume"
                )
            write_bytes(self._note(task.path), result.model_dump_json().encode())
            entries[task.path] = result
            progress(len(entries), len(paths))
        return entries

    def clear_folder(self, folder: Path) -> None:
        """Make an output folder and delete every file in it that no entry names."""
        self._open()
        folder.mkdir(parents=True, exist_ok=True)
        remove_partials(folder)
        for path in folder.iterdir():
            if not self._note(path.relative_to(self._corpus).as_posix()).is_file():
                path.unlink()

    def close(self) -> None:
        """Forget the job, once its outputs are named by the manifest."""
        discard(self._corpus, self._job.name)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_partials(self._folder)
        for stale in set(self._job.iterdir()) - {self._folder}:
            shutil.rmtree(stale)

    def _valid(self, path: str) -> Entry | None:
        note, output = self._note(path), self._corpus / path
        try:
            entry = self._model.model_validate_json(note.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return entry if matches(output, entry, hashed=self._reread) else None

    def _note(self, path: str) -> Path:
        return self._folder / f"{PurePosixPath(path).name}.json"


def matches(path: Path, recorded: Any, *, hashed: bool) -> bool:
    """Whether a file is as recorded (an `OutputFile`): by its size, and by its SHA-256 where `hashed`."""
    if not path.is_file() or path.stat().st_size != recorded.size_bytes:
        return False
    return not hashed or file_sha256(path) == recorded.sha256


def discard(corpus: Path, job: str) -> None:
    """Delete the journal of a job, if there is one."""
    shutil.rmtree(corpus / _FOLDER / job, ignore_errors=True)
    if (corpus / _FOLDER).is_dir() and not any((corpus / _FOLDER).iterdir()):
        (corpus / _FOLDER).rmdir()
