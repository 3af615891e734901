"""Check of the events of samples, against the table of events and its areas."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.core.crs import LONLAT, distance_km, transformer
from landmark.core.errors import InvalidCorpus
from landmark.corpus.lock import Lock
from landmark.corpus.tables import read_table
from landmark.domain.event import AOI, NEAR, Event, EventType, phase_of
from landmark.domain.schemas import EVENT_PARTS, PLAN
from landmark.labels.label_rules import load_event_types
from landmark.plan.event_sampling import AFFECTED, BEFORE, DISTANT, UNAFFECTED
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable

_FILE = "events.parquet"
_COLUMNS = ("id", "datetime", "role", "cell", "epsg", "x", "y", "lon", "lat", "labels", "events")
_RECORDED = ("group", "type", "source", "product", "start", "end", "observed", "magnitude")
_DAY = dt.timedelta(days=1)
# Facts are float32.
_MAX_DAYS_ERROR, _MAX_KM_ERROR = 0.01, 0.1
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))
Row = Mapping[str, Any]


class Areas(NamedTuple):
    """Shares of a cell's area, by event: of what was mapped as affected, as area of interest, and as any part."""

    affected: dict[str, float]
    mapped: dict[str, float]
    touched: dict[str, float]


NO_AREAS = Areas({}, {}, {})


