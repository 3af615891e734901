"""A command killed at each of its durable calls and started again writes the same bytes."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import landmark
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import Manifest, read_document
from landmark.write.staging import STAGING
from tests.faults.crash_points import Call, CrashPoint, Recording, crash_points, record_command, run_command
from tests.train.toy import build_toy, write_profile

COMMANDS = ("build", "recaption", "train")
# Of the exhaustive test, which several processes share.
PARTS = 8
# A rename to one of these names replaces what superseded files belonged to.
MANIFESTS = ("corpus.json", "run.json")


@dataclass(frozen=True)
class Command:
    """A command whose last argument is the folder it writes.

    Attributes:
        start: What the folder holds before; None if the command makes it.
        result: What it holds after an uninterrupted run.
        recording: Of that run.
    """

    arguments: tuple[str, ...]
    start: Path | None
    result: Path
    recording: Recording

    def run(self, folder: Path, point: CrashPoint | None = None) -> int:
        """Run in a child process on `folder / "made"`."""
        return run_command([*self.arguments, str(folder / "made")], folder, folder.with_suffix(".log"), point)


class Commands:
    """The three commands, each prepared once."""

    def __init__(self, folder: Path, world: Path) -> None:
        self._folder, self._world = folder, world
        self._commands: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._commands:
            self._commands[name] = self._prepare(name)
        return self._commands[name]

    def _prepare(self, name: str) -> Command:
        start = self["build"].result if name == "recaption" else None
        folder = self._folder / name
        folder.mkdir()
        if start is not None:
            copy_tree(start, folder / "made")
        arguments = getattr(self, f"_{name}")()
        recording = record_command([*arguments, str(folder / "made")], folder, folder.with_suffix(".log"))
        return Command(tuple(arguments), start, folder / "made", recording)

    def _build(self) -> list[str]:
        recipe = self._folder / "tiny.yaml"
        recipe.write_text(yaml.safe_dump(small_recipe(self._world)))
        return ["build", str(recipe), "--workers", "0", "--out"]

    def _recaption(self) -> list[str]:
        return ["recaption", "--set", "thresholds.default=15", "--workers", "0"]

    def _train(self) -> list[str]:
        corpus = build_toy(self._folder / "toy", {"train": 16, "val": 2, "test": 2})
        model = write_profile(self._folder, budget={"epochs": 2})
        return ["train", str(corpus), "--model", str(model), "--device", "cpu", "--save-every", "1", "--out"]


def small_recipe(world: Path, **changes: Any) -> dict[str, Any]:
    """A recipe of two cells with both sensors and both formats."""
    return {
        "name": "tiny",
        "catalog": str(world),
        "region": {"bbox": [[11.5, 45.2, 12.5, 45.7]]},
        "time": {"start": "2021-06-01", "end": "2022-05-31"},
        "labels": [{"source": "worldcover"}],
        "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
        "output": {"shard_mb": 2, "formats": ["parquet", "webdataset"]},
        "limit": 2,
        **changes,
    }


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder by hard links: every file is replaced, none is changed."""
    shutil.copytree(source, target, copy_function=os.link)


