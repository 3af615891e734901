"""The gate as people call it: exit codes, reports, rules, samples, a base to compare with, and broken files."""

import json
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark.core.errors import InputError, InvalidCorpus
from landmark.core.executor import ExecutorConfig
from landmark.core.yaml_files import find_resource, load_model
from landmark.quality.check import JUDGES, check
from landmark.quality.check_profile import KIND, CheckProfile, load_check_profile
from landmark.quality.findings import read_report
from landmark.quality.row_checks import ROW_CHECKS
from tests.conftest import Run

# Beside these, what the pass itself tells of files.
KNOWN_CHECKS = JUDGES.keys() | ROW_CHECKS.keys() | {"schema", "pixel-digest"}


def report_of(path, **options):
    return check(path, load_check_profile(), where=ExecutorConfig(), **options)


def flagged(report, name):
    """What a check says → the subjects it says it of."""
    return {finding.what: set(finding.subjects) for finding in report.checks[name].findings}


def first_shard(corpus, sensor="s2"):
    return min((corpus / "shards" / "g0000").glob(f"{sensor}-train-*.parquet"))


def rewrite(path, change):
    """A shard with its table changed; neither manifest nor index hears of it."""
    pq.write_table(change(pq.read_table(path)), path, row_group_size=64)


# -- as a command ------------------------------------------------------------------------------------------------------


def test_a_clean_corpus_exits_0_and_says_so(sealed, landmark: Run):
    code, out, _ = landmark("check", sealed, "--workers", 0)
    assert code == 0
    assert out.splitlines()[0].startswith("tiny: ") and "pixels of" in out
    assert "  error " not in out and "  warning " not in out


def test_findings_exit_1_and_name_check_subject_figures_and_remedy(corpus, landmark: Run):
    path = first_shard(corpus)
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = landmark("check", corpus, "--workers", 0)
    assert code == 1
    assert "error    shards: a shard is not as long as the manifest says (1)" in out
    assert path.relative_to(corpus).as_posix() in out and "bytes, not" in out and "→ Copy the named files again" in out


def test_what_is_no_corpus_exits_2(tmp_path, landmark: Run):
    code, out, err = landmark("check", tmp_path, "--workers", 0)
    assert (code, out) == (2, "") and "corpus.json is missing" in err


def test_a_manifest_cut_short_exits_2_and_names_the_file(corpus, landmark: Run):
    path = corpus / "corpus.json"
    path.write_bytes(path.read_bytes()[:100])
    code, _, err = landmark("check", corpus, "--workers", 0)
    assert code == 2 and "corpus.json: not a landmark manifest" in err


def test_warnings_end_with_1_unless_only_errors_shall(corpus, landmark: Run, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("checks: {repetition: {limits: {max_share_pct: 1, min_samples: 5}}}")
    line = ("check", corpus, "--rules", rules, "--workers", 0)
    assert landmark(*line)[0] == 1
    code, out, _ = landmark(*line, "--fail-on", "error")
    assert code == 0 and "warning  repetition" in out


def test_json_is_a_report_that_junit_and_against_agree_with(corpus, landmark: Run, tmp_path):
    (corpus / "index.parquet").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--json", "--junit", tmp_path / "junit.xml")
    (tmp_path / "base.json").write_text(out)
    assert code == 1 and set(json.loads(out)["checks"]) == KNOWN_CHECKS
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    assert cases.keys() == KNOWN_CHECKS
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["index"]
    assert cases["split-events"].find("skipped").get("message") == "no sample has an event"
    suites = ElementTree.parse(tmp_path / "junit.xml").findall("testsuite")
    assert sum(int(suite.get("failures")) for suite in suites) == 1
    # Known already, the finding is no news; another one is.
    assert landmark("check", corpus, "--workers", 0, "--against", tmp_path / "base.json")[0] == 0
    (corpus / "queries.jsonl").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--against", tmp_path / "base.json")
    assert code == 1 and "queries" in out and "error    index" not in out


def test_against_a_corpus_reports_what_changed_and_what_was_mended(sealed, corpus, landmark: Run):
    (corpus / "index.parquet").unlink()
    code, out, _ = landmark("check", corpus, "--workers", 0, "--against", sealed)
    assert code == 1 and "index: the index is missing" in out
    code, out, _ = landmark("check", sealed, "--workers", 0, "--against", corpus)
    assert code == 0 and "1 flags are gone" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--junit", "none/j.xml"), ("--junit none/j.xml", "no folder none")),
        (("--against", "none.json"), ("--against none.json", "no such report or corpus")),
    ],
)
def test_what_cannot_be_written_or_read_is_refused_before_the_pass(sealed, landmark: Run, arguments, words):
    code, out, err = landmark("check", sealed, "--workers", 0, *arguments)
    assert (code, out) == (2, "") and all(word in err for word in words)


