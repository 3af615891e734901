"""Events, their types, and their phase and effect in an image."""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field
from shapely.geometry.base import BaseGeometry

from landmark.core.yaml_files import StrictModel
from landmark.domain.geometry import Geometry
from landmark.domain.traits import Trait

Phase = Literal["before", "during", "after", "unrelated"]
PHASES: tuple[Phase, ...] = get_args(Phase)

# Parts of an event that are not mapped damage: the mapped area of interest, and the area within a radius.
AOI, NEAR = "aoi", "near"
_KM_PER_DEGREE = 110.5


class EventType(StrictModel):
    """A kind of event, and the phases in which an image may be labelled with its class."""

    name: dict[str, str] = Field(description="Language → noun inside a sentence, without article")
    to: str = Field(description="Target class of the area that products map as affected")
    excluded_land_cover: tuple[Trait, ...] = Field(
        (), description="Pixels of classes with only these traits do not count as affected: they looked so before"
    )
    looks_like: tuple[Trait, ...] = Field(
        (), description="Classes with these traits are never stated to be absent where the event affected the ground"
    )
    mentionable_phases: tuple[Phase, ...] = Field(description="Phases in which an image is labelled with the class")
    lasts_days: float = Field(ge=0, description="Duration where a product states no end")
    trace_days: float = Field(ge=0, description="How long after the end its trace counts as visible")


class EventTypes(StrictModel):
    """`taxonomies/events/types.yaml`."""

    version: str
    types: dict[str, EventType] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class EventPart:
    """An area of an event.

    Attributes:
        name: `aoi`, `near`, or what was mapped there: `observed`, or the grade of damage, such as `destroyed`.
        geometry: Valid polygons, EPSG:4326.
    """

    name: str
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class Event:
    """An event in one area, as in its latest product.

    Attributes:
        id: `[a-z0-9_-]+`, independent of the file the product is read from.
        group: Events of a group, such as the areas of an activation, are in one split.
        type: Key of `EventTypes.types`.
        source: Name of the file in taxonomies/events/ it was read with.
        product: The product's own name.
        start: Start, UTC; midnight if only the day is known.
        end: Last moment, UTC.
        observed: Time of the image the product was mapped from, UTC; None if unknown.
        parts: At most one of each name. The part `aoi` was fully mapped: what is in no other part is unaffected.
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
    parts: tuple[EventPart, ...] = ()
    epicentre: tuple[float, float] | None = None
    magnitude: float | None = None

    def part(self, name: str) -> BaseGeometry | None:
        """Geometry of a part, None if the event has no such part."""
        return next((part.geometry for part in self.parts if part.name == name), None)

    @property
    def certain_start(self) -> dt.datetime:
        """Time from which the event has certainly started: the end of the first day if only the day is known."""
        return self.start + dt.timedelta(days=1) if self.start.time() == dt.time() else self.start

    def buffered_bounds(self, km: float) -> BaseGeometry:
        """Bounding box of all parts, buffered by some kilometres, EPSG:4326; two boxes across the antimeridian."""
        polygons = shapely.get_parts(shapely.union_all([part.geometry for part in self.parts]))
        lons = shapely.get_x(shapely.centroid(polygons))
        sides = [polygons[lons < 0], polygons[lons >= 0]] if np.ptp(lons) > 180 else [polygons]
        return shapely.union_all([_buffer_box(shapely.total_bounds(side), km) for side in sides])

    @property
    def affected_parts(self) -> tuple[EventPart, ...]:
        """Parts that were mapped as affected, one per grade."""
        return tuple(part for part in self.parts if part.name not in (AOI, NEAR))


@dataclass(frozen=True, slots=True)
class EventFact:
    """An event as seen from one image: a row of the column `events`.

    Attributes:
        phase: Phase of the event at the image's time.
        fraction: Fraction of the cell's pixels that the event affected, in any phase, 0 to 1.
        in_aoi: Whether all pixels were mapped; with `fraction` 0 the cell is a true negative.
        days: From the event's start to the image; negative before it.
        label: Target class the image gets from the event; None if phase or fraction forbid it.
        grade: The worst damage in the cell.
        distance_km: From the epicentre to the cell's centre, if the cell is within the source's radius.
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


def phase_of(event: Event, time: dt.datetime, types: Mapping[str, EventType]) -> Phase:
    """Phase of an event at a time; `unrelated` once its trace no longer counts as visible.

    Also `unrelated` on the first day of an event of which only the day is known: it may not have started yet.
    """
    if time < event.start:
        return "before"
    if time < event.certain_start:
        return "unrelated"
    if time <= event.end:
        return "during"
    trace = dt.timedelta(days=types[event.type].trace_days)
    return "after" if time <= event.end + trace else "unrelated"


def _buffer_box(bounds: NDArray[np.float64], km: float) -> BaseGeometry:
    west, south, east, north = bounds.tolist()
    dlat = km / _KM_PER_DEGREE
    dlon = dlat / max(math.cos(math.radians(max(abs(south), abs(north)) + dlat)), 0.01)
    box: BaseGeometry = shapely.box(
        max(west - dlon, -180), max(south - dlat, -90), min(east + dlon, 180), min(north + dlat, 90)
    )
    return box
