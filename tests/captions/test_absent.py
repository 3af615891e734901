"""What is said to be absent: no pixel of any map shows it, and no event of the ground may look like it."""

import datetime as dt

import pytest

from landmark.captions.annotate import ImageInfo, Annotator, annotate_sample
from landmark.captions.render import CaptionConfig
from landmark.core.yaml_files import load_model
from landmark.domain.impact import EventImpact, EventIndex
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.labels.label_rules import CellLabels, LabelRules
from tests.captions.scenes import GRAMMAR, STYLES, TAXONOMY
from tests.domain.impacts import DAY, START, TYPES, event

LIKE = {"flood": {"water", "flooded_vegetation"}, "fire": {"bare"}, "earthquake": set()}


def claimed(kind, days, fraction, seed):
    """Classes denied by questions, and those hard negatives claim, of a wooded cell that an event meets."""
    happenings = EventIndex({"e-1": event("e-1", type=kind)}, TYPES, ())
    thresholds = dict.fromkeys(TAXONOMY.classes, 5.0)
    meaning = LabelRules(TAXONOMY, (load_model(Crosswalk, "taxonomies", "worldcover"),), thresholds, event_index=happenings)
    year = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
    editions = (LabelEdition("worldcover", "v200", year, year + 365 * DAY),)
    wanted = CaptionConfig(STYLES, seed, questions=30, hard_negatives=30)
    wording = Annotator(meaning, GRAMMAR, wanted, editions, {"s2": ()})
    shares, grounds = {"trees": 0.7, "crops": 0.3}, {"e-1": EventImpact(fraction, in_aoi=True)}
    facts = CellLabels(tuple(shares), shares, {}, 100.0, {}, editions={"worldcover": 0}, impacts=grounds)
    row = annotate_sample(ImageInfo("x", "s2", START + days * DAY, 10.0, 45.0), facts, wording)
    denied = {one["evidence"][0] for one in row["questions"]}
    lies = {one["replacement"] for one in row["hard_negatives"]}
    return {said.partition(":")[2] for said in denied | lies if said.startswith(("absent:", "label:"))} - shares.keys()


@pytest.mark.parametrize("kind", LIKE)
def test_what_an_events_ground_may_look_like_is_not_denied(kind):
    everything = set().union(*(claimed(kind, -5, 0.4, seed) for seed in range(5)))
    assert everything >= {"water", "flooded_vegetation", "bare", "built"}
    for days in (5, 20):
        said = set().union(*(claimed(kind, days, 0.4, seed) for seed in range(5)))
        assert said - {TYPES[kind].to} == everything - LIKE[kind]


def test_an_event_that_left_the_cell_alone_hides_nothing():
    assert "water" in set().union(*(claimed("flood", 5, 0.0, seed) for seed in range(5)))