def test_a_file_in_place_of_a_corpus_cannot_be_checked(sealed, landmark: Run):
    code, out, err = landmark("check", sealed / "corpus.json", "--workers", 0)
    assert (code, out) == (2, "") and "Traceback" not in err


def test_reports_of_other_terms_cannot_be_compared(sealed, landmark: Run, tmp_path):
    _, out, _ = landmark("check", sealed, "--workers", 0, "--json")
    (tmp_path / "base.json").write_text(out)
    code, _, err = landmark("check", sealed, "--workers", 0, "--sample", 0.5, "--against", tmp_path / "base.json")
    assert code == 2 and "other --rules, --sample or --seed" in err
    _, out, _ = landmark("check", sealed, "--workers", 0, "--json", "--against", tmp_path / "base.json")
    (tmp_path / "rest.json").write_text(out)
    code, _, err = landmark("check", sealed, "--workers", 0, "--against", tmp_path / "rest.json")
    assert code == 2 and "was itself made with --against" in err


# -- rules -------------------------------------------------------------------------------------------------------------


def test_the_shipped_rules_are_those_of_the_checks():
    assert load_model(CheckProfile, KIND, "default").checks.keys() == KNOWN_CHECKS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checks: {pears: {severity: off}}", ("no such check", "did you mean `pairs`")),
        ("checks: {balance: {limits: {min_share: 2}}}", ("no such limit", "did you mean `min_share_pct`")),
        ("checks: {balance: {severity: loud}}", ("checks.balance.severity", "loud")),
        ("checks: {balance: {limits: {min_share_pct: much}}}", ("min_share_pct", "much")),
        ("checks: [balance]", ("checks", "balance")),
    ],
)
def test_a_wrong_rules_file_is_refused_by_key_and_value(tmp_path, text, words):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_check_profile(path)
    assert all(word in str(error.value) for word in (str(path), *words))


def test_rules_of_a_file_change_what_they_name_and_nothing_else(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("checks: {balance: {severity: off}, agreement: {severity: error, limits: {min_mean_pct: 7}}}")
    shipped, mine = load_check_profile(), load_check_profile(path)
    assert (
        mine.checks["balance"].severity == "off" and mine.checks["balance"].limits == shipped.checks["balance"].limits
    )
    assert mine.checks["agreement"].severity == "error" and mine.checks["agreement"].limits["min_mean_pct"] == 7
    assert mine.checks["agreement"].limits["min_samples"] == shipped.checks["agreement"].limits["min_samples"]
    untouched = shipped.checks.keys() - {"balance", "agreement"}
    assert all(mine.checks[name] == shipped.checks[name] for name in untouched)


def test_a_check_that_is_off_is_not_made(corpus, tmp_path):
    (corpus / "index.parquet").unlink()
    path = tmp_path / "rules.yaml"
    path.write_text("checks: {index: {severity: off}, ids: {severity: off}}")
    report = check(corpus, load_check_profile(path), where=ExecutorConfig())
    assert not {"index", "ids"} & report.checks.keys() and not report.findings("warning")


# -- the pass ----------------------------------------------------------------------------------------------------------


def test_the_report_is_the_same_wherever_the_shards_are_read(corpus):
    rewrite(first_shard(corpus), lambda table: table.slice(1))
    serial = report_of(corpus)
    assert serial.findings("error")
    assert check(corpus, load_check_profile(), where=ExecutorConfig(workers=2)) == serial


def test_a_sample_reads_some_cells_of_both_sensors_and_hashes_nothing(corpus):
    whole, some, same, other = (report_of(corpus, share=share, seed=seed) for share, seed in
                                ((1.0, 0), (0.3, 0), (0.3, 0), (0.3, 1)))  # fmt: skip
    assert whole.pixels_read == whole.samples == some.samples
    assert 0 < some.pixels_read < whole.samples and some == same and some.pixels_read != other.pixels_read
    path = first_shard(corpus)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # the footer's own metadata: another SHA-256, still readable or not
    path.write_bytes(bytes(data))
    assert "a shard's bytes are not those that were sealed" in flagged(report_of(corpus), "shards")
    assert "a shard's bytes are not those that were sealed" not in flagged(report_of(corpus, share=0.3), "shards")


def test_a_check_writes_nothing(sealed):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sealed.rglob("*")}
    report_of(sealed)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sealed.rglob("*")} == before


