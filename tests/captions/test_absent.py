"""Absent classes: no pixel of a label map has them, and no event in the cell may look like them."""

import datetime as dt

import pytest

from landmark.captions.annotate import Annotator, ImageInfo, annotate_sample
from landmark.captions.render import CaptionConfig
from landmark.core.yaml_files import load_model
from landmark.domain.impact import EventImpact, EventIndex
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.labels.label_rules import CellLabels, LabelRules
from tests.captions.samples import GRAMMAR, STYLES, TAXONOMY
from tests.domain.impacts import DAY, START, TYPES, event

LOOKALIKES = {"flood": {"water", "flooded_vegetation"}, "fire": {"bare"}, "earthquake": set()}


def absent_classes(event_type, days, fraction, seed):
    """Classes that questions deny and hard negatives claim, of a cell of trees and crops with one event."""
    events = EventIndex({"e-1": event("e-1", type=event_type)}, TYPES, ())
    thresholds = dict.fromkeys(TAXONOMY.classes, 5.0)
    crosswalks = (load_model(Crosswalk, "taxonomies", "worldcover"),)
    rules = LabelRules(TAXONOMY, crosswalks, thresholds, event_index=events)
    year = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
    editions = (LabelEdition("worldcover", "v200", year, year + 365 * DAY),)
    annotator = Annotator(
        rules, GRAMMAR, CaptionConfig(STYLES, seed, questions=30, hard_negatives=30), editions, {"s2": ()}
    )
    fractions, impacts = {"trees": 0.7, "crops": 0.3}, {"e-1": EventImpact(fraction, in_aoi=True)}
    cell = CellLabels(tuple(fractions), fractions, {}, 100.0, {}, editions={"worldcover": 0}, impacts=impacts)
    row = annotate_sample(ImageInfo("x", "s2", START + days * DAY, 10.0, 45.0), cell, annotator)
    facts = {question["evidence"][0] for question in row["questions"]}
    facts |= {negative["replacement"] for negative in row["hard_negatives"]}
    return {fact.partition(":")[2] for fact in facts if fact.startswith(("absent:", "label:"))} - fractions.keys()


def absent_for_any_seed(event_type, days, fraction):
    return set().union(*(absent_classes(event_type, days, fraction, seed) for seed in range(5)))


@pytest.mark.parametrize("event_type", LOOKALIKES)
def test_classes_that_an_event_may_look_like_are_not_absent(event_type):
    before = absent_for_any_seed(event_type, -5, 0.4)
    assert before >= {"water", "flooded_vegetation", "bare", "built"}
    for days in (5, 20):
        absent = absent_for_any_seed(event_type, days, 0.4)
        assert absent - {TYPES[event_type].to} == before - LOOKALIKES[event_type]


def test_an_event_without_effect_on_the_cell_hides_no_absent_class():
    assert "water" in absent_for_any_seed("flood", 5, 0.0)
