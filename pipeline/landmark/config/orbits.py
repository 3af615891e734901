"""Orbits of the satellites of a sensor: `profiles/orbits/*.yaml`."""

import datetime as dt
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landmark.config.profiles import SensorName
from landmark.core.yaml_files import StrictModel, load_model

_HALF_CIRCLE_DEG, _HOUR_DEG, _DAY_HOURS = 180, 15, 24
# First and last day; None for one that is unknown or yet to come.
Days = tuple[dt.date | None, dt.date | None]


class Platform(StrictModel):
    """Service and orbit of a satellite."""

    service: Days = Field(description="Launch, and the last day with images")
    first_orbit: int | None = Field(None, description="An absolute orbit whose relative orbit is 1")
    first_orbit_valid: Days = Field((None, None), description="When `first_orbit` is valid")
    node: dt.datetime | None = Field(None, description="An ascending node that starts relative orbit 1, UTC")
    node_valid: Days = Field((None, None), description="When `node` is valid: manoeuvres shift it")


class Orbit(StrictModel):
    """The sun-synchronous orbit that a sensor's satellites share."""

    sensor: SensorName
    cycle_days: int = Field(description="Days after which tracks repeat")
    cycle_orbits: int = Field(description="Orbits in that time: the number of relative orbits")
    node_hour: float = Field(description="Mean local solar time of the ascending node, hours")
    inclination_deg: float
    look_deg: float = Field(description="Longitude from the track to the middle of the swath at the equator")
    platforms: dict[str, Platform] = Field(description="By the value of the column `platform`")

    @property
    def period(self) -> dt.timedelta:
        """Duration of an orbit."""
        return dt.timedelta(days=self.cycle_days) / self.cycle_orbits

    def relative_orbit(self, platform: str, absolute_orbit: int, day: dt.date) -> int | None:
        """Relative orbit (from 1) of an absolute orbit; None if unknown for the platform and day."""
        entry = self.platforms.get(platform)
        if entry is None or entry.first_orbit is None or not is_within(day, entry.first_orbit_valid):
            return None
        return (absolute_orbit - entry.first_orbit) % self.cycle_orbits + 1

    def cycle_offset(self, platform: str, relative_orbit: int, time: dt.datetime) -> dt.timedelta | None:
        """Time from the middle of a relative orbit to a time, modulo a cycle; None if unknown for the platform.

        Half an orbit at most for times in that orbit.
        """
        entry = self.platforms.get(platform)
        if entry is None or entry.node is None or not is_within(time.date(), entry.node_valid):
            return None
        cycle, middle = dt.timedelta(days=self.cycle_days), entry.node + (relative_orbit - 0.5) * self.period
        return (time - middle + cycle / 2) % cycle - cycle / 2

    def solar_hours(self, lat: NDArray[np.float64], *, ascending: bool) -> NDArray[np.float64]:
        """Mean local solar time of images at latitudes (degrees), hours.

        From the spherical triangle of equator, meridian and track: the longitude from the node to the track is
        asin(tan(lat) / tan(i)) for an inclination i.
        """
        reach = np.tan(np.radians(lat)) / np.tan(np.radians(_HALF_CIRCLE_DEG - self.inclination_deg))
        hours = (np.degrees(np.arcsin(np.clip(reach, -1, 1))) - self.look_deg / np.cos(np.radians(lat))) / _HOUR_DEG
        return np.asarray(self.node_hour - hours if ascending else self.node_hour - _DAY_HOURS / 2 + hours) % _DAY_HOURS


def is_within(day: dt.date, days: Days) -> bool:
    """Whether a day is in an interval, both ends included."""
    first, last = days
    return (first is None or day >= first) and (last is None or day <= last)


@cache
def load_orbit(sensor: str) -> Orbit:
    """Load the shipped orbit of a sensor."""
    return load_model(Orbit, "profiles/orbits", sensor)
