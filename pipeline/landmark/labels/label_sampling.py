"""Sample label maps at points: nearest pixel of rasters, containing polygon of vector layers."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from landmark.core.errors import InputError
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk
from landmark.grid.points import Pixels, Points
from landmark.labels.codes import InvalidCodes, Ranks, codes_from_attributes, rank_codes, rank_dtype, to_ranks
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.reader import Raster, open_raster
from landmark.raster.vector import Box, UnreadableVector, read_layer_crs, read_polygons

T = TypeVar("T", bound=np.generic)

# With more window pixels per point than this, each rectangle of points gets its own window.
_MAX_PIXELS_PER_POINT = 4
# Probabilities as people store them. Nine, cut to hundredths, sum to 0.91 and more.
_SCALES = (1, 1 / 100, 1 / 200, 1 / 255, 1 / 1000, 1 / 10_000, 1 / 32_767, 1 / 65_535)
_MAX_SUM_ERROR = 0.1


def sample_ranks(
    label: LabelRaster, crosswalk: Crosswalk, points: Points, access: AccessPolicy = PUBLIC_ACCESS
) -> Ranks:
    """The rank of the class at each point, 0 without data.

    Raises:
        InputError: the map is missing, unreadable, without CRS, or has a code its crosswalk lacks.
    """
    with _name_map(label):
        if label.field is not None:
            return _sample_polygons(label, label.field, crosswalk, points)
        with open_raster(label.href, PUBLIC_ACCESS if label.local else access) as raster:
            return np.concatenate([_window_ranks(window, raster, crosswalk) for window in _windows(raster, points)])


def sample_probabilities(
    label: LabelRaster,
    crosswalk: Crosswalk,
    points: Points,
    access: AccessPolicy = PUBLIC_ACCESS,
    *,
    scale: float | None = None,
) -> NDArray[np.float32]:
    """The probability of each class (in the order of codes) at each point, 0 to 1, NaN without data.

    Args:
        label: The map.
        crosswalk: Its classes; their keys name the bands.
        points: Where it is sampled.
        access: How its href is read.
        scale: Factor from pixels to probabilities; by default the file's own, else 0.01 for integers, which are percent
            in the files of landmark's Earth Engine script.

    Raises:
        InputError: the map is missing, unreadable, without CRS, lacks the band of a class, or is on another scale.
    """
    with _name_map(label):
        if label.field is not None:
            raise InvalidCodes("polygons have no probabilities", remedy="use `composite: mode`")
        with open_raster(label.href, PUBLIC_ACCESS if label.local else access) as raster:
            windows = _windows(raster, points)
            parts = [_window_probabilities(window, raster, crosswalk, scale) for window in windows]
            return np.concatenate(parts, axis=1)


@contextmanager
def _name_map(label: LabelRaster) -> Iterator[None]:
    """Turn errors into `InputError`s that name the map."""
    source = f"label map of {label.edition.name}"
    try:
        yield
    except (Unreadable, UnreadableVector) as error:
        raise InputError(f"{source} cannot be read: {error}", file=label.href) from error
    except InvalidCodes as error:
        problem = f"{source}: {error.problem}"
        raise InputError(problem, file=label.href, value=error.value, remedy=error.remedy) from error


class _Window:
    """The part of a raster that contains the points inside it; 0 by 0 if there are none.

    Attributes:
        shape: Shape of the points.
        size: Number of pixels of the window.
    """

    def __init__(self, raster: Raster, points: Points) -> None:
        if raster.crs_wkt is None:
            raise InvalidCodes("no CRS", remedy="assign one (gdal_edit -a_srs)")
        rows, cols = _pixels(raster, points, CRS.from_wkt(raster.crs_wkt))
        inside, ranges = None, [_range(axis) for axis in (rows, cols)]
        if not all(first >= 0 and last < size for (first, last), size in zip(ranges, raster.header.shape, strict=True)):
            inside = _inside(rows, cols, raster.header.shape)
            ranges = [_range(np.broadcast_to(axis, inside.shape)[inside]) for axis in (rows, cols)]
        (self._top, self._height), (self._left, self._width) = ((first, last - first + 1) for first, last in ranges)
        self._raster, self._has_outside = raster, inside is not None
        self.shape, self.size = points.shape, self._height * self._width
        if inside is not None:
            # Points outside get the index after the window's last pixel.
            rows, cols = np.where(inside, rows, self._top + self._height), np.where(inside, cols, self._left)
        self._rows, self._cols = rows, cols

    def read(self, band: int) -> Any:
        """Pixels of a band as a masked array (y, x), without the file's nodata and NaN."""
        if not self.size:
            return np.ma.zeros((0, 0), self._raster.header.dtype)
        pixels = self._raster.read_window(self._top, self._left, self._height, self._width, band=band)
        return np.ma.masked_invalid(pixels, copy=False) if pixels.dtype.kind == "f" else pixels

    def at_points(self, pixels: NDArray[T], *, fill: float) -> NDArray[T]:
        """The window's pixels at each point, in the shape of the points; `fill` outside."""
        flat = np.append(pixels, pixels.dtype.type(fill)) if self._has_outside else pixels.ravel()
        values = np.empty(self.shape, pixels.dtype)
        for indices, rectangle in zip(self._flat_indices(), values, strict=True):
            # All indices are valid; `clip` avoids a copy inside numpy.
            flat.take(indices, out=rectangle, mode="clip")
        return values

    def _flat_indices(self) -> Iterator[NDArray[Any]]:
        """Per rectangle, the flat window index of each point."""
        dtype = np.int32 if self.size < 2**31 else np.int64
        for rows, cols in zip(self._rows, self._cols, strict=True):
            yield (rows - self._top) * dtype(self._width) + (cols - self._left)


