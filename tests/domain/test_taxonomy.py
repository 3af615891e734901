"""The shipped taxonomy and crosswalks against official legends, and validation of crosswalks."""

import csv
import json

import pytest
import yaml

from landmark.core.errors import InputError
from landmark.core.resources import available, find_resource
from landmark.core.yaml_files import load_model, read_yaml
from landmark.domain.taxonomy import Crosswalk, SourceClass, Taxonomy
from landmark.labels.label_rules import load_label_rules
from tests.parts import recipe_of, text

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
CROSSWALKS = [
    name
    for name in available("taxonomies")
    if "target" in read_yaml(find_resource("taxonomies", name)) and name != "ems"
]


@pytest.mark.parametrize("name", CROSSWALKS)
def test_shipped_crosswalks_map_to_land_cover(name):
    for entry in load_model(Crosswalk, "taxonomies", name).classes.values():
        assert entry.drop or not TAXONOMY.classes[entry.to].event or name == "crisislandmark"
    assert load_label_rules(recipe_of(labels=[{"source": name}])).sources == (name,)


def test_worldcover_has_the_codes_of_the_items(world):
    (item, *_) = (world / "esa-worldcover").glob("*/*.json")
    declared = json.loads(item.read_text())["assets"]["map"]["classification:classes"]
    names = {entry["value"]: entry["description"] for entry in declared}
    assert {code: entry.name for code, entry in WORLDCOVER.classes.items()} == names and len(names) == 11
    assert not set(WORLDCOVER.nodata) & names.keys()


def test_worldcover_maps_as_in_the_paper():
    assert list(WORLDCOVER.classes) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]
    assert " ".join(str(entry.to) for entry in WORLDCOVER.classes.values()) == (
        "trees shrub_and_scrub grass crops built bare snow_and_ice water flooded_vegetation flooded_vegetation grass"
    )


# CrisisLandMark (arXiv 2507.10403): target class → words of official CORINE names; burnt areas (334) are dropped here.
CORINE_TARGETS = {
    "built": ["urban fabric", "Industrial or commercial", "Road and rail", "Port areas", "Airports"],
    "bare": ["Mineral", "Dump", "Construction", "Beaches", "Bare rocks", "Sparsely", "Salines", "Intertidal"],
    "grass": ["Green urban", "Sport", "Pastures", "Natural grasslands"],
    "crops": ["Non-irrigated", "irrigated land", "Vineyards", "Fruit", "Olive", "Annual", "Complex", "principally"],
    "flooded_vegetation": ["Rice", "Inland marshes", "Peat", "Salt marshes"],
    "trees": ["Agro-forestry", "Broad-leaved", "Coniferous", "Mixed forest"],
    "shrub_and_scrub": ["Moors", "Sclerophyllous", "Transitional"],
    "water": ["Water courses", "Water bodies", "lagoons", "Estuaries", "Sea"],
    "snow_and_ice": ["Glaciers"],
    None: ["Burnt"],
}


def test_corine_has_the_official_legend_and_maps_as_in_the_paper(real):
    corine = load_model(Crosswalk, "taxonomies", "corine")
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        legend = [
            (int(row["CLC_CODE"]), int(row["GRID_CODE"]), row["LABEL3"]) for row in csv.DictReader(file, delimiter=";")
        ]
    classes = {code: (grid, name) for code, grid, name in legend if code < 900}
    assert {code: (entry.alias, entry.name) for code, entry in corine.classes.items()} == classes and len(classes) == 44
    assert {code for code, _, _ in legend if code >= 900} <= set(corine.nodata)
    assert {grid for code, grid, _ in legend if code >= 900} <= set(corine.alias_nodata)
    for entry in corine.classes.values():
        targets = {target for target, words in CORINE_TARGETS.items() if any(word in entry.name for word in words)}
        assert targets == {entry.to}, entry


def test_corine_has_the_names_of_bigearthnet(real):
    names = (real / "landcover/clc_to_bigearthnet19.json").read_text().lower()
    corine = load_model(Crosswalk, "taxonomies", "corine")
    assert sum(entry.name.lower() in names for entry in corine.classes.values()) >= 40


def test_dynamic_world_maps_to_classes_of_the_same_names():
    dynamic = load_model(Crosswalk, "taxonomies", "dynamic-world")
    assert [entry.key for _, entry in sorted(dynamic.classes.items())] == (
        ["water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice"]
    )
    assert all(entry.to == entry.key for entry in dynamic.classes.values()) and not dynamic.nodata


def test_io_lulc_maps_land_cover(real):
    io_lulc = load_model(Crosswalk, "taxonomies", "io-lulc")
    assert {code: entry.to for code, entry in io_lulc.classes.items()} == {
        1: "water", 2: "trees", 4: "flooded_vegetation", 5: "crops", 7: "built", 8: "bare", 9: "snow_and_ice", 10: None,
        11: "grass",
    }  # fmt: skip
    assert io_lulc.nodata == (0,) and io_lulc.classes[10].drop
    (item, *_) = json.loads((real / "stac/io-lulc-annual-v02-pc.json").read_text())
    assert io_lulc.asset in item["assets"]


