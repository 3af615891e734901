"""Which events hold at each pixel, as the number of a mark: the set of (event, part) whose ground it lies in."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT
from landmark.domain.event import Event
from landmark.domain.impact import Mark
from landmark.grid.points import Points

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
            before = np.flatnonzero(np.bincount(number[inside]))
            number[inside] = len(marks) + np.searchsorted(before, number[inside])
            marks += [(*marks[mark], (event.id, part.name)) for mark in before.tolist()]
    # Marks that later parts were added to wherever they stood are gone; that of no event comes first nevertheless.
    there = np.bincount(number, minlength=len(marks)) > 0
    there[0] = True
    return (np.cumsum(there) - 1)[number], [mark for mark, stands in zip(marks, there, strict=True) if stands]


def _inside(shape: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of the points inside, or on the edge."""
    west, south, east, north = shape.bounds
    near = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
    if not len(near):
        return near
    shapely.prepare(shape)
    return near[shapely.intersects_xy(shape, x[near], y[near])]
