import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.errors import InputError, UnknownName
from landmark.core.yaml_files import find_resource, available, load_model, read_yaml
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import Crosswalk, SourceClass, Taxonomy
from landmark.labels.label_rules import LabelRules, load_label_rules
from tests.parts import examples, recipe_of, text

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
TARGETS = ("trees", "crops", "water", None)


def crosswalk(name, targets):
    """Codes 1, 2, … → the given target classes; None drops the code."""
    classes = {
        code: {"key": f"c{code}", "name": f"{code}"} | ({"to": target} if target else {"drop": "no such class"})
        for code, target in enumerate(targets, start=1)
    }
    said = {"name": name, "title": name, "target": "landmark", "asset": "a", "licence": "x", "attribution": "x"}
    return Crosswalk.model_validate({**said, "classes": classes})


def meaning(*crosswalks, default=5.0, **thresholds):
    return LabelRules(TAXONOMY, crosswalks, {key: thresholds.get(key, default) for key in TAXONOMY.classes})


def cover(rows, sources):
    """(cell, period, codes, pixels) → a cover table of one edition a source."""
    whole = [(*row, [0] * len(sources)) for row in rows]
    columns = dict(zip(("cell", "period", "codes", "pixels", "editions"), zip(*whole, strict=True), strict=True))
    return pa.table({name: list(column) for name, column in columns.items()}, schema=label_counts_schema(sources))


@st.composite
def covers(draw):
    """(meaning, rows): one to three sources, a few cells and periods, every combination of codes at most once."""
    count = draw(st.integers(1, 3))
    # Some sources have no word for some classes.
    schemes = st.lists(st.sampled_from(TARGETS), min_size=4, max_size=4)
    sources = [crosswalk(f"s{number}", draw(schemes)) for number in range(count)]
    codes = st.tuples(*[st.integers(-1, 4).filter(bool)] * count)
    rows = []
    for cell in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        for period in ("2020", "2021")[: draw(st.integers(1, 2))]:
            histogram = draw(st.dictionaries(codes, st.integers(1, 5000), min_size=1, max_size=8))
            rows += [(cell, period, list(key), pixels) for key, pixels in sorted(histogram.items())]
    return meaning(*sources), rows


def naive_confirmed(meant, rows):
    """By a loop over the pixels: class → (agreed, met) per cell and period."""
    facts = {}
    for cell, period, codes, pixels in rows:
        said = facts.setdefault((cell, period), {})
        named = [
            source.classes[code].to if code > 0 else None for source, code in zip(meant.crosswalks, codes, strict=True)
        ]
        first = next((place for place, name in enumerate(named) if name), None)
        if first is None:
            continue
        witnesses = [
            name
            for source, name in list(zip(meant.crosswalks, named, strict=True))[first + 1 :]
            if name and named[first] in {entry.to for entry in source.classes.values()}
        ]
        if witnesses:
            agreed, met = said.get(named[first], (0, 0))
            said[named[first]] = agreed + pixels * (named[first] == witnesses[0]), met + pixels
    return facts


def naive(meant, rows):
    """By a loop over the pixels: (classes, finer classes, all pixels, agreement) per cell and period."""
    facts = {}
    for cell, period, codes, pixels in rows:
        classes, finer, total, met = facts.setdefault((cell, period), (Counter(), Counter(), [0], {}))
        for _ in range(pixels):
            named = []
            for source, code in zip(meant.crosswalks, codes, strict=True):
                entry = source.classes.get(code)
                named.append((source.name, entry) if entry is not None and entry.to else None)
            total[0] += 1
            first = next((one for one in named if one), None)
            if first:
                classes[first[1].to] += 1
                finer[f"{first[0]}/{first[1].key}"] += 1
            for place, one in enumerate(named):
                other = next((each for at, each in enumerate(named) if at != place and each), None)
                if one and other:
                    seen = met.setdefault(one[0], [0, 0])
                    seen[0] += one[1].to == other[1].to
                    seen[1] += 1
    return facts


