"""Complete builds: workers, task order and interruptions change no byte; every planned sample is accounted for."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputsChanged, RecipeMismatch
from landmark.core.executor import ExecutorConfig, TaskMap
from landmark.corpus.tables import INPUTS_FILE
from landmark.workflow.build import BuildRequest, build, plan_corpus
from tests.parts import raises

Write = Callable[..., Path]
SERIAL = ExecutorConfig()


def files(corpus: Path) -> dict[str, str]:
    """Digest of every file of a corpus by its path, of those that equal locks give equal bytes."""
    paths = (path for path in corpus.rglob("*") if path.is_file() and path.name != INPUTS_FILE)
    return {str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def request(recipe: Path, out: Path, executor: ExecutorConfig = SERIAL, **changes: object) -> BuildRequest:
    return BuildRequest(load_recipe(str(recipe)), out, executor, **changes)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """Folder of the corpus of the tests' recipe, built serially and uninterrupted."""
    return tmp_path_factory.mktemp("reference") / "corpus"


@pytest.fixture
def built(reference: Path, recipe: Write) -> Path:
    if not reference.exists():
        build(request(recipe(), reference))
    return reference


def test_a_build_gives_both_sensors_all_splits_and_two_shards_each(built: Path) -> None:
    manifest = landmark.open(built).manifest
    for sensor in ("s1", "s2"):
        assert all(manifest.samples[sensor][split] for split in ("train", "val", "test"))
        assert sum(shard.sensor == sensor for shard in manifest.shards) >= 2


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_byte(workers: int, built: Path, recipe: Write, tmp_path: Path) -> None:
    build(request(recipe(), tmp_path / "corpus", ExecutorConfig(workers)))
    assert files(tmp_path / "corpus") == files(built)


