"""Builds on a Dask scheduler without workers, on one that dies, on a worker in another folder, and Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from landmark.config.recipe import load_recipe
from landmark.core.errors import SchedulerLost, SchedulerUnreachable
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.workflow.build import BuildRequest, build
from tests.parts import raises
from tests.workflow.test_build import files

Write = Callable[..., Path]
Process = subprocess.Popen[bytes]


@pytest.fixture
def many(recipe: Write) -> Path:
    """A recipe with monthly images, whose build takes long enough to interrupt."""
    months = {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}
    return recipe(time=months, clouds={"max_item_pct": 100}, limit=8)


@pytest.fixture(scope="module")
def undisturbed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "corpus"


@pytest.fixture
def undisturbed(undisturbed_folder: Path, many: Path) -> Path:
    """The corpus of `many`, built in this process."""
    if not undisturbed_folder.exists():
        build(BuildRequest(load_recipe(str(many)), undisturbed_folder, ExecutorConfig()))
    return undisturbed_folder


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[Process]:
    """A process of its own process group in `folder`; the group is killed at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def scheduled(folder: Path) -> Iterator[tuple[str, Process]]:
    """A scheduler with one worker, both in `folder` and ready: address and process of the scheduler."""
    from distributed import Client

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, plain = f"tcp://127.0.0.1:{port}", ["--no-dashboard"]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "1"]
    with running([*scheduler, *plain], folder) as process, running([*worker, *plain], folder):
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        yield address, process


def landmark_build(recipe: Path, out: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "landmark", "build", str(recipe), "--out", out, *options]


def await_staged(process: Process, out: Path, count: int) -> None:
    while process.poll() is None and len(list((out / "staging").glob("*.arrow"))) < count:
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()


def error_lines(err: bytes) -> list[str]:
    """Lines of landmark's errors on stderr; no library may print a traceback or a log."""
    text = err.decode()
    assert "Traceback" not in text, text
    assert "distributed" not in text, text
    return [line for line in text.splitlines() if line.startswith("error: ")]


def test_a_scheduler_without_workers_is_refused_in_time(recipe: Write, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address, start = cluster.scheduler_address, time.monotonic()
        few = load_recipe(str(recipe()), limit=1)
        with raises(SchedulerUnreachable, value=address, exit_code=2):
            build(BuildRequest(few, tmp_path / "corpus", ExecutorConfig(scheduler=address, connect_timeout_s=1)))
        assert time.monotonic() - start < 5
    assert not (tmp_path / "corpus").exists()


def test_a_scheduler_lost_before_the_first_task_is_an_error(tmp_path: Path) -> None:
    with (
        scheduled(tmp_path) as (address, scheduler),
        open_executor(ExecutorConfig(scheduler=address, connect_timeout_s=3)) as map_tasks,
    ):
        os.killpg(scheduler.pid, signal.SIGKILL)
        scheduler.wait()
        with pytest.raises(SchedulerLost):
            list(map_tasks(abs, [1]))


@pytest.mark.long
def test_a_worker_in_another_folder_writes_into_the_corpus_of_the_client(recipe: Write, tmp_path: Path) -> None:
    client_folder, worker_folder = tmp_path / "client", tmp_path / "worker"
    with (
        scheduled(worker_folder) as (address, _),
        running(landmark_build(recipe(), "corpus", "--limit", "2", "--scheduler", address), client_folder) as client,
    ):
        _, err = client.communicate(timeout=60)
    assert client.returncode == 0, err.decode()
    assert error_lines(err) == []
    build(BuildRequest(load_recipe(str(recipe()), limit=2), tmp_path / "serial", ExecutorConfig()))
    assert files(client_folder / "corpus") == files(tmp_path / "serial")
    assert not list(worker_folder.rglob("*.arrow"))
    assert not list(worker_folder.rglob("*.parquet"))


@pytest.mark.long
def test_a_lost_scheduler_is_an_error_and_the_build_resumes(undisturbed: Path, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with scheduled(tmp_path / "worker") as (address, scheduler):
        with running(landmark_build(many, str(out), "--scheduler", address), tmp_path) as client:
            await_staged(client, out, 2)
            os.killpg(scheduler.pid, signal.SIGKILL)
            assert not (out / "corpus.json").exists(), "killed too late"
            _, err = client.communicate(timeout=60)
        assert client.returncode == 1, err.decode()
        assert len(error_lines(err)) == 1, err.decode()
        assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Restore SIGINT for child processes: tests that run in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.long
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupted_build_exits_with_130_and_resumes(
    workers: str, undisturbed: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    with running(landmark_build(many, str(out), "--workers", workers), tmp_path) as build_:
        await_staged(build_, out, 2)
        os.killpg(build_.pid, signal.SIGINT)
        assert not (out / "corpus.json").exists(), "interrupted too late"
        _, err = build_.communicate(timeout=60)
    assert len(error_lines(err)) == 1
    assert build_.returncode == 130
    assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)
