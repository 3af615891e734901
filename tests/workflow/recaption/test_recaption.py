"""A corpus told anew: the same samples and pixels, no archive, whatever interrupts it."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.atomic import folder_lock
from landmark.core.errors import FolderLocked, InputError, InvalidCorpus
from landmark.core.executor import ExecutorConfig
from landmark.core.yaml_files import find_resource
from landmark.corpus.manifest import Manifest, read_document
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.finalize import reopen
from landmark.workflow.recaption import recaption, recipe_of
from tests.workflow.recaption.conftest import MORE, SERIAL, written


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def told(corpus, **changes):
    return recaption(corpus, recipe_of(corpus, changes), SERIAL)


def rows(corpus):
    manifest = read_document(Manifest, corpus / "corpus.json")
    return [row for shard in manifest.shards for row in pq.read_table(corpus / shard.path).to_pylist()]


def test_ids_order_splits_and_pixels_stay_and_no_old_file_changes(corpus):
    before, old = rows(corpus), files(corpus / "shards")
    shift = told(corpus, **{"thresholds.default": 15})
    after = rows(corpus)
    words = {"labels", "captions"}
    for one, other in zip(before, after, strict=True):
        assert {key: value for key, value in one.items() if key not in words} == {
            key: value for key, value in other.items() if key not in words
        }
        assert set(other["labels"]) == {key for key, share in other["fractions"] if share >= 0.15}
    assert {name: digest for name, digest in files(corpus / "shards").items() if name.startswith("g0000/")} == old
    assert shift.changed and shift.before != shift.after
    assert shift.after[""] == sum(not row["labels"] for row in after)


def test_what_is_told_anew_is_what_a_build_of_that_recipe_tells(corpus, sealed):
    told(corpus, **MORE)
    assert rows(corpus) == rows(sealed / "more")
    mine, theirs = (read_document(Manifest, each / "corpus.json") for each in (corpus, sealed / "more"))
    same = ("recipe_digest", "lock_digest", "ids", "labels", "queries", "statistics", "grammar", "taxonomy", "licences")
    assert {name: getattr(mine, name) for name in same} == {name: getattr(theirs, name) for name in same}
    assert [one.content for one in mine.shards] == [one.content for one in theirs.shards]
    assert [one.sha256 for one in mine.shards] == [one.sha256 for one in theirs.shards]


def test_no_raster_is_opened(corpus, monkeypatch):
    import rasterio

    def refused(*_, **__):
        raise AssertionError("a raster was opened")

    monkeypatch.setattr(rasterio, "open", refused)
    assert told(corpus, **{"thresholds.default": 9}).changed


def test_the_reader_the_gate_and_the_build_take_the_new_generation(corpus, tmp_path):
    told(corpus, **MORE)
    opened = landmark.open(corpus)
    assert {one["lang"] for one in next(iter(opened)).captions} == {"en", "fr", "es"}
    report = check(corpus, load_check_profile(), executor=SERIAL)
    assert [one.problem for one in report.findings() if one.severity == "error"] == []
    stood = files(corpus)
    manifest = build(BuildRequest(load_recipe(str(written(tmp_path, **MORE))), corpus, SERIAL))
    assert manifest == opened.manifest and files(corpus) == stood


def files_flagged_by_check(corpus):
    report = check(corpus, load_check_profile(), executor=SERIAL)
    return {subject for finding in report.checks["shards"].findings for subject in finding.subjects}


def test_generations_follow_one_another_and_the_gate_knows_them_all(corpus):
    told(corpus, **{"thresholds.default": 10})
    told(corpus, languages=["fr"])
    manifest = landmark.open(corpus).manifest
    assert {one.generation for one in manifest.shards} == {2}
    assert [{shard.generation for shard in one.shards} for one in manifest.superseded] == [{0}, {1}]
    assert load_recipe_of(corpus)["thresholds"]["default"] == 10
    assert files_flagged_by_check(corpus) == set()
    spoiled = corpus / manifest.superseded[0].shards[0].path
    spoiled.write_bytes(spoiled.read_bytes() + b"x")
    assert files_flagged_by_check(corpus) == {spoiled.relative_to(corpus).as_posix()}
    for shard in manifest.superseded[1].shards:
        (corpus / shard.path).unlink()
    assert "a shard is missing" not in found


def load_recipe_of(corpus):
    return json.loads((corpus / "lock.json").read_text())["recipe"]


def test_nothing_to_change_changes_nothing(corpus):
    stood = files(corpus)
    assert not told(corpus).changed and files(corpus) == stood
    told(corpus, **{"thresholds.default": 10})
    stood = files(corpus)
    assert not told(corpus, **{"thresholds.default": 10}).changed and files(corpus) == stood


def test_a_dry_run_tells_and_writes_nothing(corpus, landmark):
    stood = files(corpus)
    code, out, _ = landmark("recaption", corpus, "--set", "thresholds.default=15", "--dry-run", "--workers", 0)
    assert code == 0 and "nothing was written" in out and files(corpus) == stood
    real = told(corpus, **{"thresholds.default": 15})
    for key, count in real.after.items():
        assert f"→ {count:>7}" in next(line for line in out.splitlines() if line.startswith(key or "no label"))


_KILLED = """
import os, signal, sys
from pathlib import Path
from landmark import recaptioning as work
from landmark.pack import documents
from landmark.run import Where
from tests.workflow.recaption.conftest import MORE, SERIAL, written
corpus, stage = Path(sys.argv[1]), sys.argv[2]
calls = 0
def killing(name):
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr({"reword": work, "rewrite_documents": work.pack}.get(name, documents), name, die)
if stage in ("second", "third"):
    true = work.reword
    def reword(task):
        global calls
        calls += 1
        if calls == (2 if stage == "second" else 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return true(task)
    work.reword = reword
else:
    killing(stage)
threshold = float(sys.argv[3]) if len(sys.argv) > 3 else 10
work.recaption(corpus, work.recipe_of(corpus, {"thresholds.default": threshold}), Where())
"""


def killed(corpus, stage, threshold=10):
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(corpus), stage, str(threshold)], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stage", ["reword", "second", "rewrite_documents", "write_manifest"])
def test_killed_and_run_again_gives_the_same(corpus, sealed, tmp_path, stage):
    shutil.copytree(sealed / "plain", tmp_path / "whole")
    told(tmp_path / "whole", **{"thresholds.default": 10})
    killed(corpus, stage)
    assert (corpus / "corpus.json").read_bytes() == (sealed / "plain" / "corpus.json").read_bytes()
    assert told(corpus, **{"thresholds.default": 10}).changed
    assert files(corpus) == files(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["second", "write_queries", "write_manifest"])
def test_killed_and_taken_back_leaves_nothing(corpus, stage):
    stood = files(corpus)
    killed(corpus, stage)
    assert files(corpus) != stood
    assert not told(corpus, **{"thresholds.default": 5}).changed
    assert files(corpus) == stood


def test_an_index_of_words_that_no_manifest_names_is_not_served(corpus, sealed):
    killed(corpus, "write_manifest")
    with pytest.raises(InvalidCorpus, match="not of this corpus"):
        landmark.open(corpus)
    shift = recaption(corpus, recipe_of(corpus, {}), SERIAL, dry_run=True)
    assert shift.before == told(sealed / "plain").before
    manifest = reopen(corpus)
    assert landmark.open(corpus).table.equals(landmark.open(sealed / "plain").table)
    for one in ("index.parquet", "README.md", "ATTRIBUTION.md", *(one.path for one in manifest.queries)):
        assert (corpus / one).read_bytes() == (sealed / "plain" / one).read_bytes()


def test_what_another_recaptioning_left_behind_is_written_over(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "whole")
    told(tmp_path / "whole", languages=["es"])
    killed(corpus, "rewrite_documents")
    told(corpus, languages=["es"], **{"thresholds.default": 5})
    assert files(corpus) == files(tmp_path / "whole")


def test_no_shard_of_another_recaptioning_is_sealed(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "whole")
    told(tmp_path / "whole", **{"thresholds.default": 20})
    for threshold in (20, 30):
        killed(corpus, "third", threshold)
        assert len(list((corpus / "recaptioning").iterdir())) == 1
    told(corpus, **{"thresholds.default": 20})
    assert files(corpus) == files(tmp_path / "whole")


def test_a_noted_shard_that_changed_since_is_written_again(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "whole")
    told(tmp_path / "whole", **{"thresholds.default": 10})
    killed(corpus, "third")
    first, second = sorted((corpus / "shards" / "g0001").glob("*.parquet"))[:2]
    first.write_bytes(first.read_bytes()[::-1])
    second.write_bytes(second.read_bytes()[:-1])
    told(corpus, **{"thresholds.default": 10})
    assert files(corpus) == files(tmp_path / "whole")


def test_a_second_writer_is_kept_out(corpus):
    stood = files(corpus)
    with folder_lock(corpus), pytest.raises(FolderLocked):
        told(corpus, **{"thresholds.default": 10})
    assert files(corpus) == stood


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"patch_px": 60}, "cannot change `patch_px`: that needs the archive or the label maps"),
        ({"labels": [{"source": "worldcover"}]}, "cannot change `labels`"),
        ({"sampling.seed": 4}, "cannot change `sampling`"),
        ({"thresholds.trees": 4}, "unknown key `thresholds.trees`"),
        ({"thresholds.classes": {"wood": 4}}, "no such class"),
        ({"captions": ["haiku"]}, "no style 'haiku'"),
        ({"name.first": 4}, "`name` holds no keys"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(corpus, changes, what):
    stood = files(corpus)
    with pytest.raises(InputError, match=what):
        told(corpus, **changes)
    assert files(corpus) == stood


def test_a_folder_that_is_no_corpus_stays_as_it_is(tmp_path):
    with pytest.raises(InvalidCorpus):
        recipe_of(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_projections_are_made_again(corpus, tmp_path):
    recipe = written(tmp_path, output={"shard_mb": 2, "formats": ["parquet", "webdataset"]})
    build(BuildRequest(load_recipe(str(recipe)), corpus, SERIAL))
    told(corpus, **{"thresholds.default": 10})
    manifest = landmark.open(corpus).manifest
    assert [one.shard for one in manifest.exports] == [one.path for one in manifest.shards]
    assert all((corpus / one.path).is_file() for one in [*manifest.exports, *manifest.superseded[0].exports])


def test_workers_change_no_byte(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "other")
    told(corpus, **MORE)
    recaption(tmp_path / "other", recipe_of(tmp_path / "other", MORE), ExecutorConfig(2))
    assert files(corpus) == files(tmp_path / "other")


def test_a_recipe_on_disk_tells_it_too(corpus, landmark, tmp_path):
    recipe = written(tmp_path, thresholds={"default": 12})
    code, out, err = landmark("recaption", corpus, "--recipe", recipe, "--workers", 0, "--json")
    assert code == 0, err
    assert json.loads(out)["generation"] == 1 and json.loads(out)["changed"]
    code, out, _ = landmark("recaption", corpus, "--recipe", recipe, "--workers", 0)
    assert (code, out) == (0, "nothing to change: the corpus says all this already\n")
    assert landmark("recaption", corpus, "--set", "thresholds")[0] == 2
    assert isinstance(Path(recipe), Path)


def test_words_given_by_path_are_kept_when_their_files_are_gone(corpus, landmark, tmp_path):
    language, taxonomy = tmp_path / "mine.yaml", tmp_path / "landmark2.yaml"
    language.write_text(find_resource("taxonomies/captions", "fr").read_text().replace("lang: fr", "lang: pt"))
    said = yaml.safe_load(find_resource("taxonomies", "landmark").read_text())
    for one in said["classes"].values():
        for words in (one["name"], one["phrase"]):
            words["pt"] = words["fr"]
    taxonomy.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
    told(corpus, languages=["en", str(language)], taxonomy=str(taxonomy))
    before = [{one["text"] for one in row["captions"] if one["lang"] == "pt"} for row in rows(corpus)]
    stood = read_document(Manifest, corpus / "corpus.json")
    language.unlink(), taxonomy.unlink()
    assert not told(corpus).changed
    assert told(corpus, title="Another").changed
    assert [{one["text"] for one in row["captions"] if one["lang"] == "pt"} for row in rows(corpus)] == before
    now = read_document(Manifest, corpus / "corpus.json")
    assert all(before) and (now.grammar, now.taxonomy) == (stood.grammar, stood.taxonomy)
    code, _, err = landmark("recaption", corpus, "--set", "captions=[haiku]", "--workers", 0)
    assert code == 2 and "no style 'haiku'" in err
    with pytest.raises(InputError, match="no language named 'qq'"):
        told(corpus, languages=["mine", "qq"])
    with pytest.raises(InputError, match=r"corpus\.json: mine\.yaml: styles\.haiku"):
        told(corpus, languages=["mine"], captions=["haiku"])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--set", "title=!!int foo"), "--set title=!!int foo: malformed YAML"),
        (("--set", "title=!!timestamp x"), "--set title=!!timestamp x: malformed YAML"),
        (("--set", "thresholds={default: 1, default: 2}"), "written twice"),
        (("--set", "thresholds.default=[1"), "malformed YAML"),
        (("--limit", 4), "--limit: needs --recipe"),
        (("--region", "1,2,3,4"), "--region: needs --recipe"),
        (("--sensors", "s2"), "--sensors: needs --recipe"),
        (("--labels", "corine=x.gpkg", "--set", "title=x"), "--labels: needs --recipe"),
        (
            ("--set", "places={file: /gone/towns.csv, licence: CC0-1.0, attribution: A test}"),
            "places.file: /gone/towns.csv cannot be read",
        ),
    ],
)
def test_the_command_line_refuses_by_name(corpus, landmark, options, what):
    stood = files(corpus)
    code, out, err = landmark("recaption", corpus, *options, "--workers", 0)
    assert (code, out) == (2, "") and what in err
    assert files(corpus) == stood


def test_a_day_is_a_text(corpus, landmark):
    assert landmark("recaption", corpus, "--set", "title=2022-13-45", "--dry-run", "--workers", 0)[0] == 0


def test_an_edited_gazetteer_is_read_again(corpus, tmp_path):
    lon, lat = rows(corpus)[0]["lon"], rows(corpus)[0]["lat"]
    gazetteer = tmp_path / "places.csv"
    gazetteer.write_text(f"name,lon,lat\nRiverton,{lon},{lat}\n")
    said = {"file": str(gazetteer), "within_km": 3, "licence": "CC0-1.0", "attribution": "A test"}
    told(corpus, places=said)
    assert not told(corpus, places=said).changed
    gazetteer.write_text(f"name,lon,lat\nNewtown,{lon},{lat}\n")
    assert told(corpus, places=said).changed and rows(corpus)[0]["place"]["name"] == "Newtown"
    gazetteer.unlink()
    assert not told(corpus, places=said).changed and rows(corpus)[0]["place"]["name"] == "Newtown"


def test_places_are_named_kept_without_their_file_and_taken_away(corpus, tmp_path):
    lon, lat = rows(corpus)[0]["lon"], rows(corpus)[0]["lat"]
    gazetteer = tmp_path / "places.csv"
    gazetteer.write_text(f"name,name_fr,lon,lat\nRiverton,Riveville,{lon},{lat}\n")
    said = {"file": str(gazetteer), "within_km": 3, "licence": "CC0-1.0", "attribution": "A test"}
    told(corpus, captions=["detailed"], languages=["en", "fr"], places=said)
    first = rows(corpus)[0]
    assert (first["place"]["name"], first["place"]["names"]) == ("Riverton", [{"lang": "fr", "name": "Riveville"}])
    assert ["near Riverton" in first["captions"][0]["text"], "près de Riveville" in first["captions"][1]["text"]] == [
        True
    ] * 2
    assert "CC0-1.0" in first["licences"] and any(row["place"] is None for row in rows(corpus))
    report = check(corpus, load_check_profile(), executor=SERIAL)
    assert [one.problem for one in report.findings() if one.severity == "error"] == []
    gazetteer.unlink()
    places = [row["place"] for row in rows(corpus)]
    assert told(corpus, **{"thresholds.default": 10}).changed
    assert [row["place"] for row in rows(corpus)] == places
    told(corpus, places=None)
    assert all(row["place"] is None for row in rows(corpus))
