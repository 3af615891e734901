"""Defects of events: their facts in the rows, and the table of events."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from bench.draft import Draft, Planted, Row
from bench.facts import edit_rows
from bench.registry import planting
from landmark.core.atomic import write_table
from landmark.domain.schemas import EVENT_PARTS

_words = partial(planting, "words", "events", events=True)
Change = Callable[[Row], Row]
_PHASES = {"before": "after", "during": "before", "after": "before", "unrelated": "after"}


def _edit_facts(
    draft: Draft, salt: str, change: Change, *, where: Callable[[Row], bool] = lambda fact: True
) -> Planted:
    """Change facts of events that satisfy a condition, in a few samples."""

    def edit(row: Row) -> Row:
        return {"events": [{**fact, **change(fact)} if where(fact) else fact for fact in row["events"]]}

    return edit_rows(draft, salt, edit, where=lambda row: any(map(where, row["events"])))


@_words("the phase of events is another one")
def phase_of_another_time(draft: Draft) -> Planted:
    return _edit_facts(draft, "phase-of-another-time", lambda fact: {"phase": _PHASES[fact["phase"]]})


@_words("images before events are called images of them")
def before_called_during(draft: Draft) -> Planted:
    before = lambda fact: fact["phase"] == "before"  # noqa: E731
    return _edit_facts(draft, "before-called-during", lambda fact: {"phase": "during"}, where=before)


@_words("days since an event are hours")
def days_as_hours(draft: Draft) -> Planted:
    return _edit_facts(draft, "days-as-hours", lambda fact: {"days": 24 * fact["days"]})


@_words("days since an event have the wrong sign")
def days_reversed(draft: Draft) -> Planted:
    return _edit_facts(draft, "days-reversed", lambda fact: {"days": -fact["days"]})


@_words("days since an event are whole days")
def days_rounded_up(draft: Draft) -> Planted:
    return _edit_facts(draft, "days-rounded-up", lambda fact: {"days": float(np.ceil(fact["days"]))})


@_words("events are of another type")
def type_of_another_event(draft: Draft) -> Planted:
    types = {"flood": "fire", "fire": "earthquake", "earthquake": "flood"}
    return _edit_facts(draft, "type-of-another-event", lambda fact: {"type": types[fact["type"]]})


@_words("fractions of events are percentages")
def event_in_percent(draft: Draft) -> Planted:
    affected = lambda fact: fact["fraction"] > 0  # noqa: E731
    return _edit_facts(draft, "event-in-percent", lambda fact: {"fraction": 100 * fact["fraction"]}, where=affected)


@_words("fractions of events are of another cell")
def event_of_another_cell(draft: Draft) -> Planted:
    little = lambda fact: fact["fraction"] < 0.3  # noqa: E731
    return _edit_facts(draft, "event-of-another-cell", lambda fact: {"fraction": 0.95}, where=little)


@_words("samples outside the mapped area count as unaffected")
def mapped_by_nobody(draft: Draft) -> Planted:
    outside = lambda fact: not fact["in_aoi"]  # noqa: E731
    return _edit_facts(draft, "mapped-by-nobody", lambda fact: {"in_aoi": True}, where=outside)


@_words("an event that is in no table")
def event_of_no_table(draft: Draft) -> Planted:
    return _edit_facts(draft, "event-of-no-table", lambda fact: {"id": "emsr999-01-nowhere"})


@_words("affected samples lack their event")
def event_forgotten(draft: Draft) -> Planted:
    affected = lambda row: any(fact["fraction"] > 0.1 for fact in row["events"])  # noqa: E731
    return edit_rows(draft, "event-forgotten", lambda row: {"events": []}, where=affected)


@_words("images before an event have its class")
def class_before_an_event(draft: Draft) -> Planted:
    classes = {"flood": "flooded_area", "fire": "burned_area", "earthquake": "earthquake_damage"}
    before = lambda fact: fact["phase"] == "before"  # noqa: E731
    change = lambda fact: {"label": classes[fact["type"]]}  # noqa: E731
    return _edit_facts(draft, "class-before-an-event", change, where=before)


@_words("magnitudes of earthquakes are rounded")
def magnitude_rounded(draft: Draft) -> Planted:
    earthquake = lambda fact: fact["magnitude"] is not None  # noqa: E731
    change = lambda fact: {"magnitude": round(fact["magnitude"]) + 1.0}  # noqa: E731
    return _edit_facts(draft, "magnitude-rounded", change, where=earthquake)


@_words("samples before an event have the role of affected ones, and the reverse")
def role_of_the_other_phase(draft: Draft) -> Planted:
    roles = {"before": "affected", "affected": "before"}
    where = lambda row: row["role"] in roles  # noqa: E731
    return edit_rows(draft, "role-of-the-other-phase", lambda row: {"role": roles[row["role"]]}, where=where)


# -- The table of events ---------------------------------------------------------------------------------------------


def _edit_table(draft: Draft, name: str, change: Callable[[Row], object]) -> Planted:
    """Change a column of all rows of the table of events."""
    rows = pq.read_table(draft.corpus / "events.parquet").to_pylist()

    def act(corpus: Path) -> None:
        table = pa.Table.from_pylist([{**row, name: change(row)} for row in rows], schema=EVENT_PARTS)
        write_table(corpus / "events.parquet", table)

    events = sorted({row["id"] for row in rows})
    return Planted(tuple((id,) for id in events), len(events), after=act)


@_words("starts in the table of events are a month late")
def table_of_events_late(draft: Draft) -> Planted:
    return _edit_table(draft, "start", lambda row: row["start"] + dt.timedelta(days=30))


@_words("longitude and latitude are exchanged in the table of events")
def areas_exchanged(draft: Draft) -> Planted:
    def exchange(row: Row) -> bytes:
        outline = shapely.from_wkb(row["geometry"])
        return bytes(shapely.to_wkb(shapely.transform(outline, lambda points: points[:, ::-1])))

    planted = _edit_table(draft, "geometry", exchange)
    affected = [row for row in draft.rows() if any(fact["fraction"] > 0.1 for fact in row["events"])]
    return Planted(tuple((row["id"],) for row in affected), len(affected), after=planted.after)
