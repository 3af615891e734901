"""Simulate the traces of floods, fires and earthquakes on the land, and their change over time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.world import biomes
from landmark.world.event_specs import EventSpec, events_at
from landmark.world.ground import COVER, KINDS, At, Canvas, Land, rotate, street_axes
from landmark.world.place import Place
from landmark.world.places import europe_streams, noise_of, shore, sites_of, south_streams
from landmark.world.plane import F, Noise, unit
from landmark.world.window import View

TREES, CROPS, BUILT, WATER = 10, 40, 50, 80  # WorldCover's codes
DESTROYED, DAMAGED, DOUBTFUL = 3, 2, 1
RUBBLE = {DESTROYED: 1.0, DAMAGED: 0.5, DOUBTFUL: 0.12}  # share of a block's houses that are rubble, by grade
SILT_DAYS, CHAR_DAYS = 40, 320  # e-folding times of silt and char


@dataclass(frozen=True, slots=True)
class EventTrace:
    """The effect of an event on a window.

    Attributes:
        event: The event.
        window: Rows and columns of the view that contain the event.
        level: (y, x) in `window`, 0 outside the event. Flood: order of flooding, 1 first; fire: charred share of
            the ground; earthquake: grade of damage.
    """

    event: EventSpec
    window: tuple[slice, slice]
    level: F


def find_traces(view: View, place: Place, seed: int) -> list[EventTrace]:
    """Return the traces in a view of all events of a place, whatever their dates."""
    traces = (_trace(event, place, view, seed) for event in events_at(place))
    return [trace for trace in traces if trace]


def _trace(event: EventSpec, place: Place, view: View, seed: int) -> EventTrace | None:
    distance_m = np.hypot(view.at[0] - event.at[0], view.at[1] - event.at[1])
    rows, columns = (np.flatnonzero((distance_m < event.reach_m).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    at, distance = (view.at[0][window], view.at[1][window]), distance_m[window] / event.reach_m
    level = _LEVELS[event.type](event, place, at, view.land.crop(window), distance, seed)
    return EventTrace(event, window, np.where(distance < 1, level, 0).astype(np.float32))


def _flood(event: EventSpec, place: Place, at: At, land: Land, distance: F, seed: int) -> F:
    """Flood up to `width_m` from the banks, modulated by parcels; exclude trees, buildings and permanent lakes."""
    spread = 1 - distance**event.taper
    spill = 0.3 * Noise(seed)(f"spill/{event.name}", at, texel_m=26, slope=1.5)
    spill += np.where(land.parcel > 0, 0.5 * (unit(land.parcel, 301) - 0.5), 0)
    depth = spread * (1 + spill) - 0.12 - np.maximum(_water_distance_m(event, place, at, seed), 0) / event.width_m
    cover, river = COVER[land.dominant], land.dominant == KINDS["river"]
    return np.where(np.isin(cover, (TREES, BUILT)) | (cover == WATER) & ~river, 0, np.clip(depth, 0, 1))


def _water_distance_m(event: EventSpec, place: Place, at: At, seed: int) -> F:
    """Return the distance in metres from the stream's centre line (`reach_m` at most), or the bank or shore."""
    if place.biome:
        return biomes.water_distance_m(place, at, seed)
    if event.water == "lagoon":
        return -shore(Canvas(at, noise_of(event.place, seed)))
    stream = europe_streams(seed)[0] if event.water == "river" else south_streams(seed)[1]
    distance_m, _ = stream.tree.query(np.stack(at, axis=-1), distance_upper_bound=event.reach_m)
    return np.asarray(np.minimum(distance_m, event.reach_m))


def _fire(event: EventSpec, place: Place, at: At, land: Land, distance: F, seed: int) -> F:
    """Burn natural vegetation inside an ellipse along the wind with a ragged front and unburnt islands."""
    noise = Noise(seed)
    p, q = rotate(at, (np.asarray(event.at[0]), np.asarray(event.at[1])), np.radians(event.turn_deg))
    edge = 0.2 * noise(f"front/{event.name}", at, texel_m=20, slope=1.5)
    front = event.front + edge - np.hypot(p, q / 0.72) / event.reach_m
    island = noise(f"island/{event.name}", at, texel_m=13, slope=1.5) > 1.25
    severity = event.severity + 0.14 * noise(f"severity/{event.name}", at, texel_m=14, slope=1.25)
    return np.where((front > 0) & ~island & (COVER[land.dominant] < CROPS), np.clip(severity, 0.6, 1), 0)


