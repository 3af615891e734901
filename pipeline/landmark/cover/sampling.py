"""What a label map says at points: rasters by their nearest pixel, polygons by the one a point lies in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from landmark.base.archive import LabelRaster
from landmark.base.errors import InputError
from landmark.base.taxonomy import Crosswalk
from landmark.cover.codes import NONE, BadCodes, canonical, from_attributes, whole
from landmark.io.access import OPEN, Access
from landmark.io.raster import Raster, opened
from landmark.io.source import Unreadable
from landmark.io.vector import NotPolygons, crs_of, polygons


class Points:
    """Points in one CRS, handed out in others; the last answer is kept, for maps of one CRS follow each other."""

    def __init__(self, epsg: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._crs, self._x, self._y = CRS.from_epsg(epsg), x, y
        self._last: tuple[str, NDArray[np.float64], NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        return len(self._x)

    def within(self, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates in a CRS, easting or longitude first whatever the CRS says of its axes."""
        name = crs.to_wkt()
        if self._last is None or self._last[0] != name:
            turn = Transformer.from_crs(self._crs, crs, always_xy=True)
            self._last = name, *turn.transform(self._x, self._y)
        return self._last[1:]


def codes_at(label: LabelRaster, crosswalk: Crosswalk, points: Points, access: Access = OPEN) -> NDArray[np.int32]:
    """The code at each point, -1 where the map has none.

    Raises:
        InputError: the map is gone, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    with _named(label):
        if label.field is not None:
            return _polygon_codes(label, label.field, crosswalk, points)
        codes = np.full(len(points), NONE, np.int32)
        with opened(label.href, access) as raster:
            window = _Window(raster, points)
            values, valid = window.read(_code_band(raster, crosswalk))
            if _zero_may_be_nothing(raster, crosswalk, values, valid):
                valid &= sum(np.where(known, share, 0) for share, known in _shares(window, raster, crosswalk)) > 0
            codes[window.points[valid]] = canonical(whole(values[valid]), crosswalk)
        return codes


def probabilities_at(
    label: LabelRaster, crosswalk: Crosswalk, points: Points, access: Access = OPEN
) -> NDArray[np.float32]:
    """The probability of each class (in the order of their codes) at each point, 0 to 1, NaN where the map has none.

    Whole numbers are percent, as landmark's own export script writes them.

    Raises:
        InputError: the map is gone, unreadable, without CRS, or lacks the band of a class.
    """
    found = np.full((len(crosswalk.classes), len(points)), np.nan, np.float32)
    with _named(label):
        if label.field is not None:
            raise BadCodes("holds polygons, which have no probabilities: take `composite: mode`")
        with opened(label.href, access) as raster:
            window = _Window(raster, points)
            for row, (share, valid) in enumerate(_shares(window, raster, crosswalk)):
                found[row, window.points[valid]] = share[valid]
            if np.issubdtype(raster.header.dtype, np.integer):
                found /= 100
    # Earth Engine writes masked pixels as 0; and a mean of some of the bands would be none of the classes'.
    found[:, ~(found.sum(axis=0) > 0)] = np.nan
    return found


class _Window:
    """The part of a raster under the points inside it.

    Attributes:
        points: Numbers of the points inside.
    """

    def __init__(self, raster: Raster, points: Points) -> None:
        if raster.crs_wkt is None:
            raise BadCodes("has no CRS; assign one (gdal_edit -a_srs)")
        x, y = points.within(CRS.from_wkt(raster.crs_wkt))
        known = np.isfinite(x) & np.isfinite(y)
        col, row = (np.floor(axis).astype(np.int64) for axis in ~raster.transform @ (x[known], y[known]))
        height, width = raster.header.shape
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        self.points = np.flatnonzero(known)[inside]
        self._raster, self._row, self._col = raster, row[inside], col[inside]

    def read(self, band: int) -> tuple[NDArray[np.float64] | NDArray[np.int64], NDArray[np.bool_]]:
        """Values of a band at the points inside, and where they are data: neither masked nor NaN."""
        if not len(self.points):
            return np.empty(0, np.int64), np.empty(0, bool)
        top, left = int(self._row.min()), int(self._col.min())
        size = int(self._row.max()) - top + 1, int(self._col.max()) - left + 1
        there = self._raster.window(top, left, *size, band=band)[self._row - top, self._col - left]
        return there.data, np.isfinite(there.data) & ~np.ma.getmaskarray(there)


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


def _zero_may_be_nothing(
    raster: Raster, crosswalk: Crosswalk, values: NDArray[np.float64] | NDArray[np.int64], valid: NDArray[np.bool_]
) -> bool:
    """True where the code 0 is a class, stands in the file, and only the probabilities beside it can vouch for it."""
    beside = all(entry.key in raster.bands for entry in crosswalk.classes.values())
    return beside and 0 in crosswalk.classes and bool((values[valid] == 0).any())


def _shares(
    window: _Window, raster: Raster, crosswalk: Crosswalk
) -> Iterator[tuple[NDArray[np.float64] | NDArray[np.int64], NDArray[np.bool_]]]:
    """The band of each class, one after the other."""
    for code in sorted(crosswalk.classes):
        yield window.read(_band(raster, crosswalk.classes[code].key))


def _polygon_codes(label: LabelRaster, field: str, crosswalk: Crosswalk, points: Points) -> NDArray[np.int32]:
    """The code of the first polygon of the file that a point lies in, or on.

    Points are turned into the polygons' CRS, in which their edges are straight: no edge moves.
    """
    path = Path(label.href)
    layer = label.layer or path.stem
    x, y = points.within(crs_of(path, layer))
    codes, known = np.full(len(points), NONE, np.int32), np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return codes
    box = x[known].min(), y[known].min(), x[known].max(), y[known].max()
    shapes, values = polygons(path, layer, field, box)
    order = np.argsort(x, kind="stable")
    sorted_x = x[order]
    for shape, code in zip(shapes, from_attributes(values, crosswalk).tolist(), strict=True):
        left, bottom, right, top = shape.bounds
        near = order[np.searchsorted(sorted_x, left) : np.searchsorted(sorted_x, right, side="right")]
        near = near[(codes[near] == NONE) & (y[near] >= bottom) & (y[near] <= top)]
        if code != NONE and len(near):
            shapely.prepare(shape)
            codes[near[shapely.intersects_xy(shape, x[near], y[near])]] = code
    return codes


@contextmanager
def _named(label: LabelRaster) -> Iterator[None]:
    """Complaints that name the map."""
    try:
        yield
    except (Unreadable, NotPolygons) as error:
        raise InputError(f"label map {label.href} of {label.vintage.name} cannot be read: {error}") from error
    except BadCodes as error:
        raise InputError(f"label map {label.href} of {label.vintage.name}: {error}") from error
