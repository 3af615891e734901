"""What floods, fires and earthquakes leave on the ground, and how the land looks on a later day."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from landmark.world.ground import COVER, KINDS, At, Canvas, Land, streets, turned
from landmark.world.places import europe_streams, noise_of, shore, sites_of, south_streams
from landmark.world.plane import F, Noise, unit
from landmark.world.window import View

TREES, CROPS, BUILT, WATER = 10, 40, 50, 80  # WorldCover's codes
DESTROYED, DAMAGED, DOUBTFUL = 3, 2, 1
RUBBLE = {DESTROYED: 1.0, DAMAGED: 0.5, DOUBTFUL: 0.12}  # share of a block's houses that are rubble, by grade
SILT_DAYS, CHAR_DAYS = 40, 320  # after so many days a third is left


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event at one spot, as `events.yaml` tells it."""

    name: str
    type: str
    place: str
    epsg: int
    at: tuple[float, float]
    reach_m: float
    start: datetime
    end: datetime
    water: str = ""
    width_m: float = 0
    peak: datetime | None = None
    first: float = 1
    turn_deg: float = 0

    def height(self, when: datetime) -> float:
        """Return how much of the event is there at a moment: 0 before it, 1 at its full extent."""
        return 0.0 if when < self.start else self.first if self.peak and when < self.peak else 1.0


