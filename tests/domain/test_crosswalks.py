"""Target classes and crosswalks by the names that recipes use, and what the package's code knows of them."""

import ast
import json
import re
from pathlib import Path

import pytest

import landmark
from landmark.core.errors import InputError, UnknownName
from landmark.core.yaml_files import load_model
from landmark.domain.crosswalks import shipped_crosswalks, targets
from landmark.domain.taxonomy import Taxonomy
from landmark.labels.label_rules import load_label_rules
from tests.parts import raises, recipe_of, text

TARGETS = {name: load_model(Taxonomy, "taxonomies", name) for name in targets()}
PAIRS = [("bigearthnet-19", "corine"), ("bigearthnet-19", "bigearthnet-19"), ("corine-level-3", "corine")]


def targets_of(source, taxonomy):
    """Code → class of a source's crosswalk."""
    (crosswalk,) = load_label_rules(recipe_of(labels=[{"source": source}], taxonomy=taxonomy)).crosswalks
    assert crosswalk.name == source
    return {code: entry.to for code, entry in crosswalk.classes.items()}


def test_corine_gives_the_classes_of_bigearthnet(real):
    rows = json.loads((real / "landcover/clc_to_bigearthnet19.json").read_text())["clc_data"]
    names = {key: entry.name["en"] for key, entry in TARGETS["bigearthnet-19"].classes.items()}
    merged = {code: names.get(key, "UNLABELED") for code, key in targets_of("corine", "bigearthnet-19").items()}
    assert merged == {int(row["code"]): row["name_19"] for row in rows if row["code"] != "999"}
    assert len(names) == 19 and set(targets_of("bigearthnet-19", "bigearthnet-19").values()) == names.keys()


def test_corine_gives_the_classes_of_level_3():
    (corine,) = shipped_crosswalks(["corine"], "landmark")
    entries = TARGETS["corine-level-3"].classes
    assert targets_of("corine", "corine-level-3") == {code: entry.key for code, entry in corine.classes.items()}
    names = {entry.key: (entry.name, entry.colour) for entry in corine.classes.values()}
    assert names == {key: (entry.name["en"], entry.colour) for key, entry in entries.items()} and len(entries) == 44


@pytest.mark.parametrize(("taxonomy", "source"), [("corine-level-3", "worldcover"), ("bigearthnet-19", "io-lulc")])
def test_a_source_without_a_crosswalk_is_refused_by_name(refusal, recipe, taxonomy, source):
    error = refusal("plan", recipe(taxonomy=taxonomy, labels=[{"source": source}]))
    assert (error.key, error.value) == (f"labels.{source}", source)
    assert f"{source} has no crosswalk to {taxonomy}" in str(error) and "corine" in error.remedy


@pytest.mark.parametrize("taxonomy", ["corine", "worldcover", "ems"])
def test_a_source_is_no_taxonomy(refusal, recipe, taxonomy):
    error = refusal("plan", recipe(taxonomy=taxonomy))
    assert (error.key, error.value) == ("taxonomy", taxonomy)
    assert all(name in error.remedy for name in TARGETS)


@pytest.mark.parametrize("name", ["landmrak", "gone.yaml"])
def test_unknown_names_are_refused_with_recipe_and_key(name):
    with raises(UnknownName, file="tiny", key="taxonomy", value=name):
        load_label_rules(recipe_of(taxonomy=name))
    with raises(UnknownName, file="tiny", key=f"labels.{name}", value=name):
        load_label_rules(recipe_of(labels=[{"source": name}]))


@pytest.mark.parametrize("source", ["landmark", "corine-level-3", "ems"])
def test_a_taxonomy_is_no_source(source):
    with raises(InputError, key=f"labels.{source}", value=source):
        load_label_rules(recipe_of(labels=[{"source": source}]))


def test_a_user_crosswalk_extends_a_shipped_crosswalk(tmp_path):
    entry = "{name: {en: Land}, phrase: {en: land}, definition: All, colour: '#000000'}"
    own = text(tmp_path / "mine.yaml", f"{{name: mine, version: '1', classes: {{land: {entry}}}}}")
    remap = "{10: land, 20: {drop: no such class}}"
    path = text(tmp_path / "worldcover-to-mine.yaml", f"{{extends: worldcover, target: mine, remap: {remap}}}")
    with raises(InputError, file=str(path), key="classes.30.to", value="grass"):
        load_label_rules(recipe_of(labels=[{"source": str(path)}], taxonomy=str(own)))
    with raises(InputError, key="labels.worldcover", value="worldcover"):
        load_label_rules(recipe_of(labels=[{"source": "worldcover"}], taxonomy=str(own)))


@pytest.mark.parametrize("target", [{"key": "x"}, {"to": "trees", "drop": "x"}, {"name": "X"}])
def test_a_remap_gives_a_class_or_a_reason(tmp_path, target):
    path = text(tmp_path / "own.yaml", json.dumps({"extends": "worldcover", "remap": {"10": target}}))
    with pytest.raises(InputError) as caught:
        load_label_rules(recipe_of(labels=[{"source": str(path)}]))
    assert "10" in str(caught.value.key)


def test_code_knows_no_target_class():
    """The embedded world simulates land of its own, and a trait is no class."""
    keys = {key for taxonomy in TARGETS.values() for key in taxonomy.classes}
    folder, uses = Path(landmark.__file__).parent, list[str]()
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).parts[0] == "world" or path == folder / "domain" / "traits.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = {node.value, *re.findall(r"""["']([a-z0-9_]+)["']""", node.value)}
                uses += [f"{path.name}:{node.lineno} {key}" for key in words & keys]
    assert uses == []