@given(covers())
@examples(60)
def test_the_fold_equals_a_loop_over_pixels(case):
    meant, rows = case
    folded = meant.fold(cover(rows, meant.sources))
    expected = naive(meant, rows)
    assert folded.keys() == expected.keys()
    for key, (classes, finer, total, met) in expected.items():
        classed, said = classes.total(), folded[key]
        assert said.fractions == {name: count / classed for name, count in classes.items()}
        assert said.finer == {name: count / classed for name, count in finer.items()}
        assert said.label_valid_pct == pytest.approx(100 * classed / total[0])
        for source in meant.sources:
            expected_share = met[source][0] / met[source][1] if source in met else None
            assert said.agreement[source] == pytest.approx(expected_share)


@given(covers())
@examples(60)
def test_the_fold_conserves_pixels_and_fractions_sum_to_one(case):
    meant, rows = case
    for key, said in meant.fold(cover(rows, meant.sources)).items():
        total = sum(pixels for cell, period, _, pixels in rows if (cell, period) == key)
        classed = round(total * said.label_valid_pct / 100)
        assert 0 <= classed <= total
        for shares in (said.fractions, said.finer):
            assert sum(round(share * classed) for share in shares.values()) == classed
            assert sum(shares.values()) == pytest.approx(1 if classed else 0)
            assert list(shares.values()) == sorted(shares.values(), reverse=True)


@given(covers(), st.integers(0, 100))
@examples(60)
def test_the_agreement_of_each_class_equals_a_loop_and_limits_its_label(case, percent):
    meant, rows = case
    limited = replace(meant, min_agreement_pct=percent)
    free, bound = (each.fold(cover(rows, meant.sources)) for each in (meant, limited))
    for key, expected in naive_confirmed(meant, rows).items():
        assert free[key].class_agreement == {name: agreed / met for name, (agreed, met) in expected.items()}
        refused = {name for name, (agreed, met) in expected.items() if 100 * agreed < percent * met}
        assert bound[key].labels == tuple(name for name in free[key].labels if name not in refused)
        assert bound[key].fractions == free[key].fractions


def test_the_agreement_of_a_class_by_hand():
    """Of 100 pixels of trees 55 meet a class of a source that knows trees, 40 of them trees; no other knows crops."""
    sources = [
        crosswalk("one", ["trees", "water"]),
        crosswalk("two", ["trees", "crops"]),
        crosswalk("three", ["water"]),
    ]
    rows = [
        ("a", "2021", [1, 1, 1], 40),
        ("a", "2021", [1, 2, -1], 15),
        ("a", "2021", [1, -1, 1], 5),
        ("a", "2021", [1, -1, -1], 40),
        ("a", "2021", [2, -1, -1], 10),
        ("a", "2021", [-1, 2, 1], 20),
    ]
    (said,) = meaning(*sources).apply(cover(rows, ["one", "two", "three"])).values()
    assert said.class_agreement == {"trees": 40 / 55}
    for percent, labels in (
        (0, ("trees", "crops", "water")),
        (72, ("trees", "crops", "water")),
        (73, ("crops", "water")),
    ):
        strict = replace(meaning(*sources), min_agreement_pct=percent)
        (said,) = strict.apply(cover(rows, ["one", "two", "three"])).values()
        assert said.labels == labels


def test_a_source_without_data_in_a_cell_has_no_edition_there():
    sources = [crosswalk("one", ["trees"]), crosswalk("two", ["water"])]
    columns = {"cell": ["a"], "period": ["2021"], "codes": [[-1, 1]], "pixels": [9], "editions": [[-1, 3]]}
    (said,) = meaning(*sources).apply(pa.table(columns, schema=label_counts_schema(["one", "two"]))).values()
    assert said.editions == {"two": 3}


@given(covers(), st.floats(0.5, 100))
@examples(60)
def test_labels_are_the_classes_that_reach_the_threshold_largest_first(case, threshold):
    meant, rows = case
    meant = meaning(*meant.crosswalks, default=threshold)
    for said in meant.apply(cover(rows, meant.sources)).values():
        near = {name for name, share in said.fractions.items() if abs(100 * share - threshold) < 1e-9}
        assert set(said.labels) - near == {n for n, share in said.fractions.items() if 100 * share > threshold} - near
        assert list(said.labels) == [name for name in said.fractions if name in said.labels]


