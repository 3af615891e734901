"""Which events hold at each pixel, as the number of a mark: the set of (event, part) whose ground it lies in."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from landmark.base.events import Event
from landmark.base.ground import Mark
from landmark.base.projection import LONLAT
from landmark.cover.points import Points

_NOTHING: Mark = ()


def marks_at(events: Sequence[Event], points: Points) -> tuple[NDArray[np.int64], list[Mark]]:
    """Per point a number into the list of marks, whose first is that of no event."""
    number, marks = np.zeros(math.prod(points.shape), np.int64), [_NOTHING]
    if not events:
        return number, marks
    x, y = points.within(CRS.from_epsg(LONLAT))
    for event in events:
        for part in event.parts:
            inside = _inside(part.shape, x, y)
            if inside.any():
                # A point's mark so far, and whether this part is added to it.
                kinds, number = np.unique(2 * number + inside, return_inverse=True)
                marks = [(*marks[kind // 2], *([(event.id, part.name)] * (kind % 2))) for kind in kinds.tolist()]
    if marks[0]:
        # No point is free of events: the mark of none still comes first.
        return number + 1, [_NOTHING, *marks]
    return number, marks


def _inside(shape: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    west, south, east, north = shape.bounds
    inside: NDArray[np.bool_] = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    near = np.flatnonzero(inside)
    if len(near):
        shapely.prepare(shape)
        inside[near] = shapely.intersects_xy(shape, x[near], y[near])
    return inside
