"""Label entries of recipes, and label files of the command line."""

from pathlib import Path

import pytest
import yaml

from landmark.config.label_entries import LabelEntry
from landmark.config.paths import match_files, match_paths
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputError
from tests.parts import recipe_of, text

OPTIONAL = {"source": "corine", "optional": True}


@pytest.fixture(autouse=True)
def _working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_recipe(folder, *labels):
    value = {
        "name": "tiny",
        "region": {"bbox": [10, 45, 11, 46]},
        "time": {"start": "2021-01-01", "end": "2021-12-31"},
        "labels": list(labels),
    }
    return str(text(folder / "recipes/tiny.yaml", yaml.safe_dump(value)))


def test_paths_are_relative_to_the_recipe(tmp_path):
    path = write_recipe(tmp_path, {"source": "corine", "files": ["maps/*.tif", "world:labels/x.tif", "/data/clc.gpkg"]})
    (entry,) = load_recipe(path).labels
    paths = [str(tmp_path / "recipes/maps/*.tif"), "world:labels/x.tif", "/data/clc.gpkg"]
    assert [file.path for file in entry.files] == entry.model_dump(mode="json")["files"] == paths


def test_the_digest_depends_on_names_of_files_and_not_on_their_folders(tmp_path):
    digests = {
        name: load_recipe(write_recipe(tmp_path, {"source": "corine", "files": [name]})).digest
        for name in ("a/clc.tif", "b/clc.tif", "world:labels/clc.tif", "a/other.tif")
    }
    assert len(set(digests.values())) == 2
    assert digests["a/clc.tif"] == digests["b/clc.tif"] == digests["world:labels/clc.tif"]


def test_globs_match_files_and_folders_in_order(tmp_path):
    for name in ("b.tif", "a.tif", "c/x.tif"):
        text(tmp_path / name, "")
    assert [path.name for path in match_paths(str(tmp_path / "*"))] == ["a.tif", "b.tif", "c"]
    assert [path.name for path in match_files(str(tmp_path / "*"))] == ["a.tif", "b.tif"]
    assert match_paths(str(tmp_path / "c")) == [tmp_path / "c"] and match_files(str(tmp_path / "c")) == []


@pytest.mark.parametrize("folder", ["data [v1]", "a*b", "what?", "[ab]/[!x]"])
def test_folders_that_exist_as_written_are_no_globs(tmp_path, folder):
    for name in ("a.tif", "[b].tif", "b.tif"):
        text(tmp_path / folder / name, "")
    assert [path.name for path in match_files(str(tmp_path / folder / "*.tif"))] == ["[b].tif", "a.tif", "b.tif"]
    assert match_files(str(tmp_path / folder / "[b].tif")) == [tmp_path / folder / "[b].tif"]
    assert match_files(str(tmp_path / folder / "[a].tif")) == [tmp_path / folder / "a.tif"]
    assert match_paths(str(tmp_path / folder / "c.tif")) == match_paths(str(tmp_path / "none/*.tif")) == []


def test_links_keep_their_names(tmp_path):
    text(tmp_path / "store/2012", "")
    (tmp_path / "clc2018.tif").symlink_to(tmp_path / "store/2012")
    (tmp_path / "maps").symlink_to(tmp_path)
    for pattern in ("clc2018.tif", "*.tif", "maps/../clc*.tif"):
        assert match_files(str(tmp_path / pattern)) == [tmp_path / "clc2018.tif"]
    assert match_files(str(tmp_path / "maps/*.tif")) == [tmp_path / "maps/clc2018.tif"]


@pytest.mark.parametrize("pattern", ["a\0b"])
def test_invalid_globs_are_refused(pattern):
    with pytest.raises(InputError) as caught:
        match_files(pattern, "labels.files")
    assert (caught.value.key, caught.value.value) == ("labels.files", pattern)


def test_the_command_line_adds_files_and_sources(tmp_path):
    for name in ("one.tif", "two.tif", "dw/a.tif", "dw/b.tif"):
        text(tmp_path / name, "")
    path = write_recipe(tmp_path, {"source": "worldcover"}, {"source": "corine", "max_gap_days": 5, "files": ["a.tif"]})
    entries = load_recipe(path, labels=["corine=one.tif", "corine=two.tif", "dynamic-world=dw/*.tif"]).labels
    assert [entry.source for entry in entries] == ["worldcover", "corine", "dynamic-world"]
    assert entries[0].files == () and entries[1].max_gap_days == 5
    names = ("recipes/a.tif", "one.tif", "two.tif")
    assert [file.path for file in entries[1].files] == [str(tmp_path / name) for name in names]
    assert [path.name for path in match_files(entries[2].files[0].path)] == ["a.tif", "b.tif"]


@pytest.mark.parametrize("option", ["corine", "=a.tif", "corine=gone.tif"])
def test_invalid_label_options_are_refused(tmp_path, option):
    with pytest.raises(InputError) as caught:
        load_recipe(write_recipe(tmp_path), labels=[option])
    assert (caught.value.file, caught.value.value) == ("--labels", option)


MERGED = {
    "same keys": ([{"files": ["a.tif"]}, {"files": ["b.tif"]}], ["a.tif", "b.tif"]),
    "years": (
        [{"files": ["a.tif", {"path": "c.tif", "year": 2000}], "year": 2012}, {"files": ["b.tif"], "year": 2018}],
        [("a.tif", 2012), ("c.tif", 2000), ("b.tif", 2018)],
    ),
    "three": (
        [{"files": ["a.tif"]}, {"files": ["b.tif"], "year": 2018}, {"files": ["c.tif"], "year": 2018}],
        ["a.tif", ("b.tif", 2018), ("c.tif", 2018)],
    ),
}


