"""What a label map says at points: rasters by their nearest pixel, polygons by the one a point lies in."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from landmark.core.errors import InputError
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk
from landmark.grid.points import Pixels, Points
from landmark.labels.codes import BadCodes, Ranks, codes_of, from_attributes, rank_type, ranked
from landmark.raster.access import OPEN, Access
from landmark.raster.reader import Raster, opened
from landmark.raster.source import Unreadable
from landmark.raster.vector import NotPolygons, crs_of, polygons

T = TypeVar("T", bound=np.generic)

# A window of more pixels a point is read rectangle by rectangle.
_PIXELS_A_POINT = 4


def ranks_at(label: LabelRaster, crosswalk: Crosswalk, points: Points, access: Access = OPEN) -> Ranks:
    """The rank of the class at each point, 0 where the map has none.

    Raises:
        InputError: the map is gone, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    with _named(label):
        if label.field is not None:
            return _polygon_ranks(label, label.field, crosswalk, points)
        with opened(label.href, access) as raster:
            return np.concatenate([_ranks(window, raster, crosswalk) for window in _windows(raster, points)])


def probabilities_at(
    label: LabelRaster, crosswalk: Crosswalk, points: Points, access: Access = OPEN
) -> NDArray[np.float32]:
    """The probability of each class (in the order of their codes) at each point, 0 to 1, NaN where the map has none.

    Whole numbers are percent, as landmark's own export script writes them.

    Raises:
        InputError: the map is gone, unreadable, without CRS, or lacks the band of a class.
    """
    with _named(label):
        if label.field is not None:
            raise BadCodes("holds polygons, which have no probabilities: take `composite: mode`")
        with opened(label.href, access) as raster:
            return np.concatenate([_probabilities(one, raster, crosswalk) for one in _windows(raster, points)], axis=1)


class _Window:
    """The part of a raster under the points inside it; 0 by 0 where none is.

    Attributes:
        shape: Of the points.
        size: Pixels of the raster.
    """

    def __init__(self, raster: Raster, points: Points) -> None:
        if raster.crs_wkt is None:
            raise BadCodes("has no CRS; assign one (gdal_edit -a_srs)")
        rows, cols = points.pixels(CRS.from_wkt(raster.crs_wkt), raster.transform)
        inside, ends = None, [_ends(axis) for axis in (rows, cols)]
        if not _all_inside(ends, raster.header.shape):
            inside = _inside(rows, cols, raster.header.shape)
            ends = [_ends(np.broadcast_to(axis, inside.shape)[inside]) for axis in (rows, cols)]
        spans = [(first, last - first + 1) for first, last in ends]
        self._raster, ((self._top, self._height), (self._left, self._width)) = raster, spans
        self.shape, self.size, self._outside = points.shape, self._height * self._width, inside is not None
        if inside is not None:
            # Outside stands after the window's last pixel.
            rows, cols = np.where(inside, rows, self._top + self._height), np.where(inside, cols, self._left)
        self._rows, self._cols = rows, cols

    def read(self, band: int) -> Any:
        """Pixels of a band as a masked array (y, x); masked is what the file says is no data, and NaN."""
        if not self.size:
            return np.ma.zeros((0, 0), self._raster.header.dtype)
        there = self._raster.window(self._top, self._left, self._height, self._width, band=band)
        return np.ma.masked_invalid(there, copy=False) if there.dtype.kind == "f" else there

    def at_points(self, pixels: NDArray[T], *, nothing: float) -> NDArray[T]:
        """What the window's pixels say at each point, in the shape of the points; `nothing` outside."""
        flat = np.append(pixels, pixels.dtype.type(nothing)) if self._outside else pixels.ravel()
        said = np.empty(self.shape, pixels.dtype)
        for numbers, rectangle in zip(self._numbers(), said, strict=True):
            # All numbers are valid; `clip` spares numpy a copy.
            flat.take(numbers, out=rectangle, mode="clip")
        return said

    def _numbers(self) -> Iterator[NDArray[Any]]:
        """Per rectangle the pixel of the window that each point lies in, counted row by row."""
        whole = np.int32 if self.size < 2**31 else np.int64
        for rows, cols in zip(self._rows, self._cols, strict=True):
            yield (rows - self._top) * whole(self._width) + (cols - self._left)


def _ends(places: Pixels) -> tuple[int, int]:
    """The first place and the last one; (0, -1) of none."""
    return (int(places.min()), int(places.max())) if places.size else (0, -1)


def _all_inside(ends: Sequence[tuple[int, int]], shape: tuple[int, int]) -> bool:
    return all(first >= 0 and last < size for (first, last), size in zip(ends, shape, strict=True))


