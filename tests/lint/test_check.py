"""Mistakes in copies of shipped files are reported with file, key and value; files are shown and compared."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from landmark.core.errors import InputError
from landmark.core.resources import find_resource
from landmark.core.yaml_files import load_extended, read_yaml
from landmark.labels.label_rules import load_label_rules
from landmark.lint.check import TRAIT_CHECKS, lint
from landmark.lint.tables import diff, show
from tests.parts import recipe_of, text

MISTAKES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text(encoding="utf-8"))


def changed(folder, name, *changes):
    """A copy of a shipped file with (keys, new value) changes; None removes a key."""
    path = find_resource("taxonomies", name)
    value = load_extended("taxonomies", path)
    for keys, new in changes:
        parent: Any = value
        for key in keys[:-1]:
            parent = parent[key]
        if new is None:
            del parent[keys[-1]]
        else:
            parent[keys[-1]] = new
    return text(folder / path.name, yaml.safe_dump(value, allow_unicode=True, sort_keys=False))


@pytest.mark.parametrize(("name", "keys", "new", "key", "value"), MISTAKES)
def test_a_mistake_is_reported_with_file_key_and_value(tmp_path, name, keys, new, key, value):
    path = changed(tmp_path, name, (keys, new))
    (result,) = lint([str(path)])
    assert (str(path), key, value) in [(problem.file, problem.key, problem.value) for problem in result.problems]


@pytest.mark.parametrize(
    ("name", "keys", "new", "key", "value"),
    [
        row
        for row in MISTAKES
        if row[0] == "worldcover" and row[3] in ("nodata", "classes.10", "classes.80.to", "target")
    ],
)
def test_loading_raises_a_reported_problem(tmp_path, name, keys, new, key, value):
    path = changed(tmp_path, name, (keys, new))
    with pytest.raises(InputError) as caught:
        load_label_rules(recipe_of(labels=[{"source": str(path)}]))
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), key, value)


def test_shipped_files_have_no_problem():
    results = lint()
    assert [problem for result in results for problem in result.problems] == []
    files = find_resource("taxonomies", "landmark").parent.rglob("*.yaml")
    assert {result.file for result in results} == {str(path) for path in files}


@pytest.mark.parametrize("name", sorted({row[0] for row in MISTAKES}))
def test_copies_have_no_problem(tmp_path, name):
    (result,) = lint([str(changed(tmp_path, name))])
    assert result.problems == ()


def test_mistakes_do_not_hide_each_other(tmp_path):
    path = changed(
        tmp_path,
        "corine",
        (["classes", 111, "colour"], "red"),
        (["classes", 112, "drop"], "why"),
        (["classes", 121, "to"], "biult"),
        (["classes", 122, "key"], "airports"),
        (["classes", 523], None),
        (["digitz"], 3),
        (["licence"], None),
        (["remap"], {999: "built"}),
    )
    (result,) = lint([str(path)])
    assert {problem.key for problem in result.problems} == {
        "classes.111.colour", "classes.112", "classes.121.to", "classes.124.key", "classes.124.words", "count",
        "digitz", "licence", "remap.999",
    }  # fmt: skip
    assert len({str(problem) for problem in result.problems}) == len(result.problems)


def test_unreadable_files_and_unknown_kinds_are_reported(tmp_path):
    broken = text(tmp_path / "a.yaml", "classes: {1: {key: a}, 1: {key: b}}\n")
    unknown = text(tmp_path / "b.yaml", "clases: {}\n")
    results = lint([str(broken), str(unknown)])
    assert [(result.file, len(result.problems)) for result in results] == [(str(broken), 1), (str(unknown), 1)]


def test_command_fails_on_a_problem(landmark, tmp_path):
    path = changed(tmp_path, "worldcover", (["classes", 10, "to"], "treees"))
    code, out, _ = landmark("taxonomy", "check", path, "corine")
    assert code == 2 and "`classes.10.to`" in out and "corine.yaml" in out
    code, out, _ = landmark("taxonomy", "check", path, "--json")
    (result,) = json.loads(out)
    assert code == 2 and [problem["key"] for problem in result["problems"]] == ["classes.10.to"]
    assert landmark("taxonomy", "check")[0] == 0
    code, _, err = landmark("taxonomy", "check", "corrine")
    assert code == 2 and "'corine'" in err


def test_a_taxonomy_without_traits_is_a_warning(landmark, tmp_path):
    path = changed(tmp_path, "landmark", *((["classes", key, "traits"], None) for key in ("water", "trees")))
    assert lint([str(path)])[0].warnings == ()
    bare = text(
        path, re.sub(r" +traits:\n( +- .*\n)+", "", path.read_text()).replace("name: landmark\n", "name: bare\n")
    )
    code, out, err = landmark("taxonomy", "check", bare)
    assert code == 0 and all(name in err for name in TRAIT_CHECKS)
    code, out, _ = landmark("taxonomy", "check", bare, "--json")
    assert code == 0 and len(json.loads(out)[0]["warnings"]) == 1


# -- show and diff -----------------------------------------------------------------------------------------------------


def test_show_lists_codes(landmark):
    code, out, _ = landmark("taxonomy", "show", "corine", "landmark", "--json")
    rows = {row["code"]: row for row in json.loads(out)}
    assert code == 0 and len(rows) == 44
    assert rows[221] == {"code": 221, "alias": 15, "key": "vineyards", "name": "Vineyards", "colour": "#e68000",
                         "to": "crops", "drop": None}  # fmt: skip
    assert rows[334]["to"] is None and "undated" in rows[334]["drop"]


def test_a_table_in_a_pipe_is_plain_text(landmark):
    code, out, _ = landmark("taxonomy", "show", "worldcover")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 12 and lines[0].split() == ["code", "key", "name", "colour", "to", "drop"]
    assert lines[1].split() == ["10", "tree_cover", "Tree", "cover", "#006400", "trees"] and "\x1b" not in out


def test_show_lists_merged_and_unmerged_codes():
    rows = {row["code"]: row for row in show("corine", "bigearthnet-19").rows}
    assert len(rows) == 44 and rows[213]["to"] == "arable_land"
    assert {code for code, row in rows.items() if row["drop"]} == {
        122, 123, 124, 131, 132, 133, 141, 142, 332, 334, 335, 423
    }  # fmt: skip


def test_show_lists_the_targets_of_another_taxonomy():
    assert {row["code"]: row["to"] for row in show("corine", "corine-level-3").rows}[
        112
    ] == "discontinuous_urban_fabric"
    assert {row["to"] for row in show("bigearthnet-19", "bigearthnet-19").rows} >= {"urban_fabric", "marine_waters"}


def test_show_lists_words():
    rows = {row["word"]: row for row in show("ems").rows if row["table"] == "gradings"}
    assert rows["Destroyed"]["to"] == "earthquake_damage" and rows["Possibly damaged"]["drop"]


def test_diff_lists_differences(landmark):
    (row,) = diff("corine", "crisislandmark").rows
    assert row["class"] == "burnt_areas" and row["crisislandmark"] == "burned_area"
    assert row["corine"].startswith("dropped: undated")
    assert diff("corine", "corine").rows == ()
    code, out, _ = landmark("taxonomy", "diff", "corine", "corine")
    assert (code, out.strip()) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "corine", "io-lulc"),
        ("show", "worldcover", "corine-level-3"),
        ("diff", "corine", "landmark"),
        ("show", "corrine"),
    ],
)
def test_unrelated_files_are_refused(landmark, arguments):
    code, _, err = landmark("taxonomy", *arguments)
    assert code == 2 and arguments[-1] in err


def test_crisislandmark_repeats_nothing_of_the_extended_file():
    keys = read_yaml(find_resource("taxonomies", "crisislandmark")).keys()
    assert keys == {"extends", "name", "title", "undated", "remap"}


def test_the_documented_files_have_no_problem(tmp_path):
    pages = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    crosswalks = [
        (yaml.safe_load(block), block) for block in blocks if re.search(r"^(target|remap):", block, re.MULTILINE)
    ]
    for keys, block in crosswalks:
        (result,) = lint([str(text(tmp_path / f"{keys['name']}.yaml", block))])
        assert result.problems == ()
    assert len(crosswalks) >= 2
