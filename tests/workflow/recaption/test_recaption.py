"""Recaptioning: same samples and pixels, no archive read, resumable."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import landmark as library
from landmark.config.recipe import load_recipe
from landmark.core.atomic import folder_lock
from landmark.core.errors import FolderLocked, GenerationReplaced, InputError, InvalidCorpus, UnknownName
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.core.resources import find_resource
from landmark.corpus.manifest import Manifest, read_document
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.finalize import export, reopen
from landmark.workflow.recaption import recaption, recipe_of
from landmark.write.webdataset import tar_tasks
from tests.parts import raises
from tests.workflow.recaption.conftest import MORE, SERIAL, written
from tests.workflow.test_build import files


def recaptioned(corpus, *, keep=False, **changes):
    return recaption(corpus, recipe_of(corpus, changes), SERIAL, keep_generations=keep)


def rows(corpus):
    manifest = read_document(Manifest, corpus / "corpus.json")
    return [row for shard in manifest.shards for row in pq.read_table(corpus / shard.path).to_pylist()]


@pytest.mark.parametrize("keep", [False, True])
def test_ids_order_splits_and_pixels_stay_and_old_files_are_replaced_or_retained(corpus, keep):
    before, old_files = rows(corpus), files(corpus / "shards")
    result = recaptioned(corpus, keep=keep, **{"thresholds.default": 15})
    after = rows(corpus)
    for old_row, new_row in zip(before, after, strict=True):
        assert {key for key in new_row if new_row[key] != old_row[key]} <= {"labels", "captions"}
        assert set(new_row["labels"]) == {key for key, fraction in new_row["fractions"] if fraction >= 0.15}
    new_files = files(corpus / "shards")
    assert {name: new_files.pop(name) for name in list(new_files) if name.startswith("g0000/")} == (
        old_files if keep else {}
    )
    assert new_files.keys() == {name.replace("g0000", "g0001") for name in old_files}
    assert (corpus / "shards" / "g0000").exists() == keep
    assert result.changed and result.before != result.after
    assert result.after[""] == sum(not row["labels"] for row in after)


def test_recaptioning_equals_a_build_of_the_recipe(corpus, sealed):
    recaptioned(corpus, **MORE)
    assert rows(corpus) == rows(sealed / "more")
    manifest, expected = (read_document(Manifest, folder / "corpus.json") for folder in (corpus, sealed / "more"))
    equal_fields = "recipe_digest lock_digest ids_digest labels leakage queries statistics grammar taxonomy licences"
    for name in equal_fields.split():
        assert getattr(manifest, name) == getattr(expected, name), name
    digests = [[(shard.content_digest, shard.sha256) for shard in each.shards] for each in (manifest, expected)]
    assert digests[0] == digests[1]


def test_no_raster_is_opened(corpus, monkeypatch):
    import rasterio

    def refused(*_, **__):
        raise AssertionError("a raster was opened")

    monkeypatch.setattr(rasterio, "open", refused)
    assert recaptioned(corpus, **{"thresholds.default": 9}).changed


def test_reader_check_and_build_use_the_new_generation(corpus, tmp_path):
    recaptioned(corpus, **MORE)
    opened = library.open(corpus)
    assert {caption["lang"] for caption in next(iter(opened)).captions} == {"en", "fr", "es"}
    report = check(corpus, load_check_profile(), executor=SERIAL)
    assert report.findings("error") == []
    before = files(corpus)
    manifest = build(BuildRequest(load_recipe(str(written(tmp_path, **MORE))), corpus, SERIAL))
    assert manifest == opened.manifest and files(corpus) == before


def files_flagged_by_check(corpus):
    report = check(corpus, load_check_profile(), executor=SERIAL)
    return {subject for finding in report.checks["shards"].findings for subject in finding.subjects}


def test_generations_are_numbered_and_checked(corpus):
    recaptioned(corpus, keep=True, **{"thresholds.default": 10})
    recaptioned(corpus, keep=True, languages=["fr"])
    manifest = library.open(corpus).manifest
    assert {shard.generation for shard in manifest.shards} == {2}
    assert [{shard.generation for shard in generation.shards} for generation in manifest.superseded] == [{0}, {1}]
    assert load_recipe_of(corpus)["thresholds"]["default"] == 10
    assert files_flagged_by_check(corpus) == set()
    spoiled = corpus / manifest.superseded[0].shards[0].path
    spoiled.write_bytes(spoiled.read_bytes() + b"x")
    assert files_flagged_by_check(corpus) == {spoiled.relative_to(corpus).as_posix()}
    for shard in manifest.superseded[1].shards:
        (corpus / shard.path).unlink()
    assert files_flagged_by_check(corpus) == {spoiled.relative_to(corpus).as_posix()}
    recaptioned(corpus, languages=["es"])
    assert {path.name for path in (corpus / "shards").iterdir()} == {"g0000", "g0003"}


def load_recipe_of(corpus):
    return json.loads((corpus / "lock.json").read_text())["recipe"]


def test_an_unchanged_recipe_changes_no_file(corpus):
    before = files(corpus)
    assert not recaptioned(corpus).changed and files(corpus) == before
    recaptioned(corpus, **{"thresholds.default": 10})
    before = files(corpus)
    assert not recaptioned(corpus, **{"thresholds.default": 10}).changed and files(corpus) == before


def test_a_dry_run_reports_and_writes_nothing(corpus, landmark):
    before = files(corpus)
    code, out, _ = landmark("recaption", corpus, "--set", "thresholds.default=15", "--dry-run", "--workers", 0)
    assert code == 0 and files(corpus) == before
    result = recaptioned(corpus, **{"thresholds.default": 15})
    for key, count in result.after.items():
        assert f"→ {count:>7}" in next(line for line in out.splitlines() if line.startswith(key or "no label"))


# Kills the process at a call of a function: the n-th of `run`, `write_tar` and deletions, the first of the others.
# Files are written one after the other.
_KILLED = """
import os, signal, sys
from pathlib import Path
from landmark.core import journal
from landmark.core.executor import ExecutorConfig
from landmark.workflow import finalize
from landmark.workflow import recaption as module
from landmark.write import documents
journal._THREADS = 1
corpus, stage, threshold = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
calls = 0
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def counted(function):
    def call(argument, **options):
        global calls
        counts = function not in (unlink, rmdir) or "shards/g0000" in str(argument)
        calls += counts
        return die() if counts and calls == int(stage.split()[1]) else function(argument, **options)
    return call
