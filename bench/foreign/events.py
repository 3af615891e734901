"""Events of samples: dates, phases, areas and labels as they are confused when event tables are joined."""

from collections.abc import Callable

import numpy as np

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import Array, annotated, annotator, cell_counts, cell_labels, edited, independent
from bench.registry import Unsuited

_KM_PER_MILE = 1.609344


def _with_events(draft: Draft, **values: str) -> list[Row]:
    return [
        row
        for row in draft.rows()
        if any(all(event[name] == value for name, value in values.items()) for event in row["events"])
    ]


def _events(draft: Draft, salt: str, rows: list[Row], change: Callable[[Row, Row], Row], *, pct: float = 8) -> Planted:
    """Change the events of some rows: change(row, event) → event."""
    if not rows:
        raise Unsuited("no such event")
    chosen = draft.pick(salt, rows, pct=pct)
    return edited(draft, chosen, lambda row: {"events": [change(row, event) for event in row["events"]]})


def _float(value: float) -> float:
    return float(np.float32(value))


@independent("integrity", "events", "days since the day the map was made instead of the start", events=True)
def days_since_the_map(draft: Draft) -> Planted:
    rows = _with_events(draft, phase="after")
    return _events(draft, "map", rows, lambda row, event: {**event, "days": _float(event["days"] - 2)})


@independent("integrity", "events", "days in hours", events=True)
def days_in_hours(draft: Draft) -> Planted:
    return _events(
        draft, "hours", _with_events(draft), lambda row, event: {**event, "days": _float(event["days"] * 24)}
    )


@independent("integrity", "events", "before and after exchanged, days with the other sign", events=True)
def phases_exchanged(draft: Draft) -> Planted:
    opposite = {"before": "after", "after": "before"}

    def exchanged(row: Row, event: Row) -> Row:
        return {**event, "phase": opposite.get(event["phase"], event["phase"]), "days": -event["days"]}

    return _events(draft, "phases", _with_events(draft, phase="before"), exchanged)


@independent("integrity", "events", "affected fractions in percent of the event's area, a third too large", events=True)
def fractions_too_large(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if any(event["fraction"] > 0.05 for event in row["events"])]

    def enlarged(row: Row, event: Row) -> Row:
        return {**event, "fraction": _float(min(1.0, event["fraction"] * 4 / 3))}

    return _events(draft, "fractions", rows, enlarged)


@independent("words", "event-words", "label and captions of the burn on images before the fire", events=True)
def burns_before_the_fire(draft: Draft) -> Planted:
    tools, after = annotator(draft), _with_events(draft, type="fire", label="burned_area")
    if not after:
        raise Unsuited("no burn")
    by_cell = {row["cell"]: row for row in after}
    rows = [row for row in _with_events(draft, phase="before", type="fire") if row["cell"] in by_cell]

    def labelled(row: Row) -> Row:
        burned = {**row, "datetime": by_cell[row["cell"]]["datetime"]}
        columns = annotated(draft, burned, cell_labels(draft, cell_counts(draft, row), tools), tools)
        return {name: columns[name] for name in ("labels", "captions", "questions", "hard_negatives")}

    return edited(draft, draft.pick("burn", rows, pct=20), labelled)


@independent("words", "annotations", "label and captions of the flood lost on some flooded images", events=True)
def floods_unlabelled(draft: Draft) -> Planted:
    tools, before = annotator(draft), {}
    rows = [row for row in draft.rows() if "flooded_area" in row["labels"]]
    for row in _with_events(draft, phase="before", type="flood"):
        before[row["cell"]] = row
    rows = [row for row in rows if row["cell"] in before]

    def unlabelled(row: Row) -> Row:
        dry = {**row, "datetime": before[row["cell"]]["datetime"]}
        columns = annotated(draft, dry, cell_labels(draft, cell_counts(draft, row), tools), tools)
        return {name: columns[name] for name in ("labels", "captions", "questions", "hard_negatives")}

    return edited(draft, draft.pick("flood", rows, pct=15), unlabelled)


@independent("integrity", "events", "all cells inside the area of interest", events=True)
def everything_in_the_area(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if any(not event["in_aoi"] for event in row["events"])]
    return _events(draft, "area", rows, lambda row, event: {**event, "in_aoi": True})


@independent("integrity", "events", "distances to the epicentre in miles", events=True)
def miles_to_the_epicentre(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if any(event["distance_km"] for event in row["events"])]

    def in_miles(row: Row, event: Row) -> Row:
        distance = event["distance_km"]
        return {**event, "distance_km": None if distance is None else _float(distance / _KM_PER_MILE)}

    return _events(draft, "miles", rows, in_miles, pct=20)


@independent("integrity", "events", "magnitudes of another scale, 0.3 too high", events=True)
def magnitudes_of_another_scale(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if any(event["magnitude"] for event in row["events"])]

    def raised(row: Row, event: Row) -> Row:
        magnitude = event["magnitude"]
        return {**event, "magnitude": None if magnitude is None else _float(magnitude + 0.3)}

    return _events(draft, "magnitude", rows, raised, pct=20)


@independent("integrity", "annotations", "events dropped where the fraction is zero", events=True)
def unaffected_events_dropped(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if any(event["fraction"] == 0 for event in row["events"])]
    chosen = draft.pick("zero", rows, pct=20)
    return edited(draft, chosen, lambda row: {"events": [event for event in row["events"] if event["fraction"] > 0]})


@independent("integrity", "events", "roles before and affected exchanged in some cells", events=True)
def roles_exchanged(draft: Draft) -> Planted:
    opposite = {"before": "affected", "affected": "before"}
    rows = [row for row in draft.rows() if row["role"] in opposite]
    return edited(draft, draft.pick("roles", rows, pct=4), lambda row: {"role": opposite[row["role"]]})


def _exchanged_pixels(draft: Draft, salt: str, sensor: str, type_: str) -> Planted:
    """Exchange the pixels of an image before and one after the event in the same cell."""
    edits: dict[str, Row] = {}
    pairs: list[tuple[Row, Row]] = []
    before = {row["cell"]: row for row in _with_events(draft, phase="before", type=type_) if row["sensor"] == sensor}
    for row in _with_events(draft, phase="after", type=type_) + _with_events(draft, phase="during", type=type_):
        share = max(event["fraction"] for event in row["events"])
        if row["sensor"] == sensor and row["cell"] in before and share > 0.1:
            pairs.append((row, before[row["cell"]]))
    if not pairs:
        raise Unsuited("no cell with images before and after")
    chosen = {row["id"] for row in draft.pick(salt, (row for row, _ in pairs), pct=20)}
    for first, second in pairs:
        if first["id"] in chosen and second["id"] not in edits:
            images: dict[str, dict[str, Array]] = {row["id"]: draft.bands(row["id"]) for row in (first, second)}
            edits |= {first["id"]: {"bands": images[second["id"]]}, second["id"]: {"bands": images[first["id"]]}}
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor=sensor)), edits)


@independent("pixels", "water-index", "radar images before and after the flood exchanged in some cells", events=True)
def flood_images_exchanged(draft: Draft) -> Planted:
    return _exchanged_pixels(draft, "flood-images", "s1", "flood")


@independent("pixels", "vegetation-index", "optical images before and after the fire exchanged", events=True)
def fire_images_exchanged(draft: Draft) -> Planted:
    return _exchanged_pixels(draft, "fire-images", "s2", "fire")
