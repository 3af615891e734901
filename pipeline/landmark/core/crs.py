"""Coordinates between CRSs, always x before y (longitude before latitude), and geometries at the antimeridian."""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

Shapes = TypeVar("Shapes", BaseGeometry, NDArray[np.object_])

LONLAT = 4326
_HALF_CIRCLE_DEG = 180
_EARTH = shapely.box(-180, -90, 180, 90)
_WGS84 = Geod(ellps="WGS84")


@cache
def transformer(source: int, target: int) -> Transformer:
    """The transformer from one EPSG code to another."""
    return Transformer.from_crs(source, target, always_xy=True)


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
