"""`landmark check`: exit codes, reports, baselines, samples of cells, and damaged files."""

import json
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark.core.errors import InputError, InvalidCorpus
from landmark.core.executor import ExecutorConfig
from landmark.corpus.pixel_columns import PIXELS
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.quality.findings import read_report
from tests.conftest import Run
from tests.quality.test_check_profile import ALL_CHECKS


def report_of(path, rules=None, **options):
    return check(path, load_check_profile(rules), executor=ExecutorConfig(), **options)


def flagged(report, name):
    """Subjects that a check reports."""
    return {subject for finding in report.checks[name].findings for subject in finding.subjects}


def first_shard(corpus, sensor="s2"):
    return min((corpus / "shards" / "g0000").glob(f"{sensor}-train-*.parquet"))


def rewrite(path, change):
    """Change the table of a shard, but neither manifest nor index."""
    pq.write_table(change(pq.read_table(path)), path, row_group_size=64)


def replaced(name, value):
    """Change one value of the first row, and make its column nullable."""

    def change(table):
        place, values = table.schema.get_field_index(name), table[name].to_pylist()
        field = table.schema.field(name).with_nullable(True)
        return table.set_column(place, field, pa.array([value, *values[1:]], field.type))

    return change


# -- command line ------------------------------------------------------------------------------------------------------


def test_a_clean_corpus_exits_0(sealed, landmark: Run):
    code, out, _ = landmark("check", sealed, "--workers", 0)
    assert code == 0 and out.startswith("tiny: ")
    assert not {"error", "warning"} & {line.split()[0] for line in out.splitlines()}


def test_findings_exit_1_and_name_check_and_subject(corpus, landmark: Run):
    path = first_shard(corpus)
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = landmark("check", corpus, "--workers", 0)
    assert code == 1
    assert "error    shards:" in out and path.relative_to(corpus).as_posix() in out
    assert load_check_profile().checks["shards"].remedy in out


@pytest.mark.parametrize("content", [None, b'{"format": 1'], ids=["missing", "cut short"])
def test_a_folder_without_a_manifest_exits_2(tmp_path, landmark: Run, content):
    if content is not None:
        (tmp_path / "corpus.json").write_bytes(content)
    code, out, err = landmark("check", tmp_path, "--workers", 0)
    assert (code, out) == (2, "") and "corpus.json" in err


