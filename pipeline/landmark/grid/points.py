"""Pixel centres of cells: their coordinates in another CRS, and the raster pixels that contain them."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

# Positions along an edge of a rectangle that are projected exactly: every second one is a node of a parabola, the
# others measure its error.
_NODES = np.linspace(0, 1, 5)
# Factor on the measured error, for positions between those measured; tolerance for rounding, in pixels.
_SAFETY_FACTOR, _ROUNDING_PX = 10, 1e-6
_MAX_INDEX = 2**31 - 1

Pixels = NDArray[np.int32]


class Points:
    """Rectangles of evenly spaced points in one CRS.

    The coordinates in the last other CRS are cached, since maps of one CRS follow each other.

    Args:
        epsg: EPSG code of the points' CRS.
        x: Eastings (rectangle, column).
        y: Northings (rectangle, row).
    """

    def __init__(self, epsg: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._epsg, self._x, self._y = epsg, x, y
        self.shape = len(x), y.shape[1], x.shape[1]
        self._last: tuple[CRS, NDArray[np.float64], NDArray[np.float64]] | None = None

    def rectangles(self) -> Iterator["Points"]:
        """Iterate over the rectangles one at a time."""
        for number in range(self.shape[0]):
            yield Points(self._epsg, self._x[number : number + 1], self._y[number : number + 1])

    def coordinates(self, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x, y) of all points in a CRS, flat; easting or longitude first, for any axis order of the CRS."""
        last = self._last  # read once: threads of other label sources replace it
        if last is None or last[0] != crs:
            x, y = np.broadcast_arrays(self._x[:, None, :], self._y[:, :, None])
            last = crs, *_transformer(self._epsg, crs).transform(x.ravel(), y.ravel())
            self._last = last
        return last[1:]

    def pixels(self, crs: CRS, transform: Any) -> tuple[Pixels, Pixels]:
        """(row, column) of the raster pixel that contains each point, broadcastable to `shape`; -1 left of or above it.

        The result equals that of projecting every point: coordinates are interpolated by parabolas over each rectangle,
        and points that are within the error of a pixel's edge are projected exactly.

        Args:
            crs: CRS of the raster.
            transform: Affine transform of the raster.
        """
        transformer = _transformer(self._epsg, crs)
        x, y = (axis[:, :1] + (axis[:, -1:] - axis[:, :1]) * _NODES for axis in (self._x, self._y))
        x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
        projected = transformer.transform(x, y)
        if transform.b == transform.d == 0 and np.array_equal(projected, (x, y)):
            # Same CRS: the row depends on the northing only, the column on the easting only.
            row, col = (
                _fractional_pixels(0, self._y[:, :, None], transform)[0],
                _fractional_pixels(self._x[:, None, :], 0, transform)[1],
            )
            return _to_indices(row), _to_indices(col)
        pixels, uncertain = _interpolate(np.stack(_fractional_pixels(*projected, transform)), self.shape)
        rectangle, down, across = np.unravel_index(uncertain, self.shape)
        projected = transformer.transform(self._x[rectangle, across], self._y[rectangle, down])
        pixels[:, rectangle, down, across] = _to_indices(np.stack(_fractional_pixels(*projected, transform)))
        return pixels[0], pixels[1]


@lru_cache(maxsize=64)
def _transformer(epsg: int, crs: CRS) -> Transformer:
    return Transformer.from_crs(epsg, crs, always_xy=True)


def _fractional_pixels(x: Any, y: Any, transform: Any) -> tuple[Any, Any]:
    """Rows and columns with fractions; NaN outside the CRS's area of use."""
    col, row = ~transform @ tuple(np.where(np.isfinite(axis), axis, np.nan) for axis in (x, y))
    return row, col


def _to_indices(pixels: NDArray[np.float64]) -> Pixels:
    return np.clip(np.floor(np.nan_to_num(pixels, nan=-1)), -1, _MAX_INDEX).astype(np.int32)


def _interpolate(nodes: NDArray[np.float64], shape: tuple[int, int, int]) -> tuple[Pixels, NDArray[np.intp]]:
    """Interpolate rows and columns (2, rectangle, y, x) from the nodes of each rectangle; also return uncertain points.

    Args:
        nodes: Fractional rows and columns (2, rectangle, y, x) of the nodes.
        shape: (rectangle, y, x) of the result.

    Returns:
        Pixel indices, and the flat indices of points that may be on the other side of a pixel's edge.
    """
    valid = np.isfinite(nodes) & (np.abs(nodes) < _MAX_INDEX / 2)
    nodes = np.where(valid, nodes, 0)
    quadratic_nodes, weights = nodes[..., ::2, ::2], _parabola(_NODES)
    error_px = np.abs(weights @ quadratic_nodes @ weights.T - nodes).max(axis=(-2, -1), keepdims=True)
    # With a tolerance of one pixel every point is uncertain.
    tolerance = np.where(
        valid.all(axis=(-2, -1), keepdims=True), np.minimum(_SAFETY_FACTOR * error_px + _ROUNDING_PX, 1), 1
    )
    down, across = (_parabola(np.linspace(0, 1, size)) for size in shape[1:])
    curves = down @ (quadratic_nodes - tolerance)
    pixels, is_uncertain = np.empty((2, *shape), np.int32), np.zeros(shape, bool)
    value, floor = np.empty(shape[1:]), np.empty(shape[1:])
    for axis, rectangle in np.ndindex(2, shape[0]):
        np.matmul(curves[axis, rectangle], across.T, out=value)
        np.floor(value, out=floor)
        pixels[axis, rectangle] = floor
        value -= floor
        is_uncertain[rectangle] |= value >= 1 - 2 * tolerance[axis, rectangle, 0, 0]
    return pixels, np.flatnonzero(is_uncertain)


def _parabola(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (position, node) of the values at 0, 1/2 and 1 in the parabola through them."""
    return np.stack(
        [(1 - position) * (1 - 2 * position), 4 * position * (1 - position), position * (2 * position - 1)], axis=1
    )
