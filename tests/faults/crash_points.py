"""Durable calls of a command counted, and a process killed right before or right after a chosen one.

Durable calls change what a folder holds after a crash: flushes, renames, deletions and new folders. Arrow, GDAL and
safetensors write through `atomic_path` only, so that the calls of Python's `os` are all of them; `Recording.writes`
lists whatever opened another file.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

When = Literal["before", "after"]
Watch = Callable[["Call", When], None]

# Functions of `os`, by the number of paths they take.
DURABLE = {
    "fsync": 1,
    "rename": 2,
    "replace": 2,
    "link": 2,
    "symlink": 2,
    "unlink": 1,
    "remove": 1,
    "rmdir": 1,
    "mkdir": 1,
    "truncate": 1,
}
# What children import before they are forked, so that a command starts at once.
_PRELOAD = [
    "geopandas",
    "landmark.cli.main",
    "landmark.quality.check",
    "landmark.train.loop",
    "landmark.workflow.build",
    "landmark.workflow.recaption",
    "pyarrow.dataset",
    "pytest",
    "scipy.optimize",
    "torch._dynamo",
]


@dataclass(frozen=True, slots=True)
class Call:
    """A durable call: the function of `os`, its path, the new path of a rename, and the thread that made it."""

    name: str
    path: Path
    target: Path | None = None
    thread: int = 0


@dataclass(slots=True)
class Recording:
    """Durable calls of a command in their order, and files it opened for writing or left by another way."""

    calls: list[Call] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Number of the last durable call; `before` it or `after` it the process dies."""

    number: int
    when: When


def crash_points(count: int) -> list[CrashPoint]:
    """Both sides of each of `count` durable calls."""
    return [CrashPoint(number, when) for number in range(count) for when in ("before", "after")]


@contextlib.contextmanager
def watched(folder: Path, watch: Watch) -> Iterator[None]:
    """Call `watch` before and after each durable call of this process on the folder or below it."""
    originals = {name: getattr(os, name) for name in DURABLE}
    for name, function in originals.items():
        setattr(os, name, _watching(name, function, folder, watch))
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(os, name, function)


def stop_at(point: CrashPoint, die: Callable[[], Any]) -> Watch:
    """A watch that calls `die` at a crash point."""
    number, lock = -1, threading.Lock()

    def watch(_: Call, when: When) -> None:
        nonlocal number
        with lock:
            number += when == "before"
            # Also where a handler of `Killed` goes on.
            is_over = (number, when == "after") >= (point.number, point.when == "after")
        if is_over:
            die()

    return watch


class Killed(BaseException):
    """The process behaves as if it had died: no durable call has an effect any more."""


@contextlib.contextmanager
def killed_at(folder: Path, point: CrashPoint | None) -> Iterator[None]:
    """Raise `Killed` at a crash point, and at every later durable call on the folder."""

    def die() -> None:
        raise Killed

    if point is None:
        yield
        return
    with watched(folder, stop_at(point, die)):
        yield


def run_command(arguments: list[str], folder: Path, log: Path, point: CrashPoint | None = None) -> int:
    """Run a `landmark` command in a child process and return its exit code, -9 if it died at the crash point."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    process = context.Process(target=_command, args=(arguments, folder, log, point))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def record_command(arguments: list[str], folder: Path, log: Path) -> Recording:
    """Run a `landmark` command in a child process and return what it did to the folder."""
    code = run_command(arguments, folder, log)
    assert code == 0, log.read_text()
    recording: Recording = pickle.loads(log.with_suffix(".pickle").read_bytes())
    return recording


def _command(arguments: list[str], folder: Path, log: Path, point: CrashPoint | None) -> None:
    from landmark.cli.main import main

    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if arguments[0] == "train":
        import torch

        torch.set_num_threads(1)
    sys.argv = ["landmark", *arguments]
    if point is not None:
        with watched(folder, stop_at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))):
            main()
        return
    recording = Recording()
    with _recorded(folder, recording):
        try:
            main()
        finally:
            log.with_suffix(".pickle").write_bytes(pickle.dumps(recording))


@contextlib.contextmanager
def _recorded(folder: Path, recording: Recording) -> Iterator[None]:
    before = _files(folder)

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike) and _writes(arguments[1], arguments[2]):
            path = Path(arguments[0]).absolute()
            if folder in path.parents and not _is_temporary(path):
                recording.writes.append(str(path))

    def watch(call: Call, when: When) -> None:
        if when == "before":
            recording.calls.append(call)
            # Renames of other threads are recorded before they are made.
            present = _files(folder)
            renamed = {call.target for call in recording.calls}
            strays = (path for path in present - before - renamed if not _is_temporary(path))
            recording.writes.extend(map(str, strays))

    sys.addaudithook(opened)
    with watched(folder, watch):
        yield


def _writes(mode: str | None, flags: int) -> bool:
    return any(letter in mode for letter in "wax+") if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))


def _is_temporary(path: Path) -> bool:
    """Whether a file may be written in place: those of `atomic_path`, and the folder's lock."""
    return path.suffix == ".partial" or path.name == ".landmark.lock"


def _files(folder: Path) -> set[Path | None]:
    return {path for path in folder.rglob("*") if path.is_file()}


def _watching(name: str, function: Callable[..., Any], folder: Path, watch: Watch) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        path = _absolute(arguments[0], options.get("dir_fd", options.get("src_dir_fd")))
        if (path != folder and folder not in path.parents) or _changes_nothing(name, path):
            return function(*arguments, **options)
        target = _absolute(arguments[1], options.get("dst_dir_fd")) if DURABLE[name] == 2 else None
        durable = Call(name, path, target, threading.get_ident())
        watch(durable, "before")
        result = function(*arguments, **options)
        watch(durable, "after")
        return result

    return call


def _changes_nothing(name: str, path: Path) -> bool:
    """Whether a call fails and is ignored: `missing_ok` and `exist_ok`."""
    if name == "mkdir":
        return path.exists() or not path.parent.exists()
    return name in ("unlink", "remove") and not os.path.lexists(path)


def _absolute(path: Any, folder_handle: int | None) -> Path:
    """Path of an argument of `os`: an open file, or a path that may be relative to an open folder."""
    if isinstance(path, int):
        return _opened(path)
    return Path(_opened(folder_handle) if folder_handle is not None else "", path).absolute()


def _opened(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()
