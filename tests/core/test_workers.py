"""Workers that differ from their client, that vanish, or that die while they start."""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import landmark
from landmark.core.errors import ClusterFailed, LandmarkError, LateWorkerDiffers, WorkerDiffers, WorkersLost
from landmark.core.executor import ExecutorConfig, open_executor, watch
from tests.processes import await_, scheduler, worker

PACKAGE = Path(landmark.__file__).parent


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler that knows no landmark."""
    with scheduler(tmp_path_factory.mktemp("scheduler")) as (address, _):
        yield address


def other_code(folder: Path) -> Mapping[str, str]:
    """Environment with a copy of landmark, one line of which is another."""
    shutil.copytree(PACKAGE, folder / "landmark", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "landmark" / "corpus" / "pixels.py").open("a") as module:
        module.write("# changed\n")
    return {"PYTHONPATH": str(folder)}


def other_library(folder: Path) -> Mapping[str, str]:
    """Environment with another version of imagecodecs."""
    (folder / "imagecodecs-1.0.dist-info").mkdir(parents=True)
    (folder / "imagecodecs-1.0.dist-info" / "METADATA").write_text("Name: imagecodecs\nVersion: 1.0\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(PACKAGE.parent)])}


def no_landmark(folder: Path) -> Mapping[str, str]:
    """Environment of a process that cannot import landmark."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['landmark'] = None\n")
    return {"PYTHONPATH": str(folder)}


def map_numbers(address: str, count: int = 8) -> dict[int, int]:
    with open_executor(ExecutorConfig(scheduler=address)) as map_tasks:
        return dict(map_tasks(abs, range(count)))


@pytest.mark.long
@pytest.mark.parametrize(
    ("environment", "key", "value"),
    [
        (other_code, "code of landmark", None),
        (other_library, "imagecodecs", "1.0"),
        (no_landmark, "landmark", "not installed"),
    ],
)
def test_a_worker_that_differs_is_refused(
    environment: Callable[[Path], Mapping[str, str]], key: str, value: str | None, address: str, tmp_path: Path
) -> None:
    variables = environment(tmp_path / "other")
    with worker(address, tmp_path / "worker", **variables), pytest.raises(WorkerDiffers) as caught:
        map_numbers(address)
    assert (caught.value.key, caught.value.exit_code) == (key, 2)
    assert value is None or caught.value.value == value
    assert "tcp://127.0.0.1" in str(caught.value.file)
    assert caught.value.remedy is not None


@pytest.mark.long
def test_a_late_worker_that_differs_runs_no_task(address: str, tmp_path: Path) -> None:
    with worker(address, tmp_path / "worker") as first, open_executor(ExecutorConfig(scheduler=address)) as map_tasks:
        assert dict(map_tasks(abs, [-1])) == {-1: 1}
        with worker(address, tmp_path / "late", **other_code(tmp_path / "other")):
            os.killpg(first.pid, signal.SIGKILL)
            with pytest.raises(LateWorkerDiffers) as caught:
                list(map_tasks(abs, range(8)))
    assert (caught.value.key, caught.value.exit_code) == ("code of landmark", 1)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_without_workers_warns_and_gives_up(
    number: signal.Signals, address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ExecutorConfig(scheduler=address, worker_timeout_s=20)
    with worker(address, tmp_path / "worker") as process, open_executor(config) as map_tasks:
        results = map_tasks(time.sleep, [0, 1000])
        assert next(results) == (0, None)
        os.killpg(process.pid, number)
        start = time.monotonic()
        with caplog.at_level(logging.WARNING), pytest.raises(WorkersLost) as caught:
            list(results)
        assert 15 < time.monotonic() - start < 200
        os.killpg(process.pid, signal.SIGKILL)
    assert caught.value.exit_code == 1
    assert [record for record in caplog.records if record.name.startswith("landmark")]


class Heartbeats:
    """A client whose scheduler knows of a worker that answers and of one that does not."""

    scheduler = SimpleNamespace(identity=None)

    def __init__(self) -> None:
        self.moment = 0.0

    def sync(self, *_: object, **__: object) -> dict[str, Any]:
        self.moment += 1
        moments = {"tcp://busy": self.moment, "tcp://stopped": 0.0}
        return {"workers": {name: {"nthreads": 1, "last_seen": moment} for name, moment in moments.items()}}


def test_a_single_silent_worker_gives_a_single_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "POLL_EVERY_S", 0)
    monkeypatch.setattr(watch, "_WORKER_SILENT_S", 0.01)
    workers = watch.WorkerWatch(Heartbeats(), 600)
    for _ in range(5):
        workers.poll()
        time.sleep(0.02)
    named = [record.args for record in caplog.records if record.name.startswith("landmark")]
    assert [arguments[0] for arguments in named if isinstance(arguments, tuple)] == ["tcp://stopped"]


def kill_first_child() -> None:
    me = psutil.Process()

    def workers() -> list[psutil.Process]:
        return [child for child in me.children() if "spawn_main" in " ".join(child.cmdline())]

    await_(workers)
    workers()[0].kill()


@pytest.mark.long
def test_a_worker_killed_at_start_is_an_error() -> None:
    killer = threading.Thread(target=kill_first_child)
    killer.start()
    with pytest.raises(ClusterFailed) as caught, open_executor(ExecutorConfig(1)):
        pass
    killer.join()
    assert isinstance(caught.value, LandmarkError)
    assert caught.value.exit_code == 1
