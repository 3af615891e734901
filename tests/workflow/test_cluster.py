"""Builds on other machines' terms: a scheduler without workers, one that dies, a worker elsewhere, and Ctrl-C."""

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
from landmark.core.executor import ExecutorConfig
from landmark.core.executor import open_executor as spread
from landmark.workflow.build import BuildRequest, build
from tests.parts import raises
from tests.workflow.test_build import files

Write = Callable[..., Path]
Process = subprocess.Popen[bytes]
INTERRUPTED = "landmark: interrupted; run the same command again to resume"


@pytest.fixture
def many(recipe: Write) -> Path:
    """A recipe of every month, so that there is time to disturb its build."""
    months = {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}
    return recipe(time=months, clouds={"max_item_pct": 100}, limit=8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "corpus"


@pytest.fixture
def undisturbed(place: Path, many: Path) -> Path:
    """The corpus of `many`, built in this process."""
    if not place.exists():
        build(BuildRequest(load_recipe(str(many)), place, ExecutorConfig()))
    return place


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[Process]:
    """A process of its own group, at home in `folder`; the whole group ends with the block."""
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
    """A scheduler with one worker, both at home in `folder` and ready: its address and process."""
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


def said(err: bytes) -> list[str]:
    """What landmark itself said last, and nothing a library let out."""
    text = err.decode()
    assert "Traceback" not in text, text
    assert "distributed" not in text, text
    return [line for line in text.splitlines() if line.startswith("landmark:")]


def test_a_scheduler_without_workers_is_told_in_time(
    recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address, start = cluster.scheduler_address, time.monotonic()
        few = load_recipe(str(recipe()), limit=1)
        with raises(SchedulerUnreachable, value=address, exit_code=2):
            build(BuildRequest(few, tmp_path / "corpus", ExecutorConfig(scheduler=address, connect_timeout_s=1)))
        assert time.monotonic() - start < 5
    assert not (tmp_path / "corpus").exists()


def test_a_scheduler_lost_before_it_is_asked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        scheduled(tmp_path) as (address, scheduler),
        spread(ExecutorConfig(scheduler=address, connect_timeout_s=3)) as map_tasks,
    ):
        os.killpg(scheduler.pid, signal.SIGKILL)
        scheduler.wait()
        with pytest.raises(SchedulerLost):
            list(map_tasks(abs, [1]))


@pytest.mark.long
def test_a_worker_elsewhere_writes_where_the_client_says(recipe: Write, tmp_path: Path) -> None:
    here, there = tmp_path / "client", tmp_path / "worker"
    with (
        scheduled(there) as (address, _),
        running(landmark_build(recipe(), "corpus", "--limit", "2", "--scheduler", address), here) as client,
    ):
        _, err = client.communicate(timeout=60)
    assert client.returncode == 0, err.decode()
    assert said(err) == []
    build(BuildRequest(load_recipe(str(recipe()), limit=2), tmp_path / "serial", ExecutorConfig()))
    assert files(here / "corpus") == files(tmp_path / "serial")
    assert not list(there.rglob("*.arrow"))
    assert not list(there.rglob("*.parquet"))


@pytest.mark.long
def test_a_build_outlives_its_scheduler_in_one_line_and_resumes(undisturbed: Path, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with scheduled(tmp_path / "worker") as (address, scheduler):
        with running(landmark_build(many, str(out), "--scheduler", address), tmp_path) as client:
            await_staged(client, out, 2)
            os.killpg(scheduler.pid, signal.SIGKILL)
            assert not (out / "corpus.json").exists(), "the kill came too late to show anything"
            _, err = client.communicate(timeout=60)
        assert client.returncode == 1, err.decode()
        assert len(said(err)) == 1, err.decode()
        assert "scheduler" in said(err)[0]
        assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Children answer Ctrl-C, even where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.long
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupted_build_says_so_and_resumes(workers: str, undisturbed: Path, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with running(landmark_build(many, str(out), "--workers", workers), tmp_path) as build_:
        await_staged(build_, out, 2)
        os.killpg(build_.pid, signal.SIGINT)
        assert not (out / "corpus.json").exists(), "the interrupt came too late to show anything"
        _, err = build_.communicate(timeout=60)
    assert said(err) == [INTERRUPTED]
    assert build_.returncode == 130
    assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)
