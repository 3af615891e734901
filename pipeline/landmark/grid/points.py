"""The pixel centres of cells: where they lie in another CRS, and in which pixels of a raster."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

# Places along a rectangle whose points are turned exactly: every other one carries a parabola, the rest say how far
# that is off.
_LATTICE = np.linspace(0, 1, 5)
# Allowance for what lies between the points of the lattice, and for rounding, in pixels.
_SAFETY, _ROUNDING = 10, 1e-6
_FARTHEST = 2**31 - 1

Pixels = NDArray[np.int32]


class Points:
    """Rectangles of evenly spaced points in one CRS: eastings (rectangle, column) and northings (rectangle, row).

    The last answer in another CRS is kept, for maps of one CRS follow each other.
    """

    def __init__(self, epsg: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._epsg, self._x, self._y = epsg, x, y
        self.shape = len(x), y.shape[1], x.shape[1]
        self._last: tuple[CRS, NDArray[np.float64], NDArray[np.float64]] | None = None

    def rectangles(self) -> Iterator["Points"]:
        """Each rectangle by itself."""
        for number in range(self.shape[0]):
            yield Points(self._epsg, self._x[number : number + 1], self._y[number : number + 1])

    def within(self, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates in a CRS, one after the other, easting or longitude first whatever the CRS says of its axes."""
        if self._last is None or self._last[0] != crs:
            x, y = np.broadcast_arrays(self._x[:, None, :], self._y[:, :, None])
            self._last = crs, *_turn(self._epsg, crs).transform(x.ravel(), y.ravel())
        return self._last[1:]

    def pixels(self, crs: CRS, transform: Any) -> tuple[Pixels, Pixels]:
        """Row and column of a raster's pixel that holds each point, to broadcast to `shape`; negative where none can.

        They are those of points turned one by one: a parabola over each rectangle says most, and a point that it may
        put on the wrong side of a pixel's edge is turned itself.
        """
        turn = _turn(self._epsg, crs)
        x, y = (axis[:, :1] + (axis[:, -1:] - axis[:, :1]) * _LATTICE for axis in (self._x, self._y))
        x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
        turned = turn.transform(x, y)
        if transform.b == transform.d == 0 and np.array_equal(turned, (x, y)):
            # The raster's own CRS: a row follows from the northing alone, a column from the easting.
            row, col = _placed(0, self._y[:, :, None], transform)[0], _placed(self._x[:, None, :], 0, transform)[1]
            return _whole(row), _whole(col)
        pixels, doubtful = _interpolated(np.stack(_placed(*turned, transform)), self.shape)
        rectangle, down, across = np.unravel_index(doubtful, self.shape)
        turned = turn.transform(self._x[rectangle, across], self._y[rectangle, down])
        pixels[:, rectangle, down, across] = _whole(np.stack(_placed(*turned, transform)))
        return pixels[0], pixels[1]


@lru_cache(maxsize=64)
def _turn(epsg: int, crs: CRS) -> Transformer:
    return Transformer.from_crs(epsg, crs, always_xy=True)


def _placed(x: Any, y: Any, transform: Any) -> tuple[Any, Any]:
    """Rows and columns, with fractions; NaN where a CRS does not reach."""
    col, row = ~transform @ tuple(np.where(np.isfinite(axis), axis, np.nan) for axis in (x, y))
    return row, col


def _whole(places: NDArray[np.float64]) -> Pixels:
    return np.clip(np.floor(np.nan_to_num(places, nan=-1)), -1, _FARTHEST).astype(np.int32)


def _interpolated(lattice: NDArray[np.float64], shape: tuple[int, int, int]) -> tuple[Pixels, NDArray[np.intp]]:
    """Rows and columns (2, rectangle, y, x) by those of each rectangle's lattice, and the points that are in doubt."""
    known = np.isfinite(lattice) & (np.abs(lattice) < _FARTHEST / 2)
    lattice = np.where(known, lattice, 0)
    knots, weights = lattice[..., ::2, ::2], _parabola(_LATTICE)
    off = np.abs(weights @ knots @ weights.T - lattice).max(axis=(-2, -1), keepdims=True)
    # With a slack of a whole pixel every point is in doubt.
    slack = np.where(known.all(axis=(-2, -1), keepdims=True), np.minimum(_SAFETY * off + _ROUNDING, 1), 1)
    down, across = (_parabola(np.linspace(0, 1, size)) for size in shape[1:])
    curves = down @ (knots - slack)
    pixels, doubt = np.empty((2, *shape), np.int32), np.zeros(shape, bool)
    place, below = np.empty(shape[1:]), np.empty(shape[1:])
    for axis, rectangle in np.ndindex(2, shape[0]):
        np.matmul(curves[axis, rectangle], across.T, out=place)
        np.floor(place, out=below)
        pixels[axis, rectangle] = below
        place -= below
        doubt[rectangle] |= place >= 1 - 2 * slack[axis, rectangle, 0, 0]
    return pixels, np.flatnonzero(doubt)


def _parabola(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the values at 0, 1/2 and 1 weigh at other places, (place, value)."""
    return np.stack([(1 - at) * (1 - 2 * at), 4 * at * (1 - at), at * (2 * at - 1)], axis=1)
