"""Events: what happened where and when, and what an image of some moment may say of it."""

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field, field_validator
from shapely.geometry.base import BaseGeometry

from landmark.config.label_entries import FromFiles
from landmark.core.yaml_files import Strict

Phase = Literal["before", "during", "after", "unrelated"]
PHASES: tuple[Phase, ...] = get_args(Phase)

# Parts of an event that are no observation of it: the ground somebody looked at, and the ground within a radius.
AOI, NEAR = "aoi", "near"
_KM_A_DEGREE = 110.5

_DAY = re.compile(r"\d{4}-?\d\d-?\d\d")


def moment(text: str, *, last: bool = False) -> dt.datetime:
    """A moment in ISO 8601 as UTC, which also one without a zone is in; a day is its first moment, or its `last`.

    Raises:
        ValueError: not ISO 8601.
    """
    text = text.strip()
    said = dt.datetime.fromisoformat(text)
    whole = said.replace(tzinfo=said.tzinfo or dt.UTC).astimezone(dt.UTC)
    return whole + dt.timedelta(days=1, microseconds=-1) if last and _DAY.fullmatch(text) else whole


class Events(FromFiles):
    """Events of one source that a recipe asks for."""

    source: str = Field(description="Name of a file in taxonomies/events/, or the path of such a file")
    files: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders or globs from the recipe; `world:` leads into the embedded world's folder",
    )
    dates: dict[str, tuple[dt.datetime, dt.datetime | None]] = Field(
        default_factory=dict,
        description="Event or group → its start, or [start, end], before what files say; a day alone is the whole day",
    )
    within_km: float | None = Field(None, gt=0, le=1000, description="Around a point, the ground that is `near` it")
    min_magnitude: float | None = Field(None, description="Weaker events, and those of unknown magnitude, are left out")
    types: tuple[str, ...] = Field((), description="Keep only events of these types")

    @field_validator("dates", mode="before")
    @classmethod
    def _spans(cls, dates: Any) -> Any:
        return {str(key): _span(key, value) for key, value in dates.items()} if isinstance(dates, dict) else dates


def _span(key: object, value: object) -> tuple[dt.datetime, dt.datetime | None]:
    first, last = value if isinstance(value, list | tuple) and len(value) == 2 else (value, None)
    try:
        start, end = moment(str(first)), None if last is None else moment(str(last), last=True)
    except ValueError as error:
        raise ValueError(f"{key}: {value!r} is no day such as 2018-10-29 and no [start, end] of such") from error
    if end is not None and end < start:
        raise ValueError(f"{key}: ends {last} before it starts {first}")
    return start, end


class EventType(Strict):
    """A kind of event, and when an image may carry its class."""

    name: dict[str, str] = Field(description="Language → noun inside a sentence, without article")
    to: str = Field(description="Target class of the ground that products map as affected")
    minus: tuple[str, ...] = Field((), description="Land cover that was so before: its pixels are not counted")
    looks_like: tuple[str, ...] = Field((), description="Land cover its ground may show; never said to be absent there")
    says: tuple[Phase, ...] = Field(description="Phases in which an image carries the class")
    lasts_days: float = Field(ge=0, description="From the start to the end, where a product states no end")
    trace_days: float = Field(ge=0, description="How long after the end its trace is looked for")


class EventTypes(Strict):
    """`taxonomies/events/types.yaml`."""

    version: str
    types: dict[str, EventType] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Part:
    """Ground of an event.

    Attributes:
        name: `aoi`, `near`, or what was observed there: `observed`, or the grade of damage, as `destroyed`.
        shape: Polygons, EPSG:4326, valid.
    """

    name: str
    shape: BaseGeometry


