"""Geometries of events, in longitude and latitude."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import wrap_longitudes
from landmark.domain.event import Event

_WGS84 = Geod(ellps="WGS84")
_POINT, _POLYGON = 0, 3
_CIRCLE_STEPS = 128


def polygons(geometries: NDArray[Any]) -> NDArray[Any]:
    """The polygons among geometries, including those in collections."""
    flat = shapely.get_parts(shapely.get_parts(geometries[~shapely.is_missing(geometries)]))
    return np.asarray(flat[(shapely.get_type_id(flat) == _POLYGON) & ~shapely.is_empty(flat)])


def points(geometries: NDArray[Any]) -> NDArray[Any]:
    """The points among geometries, including those of multi-points."""
    flat = shapely.get_parts(geometries[~shapely.is_missing(geometries)])
    return np.asarray(flat[(shapely.get_type_id(flat) == _POINT) & ~shapely.is_empty(flat)])


def union(geometries: NDArray[Any]) -> BaseGeometry | None:
    """The union of polygons as a valid, normalised (Multi)Polygon, None if empty."""
    area = shapely.union_all(polygons(geometries))
    if not shapely.is_valid(area):
        area = shapely.union_all(polygons(np.array([shapely.make_valid(area)])))
    return None if shapely.is_empty(area) else shapely.normalize(area)


def squares(centres: NDArray[Any], edge_m: float) -> NDArray[Any]:
    """North-up squares of `edge_m` metres around points in degrees."""
    lon, lat = shapely.get_x(centres), shapely.get_y(centres)
    half = np.full(len(lon), edge_m / 2)
    east, _, _ = _WGS84.fwd(lon, lat, np.full(len(lon), 90.0), half)
    _, north, _ = _WGS84.fwd(lon, lat, np.zeros(len(lon)), half)
    dx, dy = np.asarray(east) - lon, np.asarray(north) - lat
    return np.asarray(shapely.box(lon - dx, lat - dy, lon + dx, lat + dy))


def circle(lon: float, lat: float, radius_km: float) -> BaseGeometry:
    """A geodesic circle, cut in two polygons at the antimeridian."""
    azimuths = np.linspace(0, 360, _CIRCLE_STEPS, endpoint=False)
    radii_m = np.full(_CIRCLE_STEPS, 1000 * radius_km)
    lons, lats, _ = _WGS84.fwd(np.full(_CIRCLE_STEPS, lon), np.full(_CIRCLE_STEPS, lat), azimuths, radii_m)
    unrolled = lon + (np.asarray(lons) - lon + 180) % 360 - 180
    ring = shapely.Polygon(np.column_stack([unrolled, lats]))
    crosses = unrolled.min() < -180 or unrolled.max() > 180
    return shapely.normalize(wrap_longitudes([ring]) if crosses else ring)


def affected_km2(event: Event) -> float:
    """Geodesic area of an event's affected parts in square kilometres on WGS84, overlaps counted once."""
    areas = [part.geometry for part in event.affected_parts]
    # The union of one area is itself, and takes long where a mask is speckled.
    return area_km2(areas[0] if len(areas) == 1 else union(np.array(areas, dtype=object)))


def area_km2(geometry: BaseGeometry | None) -> float:
    """Geodesic area of polygons in degrees, in square kilometres on WGS84; 0 for None."""
    if geometry is None:
        return 0.0
    return abs(float(_WGS84.geometry_area_perimeter(shapely.orient_polygons(geometry))[0])) / 1e6