def test_a_shard_without_a_column_of_facts_is_named_and_the_rest_is_judged(corpus):
    path = first_shard(corpus)
    rewrite(path, lambda table: table.drop_columns("fractions"))
    report = report_of(corpus)
    assert flagged(report, "schema") == {"column fractions is missing": {path.relative_to(corpus).as_posix()}}
    assert report.samples and flagged(report, "captions") == {}


def test_a_wider_type_is_named_and_its_rows_are_judged_all_the_same(corpus):
    path = first_shard(corpus)

    def widen(table):
        place = table.schema.get_field_index("valid_pct")
        return table.set_column(place, "valid_pct", table["valid_pct"].cast(pa.float64()))

    rewrite(path, widen)
    report = report_of(corpus)
    assert "column valid_pct is of another type" in flagged(report, "schema")
    assert report.samples == report_of(corpus, share=0.5).samples and flagged(report, "captions") == {}


def test_rows_with_nulls_are_named_and_left_out(corpus):
    path = first_shard(corpus)
    rows = pq.read_table(path).num_rows

    def hollow(table):
        place = table.schema.get_field_index("labels")
        values = [None, *table["labels"].to_pylist()[1:]]
        return table.set_column(
            place, pa.field("labels", pa.list_(pa.string())), pa.array(values, pa.list_(pa.string()))
        )

    rewrite(path, hollow)
    report = report_of(corpus)
    assert "column labels has nulls" in flagged(report, "schema")
    assert flagged(report, "ledger")["a planned sample is neither written nor in the ledger"] and rows


def test_a_corpus_none_of_whose_shards_can_be_read_cannot_be_checked(corpus):
    for path in (corpus / "shards").rglob("*.parquet"):
        path.write_bytes(b"no Parquet")
    with pytest.raises(InvalidCorpus, match="not one sample of its"):
        report_of(corpus)


def test_garbage_in_a_row_is_a_finding_and_no_crash(corpus):
    def spoil(table):
        place = table.schema.get_field_index("transform")
        values = [[float("nan")] * 6, *table["transform"].to_pylist()[1:]]
        return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))

    rewrite(first_shard(corpus), spoil)
    assert flagged(report_of(corpus), "placement")


def test_a_report_is_read_back_as_it_was_written_and_nothing_else_is(corpus, tmp_path):
    report = report_of(corpus)
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json())
    assert read_report(path) == report
    path.write_text("{}")
    with pytest.raises(InputError, match="not a report"):
        read_report(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "none.json")


def test_every_rule_says_what_a_corpus_has_and_what_to_do():
    for name, rule in load_check_profile().checks.items():
        assert rule.requirement.endswith(".") and rule.remedy.endswith("."), name
    assert find_resource(KIND, "default").is_file()


def replaced(table, name, value, *, row=0):
    """A table with one value changed, its column as wide as that needs."""
    place, values = table.schema.get_field_index(name), table[name].to_pylist()
    values[row] = value
    field = table.schema.field(name).with_nullable(True)
    return table.set_column(place, field, pa.array(values, field.type))


def test_pixels_that_are_not_there_are_named(corpus):
    rewrite(first_shard(corpus, "s1"), lambda table: replaced(table, "s1", None))
    assert "column s1 has nulls" in flagged(report_of(corpus), "schema")


def test_a_column_nobody_asked_for_is_named(corpus):
    path = first_shard(corpus)
    rewrite(path, lambda table: table.append_column("source_url", pa.array(["x"] * table.num_rows)))
    what = flagged(report_of(corpus), "schema")
    assert what == {"column source_url is not one of a shard's": {path.relative_to(corpus).as_posix()}}


