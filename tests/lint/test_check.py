"""Mistakes planted in copies of the shipped files, each named with file, key, value and remedy."""

import json
import re
from pathlib import Path

import pytest
import yaml

from landmark.core.yaml_files import find_resource, read_yaml, load_extended
from landmark.lint.check import lint
from landmark.lint.tables import diff, show
from tests.parts import text


def planted(folder, name, change):
    """A shipped file with a change, under its own name in a folder of its own."""
    path = find_resource("taxonomies", name)
    value = load_extended("taxonomies", path)
    change(value)
    return text(folder / path.name, yaml.safe_dump(value, allow_unicode=True, sort_keys=False))


def at(*keys):
    """Sets, or with no value removes, what lies under the keys."""

    def put(value, said=None):
        for key in keys[:-1]:
            value = value[key]
        if said is None:
            del value[keys[-1]]
        else:
            value[keys[-1]] = said

    return put


def put(*keys, said=None):
    return lambda value: at(*keys)(value, said)


def both(*changes):
    def change(value):
        for one in changes:
            one(value)

    return change


def copied(one, other):
    """Class `one` stands a second time, under the code or key `other`."""
    return lambda value: value["classes"].update({other: dict(value["classes"][one])})


# (what is planted, in which file, how, words of the line that names it: key, value, remedy)
MISTAKES = [
    # The target classes.
    (
        "a name without a language",
        "landmark",
        put("classes", "trees", "name", "fr"),
        ["classes.trees.name.fr", "is missing", "write it"],
    ),
    (
        "a phrase without a language",
        "landmark",
        put("classes", "water", "phrase", "es"),
        ["classes.water.phrase.es", "is missing"],
    ),
    (
        "an empty name",
        "landmark",
        put("classes", "water", "name", "es", said=" "),
        ["classes.water.name.es", "is missing"],
    ),
    (
        "a language of one class alone",
        "landmark",
        put("classes", "water", "name", "it", said="Acqua"),
        ["classes.water.name.it", "'it'", "add it there"],
    ),
    (
        "synonyms without a language",
        "landmark",
        put("classes", "water", "synonyms", "fr"),
        ["classes.water.synonyms.fr", "is missing"],
    ),
    ("no English", "landmark", put("languages", said=["fr", "es"]), ["languages", "lacks en", "add it"]),
    (
        "two classes of one name",
        "landmark",
        put("classes", "crops", "name", "en", said="Trees"),
        ["classes.crops.name.en", "'Trees'", "trees", "one class"],
    ),
    (
        "two classes of one phrase",
        "landmark",
        put("classes", "crops", "phrase", "fr", said="Des  arbres"),
        ["classes.crops.phrase.fr", "'Des  arbres'", "trees"],
    ),
    (
        "a synonym of two classes",
        "landmark",
        put("classes", "crops", "synonyms", "es", said=["Bosque"]),
        ["classes.crops.synonyms.es", "'Bosque'", "trees"],
    ),
    (
        "a synonym that is another's name",
        "landmark",
        put("classes", "crops", "synonyms", "en", said=["grass"]),
        ["classes.crops.synonyms.en", "'grass'", "classes.grass.name.en"],
    ),
    (
        "a synonym that is its own name",
        "landmark",
        put("classes", "crops", "synonyms", "en", said=["Crops"]),
        ["classes.crops.synonyms.en", "'Crops'", "leave it out"],
    ),
    (
        "a synonym twice",
        "landmark",
        put("classes", "crops", "synonyms", "en", said=["field", "Field"]),
        ["classes.crops.synonyms.en", "field", "twice"],
    ),
    (
        "two classes of one colour",
        "landmark",
        put("classes", "crops", "colour", said="#397d49"),
        ["classes.crops.colour", "'#397d49'", "classes.trees.colour"],
    ),
    (
        "a colour that is none",
        "landmark",
        put("classes", "crops", "colour", said="green"),
        ["classes.crops.colour", "'green'"],
    ),
    ("a class without a colour", "landmark", put("classes", "crops", "colour"), ["classes.crops.colour", "missing"]),
    (
        "no definition",
        "landmark",
        put("classes", "crops", "definition", said=""),
        ["classes.crops.definition", "is empty", "say what"],
    ),
    (
        "a parent nobody defined",
        "landmark",
        put("classes", "crops", "parent", said="farming"),
        ["classes.crops.parent", "'farming'", "add it"],
    ),
    (
        "parents in a circle",
        "landmark",
        put("parents", "vegetation", "parent", said="woody_vegetation"),
        ["parents.vegetation.parent", "'vegetation'", "cut the circle"],
    ),
    (
        "a parent of nothing",
        "landmark",
        put("parents", "sky", said={"name": {"en": "Sky", "fr": "Ciel", "es": "Cielo"}}),
        ["parents.sky", "take it out"],
    ),
    (
        "a parent that is a class",
        "landmark",
        put("parents", "water", said={"name": {"en": "W", "fr": "E", "es": "A"}}),
        ["parents.water", "another key"],
    ),
    (
        "a parent without a language",
        "landmark",
        put("parents", "crisis", "name", "es"),
        ["parents.crisis.name.es", "is missing"],
    ),
    # The crosswalks.
    (
        "an unknown target",
        "worldcover",
        put("classes", 10, "to", said="treees"),
        ["classes.10.to", "'treees'", "it has trees"],
    ),
    (
        "a class of events from land cover",
        "worldcover",
        put("classes", 80, "to", said="flooded_area"),
        ["classes.80.to", "'flooded_area'", "undated: true"],
    ),
    ("undated for nothing", "worldcover", put("undated", said=True), ["undated", "take it out"]),
    ("to and drop", "worldcover", put("classes", 10, "drop", said="why"), ["classes.10", "exactly one of"]),
    ("neither to nor drop", "worldcover", put("classes", 10, "to"), ["classes.10", "exactly one of"]),
    (
        "dropped without a reason",
        "corine",
        put("classes", 334, "drop", said=" "),
        ["classes.334.drop", "no reason", "say why"],
    ),
    ("a class is missing", "corine", put("classes", 512), ["count", "44", "43"]),
    (
        "a class too many",
        "worldcover",
        lambda v: v["classes"].update({110: {"key": "x", "name": "X", "colour": "#010203", "to": "bare"}}),
        ["count", "11", "12"],
    ),
    (
        "a key twice",
        "worldcover",
        put("classes", 10, "key", said="shrubland"),
        ["classes.20.key", "'shrubland'", "classes.10.key"],
    ),
    (
        "an alias twice",
        "corine",
        put("classes", 112, "alias", said=1),
        ["classes.112.alias", "'1'", "classes.111.alias"],
    ),
    (
        "a class without an alias",
        "corine",
        put("classes", 112, "alias"),
        ["classes.112.alias", "is missing", "give it"],
    ),
    ("a code that is no data", "worldcover", put("nodata", said=[0, 10]), ["nodata", "'10'", "classes.10"]),
    (
        "a word of two classes",
        "vectors",
        put("classes", 2, "words", said=["wood"]),
        ["classes.2.words", "'wood'", "classes.1.words"],
    ),
    (
        "a name of two classes",
        "corine",
        put("classes", 112, "name", said="continuous urban-fabric"),
        ["classes.112.words", "'continuous urban fabric'", "classes.111.words"],
    ),
    (
        "a word that is no data",
        "vectors",
        put("word_nodata", said=["Lake"]),
        ["word_nodata", "'lake'", "classes.24.words"],
    ),
    (
        "a source's colour twice",
        "corine",
        put("classes", 112, "colour", said="#e6004d"),
        ["classes.112.colour", "'#e6004d'"],
    ),
    (
        "no colour of a source's class",
        "io-lulc",
        put("classes", 5, "colour"),
        ["classes.5.colour", "is missing", "legend"],
    ),
    ("a group without a name", "corine", put("groups", 52), ["groups.52", "is missing", "name the group"]),
    ("a group of nothing", "corine", put("groups", 53, said="Air"), ["groups.53", "'Air'", "take it out"]),
    ("a code of another length", "corine", both(copied(112, 1121), put("classes", 112)), ["classes.1121", "digits"]),
    ("another taxonomy", "worldcover", put("target", said="landmarks"), ["target", "'landmarks'", "name one of"]),
    ("a name that is not the file's", "worldcover", put("name", said="esa"), ["name", "'esa'", "'worldcover'"]),
    ("no licence", "worldcover", put("licence"), ["licence", "missing"]),
    ("an empty attribution", "worldcover", put("attribution", said=""), ["attribution", "is empty", "say it"]),
    ("a key nobody knows", "worldcover", put("licens", said="x"), ["licens", "did you mean `licence`"]),
    (
        "a class led elsewhere that is not there",
        "corine",
        put("remap", said={999: "built"}),
        ["remap", "999", "give codes"],
    ),
    (
        "a finer code nobody knows",
        "bigearthnet-19",
        put("classes", 0, "merges", said=[111, 112, 119]),
        ["classes.0.merges", "119", "corine"],
    ),
    (
        "a finer code twice",
        "bigearthnet-19",
        put("classes", 0, "merges", said=[111, 112, 121]),
        ["classes.1.merges", "'corine 121'", "classes.0.merges"],
    ),
    (
        "a finer code nowhere",
        "bigearthnet-19",
        put("classes", 0, "merges", said=[111]),
        ["unmerged", "112", "Discontinuous", "add it"],
    ),
    (
        "a class that mixes targets",
        "bigearthnet-19",
        both(put("classes", 16, "drop"), put("classes", 16, "to", said="bare")),
        ["classes.16.to", "'bare'", "flooded_vegetation", "mixes"],
    ),
    (
        "a class that mixes nothing",
        "bigearthnet-19",
        put("classes", 0, "mixes", said="why"),
        ["classes.0.mixes", "take it out"],
    ),
    (
        "a finer source nobody wrote",
        "bigearthnet-19",
        put("merge_of", said="clc"),
        ["merge_of", "'clc'", "name one of"],
    ),
    # What packages of crisis mapping say.
    (
        "a type of event nobody knows",
        "ems",
        put("event_types", "Flood", said="deluge"),
        ["event_types.Flood", "'deluge'", "flood, fire, earthquake"],
    ),
    (
        "a grade that is land cover",
        "ems",
        put("gradings", "Damaged", "to", said="built"),
        ["gradings.Damaged.to", "'built'", "event: true"],
    ),
    (
        "a grade into nothing",
        "ems",
        put("gradings", "Damaged", "to", said="ruin"),
        ["gradings.Damaged.to", "'ruin'", "it has trees"],
    ),
    (
        "a grade of two classes",
        "ems",
        put("gradings", "Destroyed", "to", said="flooded_area"),
        ["gradings.Completely destroyed", "'destroyed'", "one class"],
    ),
    (
        "a word in two writings",
        "ems",
        put("event_types", "5-FLOOD ", said="flood"),
        ["event_types.5-FLOOD ", "'flood'", "event_types.Flood"],
    ),
    (
        "an event that gives land cover",
        "events/types",
        put("types", "flood", "to", said="water"),
        ["types.flood.to", "'water'", "event: true"],
    ),
    (
        "an event less a crisis",
        "events/types",
        put("types", "flood", "excluded_land_cover", said=["burned_area"]),
        ["types.flood.excluded_land_cover", "'burned_area'", "land cover"],
    ),
    # The words of captions, and sources of events.
    (
        "a language without a type of event",
        "captions/fr",
        put("events", "flood"),
        ["events.flood", "is missing", "add its words"],
    ),
    (
        "a word of two facts",
        "captions/fr",
        put("finer", "corine/pastures", said="des vergers"),
        ["finer.corine/pastures", "'des vergers'", "finer.corine/fruit_trees_and_berry_plantations"],
    ),
    (
        "a language nobody has names in",
        "captions/es",
        put("lang", said="pt"),
        ["classes.trees.name", "is missing", "'pt'"],
    ),
    ("a slot nobody knows", "captions/en", put("spans", "days", said="{m} days"), ["spans.days", "{m}"]),
    ("an event nobody knows", "events/effis", put("vectors", "type", said="blaze"), ["vectors.type", "'blaze'"]),
    (
        "a word for an event nobody knows",
        "events/usgs-earthquakes",
        put("vectors", "type", "values", "earthquake", said="quake"),
        ["vectors.type.values.earthquake", "'quake'", "flood, fire"],
    ),
    ("packages without words", "events/copernicus-ems", put("ems", "words", said="cems"), ["ems.words", "'cems'"]),
    ("a source of events by another name", "events/effis", put("name", said="fires"), ["name", "'fires'", "'effis'"]),
    (
        "an event that looks like nothing",
        "events/types",
        put("types", "flood", "looks_like", said=["lake"]),
        ["types.flood.looks_like", "'lake'", "land cover"],
    ),
    (
        "an event without a language",
        "events/types",
        put("types", "fire", "name", "fr"),
        ["types.fire.name.fr", "is missing"],
    ),
    (
        "an event that never speaks",
        "events/types",
        put("types", "fire", "mentionable_phases", said=[]),
        ["types.fire.mentionable_phases", "name a phase"],
    ),
]