def _earthquake(event: EventSpec, place: Place, at: At, land: Land, distance: F, seed: int) -> F:
    """Grade the damage of buildings per block, decreasing from the epicentre."""
    sites = biomes.sites(place, at) if place.biome else sites_of(place.name, at)
    noise = Noise(seed) if place.biome else noise_of(place.name, seed)
    (p, q), (width_m, depth_m) = street_axes(at, noise, sites)
    row, column = np.floor(p / width_m), np.floor(q / depth_m)
    epicentre = np.zeros_like(p), np.zeros_like(q)  # along the axes; the easy edition measures from each site
    if place.biome:
        epicentre, _ = street_axes((np.full_like(at[0], event.at[0]), np.full_like(at[1], event.at[1])), noise, sites)
    away_m = np.hypot((row + 0.5) * width_m - epicentre[0], (column + 0.5) * depth_m - epicentre[1])
    intensity = 1 - away_m / event.reach_m
    draw = unit(row, column, sites.key, 311) / np.clip(1.5 * intensity, 0.05, 1)
    grade = np.select([draw < 0.34, draw < 0.66, draw < 0.86], [DESTROYED, DAMAGED, DOUBTFUL], 0)
    houses = (COVER[land.dominant] == BUILT) & (land.dominant != KINDS["street"])
    return np.where(houses, grade, 0)


_LEVELS: dict[str, Callable[[EventSpec, Place, At, Land, F, int], Any]] = {
    "flood": _flood,
    "fire": _fire,
    "earthquake": _earthquake,
}


def apply_events(view: View, traces: list[EventTrace], when: datetime) -> View:
    """Return the view with the effects of all events that have started; the same object if there are none."""
    active = [trace for trace in traces if trace.event.start <= when]
    if not active:
        return view
    kind, overlay, share = view.land.kind.copy(), view.land.overlay.copy(), view.land.share.copy()
    land = replace(view.land, kind=kind, overlay=overlay, share=share)
    for trace in active:
        _CHANGES[trace.event.type](land.crop(trace.window), trace, when)
    return replace(view, land=land)


def _apply_flood(land: Land, trace: EventTrace, when: datetime) -> None:
    """Change flooded land to muddy water, after the end of the flood to silt that dries."""
    if when <= trace.event.end:
        wet = affected_mask(trace.event, trace.level, when)
        open_water = wet & ((COVER[land.overlay] != TREES) | (land.share == 0))
        land.overlay[open_water] = land.dominant[open_water]
        land.share[open_water] = trace.event.emergent * np.clip(1 - 2 * trace.level[open_water], 0, 1)
        land.kind[wet] = KINDS["floodwater"]
    else:
        dry = (trace.level > 0) & (COVER[land.kind] != WATER) & (land.share == 0)
        land.overlay[dry], land.share[dry] = KINDS["silt"], 0.48 * _remaining(when - trace.event.end, SILT_DAYS)


def _apply_fire(land: Land, trace: EventTrace, when: datetime) -> None:
    burnt = trace.level > 0
    land.overlay[burnt] = KINDS["charred"]
    land.share[burnt] = trace.level[burnt] * _remaining(when - trace.event.start, CHAR_DAYS)


def _apply_earthquake(land: Land, trace: EventTrace, when: datetime) -> None:
    share = np.zeros(trace.level.shape, np.float32)
    for grade, rubble in RUBBLE.items():
        share[trace.level == grade] = rubble
    land.kind[unit(land.parcel, 317) < share] = KINDS["rubble"]


def _remaining(since: timedelta, days: float) -> float:
    return float(np.exp(-(since / timedelta(days=days))))


_CHANGES: dict[str, Callable[[Land, EventTrace, datetime], None]] = {
    "flood": _apply_flood,
    "fire": _apply_fire,
    "earthquake": _apply_earthquake,
}


def affected_mask(event: EventSpec, level: F, when: datetime) -> NDArray[np.bool_]:
    """Return the mask affected up to a time; after the end of a flood, its maximum extent."""
    return np.asarray(level > 1 - event.extent_share(when)) & (level > 0)