def events(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Facts of events follow from the events' dates and areas, and the image's time and place."""
    lock, rows = inputs.lock, inputs.samples.select(_COLUMNS)
    if lock is None:
        raise NotApplicable("the corpus has no lock that its manifest names")
    if not lock.events and not pc.any(pc.greater(pc.list_value_length(rows["events"]), 0)).as_py():
        raise NotApplicable("the recipe has no events, and no sample has one")
    try:
        # A corpus without events has no table of them.
        table = read_table(inputs.context.root / _FILE, EVENT_PARTS) if lock.events else EVENT_PARTS.empty_table()
    except InvalidCorpus:
        yield Flag("table is missing or unreadable", _FILE)
        return
    yield from _compare_records(table, lock)
    known = {record.id: record.to_event() for record in lock.events}
    types = load_event_types(inputs.context.taxonomy).types
    areas = event_areas(table, rows, inputs.manifest.patch_px * inputs.manifest.resolution_m)
    planned = _planned_events(inputs)
    for row in rows.to_pylist():
        problems = check_events(row, known, types, areas.get(row["cell"], NO_AREAS), limits["max_error"])
        if row["id"] in planned:
            problems = chain(problems, check_role(row, planned[row["id"]], known, types))
        yield from (Flag(problem, row["id"], detail) for problem, detail in problems)


def _planned_events(inputs: CheckInput) -> dict[str, str | None]:
    """The event that each sample was planned for."""
    try:
        plan = read_table(inputs.context.root / "plan.parquet", PLAN)
    except InvalidCorpus:
        return {}  # reported by `manifest`
    return dict(zip(plan["id"].to_pylist(), plan["event"].to_pylist(), strict=True))


def check_events(
    row: Row, known: Mapping[str, Event], types: Mapping[str, EventType], areas: Areas, max_error: float
) -> Iterator[tuple[str, str]]:
    """Problems of a sample's events.

    Args:
        row: The sample.
        known: Events by id; their geometries are not used.
        types: Types of events.
        areas: Of the events in the sample's cell.
        max_error: Of a share of the cell's area.
    """
    for fact in row["events"]:
        if fact["id"] not in known:
            yield "event is not in the table of events", fact["id"]
            continue
        for problem, detail in _check_fact(fact, row, known[fact["id"]], types):
            yield problem, f"{fact['id']}: {detail}"
    yield from _check_areas(row, areas, max_error)


def _compare_records(table: pa.Table, lock: Lock) -> Iterator[Flag]:
    """Compare the table with the records of the lock, but for its geometries."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in table.select([*_RECORDED, "id", "part"]).to_pylist():
        parts[row["id"]].append(row)
    records = {record.id: record for record in lock.events}
    for id in sorted(parts.keys() ^ records.keys()):
        yield Flag("event is only in the lock or only in the table of events", id)
    for id in sorted(parts.keys() & records.keys()):
        record, rows = records[id], parts[id]
        for name in _RECORDED:
            expected = getattr(record, name)
            if any(not _is_equal(row[name], expected) for row in rows):
                yield Flag(f"{name} of an event differs from the lock", id, f"{rows[0][name]}, not {expected}")
        if sorted(row["part"] for row in rows) != sorted(record.parts):
            yield Flag("parts of an event differ from the lock", id, ", ".join(row["part"] for row in rows))


def _is_equal(value: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(value, float):
        return bool(np.isclose(value, expected, rtol=1e-5))
    return bool(value == expected)


def _check_fact(fact: Row, row: Row, event: Event, types: Mapping[str, EventType]) -> Iterator[tuple[str, str]]:
    time, type_ = row["datetime"], types[event.type]
    for name in ("type", "product", "magnitude"):
        if not _is_equal(fact[name], getattr(event, name)):
            yield f"{name} of an event differs", f"{fact[name]}, not {getattr(event, name)}"
    days = (time - event.start) / _DAY
    if abs(fact["days"] - days) > _MAX_DAYS_ERROR + abs(days) * 1e-5:
        yield "days of an event are not those from its start to the image", f"{fact['days']:.2f}, not {days:.2f}"
    phase = "unrelated" if row["role"] == "distant" and not fact["fraction"] else phase_of(event, time, types)
    if fact["phase"] not in (phase, phase_of(event, time, types)):
        detail = f"{fact['phase']}, not {phase}: image {time:%Y-%m-%d %H:%M}, event {event.start:%Y-%m-%d}"
        yield "phase of an event is not that of the image's time", f"{detail} to {event.end:%Y-%m-%d}"
    if fact["label"] is not None:
        if fact["label"] != type_.to or fact["phase"] not in type_.mentionable_phases or fact["fraction"] <= 0:
            yield "class of an event does not follow from its type, phase and fraction", fact["label"]
        if fact["label"] not in row["labels"]:
            yield "class of an event is not a label of the sample", fact["label"]
    if fact["grade"] is not None and fact["grade"] not in [part.name for part in event.affected_parts]:
        yield "grade is no part of the event", fact["grade"]
    if fact["distance_km"] is not None:
        yield from _check_distance(fact, row, event)


def _check_distance(fact: Row, row: Row, event: Event) -> Iterator[tuple[str, str]]:
    distance = distance_km(event.epicentre, (row["lon"], row["lat"])) if event.epicentre else float("inf")
    if abs(fact["distance_km"] - distance) > _MAX_KM_ERROR:
        yield "distance to the epicentre differs", f"{fact['distance_km']:.1f} km, not {distance:.1f} km"


def check_role(
    row: Row, id: str | None, known: Mapping[str, Event], types: Mapping[str, EventType]
) -> Iterator[tuple[str, str]]:
    """Problems of a sample's role in the event that it was planned for: phase, fraction and area decide on it.

    Fractions of other periods may be below the threshold of the planned one: affected samples have any.
    """
    role, facts = row["role"], {fact["id"]: fact for fact in row["events"]}
    if id is None or role is None:
        if id is not None or role is not None:
            yield "sample has a role without an event, or an event without a role", f"{role} of {id}"
        return
    if id not in known or (fact := facts.get(id)) is None:
        yield "event of the plan is not among the sample's", id
        return
    event = known[id]
    affected = fact["fraction"] > 0 if event.affected_parts else fact["distance_km"] is not None
    touched = [each["fraction"] or each["in_aoi"] or each["distance_km"] is not None for each in row["events"]]
    in_area = {
        AFFECTED: affected,
        BEFORE: affected,
        UNAFFECTED: fact["in_aoi"] and not any(each["label"] for each in row["events"]),
        DISTANT: not any(touched),
    }
    phase = phase_of(event, row["datetime"], types)
    phases = ("before",) if role == BEFORE else types[event.type].mentionable_phases
    if not in_area.get(role, False) or phase not in phases:
        area = f"{100 * fact['fraction']:.1f} % affected, {'in' if fact['in_aoi'] else 'outside'} the area of interest"
        yield "role does not follow from phase and area of the event", f"{role} of {id}: {phase}, {area}"


# -- areas -------------------------------------------------------------------------------------------------------------


def event_areas(table: pa.Table, rows: pa.Table, cell_m: float) -> dict[str, Areas]:
    """The areas of events in each cell that an event touches.

    Args:
        table: EVENT_PARTS.
        rows: `cell`, `epsg`, and `x` and `y`, the left and top edge in metres.
        cell_m: Edge of a cell in metres.
    """
    cells = rows.group_by(["cell", "epsg", "x", "y"], use_threads=False).aggregate([])
    squares = _squares(cells, cell_m)
    shapes, part_of = _polygons(table)
    names, ids = table["part"].to_pylist(), table["id"].to_pylist()
    tree = shapely.STRtree(shapes)
    square, shape = tree.query(squares, predicate="intersects")
    # Most cells are inside the circle of an earthquake or an area of interest: no intersection is needed.
    covered = np.isin(
        square * len(shapes) + shape, np.dot([len(shapes), 1], tree.query(squares, predicate="covered_by"))
    )
    shares, partial = covered.astype(np.float64), np.flatnonzero(~covered)
    part = squares[square[partial]]
    shares[partial] = shapely.area(shapely.intersection(part, shapes[shape[partial]])) / shapely.area(part)
    areas: dict[str, Areas] = {}
    for cell, part, share in zip(square.tolist(), part_of[shape].tolist(), shares.tolist(), strict=True):
        entry = areas.setdefault(str(cells["cell"][cell]), Areas({}, {}, {}))
        of_part = {AOI: entry.mapped, NEAR: {}}.get(names[part], entry.affected)
        for shares_of in (of_part, entry.touched):
            shares_of[ids[part]] = shares_of.get(ids[part], 0.0) + share
    return areas


def _squares(cells: pa.Table, cell_m: float) -> NDArray[np.object_]:
    """Squares of cells in degrees."""
    epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
    corners = np.empty((cells.num_rows, len(_CORNERS), 2))
    for code in np.unique(epsg).tolist():
        of_zone = epsg == code
        for number, (east, south) in enumerate(_CORNERS):
            place = x[of_zone] + east * cell_m, y[of_zone] - south * cell_m
            corners[of_zone, number] = np.stack(transformer(code, LONLAT).transform(*place), axis=1)
    return np.asarray(shapely.polygons(corners))


def _polygons(table: pa.Table) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Single polygons of the parts, and the row of each."""
    polygons, part_of = shapely.get_parts(shapely.from_wkb(table["geometry"].to_pylist()), return_index=True)
    return polygons, part_of


def _check_areas(row: Row, areas: Areas, max_error: float) -> Iterator[tuple[str, str]]:
    """Compare facts with the areas of events in the cell; land cover that does not count lowers a fraction only."""
    facts = {fact["id"]: fact for fact in row["events"]}
    for id, share in areas.touched.items():
        if id not in facts and share > max_error:
            yield "event of the sample's area is missing", f"{id} covers {100 * share:.0f} %"
    for id, fact in facts.items():
        affected, mapped = areas.affected.get(id, 0.0), areas.mapped.get(id, 0.0)
        if fact["fraction"] > affected + max_error:
            detail = f"{id}: {100 * fact['fraction']:.1f} %, its area covers {100 * affected:.1f} %"
            yield "fraction of an event is larger than its area in the sample", detail
        if fact["in_aoi"] and mapped < 1 - max_error:
            detail = f"{id}: {100 * mapped:.1f} % of the sample were mapped"
            yield "in_aoi is true for a sample that was not mapped", detail
        if not fact["in_aoi"] and mapped > 1 - 1e-9:
            yield "in_aoi is false for a sample that was mapped", id


CHECKS: dict[str, Check] = {"events": events}
