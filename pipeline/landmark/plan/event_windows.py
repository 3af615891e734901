"""Select the events of a recipe, the search windows around them, and the cells they touch."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.recipe import Recipe
from landmark.core.errors import NoCoverage
from landmark.core.plural import plural
from landmark.domain.event import Event, EventTypes
from landmark.domain.impact import EventCombination, EventIndex
from landmark.stac.search import SearchWindow

_M_PER_DEGREE = 110_500
# Half a cell, and a little more: cell edges deviate from meridians and parallels.
_HALF_CELL = 0.55


def select_events(events: Sequence[Event], recipe: Recipe) -> tuple[Event, ...]:
    """Select the events that intersect the recipe's region, at any time.

    Raises:
        NoCoverage: with event sampling, if no event intersects region and time.
    """
    region = recipe.region.geometry
    shapely.prepare(region)
    selected = tuple(event for event in events if any(part.geometry.intersects(region) for part in event.parts))
    if recipe.event_sampling is not None and not select_in_time(selected, recipe):
        raise NoCoverage(
            f"none of {plural(len(events), 'event')} intersects region and time",
            file=recipe.name,
            key="events",
            remedy="`landmark events show` lists where and when they are",
        )
    return selected


def select_in_time(events: Sequence[Event], recipe: Recipe) -> list[Event]:
    """Select the events that overlap the recipe's time, sorted by id. Only they are sampled."""
    overlapping = (event for event in events if recipe.time.overlaps(event.start, event.end))
    return sorted(overlapping, key=lambda event: event.id)


def search_windows(events: Sequence[Event], recipe: Recipe) -> list[SearchWindow]:
    """Search windows for images of events; empty without event sampling, for the whole region."""
    sampling, region = recipe.event_sampling, recipe.region.geometry
    if sampling is None:
        return []
    day = dt.timedelta(days=1)
    return [
        SearchWindow(
            event.buffered_bounds(sampling.max_distance_km).intersection(region),
            max((event.start - sampling.before_days * day).date(), recipe.time.start),
            min((event.end + sampling.after_days * day).date(), recipe.time.end),
        )
        for event in events
        if recipe.time.overlaps(event.start, event.end)
    ]


def index_events(
    events: Sequence[Event], event_types: EventTypes | None, combinations: Sequence[EventCombination]
) -> EventIndex | None:
    """Index events with the event combinations of a label-counts table; None for a recipe without events."""
    if event_types is None:
        return None
    return EventIndex({event.id: event for event in events}, event_types.types, tuple(combinations))


def events_touching(
    cells: pa.Table, events: Sequence[Event], cell_m: float, *, beyond_m: float = 0
) -> list[tuple[str, int]]:
    """Find the cells that events touch, or come nearer to than a distance: sorted (event group, row).

    Holes of an event's area count as touched: they are unobserved.

    Args:
        cells: CELLS columns.
        events: The events.
        cell_m: Edge of a cell in metres.
        beyond_m: The distance in metres.
    """
    if not events or not cells.num_rows:
        return []
    shapes = [(event.group, shape) for event in events for part in event.parts for shape in _fill_holes(part.geometry)]
    lon, lat = cells["lon"].to_numpy(), cells["lat"].to_numpy()
    half_height = (_HALF_CELL * cell_m + beyond_m) / _M_PER_DEGREE
    half_width = half_height / np.maximum(np.cos(np.radians(lat)), 0.01)
    boxes = shapely.box(lon - half_width, lat - half_height, lon + half_width, lat + half_height)
    number, rows = shapely.STRtree(boxes).query([shape for _, shape in shapes], predicate="intersects")
    return sorted({(shapes[index][0], row) for index, row in zip(number.tolist(), rows.tolist(), strict=True)})


def _fill_holes(shape: BaseGeometry) -> list[BaseGeometry]:
    return [shapely.Polygon(ring) for ring in shapely.get_exterior_ring(shapely.get_parts(shape))]