@pytest.mark.parametrize(("name", "change", "words"), [pytest.param(*row, id=what) for what, *row in MISTAKES])
def test_a_planted_mistake_is_named_with_file_key_value_and_remedy(tmp_path, name, change, words):
    path = planted(tmp_path, name, change)
    (checked,) = lint([str(path)])
    key, *said = words
    named = [str(one) for one in checked.problems if one.key == key]
    assert any(all(word in line for word in [str(path), key, *said]) for line in named), checked.problems


def test_the_shipped_files_have_no_mistake():
    checked = lint()
    assert [mistake for one in checked for mistake in one.problems] == []
    shipped = find_resource("taxonomies", "landmark").parent.rglob("*.yaml")
    assert {one.file for one in checked} == {str(path) for path in shipped}


@pytest.mark.parametrize("name", sorted({name for _, name, *_ in MISTAKES}))
def test_a_copy_without_a_change_has_no_mistake(tmp_path, name):
    (checked,) = lint([str(planted(tmp_path, name, lambda value: None))])
    assert checked.problems == ()


def test_all_mistakes_of_a_file_are_told_whatever_their_kind(tmp_path):
    """A wrong colour, a class both led and dropped, and a word twice do not hide each other or the missing class."""
    path = planted(
        tmp_path,
        "corine",
        both(
            put("classes", 111, "colour", said="red"),
            put("classes", 112, "drop", said="why"),
            put("classes", 121, "to", said="biult"),
            put("classes", 122, "key", said="airports"),
            put("classes", 523),
            put("digitz", said=3),
            put("licence"),
        ),
    )
    (checked,) = lint([str(path)])
    keys = {one.key for one in checked.problems}
    twice = {"classes.124.key", "classes.124.words"}
    assert keys == {"classes.111.colour", "classes.112", "classes.121.to", "count", "digitz", "licence"} | twice