@dataclass(frozen=True, slots=True)
class Event:
    """One event in one area, as the latest product shows it.

    Attributes:
        id: `[a-z0-9_-]+`, the same wherever the product is read from.
        group: Events of one group, as the areas of an activation, go to one split.
        type: Key of `EventTypes.types`.
        source: Name of the file in taxonomies/events/ it was read by.
        product: The product's own name.
        start: First moment, UTC.
        end: Last moment, UTC.
        observed: When the image was taken that the product was drawn from, UTC; None where it does not say.
        parts: At most one of each name. No part but `aoi` is a true negative: somebody looked and found nothing.
        epicentre: (lon, lat) of an earthquake.
        magnitude: Of an earthquake.
    """

    id: str
    group: str
    type: str
    source: str
    product: str
    start: dt.datetime
    end: dt.datetime
    observed: dt.datetime | None = None
    parts: tuple[Part, ...] = ()
    epicentre: tuple[float, float] | None = None
    magnitude: float | None = None

    def part(self, name: str) -> BaseGeometry | None:
        """The ground of a part, None where the event has none."""
        return next((part.shape for part in self.parts if part.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """For the lock: everything but the ground, which the cover has counted; of its parts the names."""
        told = {name: getattr(self, name) for name in self.__slots__}
        moments = {name: told[name] and told[name].isoformat() for name in ("start", "end", "observed")}
        return {**told, **moments, "parts": [part.name for part in self.parts]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Event":
        """Read back from the lock, on empty ground."""
        moments = {
            name: value[name] and dt.datetime.fromisoformat(value[name]) for name in ("start", "end", "observed")
        }
        parts = tuple(Part(name, shapely.Polygon()) for name in value["parts"])
        epicentre = value["epicentre"] and tuple(value["epicentre"])
        return cls(**{**value, **moments, "parts": parts, "epicentre": epicentre})

    @property
    def begun(self) -> dt.datetime:
        """When it surely had begun: the end of its first day where only that is known, which midnight stands for."""
        return self.start + dt.timedelta(days=1) if self.start.time() == dt.time() else self.start

    def surroundings(self, km: float) -> BaseGeometry:
        """All that lies within some kilometres of its ground, as a box, two across the antimeridian; EPSG:4326."""
        parts = shapely.get_parts(shapely.union_all([part.shape for part in self.parts]))
        middles = shapely.get_x(shapely.centroid(parts))
        apart = np.ptp(middles) > 180
        sides = [parts[middles < 0], parts[middles >= 0]] if apart else [parts]
        return shapely.union_all([_widened(shapely.total_bounds(side), km) for side in sides])

    @property
    def affected(self) -> tuple[Part, ...]:
        """What was observed, grade by grade."""
        return tuple(part for part in self.parts if part.name not in (AOI, NEAR))


@dataclass(frozen=True, slots=True)
class EventFact:
    """What one image may say of one event: a row of the column `events`.

    Attributes:
        fraction: Share of the cell's pixels the event affected, whatever the phase, 0 to 1.
        in_aoi: Whether every pixel was looked at: with `fraction` 0 a true negative.
        days: From the event's start to the image, negative before it.
        label: Target class the image carries because of it, None where phase or share forbid it.
        grade: The worst damage in the cell.
        distance_km: From an epicentre to the cell's centre, where the cell lies within the source's radius.
    """

    id: str
    type: str
    phase: Phase
    fraction: float
    in_aoi: bool
    product: str
    days: float
    label: str | None = None
    grade: str | None = None
    distance_km: float | None = None
    magnitude: float | None = None


def _widened(bounds: NDArray[np.float64], km: float) -> BaseGeometry:
    west, south, east, north = bounds.tolist()
    up = km / _KM_A_DEGREE
    aside = up / max(math.cos(math.radians(max(abs(south), abs(north)) + up)), 0.01)
    box: BaseGeometry = shapely.box(
        max(west - aside, -180), max(south - up, -90), min(east + aside, 180), min(north + up, 90)
    )
    return box


def phase_of(event: Event, moment: dt.datetime, types: Mapping[str, EventType]) -> Phase:
    """Where a moment lies against an event's window; `unrelated` once its trace is no longer looked for.

    A start at midnight is a day: until that day has ended nobody knows whether the event had begun: `unrelated`.
    """
    if moment < event.start:
        return "before"
    if moment < event.begun:
        return "unrelated"
    if moment <= event.end:
        return "during"
    trace = dt.timedelta(days=types[event.type].trace_days)
    return "after" if moment <= event.end + trace else "unrelated"
