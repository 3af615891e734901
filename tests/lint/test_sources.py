"""What the shipped sources lead to, against the schemes' own papers and legends, and maps read by words."""

import csv
import json
from collections import Counter

import geopandas
import numpy as np
import pytest
import shapely

from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.domain.vocabulary import Ignored, Vocabulary
from landmark.labels.codes import InvalidCodes, codes_from_attributes, to_integers
from landmark.labels.editions import LabelSource
from landmark.labels.label_rules import load_label_rules
from tests.labels.maps import LEFT, TOP, counts, covered, maps, polygons
from tests.parts import cell_table, recipe_of

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
CORINE, PAPER, BIGEARTHNET, VECTORS = (
    load_model(Crosswalk, "taxonomies", name) for name in ("corine", "crisislandmark", "bigearthnet-19", "vectors")
)
EMS = load_model(Vocabulary, "taxonomies", "ems")

# arXiv 2507.10403: CORINE level 3 → label, all 44.
PAPER_LEADS = {
    "built": [111, 112, 121, 122, 123, 124],
    "bare": [131, 132, 133, 331, 332, 333, 422, 423],
    "grass": [141, 142, 231, 321],
    "crops": [211, 212, 221, 222, 223, 241, 242, 243],
    "flooded_vegetation": [213, 411, 412, 421],
    "trees": [244, 311, 312, 313],
    "shrub_and_scrub": [322, 323, 324],
    "water": [511, 512, 521, 522, 523],
    "burned_area": [334],
    "snow_and_ice": [335],
}


def test_crisislandmark_is_the_papers_mapping_for_all_44_classes():
    leads = {code: target for target, codes in PAPER_LEADS.items() for code in codes}
    assert len(leads) == 44 and {code: entry.to for code, entry in PAPER.classes.items()} == leads


def test_crisislandmark_is_corine_in_all_else():
    same = CORINE.model_dump(exclude={"name", "title", "undated", "classes"})
    assert PAPER.model_dump(exclude={"name", "title", "undated", "classes"}) == same
    for code, entry in PAPER.classes.items():
        assert entry.model_dump(exclude={"to", "drop"}) == CORINE.classes[code].model_dump(exclude={"to", "drop"})
    assert CORINE.classes[334].to is None and "undated" in CORINE.classes[334].drop


def test_only_a_source_that_says_it_is_undated_may_give_a_class_of_events():
    assert load_label_rules(recipe_of(labels=[{"source": "crisislandmark"}])).sources == ("crisislandmark",)
    assert PAPER.undated and not CORINE.undated


def test_corines_levels_and_colours_are_those_of_the_legend(real):
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file, delimiter=";") if int(row["CLC_CODE"]) < 900]
    for row in rows:
        code = int(row["CLC_CODE"])
        assert CORINE.groups[code // 100] == row["LABEL1"] and CORINE.groups[code // 10] == row["LABEL2"]
        assert CORINE.classes[code].colour == "#" + "".join(f"{int(part):02x}" for part in row["RGB"].split("-"))
    assert len(rows) == 44 and len(CORINE.groups) == 20


def test_bigearthnet_joins_what_its_authors_join(real):
    said = json.loads((real / "landcover/clc_to_bigearthnet19.json").read_text())["clc_data"]
    theirs = {int(row["code"]): row["name_19"] for row in said if row["code"] != "999"}
    ours = {part: entry.name for entry in BIGEARTHNET.classes.values() for part in entry.merges}
    ours |= dict.fromkeys(BIGEARTHNET.unmerged, "UNLABELED")
    assert ours == theirs and len(BIGEARTHNET.classes) == 19
    # Its spellings of CORINE's names are CORINE's words.
    names = np.array([row["name_clc"] for row in said if row["code"] != "999"], object)
    assert codes_from_attributes(names, CORINE).tolist() == [int(row["code"]) for row in said if row["code"] != "999"]


def test_a_class_of_bigearthnet_leads_where_all_its_parts_do_or_is_dropped_or_says_why():
    for entry in BIGEARTHNET.classes.values():
        parts = {CORINE.classes[part].to for part in entry.merges}
        assert parts == {entry.to} or entry.drop or (entry.mixes and entry.to in parts), entry


# -- codes of any kind -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (["112", 112, 112.0, "112.0", " 112 ", np.int64(112), np.float32(112), "1.1.2", b"112".decode()], [112] * 9),
        ([1212, "1212", "1.2.1.2", 12121], [121] * 4),
        ([2, "2", 2.0], [112] * 3),
        (["Vineyards", "vineyards", " VINEYARDS", "Non-irrigated arable land", "non_irrigated_arable_land"],
         [221, 221, 221, 211, 211]),
        (["Peatbogs", "Peat bogs", "Transitional woodland/shrub"], [412, 412, 324]),
        ([None, "", float("nan"), "NaN", "None", "null", 999, "990"], [-1] * 8),
        (["112", "Vineyards", None], [112, 221, -1]),
        ([], []),
    ],
)  # fmt: skip
def test_a_code_is_the_same_in_any_type(values, codes):
    found = codes_from_attributes(np.array([*values, None], object)[:-1], CORINE)
    assert found.dtype == np.int32 and found.tolist() == codes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["112", "987", "987"], "code 987 stands at 2 polygons"),
        (["Vineyard", "Vineyard", "Vineyards"], "code 'Vineyard' stands at 2 polygons"),
        ([112.5], "'112.5' is no whole number"),
        (["1e30", "inf"], "is no whole number"),
        ([112, 2], "two kinds"),
    ],
)
def test_a_code_nobody_knows_is_refused_with_its_count(values, words):
    with pytest.raises(InvalidCodes, match=words):
        codes_from_attributes(np.array(values, object), CORINE)


