"""WebDataset exports: added at once or later they have the same bytes; no other file changes; a kill is resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.errors import ExportFailed
from landmark.core.executor import ExecutorConfig, WorkerLost
from landmark.core.journal import discard
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.finalize import export, missing_exports
from tests.workflow.test_build import files
from tests.workflow.test_guards import stamps

Write = Callable[..., Path]


def export_request(
    recipe: Path, out: Path, formats: str | None = "parquet,webdataset", workers: int = 0
) -> BuildRequest:
    """A build of three cells."""
    return BuildRequest(load_recipe(str(recipe), limit=3, formats=formats), out, ExecutorConfig(workers))


@pytest.fixture
def copy(sealed: Path, tmp_path: Path) -> Path:
    """A copy of a sealed corpus without exports."""
    return Path(shutil.copytree(sealed, tmp_path / "copy"))


@pytest.fixture(scope="session")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("both") / "corpus"


@pytest.fixture
def both(_both: Path, recipe: Write) -> Path:
    """The same corpus, built with .tar files; tests that change it copy it first."""
    if not _both.exists():
        build(export_request(recipe(), _both))
    return _both


def tars(corpus: Path) -> list[Path]:
    return sorted(corpus.rglob("*.tar"))


def test_every_shard_has_a_tar_that_the_manifest_names(both: Path) -> None:
    manifest = landmark.open(both).manifest
    assert [export.shard for export in manifest.exports] == [shard.path for shard in manifest.shards]
    assert [export.rows for export in manifest.exports] == [shard.rows for shard in manifest.shards]
    assert sorted(both / export.path for export in manifest.exports) == tars(both)
    digests = files(both)
    assert all(digests[export.path] == export.sha256 for export in manifest.exports)


def test_a_format_added_later_gives_the_same_bytes_and_changes_no_other_file(
    both: Path, copy: Path, recipe: Write
) -> None:
    before, manifest = stamps(copy), json.loads((copy / "corpus.json").read_text())
    build(export_request(recipe(), copy))
    assert files(copy) == files(both)
    after = stamps(copy)
    assert {path for path, stamp in after.items() if before.get(path) != stamp} == {copy / "corpus.json", *tars(copy)}
    exported = json.loads((copy / "corpus.json").read_text())
    assert exported | {"exports": []} == manifest


def test_formats_change_neither_lock_nor_index(both: Path, sealed: Path) -> None:
    for name in ("lock.json", "README.md", "index.parquet"):
        assert (both / name).read_bytes() == (sealed / name).read_bytes()
    assert landmark.open(both).ids == landmark.open(sealed).ids


@pytest.mark.parametrize("formats", [None, "parquet", "webdataset,parquet"])
def test_a_corpus_with_exports_is_unchanged_by_another_build(
    formats: str | None, both: Path, recipe: Write, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "copy"))
    before = stamps(copy)
    build(export_request(recipe(), copy, formats))
    assert stamps(copy) == before


def test_a_recipe_can_request_exports(both: Path, recipe: Write, tmp_path: Path) -> None:
    local = recipe(output={"shard_mb": 2, "formats": ["parquet", "webdataset"]})
    build(export_request(local, tmp_path / "corpus", None))
    assert files(tmp_path / "corpus") == files(both)


def test_workers_change_no_byte_of_a_tar(both: Path, copy: Path, recipe: Write) -> None:
    build(export_request(recipe(), copy, workers=2))
    assert files(copy) == files(both)


# -- interruptions -----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Simulates the death of this process."""


