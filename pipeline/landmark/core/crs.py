"""Coordinates from one CRS to another, x before y (longitude before latitude) always."""

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
_HALF_TURN_DEG = 180
_EARTH = shapely.box(-180, -90, 180, 90)
_WGS84 = Geod(ellps="WGS84")


@cache
def transformer(source: int, target: int) -> Transformer:
    """From one EPSG code to another."""
    return Transformer.from_crs(source, target, always_xy=True)


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Between two places (lon, lat in degrees) on the ellipsoid."""
    return float(_WGS84.inv(*one, *other)[2]) / 1000


def projected(geometry: Shapes, source: int, target: int) -> Shapes:
    """The vertices of a geometry, or of several, in another CRS.

    Straight edges stay straight, so segmentize long ones first.
    """

    def turn(points: NDArray[np.float64]) -> NDArray[np.float64]:
        columns: Any = transformer(source, target).transform(points[:, 0], points[:, 1])
        return np.stack(columns, axis=1)

    return shapely.transform(geometry, turn)


def unwrapped(outline: BaseGeometry) -> BaseGeometry:
    """An outline in EPSG:4326, cut in two at the antimeridian where it crosses it.

    No image spans half the planet: a polygon that seems to changes the sign of its longitudes at 180 degrees.
    """
    west, _, east, _ = outline.bounds
    if west >= -_HALF_TURN_DEG and east <= _HALF_TURN_DEG and east - west <= _HALF_TURN_DEG:
        return outline
    parts = []
    for part in shapely.get_parts(outline):
        west, _, east, _ = part.bounds
        turned = shapely.transform(part, _all_east) if east - west > _HALF_TURN_DEG else part
        parts += [shapely.affinity.translate(turned, xoff=turn) for turn in (-360, 0, 360)]
    whole = shapely.union_all(parts).intersection(_EARTH)
    return shapely.union_all([part for part in shapely.get_parts(whole) if part.area > 0])


def _all_east(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points + np.where(points[:, :1] < 0, [360.0, 0.0], 0.0)