def test_bytes_that_are_no_text_are_a_finding_and_no_crash(corpus):
    def spoil(table):
        place = table.schema.get_field_index("product")
        raw = [b"M\xfcnchen", *(text.encode() for text in table["product"].to_pylist()[1:])]
        return table.set_column(place, table.schema.field(place), pa.array(raw, pa.binary()).view(pa.string()))

    rewrite(first_shard(corpus), spoil)
    assert "a shard cannot be read to its end" in flagged(report_of(corpus), "shards")


def test_a_crs_nobody_knows_is_a_finding_and_no_crash(corpus):
    rewrite(first_shard(corpus), lambda table: replaced(table, "epsg", 999_999))
    assert "a row cannot be judged" in flagged(report_of(corpus), "placement")


def test_a_judge_that_falls_over_is_a_finding_and_no_crash(corpus, monkeypatch):
    def fall(evidence, limits):
        raise RuntimeError("no such projection")

    monkeypatch.setitem(JUDGES, "balance", fall)
    assert flagged(report_of(corpus), "balance") == {"the corpus cannot be judged": {"balance"}}


def test_what_no_terminal_and_no_xml_can_hold_is_replaced(corpus, landmark: Run, tmp_path):
    def spoil(table):
        first = table["captions"].to_pylist()[0]
        return replaced(table, "captions", [{**first[0], "text": "{\x0b\x00"}, *first[1:]])

    rewrite(first_shard(corpus), spoil)
    code, out, _ = landmark("check", corpus, "--workers", 0, "--junit", tmp_path / "junit.xml")
    assert code == 1 and "\x0b" not in out and "\x00" not in out
    assert ElementTree.parse(tmp_path / "junit.xml").find(".//testcase[@name='captions']/failure") is not None


def manifest_with(corpus, **changes):
    path = corpus / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_digests_and_statistics_the_manifest_only_claims_are_found_out(corpus):
    shards = json.loads((corpus / "corpus.json").read_text())["shards"]
    manifest_with(corpus, statistics={}, proof={}, shards=[{**shards[0], "content": "0" * 64}, *shards[1:]])
    report = report_of(corpus)
    assert flagged(report, "shards") == {"a shard's content digest is not that of its rows": {shards[0]["path"]}}
    assert len(flagged(report, "statistics")["statistics are not those of the pixels"]) == 14
    assert {"the content digest is not that of the shards", "proof is not the lock's"} <= set(
        flagged(report, "manifest")
    )


def test_a_lock_of_another_corpus_is_said_and_nothing_is_taken_from_it(corpus):
    path = corpus / "lock.json"
    lock = json.loads(path.read_text())
    path.write_text(json.dumps({**lock, "recipe": {**lock["recipe"], "labels": None}}))
    assert "the lock is not the one the manifest names" in flagged(report_of(corpus), "manifest")


def test_a_token_in_the_ledger_and_a_path_in_the_card_are_found(corpus):
    ledger = pq.read_table(corpus / "ledger.parquet")
    row = {"id": "x", "acquisition": "", "stage": "stac", "reason": "cloud", "detail": "a.tif?sig=AAAAAAAA"}
    added = pa.Table.from_pylist([{**row, "final": True}], schema=ledger.schema)
    pq.write_table(pa.concat_tables([ledger, added]), corpus / "ledger.parquet")
    with (corpus / "README.md").open("a") as card:
        card.write("\nMade in /home/ada/corpora.\n")
    found = flagged(report_of(corpus), "secrets")
    assert found == {"a token or a signed address": {"ledger.parquet"}, "a path of a machine": {"README.md"}}


def test_the_corpus_says_its_words_itself(corpus):
    """A taxonomy of one's own is judged by what it says, not by a shipped one of the same name."""
    said = json.loads((corpus / "corpus.json").read_text())["taxonomy"]
    crops = {**said["classes"]["crops"], "name": {"en": "Tilled"}, "phrase": {"en": "tilled land"}}
    manifest_with(corpus, taxonomy={**said, "classes": {**said["classes"], "crops": crops}})
    report = report_of(corpus)
    assert "a caption omits a class of the sample" in flagged(report, "captions")
    assert "queries or judgements do not follow from the labels" in flagged(report, "queries")
