"""`landmark build --format`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run

Write = Callable[..., Path]


def test_the_command_adds_a_format_to_a_sealed_corpus_and_says_so(landmark: Run, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    line = ("build", recipe(), "--out", out, "--limit", 2, "--workers", 0)
    assert landmark(*line)[0] == 0
    assert not list(out.rglob("*.tar"))
    code, said, err = landmark(*line, "--format", "parquet,webdataset")
    tars = list(out.rglob("*.tar"))
    assert code == 0, err
    assert tars and f"webdataset: {len(tars)} .tar files" in said
    code, said, _ = landmark(*line, "--json")
    assert (code, len(json.loads(said)["projections"])) == (0, len(tars))


def test_a_plan_of_two_formats_needs_more_disk_and_is_the_same_plan(
    landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    line = ("plan", recipe(), "--out", tmp_path / "corpus", "--limit", 2, "--workers", 0, "--json")
    one, two = (json.loads(landmark(*line, "--format", formats)[1]) for formats in ("parquet", "parquet,webdataset"))
    assert two["corpus_bytes"] > 2 * one["corpus_bytes"]
    assert {**two, "corpus_bytes": 0} == {**one, "corpus_bytes": 0}


@pytest.mark.parametrize(
    ("formats", "words"),
    [("webdataset", ("Parquet is the corpus", "add parquet")), ("parquet,zarr", ("formats.1", "zarr", "webdataset"))],
)
def test_a_wrong_format_is_refused(formats: str, words: tuple[str, ...], landmark: Run, recipe: Write) -> None:
    code, out, err = landmark("build", recipe(), "--format", formats, "--workers", 0)
    assert (code, out) == (2, "")
    assert all(word in err for word in words), err
    assert not list(Path.cwd().iterdir())
