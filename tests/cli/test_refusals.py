"""Refused input: exit code 2, an error with file, key and value, and nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest
import rasterio

from landmark.config.recipe import load_recipe
from landmark.core.errors import (
    ConsentRequired,
    EmptySearch,
    InputError,
    NoCoverage,
    RecipeMismatch,
    SchedulerUnreachable,
    UnknownName,
)
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build
from tests.parts import raises, text

SERIAL = ("--workers", 0)


def name_of(error):
    """Last part of an error's file."""
    return error.file and Path(error.file).name


# -- How errors are printed ------------------------------------------------------------------------------------------


def test_each_error_is_a_line_without_traceback(landmark, recipe):
    code, out, err = landmark("build", recipe(patch_px=100, resolution_m=-1), *SERIAL)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") and "tiny.yaml" in line for line in lines)
    assert "`patch_px`: 100" in err and "`resolution_m`: -1" in err


def test_unknown_recipe_lists_available_names(refusal):
    error = refusal("build", "dmeo")
    assert (type(error), error.value, error.exit_code) == (UnknownName, "dmeo", 2)
    assert "'demo'" in error.remedy and "europe" in error.remedy


# -- Recipes ---------------------------------------------------------------------------------------------------------

PROBABILITIES = {"source": "worldcover", "composite": "probability"}

# Changes of a recipe; file, key and value of the error.
BAD_RECIPES = [
    ({"sensors": ["s3"]}, "tiny.yaml", "sensors.0", "s3"),
    ({"time": None}, "tiny.yaml", "time", None),
    ({"time": {"start": "2022-01-01", "end": "2021-01-01"}}, "tiny.yaml", "time", "2022-01-01..2021-01-01"),
    ({"time": {"start": "2021-06-01", "end": "9999-12-31"}}, "tiny.yaml", "time.end", "9999-12-31"),
    ({"region": {"bbox": []}}, "tiny.yaml", "region.bbox", []),
    ({"patch_px": 100}, "tiny.yaml", "patch_px", 100),
    ({"resolution_m": 7}, "tiny", "resolution_m", 7),
    ({"labels": [{"source": "corine"}]}, None, "labels", "corine"),
    ({"labels": [PROBABILITIES]}, "tiny", "labels.worldcover.composite", "probability"),
    ({"labels": [{"source": "worldcover", "year": 2020}]}, "tiny", "labels.worldcover.year", 2020),
    ({"captions": ["poem"]}, "en.yaml", "styles.poem", None),
    ({"captions": ["structured", "sentence", "structured"]}, "tiny.yaml", "captions", "structured"),
    ({"catalog": "/nowhere/catalog.json"}, "catalog.json", "catalog", None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "file", "key", "value"), BAD_RECIPES)
def test_invalid_recipe_is_refused(refusal, recipe, changes, file, key, value):
    error = refusal("build", recipe(**changes), *SERIAL)
    assert (type(error), name_of(error), error.key, error.value) == (InputError, file, key, value)


@pytest.mark.parametrize(
    ("changes", "key", "suggestion"),
    [
        ({"sensor": ["s1"]}, "sensor", "sensors"),
        ({"clouds": {"max_item": 5}}, "clouds.max_item", "max_item_pct"),
        ({"thresholds": {"classes": {"tree": 5}}}, "thresholds.classes.tree", "trees"),
        ({"provider": "planetary"}, None, "planetary-computer"),
    ],
)
def test_misspelled_name_is_refused_with_a_suggestion(refusal, recipe, changes, key, suggestion):
    error = refusal("build", recipe(**changes), *SERIAL)
    assert error.key == key and suggestion in error.remedy


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(
    "key", ["max_pair_gap_days", "splits.buffer_m", "splits.train", "output.shard_mb", "resolution_m"]
)
def test_infinite_number_is_refused(refusal, recipe, key, value):
    section, _, field = key.partition(".")
    error = refusal("build", recipe(**{section: {field: value} if field else value}), *SERIAL)
    assert (name_of(error), error.key, str(error.value)) == ("tiny.yaml", key, str(value))


def test_malformed_yaml_is_refused_with_the_line_number(refusal, tmp_path):
    error = refusal("build", text(tmp_path / "bad.yaml", "name: bad\nregion: [1, 2\ntime: x\n"))
    assert name_of(error) == "bad.yaml" and "line 3" in error.problem


# -- Regions and label maps ------------------------------------------------------------------------------------------


def test_region_without_images_is_refused(refusal, recipe):
    error = refusal("build", recipe(), *SERIAL, "--region", "100,10,101,11")
    assert (type(error), error.value) == (EmptySearch, "sentinel-1-rtc")