@given(covers(), st.floats(0.5, 100))
@examples(30)
def test_which_cells_have_a_class_and_which_a_label_is_what_their_words_say(case, threshold):
    meant, rows = case
    folded = meaning(*meant.crosswalks, default=threshold).apply(cover(rows, meant.sources))
    keys = [*folded, *reversed(list(folded))]
    classed, labelled = folded.class_and_label_masks(keys)
    assert classed.tolist() == [folded[key].label_valid_pct > 0 for key in keys]
    assert labelled.tolist() == [bool(folded[key].labels) for key in keys]


def test_an_empty_cover_says_nothing():
    assert meaning(WORLDCOVER).apply(label_counts_schema(["worldcover"]).empty_table()) == {}


def test_the_first_source_with_a_class_wins_at_a_pixel():
    sources = [crosswalk("one", ["trees", None]), crosswalk("two", ["water"])]
    rows = [("a", "2021", codes, 100) for codes in ([1, 1], [2, 1], [-1, 1], [-1, -1])]
    (said,) = meaning(*sources).apply(cover(rows, ["one", "two"])).values()
    assert said.fractions == {"water": 200 / 300, "trees": 100 / 300}
    assert said.subclasses == {"two/c1": 200 / 300, "one/c1": 100 / 300}
    assert said.label_valid_pct == 75


def test_a_dropped_class_is_no_class_at_all():
    rows = [("a", "2021", [1], 1), ("a", "2021", [2], 99)]
    (said,) = meaning(crosswalk("one", ["trees", None])).apply(cover(rows, ["one"])).values()
    assert (said.fractions, said.label_valid_pct, said.labels) == ({"trees": 1.0}, 1.0, ("trees",))


def test_pixels_without_a_class_give_no_labels_and_no_shares():
    (said,) = meaning(crosswalk("one", ["trees"])).apply(cover([("a", "2021", [-1], 14_400)], ["one"])).values()
    assert (said.labels, said.fractions, said.subclasses, said.label_valid_pct) == ((), {}, {}, 0)


def test_two_codes_of_one_class_add_up_to_its_share():
    rows = [("a", "2021", [90], 60), ("a", "2021", [95], 40), ("a", "2021", [10], 100)]
    (said,) = meaning(WORLDCOVER).apply(cover(rows, ["worldcover"])).values()
    assert said.fractions == {"flooded_vegetation": 0.5, "trees": 0.5}
    assert said.subclasses == {
        "worldcover/tree_cover": 0.5,
        "worldcover/herbaceous_wetland": 0.3,
        "worldcover/mangroves": 0.2,
    }


# -- thresholds --------------------------------------------------------------------------------------------------------


def labels_at(threshold, pixels, of=14_400):
    rows = [("a", "2021", [10], pixels)] + ([("a", "2021", [80], of - pixels)] if pixels < of else [])
    meant = meaning(WORLDCOVER, default=100, trees=threshold)
    return next(iter(meant.apply(cover(rows, ["worldcover"])).values())).labels


def test_a_threshold_of_five_percent_keeps_a_label_at_exactly_five():
    assert labels_at(5, 720) == ("trees",) and labels_at(5, 719) == ()


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_whole_threshold_keeps_a_label_at_exactly_that_share(percent):
    assert labels_at(percent, 144 * percent) == ("trees",)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_whole_threshold_drops_a_label_a_pixel_below_it(percent):
    assert labels_at(percent, 144 * percent - 1) == ()


def test_a_class_without_a_threshold_of_its_own_takes_the_default():
    meant = load_label_rules(
        recipe_of(labels=[{"source": "worldcover"}], thresholds={"default": 7, "classes": {"water": 30}})
    )
    assert meant.thresholds == {key: 30 if key == "water" else 7 for key in TAXONOMY.classes}


# -- the shipped files -------------------------------------------------------------------------------------------------


def sources():
    return [name for name in available("taxonomies") if "target" in read_yaml(find_resource("taxonomies", name)) and name != "ems"]


