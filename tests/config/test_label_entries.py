"""What a recipe and the command line say of label files."""

import pytest
import yaml

from landmark.config.label_entries import LabelEntry, matching
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputError
from tests.parts import recipe_of, text


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Work in a folder of the test, so that relative paths mean something."""
    monkeypatch.chdir(tmp_path)


def written(folder, *labels):
    value = {
        "name": "tiny",
        "region": {"bbox": [10, 45, 11, 46]},
        "time": {"start": "2021-01-01", "end": "2021-12-31"},
        "labels": list(labels),
    }
    return str(text(folder / "recipes/tiny.yaml", yaml.safe_dump(value)))


def test_paths_in_a_recipe_start_at_the_recipe(tmp_path):
    path = written(tmp_path, {"source": "corine", "files": ["maps/*.tif", "world:labels/x.tif", "/data/clc.gpkg"]})
    (entry,) = load_recipe(path).labels
    assert entry.files == (str(tmp_path / "recipes/maps/*.tif"), "world:labels/x.tif", "/data/clc.gpkg")


def test_where_files_lie_does_not_change_the_digest_and_what_they_are_called_does(tmp_path):
    digests = {
        name: load_recipe(written(tmp_path, {"source": "corine", "files": [name]})).digest
        for name in ("a/clc.tif", "b/clc.tif", "world:labels/clc.tif", "a/other.tif")
    }
    assert len(set(digests.values())) == 2
    assert digests["a/clc.tif"] == digests["b/clc.tif"] == digests["world:labels/clc.tif"]


def test_the_command_line_gives_files_to_a_source_and_adds_to_them(tmp_path):
    for name in ("one.tif", "two.tif", "dw/a.tif", "dw/b.tif"):
        text(tmp_path / name, "")
    path = written(tmp_path, {"source": "worldcover"}, {"source": "corine", "max_gap_days": 5, "files": ["own.tif"]})
    given = load_recipe(path, labels=["corine=one.tif", "corine=two.tif", "dynamic-world=dw/*.tif"]).labels
    assert [entry.source for entry in given] == ["worldcover", "corine", "dynamic-world"]
    assert given[0].files == () and given[1].max_gap_days == 5
    assert given[1].files == tuple(str(tmp_path / name) for name in ("recipes/own.tif", "one.tif", "two.tif"))
    assert [found.name for found in matching(given[2].files[0])] == ["a.tif", "b.tif"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("corine", ["--labels corine", "corine=clc2018.gpkg"]),
        ("=a.tif", ["--labels =a.tif", "a source and a path"]),
        ("corine=gone.tif", ["--labels corine=gone.tif", "no file matches", "gone.tif"]),
    ],
)
def test_a_wrong_word_on_the_command_line_is_refused_with_the_right_form(tmp_path, said, words):
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path), labels=[said])
    assert all(word in str(caught.value) for word in words)


# -- optional sources --------------------------------------------------------------------------------------------------

OPTIONAL = {"source": "corine", "optional": True}


def test_an_optional_source_without_a_file_is_left_out_and_says_how_to_add_it(tmp_path):
    with_it = load_recipe(written(tmp_path, {"source": "worldcover"}, OPTIONAL))
    without = load_recipe(written(tmp_path, {"source": "worldcover"}))
    assert with_it.labels == without.labels and with_it.digest == without.digest
    ((source, how),) = with_it.skipped_labels
    assert source == "corine" and "--labels corine=PATH" in how
    assert without.skipped_labels == ()


def test_an_optional_source_whose_files_are_not_there_is_left_out_and_names_them(tmp_path):
    recipe = load_recipe(written(tmp_path, {**OPTIONAL, "files": ["maps/clc2018.gpkg"]}))
    assert recipe.labels == () and "no file matches clc2018.gpkg" in recipe.skipped_labels[0][1]
    assert str(tmp_path) not in recipe.skipped_labels[0][1]


def test_an_optional_source_with_a_file_is_kept(tmp_path):
    text(tmp_path / "clc2018.gpkg", "")
    recipe = load_recipe(written(tmp_path, OPTIONAL), labels=["corine=clc2018.gpkg"])
    assert [entry.source for entry in recipe.labels] == ["corine"] and recipe.skipped_labels == ()
    in_world = load_recipe(written(tmp_path, {**OPTIONAL, "files": ["world:labels/corine/*.tif"]}))
    assert [entry.source for entry in in_world.labels] == ["corine"]


def test_an_optional_source_that_the_provider_publishes_is_kept(tmp_path):
    recipe = load_recipe(written(tmp_path, {"source": "worldcover", "optional": True}))
    assert [entry.source for entry in recipe.labels] == ["worldcover"] and recipe.skipped_labels == ()


def test_what_was_left_out_is_no_key_of_a_recipe_and_outlives_a_copy(tmp_path):
    recipe = load_recipe(written(tmp_path, OPTIONAL))
    assert recipe.model_copy(update={"limit": 3}).skipped_labels == recipe.skipped_labels != ()
    assert "left_out" not in str(recipe.canonical())
    with pytest.raises(ValueError, match="left_out"):
        recipe_of(left_out=[])


# -- checks at the door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"min_confidence": 0.5}, ["min_confidence needs `composite: probability`"]),
        ({"composite": "median"}, ["labels.0.composite", "'mode' or 'probability'"]),
        ({"composite": "probability", "min_confidence": 50}, ["labels.0.min_confidence", "less than or equal to 1"]),
        ({"max_gap_days": -1}, ["labels.0.max_gap_days"]),
        ({"year": 18}, ["labels.0.year"]),
        ({"file": ["a.tif"]}, ["unknown key `labels.0.file`"]),
    ],
)
def test_a_wrong_entry_is_refused_with_file_key_and_value(tmp_path, entry, words):
    path = written(tmp_path, {"source": "dynamic-world", **entry})
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert all(word in str(caught.value) for word in [path, *words])


def test_every_key_of_an_entry_is_described():
    assert all(field.description for field in LabelEntry.model_fields.values())


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
def test_a_period_is_the_part_of_it_that_lies_in_the_recipes_time(period, first, last):
    time = recipe_of(time={"start": "2021-06-01", "end": "2022-05-31"}).time
    start, end = time.span(period)
    assert (f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}") == (f"{first} 00:00", f"{last} 23:59")
    assert time.period_of(start.date())[:4] == period[:4] and start.tzinfo is end.tzinfo is not None