def test_period_without_images_is_refused(refusal, recipe):
    error = refusal("build", recipe(time={"start": "1999-01-01", "end": "1999-12-31"}), *SERIAL)
    assert (type(error), error.value) == (EmptySearch, "sentinel-1-rtc") and "1999-01-01" in error.problem


def test_region_smaller_than_a_cell_is_refused(refusal, recipe):
    error = refusal("build", recipe(), *SERIAL, "--region", "11.99,45.45,11.9901,45.4501")
    assert (type(error), error.file, error.key) == (NoCoverage, "tiny", "region")


@pytest.mark.parametrize("damage", ["missing", "without CRS"])
def test_unusable_label_map_is_refused(refusal, recipe, world, tmp_path, damage):
    shutil.copytree(world, tmp_path / "copy")
    path = min((tmp_path / "copy" / "esa-worldcover").rglob("*.tif"))
    if damage == "missing":
        path.unlink()
    else:
        with rasterio.open(path) as source:
            pixels, profile = source.read(), {**source.profile, "crs": None}
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels)
    error = refusal("build", recipe(catalog=str(tmp_path / "copy")), *SERIAL)
    assert (type(error), error.file) == (InputError, str(path))


# -- Output folders --------------------------------------------------------------------------------------------------


def test_output_of_another_recipe_is_refused(landmark, refusal, recipe, tmp_path):
    build_corpus = ("build", recipe(), *SERIAL, "--out", tmp_path / "corpus", "--limit")
    assert landmark(*build_corpus, 3)[0] == 0
    error = refusal(*build_corpus, 4)
    assert (type(error), error.file) == (RecipeMismatch, str(tmp_path / "corpus"))


def test_sealed_corpus_is_reported_as_the_same_json(landmark, recipe, tmp_path):
    build_corpus = ("build", recipe(), *SERIAL, "--out", tmp_path / "corpus", "--limit", 3, "--json")
    first, second = landmark(*build_corpus), landmark(*build_corpus)
    assert first[0] == second[0] == 0
    assert json.loads(first[1]) == json.loads(second[1])


def test_file_in_place_of_the_output_folder_is_refused(refusal, recipe, tmp_path):
    file = text(tmp_path / "file", "precious")
    for out in (file, file / "corpus"):
        error = refusal("build", recipe(), *SERIAL, "--limit", 2, "--out", out)
        assert (type(error), error.file) == (InputError, str(out))
    assert file.read_text() == "precious"


def test_output_folder_with_foreign_files_is_refused(refusal, recipe, tmp_path):
    file = text(tmp_path / "documents" / "README.md", "precious")
    error = refusal("build", recipe(), *SERIAL, "--limit", 2, "--out", file.parent)
    assert (type(error), error.file) == (RecipeMismatch, str(file.parent))
    assert file.read_text() == "precious"


# -- Cost and cluster ------------------------------------------------------------------------------------------------


def test_unreachable_scheduler_is_refused(recipe, tmp_path):
    address = "tcp://127.0.0.1:1"
    config = ExecutorConfig(scheduler=address, connect_timeout_s=1)
    with raises(SchedulerUnreachable, value=address, exit_code=2):
        build(BuildRequest(load_recipe(str(recipe())), tmp_path / "corpus", config))
    assert not (tmp_path / "corpus").exists()


def test_large_build_needs_consent(recipe, tmp_path):
    loaded, estimates = load_recipe(str(recipe()), limit=2), []
    fields = {"recipe": loaded, "out": tmp_path / "corpus", "executor": ExecutorConfig(), "consent_bytes": 1000}
    with raises(ConsentRequired, exit_code=2):
        build(BuildRequest(**fields))
    build(BuildRequest(**fields, consent=lambda cost: not estimates.append(cost)))
    assert estimates[0].fetched_bytes > 1000


@pytest.mark.parametrize(("options", "consent"), [((), False), (("--yes",), True)])
def test_yes_gives_consent(refusal, recipe, monkeypatch, options, consent):
    def refuse(request):
        raise ConsentRequired("too large", value=request.consent(None))

    monkeypatch.setattr("landmark.workflow.build.build", refuse)
    assert refusal("build", recipe(), *SERIAL, *options).value is consent


def test_plan_prints_cost_and_split_proof(landmark, recipe):
    plan = ("plan", recipe(), *SERIAL)
    code, page, _ = landmark(*plan)
    document = json.loads(landmark(*plan, "--json")[1])
    assert code == 0 and document["samples"] > 0
    for key in ("samples", "acquisitions", "requests"):
        assert f" {document[key]}" in page
    for key in ("fetched_bytes", "corpus_bytes", "staging_bytes"):
        assert f"{document[key] / 1e9:.2f} GB" in page
    assert f"{document['split_proof']['closest_m']:g} m" in page
