"""`landmark build --format`."""

import json


def test_format_is_added_to_a_sealed_corpus(landmark, recipe, tmp_path):
    out = tmp_path / "corpus"
    command = ("build", recipe(), "--out", out, "--limit", 2, "--workers", 0)
    assert landmark(*command)[0] == 0
    assert not list(out.rglob("*.tar"))
    code, page, err = landmark(*command, "--format", "parquet,webdataset")
    tars = list(out.rglob("*.tar"))
    assert code == 0, err
    assert tars and f"webdataset: {len(tars)}" in page
    code, document, _ = landmark(*command, "--json")
    assert (code, len(json.loads(document)["exports"])) == (0, len(tars))


def test_second_format_changes_only_the_disk_space_of_a_plan(landmark, recipe, tmp_path):
    command = ("plan", recipe(), "--out", tmp_path / "corpus", "--limit", 2, "--workers", 0, "--json", "--format")
    single, double = (json.loads(landmark(*command, formats)[1]) for formats in ("parquet", "parquet,webdataset"))
    assert double["corpus_bytes"] > 2 * single["corpus_bytes"]
    assert {**double, "corpus_bytes": 0} == {**single, "corpus_bytes": 0}