def test_the_mistakes_of_a_file_no_yaml_parser_reads_are_its_own(tmp_path):
    broken = text(tmp_path / "a.yaml", "classes: {1: {key: a}, 1: {key: b}}\n")
    nothing = text(tmp_path / "b.yaml", "clases: {}\n")
    said = [str(one) for checked in lint([str(broken), str(nothing)]) for one in checked.problems]
    assert len(said) == 2
    assert "a.yaml" in said[0] and "key 1 is written twice" in said[0]
    assert "b.yaml" in said[1] and "docs/taxonomies.md" in said[1]


def test_the_command_gates(landmark, tmp_path):
    path = planted(tmp_path, "worldcover", put("classes", 10, "to", said="treees"))
    code, out, _ = landmark("taxonomy", "check", path, "corine")
    assert code == 2 and "`classes.10.to`" in out and "corine.yaml: 44 classes, 43 into landmark, 1 dropped" in out
    code, out, _ = landmark("taxonomy", "check", path, "--json")
    (said,) = json.loads(out)
    assert code == 2 and [one["key"] for one in said["mistakes"]] == ["classes.10.to"]
    assert landmark("taxonomy", "check")[0] == 0
    code, _, err = landmark("taxonomy", "check", "corrine")
    assert code == 2 and "Did you mean 'corine'" in err


