"""Event masks: which (event, part) pairs cover each point."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT
from landmark.domain.event import Event
from landmark.domain.impact import EventCombination
from landmark.grid.points import Points

_NO_EVENT: EventCombination = ()


def event_masks(events: Sequence[Event], points: Points) -> tuple[NDArray[np.int64], list[EventCombination]]:
    """Combine the masks of all parts of all events at some points.

    Returns:
        Per point an index into the combinations, and the combinations of (event id, part name); the first is empty.
    """
    index, combinations = np.zeros(math.prod(points.shape), np.int64), [_NO_EVENT]
    if not events:
        return index, combinations
    x, y = points.coordinates(CRS.from_epsg(LONLAT))
    for event in events:
        for part in event.parts:
            inside = _inside(part.geometry, x, y)
            before = np.flatnonzero(np.bincount(index[inside]))
            index[inside] = len(combinations) + np.searchsorted(before, index[inside])
            combinations += [(*combinations[old], (event.id, part.name)) for old in before.tolist()]
    # Drop combinations that later parts were added to at all of their points, except the empty one.
    used = np.bincount(index, minlength=len(combinations)) > 0
    used[0] = True
    used_combinations = [combination for combination, is_used in zip(combinations, used, strict=True) if is_used]
    return (np.cumsum(used) - 1)[index], used_combinations


def _inside(geometry: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the points inside a geometry or on its edge."""
    west, south, east, north = geometry.bounds
    candidates = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
    if not len(candidates):
        return candidates
    shapely.prepare(geometry)
    return candidates[shapely.intersects_xy(geometry, x[candidates], y[candidates])]
