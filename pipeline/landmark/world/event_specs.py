"""The events of the world: those of the easy edition, and one of each place of the planet that has one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from landmark.world.place import Place, planet_places
from landmark.world.plane import rng

DRAWN = ("reach_m", "days", "width_m", "peak_days", "initial_share", "emergent", "front", "severity")


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A simulated event, with the fields of `events.yaml`."""

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
    taper: int = 2
    emergent: float = 0
    peak: datetime | None = None
    initial_share: float = 1
    turn_deg: float = 0
    front: float = 0.72
    severity: float = 0.86

    def extent_share(self, when: datetime) -> float:
        """Return the share of the full extent that is reached at a time: 0 before the start."""
        return 0.0 if when < self.start else self.initial_share if self.peak and when < self.peak else 1.0

    @property
    def visible(self) -> tuple[datetime, datetime]:
        """First and last time at which an image shows the full extent and its phase carries the event's class.

        A flood is labelled while it lasts, a fire after the week that `taxonomies/events/types.yaml` assumes.
        """
        if self.type == "flood":
            return self.peak or self.start, self.end
        return self.start + timedelta(days=8 if self.type == "fire" else 1), self.start + timedelta(days=60)


@cache
def load() -> dict[str, Any]:
    """Return the content of `events.yaml`."""
    with (Path(__file__).parent / "events.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


@cache
def event_specs() -> dict[str, EventSpec]:
    """Return all events by name; an event of the planet has the name of its place."""
    planet = {name: event for name, place in planet_places().items() if (event := event_of(place))}
    return _easy_events() | planet


@cache
def _easy_events() -> dict[str, EventSpec]:
    return {name: EventSpec(name, **fields) for name, fields in load()["events"].items()}


def events_at(place: Place) -> list[EventSpec]:
    """Return the events of a place of either edition."""
    if place.biome is None:
        return [event for event in _easy_events().values() if event.place == place.name]
    event = event_of(place)
    return [event] if event else []


def event_of(place: Place) -> EventSpec | None:
    """Return the event of a place of the planet, drawn from the place's name; None if it has none.

    Its centre is away from that of the place, so that cells of the opposite corner are unaffected.
    """
    if place.event is None:
        return None
    ranges, draw = load()["planet"][place.event], rng(0, "event", place.name)
    drawn = {key: round(draw.uniform(*ranges[key]), 2) for key in DRAWN if key in ranges}
    nearest_m, farthest_m = ranges["offset_m"]
    u, v = (round(offset) for offset in draw.uniform(nearest_m, farthest_m, 2) * draw.choice([-1, 1], 2))
    start, days = _start(place, ranges.get("season"), draw), drawn.pop("days")
    if "taper" in ranges:
        drawn["taper"] = ranges["taper"]
    if "peak_days" in drawn:
        drawn["peak"] = start + timedelta(days=drawn.pop("peak_days"))
    return EventSpec(
        place.name, place.event, place.name, place.epsg, (u, v), start=start,
        end=start + timedelta(days=days), turn_deg=round(draw.uniform(0, 180)), **drawn,
    )  # fmt: skip


def _start(place: Place, season: list[int] | None, draw: np.random.Generator) -> datetime:
    """Return a minute within `between`, beyond 30 degrees of latitude within the season."""
    first, last = load()["planet"]["between"]
    minutes = np.arange((last - first) // timedelta(minutes=1))
    while True:
        start: datetime = first + timedelta(minutes=int(draw.choice(minutes)))
        month = (start.month + 5) % 12 + 1 if place.lat < 0 else start.month
        if season is None or abs(place.lat) < 30 or season[0] <= month <= season[1]:
            return start
