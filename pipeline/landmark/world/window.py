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


def make_view(zone: Zone, plane: Plane, *, west: int, north: int, shape: tuple[int, int]) -> View:
    """Paint a window of a zone's 10 m lattice and its margin; `west` and `north` are map coordinates."""
    x = west + 10.0 * (np.arange(shape[1] + 2 * HALO) - HALO) + 5
    y = north - 10.0 * (np.arange(shape[0] + 2 * HALO) - HALO) - 5
    at = plane.at(x, y)
    return View(paint(zone.place, at, zone.seed), at, (zone.false_northing_m - north) // 10, west // 10)
