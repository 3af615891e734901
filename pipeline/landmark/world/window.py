"""Windows of a zone's 10 m lattice with their land."""

from dataclasses import dataclass

import numpy as np

from landmark.world.ground import At, Land
from landmark.world.places import paint
from landmark.world.plane import Plane
from landmark.world.scenes import Zone

HALO = 6  # margin for the sensors' blur and the slopes, in pixels; a multiple of 6 for the 60 m bands


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

    def crop(self, row: int, column: int, shape: tuple[int, int]) -> "View | None":
        """Return the part (no copy) of `shape` inside its margin that starts at a pixel; None if it is not covered."""
        top, left = row - self.row, column - self.column
        bottom, right = top + shape[0] + 2 * HALO, left + shape[1] + 2 * HALO
        if min(top, left) < 0 or bottom > self.at[0].shape[0] or right > self.at[0].shape[1]:
            return None
        window = np.s_[top:bottom, left:right]
        return View(self.land.crop(window), (self.at[0][window], self.at[1][window]), row, column)


class Painter:
    """Paints windows of a zone's land, or cuts them from an area that is painted once."""

    def __init__(self, zone: Zone, area: tuple[int, int, int, int] | None = None) -> None:
        """Fit the plane; paint the area between west, south, east and north in map coordinates."""
        self.zone, self.plane, self.area = zone, Plane(zone.lon, zone.lat, zone.epsg), None
        if area:
            west, south, east, north = area
            self.area = self.view(west=west, north=north, shape=((north - south) // 10, (east - west) // 10))

    def view(self, *, west: int, north: int, shape: tuple[int, int]) -> View:
        """Return the view of a window; `west` and `north` are map coordinates."""
        row, column = (self.zone.false_northing_m - north) // 10, west // 10
        return self.area and self.area.crop(row, column, shape) or make_view(
            self.zone, self.plane, west=west, north=north, shape=shape
        )


def make_view(zone: Zone, plane: Plane, *, west: int, north: int, shape: tuple[int, int]) -> View:
    """Paint a window of a zone's 10 m lattice and its margin; `west` and `north` are map coordinates."""
    x = west + 10.0 * (np.arange(shape[1] + 2 * HALO) - HALO) + 5
    y = north - 10.0 * (np.arange(shape[0] + 2 * HALO) - HALO) - 5
    at = plane.at(x, y)
    return View(paint(zone.place, at, zone.seed), at, (zone.false_northing_m - north) // 10, west // 10)
