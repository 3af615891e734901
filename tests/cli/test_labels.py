"""`landmark labels` and `landmark sheet`."""

import ast
import json
from pathlib import Path

import pytest

from landmark.core.errors import InputError, InvalidCorpus, UnknownName
from tests.labels.clms import MAP, Clms, serving, write_profile


def test_fetch_orders_a_map_and_prints_the_option_to_build_with(landmark, tmp_path):
    clms = Clms()
    with serving(clms):
        (tmp_path / "key.json").write_text(json.dumps(clms.service_key()))
        source = write_profile(clms, tmp_path / "corine.yaml")
        code, out, err = landmark("labels", "fetch", source, "--key", tmp_path / "key.json", "--out", "maps")
    assert code == 0, err
    assert Path(out.strip()).read_bytes() == MAP
    assert "--labels corine=maps/U2018_CLC2018_V2020_20u1.tif" in err


@pytest.mark.parametrize(
    ("arguments", "kind", "file", "value"),
    [
        (["corine"], InputError, "--key", None),
        (["corine", "--key", "nothing.json"], InputError, "--key", "nothing.json"),
        (["corin"], UnknownName, None, "corin"),
    ],
)
def test_missing_key_or_source_is_refused_before_any_request(refusal, arguments, kind, file, value):
    error = refusal("labels", "fetch", *arguments)
    assert (type(error), error.file, error.value) == (kind, file, value)
    assert error.remedy


def test_script_is_written_from_a_plan(landmark, refusal, recipe):
    assert landmark("plan", recipe(), "--limit", 3, "--workers", 0)[0] == 0
    code, out, err = landmark("labels", "script", "corpora/tiny")
    assert code == 0, err
    ast.parse(Path(out.strip()).read_text())
    error = refusal("labels", "script", "corpora/none")
    assert (type(error), error.file) == (InvalidCorpus, "corpora/none")


def test_suffix_of_a_sheet_chooses_the_format(landmark, refusal, recipe):
    assert landmark("build", recipe(), "--limit", 3, "--workers", 0)[0] == 0
    for name, start in (("a.html", b"<!doctype html>"), ("a.png", b"\x89PNG")):
        assert landmark("sheet", "corpora/tiny", "--out", name)[0] == 0
        assert Path(name).read_bytes().startswith(start)
    assert "nowhere/a.html" in refusal("sheet", "corpora/tiny", "--out", "nowhere/a.html").file