def tree(folder: Path) -> dict[str, str | None]:
    """Every file below a folder with its digest, and every folder."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None for name, path in paths.items()
    }


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Commands:
    return Commands(tmp_path_factory.mktemp("commands"), world)


def failure(command: Command, point: CrashPoint, folder: Path) -> str | None:
    """What is wrong after a kill and a second run; None if nothing is."""
    call = command.recording.calls[point.number]
    title = f"{point.when} {point.number} {call.name} {call.target or call.path}"
    folder.mkdir()
    if command.start is not None:
        copy_tree(command.start, folder / "made")
    if (code := command.run(folder, point)) != -9:
        return f"{title}: not killed: exit code {code}"
    try:
        require_complete_or_unreadable(command, folder / "made")
    except Exception as error:
        return f"{title}: after the kill: {type(error).__name__}: {error}"
    if (code := command.run(folder)) != 0:
        return f"{title}: exit code {code}: {folder.with_suffix('.log').read_text()}"
    expected, result = tree(command.result), tree(folder / "made")
    if result != expected:
        changed = sorted(name for name in expected.keys() | result.keys() if expected.get(name) != result.get(name))
        return f"{title}: differs: {changed}"
    shutil.rmtree(folder)
    return None


def require_complete_or_unreadable(command: Command, made: Path) -> None:
    """Require that a folder cannot be read, or holds what it held before or will hold after."""
    if command.arguments[0] == "train":
        require_intact_checkpoint(made)
        return
    try:
        corpus = landmark.open(made)
    except InvalidCorpus as error:
        assert Path(str(error.file)).name in ("corpus.json", "index.parquet", "made")
        return
    states = [state for state in (command.start, command.result) if state is not None]
    expected = [read_document(Manifest, state / "corpus.json").content_digest for state in states]
    assert corpus.manifest.content_digest in expected
    assert len(list(corpus)) == corpus.manifest.counts["written"]


def require_intact_checkpoint(run: Path) -> None:
    """Require that the files that `run.json` names are complete."""
    from landmark.train.checkpoint import read_run

    if (run / "run.json").exists():
        state = read_run(run)
        files = [file for file in (state.weights, state.optimizer) if file is not None]
        assert all(file_sha256(run / file.path) == file.sha256 for file in files)


def failures(command: Command, points: Iterable[CrashPoint], folder: Path) -> list[str]:
    """What goes wrong at some crash points."""
    results = (failure(command, point, folder / f"{point.number}-{point.when}") for point in points)
    return [text for text in results if text is not None]


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_a_durable_call_resumes_to_the_same_bytes(
    name: str, commands: Commands, tmp_path: Path
) -> None:
    points = crash_points(len(commands[name].recording.calls))
    step = len(points) // 7 | 1
    assert failures(commands[name], points[step // 2 :: step], tmp_path) == []


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_durable_call_resumes_to_the_same_bytes(
    name: str, part: int, commands: Commands, tmp_path: Path
) -> None:
    points = crash_points(len(commands[name].recording.calls))
    assert failures(commands[name], points[part::PARTS], tmp_path) == []


def unordered(recording: Recording, start: set[Path]) -> list[str]:
    """Calls that later ones rely on although a power loss could undo them, and files that are deleted too early.

    Args:
        recording: Durable calls of a command.
        start: Files that a manifest named before.
    """
    flushed: set[Path] = set()
    new_folders: set[Path] = set()
    needed, problems = set(start), []
    for number, call in enumerate(recording.calls):
        if call.name == "fsync":
            flushed.add(call.path)
            new_folders = {folder for folder in new_folders if folder.parent != call.path}
        elif call.name == "mkdir":
            new_folders.add(call.path)
        elif call.target is not None:
            following = next((later for later in recording.calls[number + 1 :] if later.thread == call.thread), None)
            is_flushed = call.path in flushed and following == Call("fsync", call.target.parent, None, call.thread)
            # A build compares staging files with their digests before it relies on them.
            is_flushed |= call.target.parent.name == STAGING
            if not is_flushed or new_folders:
                problems.append(f"renamed before it, or after which its folder, was flushed: {call.target}")
            needed = set() if call.target.name in MANIFESTS else needed | {call.target}
        elif call.name == "unlink" and call.path in needed:
            problems.append(f"deleted before a manifest replaced it: {call.path}")
    return problems


@pytest.mark.parametrize("name", COMMANDS)
def test_files_and_folders_are_flushed_in_time(name: str, commands: Commands) -> None:
    command = commands[name]
    derived = {"qrels", "journal"}
    start = {command.result / file for file in tree(command.start)} if command.start is not None else set()
    assert unordered(command.recording, {path for path in start if not derived & set(path.parts)}) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_file_is_written_through_atomic_path(name: str, commands: Commands) -> None:
    assert commands[name].recording.writes == []