def _inside(rows: Pixels, cols: Pixels, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points lie in a raster of that shape."""
    inside: NDArray[np.bool_] = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return inside


def _windows(raster: Raster, points: Points) -> list[_Window]:
    """One for all points, or one a rectangle where most of its pixels would serve none: far apart, or a fine map."""
    window = _Window(raster, points)
    if window.size <= _PIXELS_A_POINT * math.prod(points.shape):
        return [window]
    return [_Window(raster, rectangle) for rectangle in points.rectangles()]


def _ranks(window: _Window, raster: Raster, crosswalk: Crosswalk) -> Ranks:
    values = window.read(_code_band(raster, crosswalk))
    bands = [crosswalk.classes[code].key for code in sorted(crosswalk.classes)]
    if 0 in crosswalk.classes and set(bands) <= set(raster.bands):
        # The code 0 may be a class or nothing: only a probability beside it can vouch for it.
        values[_unvouched(values == 0, window, raster, bands)] = np.ma.masked
    with suppress(BadCodes):
        if window.size <= math.prod(window.shape):
            return window.at_points(ranked(values, crosswalk), nothing=0)
    # Of more pixels than points, and of codes some of which may lie under no point, only those at points are looked at.
    masked = window.at_points(np.ma.getmaskarray(values), nothing=True)
    return ranked(np.ma.array(window.at_points(values.data, nothing=0), mask=masked), crosswalk)


def _probabilities(window: _Window, raster: Raster, crosswalk: Crosswalk) -> NDArray[np.float32]:
    bands = [_band(raster, crosswalk.classes[code].key) for code in sorted(crosswalk.classes)]
    shares = np.stack([window.read(band).astype(np.float32).filled(np.nan) for band in bands])
    if np.issubdtype(raster.header.dtype, np.integer):
        shares /= 100
    # Earth Engine writes masked pixels as 0; and a mean of some of the bands would be none of the classes'.
    shares[:, ~(shares.sum(axis=0) > 0)] = np.nan
    return np.stack([window.at_points(share, nothing=np.nan) for share in shares])


def _unvouched(doubted: Any, window: _Window, raster: Raster, bands: list[str]) -> NDArray[np.bool_]:
    """Pixels among those doubted where no band says more than 0."""
    left: NDArray[np.bool_] = doubted.filled(False)
    for band in bands:
        if left.any():
            left &= ~(window.read(_band(raster, band)) > 0).filled(False)
    return left


def _code_band(raster: Raster, crosswalk: Crosswalk) -> int:
    name = crosswalk.files.band
    if name is None or raster.bands == (None,):
        return 1
    return _band(raster, name)


def _band(raster: Raster, name: str) -> int:
    if name not in raster.bands:
        said = ", ".join(band or "one without a name" for band in raster.bands)
        raise BadCodes(f"has no band called {name!r}; it has {said}")
    return raster.bands.index(name) + 1


def _polygon_ranks(label: LabelRaster, field: str, crosswalk: Crosswalk, points: Points) -> Ranks:
    """The rank of the first polygon of the file that a point lies in, or on.

    Points are turned into the polygons' CRS, in which their edges are straight: no edge moves.
    """
    path = Path(label.href)
    layer = label.layer or path.stem
    x, y = points.within(crs_of(path, layer))
    known = np.isfinite(x) & np.isfinite(y)
    ranks = np.zeros(len(x), rank_type(crosswalk))
    if not known.any():
        return ranks.reshape(points.shape)
    box = x[known].min(), y[known].min(), x[known].max(), y[known].max()
    shapes, values = polygons(path, layer, field, box)
    order = np.argsort(x, kind="stable")
    sorted_x = x[order]
    found = np.searchsorted(codes_of(crosswalk), from_attributes(values, crosswalk))
    for shape, rank in zip(shapes, found.tolist(), strict=True):
        left, bottom, right, top = shape.bounds
        near = order[np.searchsorted(sorted_x, left) : np.searchsorted(sorted_x, right, side="right")]
        near = near[(ranks[near] == 0) & (y[near] >= bottom) & (y[near] <= top)]
        if rank and len(near):
            shapely.prepare(shape)
            ranks[near[shapely.intersects_xy(shape, x[near], y[near])]] = rank
    return ranks.reshape(points.shape)


@contextmanager
def _named(label: LabelRaster) -> Iterator[None]:
    """Complaints that name the map."""
    try:
        yield
    except (Unreadable, NotPolygons) as error:
        raise InputError(f"label map {label.href} of {label.vintage.name} cannot be read: {error}") from error
    except BadCodes as error:
        raise InputError(f"label map {label.href} of {label.vintage.name}: {error}") from error
