"""A file that is replaced while a task reads it: the task reads all again, and never mixes two versions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

import landmark
from landmark.core.errors import LandmarkError
from landmark.core.ranges import http_file, remote_file
from landmark.workflow.build import build
from tests.workflow.conftest import few

Replaced = dict[str, list[tuple[int, Path]]]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (http_file, remote_file):
        monkeypatch.setattr(module, "BACKOFF_S", (0.01,) * len(remote_file.BACKOFF_S))


@pytest.fixture
def file(sealed: Path, world: Path) -> Path:
    """A band of an image of the corpus."""
    corpus = landmark.open(sealed)
    (item,) = corpus[next(id for id in corpus.ids if id.startswith("s2"))].items[:1]
    return next(path for path in world.rglob("B03.tif") if item in str(path))


@pytest.fixture
def newer(file: Path, tmp_path: Path) -> Path:
    """The same band with other pixels."""
    path = tmp_path / "newer.tif"
    with rasterio.open(file) as old, rasterio.open(path, "w", **old.profile) as new:
        new.write(np.where(old.read() > 0, old.read() + 7, 0).astype(old.dtypes[0]))
    return path


def test_a_file_replaced_during_a_task_is_read_again(
    url: str,
    replaced: Replaced,
    sealed: Path,
    file: Path,
    newer: Path,
    world: Path,
    recipe: Callable[..., Path],
    tmp_path: Path,
) -> None:
    replaced[f"/{file.relative_to(world)}"] = [(2, file), (10**6, newer)]
    build(few(recipe(), tmp_path / "corpus", catalog=f"{url}/catalog.json"))
    before, after = landmark.open(sealed), landmark.open(tmp_path / "corpus")
    assert before.ids == after.ids
    of_task = [id for id in before.ids if file.parent.name in before[id].items]
    for id in of_task:
        old, new = (corpus[id].s2.astype(int) for corpus in (before, after))
        assert np.array_equal(new - old != 0, np.stack([(band == 2) & (old[band] > 0) for band in range(12)]))


def test_a_file_that_keeps_changing_fails_the_task(
    url: str, replaced: Replaced, file: Path, newer: Path, world: Path, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    versions = [tmp_path / f"{number}.tif" for number in range(500)]
    for version in versions:
        version.hardlink_to(newer)
    replaced[f"/{file.relative_to(world)}"] = [(1, version) for version in versions]
    with pytest.raises(LandmarkError) as caught:
        build(few(recipe(), tmp_path / "corpus", catalog=f"{url}/catalog.json"))
    assert caught.value.exit_code == 1
    ledger = pq.read_table(tmp_path / "corpus" / "ledger.parquet").to_pylist()
    lost = [row for row in ledger if row["stage"] == "extract"]
    assert {(row["reason"], row["final"]) for row in lost} == {("changed", False)}
