"""A window of a zone's 10 m lattice, and what lies there."""

from dataclasses import dataclass

import numpy as np

from landmark.world.ground import At, Land
from landmark.world.places import PLACES
from landmark.world.plane import Plane
from landmark.world.scenes import Zone

HALO = 6  # pixels about a window that the sensors' blur and the slopes need; a multiple of 6 keeps 60 m pixels whole


@dataclass(frozen=True, slots=True)
class View:
    """A window of one UTM zone: its land and place in the plane, `HALO` wider on every side than the pixels asked for.

    `row` and `column` number the first pixel asked for on the zone's 10 m lattice, southward and eastward.
    """

    land: Land
    at: At
    row: int
    column: int


def view(zone: Zone, plane: Plane, *, west: int, north: int, shape: tuple[int, int]) -> View:
    """Return the land under a window of a zone's 10 m lattice, and a halo about it."""
    x = west + 10.0 * (np.arange(shape[1] + 2 * HALO) - HALO) + 5
    y = north - 10.0 * (np.arange(shape[0] + 2 * HALO) - HALO) - 5
    at = plane.at(x, y)
    return View(PLACES[zone.place](at, zone.seed), at, (zone.false_northing_m - north) // 10, west // 10)