@pytest.mark.parametrize("value", [1e30, float("inf"), 0.5])
def test_a_raster_that_holds_no_whole_numbers_is_refused(value):
    with pytest.raises(InvalidCodes, match="no code"):
        to_integers(np.array([1.0, value]))


@pytest.mark.parametrize("field", ["CODE_18", "code_18", "Code_18", "clc_18", "clc18", "CLC2018", "grid_code"])
def test_the_column_of_codes_is_found_whatever_it_is_called(tmp_path, field):
    code = 2 if field == "grid_code" else "112"
    (label,) = maps(CORINE, polygons(tmp_path / "clc2018.gpkg", [shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)], [code],
                                     field=field))  # fmt: skip
    assert label.field == field


# -- polygons with words -----------------------------------------------------------------------------------------------


def osm_words(code):
    """How OpenStreetMap would call what CORINE saw."""
    return {
        "trees": "forest", "crops": "Farm_land", "grass": "meadow", "built": "residential", "water": "reservoir",
        "bare": "bare_rock", "shrub_and_scrub": "scrub", "flooded_vegetation": "wetland", "snow_and_ice": "glacier",
    }.get(CORINE.classes[int(code)].to, "nature_reserve")  # fmt: skip


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_real_polygons_with_words_give_the_land_cover_of_the_codes_they_were_written_from(tmp_path, real, suffix):
    frame = geopandas.read_file(real / "landcover/clc.gpkg", layer="clc")
    left, bottom, right, top = frame.total_bounds
    words = frame.assign(landuse=[osm_words(code) for code in frame["CODE_18"]])[["landuse", "geometry"]]
    path = tmp_path / f"osm-2018{suffix}"
    (words if suffix == ".gpkg" else words.to_crs(4326)).to_file(path)
    corner = (left + right) / 2 - 1500, (top + bottom) / 2 + 1500
    cell = cell_table(25830, [corner], cell_m=3000)
    sources = [(VECTORS, maps(VECTORS, path)), (CORINE, maps(CORINE, real / "landcover/clc.gpkg", year=2018))]
    rows = covered(cell, *((LabelSource(walk, max_gap_days=9999), found) for walk, found in sources), px=120, m=3000)
    same, seen = Counter(), 0
    for (word, code), pixels in counts(rows, cell["cell"][0].as_py()).items():
        meant = VECTORS.classes[word].to if word >= 0 else None
        expected = CORINE.classes[code].to if code >= 0 else None
        same[meant == expected] += pixels
        seen += pixels * (expected is not None)
    # Longitudes and latitudes move an edge by far less than a pixel, but a pixel's centre may lie on it.
    assert seen > 10_000 and same[False] <= (0 if suffix == ".gpkg" else 5)


def test_a_word_nobody_knows_is_refused_with_file_and_count(tmp_path):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = polygons(tmp_path / "osm2021.gpkg", halves, ["forest", "moon crater"], field="natural")
    cell = cell_table(32632, [(LEFT, TOP)], cell_m=120)
    with pytest.raises(InputError) as caught:
        covered(cell, (LabelSource(VECTORS), maps(VECTORS, path)), px=12, m=120)
    assert all(word in str(caught.value) for word in [str(path), "'moon crater'", "1 polygons", "vectors.yaml"])