def _pixels(raster: Raster, points: Points, crs: CRS) -> tuple[Pixels, Pixels]:
    """The row and column of each point, also where the raster's longitudes count from 0."""
    rows, cols = points.pixels(crs, raster.transform)
    for transform in _turned(raster, crs):
        turned_rows, turned_cols = points.pixels(crs, transform)
        inside = _inside(turned_rows, turned_cols, raster.header.shape)
        rows, cols = np.where(inside, turned_rows, rows), np.where(inside, turned_cols, cols)
    return rows, cols


def _turned(raster: Raster, crs: CRS) -> Iterator[Any]:
    """Transforms of a raster in a geographic CRS for its longitudes beyond 180 degrees."""
    if not crs.is_geographic:
        return
    # In degrees or grads.
    circle = round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 6)
    edges = [(raster.transform @ (col, 0))[0] for col in (0, raster.header.shape[1])]
    if max(edges) > circle / 2:
        yield raster.transform.translation(-circle, 0) @ raster.transform
    if min(edges) < -circle / 2:
        yield raster.transform.translation(circle, 0) @ raster.transform


def _range(positions: Pixels) -> tuple[int, int]:
    """The first and the last position; (0, -1) without positions."""
    return (int(positions.min()), int(positions.max())) if positions.size else (0, -1)


