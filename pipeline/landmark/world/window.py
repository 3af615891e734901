"""Windows of a zone's 10 m lattice with their land."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.core.crs import transformer
from landmark.world.ground import At, Land
from landmark.world.place import Place
from landmark.world.places import paint
from landmark.world.plane import F, Plane
from landmark.world.scenes import Zone

HALO = 6  # margin for the sensors' blur and the slopes, in pixels; a multiple of 6 for the 60 m bands
NODES = 9  # along each edge of an area, at which projections are computed exactly


@dataclass(frozen=True, slots=True)
class View:
    """Land and plane coordinates of a window of one UTM zone, including a margin of `HALO` pixels on every side.

    `row` and `column` are the indices of the first pixel inside the margin on the zone's 10 m lattice, counted
    southward and eastward.
    """

    land: Land
    at: At
    row: int
    column: int
    place: Place

    def crop(self, row: int, column: int, shape: tuple[int, int]) -> "View | None":
        """Return the part (no copy) of `shape` inside its margin that starts at a pixel; None if it is not covered."""
        top, left = row - self.row, column - self.column
        bottom, right = top + shape[0] + 2 * HALO, left + shape[1] + 2 * HALO
        if min(top, left) < 0 or bottom > self.at[0].shape[0] or right > self.at[0].shape[1]:
            return None
        window = np.s_[top:bottom, left:right]
        return View(self.land.crop(window), (self.at[0][window], self.at[1][window]), row, column, self.place)


class Painter:
    """Paints windows of a zone's land, or cuts them from an area that is painted once."""

    def __init__(self, zone: Zone, area: tuple[int, int, int, int] | None = None) -> None:
        """Fit the plane; paint the area between west, south, east and north in map coordinates."""
        self.zone, self.plane, self.area = zone, Plane(zone.lon, zone.lat, zone.epsg), None
        self.bounds = area
        if area:
            west, south, east, north = area
            self.area = self.view(west=west, north=north, shape=((north - south) // 10, (east - west) // 10))

    def dominant(self, epsg: int, x: F, y: F) -> NDArray[np.uint8]:
        """Return the kind of the area's pixel nearest to each column `x` and row `y` of another map.

        The projection is interpolated between nodes less than 1 km apart, to a few centimetres.
        """
        assert self.area
        to_map = transformer(epsg, self.zone.epsg)
        across, down = np.meshgrid(*(np.linspace(axis[0], axis[-1], NODES) for axis in (x, y)))
        east, north = (_upsample(grid, x, y) for grid in to_map.transform(across, down))
        row = np.floor((self.zone.false_northing_m - north) / 10).astype(np.intp) - self.area.row + HALO
        column = np.floor(east / 10).astype(np.intp) - self.area.column + HALO
        height, width = self.area.at[0].shape
        return self.area.land.dominant[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]

    def view(self, *, west: int, north: int, shape: tuple[int, int]) -> View:
        """Return the view of a window; `west` and `north` are map coordinates."""
        row, column = (self.zone.false_northing_m - north) // 10, west // 10
        return (self.area and self.area.crop(row, column, shape)) or make_view(
            self.zone, self.plane, west=west, north=north, shape=shape
        )


def _upsample(grid: F, x: F, y: F) -> F:
    """Interpolate a square grid of nodes, which the first and last of `x` and `y` bound, linearly."""
    (rows, down), (columns, across) = (_between_nodes(axis) for axis in (y, x))
    lines = grid[rows] * (1 - down)[:, None] + grid[rows + 1] * down[:, None]
    return np.asarray(lines[:, columns] * (1 - across) + lines[:, columns + 1] * across)


def _between_nodes(axis: F) -> tuple[NDArray[np.intp], F]:
    """Return the node before each coordinate, and the fraction of the distance to the next."""
    position = (axis - axis[0]) / (axis[-1] - axis[0]) * (NODES - 1)
    before = np.minimum(position.astype(np.intp), NODES - 2)
    return before, position - before


def make_view(zone: Zone, plane: Plane, *, west: int, north: int, shape: tuple[int, int]) -> View:
    """Paint a window of a zone's 10 m lattice and its margin; `west` and `north` are map coordinates."""
    x = west + 10.0 * (np.arange(shape[1] + 2 * HALO) - HALO) + 5
    y = north - 10.0 * (np.arange(shape[0] + 2 * HALO) - HALO) - 5
    at = plane.at(x, y)
    row, column = (zone.false_northing_m - north) // 10, west // 10
    return View(paint(zone.place, at, zone.seed), at, row, column, zone.place)