def test_ground_that_a_word_says_nothing_of_is_left_to_the_polygon_below(tmp_path):
    square = shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)
    path = polygons(tmp_path / "osm2021.gpkg", [square, square], ["nature_reserve", "wood"], field="fclass")
    cell = cell_table(32632, [(LEFT, TOP)], cell_m=120)
    cover = covered(cell, (LabelSource(VECTORS), maps(VECTORS, path)), px=12, m=120)
    assert counts(cover, cell["cell"][0].as_py()) == {(1,): 144}


# -- words of crisis mapping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (("5-Flood", "Riverine flood", "Not Applicable"), "flood"),
        (("5 - FLOOD",), "flood"),
        (("1 \N{EN DASH} Earthquake", "Ground shaking"), "earthquake"),
        (("1-Earthquake", "Tsunami"), "flood"),
        (("8-Wildfire", "Forest fire", "Null"), "fire"),
        ((" wildfire ", None, "free words of an interpreter"), "fire"),
        (("3-Storm", "Null", "Flooded area"), "flood"),
        (("Null", "Coastal flood"), "flood"),
    ],
)
def test_what_happened_is_told_by_the_word_that_says_most(said, meant):
    assert EMS.event_type(*said) == meant


@pytest.mark.parametrize("said", [("3-Storm",), ("Null", "Not Applicable"), (None,), ("6-Mass movement", "Landslide")])
def test_what_is_no_class_is_dropped_with_a_reason(said):
    meant = EMS.event_type(*said)
    assert isinstance(meant, Ignored) and meant.drop


@pytest.mark.parametrize(
    ("grading", "key", "to"),
    [
        ("Completely Destroyed", "destroyed", "earthquake_damage"),
        ("DESTROYED", "destroyed", "earthquake_damage"),
        ("Highly Damaged", "highly_damaged", "earthquake_damage"),
        ("Damaged ", "damaged", "earthquake_damage"),
        ("Possibly damaged", "possibly_damaged", None),
        ("Negligible to slight damage", "slightly_damaged", None),
        ("No visible damage", "undamaged", None),
        ("Not Applicable", None, None),
        ("Null", None, None),
        (None, None, None),
    ],
)
def test_a_grade_of_damage_is_known_in_both_namings(grading, key, to):
    grade = EMS.grade(grading)
    assert (grade.key, grade.to) == (key, to) and (grade.to or grade.drop)


def test_grades_stand_worst_first():
    assert EMS.grades == ("destroyed", "damaged", "highly_damaged", "moderately_damaged")


def test_a_word_of_a_package_nobody_knows_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"ems\.yaml: event_types: '5-Deluge' is not known, only Earthquake, Flood"):
        EMS.event_type("5-Deluge")
    with pytest.raises(InputError, match=r"gradings: 'Kaputt' is not known"):
        EMS.grade("Kaputt")


# -- the exemption, whole ----------------------------------------------------------------------------------------------


def test_a_corpus_of_the_papers_reading_says_burned_area_and_passes_the_gate(recipe, landmark, tmp_path):
    strips = [shapely.box(west, -35, west + 0.02, 46) for west in np.arange(11, 22, 0.02)]
    clc = polygons(tmp_path / "clc2021.gpkg", strips, (["334", "311"] * len(strips))[: len(strips)], crs=4326)
    for source in ("crisislandmark", "corine"):
        path = recipe(labels=[{"source": source, "files": [str(clc)]}], sensors=["s2"], limit=6)
        assert landmark("build", path, "--out", tmp_path / source, "--workers", 0, "--yes")[0] == 0
        _, out, _ = landmark("check", tmp_path / source, "--workers", 0, "--json")
        found = json.loads(out)["checks"]
        told = {name: found[name]["findings"] for name in ("event-words", "fractions", "captions")}
        assert told == {"event-words": [], "fractions": [], "captions": []}
    import landmark as reader

    said = {source: {label for sample in reader.open(tmp_path / source) for label in sample.labels} for source in (
        "crisislandmark", "corine")}  # fmt: skip
    assert said == {"crisislandmark": {"burned_area", "trees"}, "corine": {"trees"}}