def test_the_order_of_tasks_changes_no_byte(
    built: Path, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def reversed_executor(_: ExecutorConfig) -> Iterator[TaskMap]:
        yield lambda function, tasks, threads=1: ((task, function(task)) for task in reversed(list(tasks)))

    monkeypatch.setattr("landmark.workflow.build.open_executor", reversed_executor)
    build(request(recipe(), tmp_path / "corpus"))
    assert files(tmp_path / "corpus") == files(built)


def start(recipe: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "landmark", "build", str(recipe), "--out", str(out), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def staged(out: Path) -> int:
    return len(list((out / "staging").glob("*.arrow")))


def await_staged(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    while process.poll() is None and staged(out) < count:
        time.sleep(0.001)


@pytest.mark.long
def test_a_killed_client_resumes_to_the_same_bytes(built: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    process = start(recipe(), out, "--workers", "1")
    await_staged(process, out, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    tasks = len(json.loads((out / "lock.json").read_text())["acquisitions"])
    assert 0 < staged(out) < tasks, "killed too late"
    assert not (out / "corpus.json").exists()
    assert run_build(recipe(), out)[0] == 0
    assert files(out) == files(built)


def run_build(recipe: Path, out: Path, *options: str) -> tuple[int, str]:
    """Run a build in a subprocess: exit code and stderr."""
    process = start(recipe, out, "--workers", "0", *options)
    _, err = process.communicate()
    return process.returncode, err.decode()


@pytest.mark.long
def test_a_client_killed_while_packing_resumes_to_the_same_bytes(built: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    process = start(recipe(), out, "--workers", "0")
    while process.poll() is None and not list(out.glob("journal/shards/*/*.json")):
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(out.glob("journal/shards/*/*.json"))
    assert not (out / "corpus.json").exists(), "killed too late"
    assert run_build(recipe(), out)[0] == 0
    assert files(out) == files(built)


@pytest.mark.long
def test_a_killed_worker_is_replaced_and_changes_no_byte(built: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    process = start(recipe(), out, "--workers", "2")
    await_staged(process, out, 2)
    spawned = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in spawned if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    assert not (out / "corpus.json").exists(), "killed too late"
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert files(out) == files(built)


@pytest.mark.long
def test_a_worker_killed_while_packing_leaves_no_partial_file(built: Path, recipe: Write, tmp_path: Path) -> None:
    partials = list[Path]()
    # A shard is packed in a moment, which this process may miss on a busy machine.
    for attempt in range(10):
        out = tmp_path / f"{attempt}/corpus"
        process = start(recipe(), out, "--workers", "2")
        while process.poll() is None and not partials:
            partials = list(out.glob("shards/*/.*.partial"))
        if partials:
            break
        process.communicate()
    # The name of the file ends in the worker's process id.
    os.kill(int(partials[0].name.split(".")[-2]), signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode()
    assert not list(out.rglob("*.partial"))
    assert files(out) == files(built)


def test_every_planned_sample_is_written_dropped_or_failed_by_id(recipe: Write, tmp_path: Path) -> None:
    built = tmp_path / "corpus"
    # Without cloud statistics, cloudy chips are planned.
    build(request(recipe(clouds={"best_of": 1}), built))
    planned = set(pq.read_table(built / "plan.parquet")["id"].to_pylist())
    written = set(landmark.open(built).ids)
    ledger = [row for row in pq.read_table(built / "ledger.parquet").to_pylist() if row["stage"] != "plan"]
    lost = {row["id"] for row in ledger}
    assert planned == written | lost
    assert not written & lost
    counts = landmark.open(built).manifest.counts
    assert counts == {"planned": len(planned), "written": len(written), "dropped": len(lost), "failed": 0}
    assert counts["dropped"], "the small world needs a cloudy chip"


def test_cloud_statistics_lose_no_cell_and_give_clearer_chips(built: Path, recipe: Write, tmp_path: Path) -> None:
    build(request(recipe(clouds={"best_of": 1}), tmp_path / "corpus"))
    first, clearest = (landmark.open(corpus).select(sensor="s2").table for corpus in (tmp_path / "corpus", built))
    assert set(first["cell"].to_pylist()) <= set(clearest["cell"].to_pylist())
    assert np.mean(clearest["cloud_pct"].to_pylist()) < np.mean(first["cloud_pct"].to_pylist())
    cloud_stats = pq.read_table(built / "cloud_stats.parquet")
    assert len(set(cloud_stats["acquisition"].to_pylist())) > 1


def test_building_a_sealed_corpus_again_changes_no_file(built: Path, recipe: Write) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    build(request(recipe(), built))
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_a_corpus_of_another_recipe_is_refused_and_unchanged(built: Path, recipe: Write) -> None:
    before = files(built)
    with raises(RecipeMismatch, file=str(built)):
        build(request(recipe(min_valid_pct=50), built))
    assert files(built) == before


def test_a_locked_build_refuses_a_changed_input(recipe: Write, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    local, out = recipe(catalog=str(tmp_path / "world")), tmp_path / "corpus"
    plan_corpus(request(local, out))
    victim = next((tmp_path / "world").glob("esa-worldcover/**/*.tif"))
    victim.write_bytes(victim.read_bytes() + b"\0")
    with raises(InputsChanged, name=victim.name):
        build(request(local, out, locked=True))


def test_a_locked_build_needs_a_lock(recipe: Write, tmp_path: Path) -> None:
    with raises(InputsChanged, file=str(tmp_path / "corpus")):
        build(request(recipe(), tmp_path / "corpus", locked=True))
    assert not (tmp_path / "corpus").exists()


def test_a_locked_build_after_a_plan_gives_the_same_bytes(built: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    plan_corpus(request(recipe(), out))
    build(request(recipe(), out, locked=True))
    assert files(out) == files(built)


def test_a_limit_gives_a_subset(built: Path, recipe: Write, tmp_path: Path) -> None:
    limited = BuildRequest(load_recipe(str(recipe()), limit=5), tmp_path / "corpus", SERIAL)
    build(limited)
    few, all_ = landmark.open(tmp_path / "corpus"), landmark.open(built)
    assert 0 < len(few) < len(all_)
    assert set(few.ids) <= set(all_.ids)
    digests = dict(zip(all_.ids, all_.table["sha256"].to_pylist(), strict=True))
    assert all(digests[id] == digest for id, digest in zip(few.ids, few.table["sha256"].to_pylist(), strict=True))


def test_no_file_of_a_corpus_contains_a_local_path(built: Path, world: Path) -> None:
    for path in built.rglob("*"):
        if path.is_file():
            assert str(world).encode() not in path.read_bytes(), path


def test_the_location_of_the_archive_changes_no_byte(built: Path, recipe: Write, world: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(world)
    build(request(recipe(), tmp_path / "corpus", catalog=str(moved)))
    assert files(tmp_path / "corpus") == files(built)