def _inside(rows: Pixels, cols: Pixels, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points are inside a raster of that shape."""
    inside: NDArray[np.bool_] = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return inside


def _windows(raster: Raster, points: Points) -> Sequence[_Window]:
    """One window for all points, or one per rectangle if most pixels of a common window would be unused."""
    window = _Window(raster, points)
    if window.size <= _MAX_PIXELS_PER_POINT * math.prod(points.shape):
        return [window]
    return [_Window(raster, rectangle) for rectangle in points.rectangles()]


def _window_ranks(window: _Window, raster: Raster, crosswalk: Crosswalk) -> Ranks:
    values = window.read(_code_band(raster, crosswalk))
    bands = [crosswalk.classes[code].key for code in sorted(crosswalk.classes)]
    if 0 in crosswalk.classes and set(bands) <= set(raster.band_names):
        # A 0 is a class only if the pixel has a probability; Earth Engine writes masked pixels as 0 too.
        values[_without_probability(values == 0, window, raster, bands)] = np.ma.masked
    with suppress(InvalidCodes):
        if window.size <= math.prod(window.shape):
            return window.at_points(to_ranks(values, crosswalk), fill=0)
    # With more pixels than points, or invalid codes that may be at no point, only values at points are mapped.
    mask = window.at_points(np.ma.getmaskarray(values), fill=True)
    return to_ranks(np.ma.array(window.at_points(values.data, fill=0), mask=mask), crosswalk)


def _window_probabilities(
    window: _Window, raster: Raster, crosswalk: Crosswalk, scale: float | None
) -> NDArray[np.float32]:
    bands = [_band(raster, crosswalk.classes[code].key) for code in sorted(crosswalk.classes)]
    probabilities = np.stack([window.read(band).astype(np.float32).filled(np.nan) for band in bands])
    for probability, band in zip(probabilities, bands, strict=True):
        factor, offset = (scale, 0.0) if scale is not None else _band_scale(raster, band)
        # Division by 100 is exact where multiplication by 0.01 is not.
        probability /= 1 / factor
        probability += offset
    # Invalid if all are 0 (masked pixels of Earth Engine), or any is NaN (a mean of part of the bands would be biased).
    probabilities[:, np.isnan(sums := probabilities.sum(axis=0)) | (sums == 0)] = np.nan
    result = np.stack([window.at_points(probability, fill=np.nan) for probability in probabilities])
    _check_sums(result.sum(axis=0), scale if scale is not None else _band_scale(raster, bands[0])[0])
    return result


def _band_scale(raster: Raster, band: int) -> tuple[float, float]:
    """(scale, offset) from a band's pixels to probabilities: the file's, or by its data type."""
    undeclared = (1.0, 0.0)
    if (declared := raster.band_scales[band - 1]) != undeclared:
        return declared
    return (0.01, 0.0) if np.issubdtype(raster.header.dtype, np.integer) else undeclared


def _check_sums(sums: NDArray[np.float32], factor: float) -> None:
    """Refuse probabilities that do not sum to about 1: each may be rounded, or cut, to hundredths."""
    wrong = sums[np.abs(sums - 1) > _MAX_SUM_ERROR]
    if not len(wrong):
        return
    stored = float(np.median(wrong)) / factor
    fitting = min(_SCALES, key=lambda scale: abs(stored * scale - 1))
    remedy = "set pixels without data to the file's nodata value, or use `composite: mode`"
    if abs(stored * fitting - 1) <= _MAX_SUM_ERROR:
        remedy = f"set `scale: {fitting:.4g}` in the entry of the recipe's `labels`"
    problem = f"the probabilities of {len(wrong)} of {np.isfinite(sums).sum()} pixels sum to {stored:.6g} at a scale of"
    raise InvalidCodes(f"{problem} {factor:.4g}, not to 1", value=float(f"{stored:.6g}"), remedy=remedy)


def _without_probability(mask: Any, window: _Window, raster: Raster, bands: list[str]) -> NDArray[np.bool_]:
    """Pixels of the mask where no band is above 0."""
    remaining: NDArray[np.bool_] = mask.filled(False)
    for band in bands:
        if remaining.any():
            remaining &= ~(window.read(_band(raster, band)) > 0).filled(False)
    return remaining


def _code_band(raster: Raster, crosswalk: Crosswalk) -> int:
    name = crosswalk.files.band
    if raster.header.n_bands > 1 and name is None:
        raise InvalidCodes(
            "several bands, and `files.band` does not say which has the codes",
            value=raster.header.n_bands,
            remedy=f"keep one (gdal_translate -b), or name it in `files.band` of taxonomies/{crosswalk.name}.yaml",
        )
    if name is None or (raster.header.n_bands == 1 and raster.band_names[0] is None):
        return 1
    return _band(raster, name)


def _band(raster: Raster, name: str) -> int:
    if name not in raster.band_names:
        names = ", ".join(band or "(unnamed)" for band in raster.band_names)
        raise InvalidCodes(f"missing band; the file has {names}", value=name)
    return raster.band_names.index(name) + 1


def _sample_polygons(label: LabelRaster, field: str, crosswalk: Crosswalk, points: Points) -> Ranks:
    """The rank of the first polygon in the file that contains each point or touches it.

    Points are projected to the polygons' CRS, so that polygon edges stay straight.
    """
    path = Path(label.href)
    layer = label.layer or path.stem
    x, y = points.coordinates(read_layer_crs(path, layer))
    ranks = np.zeros(len(x), rank_dtype(crosswalk))
    read = partial(read_polygons, path, layer, field)
    for offset in label.lon_offsets:
        _fill_ranks(ranks, x + offset if offset else x, y, read, crosswalk)
    return ranks.reshape(points.shape)


def _fill_ranks(
    ranks: Ranks,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    read: Callable[[Box], tuple[NDArray[Any], NDArray[Any]]],
    crosswalk: Crosswalk,
) -> None:
    """Set the ranks of points without one, by the polygons and codes that `read` returns for a box."""
    valid = np.isfinite(x) & np.isfinite(y)
    if not valid.any():
        return
    geometries, values = read((x[valid].min(), y[valid].min(), x[valid].max(), y[valid].max()))
    order = np.argsort(x, kind="stable")
    sorted_x = x[order]
    polygon_ranks = np.searchsorted(rank_codes(crosswalk), codes_from_attributes(values, crosswalk))
    for geometry, rank in zip(geometries, polygon_ranks.tolist(), strict=True):
        left, bottom, right, top = geometry.bounds
        near = order[np.searchsorted(sorted_x, left) : np.searchsorted(sorted_x, right, side="right")]
        near = near[(ranks[near] == 0) & (y[near] >= bottom) & (y[near] <= top)]
        if rank and len(near):
            shapely.prepare(geometry)
            ranks[near[shapely.intersects_xy(geometry, x[near], y[near])]] = rank