@pytest.mark.parametrize("name", sources())
def test_every_shipped_crosswalk_leads_into_a_class_that_land_cover_may_give(name):
    for entry in load_model(Crosswalk, "taxonomies", name).classes.values():
        assert entry.drop or not TAXONOMY.classes[entry.to].event or name == "crisislandmark"
    assert load_label_rules(recipe_of(labels=[{"source": name}])).sources == (name,)


def test_worldcover_knows_every_code_that_the_product_declares(world):
    (item, *_) = (world / "esa-worldcover").glob("*/*.json")
    declared = json.loads(item.read_text())["assets"]["map"]["classification:classes"]
    names = {entry["value"]: entry["description"] for entry in declared}
    assert len(names) == 11 and names.keys() == WORLDCOVER.classes.keys()
    assert {code: entry.name for code, entry in WORLDCOVER.classes.items()} == names
    assert not set(WORLDCOVER.nodata) & names.keys()


def test_worldcover_leads_where_the_paper_would_have_it():
    leads = {code: entry.to for code, entry in WORLDCOVER.classes.items()}
    assert list(leads) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]
    assert " ".join(str(key) for key in leads.values()) == (
        "trees shrub_and_scrub grass crops built bare snow_and_ice water flooded_vegetation flooded_vegetation grass"
    )


