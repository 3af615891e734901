"""Defects of columns that rows have from their image: time, satellite, orbit, item names, cloud."""

import datetime as dt
import re
from collections.abc import Callable
from functools import partial

from bench.draft import Draft, Planted, Row, ids
from bench.facts import edit_rows
from bench.registry import Unsuited, planting
from landmark.core.hashing import rank
from landmark.core.salts import ROW

_integrity = partial(planting, "integrity")
_TIME = "%Y%m%dT%H%M%S"
_STAMP = re.compile(r"\d{8}T\d{6}")


def change_images(draft: Draft, salt: str, change: Callable[[Row], Row], *, where: Callable[[Row], bool]) -> Planted:
    """Change rows so that ids, pairs and gaps agree with the changed time, cell and orbit."""
    eligible = [row for row in draft.rows() if where(row)]
    if not eligible:
        raise Unsuited("no sample is suitable")
    rows = draft.pick(salt, eligible)
    changed = {row["id"]: {**row, **change(row)} for row in rows}
    names = {id: sample_id(row) for id, row in changed.items()}
    edits: dict[str, Row] = {id: {**change(draft.facts[id]), "id": names[id]} for id in changed}
    for id, row in draft.facts.items():
        if (partner := row["pair"]) is None or not {id, partner} & changed.keys():
            continue
        gap = changed.get(id, row)["datetime"] - changed.get(partner, draft.facts[partner])["datetime"]
        gap_s = round(gap.total_seconds())
        edits.setdefault(id, {}).update(pair=names.get(partner, partner), pair_gap_s=gap_s)
    return Planted(tuple((name,) for name in names.values()), len(eligible), edits)


def sample_id(row: Row) -> str:
    return f"{row['sensor']}_{row['cell']}_{row['datetime']:%Y%m%dt%H%M%S}_r{row['relative_orbit'] or 0:03d}"


def _later(row: Row, shift: dt.timedelta, *, items: bool) -> Row:
    """The row's time, and that of its items' names, moved."""

    def move(match: re.Match[str]) -> str:
        return f"{dt.datetime.strptime(match[0], _TIME) + shift:{_TIME}}"

    names = [_STAMP.sub(move, item) for item in row["items"]] if items else row["items"]
    return {"datetime": row["datetime"] + shift, "items": names}


def _is_satellite(row: Row) -> bool:
    """Whether the provider names the satellite and its orbit."""
    return row["relative_orbit"] is not None and (row["platform"] or "")[-1:] in ("a", "b")


# -- Times -----------------------------------------------------------------------------------------------------------


@_integrity("acquisition", "times and ids of samples are a day late")
def day_late(draft: Draft) -> Planted:
    change = partial(_later, shift=dt.timedelta(days=1), items=False)
    return change_images(draft, "day-late", change, where=lambda row: True)


@_integrity("item-names", "times and ids of samples are in local time")
def times_in_local_time(draft: Draft) -> Planted:
    change = partial(_later, shift=dt.timedelta(hours=2), items=False)
    return change_images(draft, "times-in-local-time", change, where=_is_satellite)


@_integrity("orbit", "times, ids and items of samples are a day late")
def items_a_day_late(draft: Draft) -> Planted:
    change = partial(_later, shift=dt.timedelta(days=1), items=True)
    return change_images(draft, "items-a-day-late", change, where=_is_satellite)


@_integrity("orbit", "times, ids and items of samples are of the year before")
def another_year(draft: Draft) -> Planted:
    change = partial(_later, shift=dt.timedelta(days=-365), items=True)
    return change_images(draft, "another-year", change, where=_is_satellite)


@_integrity("orbit", "times, ids and items of samples are those of a computer in Jakarta")
def items_in_local_time(draft: Draft) -> Planted:
    change = partial(_later, shift=dt.timedelta(hours=7), items=True)
    return change_images(draft, "items-in-local-time", change, where=lambda row: abs(row["lat"]) < 65)