def test_warnings_exit_1_unless_only_errors_fail(corpus, landmark: Run, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("checks: {repetition: {limits: {max_share_pct: 1, min_samples: 5}}}")
    command = ("check", corpus, "--rules", rules, "--workers", 0)
    assert landmark(*command)[0] == 1
    code, out, _ = landmark(*command, "--fail-on", "error")
    assert code == 0 and "warning  repetition" in out


def test_json_junit_and_baseline_agree(corpus, landmark: Run, tmp_path):
    (corpus / "index.parquet").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--json", "--junit", tmp_path / "junit.xml")
    (tmp_path / "base.json").write_text(out)
    assert code == 1 and set(json.loads(out)["checks"]) == ALL_CHECKS
    suites = ElementTree.parse(tmp_path / "junit.xml").findall("testsuite")
    cases = {case.get("name"): case for suite in suites for case in suite}
    assert cases.keys() == ALL_CHECKS and cases["split-events"].find("skipped") is not None
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["index"]
    assert sum(int(suite.get("failures")) for suite in suites) == 1
    # Only findings that the baseline lacks are reported.
    assert landmark("check", corpus, "--workers", 0, "--against", tmp_path / "base.json")[0] == 0
    (corpus / "queries.jsonl").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--against", tmp_path / "base.json")
    assert code == 1 and "error    queries" in out and "error    index" not in out


def test_a_baseline_can_be_a_corpus(sealed, corpus, landmark: Run):
    (corpus / "index.parquet").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--against", sealed, "--json")
    assert code == 1 and json.loads(out)["checks"]["index"]["findings"]
    code, out, _ = landmark("check", sealed, "--workers", 0, "--against", corpus, "--json")
    assert code == 0 and json.loads(out)["fixed"] == 1


@pytest.mark.parametrize(("option", "value"), [("--junit", "none/j.xml"), ("--against", "none.json")])
def test_missing_paths_are_refused_before_the_pass(sealed, landmark: Run, option, value):
    code, out, err = landmark("check", sealed, "--workers", 0, option, value)
    assert (code, out) == (2, "") and option in err


def test_a_file_is_not_a_corpus(sealed, landmark: Run):
    code, out, err = landmark("check", sealed / "corpus.json", "--workers", 0)
    assert (code, out) == (2, "") and "Traceback" not in err


def test_reports_with_different_options_or_a_baseline_are_not_comparable(corpus):
    report, sampled = report_of(corpus, share=0.5), report_of(corpus, share=0.4)
    for baseline in (sampled, report.minus_baseline(report)):
        with pytest.raises(InputError) as caught:
            report.minus_baseline(baseline)
        assert caught.value.file == "--against"


def test_unprintable_characters_are_replaced(corpus, landmark: Run, tmp_path):
    def damage(table):
        first = table["captions"].to_pylist()[0]
        return replaced("captions", [{**first[0], "text": "{\x0b\x00"}, *first[1:]])(table)

    rewrite(first_shard(corpus), damage)
    code, out, _ = landmark("check", corpus, "--workers", 0, "--junit", tmp_path / "junit.xml")
    assert code == 1 and "\x0b" not in out and "\x00" not in out
    assert ElementTree.parse(tmp_path / "junit.xml").find(".//testcase[@name='captions']/failure") is not None


def test_a_report_can_be_read_back(corpus, tmp_path):
    report, path = report_of(corpus, share=0.1), tmp_path / "report.json"
    path.write_text(report.model_dump_json())
    assert read_report(path) == report
    path.write_text("{}")
    for wrong in (path, tmp_path / "none.json"):
        with pytest.raises(InputError) as caught:
            read_report(wrong)
        assert caught.value.file == str(wrong)


def test_a_check_that_is_off_is_left_out(corpus, tmp_path):
    (corpus / "index.parquet").unlink()
    rules = tmp_path / "rules.yaml"
    rules.write_text("checks: {index: {severity: off}, ids: {severity: off}}")
    report = report_of(corpus, rules, share=0.1)
    assert not {"index", "ids"} & report.checks.keys() and not report.findings("warning")


# -- the pass over the shards ------------------------------------------------------------------------------------------


def test_the_report_does_not_depend_on_the_workers(corpus):
    rewrite(first_shard(corpus), lambda table: table.slice(1))
    serial = report_of(corpus)
    assert serial.findings("error")
    assert check(corpus, load_check_profile(), executor=ExecutorConfig(workers=2)) == serial


def test_a_sample_measures_a_share_of_cells_and_hashes_no_file(corpus):
    full, part, again, reseeded = (
        report_of(corpus, share=share, seed=seed) for share, seed in ((1.0, 0), (0.3, 0), (0.3, 0), (0.3, 1))
    )
    assert full.pixels_read == full.samples == part.samples
    assert 0 < part.pixels_read < full.samples and part == again and part.pixels_read != reseeded.pixels_read
    path = first_shard(corpus)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # a bit of the footer: another SHA-256, and possibly unreadable
    path.write_bytes(bytes(data))
    assert flagged(report_of(corpus), "shards") == {path.relative_to(corpus).as_posix()}


def test_a_check_writes_nothing(sealed):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sealed.rglob("*")}
    report_of(sealed)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sealed.rglob("*")} == before


def without_fractions(table):
    return table.drop_columns("fractions")


def with_wider_type(table):
    place = table.schema.get_field_index("valid_pct")
    return table.set_column(place, "valid_pct", table["valid_pct"].cast(pa.float64()))


def with_extra_column(table):
    return table.append_column("source_url", pa.array(["x"] * table.num_rows))


def with_invalid_utf8(table):
    place = table.schema.get_field_index("product")
    raw = [b"M\xfcnchen", *(text.encode() for text in table["product"].to_pylist()[1:])]
    return table.set_column(place, table.schema.field(place), pa.array(raw, pa.binary()).view(pa.string()))


@pytest.mark.parametrize(
    ("change", "name", "subject"),
    [
        (without_fractions, "schema", "shard"),
        (with_wider_type, "schema", "shard"),
        (with_extra_column, "schema", "shard"),
        (replaced("labels", None), "schema", "shard"),
        (replaced("s2_x1", None), "schema", "shard"),
        (with_invalid_utf8, "shards", "shard"),
        (replaced("epsg", 999_999), "placement", "sample"),
        (replaced("transform", [float("nan")] * 6), "placement", "sample"),
        (replaced("labels", [None, "trees"]), "queries", "queries"),  # the check itself fails
    ],
)
def test_damaged_rows_are_findings_and_the_rest_is_checked(corpus, change, name, subject):
    path = first_shard(corpus)
    subjects = {"shard": path.relative_to(corpus).as_posix(), "sample": pq.read_table(path)["id"][0].as_py()}
    rewrite(path, change)
    report = report_of(corpus, share=0.1)
    assert flagged(report, name) == {subjects.get(subject, subject)}
    assert report.samples and not flagged(report, "split-cells")


def damage_page(corpus, path, column=0):
    """Change a byte of the first sample's page of a pixel column; return the sample's id."""
    index = pq.read_table(corpus / "index.parquet", filters=[("id", "=", pq.read_table(path)["id"][0].as_py())])
    (row,) = index.to_pylist()
    data = bytearray(path.read_bytes())
    data[row["page_offsets"][column] + row["page_bytes"][column] - 1] ^= 1
    path.write_bytes(data)
    return row["id"]


