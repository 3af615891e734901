"""Splits by classes on the small world, from recipe to recaptioned corpus."""

import json
import re
from collections import defaultdict

import pytest

import landmark as package
from landmark.config.recipe import SPLITS, load_recipe
from landmark.workflow.preview import preview_recipe

SERIAL = ("--workers", 0)
BALANCED = {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0, "balance": "classes"}


@pytest.fixture
def plan(landmark, recipe):
    """Plan a recipe over the small world; the page's document."""

    def run(out="corpora/tiny", **changes):
        code, document, _ = landmark("plan", recipe(**changes), *SERIAL, "--json", "--out", out)
        assert code == 0
        return json.loads(document)

    return run


def class_cells(corpus):
    """Class → split → number of cells whose samples have the label."""
    cells = defaultdict(lambda: {name: set() for name in SPLITS})
    for sample in corpus:
        for label in sample.labels:
            cells[label][sample.split].add(sample.cell)
    return {label: {name: len(names) for name, names in splits.items()} for label, splits in cells.items()}


def test_the_plan_counts_the_classes_that_the_corpus_has_and_recaptioning_keeps_the_splits(
    landmark, recipe, plan, working_folder
):
    document, out = plan(splits=BALANCED), working_folder / "corpora/tiny"
    assert landmark("build", recipe(splits=BALANCED), *SERIAL, "--out", out)[0] == 0
    corpus = package.open(out)
    splits = {sample.id: sample.split for sample in corpus}
    assert class_cells(corpus) == document["split_classes"] and document["split_warnings"] == []
    assert all(min(cells.values()) > 0 for cells in document["split_classes"].values())
    assert landmark("check", out, *SERIAL, "--fail-on", "error")[0] == 0

    assert landmark("recaption", out, "--set", "thresholds.default=25", *SERIAL)[0] == 0
    again = package.open(out)
    assert class_cells(again) != document["split_classes"]
    assert {sample.id: sample.split for sample in again} == splits


def test_the_plan_lists_classes_missing_in_splits_by_hash(landmark, recipe, plan):
    page = landmark("plan", recipe(), *SERIAL)[1]
    document = plan()
    for key, cells in document["split_classes"].items():
        assert re.search(rf"^ +{key} +{' +'.join(map(str, cells.values()))}$", page, flags=re.MULTILINE)
    lacking = {key for key, cells in document["split_classes"].items() if not all(cells.values())}
    assert lacking and all(any(key in line for line in document["split_warnings"]) for key in lacking)
    assert all(line in page for line in document["split_warnings"])


def test_a_region_smaller_than_a_block_suggests_a_smaller_block(plan):
    coarse = {"region": {"bbox": [11.5, 45.2, 12.5, 45.7]}, "splits": BALANCED | {"block_m": 100_000}}
    (line,) = plan(**coarse)["split_warnings"]
    assert "splits.block_m" in line and any(int(number) == 1200 for number in re.findall(r"\d+", line))
    assert plan(**coarse, limit=3, out="corpora/limited")["split_warnings"] == []


def test_a_preview_divides_by_hash(recipe):
    loaded = load_recipe(str(recipe(splits=BALANCED)))
    assert preview_recipe(loaded, samples=4, seed=0, narrow=False).splits.balance == "hash"
