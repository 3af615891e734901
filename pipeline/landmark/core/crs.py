"""Coordinates between CRSs, always x before y (longitude before latitude), and geometries at the antimeridian."""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError

Shapes = TypeVar("Shapes", BaseGeometry, NDArray[np.object_])

LONLAT = 4326
_POLE_DEG, _HALF_CIRCLE_DEG, _CIRCLE_DEG = 90, 180, 360
_EARTH = shapely.box(-180, -90, 180, 90)
_WGS84 = Geod(ellps="WGS84")


@cache
def transformer(source: int, target: int) -> Transformer:
    """The transformer from one EPSG code to another."""
    return Transformer.from_crs(source, target, always_xy=True)


@cache
def is_horizontal(epsg: int) -> bool:
    """Whether a code is that of a known CRS of coordinates on the ground: projected or geographic."""
    try:
        crs = CRS.from_epsg(epsg)
    except CRSError:
        return False
    return bool(crs.is_projected or crs.is_geographic)


def distance_km(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Geodesic distance between two points (lon, lat in degrees) on WGS84."""
    return float(_WGS84.inv(*start, *end)[2]) / 1000


def reproject(geometry: Shapes, source: int, target: int) -> Shapes:
    """Transform the vertices of a geometry, or of an array of geometries, to another CRS.

    Edges stay straight between vertices: segmentize long ones first.
    """

    def transform(points: NDArray[np.float64]) -> NDArray[np.float64]:
        columns: Any = transformer(source, target).transform(points[:, 0], points[:, 1])
        return np.stack(columns, axis=1)

    return shapely.transform(geometry, transform)


def lonlat_problem(bounds: Sequence[float]) -> tuple[str, str] | None:
    """What is wrong with (west, south, east, north) as degrees of EPSG:4326, and the remedy; None if nothing.

    Longitudes may count from -180 or from 0.
    """
    if not np.isfinite(bounds).all():
        return "a coordinate is no finite number", "correct it, or declare the CRS that the coordinates are in"
    west, south, east, north = bounds
    lon, lat = max(west, east, key=abs), max(south, north, key=abs)
    # A box across the meridian from which longitudes count ends beyond 360.
    on_circle = min(abs(west), abs(east)) <= _CIRCLE_DEG >= east - west and abs(lon) <= 1.5 * _CIRCLE_DEG
    if abs(lat) <= _POLE_DEG and on_circle:
        return None
    name, degrees = ("latitude", lat) if abs(lat) > _POLE_DEG else ("longitude", lon)
    problem = f"{name} {degrees:.10g} does not exist"
    if abs(lon) <= _POLE_DEG < abs(lat) <= _CIRCLE_DEG:
        return f"{problem}; are latitude and longitude swapped?", "give longitude before latitude"
    return (
        problem,
        "give longitudes and latitudes in degrees (EPSG:4326), or declare the CRS that the coordinates are in",
    )


def normalize_lonlat(
    geometry: BaseGeometry, *, file: str | os.PathLike[str] | None = None, key: str | None = None
) -> BaseGeometry:
    """A geometry in EPSG:4326 with its longitudes in [-180, 180], polygons split at the antimeridian.

    Args:
        geometry: Points, or polygons of which none is wider than 180 degrees; not empty.
        file: File named in errors.
        key: Key named in errors.

    Raises:
        InputError: the coordinates are no degrees.
    """
    coordinates = shapely.get_coordinates(geometry)
    bounds = [*coordinates.min(axis=0).tolist(), *coordinates.max(axis=0).tolist()]
    if (problem := lonlat_problem(bounds)) is not None:
        value = bounds[:2] if bounds[:2] == bounds[2:] else bounds
        raise InputError(problem[0], file=file, key=key, value=value, remedy=problem[1])
    if geometry.area:
        return split_antimeridian(geometry)
    if max(map(abs, bounds[::2])) <= _HALF_CIRCLE_DEG:
        return geometry
    return shapely.transform(geometry, lambda xy: np.stack([(xy[:, 0] + 180) % _CIRCLE_DEG - 180, xy[:, 1]], axis=1))


def split_antimeridian(outline: BaseGeometry) -> BaseGeometry:
    """Split an image's outline in EPSG:4326 at the antimeridian if it crosses that.

    A polygon wider than 180 degrees is taken to cross it: no image is that wide.
    """
    west, _, east, _ = outline.bounds
    if west >= -_HALF_CIRCLE_DEG and east <= _HALF_CIRCLE_DEG and east - west <= _HALF_CIRCLE_DEG:
        return outline
    return wrap_longitudes(_unroll(part) for part in shapely.get_parts(outline))


def wrap_longitudes(polygons: Iterable[BaseGeometry]) -> BaseGeometry:
    """Union of polygons whose longitudes may exceed ±180 degrees, with all longitudes in [-180, 180]."""
    shifted = [
        shapely.affinity.translate(polygon, xoff=offset_deg) for polygon in polygons for offset_deg in (-360, 0, 360)
    ]
    area = shapely.union_all(shifted).intersection(_EARTH)
    return shapely.union_all([part for part in shapely.get_parts(area) if part.area > 0])


def _unroll(polygon: BaseGeometry) -> BaseGeometry:
    """A polygon that crosses the antimeridian with longitudes from 0 to 360 degrees; any other as it is."""
    west, _, east, _ = polygon.bounds
    if east - west <= _HALF_CIRCLE_DEG:
        return polygon
    return shapely.transform(polygon, lambda points: points + np.where(points[:, :1] < 0, [360.0, 0.0], 0.0))
