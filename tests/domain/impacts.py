"""Events for several tests."""

import datetime as dt
from typing import Any

import shapely

from landmark.core.yaml_files import load_model
from landmark.domain.event import AOI, NEAR, Event, EventPart, EventTypes

TYPES = load_model(EventTypes, "taxonomies/events", "types").types
START = dt.datetime(2021, 7, 10, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def event(name: str = "flood-1", **changes: Any) -> Event:
    """A flood of ten days without parts, changed by keyword."""
    value: dict[str, Any] = {
        "id": name,
        "group": name.rpartition("-")[0] or name,
        "type": "flood",
        "source": "test",
        "product": f"{name.upper()}_DEL",
        "start": START,
        "end": START + 10 * DAY,
    }
    return Event(**(value | changes))


def event_parts(
    observed: shapely.Geometry | None = None, aoi: shapely.Geometry | None = None, near: shapely.Geometry | None = None
) -> tuple[EventPart, ...]:
    """Parts of the given geometries."""
    named = ((AOI, aoi), ("observed", observed), (NEAR, near))
    return tuple(EventPart(name, geometry) for name, geometry in named if geometry is not None)
