"""Shipped crosswalks against the papers and legends they are taken from."""

import csv
import json

import numpy as np
import pytest
import shapely

from landmark import open as open_corpus
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.labels.codes import codes_from_attributes
from landmark.labels.label_rules import load_label_rules
from tests.labels.maps import write_polygons
from tests.parts import recipe_of

CORINE, CRISISLANDMARK, BIGEARTHNET = (
    load_model(Crosswalk, "taxonomies", name) for name in ("corine", "crisislandmark", "bigearthnet-19")
)

# arXiv 2507.10403: CORINE level 3 → label, all 44.
PAPER_TARGETS = {
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


def test_crisislandmark_has_the_papers_targets():
    targets = {code: target for target, codes in PAPER_TARGETS.items() for code in codes}
    assert len(targets) == 44 and {code: entry.to for code, entry in CRISISLANDMARK.classes.items()} == targets


def test_crisislandmark_differs_from_corine_in_targets_only():
    same = CORINE.model_dump(exclude={"name", "title", "undated", "classes"})
    assert CRISISLANDMARK.model_dump(exclude={"name", "title", "undated", "classes"}) == same
    for code, entry in CRISISLANDMARK.classes.items():
        assert entry.model_dump(exclude={"to", "drop"}) == CORINE.classes[code].model_dump(exclude={"to", "drop"})
    assert CORINE.classes[334].to is None and "undated" in CORINE.classes[334].drop


def test_an_undated_crosswalk_may_give_an_event_class():
    assert load_label_rules(recipe_of(labels=[{"source": "crisislandmark"}])).sources == ("crisislandmark",)
    assert CRISISLANDMARK.undated and not CORINE.undated


def test_corine_has_the_legends_levels_and_colours(real):
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file, delimiter=";") if int(row["CLC_CODE"]) < 900]
    for row in rows:
        code = int(row["CLC_CODE"])
        assert CORINE.groups[code // 100] == row["LABEL1"] and CORINE.groups[code // 10] == row["LABEL2"]
        assert CORINE.classes[code].colour == "#" + "".join(f"{int(part):02x}" for part in row["RGB"].split("-"))
    assert len(rows) == 44 and len(CORINE.groups) == 20


def test_bigearthnet_merges_the_authors_classes(real):
    rows = json.loads((real / "landcover/clc_to_bigearthnet19.json").read_text())["clc_data"]
    rows = [row for row in rows if row["code"] != "999"]
    merged = {part: entry.name for entry in BIGEARTHNET.classes.values() for part in entry.merges}
    merged |= dict.fromkeys(BIGEARTHNET.unmerged, "UNLABELED")
    assert merged == {int(row["code"]): row["name_19"] for row in rows} and len(BIGEARTHNET.classes) == 19
    # Its spellings of CORINE's names are words of `corine`.
    names = np.array([row["name_clc"] for row in rows], object)
    assert codes_from_attributes(names, CORINE).tolist() == [int(row["code"]) for row in rows]


def test_targets_of_bigearthnet_are_those_of_the_merged_classes():
    for entry in BIGEARTHNET.classes.values():
        parts = {CORINE.classes[part].to for part in entry.merges}
        assert parts == {entry.to} or entry.drop or (entry.mixes and entry.to in parts), entry


def test_a_corpus_of_crisislandmark_has_burned_area_and_passes_the_check(recipe, landmark, tmp_path):
    strips = [shapely.box(west, -35, west + 0.02, 46) for west in np.arange(11, 22, 0.02)]
    clc = write_polygons(tmp_path / "clc2021.gpkg", strips, (["334", "311"] * len(strips))[: len(strips)], crs=4326)
    for source in ("crisislandmark", "corine"):
        path = recipe(labels=[{"source": source, "files": [str(clc)]}], sensors=["s2"], limit=6)
        assert landmark("build", path, "--out", tmp_path / source, "--workers", 0, "--yes")[0] == 0
        _, out, _ = landmark("check", tmp_path / source, "--workers", 0, "--json")
        checks = json.loads(out)["checks"]
        assert all(checks[name]["findings"] == [] for name in ("event-words", "fractions", "captions"))
    labels = {
        source: {label for sample in open_corpus(tmp_path / source) for label in sample.labels}
        for source in ("crisislandmark", "corine")
    }
    assert labels == {"crisislandmark": {"burned_area", "trees"}, "corine": {"trees"}}


@pytest.mark.parametrize("taxonomy", ["bigearthnet-19", "corine-level-3"])
def test_a_corpus_of_a_shipped_target_passes_the_check(recipe, landmark, tmp_path, world, taxonomy):
    labels = [{"source": "corine", "files": [f"{world}/labels/corine/*.tif"]}]
    styles, languages = ["structured", "sentence", "detailed"], ["en", "fr", "es"]
    path = recipe(taxonomy=taxonomy, labels=labels, captions=styles, languages=languages, sensors=["s2"], limit=6)
    assert landmark("build", path, "--out", tmp_path / "corpus", "--workers", 0, "--yes")[0] == 0
    code, out, _ = landmark("check", tmp_path / "corpus", "--workers", 0, "--json")
    checks = json.loads(out)["checks"]
    assert (code, [name for name in checks if checks[name]["findings"]]) == (0, ["split-scenes"])
    samples = list(open_corpus(tmp_path / "corpus"))
    classes = load_model(Taxonomy, "taxonomies", taxonomy).classes
    assert {label for sample in samples for label in sample.labels} <= classes.keys()
    assert landmark("explain", tmp_path / "corpus", samples[0].id)[0] == 0