# -- show and diff -----------------------------------------------------------------------------------------------------


def test_a_crosswalk_is_shown_code_by_code(landmark):
    code, out, _ = landmark("taxonomy", "show", "corine", "landmark", "--json")
    rows = {row["code"]: row for row in json.loads(out)}
    assert code == 0 and len(rows) == 44
    assert rows[221] == {"code": 221, "alias": 15, "key": "vineyards", "name": "Vineyards", "colour": "#e68000",
                         "to": "crops", "drop": None}  # fmt: skip
    assert rows[334]["to"] is None and "undated" in rows[334]["drop"]


def test_a_table_in_a_pipe_is_plain_text_with_a_row_a_line(landmark):
    code, out, _ = landmark("taxonomy", "show", "worldcover")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 12 and lines[0].split() == ["code", "key", "name", "colour", "to", "drop"]
    assert lines[1].split() == ["10", "tree_cover", "Tree", "cover", "#006400", "trees"] and "\x1b" not in out


def test_what_bigearthnet_joins_is_shown_and_what_it_leaves_out():
    rows = {row["code"]: row for row in show("corine", "bigearthnet-19").rows}
    assert len(rows) == 44 and rows[213]["to"] == "arable_land"
    assert {code for code, row in rows.items() if row["drop"]} == {
        122, 123, 124, 131, 132, 133, 141, 142, 332, 334, 335, 423
    }  # fmt: skip