def fatal(renames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a kill in place of the n-th rename from now on; partial files stay."""
    left, replace, unlink = [renames], Path.replace, Path.unlink

    def dying(path: Path, target: Path) -> Path:
        if left[0] == 0:
            monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
            raise Killed
        left[0] -= 1
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", dying)
    monkeypatch.setattr(Path, "unlink", unlink)


def interrupted(copy: Path, recipe: Path, tmp_path: Path) -> Iterator[Path]:
    """Yield the corpus as a kill before each renamed file leaves it."""
    for renames in range(100):
        out = Path(shutil.copytree(copy, tmp_path / f"after-{renames}"))
        with pytest.MonkeyPatch.context() as patch:
            fatal(renames, patch)
            try:
                build(export_request(recipe, out))
            except Killed:
                pass
            else:
                return
        yield out


def test_a_kill_before_each_rename_resumes_to_the_same_bytes(
    both: Path, copy: Path, recipe: Write, tmp_path: Path
) -> None:
    count = 0
    for out in interrupted(copy, recipe(), tmp_path):
        count += 1
        assert list(out.rglob(".*.partial"))
        assert landmark.open(out).manifest.exports == []
        build(export_request(recipe(), out))
        assert files(out) == files(both)
    # Each .tar and its entry in the journal, then the manifest.
    assert count == 2 * len(tars(both)) + 1


def test_a_resumed_build_keeps_finished_tars(copy: Path, recipe: Write, tmp_path: Path) -> None:
    *_, last = interrupted(copy, recipe(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tars(last)}
    assert before
    build(export_request(recipe(), last))
    assert {path: path.stat().st_mtime_ns for path in tars(last)} == before


def test_a_client_killed_while_exporting_resumes_to_the_same_bytes(both: Path, copy: Path, recipe: Write) -> None:
    line = [sys.executable, "-m", "landmark", "build", str(recipe()), "--out", str(copy), "--limit", "3"]
    line += ["--workers", "0", "--format", "parquet,webdataset"]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and not list(copy.glob("journal/exports/*/*.json")):
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert tars(copy)
    assert not landmark.open(copy).manifest.exports, "killed too late"
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert files(copy) == files(both)


def test_finished_tars_survive_a_build_without_exports(both: Path, copy: Path, recipe: Write, tmp_path: Path) -> None:
    *_, last = interrupted(copy, recipe(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tars(last)}
    build(export_request(recipe(), last, None))
    assert not list(last.rglob("shards/**/.*.partial"))
    assert landmark.open(last).manifest.exports == []
    build(export_request(recipe(), last))
    assert {path: path.stat().st_mtime_ns for path in tars(last)} == before
    assert files(last) == files(both)


def test_files_left_by_a_kill_after_the_manifest_are_deleted(both: Path, recipe: Write, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "copy"))
    (copy / "journal" / "exports" / "key").mkdir(parents=True)
    tars(copy)[0].with_name(f".{tars(copy)[0].name}.4711.partial").write_bytes(b"half")
    build(export_request(recipe(), copy, None))
    assert files(copy) == files(both) and not (copy / "journal").exists()


def test_a_lost_worker_fails_the_export_and_leaves_the_sealed_corpus(sealed: Path, copy: Path, recipe: Write) -> None:
    manifest = landmark.open(copy).manifest
    tasks = missing_exports(copy, manifest, load_recipe(str(recipe()), formats="parquet,webdataset"))
    with pytest.raises(ExportFailed) as caught:
        export(copy, manifest, tasks, lambda _, tasks, threads=1: ((task, WorkerLost("died")) for task in tasks))
    assert (caught.value.exit_code, caught.value.file) == (1, tasks[0].path)
    discard(copy, "exports")
    assert files(copy) == files(sealed)


# -- damage ------------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("formats", [None, "parquet,webdataset"])
@pytest.mark.parametrize("damage", [Path.unlink, truncate])
def test_a_missing_or_truncated_tar_is_written_again(
    damage: Callable[[Path], Any], formats: str | None, both: Path, recipe: Write, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "copy"))
    victim, *intact = tars(copy)
    damage(victim)
    before = {path: path.stat().st_mtime_ns for path in (*intact, copy / "corpus.json")}
    build(export_request(recipe(), copy, formats))
    assert files(copy) == files(both)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_corpus_built_again_without_exports_keeps_no_tar(
    both: Path, sealed: Path, recipe: Write, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "copy"))
    (copy / "corpus.json").unlink()
    build(export_request(recipe(), copy, None))
    assert files(copy) == files(sealed)
