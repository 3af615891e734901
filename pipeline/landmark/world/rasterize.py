"""Rasterize events on the pixel lattice of their zone, and vectorize masks as mapping services do."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import transformer
from landmark.world.event_specs import EventSpec
from landmark.world.events import find_traces
from landmark.world.plane import F, to_plane
from landmark.world.scenes import Zone
from landmark.world.window import HALO, Painter, View

MIN_AREA_M2 = 900  # minimum area of patches and holes
TOLERANCE_M = 6  # of the simplified outlines
Shape = BaseGeometry
Ring = list[tuple[float, float]]


class RasterizedEvent(NamedTuple):
    """The view of a zone around an event, and the event's level (see `EventTrace`) per pixel."""

    view: View
    level: F
    transform: Affine
    epsg: int


def rasterize(event: EventSpec, painter: Painter) -> RasterizedEvent:
    """Return the event's trace, independent of the tiles of the zone, as far as the painter's area reaches."""
    zone, extent = painter.zone, square(painter.zone, event.at, event.reach_m + 20)
    area = shapely.box(*painter.bounds) if painter.bounds else extent
    west, south, east, north = (int(side) for side in extent.intersection(area).bounds)
    view = painter.view(west=west, north=north, shape=((north - south) // 10, (east - west) // 10))
    level = np.zeros(view.at[0].shape, np.float32)
    for trace in find_traces(view, zone.place, zone.seed):
        if trace.event == event:
            level[trace.window] = trace.level
    return RasterizedEvent(view, level, Affine(10, 0, west - 10 * HALO, 0, -10, north + 10 * HALO), zone.epsg)


def square(zone: Zone, at: tuple[float, float], half_m: float) -> shapely.Polygon:
    """Return a square around a point of the place's plane, in map coordinates, aligned to the 10 m lattice."""
    x, y = to_plane(zone.lon, zone.lat, zone.epsg).transform(*at, direction="INVERSE")
    west, south, east, north = (int(edge // 10) * 10 for edge in (x - half_m, y - half_m, x + half_m, y + half_m))
    return shapely.box(west, south, east, north)


def outlines(mask: NDArray[np.bool_], transform: Affine) -> list[shapely.Polygon]:
    """Vectorize a mask (map coordinates): simplified, without patches and holes below the minimum area."""
    polygons = (
        _filled(*geometry["coordinates"]) for geometry, _ in shapes(mask.astype(np.uint8), mask, transform=transform)
    )
    return [
        simplified
        for polygon in polygons
        if isinstance(simplified := polygon.simplify(TOLERANCE_M), shapely.Polygon) and polygon.area >= MIN_AREA_M2
    ]


def _filled(outer: Ring, *inner: Ring) -> shapely.Polygon:
    return shapely.Polygon(outer, [hole for hole in inner if shapely.Polygon(hole).area >= MIN_AREA_M2])


def degrees(geometries: Iterable[Shape], epsg: int) -> list[Shape]:
    """Return geometries in EPSG:4326, rounded to 7 decimals."""
    to_degrees = transformer(epsg, 4326)
    return [
        shapely.transform(geometry, lambda xy: np.stack(to_degrees.transform(xy[:, 0], xy[:, 1]), axis=1).round(7))
        for geometry in geometries
    ]
