"""A catalogue by URL gives the same corpus as by path; samples whose files were missing can be retried."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.core.ranges import http_file, remote_file
from landmark.workflow.build import BuildRequest, build
from tests.workflow.conftest import few
from tests.workflow.test_build import files, run_build


def test_a_catalogue_by_url_gives_the_same_shards_as_by_path(
    url: str, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    four = load_recipe(str(recipe()), limit=4)
    by_path = build(BuildRequest(four, tmp_path / "path", ExecutorConfig()))
    by_url = build(BuildRequest(four, tmp_path / "url", ExecutorConfig(), catalog=f"{url}/catalog.json"))
    assert by_url.shards == by_path.shards
    assert url.encode() not in (tmp_path / "url" / "lock.json").read_bytes()


@pytest.mark.long
def test_failures_keep_the_corpus_unsealed_until_they_are_retried(
    url: str, gone: set[str], recipe: Callable[..., Path], tmp_path: Path
) -> None:
    local, out, catalog = recipe(), tmp_path / "corpus", ("--catalog", f"{url}/catalog.json", "--limit", "6")
    gone.add("/B03.tif")
    assert run_build(local, out, *catalog)[0] == 1
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    assert {row["reason"] for row in ledger if row["stage"] == "extract"} >= {"read_error"}
    assert not (out / "corpus.json").exists()
    gone.clear()
    assert run_build(local, out, *catalog)[0] == 1, "failed samples are retried only with --retry"
    assert run_build(local, out, *catalog, "--retry")[0] == 0
    assert landmark.open(out).manifest.counts["failed"] == 0
    assert run_build(local, tmp_path / "fresh", *catalog)[0] == 0
    assert files(out) == files(tmp_path / "fresh")


def test_failures_become_drops_with_allow_failures(
    url: str, gone: set[str], recipe: Callable[..., Path], tmp_path: Path
) -> None:
    gone.add("/B03.tif")
    out = tmp_path / "corpus"
    code, _ = run_build(recipe(), out, "--catalog", f"{url}/catalog.json", "--limit", "6", "--allow-failures")
    assert code == 1, "no sample of Sentinel-2 is left"
    corpus = landmark.open(out)
    assert {sample.sensor for sample in corpus} == {"s1"}
    assert corpus.manifest.dropped["allowed_failure"]
    assert {pair for pair in corpus.table["pair"].to_pylist() if pair is not None} <= set(corpus.ids)


def test_answers_with_another_range_cost_their_samples_only(
    url: str,
    shifted: set[str],
    sealed: Path,
    recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (http_file, remote_file):
        monkeypatch.setattr(module, "BACKOFF_S", (0.01,) * len(remote_file.BACKOFF_S))
    truth = landmark.open(sealed)
    (item,) = truth[next(id for id in truth.ids if id.startswith("s1"))].items[:1]
    shifted.add(f"/{item}/vv.tif")
    build(few(recipe(), tmp_path / "url", catalog=f"{url}/catalog.json", allow_failures=True))
    corpus, ledger = landmark.open(tmp_path / "url"), pq.read_table(tmp_path / "url" / "ledger.parquet").to_pylist()
    lost = {row["id"] for row in ledger if row["stage"] == "extract"}
    assert lost == {id for id in truth.ids if item in truth[id].items}
    for id in corpus.ids:
        sample, right = corpus[id], truth[id]
        assert np.array_equal(sample.mask, right.mask)
        pixels = (sample.s1, right.s1) if sample.s2 is None else (sample.s2, right.s2)
        assert np.array_equal(*pixels, equal_nan=True)