def test_the_taxonomy_has_dynamic_worlds_classes_and_three_of_events():
    names = {key: entry.name["en"] for key, entry in TAXONOMY.classes.items()}
    assert sorted(names.values()) == sorted(
        ["Trees", "Crops", "Shrub and Scrub", "Water", "Grass", "Built", "Flooded Vegetation", "Bare", "Snow and Ice",
         "Flooded Area", "Earthquake Damage", "Burned Area"]
    )  # fmt: skip
    assert all(key == name.lower().replace(" ", "_") for key, name in names.items())
    events = {key for key, entry in TAXONOMY.classes.items() if entry.event}
    assert events == {"flooded_area", "earthquake_damage", "burned_area"}


def test_names_phrases_and_colours_are_unique():
    entries = TAXONOMY.classes.values()
    for values in ([e.name["en"] for e in entries], [e.phrase["en"] for e in entries], [e.colour for e in entries]):
        assert len(set(values)) == len(values) == 12


# -- validation --------------------------------------------------------------------------------------------------------


def edited(tmp_path, change):
    """A file of the shipped WorldCover crosswalk with changes."""
    value = read_yaml(find_resource("taxonomies", "worldcover"))
    change(value)
    return text(tmp_path / "own.yaml", yaml.safe_dump(value))


INVALID = [
    (lambda v: v["classes"][10].update(to="treees"), "classes.10.to", "treees"),
    (lambda v: v["classes"][80].update(to="flooded_area"), "classes.80.to", "flooded_area"),
    (lambda v: v.update(target="other"), "target", "other"),
    (lambda v: v["classes"][10].update(drop="undated"), "classes.10", None),
    (lambda v: v["classes"][10].pop("to"), "classes.10", None),
    (lambda v: v["classes"][10].update(key="shrubland"), "classes.20.key", "shrubland"),
    (lambda v: v["classes"].update(ten=v["classes"][10]), "classes.ten.[key]", "ten"),
    (lambda v: v.update(licens="x"), "licens", None),
    (lambda v: v.pop("licence"), "licence", None),
    (lambda v: v.update(classes={}), "classes", None),
    (lambda v: v.update(nodata=[0, 10]), "nodata", 10),
    (lambda v: v["classes"].update({"010": v["classes"][20]}), "classes.010", "010"),
    (lambda v: v.update(nodata=[True]), "nodata.0", True),
    (lambda v: v.update(groups={1: "One", "1": "Eins"}), "groups.1", "1"),
    (lambda v: v["classes"][10].update(words=[1.0]), "classes.10.words.0", 1.0),
    (lambda v: v["classes"][10].update(alias=20), "classes.10.alias", 20),
    (lambda v: v["classes"][10].update(words=["Shrubland"]), "classes.20.words", "shrubland"),
    (lambda v: v.update(remap={999: "built"}), "remap.999", "built"),
    (lambda v: v.update(remap={80: "crops", "80": "water"}), "remap.80", "80"),
    (lambda v: v["classes"].update({2**31: v["classes"].pop(80)}), f"classes.{2**31}", 2**31),
    (lambda v: v["classes"].update({-1: v["classes"].pop(80)}), "classes.-1", -1),
    (lambda v: v.update(files={"dates": ["20.."]}), "files.dates", "20.."),
    (lambda v: v.update(files={"dates": ["(?P<year>"]}), "files.dates", "(?P<year>"),
]


@pytest.mark.parametrize(("change", "key", "value"), INVALID)
def test_invalid_crosswalks_are_refused_with_file_key_and_value(tmp_path, change, key, value):
    path = edited(tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_label_rules(recipe_of(labels=[{"source": str(path)}]))
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), key, value)


def test_a_remapped_code_has_another_target(tmp_path):
    path = edited(tmp_path, lambda value: value.update(remap={80: "crops"}))
    assert load_model(Crosswalk, "taxonomies", str(path)).classes[80].to == "crops"


def test_quoted_codes_are_decimal_and_words_stay_text(tmp_path):
    head = "{name: own, title: Own, target: landmark, licence: x, attribution: x, remap: {'002': water}, classes: {"
    rows = [f"'{code:03}': {{key: k{code}, name: N{code}, to: trees}}" for code in range(1, 11)]
    path = text(tmp_path / "own.yaml", head + ", ".join(rows).replace("name: N1,", "name: no,") + "}}")
    crosswalk = load_model(Crosswalk, "taxonomies", str(path))
    assert list(crosswalk.classes) == list(range(1, 11)) and crosswalk.classes[1].name == "no"
    assert crosswalk.classes[2].to == "water"


def test_a_crosswalk_may_be_a_path(tmp_path):
    path = edited(tmp_path, lambda value: None)
    assert load_label_rules(recipe_of(labels=[{"source": str(path)}])).crosswalks == (WORLDCOVER,)


def test_a_class_may_be_dropped():
    assert SourceClass(key="a", name="A", drop="undated").to is None