def test_a_damaged_page_is_reported_by_sample_and_all_others_are_measured(corpus):
    path = first_shard(corpus)
    id = damage_page(corpus, path, column=1)
    report = report_of(corpus)
    assert flagged(report, "shards") == {path.relative_to(corpus).as_posix(), id}
    assert report.pixels_read == report.samples - 1


def test_an_index_that_locates_other_pages_is_reported(corpus):
    table = pq.read_table(corpus / "index.parquet")
    place, offsets = table.schema.get_field_index("page_offsets"), table["page_offsets"].to_pylist()
    wrong = pa.array([offsets[1], *offsets[1:]], table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), wrong), corpus / "index.parquet")
    manifest = json.loads((corpus / "corpus.json").read_text())
    assert flagged(report_of(corpus, share=0.1), "index") == {manifest["shards"][0]["path"]}


def test_an_index_that_describes_other_pixels_is_reported(corpus):
    table = pq.read_table(corpus / "index.parquet")
    described = table.schema.metadata[PIXELS].replace(b"dB of gamma0", b"dB of sigma0")
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, PIXELS: described}), corpus / "index.parquet"
    )
    manifest = json.loads((corpus / "corpus.json").read_text())
    radar = {shard["path"] for shard in manifest["shards"] if shard["sensor"] == "s1"}
    assert flagged(report_of(corpus, share=0.1), "index") == radar


def test_a_shard_without_pages_of_single_samples_is_reported_and_measured(corpus):
    path = first_shard(corpus)
    pq.write_table(pq.read_table(path), path, row_group_size=8)
    report = report_of(corpus)
    problems = [finding.problem for finding in report.checks["shards"].findings]
    assert len(problems) == 3 and flagged(report, "shards") == {path.relative_to(corpus).as_posix()}
    assert report.pixels_read == report.samples and not flagged(report, "pixel-digest")


def test_rows_with_nulls_are_left_out(corpus):
    id = pq.read_table(first_shard(corpus))["id"][0].as_py()
    rewrite(first_shard(corpus), replaced("labels", None))
    assert flagged(report_of(corpus, share=0.1), "ledger") == {id}


def test_a_corpus_without_a_readable_shard_cannot_be_checked(corpus):
    for path in (corpus / "shards").rglob("*.parquet"):
        path.write_bytes(b"no Parquet")
    with pytest.raises(InvalidCorpus) as caught:
        report_of(corpus)
    assert caught.value.file == str(corpus)


# -- documents ---------------------------------------------------------------------------------------------------------


def change_manifest(corpus, **changes):
    path = corpus / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_digests_and_statistics_of_the_manifest_are_verified(corpus):
    manifest = json.loads((corpus / "corpus.json").read_text())
    first, *rest = manifest["shards"]
    shards = [{**first, "content_digest": "0" * 64}, *rest]
    change_manifest(corpus, statistics={}, split_proof={**manifest["split_proof"], "closest_m": 9}, shards=shards)
    report = report_of(corpus)
    assert flagged(report, "shards") == {first["path"]}
    assert len(flagged(report, "statistics")) == 14
    assert flagged(report, "manifest") == {"corpus.json"}


def test_the_lock_of_another_corpus_is_reported_and_not_used(corpus):
    path = corpus / "lock.json"
    lock = json.loads(path.read_text())
    path.write_text(json.dumps({**lock, "recipe": {**lock["recipe"], "labels": None}}))
    assert flagged(report_of(corpus, share=0.1), "manifest") == {"lock.json"}


def test_tokens_in_the_ledger_and_local_paths_in_the_card_are_reported(corpus):
    ledger = pq.read_table(corpus / "ledger.parquet")
    row = {"id": "x", "acquisition": "", "stage": "stac", "reason": "cloud", "detail": "a.tif?sig=AAAAAAAA"}
    added = pa.Table.from_pylist([{**row, "final": True}], schema=ledger.schema)
    pq.write_table(pa.concat_tables([ledger, added]), corpus / "ledger.parquet")
    with (corpus / "README.md").open("a") as card:
        card.write("\nMade in /home/ada/corpora.\n")
    assert flagged(report_of(corpus, share=0.1), "secrets") == {"ledger.parquet", "README.md"}


def test_captions_are_checked_against_the_taxonomy_of_the_corpus(corpus):
    taxonomy = json.loads((corpus / "corpus.json").read_text())["taxonomy"]
    crops = {**taxonomy["classes"]["crops"], "name": {"en": "Tilled"}, "phrase": {"en": "tilled land"}}
    change_manifest(corpus, taxonomy={**taxonomy, "classes": {**taxonomy["classes"], "crops": crops}})
    report = report_of(corpus, share=0.1)
    assert flagged(report, "captions") and flagged(report, "queries")