# -- Satellites and orbits -------------------------------------------------------------------------------------------


@_integrity("orbit", "ascending and descending are exchanged")
def directions_exchanged(draft: Draft) -> Planted:
    opposite = {"ascending": "descending", "descending": "ascending"}
    return edit_rows(
        draft,
        "directions-exchanged",
        lambda row: {"orbit_direction": opposite[row["orbit_direction"]]},
        where=lambda row: row["orbit_direction"] is not None and abs(row["lat"]) < 65,
    )


def _platform_exchanged(row: Row) -> str:
    return f"{row['platform'][:-1]}{'b' if row['platform'][-1] == 'a' else 'a'}"


@_integrity("item-names", "`platform` is the twin of the satellite")
def satellite_of_the_twin(draft: Draft) -> Planted:
    change = lambda row: {"platform": _platform_exchanged(row)}  # noqa: E731
    return edit_rows(draft, "satellite-of-the-twin", change, where=_is_satellite)


@_integrity("orbit", "`platform` and items are those of the twin of the satellite")
def items_of_the_twin(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        platform = _platform_exchanged(row)
        items = [f"{item[:2]}{platform[-1].upper()}{item[3:]}" for item in row["items"]]
        return {"platform": platform, "items": items}

    return edit_rows(draft, "items-of-the-twin", change, where=_is_satellite)


@_integrity("orbit", "relative orbit of another track, in the row, its id and its items")
def orbit_of_another_track(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        orbit = (row["relative_orbit"] + 50) % 143 + 1
        items = [re.sub(r"_R\d{3}_", f"_R{orbit:03d}_", item) for item in row["items"]]
        return {"relative_orbit": orbit, "items": items}

    return change_images(draft, "orbit-of-another-track", change, where=_is_satellite)


@_integrity("item-names", "relative orbit of the next track, in the row and its id")
def orbit_of_the_next_track(draft: Draft) -> Planted:
    change = lambda row: {"relative_orbit": row["relative_orbit"] + 1}  # noqa: E731
    return change_images(draft, "orbit-of-the-next-track", change, where=_is_satellite)


@_integrity("acquisition", "another processing baseline, with its rule")
def baseline_of_another(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        baseline, offset = ("03.01", "none") if row["baseline"] >= "04.00" else ("05.09", "1000")
        return {"baseline": baseline, "offset_rule": f"baseline {baseline}: {offset}"}

    return edit_rows(draft, "baseline-of-another", change, where=lambda row: row["baseline"] is not None)


# -- Items -----------------------------------------------------------------------------------------------------------


@_integrity("item-names", "items are those of another date")
def items_of_another_date(draft: Draft) -> Planted:
    images = sorted({(row["sensor"], row["items"][0], row["datetime"]) for row in draft.rows()})

    def change(row: Row) -> Row:
        candidates = (item for sensor, item, time in images if sensor == row["sensor"] and time != row["datetime"])
        return {"items": [next(candidates)]}

    return edit_rows(draft, "items-of-another-date", change)


@_integrity("item-names", "items are those of the other sensor")
def items_of_another_sensor(draft: Draft) -> Planted:
    return edit_rows(draft, "items-of-another-sensor", lambda row: {"items": draft.facts[row["pair"]]["items"]},
                     where=lambda row: row["pair"] is not None)  # fmt: skip


def _rename_items(draft: Draft, salt: str, pattern: str, replacement: str) -> Planted:
    def change(row: Row) -> Row:
        return {"items": [re.sub(pattern, replacement, item) for item in row["items"]]}

    return edit_rows(draft, salt, change, where=lambda row: bool(re.search(pattern, row["items"][0])))


@_integrity("item-names", "items are of a tile far away")
def items_of_another_tile(draft: Draft) -> Planted:
    return _rename_items(draft, "items-of-another-tile", r"_T\d\d[A-Z]{3}_", "_T55HFA_")


@_integrity("item-names", "items are of level 1C, which is not corrected for the atmosphere")
def items_of_level_1(draft: Draft) -> Planted:
    return _rename_items(draft, "items-of-level-1", "MSIL2A", "MSIL1C")


@_integrity("item-names", "radar items have one polarisation")
def items_without_vh(draft: Draft) -> Planted:
    return _rename_items(draft, "items-without-vh", "_1SDV_", "_1SSV_")


@_integrity("item-names", "radar items are of another mode")
def items_of_another_mode(draft: Draft) -> Planted:
    return _rename_items(draft, "items-of-another-mode", "_IW_", "_EW_")


@_integrity("acquisition", "radar items are named after a later slice of the pass")
def items_of_a_later_slice(draft: Draft) -> Planted:
    pattern = r"_([0-9A-F]{6})_rtc$"
    return _rename_items(draft, "items-of-a-later-slice", pattern, r"_\1_0002_rtc")


# -- Shares of the mask ----------------------------------------------------------------------------------------------


def _clouded(draft: Draft, salt: str, change: Callable[[Row], Row]) -> Planted:
    masked = [row for row in draft.rows() if row["cloud_pct"] is not None]
    suitable = [row for row in masked if row["cloud_pct"] > row["shadow_pct"] > 0] or masked
    rows = draft.pick(salt, suitable)
    if not rows:
        raise Unsuited("no sample has a mask")
    return Planted(ids(rows), len(suitable), {row["id"]: change(row) for row in rows})


@_integrity("mask-shares", "cloud and shadow are fractions instead of percentages")
def shares_as_fractions(draft: Draft) -> Planted:
    names = ("cloud_pct", "shadow_pct", "snow_pct")
    return _clouded(draft, "shares-as-fractions", lambda row: {name: row[name] / 100 for name in names})


@_integrity("mask-shares", "cloud and shadow are exchanged")
def cloud_as_shadow(draft: Draft) -> Planted:
    change = lambda row: {"cloud_pct": row["shadow_pct"], "shadow_pct": row["cloud_pct"]}  # noqa: E731
    return _clouded(draft, "cloud-as-shadow", change)


@_integrity("mask-shares", "cloud is that of the whole scene")
def cloud_of_the_scene(draft: Draft) -> Planted:
    return _clouded(draft, "cloud-of-the-scene", lambda row: {"cloud_pct": 3.137})


@_integrity("mask-shares", "clouds are zero everywhere")
def cloud_forgotten(draft: Draft) -> Planted:
    return _clouded(draft, "cloud-forgotten", lambda row: {"cloud_pct": 0.0})


@_integrity("mask-shares", "shares of the mask are missing")
def shares_missing(draft: Draft) -> Planted:
    return _clouded(draft, "shares-missing", lambda row: {"cloud_pct": None, "shadow_pct": None, "snow_pct": None})


@_integrity("mask-shares", "radar samples have a share of cloud")
def cloud_of_radar(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        return {name: draft.facts[row["pair"]][name] for name in ("cloud_pct", "shadow_pct", "snow_pct")}

    paired = lambda row: row["sensor"] == "s1" and row["pair"] is not None  # noqa: E731
    return edit_rows(draft, "cloud-of-radar", change, where=paired)


@_integrity("acquisition", "the darkest digital numbers are 300 too high")
def darkest_too_high(draft: Draft) -> Planted:
    where = lambda row: row["dark_dn"] is not None  # noqa: E731
    return edit_rows(draft, "darkest-too-high", lambda row: {"dark_dn": row["dark_dn"] + 300}, where=where)


@_integrity("acquisition", "ranks of the plan are those of another seed")
def rank_of_another_seed(draft: Draft) -> Planted:
    return edit_rows(draft, "rank-of-another-seed", lambda row: {"rank": rank(1, ROW, row["cell"])})
