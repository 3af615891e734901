"""What mappers draw of an event: its traces on the lattice of its zone, as outlines in longitude and latitude."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import shapes
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from landmark.world.events import EventSpec, find_traces
from landmark.world.plane import F, Plane, to_plane
from landmark.world.scenes import Zone
from landmark.world.window import HALO, View, view

LEAST_M2 = 900  # smaller patches and holes are not mapped
EASE_M = 6  # how far a mapped line strays from the pixels
Shape = BaseGeometry
Ring = list[tuple[float, float]]


class RasterizedEvent(NamedTuple):
    """A window of a zone about an event, and the event's level (see `EventTrace`) at each of its pixels."""

    seen: View
    level: F
    transform: Affine
    epsg: int


def rasterize(strike: EventSpec, zones: list[Zone]) -> RasterizedEvent:
    """Return the event's traces, whatever tiles there are."""
    zone = next(zone for zone in zones if zone.epsg == strike.epsg)
    west, south, east, north = (int(side) for side in square(zone, strike.at, strike.reach_m + 20).bounds)
    shape = (north - south) // 10, (east - west) // 10
    seen = view(zone, Plane(zone.lon, zone.lat, zone.epsg), west=west, north=north, shape=shape)
    level = np.zeros(seen.at[0].shape, np.float32)
    for mark in find_traces(seen, zone.place, zone.seed):
        if mark.strike is strike:
            level[mark.where] = mark.level
    return RasterizedEvent(seen, level, Affine(10, 0, west - 10 * HALO, 0, -10, north + 10 * HALO), zone.epsg)


def square(zone: Zone, at: tuple[float, float], half_m: float) -> shapely.Polygon:
    """Return a square about a point of the place's plane, in map metres, its corners on the 10 m lattice."""
    x, y = to_plane(zone.lon, zone.lat, zone.epsg).transform(*at, direction="INVERSE")
    west, south, east, north = (int(edge // 10) * 10 for edge in (x - half_m, y - half_m, x + half_m, y + half_m))
    return shapely.box(west, south, east, north)


def outlines(where: NDArray[np.bool_], transform: Affine) -> list[shapely.Polygon]:
    """Return the outlines of what is true, in map metres: eased, without the smallest patches and holes."""
    found = (_filled(*one["coordinates"]) for one, _ in shapes(where.astype(np.uint8), where, transform=transform))
    return [
        eased for one in found if isinstance(eased := one.simplify(EASE_M), shapely.Polygon) and one.area >= LEAST_M2
    ]


def _filled(outer: Ring, *inner: Ring) -> shapely.Polygon:
    return shapely.Polygon(outer, [hole for hole in inner if shapely.Polygon(hole).area >= LEAST_M2])


def degrees(found: Iterable[Shape], epsg: int) -> list[Shape]:
    """Return shapes in longitude and latitude, to a centimetre."""
    turn = Transformer.from_crs(f"EPSG:{epsg}", "EPSG:4326", always_xy=True)
    return [
        shapely.transform(one, lambda xy: np.stack(turn.transform(xy[:, 0], xy[:, 1]), axis=1).round(7))
        for one in found
    ]
