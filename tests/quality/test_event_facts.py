"""Facts of events that contradict the dates and areas of their event are flagged."""

import datetime as dt
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pytest
import shapely

from landmark.core.crs import LONLAT, reproject
from landmark.domain.event import AOI, NEAR, Event, EventFact, EventPart
from landmark.domain.schemas import EVENT_PARTS
from landmark.plan.event_sampling import ROLES
from landmark.quality.checks.event_facts import NO_AREAS, check_events, check_role, event_areas
from tests.captions.samples import TYPES

START = dt.datetime(2022, 6, 10, tzinfo=dt.UTC)
LEFT, TOP, CELL_M = 699_600, 5_000_400, 1200
MAX_ERROR = 0.02


def _area(west: float, south: float, east: float, north: float) -> Any:
    """A rectangle of a cell, in shares of its edge from the lower-left corner, in degrees."""
    x, y = (lambda share: LEFT + share * CELL_M), (lambda share: TOP - CELL_M + share * CELL_M)
    return reproject(shapely.box(x(west), y(south), x(east), y(north)), 32632, LONLAT)


FLOOD = Event(
    "emsr1", "emsr1", "flood", "copernicus-ems", "EMSR1", START, START + dt.timedelta(days=4),
    parts=(EventPart(AOI, _area(-1, -1, 2, 2)), EventPart("observed", _area(0, 0, 0.5, 1))),
)  # fmt: skip
QUAKE = Event(
    "us1", "us1", "earthquake", "usgs-earthquakes", "us1", START.replace(hour=5), START.replace(hour=5),
    parts=(EventPart(NEAR, _area(-3, -3, 3, 3)),), epicentre=(11.55, 45.13), magnitude=5.5,
)  # fmt: skip
EVENTS = {event.id: event for event in (FLOOD, QUAKE)}
TABLE = pa.Table.from_pylist(
    [
        {"id": event.id, "part": part.name, "geometry": shapely.to_wkb(part.geometry)}
        for event in EVENTS.values()
        for part in event.parts
    ],
    schema=EVENT_PARTS,
)
FLOODED = asdict(EventFact("emsr1", "flood", "during", 0.48, True, "EMSR1", 1.75, label="flooded_area"))
SHAKEN = asdict(EventFact("us1", "earthquake", "after", 0.0, False, "us1", 1.5417, magnitude=5.5))
ROW = {
    "id": "sample",
    "datetime": START + dt.timedelta(hours=42),
    "role": None,
    "cell": "32n_583_4166",
    "epsg": 32632,
    "x": float(LEFT),
    "y": float(TOP),
    "lon": 11.55,
    "lat": 45.13,
    "labels": ["crops", "flooded_area"],
    "events": [FLOODED, SHAKEN],
}


def problems(row: dict[str, Any]) -> list[str]:
    cells = pa.table({name: [row[name]] for name in ("cell", "epsg", "x", "y")})
    areas = event_areas(TABLE, cells, CELL_M).get(row["cell"], NO_AREAS)
    return [problem for problem, _ in check_events(row, EVENTS, TYPES, areas, MAX_ERROR)]


def test_areas_are_shares_of_the_cell() -> None:
    cells = pa.table({name: [ROW[name]] for name in ("cell", "epsg", "x", "y")})
    areas = event_areas(TABLE, cells, CELL_M)[str(ROW["cell"])]
    assert areas.affected == pytest.approx({"emsr1": 0.5}, abs=1e-3)
    assert areas.mapped == pytest.approx({"emsr1": 1.0}, abs=1e-9)
    assert set(areas.touched) == {"emsr1", "us1"}


def test_facts_that_follow_from_an_event_have_no_problem() -> None:
    assert problems(ROW) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "emsr2"},
        {"type": "fire"},
        {"product": "EMSR2"},
        {"phase": "before"},
        {"phase": "after"},
        {"phase": "unrelated"},
        {"days": -1.75},
        {"days": 42.0},
        {"days": 1.0},
        {"label": "burned_area"},
        {"fraction": 0.0},
        {"fraction": 0.6},
        {"fraction": 48.0},
        {"in_aoi": False},
        {"grade": "destroyed"},
        {"magnitude": 6.0},
        {"distance_km": 1.0},
    ],
)
def test_a_fact_that_contradicts_a_flood_is_flagged(change: dict[str, Any]) -> None:
    assert problems({**ROW, "events": [{**FLOODED, **change}, SHAKEN]})


@pytest.mark.parametrize("change", [{"magnitude": 7.5}, {"in_aoi": True}, {"distance_km": 80.0}, {"phase": "before"}])
def test_a_fact_that_contradicts_an_earthquake_is_flagged(change: dict[str, Any]) -> None:
    assert problems({**ROW, "events": [FLOODED, {**SHAKEN, **change}]})


@pytest.mark.parametrize(
    "change",
    [
        {"events": [SHAKEN]},
        {"labels": ["crops"]},
        {"datetime": START - dt.timedelta(hours=42)},
        {"y": TOP + 10_000.0},
    ],
)
def test_a_row_that_contradicts_events_is_flagged(change: dict[str, Any]) -> None:
    assert problems(ROW | change)


def test_a_sample_far_from_an_event_may_be_called_unrelated() -> None:
    distant = {**FLOODED, "phase": "unrelated", "fraction": 0.0, "in_aoi": False, "label": None}
    row = {**ROW, "y": TOP + 50_000.0, "events": [distant], "labels": ["crops"]}
    assert problems({**row, "role": "distant"}) == []
    assert problems(row)


BEFORE_ROW = {**ROW, "datetime": START - dt.timedelta(hours=42), "events": [{**FLOODED, "phase": "before"}]}
UNAFFECTED_ROW = {**ROW, "events": [{**FLOODED, "fraction": 0.0, "label": None}]}
DISTANT_ROW = {**ROW, "events": [{**FLOODED, "fraction": 0.0, "label": None, "in_aoi": False, "phase": "unrelated"}]}
NEAR_ROW = {**ROW, "events": [{**SHAKEN, "distance_km": 3.0}]}


@pytest.mark.parametrize(
    ("row", "event", "role"),
    [
        (ROW, "emsr1", "affected"),
        (BEFORE_ROW, "emsr1", "before"),
        (UNAFFECTED_ROW, "emsr1", "unaffected"),
        (DISTANT_ROW, "emsr1", "distant"),
        (NEAR_ROW, "us1", "affected"),
        (ROW, None, None),
    ],
)
def test_phase_and_area_determine_the_role(row: dict[str, Any], event: str | None, role: str | None) -> None:
    roles = [*ROLES, None, "control"]
    assert [name for name in roles if not list(check_role({**row, "role": name}, event, EVENTS, TYPES))] == [role]


def test_a_role_in_an_event_that_the_sample_lacks_is_flagged() -> None:
    assert list(check_role({**ROW, "role": "affected"}, "emsr2", EVENTS, TYPES))
    assert list(check_role({**ROW, "role": "affected", "events": [SHAKEN]}, "emsr1", EVENTS, TYPES))