# FACTS of CrisisLandMark: CORINE level 3 → label, by words of the official names; 334 has no target here.
CORINE_LEADS = {
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


def test_corine_is_its_official_legend_and_leads_where_the_paper_would_have_it(real):
    corine = load_model(Crosswalk, "taxonomies", "corine")
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        legend = [
            (int(row["CLC_CODE"]), int(row["GRID_CODE"]), row["LABEL3"]) for row in csv.DictReader(file, delimiter=";")
        ]
    classes = {code: (grid, name) for code, grid, name in legend if code < 900}
    assert {code: (entry.alias, entry.name) for code, entry in corine.classes.items()} == classes and len(classes) == 44
    nothing = [(code, grid) for code, grid, _ in legend if code >= 900]
    assert {code for code, _ in nothing} <= set(corine.nodata) and {grid for _, grid in nothing} <= set(
        corine.alias_nodata
    )
    for entry in corine.classes.values():
        leads = {target for target, words in CORINE_LEADS.items() if any(word in entry.name for word in words)}
        assert leads == {entry.to}, entry


def test_corine_knows_what_bigearthnet_knows(real):
    said = (real / "landcover/clc_to_bigearthnet19.json").read_text().lower()
    known = [entry.name for entry in load_model(Crosswalk, "taxonomies", "corine").classes.values()]
    assert sum(name.lower() in said for name in known) >= 40


def test_dynamic_world_leads_into_the_classes_of_its_own_names():
    dynamic = load_model(Crosswalk, "taxonomies", "dynamic-world")
    assert [entry.key for _, entry in sorted(dynamic.classes.items())] == (
        ["water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice"]
    )
    assert all(entry.to == entry.key for entry in dynamic.classes.values()) and not dynamic.nodata


def test_io_lulc_leads_where_its_classes_are(real):
    io_lulc = load_model(Crosswalk, "taxonomies", "io-lulc")
    leads = {code: entry.to for code, entry in io_lulc.classes.items()}
    assert leads == {
        1: "water", 2: "trees", 4: "flooded_vegetation", 5: "crops", 7: "built", 8: "bare", 9: "snow_and_ice", 10: None,
        11: "grass",
    }  # fmt: skip
    assert io_lulc.nodata == (0,) and io_lulc.classes[10].drop
    (item, *_) = json.loads((real / "stac/io-lulc-annual-v02-pc.json").read_text())
    assert io_lulc.asset in item["assets"]


def test_the_taxonomy_is_dynamic_worlds_nine_classes_and_three_of_crises():
    names = {key: entry.name["en"] for key, entry in TAXONOMY.classes.items()}
    assert sorted(names.values()) == sorted(
        ["Trees", "Crops", "Shrub and Scrub", "Water", "Grass", "Built", "Flooded Vegetation", "Bare", "Snow and Ice",
         "Flooded Area", "Earthquake Damage", "Burned Area"]
    )  # fmt: skip
    assert all(key == name.lower().replace(" ", "_") for key, name in names.items())
    assert {key for key, entry in TAXONOMY.classes.items() if entry.event} == {
        "flooded_area", "earthquake_damage", "burned_area"
    }  # fmt: skip


def test_no_two_classes_share_a_name_a_phrase_or_a_colour():
    entries = TAXONOMY.classes.values()
    for said in ([e.name["en"] for e in entries], [e.phrase["en"] for e in entries], [e.colour for e in entries]):
        assert len(set(said)) == len(said) == 12


# -- crosswalks people write -------------------------------------------------------------------------------------------


def edited(tmp_path, change):
    """The shipped WorldCover crosswalk, changed, as a file of its own."""
    value = read_yaml(find_resource("taxonomies", "worldcover"))
    change(value)
    return text(tmp_path / "mine.yaml", yaml.safe_dump(value))


MISTAKES = [
    ("a class nobody defined", lambda v: v["classes"][10].update(to="treees"), ["classes.10.to", "treees", "landmark"]),
    (
        "a class of events",
        lambda v: v["classes"][80].update(to="flooded_area"),
        ["classes.80.to", "flooded_area", "events"],
    ),
    ("another taxonomy", lambda v: v.update(target="other"), ["target", "'other'", "'landmark'"]),
    (
        "to and drop",
        lambda v: v["classes"][10].update(drop="undated"),
        ["classes.10", "exactly one of `to` and `drop`"],
    ),
    ("neither to nor drop", lambda v: v["classes"][10].pop("to"), ["classes.10", "exactly one of `to` and `drop`"]),
    ("a key twice", lambda v: v["classes"][10].update(key="shrubland"), ["classes", "shrubland stands twice"]),
    ("a code in words", lambda v: v["classes"].update(ten=v["classes"][10]), ["classes.ten", "integer"]),
    ("a key unknown", lambda v: v.update(licens="x"), ["unknown key `licens`", "`licence`"]),
    ("no licence", lambda v: v.pop("licence"), ["`licence` is missing"]),
    ("no classes", lambda v: v.update(classes={}), ["classes"]),
    ("a code that is no data, too", lambda v: v.update(nodata=[0, 10]), ["code 10 stands twice"]),
    ("an alias that is a code", lambda v: v["classes"][10].update(alias=20), ["code 20 stands twice"]),
    ("a pattern without a group", lambda v: v.update(files={"dates": ["20.."]}), ["files.dates", "'20..'", "`year`"]),
    ("a broken pattern", lambda v: v.update(files={"dates": ["(?P<year>"]}), ["files.dates", "regular expression"]),
]


@pytest.mark.parametrize(("change", "words"), [pytest.param(*row, id=name) for name, *row in MISTAKES])
def test_a_wrong_crosswalk_is_refused_with_file_key_and_value(tmp_path, change, words):
    path = edited(tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_label_rules(recipe_of(labels=[{"source": str(path)}]))
    assert str(path) in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_a_crosswalk_by_path_means_what_the_shipped_one_means(tmp_path):
    path = edited(tmp_path, lambda value: None)
    assert load_label_rules(recipe_of(labels=[{"source": str(path)}])).crosswalks == (WORLDCOVER,)


def test_a_source_nobody_wrote_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'worldcover'"):
        load_label_rules(recipe_of(labels=[{"source": "worldcovr"}]))


def test_a_threshold_of_a_class_nobody_defined_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"thresholds\.classes\.treees: no such class; landmark has trees, crops"):
        load_label_rules(recipe_of(labels=[{"source": "worldcover"}], thresholds={"classes": {"treees": 3}}))


def test_a_class_maps_or_drops():
    assert SourceClass(key="a", name="A", drop="undated").to is None


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
@examples(20)
def test_the_order_of_codes_inside_a_cell_does_not_matter(count, seed):
    chance = np.random.default_rng(seed)
    codes = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]
    rows = [("a", "2021", [code], int(chance.integers(1, count + 1))) for code in codes]
    one = meaning(WORLDCOVER).apply(cover(rows, ["worldcover"]))
    assert meaning(WORLDCOVER).apply(cover([rows[i] for i in chance.permutation(11)], ["worldcover"])) == one
