"""Mend and enlarge polygons in bounded time, however many vertices they have."""

from typing import Literal, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.core.limits import EXACT_VERTICES

_GRID = 400  # squares along the longer side of an area

Shapes = TypeVar("Shapes", BaseGeometry, NDArray[np.object_])


def make_valid(shapes: Shapes) -> Shapes:
    """Valid geometries. Of many vertices, the area alone is mended: that takes no square of their number."""
    large = shapely.get_num_coordinates(shapes) > EXACT_VERTICES
    if isinstance(shapes, BaseGeometry):
        return shapely.make_valid(shapes, method="structure" if large else "linework")
    mended = shapes.copy()
    mended[~large] = shapely.make_valid(shapes[~large])
    mended[large] = shapely.make_valid(shapes[large], method="structure")
    return mended


def enlarge(area: BaseGeometry, distance: float, *, join_style: Literal["round", "mitre"] = "round") -> BaseGeometry:
    """An area and what is around it, `distance` in its coordinates; more where it has many vertices."""
    step = distance / 4
    while shapely.get_num_coordinates(area) > EXACT_VERTICES:
        area = _cover(area, step)
        step *= 2
    return area.buffer(distance, join_style=join_style)


def _cover(area: BaseGeometry, step: float) -> BaseGeometry:
    """The squares of a grid that an area touches: those with a piece of an outline, or their centre inside."""
    west, south, east, north = area.bounds
    step = max(step, (east - west) / _GRID, (north - south) / _GRID)
    columns, rows = int((east - west) // step) + 1, int((north - south) // step) + 1
    points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(area)), return_index=True)
    squares = ((points - (west, south)) // step).astype(np.int64)
    ends = np.stack([squares[:-1], squares[1:]])[:, ring[1:] == ring[:-1]]
    shapely.prepare(area)
    x, y = np.meshgrid(west + (np.arange(columns) + 0.5) * step, south + (np.arange(rows) + 0.5) * step)
    touched = np.asarray(shapely.contains_xy(area, x, y))
    for left, bottom, right, top in np.unique(np.hstack([ends.min(axis=0), ends.max(axis=0)]), axis=0).tolist():
        touched[bottom : top + 1, left : right + 1] = True
    changes = np.diff(np.pad(touched, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, start), (_, end) = np.nonzero(changes > 0), np.nonzero(changes < 0)
    low = south + row * step
    return shapely.union_all(shapely.box(west + start * step, low, west + end * step, low + step))
