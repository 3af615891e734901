"""Columns of time, orbit, place and shares after edits with a data frame, and after slips in a build's own code."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import shapely

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import (
    annotated,
    annotator,
    by_cell,
    cell_counts,
    cell_labels,
    edited,
    independent,
    neighbour,
    renamed,
    scene,
    with_partners,
)
from bench.registry import Unsuited


def _reidentified(draft: Draft, rows: Sequence[Row], change: Callable[[Row], Row]) -> Planted:
    """Change columns together with the ids, pairs, gaps and texts that follow from them."""
    tools, edits = annotator(draft), {}
    for row in rows:
        changes = change(row)
        labels = cell_labels(draft, cell_counts(draft, row), tools)
        edits[row["id"]] = annotated(draft, row, labels, tools, changes) | changes
    subjects = tuple((id, str(edit["id"])) for id, edit in edits.items())
    return Planted(subjects, len(draft.facts), with_partners(draft, edits))


def _retimed(draft: Draft, rows: Sequence[Row], change: Callable[[Row], datetime]) -> Planted:
    return _reidentified(draft, rows, lambda row: {"datetime": (time := change(row)), "id": renamed(row, time)})


@independent("integrity", "orbit", "local time (UTC + 2 h) stored as UTC in the rows of one region")
def local_time_as_utc(draft: Draft) -> Planted:
    rows = draft.pick("local", draft.rows(epsg=draft.rows()[0]["epsg"]), pct=10)
    return edited(draft, rows, lambda row: {"datetime": row["datetime"] + timedelta(hours=2)})


@independent("integrity", "orbit", "local time (UTC + 1 h) in time, id and gap of some rows")
def local_time_in_ids_too(draft: Draft) -> Planted:
    return _retimed(draft, draft.pick("winter", draft.rows(), pct=3), lambda row: row["datetime"] + timedelta(hours=1))


@independent("integrity", "item-names", "times cut to dates: midnight UTC")
def times_cut_to_dates(draft: Draft) -> Planted:
    def midnight(row: Row) -> Row:
        return {"datetime": row["datetime"].replace(hour=0, minute=0, second=0)}

    return edited(draft, draft.pick("midnight", draft.rows(), pct=4), midnight)


@independent("integrity", "item-names", "the end of a radar acquisition instead of its start, in time, id and gap")
def end_of_acquisition(draft: Draft) -> Planted:
    rows = draft.pick("end", draft.rows(sensor="s1"), pct=6)
    return _retimed(draft, rows, lambda row: row["datetime"] + timedelta(seconds=25))


@independent("integrity", "item-names", "time of processing instead of sensing, in time, id and gap")
def time_of_processing(draft: Draft) -> Planted:
    def processed(row: Row) -> datetime:
        stamp = datetime.strptime(row["items"][0].rsplit("_", 1)[1].upper(), "%Y%m%dT%H%M%S")
        return stamp.replace(tzinfo=row["datetime"].tzinfo)

    return _retimed(draft, draft.pick("processed", draft.rows(sensor="s2"), pct=4), processed)


@independent("integrity", "item-names", "dates a year early, taken from the name of a folder")
def a_year_early(draft: Draft) -> Planted:
    rows = draft.pick("year", draft.rows(sensor="s2"), pct=3)
    return edited(draft, rows, lambda row: {"datetime": row["datetime"].replace(year=row["datetime"].year - 1)})


@independent("integrity", "item-names", "day and month exchanged by a parser of dates")
def day_and_month_exchanged(draft: Draft) -> Planted:
    rows = [row for row in draft.rows() if row["datetime"].day <= 12 and row["datetime"].day != row["datetime"].month]

    def exchanged(row: Row) -> Row:
        time = row["datetime"]
        return {"datetime": time.replace(day=time.month, month=time.day)}

    return edited(draft, draft.pick("parser", rows, pct=20), exchanged)


@independent("integrity", "item-names", "sentinel-2b for 2a and the reverse in some rows")
def satellites_exchanged(draft: Draft) -> Planted:
    def exchanged(row: Row) -> Row:
        return {"platform": row["platform"][:-1] + ("b" if row["platform"].endswith("a") else "a")}

    return edited(draft, draft.pick("satellite", draft.rows(), pct=3), exchanged)


@independent("integrity", "acquisition", "platform written as in product names: S2A, S1A")
def platform_as_in_names(draft: Draft) -> Planted:
    rows = draft.pick("platform", draft.rows(), pct=3)
    return edited(draft, rows, lambda row: {"platform": row["items"][0][:3]})


@independent("integrity", "orbit", "ascending for descending in all rows of one radar acquisition")
def direction_reversed(draft: Draft) -> Planted:
    rows = scene(draft, "s1", "direction")
    opposite = {"ascending": "descending", "descending": "ascending"}
    return edited(draft, rows, lambda row: {"orbit_direction": opposite[row["orbit_direction"]]})


@independent("integrity", "orbit", "relative orbits by the formula of Sentinel-1B for 1A, in column and id")
def orbit_of_the_other_satellite(draft: Draft) -> Planted:
    def recomputed(row: Row) -> Row:
        orbit = (row["relative_orbit"] - 1 + 73 - 27) % 175 + 1
        return {"relative_orbit": orbit, "id": renamed(row, row["datetime"], orbit)}

    return _reidentified(
        draft, draft.pick("formula", draft.rows(sensor="s1", platform="sentinel-1a"), pct=5), recomputed
    )


@independent("integrity", "item-names", "relative orbits one too high in the column alone")
def orbit_too_high(draft: Draft) -> Planted:
    rows = draft.pick("orbit", draft.rows(), pct=3)
    return edited(draft, rows, lambda row: {"relative_orbit": row["relative_orbit"] + 1})


@independent("integrity", "acquisition", "baselines that passed through a float: 4.0 for 04.00")
def baseline_as_float(draft: Draft) -> Planted:
    rows = draft.pick("float", draft.rows(sensor="s2"), pct=5)
    return edited(draft, rows, lambda row: {"baseline": str(float(row["baseline"]))})


@independent("integrity", "acquisition", "baseline and offset rule of the other processing in some rows")
def baseline_of_the_other_processing(draft: Draft) -> Planted:
    rules = {row["baseline"]: row["offset_rule"] for row in draft.rows(sensor="s2")}
    if len(rules) < 2:
        raise Unsuited("one baseline")
    opposite = dict(zip(rules, reversed(rules), strict=True))

    def exchanged(row: Row) -> Row:
        return {"baseline": (baseline := opposite[row["baseline"]]), "offset_rule": rules[baseline]}

    return edited(draft, draft.pick("baseline", draft.rows(sensor="s2"), pct=3), exchanged)


@independent("integrity", "item-names", "the item of the square to the side of the one that holds the cell")
def item_of_the_next_square(draft: Draft) -> Planted:
    squares = {"T32TPR": "T32TQR", "T32TQR": "T32TPR", "T33TUL": "T33TTL", "T33TTL": "T33TUL", "T34HEH": "T34HDH"}

    def moved(row: Row) -> Row:
        name, square = row["items"][0], row["items"][0].split("_")[4]
        return {"items": [name.replace(square, squares.get(square, square))]}

    return edited(draft, draft.pick("square", draft.rows(sensor="s2"), pct=4), moved)


@independent("integrity", "acquisition", "the item of the following radar slice, 25 s later")
def item_of_the_next_slice(draft: Draft) -> Planted:
    def following(row: Row) -> Row:
        parts = row["items"][0].split("_")
        end = datetime.strptime(parts[5], "%Y%m%dT%H%M%S")
        parts[4:6] = [f"{end:%Y%m%dT%H%M%S}", f"{end + timedelta(seconds=25):%Y%m%dT%H%M%S}"]
        return {"items": ["_".join(parts)]}

    return edited(draft, draft.pick("slice", draft.rows(sensor="s1"), pct=5), following)


@independent("integrity", "acquisition", "the item of another date of the same cell, every other column unchanged")
def item_of_another_date(draft: Draft) -> Planted:
    following = {
        first["id"]: second["items"]
        for rows in by_cell(draft, sensor="s2").values()
        for first, second in pairwise(rows)
    }
    rows = draft.pick("item", [draft.facts[id] for id in following], pct=8)
    return edited(draft, rows, lambda row: {"items": following[row["id"]]})


@independent("integrity", "placement", "longitude and latitude of the corner of the cell instead of its centre")
def corner_for_centre(draft: Draft) -> Planted:
    def corner(row: Row) -> Row:
        outline: Any = shapely.from_wkb(row["geometry"])
        lon, lat = outline.exterior.coords[0]
        return {"lon": lon, "lat": lat}

    return edited(draft, draft.pick("corner", draft.rows(), pct=3), corner)


@independent("integrity", "placement", "longitude and latitude rounded to two decimals")
def coordinates_rounded(draft: Draft) -> Planted:
    rows = draft.pick("decimals", draft.rows(), pct=4)
    return edited(draft, rows, lambda row: {"lon": round(row["lon"], 2), "lat": round(row["lat"], 2)})


@independent("integrity", "placement", "outlines as the enclosing rectangle in degrees")
def rectangles_for_outlines(draft: Draft) -> Planted:
    def enclosed(row: Row) -> Row:
        outline: Any = shapely.from_wkb(row["geometry"])
        return {"geometry": shapely.to_wkb(shapely.box(*outline.bounds))}

    return edited(draft, draft.pick("rectangle", draft.rows(), pct=4), enclosed)


@independent("integrity", "placement", "transforms of pixel centres: half a pixel to the south-east")
def transform_of_centres(draft: Draft) -> Planted:
    def centred(row: Row) -> Row:
        a, b, c, d, e, f = row["transform"]
        return {"transform": [a, b, c + a / 2, d, e, f + e / 2]}

    return edited(draft, draft.pick("centres", draft.rows(), pct=4), centred)


@independent("integrity", "placement", "transforms and outlines of the next cell to the east in some rows")
def place_of_the_next_cell(draft: Draft) -> Planted:
    cells = by_cell(draft)
    rows = [row for row in draft.rows() if neighbour(row["cell"]) in cells]

    def moved(row: Row) -> Row:
        east = cells[neighbour(row["cell"])][0]
        return {name: east[name] for name in ("transform", "geometry", "lon", "lat", "majortom")}

    return edited(draft, draft.pick("next", rows, pct=4), moved)


@independent("integrity", "placement", "Major-TOM names of the row to the north")
def majortom_of_the_next_row(draft: Draft) -> Planted:
    def moved(row: Row) -> Row:
        name = row["majortom"]
        return {"majortom": f"{int(name[:3]) + 1:03d}{name[3:]}"}

    return edited(draft, draft.pick("majortom", draft.rows(), pct=4), moved)