@cache
def load() -> dict[str, Any]:
    """Return `events.yaml` as it stands."""
    with (Path(__file__).parent / "events.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


@cache
def event_specs() -> dict[str, EventSpec]:
    """Return all events by name."""
    return {name: EventSpec(name, **fields) for name, fields in load()["events"].items()}


@dataclass(frozen=True, slots=True)
class EventTrace:
    """Where in a window an event struck.

    Attributes:
        strike: The event.
        where: Rows and columns of the window.
        level: (y, x) in there, 0 where it never was. Flood: 1 is wet first; fire: share of the ground charred;
            earthquake: the grade of damage.
    """

    strike: EventSpec
    where: tuple[slice, slice]
    level: F


def find_traces(seen: View, place: str, seed: int) -> list[EventTrace]:
    """Return the traces of a place's events in a window, whenever they are."""
    found = (_mark(strike, seen, seed) for strike in event_specs().values() if strike.place == place)
    return [mark for mark in found if mark]


def _mark(strike: EventSpec, seen: View, seed: int) -> EventTrace | None:
    near_m = np.hypot(seen.at[0] - strike.at[0], seen.at[1] - strike.at[1])
    rows, columns = (np.flatnonzero((near_m < strike.reach_m).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    where = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    at, part = (seen.at[0][where], seen.at[1][where]), near_m[where] / strike.reach_m
    level = _LEVELS[strike.type](strike, at, seen.land.cut(where), part, seed)
    return EventTrace(strike, where, np.where(part < 1, level, 0).astype(np.float32))


def _flood(strike: EventSpec, at: At, land: Land, part: F, seed: int) -> F:
    """Leave the banks by `width_m` at most; fields hold back, trees and houses stand out, lakes are no flood."""
    spread = 1 - part**2
    spill = 0.3 * Noise(seed)(f"spill/{strike.name}", at, texel_m=26, slope=1.5) + 0.5 * (unit(land.parcel, 301) - 0.5)
    depth = spread * (1 + spill) - 0.12 - np.maximum(_off_water_m(strike, at, seed), 0) / strike.width_m
    cover, river = COVER[land.most], land.most == KINDS["river"]
    return np.where(np.isin(cover, (TREES, BUILT)) | (cover == WATER) & ~river, 0, np.clip(depth, 0, 1))


def _off_water_m(strike: EventSpec, at: At, seed: int) -> F:
    """Return metres from the middle of the stream, or from the lagoon's shore, `reach_m` at most."""
    if strike.water == "lagoon":
        return -shore(Canvas(at, noise_of(strike.place, seed)))
    stream = europe_streams(seed)[0] if strike.water == "river" else south_streams(seed)[1]
    found, _ = stream.tree.query(np.stack(at, axis=-1), distance_upper_bound=strike.reach_m)
    return np.asarray(np.minimum(found, strike.reach_m))


def _fire(strike: EventSpec, at: At, land: Land, part: F, seed: int) -> F:
    """Run before the wind with a ragged front, round islands, and burn what bears wild plants."""
    noise = Noise(seed)
    p, q = turned(at, (np.asarray(strike.at[0]), np.asarray(strike.at[1])), np.radians(strike.turn_deg))
    front = (
        0.72 + 0.2 * noise(f"front/{strike.name}", at, texel_m=20, slope=1.5) - np.hypot(p, q / 0.72) / strike.reach_m
    )
    island = noise(f"island/{strike.name}", at, texel_m=13, slope=1.5) > 1.25
    severity = 0.86 + 0.14 * noise(f"severity/{strike.name}", at, texel_m=14, slope=1.25)
    return np.where((front > 0) & ~island & (COVER[land.most] < CROPS), np.clip(severity, 0.6, 1), 0)


def _earthquake(strike: EventSpec, at: At, land: Land, part: F, seed: int) -> F:
    """Grade the buildings of a town block by block, worst about the middle."""
    sites = sites_of(strike.place, at)
    (p, q), (width_m, depth_m) = streets(at, noise_of(strike.place, seed), sites)
    row, column = np.floor(p / width_m), np.floor(q / depth_m)
    heart = 1 - np.hypot((row + 0.5) * width_m, (column + 0.5) * depth_m) / strike.reach_m
    draw = unit(row, column, sites.key, 311) / np.clip(1.5 * heart, 0.05, 1)
    grade = np.select([draw < 0.34, draw < 0.66, draw < 0.86], [DESTROYED, DAMAGED, DOUBTFUL], 0)
    houses = (COVER[land.most] == BUILT) & (land.most != KINDS["street"])
    return np.where(houses, grade, 0)


_LEVELS: dict[str, Callable[[EventSpec, At, Land, F, int], Any]] = {
    "flood": _flood,
    "fire": _fire,
    "earthquake": _earthquake,
}


def apply_events(seen: View, found: list[EventTrace], when: datetime) -> View:
    """Return the window as it lies at a moment; the very same before its first event."""
    past = [mark for mark in found if mark.strike.start <= when]
    if not past:
        return seen
    kind, over, share = seen.land.kind.copy(), seen.land.over.copy(), seen.land.share.copy()
    land = replace(seen.land, kind=kind, over=over, share=share)
    for mark in past:
        _CHANGES[mark.strike.type](land.cut(mark.where), mark, when)
    return replace(seen, land=land)


def _drown(land: Land, mark: EventTrace, when: datetime) -> None:
    """Turn what is wet to muddy water, later to silt that dries."""
    if when <= mark.strike.end:
        wet = reached(mark.strike, mark.level, when)
        land.kind[wet] = KINDS["floodwater"]
        land.share[wet & (COVER[land.over] != TREES)] = 0
    else:
        dry = (mark.level > 0) & (COVER[land.kind] != WATER) & (land.share == 0)
        land.over[dry], land.share[dry] = KINDS["silt"], 0.48 * _left(when - mark.strike.end, SILT_DAYS)


def _char(land: Land, mark: EventTrace, when: datetime) -> None:
    burnt = mark.level > 0
    land.over[burnt] = KINDS["charred"]
    land.share[burnt] = mark.level[burnt] * _left(when - mark.strike.start, CHAR_DAYS)


def _break(land: Land, mark: EventTrace, when: datetime) -> None:
    share = np.zeros(mark.level.shape, np.float32)
    for grade, part in RUBBLE.items():
        share[mark.level == grade] = part
    land.kind[unit(land.parcel, 317) < share] = KINDS["rubble"]


def _left(since: timedelta, days: float) -> float:
    return float(np.exp(-(since / timedelta(days=days))))


_CHANGES: dict[str, Callable[[Land, EventTrace, datetime], None]] = {
    "flood": _drown,
    "fire": _char,
    "earthquake": _break,
}


def reached(strike: EventSpec, level: F, when: datetime) -> NDArray[np.bool_]:
    """Return where the event has been by a moment; a flood that has gone counts as it stood last."""
    return np.asarray(level > 1 - strike.height(when)) & (level > 0)