unlink, rmdir = os.unlink, os.rmdir
if stage.startswith("run "):
    module.run = counted(module.run)
elif stage.startswith("write_tar "):
    finalize.write_tar = counted(finalize.write_tar)
elif stage.startswith("unlink "):
    os.unlink = counted(os.unlink)
elif stage.startswith("rmdir "):
    os.rmdir = counted(os.rmdir)
else:
    setattr(module if stage == "rewrite_documents" else documents, stage, die)
module.recaption(corpus, module.recipe_of(corpus, {"thresholds.default": threshold}), ExecutorConfig())
"""


def killed(corpus, stage, threshold=10):
    process = subprocess.run([sys.executable, "-c", _KILLED, str(corpus), stage, str(threshold)], check=False)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stage", ["run 1", "run 2", "rewrite_documents", "write_manifest"])
def test_killed_and_resumed_gives_the_same_bytes(corpus, sealed, tmp_path, stage):
    shutil.copytree(sealed / "plain", tmp_path / "undisturbed")
    recaptioned(tmp_path / "undisturbed", **{"thresholds.default": 10})
    killed(corpus, stage)
    assert (corpus / "corpus.json").read_bytes() == (sealed / "plain" / "corpus.json").read_bytes()
    assert recaptioned(corpus, **{"thresholds.default": 10}).changed
    assert files(corpus) == files(tmp_path / "undisturbed")


@pytest.fixture(scope="session")
def with_tars(sealed, tmp_path_factory):
    """The corpus `plain` with its exports."""
    folder = tmp_path_factory.mktemp("tars") / "corpus"
    shutil.copytree(sealed / "plain", folder)
    manifest = read_document(Manifest, folder / "corpus.json")
    with open_executor(SERIAL) as map_tasks:
        export(folder, manifest, tar_tasks(folder, manifest, every=True), map_tasks)
    return folder


@pytest.fixture
def tars(with_tars, tmp_path):
    return shutil.copytree(with_tars, tmp_path / "tars")


def build_again(corpus, folder, threshold=10):
    recipe = written(folder, catalog="world/catalog.json", thresholds={"default": threshold})
    return build(BuildRequest(load_recipe(str(recipe)), corpus, SERIAL))


@pytest.mark.parametrize(
    ("stage", "finish"),
    [
        ("unlink 1", "build"),
        ("unlink 4", "recaption"),
        ("rmdir 1", "recaption"),
        ("write_tar 1", "recaption"),
        ("write_tar 2", "build"),
    ],
)
def test_a_killed_replacement_is_finished_by_the_next_command_that_writes(tars, with_tars, tmp_path, stage, finish):
    undisturbed = shutil.copytree(with_tars, tmp_path / "undisturbed")
    recaptioned(undisturbed, **{"thresholds.default": 10})
    assert {name.partition("/")[0] for name in files(undisturbed / "shards")} == {"g0001"}
    killed(tars, stage)
    assert library.open(tars).manifest.shards[0].generation == 1
    assert files(tars) != files(undisturbed)
    if finish == "recaption":
        assert not recaptioned(tars, **{"thresholds.default": 10}).changed
    else:
        build_again(tars, tmp_path)
    assert files(tars) == files(undisturbed)


@pytest.mark.parametrize("stage", ["unlink 2", "write_tar 2"])
def test_a_killed_replacement_is_finished_by_another_recaptioning(tars, stage):
    names = {path.rpartition("/")[2] for path in files(tars / "shards")}
    killed(tars, stage)
    recaptioned(tars, languages=["fr"])
    assert set(files(tars / "shards")) == {f"g0002/{name}" for name in names}
    assert files_flagged_by_check(tars) == set()


def test_files_that_an_interrupted_deletion_left_are_a_finding(corpus):
    left = sorted(path for path in files(corpus) if path.startswith("shards/"))[1:]
    killed(corpus, "unlink 2")
    assert len(files_flagged_by_check(corpus)) == len(left)


def test_a_rebuilt_corpus_has_a_single_generation(corpus, sealed, tmp_path, world):
    recaptioned(corpus, **{"thresholds.default": 10})
    shutil.copytree(world, tmp_path / "world")
    (corpus / "corpus.json").unlink()
    build_again(corpus, tmp_path)
    assert files(corpus / "shards").keys() == files(sealed / "plain" / "shards").keys()


READS = {
    "sample": lambda corpus: corpus[corpus.ids[-1]],
    "the sample in memory": lambda corpus: corpus[corpus.ids[0]],
    "iteration": list,
    "xarray": lambda corpus: corpus.xarray(corpus.ids[0]),
    "selection": lambda corpus: list(corpus.select(split="train", sensor="s2")),
    "pickled": lambda corpus: pickle.loads(pickle.dumps(corpus))[corpus.ids[0]],
    "parquet": lambda corpus: corpus.files(),
    "webdataset": lambda corpus: corpus.files(format="webdataset"),
}


def test_an_open_corpus_is_replaced_and_refuses_to_read(tars):
    opened = library.open(tars)
    before = [sample.captions for sample in opened]
    opened[opened.ids[0]]
    recaptioned(tars, keep=True, languages=["fr"])
    assert [sample.captions for sample in opened] == before and opened.files(format="webdataset")
    opened = library.open(tars)
    opened[opened.ids[0]]
    recaptioned(tars, languages=["es"])
    for read in READS.values():
        with raises(GenerationReplaced, file=str(tars)):
            read(opened)
    assert {caption["lang"] for sample in library.open(tars) for caption in sample.captions} == {"es"}


def test_a_missing_file_of_the_current_generation_is_no_replacement(tars):
    opened = library.open(tars)
    for format in ("webdataset", "parquet"):
        path = Path(opened.files(format=format)[0])
        path.unlink()
        with raises(InvalidCorpus, file=str(path)):
            opened.files(format=format)
    with raises(InvalidCorpus, file=str(path)):
        opened[opened.ids[0]]


def test_a_check_of_a_corpus_that_is_replaced_meanwhile_is_refused(corpus):
    def replace(stage, done, total, detail="", /):
        if done == 1:
            recaptioned(corpus, languages=["fr"])

    with raises(GenerationReplaced, file=str(corpus)):
        check(corpus, load_check_profile(), executor=SERIAL, progress=replace)


def test_files_of_the_current_generation_are_listed(tars, landmark):
    recaptioned(tars, keep=True, languages=["fr"])
    for suffix, options in ((".parquet", ()), (".tar", ("--format", "webdataset"))):
        expected = sorted(map(str, (tars / "shards" / "g0001").glob(f"*{suffix}")))
        code, out, err = landmark("files", tars, *options)
        assert (code, sorted(out.splitlines()), err) == (0, expected, "")
        code, out, _ = landmark("files", tars, *options, "--split", "train", "--sensor", "s2", "--json")
        assert json.loads(out) == [path for path in expected if "/s2-train-" in path]
    corpus = library.open(tars)
    assert corpus.files(split="train", sensor="s2", format="webdataset") == json.loads(out)
    assert corpus.select(split="train", sensor="s2").files(format="webdataset") == json.loads(out)
    assert corpus.select(split="train").files(sensor="s1", split="val") == []
    for row in (row for path in corpus.files(split="val") for row in pq.read_table(path)["split"]):
        assert row.as_py() == "val"


@pytest.mark.parametrize(
    ("option", "value"), [("split", "tran"), ("sensor", "S2"), ("format", "tar"), ("format", "webdataset")]
)
def test_a_split_sensor_or_format_that_the_corpus_lacks_is_refused(corpus, refusal, option, value):
    error = refusal("files", corpus, f"--{option}", value)
    assert (error.file, error.value) == (f"--{option}", value) and error.remedy
    with raises(InputError, key=option, value=value):
        library.open(corpus).files(**{option: value})


@pytest.mark.parametrize("finish", ["build", "recaption"])
@pytest.mark.parametrize("stage", ["run 2", "write_queries", "write_manifest"])
def test_killed_and_reverted_restores_the_corpus(corpus, tmp_path, stage, finish):
    before = files(corpus)
    killed(corpus, stage)
    assert files(corpus) != before
    if finish == "recaption":
        assert not recaptioned(corpus, **{"thresholds.default": 5}).changed
    else:
        build_again(corpus, tmp_path, 5)
    assert files(corpus) == before


def test_a_build_refuses_the_lock_of_a_recaptioning_that_cannot_be_undone(corpus, tmp_path):
    recipe = recipe_of(
        corpus, {"taxonomy": str(shutil.copy(find_resource("taxonomies", "landmark"), tmp_path / "own.yaml"))}
    )
    recaption(corpus, recipe, SERIAL)
    killed(corpus, "write_manifest")
    changed = (tmp_path / "own.yaml").read_text().replace("Built", "Built-up")
    (tmp_path / "own.yaml").write_text(changed)
    with raises(InvalidCorpus, name="lock.json"):
        build(BuildRequest(recipe, corpus, SERIAL))


def test_an_index_of_an_unfinished_generation_is_refused(corpus, sealed):
    killed(corpus, "write_manifest")
    with raises(InvalidCorpus, name="index.parquet"):
        library.open(corpus)
    result = recaption(corpus, recipe_of(corpus, {}), SERIAL, dry_run=True)
    assert result.before == recaptioned(sealed / "plain").before
    manifest = reopen(corpus)
    assert library.open(corpus).table.equals(library.open(sealed / "plain").table)
    for name in ("index.parquet", "README.md", "ATTRIBUTION.md", *(file.path for file in manifest.queries)):
        assert (corpus / name).read_bytes() == (sealed / "plain" / name).read_bytes()


def test_files_of_another_interrupted_recaptioning_are_overwritten(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "undisturbed")
    recaptioned(tmp_path / "undisturbed", languages=["es"])
    killed(corpus, "rewrite_documents")
    recaptioned(corpus, languages=["es"], **{"thresholds.default": 5})
    assert files(corpus) == files(tmp_path / "undisturbed")


def test_no_shard_of_another_interrupted_recaptioning_is_sealed(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "undisturbed")
    recaptioned(tmp_path / "undisturbed", **{"thresholds.default": 20})
    for threshold in (20, 30):
        killed(corpus, "run 3", threshold)
        assert len(list((corpus / "journal" / "recaption").iterdir())) == 1
    recaptioned(corpus, **{"thresholds.default": 20})
    assert files(corpus) == files(tmp_path / "undisturbed")


def test_a_finished_shard_that_was_damaged_is_written_again(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "undisturbed")
    recaptioned(tmp_path / "undisturbed", **{"thresholds.default": 10})
    killed(corpus, "run 3")
    first, second = sorted((corpus / "shards" / "g0001").glob("*.parquet"))[:2]
    first.write_bytes(first.read_bytes()[::-1])
    second.write_bytes(second.read_bytes()[:-1])
    recaptioned(corpus, **{"thresholds.default": 10})
    assert files(corpus) == files(tmp_path / "undisturbed")


def test_a_locked_folder_is_refused(corpus):
    before = files(corpus)
    with folder_lock(corpus), pytest.raises(FolderLocked):
        recaptioned(corpus, **{"thresholds.default": 10})
    assert files(corpus) == before


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"patch_px": 60}, "patch_px"),
        ({"labels": [{"source": "worldcover"}]}, "labels"),
        ({"sampling.seed": 4}, "sampling"),
        ({"thresholds.trees": 4}, "thresholds.trees"),
        ({"thresholds.classes": {"wood": 4}}, "thresholds.classes.wood"),
        ({"captions": ["haiku"]}, "styles.haiku"),
        ({"name.first": 4}, "name.first"),
    ],
)
def test_a_change_that_recaptioning_cannot_make_is_refused(corpus, changes, key):
    before = files(corpus)
    with raises(InputError, key=key):
        recaptioned(corpus, **changes)
    assert files(corpus) == before


def test_a_folder_without_a_corpus_is_refused_and_unchanged(tmp_path):
    with pytest.raises(InvalidCorpus):
        recipe_of(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_exports_are_written_again(corpus, tmp_path):
    recipe = written(tmp_path, output={"shard_mb": 2, "formats": ["parquet", "webdataset"]})
    build(BuildRequest(load_recipe(str(recipe)), corpus, SERIAL))
    recaptioned(corpus, **{"thresholds.default": 10})
    manifest = library.open(corpus).manifest
    assert [export.shard for export in manifest.exports] == [shard.path for shard in manifest.shards]
    assert {path.name for path in (corpus / "shards").rglob("*.tar")} == {Path(e.path).name for e in manifest.exports}


@pytest.mark.long
def test_workers_change_no_byte(corpus, sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "parallel")
    recaptioned(corpus, **MORE)
    recaption(tmp_path / "parallel", recipe_of(tmp_path / "parallel", MORE), ExecutorConfig(2))
    assert files(corpus) == files(tmp_path / "parallel")


def test_a_recipe_file_replaces_the_recipe(corpus, landmark, tmp_path):
    recipe = written(tmp_path, thresholds={"default": 12})
    code, out, err = landmark("recaption", corpus, "--recipe", recipe, "--workers", 0, "--json")
    assert code == 0, err
    assert json.loads(out)["generation"] == 1 and json.loads(out)["changed"]
    code, out, _ = landmark("recaption", corpus, "--recipe", recipe, "--workers", 0, "--json")
    assert code == 0 and not json.loads(out)["changed"]
    assert landmark("recaption", corpus, "--set", "thresholds")[0] == 2


def test_language_and_taxonomy_files_are_embedded_in_the_corpus(corpus, landmark, tmp_path):
    language, taxonomy = tmp_path / "custom.yaml", tmp_path / "landmark2.yaml"
    language.write_text(find_resource("taxonomies/captions", "fr").read_text().replace("lang: fr", "lang: pt"))
    value = yaml.safe_load(find_resource("taxonomies", "landmark").read_text())
    for entry in value["classes"].values():
        for words in (entry["name"], entry["phrase"]):
            words["pt"] = words["fr"]
    taxonomy.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    recaptioned(corpus, languages=["en", str(language)], taxonomy=str(taxonomy))
    texts, manifest = portuguese(corpus), read_document(Manifest, corpus / "corpus.json")
    language.unlink(), taxonomy.unlink()
    assert not recaptioned(corpus).changed
    assert recaptioned(corpus, title="Another").changed
    assert all(texts) and portuguese(corpus) == texts
    after = read_document(Manifest, corpus / "corpus.json")
    assert (after.grammar, after.taxonomy) == (manifest.grammar, manifest.taxonomy)
    assert landmark("recaption", corpus, "--set", "captions=[haiku]", "--workers", 0)[0] == 2
    with raises(UnknownName, value="qq"):
        recaptioned(corpus, languages=["custom", "qq"])
    with raises(InputError, file="corpus.json", key="styles.haiku"):
        recaptioned(corpus, languages=["custom"], captions=["haiku"])


def portuguese(corpus):
    """Portuguese captions of each row."""
    return [{caption["text"] for caption in row["captions"] if caption["lang"] == "pt"} for row in rows(corpus)]


@pytest.mark.parametrize(
    "options",
    [
        ("--set", "title=!!int foo"),
        ("--set", "title=!!timestamp x"),
        ("--set", "thresholds={default: 1, default: 2}"),
        ("--set", "thresholds.default=[1"),
        ("--limit", 4),
        ("--region", "1,2,3,4"),
        ("--sensors", "s2"),
        ("--labels", "corine=x.gpkg", "--set", "title=x"),
        ("--set", "gazetteer={file: /gone/towns.csv, licence: CC0-1.0, attribution: A test}"),
    ],
)
def test_the_command_line_refuses_and_writes_nothing(corpus, landmark, options):
    before = files(corpus)
    code, out, err = landmark("recaption", corpus, *options, "--workers", 0)
    assert (code, out) == (2, "") and err.startswith("error: ")
    assert files(corpus) == before


def test_a_date_stays_text(corpus, landmark):
    assert landmark("recaption", corpus, "--set", "title=2022-13-45", "--dry-run", "--workers", 0)[0] == 0


def test_an_edited_gazetteer_is_read_again(corpus, tmp_path):
    lon, lat = rows(corpus)[0]["lon"], rows(corpus)[0]["lat"]
    gazetteer = tmp_path / "places.csv"
    gazetteer.write_text(f"name,lon,lat\nRiverton,{lon},{lat}\n")
    entry = {"file": str(gazetteer), "within_km": 3, "licence": "CC0-1.0", "attribution": "A test"}
    recaptioned(corpus, gazetteer=entry)
    assert not recaptioned(corpus, gazetteer=entry).changed
    gazetteer.write_text(f"name,lon,lat\nNewtown,{lon},{lat}\n")
    assert recaptioned(corpus, gazetteer=entry).changed and rows(corpus)[0]["place"]["name"] == "Newtown"
    gazetteer.unlink()
    assert not recaptioned(corpus, gazetteer=entry).changed and rows(corpus)[0]["place"]["name"] == "Newtown"


def test_places_are_added_survive_without_their_file_and_are_removed(corpus, tmp_path):
    lon, lat = rows(corpus)[0]["lon"], rows(corpus)[0]["lat"]
    gazetteer = tmp_path / "places.csv"
    gazetteer.write_text(f"name,name_fr,lon,lat\nRiverton,Riveville,{lon},{lat}\n")
    entry = {"file": str(gazetteer), "within_km": 3, "licence": "CC0-1.0", "attribution": "A test"}
    recaptioned(corpus, captions=["detailed"], languages=["en", "fr"], gazetteer=entry)
    first = rows(corpus)[0]
    assert (first["place"]["name"], first["place"]["names"]) == ("Riverton", [{"lang": "fr", "name": "Riveville"}])
    english, french = (caption["text"] for caption in first["captions"][:2])
    assert "near Riverton" in english and "près de Riveville" in french
    assert "CC0-1.0" in first["licences"] and any(row["place"] is None for row in rows(corpus))
    report = check(corpus, load_check_profile(), executor=SERIAL)
    assert report.findings("error") == []
    gazetteer.unlink()
    places = [row["place"] for row in rows(corpus)]
    assert recaptioned(corpus, **{"thresholds.default": 10}).changed
    assert [row["place"] for row in rows(corpus)] == places
    recaptioned(corpus, gazetteer=None)
    assert all(row["place"] is None for row in rows(corpus))
