"""Journal: which outputs of an interrupted job are used again."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from landmark.core.atomic import atomic_file
from landmark.core.errors import SealingFailed
from landmark.core.executor import WorkerLost
from landmark.core.journal import Journal, discard


class Entry(BaseModel):
    path: str
    size_bytes: int
    sha256: str


class Task(BaseModel):
    corpus: Path
    path: str


def write(task: Task) -> Entry:
    with atomic_file(task.corpus / task.path) as file:
        file.write(task.path.encode())
    return Entry(path=task.path, size_bytes=file.size_bytes, sha256=file.sha256)


PATHS = ["out/a", "out/b", "out/c"]


def serial(function: Callable[[Any], Any], tasks: Iterable[Any], *, threads: int = 1) -> Iterator[tuple[Any, Any]]:
    for task in tasks:
        yield task, function(task)


def run(corpus: Path, *, key: str = "key", reread: bool = False, map_tasks: Any = serial) -> list[str]:
    """Run a job of three tasks; return the paths that were written."""
    (corpus / "out").mkdir(exist_ok=True)
    written: list[str] = []

    def tasks(pending: Iterable[str]) -> list[Task]:
        written.extend(pending)
        return [Task(corpus=corpus, path=path) for path in written]

    journal = Journal(corpus, "job", key, Entry, failed=SealingFailed, reread=reread)
    entries = journal.run(write, PATHS, tasks, map_tasks, lambda done, total: None)
    assert {entry.path for entry in entries.values()} == set(PATHS)
    return written


def test_finished_tasks_are_not_run_again(tmp_path: Path) -> None:
    assert run(tmp_path) == PATHS
    assert run(tmp_path) == []


def test_interrupted_job_resumes_with_the_tasks_that_are_left(tmp_path: Path) -> None:
    def killed(function: Callable[[Any], Any], tasks: Iterable[Any], *, threads: int = 1) -> Iterator[tuple[Any, Any]]:
        for number, task in enumerate(tasks):
            if number == 2:
                raise KeyboardInterrupt
            yield task, function(task)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, map_tasks=killed)
    assert run(tmp_path) == ["out/c"]


@pytest.mark.parametrize(
    ("damage", "reread", "rewritten"),
    [
        (lambda path: path.unlink(), False, True),
        (lambda path: path.write_bytes(b"shorter"[:2]), False, True),
        (lambda path: path.write_bytes(b"out/x"), False, False),
        (lambda path: path.write_bytes(b"out/x"), True, True),
    ],
    ids=["missing", "other size", "same size, not reread", "same size, reread"],
)
def test_damaged_output_is_written_again(
    tmp_path: Path, damage: Callable[[Path], object], reread: bool, rewritten: bool
) -> None:
    run(tmp_path)
    damage(tmp_path / "out/b")
    assert run(tmp_path, reread=reread) == (["out/b"] if rewritten else [])


def test_damaged_entry_counts_as_missing(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "journal/job/key/b.json").write_text("{")
    assert run(tmp_path) == ["out/b"]


def test_another_key_discards_all_entries(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, key="other") == PATHS
    assert [path.name for path in (tmp_path / "journal/job").iterdir()] == ["other"]


def test_lost_worker_raises_the_error_of_the_job(tmp_path: Path) -> None:
    def lost(function: Callable[[Any], Any], tasks: Iterable[Any], *, threads: int = 1) -> Iterator[tuple[Any, Any]]:
        yield from ((task, WorkerLost("killed")) for task in tasks)

    with pytest.raises(SealingFailed) as caught:
        run(tmp_path, map_tasks=lost)
    assert caught.value.file == "out/a"
    assert run(tmp_path) == PATHS


def test_files_of_killed_workers_are_removed(tmp_path: Path) -> None:
    def retried(function: Callable[[Any], Any], tasks: Iterable[Any], *, threads: int = 1) -> Iterator[tuple[Any, Any]]:
        (tmp_path / "out/.a.4711.partial").touch()
        yield from serial(function, tasks)

    run(tmp_path, map_tasks=retried)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b", "c"]


def test_clearing_a_folder_keeps_finished_outputs_only(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "out/foreign").touch()
    journal = Journal(tmp_path, "job", "key", Entry, failed=SealingFailed, reread=False)
    journal.clear_folder("out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b", "c"]


def test_discarding_leaves_no_folder(tmp_path: Path) -> None:
    run(tmp_path)
    discard(tmp_path, "job")
    assert not (tmp_path / "journal").exists()