def test_corine_and_the_papers_reading_of_it_differ_in_burnt_areas_alone(landmark):
    (row,) = diff("corine", "crisislandmark").rows
    assert row["class"] == "burnt_areas" and row["crisislandmark"] == "burned_area"
    assert row["corine"].startswith("dropped: undated")
    assert diff("corine", "corine").rows == ()
    code, out, _ = landmark("taxonomy", "diff", "corine", "corine")
    assert (code, out.strip()) == (0, "")


def test_the_words_of_packages_are_shown():
    rows = {row["word"]: row for row in show("ems").rows if row["table"] == "gradings"}
    assert rows["Destroyed"]["to"] == "earthquake_damage" and rows["Possibly damaged"]["drop"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "corine", "io-lulc"), "corine does not lead to io-lulc"),
        (("diff", "corine", "landmark"), "two files of a kind"),
        (("show", "corrine"), "Did you mean 'corine'"),
    ],
)
def test_what_cannot_be_compared_is_refused(landmark, arguments, words):
    code, _, err = landmark("taxonomy", *arguments)
    assert code == 2 and words in err


def test_a_shipped_file_says_nothing_twice():
    """`crisislandmark` repeats nothing of the file it extends."""
    assert read_yaml(find_resource("taxonomies", "crisislandmark")).keys() == {"extends", "name", "title", "undated", "remap"}


def test_the_files_the_handbook_shows_have_no_mistake(tmp_path):
    handbook = (Path(__file__).parents[2] / "docs/taxonomies.md").read_text(encoding="utf-8")
    shown = [block for block in re.findall(r"```yaml\n(.*?)```", handbook, re.DOTALL) if "\nname: " in f"\n{block}"]
    for block in shown:
        path = text(tmp_path / f"{yaml.safe_load(block)['name']}.yaml", block)
        (checked,) = lint([str(path)])
        assert checked.problems == ()
    assert len(shown) == 2
