import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.crs import distance_km
from landmark.core.yaml_files import load_model
from landmark.domain.event import AOI, NEAR, PHASES, Event, EventPart, phase_of
from landmark.domain.impact import EventIndex
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.labels.label_rules import LabelRules
from tests.domain.impacts import DAY, START, TYPES, event, grounds
from tests.parts import examples

SQUARE = shapely.box(11, 45, 12, 46)
THRESHOLDS = dict.fromkeys(("flooded_area", "burned_area", "earthquake_damage"), 5.0)


def happenings(*events, marks):
    return EventIndex({one.id: one for one in events}, TYPES, tuple(marks))


@pytest.mark.parametrize(
    ("after_start", "phase"),
    [
        (-400, "before"),
        (-1e-6, "before"),
        (0, "during"),
        (10, "during"),
        (10.001, "after"),
        (40, "after"),
        (40.1, "unrelated"),
    ],
)
def test_a_moment_lies_in_one_phase_of_an_event(after_start, phase):
    # A flood's trace is looked for thirty days after its end.
    assert phase_of(event(), START + after_start * DAY, TYPES) == phase


def test_a_flood_is_what_is_wet_and_was_not_water_before():
    flood = event(parts=grounds(SQUARE, SQUARE))
    wet = (("flood-1", AOI), ("flood-1", "observed"))
    known = happenings(flood, marks=[wet, (("flood-1", AOI),)])
    mark = np.array([0, 0, 0, 1], np.int32)
    (ground,) = known.impacts(mark, ["crops", "water", None, "crops"], np.array([10, 40, 5, 45])).values()
    assert ground.fraction == 0.15 and ground.in_aoi and not ground.near and ground.grade is None


def test_the_worst_grade_counts_once_and_a_pixel_nobody_looked_at_is_told():
    quake = event(
        "quake-1", type="earthquake", parts=(EventPart(AOI, SQUARE), EventPart("destroyed", SQUARE), EventPart("damaged", SQUARE))
    )
    aoi = ("quake-1", AOI)
    marks = [(aoi, ("quake-1", "damaged"), ("quake-1", "destroyed")), (aoi, ("quake-1", "damaged")), (aoi,)]
    known = happenings(quake, marks=marks)
    ground = known.impacts(np.array([0, 1, 2], np.int32), ["built"] * 3, np.array([2, 3, 95]))["quake-1"]
    assert (ground.fraction, ground.in_aoi, ground.grade) == (0.05, True, "destroyed")
    ground = known.impacts(np.array([1, -1], np.int32), ["built"] * 2, np.array([3, 97]))["quake-1"]
    assert (ground.fraction, ground.in_aoi, ground.grade) == (0.03, False, "damaged")


def test_an_event_that_does_not_meet_the_cell_says_nothing_but_that_it_is_far():
    known = happenings(event(parts=grounds(SQUARE)), marks=[])
    assert known.impacts(np.array([-1], np.int32), [None], np.array([100])) == {}
    (fact,) = known.facts({}, START + DAY, (11.5, 45.5), THRESHOLDS, distant_from="flood-1")
    assert (fact.phase, fact.fraction, fact.in_aoi, fact.label) == ("unrelated", 0, False, None)


def test_near_an_epicentre_is_a_distance_and_never_damage():
    quake = event("quake-1", type="earthquake", parts=grounds(near=SQUARE), epicentre=(11.5, 45.5), magnitude=6.1)
    known = happenings(quake, marks=[(("quake-1", NEAR),)])
    ground = known.impacts(np.array([0], np.int32), ["built"], np.array([100]))
    (fact,) = known.facts(ground, START + DAY, (11.6, 45.5), THRESHOLDS)
    assert fact.distance_km == pytest.approx(distance_km((11.5, 45.5), (11.6, 45.5))) == pytest.approx(7.816, abs=0.001)
    assert (fact.label, fact.fraction, fact.magnitude, fact.days) == (None, 0, 6.1, 1.0)