@pytest.mark.parametrize(("entries", "files"), MERGED.values(), ids=MERGED)
def test_entries_of_the_same_source_are_merged(tmp_path, entries, files):
    entries = [{"source": "corine", **entry} for entry in entries]
    recipe = load_recipe(write_recipe(tmp_path, {"source": "worldcover"}, *entries))
    assert [entry.name for entry in recipe.labels] == ["worldcover", "corine"]
    stated = [file if isinstance(file, tuple) else (file, None) for file in files]
    assert [(Path(file.path).name, file.year) for file in recipe.labels[1].files] == stated
    assert LabelEntry.model_validate_json(recipe.labels[1].model_dump_json(), strict=True) == recipe.labels[1]
    single = {**entries[0], "year": None, "files": [{"path": path, "year": year} for path, year in stated]}
    assert load_recipe(write_recipe(tmp_path, {"source": "worldcover"}, single)).digest == recipe.digest


@pytest.mark.parametrize(
    ("first", "second", "key", "value"),
    [
        ({"files": ["a.tif"]}, {}, "labels", "corine"),
        ({"files": ["a.tif"], "max_gap_days": 3}, {"files": ["b.tif"]}, "labels.corine.max_gap_days", [3, None]),
        ({"files": ["a.tif"]}, {"files": ["b.tif"], "optional": True}, "labels.corine.optional", [False, True]),
    ],
)
def test_differing_entries_of_the_same_source_are_refused(tmp_path, first, second, key, value):
    path = write_recipe(tmp_path, {"source": "corine", **first}, {"source": "corine", **second})
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert (caught.value.file, caught.value.key, caught.value.value) == (path, key, value)


# -- optional sources --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [[], ["maps/clc2018.gpkg"]])
def test_optional_sources_without_files_are_skipped(tmp_path, files):
    recipe = load_recipe(write_recipe(tmp_path, {"source": "worldcover"}, {**OPTIONAL, "files": files}))
    without = load_recipe(write_recipe(tmp_path, {"source": "worldcover"}))
    assert recipe.labels == without.labels and recipe.digest == without.digest and without.skipped_labels == ()
    ((source, reason),) = recipe.skipped_labels
    assert source == "corine" and "--labels corine=PATH" in reason and str(tmp_path) not in reason
    assert ("clc2018.gpkg" in reason) == bool(files)


@pytest.mark.parametrize(
    ("entry", "options"),
    [
        (OPTIONAL, ["corine=clc2018.gpkg"]),
        ({**OPTIONAL, "files": ["world:labels/corine/*.tif"]}, []),
        ({"source": "worldcover", "optional": True}, []),  # which the provider publishes
    ],
)
def test_optional_sources_with_maps_are_used(tmp_path, entry, options):
    text(tmp_path / "clc2018.gpkg", "")
    recipe = load_recipe(write_recipe(tmp_path, entry), labels=options)
    assert [label.source for label in recipe.labels] == [entry["source"]] and recipe.skipped_labels == ()


def test_copies_keep_skipped_labels(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path, OPTIONAL))
    assert recipe.model_copy(update={"limit": 3}).skipped_labels == recipe.skipped_labels != ()
    assert "skipped_labels" not in recipe.canonical()
    with pytest.raises(ValueError):
        recipe_of(skipped_labels=[])


# -- validation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "key", "value"),
    [
        ({"min_confidence": 0.5}, "labels.0.min_confidence", 0.5),
        ({"composite": "median"}, "labels.0.composite", "median"),
        ({"composite": "probability", "min_confidence": 50}, "labels.0.min_confidence", 50),
        ({"max_gap_days": -1}, "labels.0.max_gap_days", -1),
        ({"year": 18}, "labels.0.year", 18),
        ({"file": ["a.tif"]}, "labels.0.file", None),
        ({"files": [{"path": "a.tif", "yaer": 2018}]}, "labels.0.files.0.yaer", None),
        ({"files": [{"path": "a.tif", "year": 18}]}, "labels.0.files.0.year", 18),
        ({"files": [{"year": 2018}]}, "labels.0.files.0.path", None),
    ],
)
def test_invalid_entries_are_refused_with_file_key_and_value(tmp_path, entry, key, value):
    path = write_recipe(tmp_path, {"source": "dynamic-world", **entry})
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert (caught.value.file, caught.value.key, caught.value.value) == (path, key, value)


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("2021", "2021-06-01", "2021-12-31"),
        ("2022", "2022-01-01", "2022-05-31"),
        ("2021-06", "2021-06-01", "2021-06-30"),
        ("2021-12", "2021-12-01", "2021-12-31"),
        ("2022-02", "2022-02-01", "2022-02-28"),
        ("2022-05", "2022-05-01", "2022-05-31"),
    ],
)
def test_periods_are_clipped_to_the_recipes_time(period, first, last):
    time = recipe_of(time={"start": "2021-06-01", "end": "2022-05-31"}).time
    start, end = time.span(period)
    assert (f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}") == (f"{first} 00:00", f"{last} 23:59")
    assert time.period_of(start.date())[:4] == period[:4] and start.tzinfo is end.tzinfo is not None
