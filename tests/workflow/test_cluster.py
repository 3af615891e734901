"""Builds on a Dask scheduler without workers, on one that dies, on a worker in another folder, and signals."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from landmark.config.recipe import load_recipe
from landmark.core.errors import SchedulerLost, SchedulerUnreachable
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.workflow.build import BuildRequest, build
from tests.parts import raises
from tests.processes import Process, await_, error_lines, running, scheduled, session_members
from tests.workflow.test_build import files

Write = Callable[..., Path]


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


def landmark_build(recipe: Path, out: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "landmark", "build", str(recipe), "--out", out, *options]


def await_staged(process: Process, out: Path, count: int) -> None:
    await_(lambda: len(list((out / "staging").glob("*.arrow"))) >= count, process)


def test_a_scheduler_without_workers_is_refused_in_time(recipe: Write, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address, start = cluster.scheduler_address, time.monotonic()
        few = load_recipe(str(recipe()), limit=1)
        with raises(SchedulerUnreachable, value=address, exit_code=2):
            build(BuildRequest(few, tmp_path / "corpus", ExecutorConfig(scheduler=address, connect_timeout_s=1)))
        assert time.monotonic() - start < 5
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("scheme", ["tls", "tcp"])
def test_a_scheduler_without_the_certificates_of_the_client_is_refused(
    scheme: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import dask
    import distributed  # noqa: F401 - adds its defaults to the configuration

    # tls:// without certificates, and tcp:// where Dask's configuration allows none.
    address, settings = f"{scheme}://127.0.0.1:1", {"distributed.comm.require-encryption": scheme == "tcp"}
    with (
        dask.config.set(settings),
        raises(SchedulerUnreachable, file="--scheduler", value=address),
        open_executor(ExecutorConfig(scheduler=address)),
    ):
        pass
    gc.collect()
    assert "Traceback" not in capfd.readouterr().err


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
        _, err = client.communicate(timeout=300)
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
            _, err = client.communicate(timeout=300)
        assert client.returncode == 1, err.decode()
        assert len(error_lines(err)) == 1, err.decode()
        assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)


@pytest.mark.long
@pytest.mark.parametrize(("workers", "number", "code"), [("0", signal.SIGTERM, 143), ("2", signal.SIGINT, 130)])
def test_an_interrupted_build_exits_at_once_and_resumes(
    workers: str, number: signal.Signals, code: int, undisturbed: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    with running(landmark_build(many, str(out), "--workers", workers), tmp_path) as build_:
        await_staged(build_, out, 2)
        os.killpg(build_.pid, number)
        assert not (out / "corpus.json").exists(), "interrupted too late"
        _, err = build_.communicate(timeout=300)
        await_(lambda: not session_members(build_))
    assert len(error_lines(err)) == 1
    assert build_.returncode == code
    assert not (out / "corpus.json").exists()
    build(BuildRequest(load_recipe(str(many)), out, ExecutorConfig()))
    assert files(out) == files(undisturbed)