@given(
    st.sampled_from(sorted(TYPES)),
    st.floats(-900, 900),
    st.integers(0, 100),
    st.floats(0.1, 90),
)
@examples(200)
def test_an_image_carries_a_crisis_only_in_a_phase_that_says_it_and_from_its_threshold_on(kind, days, affected, least):
    one = event("one-1", type=kind, parts=grounds(SQUARE, SQUARE))
    known = happenings(one, marks=[(("one-1", AOI), ("one-1", "observed")), (("one-1", AOI),)])
    ground = known.impacts(np.array([0, 1], np.int32), ["crops"] * 2, np.array([affected, 100 - affected]))
    moment = START + dt.timedelta(days=days)
    (fact,) = known.facts(ground, moment, None, dict.fromkeys(THRESHOLDS, least))
    assert fact.phase in PHASES
    expected = TYPES[kind].to if fact.phase in TYPES[kind].mentionable_phases and affected >= least else None
    assert fact.label == expected and (fact.phase != "before" or fact.label is None)


def test_an_event_comes_back_from_the_lock_but_for_its_ground():
    one = event(parts=grounds(SQUARE, SQUARE), observed=START + DAY, epicentre=(11.5, 45.5), magnitude=5.0)
    back = Event.from_json(json.loads(json.dumps(one.to_json())))
    assert back.to_json() == one.to_json() and [part.name for part in back.affected_parts] == ["observed"]
    assert all(part.geometry.is_empty for part in back.parts)


def test_of_an_event_of_a_known_day_nothing_is_said_on_that_day():
    quake = event("quake-1", type="earthquake", start=START.replace(hour=0), end=START.replace(hour=0))
    told = [phase_of(quake, quake.start + hours * DAY / 24, TYPES) for hours in (-1, 0, 6, 23.9, 24, 30)]
    assert told == ["before", *["unrelated"] * 3, "after", "after"]


def test_what_was_water_before_is_asked_of_the_first_period_that_knows():
    """Fields under water in the flood's own map are flooded all the same."""
    codes = {"codes": [[20, 0], [20, 0], [-1, 0]], "editions": [[0], [0], [-1]], "pixels": [100, 100, 100]}
    cells = {"cell": ["a", "a", "b"], "period": ["2021-06", "2021-07", "2021-06"]}
    land = {"fields": 10, "water": 20}

    def fractions(first, second):
        told = {**codes, "codes": [[land[first], 0], [land[second], 0], [-1, 0]]}
        table = pa.table({**cells, **told}, schema=label_counts_schema(["one"], events=True))
        flood = event(parts=grounds(SQUARE, SQUARE))
        known = happenings(flood, marks=[(("flood-1", AOI), ("flood-1", "observed"))])
        source = {
            "name": "one",
            "title": "one",
            "target": "landmark",
            "licence": "x",
            "attribution": "x",
            "classes": {
                10: {"key": "fields", "name": "Fields", "to": "crops"},
                20: {"key": "water", "name": "Water", "to": "water"},
            },
        }
        taxonomy = load_model(Taxonomy, "taxonomies", "landmark")
        meaning = LabelRules(
            taxonomy, (Crosswalk.model_validate(source),), dict.fromkeys(taxonomy.classes, 5.0), event_index=known
        )
        said = meaning.apply(table)
        return [said["a", when].impacts["flood-1"].fraction for when in ("2021-06", "2021-07")]

    assert fractions("fields", "water") == [1, 1] and fractions("water", "fields") == [0, 0]


def test_the_surroundings_of_an_event_across_the_antimeridian_are_two_boxes():
    both = shapely.union(shapely.box(179.8, 0, 180, 0.2), shapely.box(-180, 0, -179.9, 0.2))
    west, _, east, _ = (near := event(parts=grounds(both)).buffered_bounds(20)).bounds
    assert (west, east) == (-180, 180) and near.area < 1 and near.contains(both)
