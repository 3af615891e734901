"""Phases of events, their effects on cells, and the facts of images."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from landmark.core.crs import distance_km
from landmark.core.yaml_files import load_model
from landmark.domain.event import AOI, NEAR, PHASES, Event, EventPart, phase_of
from landmark.domain.impact import EventIndex
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.labels.label_rules import LabelRules
from tests.domain.impacts import DAY, START, TYPES, event, event_parts
from tests.parts import examples

SQUARE = shapely.box(11, 45, 12, 46)
THRESHOLDS = dict.fromkeys(("flooded_area", "burned_area", "earthquake_damage"), 5.0)


def index_of(*events, combinations):
    return EventIndex({event.id: event for event in events}, TYPES, tuple(combinations))


def impacts_of(index, numbers, land_cover, pixels):
    return index.impacts(np.array(numbers, np.int32), land_cover, np.array(pixels))


@pytest.mark.parametrize(
    ("days", "phase"),
    [
        (-400, "before"),
        (-1e-6, "before"),
        (0, "during"),
        (10, "during"),
        (10.001, "after"),
        (40, "after"),
        (40.1, "unrelated"),  # thirty days after the end
    ],
)
def test_each_time_is_in_a_phase(days, phase):
    assert phase_of(event(), START + days * DAY, TYPES) == phase


def test_the_day_of_an_event_without_a_time_is_unrelated():
    quake = event("quake-1", type="earthquake", start=START.replace(hour=0), end=START.replace(hour=0))
    phases = [phase_of(quake, quake.start + hours * DAY / 24, TYPES) for hours in (-1, 0, 6, 23.9, 24, 30)]
    assert phases == ["before", *["unrelated"] * 3, "after", "after"]


def test_excluded_land_cover_is_not_affected():
    flood = event(parts=event_parts(SQUARE, SQUARE))
    index = index_of(flood, combinations=[(("flood-1", AOI), ("flood-1", "observed")), (("flood-1", AOI),)])
    (impact,) = impacts_of(index, [0, 0, 0, 1], [set(), {"water"}, {"water", "green"}, set()], [10, 40, 5, 45]).values()
    assert (impact.fraction, impact.in_aoi, impact.near, impact.grade) == (0.15, True, False, None)


def test_overlapping_grades_count_as_the_worst():
    parts = tuple(EventPart(name, SQUARE) for name in (AOI, "destroyed", "damaged"))
    quake, aoi = event("quake-1", type="earthquake", parts=parts), ("quake-1", AOI)
    combinations = [(aoi, ("quake-1", "damaged"), ("quake-1", "destroyed")), (aoi, ("quake-1", "damaged")), (aoi,)]
    index = index_of(quake, combinations=combinations)
    impact = impacts_of(index, [0, 1, 2], [{"built"}] * 3, [2, 3, 95])["quake-1"]
    assert (impact.fraction, impact.in_aoi, impact.grade) == (0.05, True, "destroyed")
    impact = impacts_of(index, [1, -1], [{"built"}] * 2, [3, 97])["quake-1"]
    assert (impact.fraction, impact.in_aoi, impact.grade) == (0.03, False, "damaged")


def test_events_that_do_not_touch_the_cell_give_only_the_distant_fact():
    index = index_of(event(parts=event_parts(SQUARE)), combinations=[])
    assert impacts_of(index, [-1], [set()], [100]) == {}
    (fact,) = index.facts({}, START + DAY, (11.5, 45.5), THRESHOLDS, distant_from="flood-1")
    assert (fact.phase, fact.fraction, fact.in_aoi, fact.label) == ("unrelated", 0, False, None)


def test_near_an_epicentre_facts_have_a_distance_and_no_damage():
    quake = event("quake-1", type="earthquake", parts=event_parts(near=SQUARE), epicentre=(11.5, 45.5), magnitude=6.1)
    index = index_of(quake, combinations=[(("quake-1", NEAR),)])
    (fact,) = index.facts(impacts_of(index, [0], [{"built"}], [100]), START + DAY, (11.6, 45.5), THRESHOLDS)
    assert fact.distance_km == pytest.approx(distance_km((11.5, 45.5), (11.6, 45.5))) == pytest.approx(7.816, abs=0.001)
    assert (fact.label, fact.fraction, fact.magnitude, fact.days) == (None, 0, 6.1, 1.0)


@given(st.sampled_from(sorted(TYPES)), st.floats(-900, 900), st.integers(0, 100), st.floats(0.1, 90))
@examples(200)
def test_images_are_labelled_in_mentionable_phases_from_the_threshold_on(type_, days, affected, threshold):
    index = index_of(
        event("one-1", type=type_, parts=event_parts(SQUARE, SQUARE)),
        combinations=[(("one-1", AOI), ("one-1", "observed")), (("one-1", AOI),)],
    )
    impacts = impacts_of(index, [0, 1], [set()] * 2, [affected, 100 - affected])
    time = START + dt.timedelta(days=days)
    (fact,) = index.facts(impacts, time, None, dict.fromkeys(THRESHOLDS, threshold))
    labelled = fact.phase in TYPES[type_].mentionable_phases and affected >= threshold
    assert fact.phase in PHASES and fact.label == (TYPES[type_].to if labelled else None)
    assert fact.phase != "before" or fact.label is None


def test_events_survive_json():
    flood = event(
        parts=event_parts(SQUARE, SQUARE.buffer(1 / 3)), observed=START + DAY, epicentre=(11.5, 45.5), magnitude=5.0
    )
    adapter = TypeAdapter(Event)
    assert adapter.validate_json(adapter.dump_json(flood), strict=True) == flood


def test_excluded_land_cover_is_that_of_the_first_period_with_labels():
    """Fields that the flood turned to water in a later map are flooded."""
    classes = {
        10: {"key": "fields", "name": "Fields", "to": "crops"},
        20: {"key": "water", "name": "Water", "to": "water"},
    }
    texts = dict.fromkeys(("name", "title", "licence", "attribution"), "x")
    crosswalk = Crosswalk.model_validate({**texts, "target": "landmark", "classes": classes})
    flood = event(parts=event_parts(SQUARE, SQUARE))
    index = index_of(flood, combinations=[(("flood-1", AOI), ("flood-1", "observed"))])
    taxonomy = load_model(Taxonomy, "taxonomies", "landmark")
    rules = LabelRules(taxonomy, (crosswalk,), dict.fromkeys(taxonomy.classes, 5.0), event_index=index)

    def fractions(first, second):
        columns = {
            "cell": ["a", "a", "b"],
            "period": ["2021-06", "2021-07", "2021-06"],
            "codes": [[first, 0], [second, 0], [-1, 0]],
            "pixels": [100, 100, 100],
            "editions": [[0], [0], [-1]],
        }
        table = rules.apply(pa.table(columns, schema=label_counts_schema(["x"], events=True)))
        return [table["a", period].impacts["flood-1"].fraction for period in ("2021-06", "2021-07")]

    assert fractions(10, 20) == [1, 1] and fractions(20, 10) == [0, 0]


def test_bounds_across_the_antimeridian_are_two_boxes():
    both = shapely.union(shapely.box(179.8, 0, 180, 0.2), shapely.box(-180, 0, -179.9, 0.2))
    west, _, east, _ = (bounds := event(parts=event_parts(both)).buffered_bounds(20)).bounds
    assert (west, east) == (-180, 180) and bounds.area < 1 and bounds.contains(both)
