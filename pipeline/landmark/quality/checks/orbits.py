"""Check of times and orbits: what the orbit of a satellite allows, whatever the items are called."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from landmark.config.orbits import Orbit, is_within, load_orbit
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import group_images
from landmark.quality.checks.product_names import platform_slug
from landmark.quality.findings import Flag

_COLUMNS = ("sensor", "datetime", "platform", "relative_orbit", "orbit_direction")
_DIRECTIONS = ("ascending", "descending")
_HOUR_DEG, _DAY_H, _HOUR_S = 15, 24, 3600
Image = Mapping[str, Any]


def orbit(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Time, platform, relative orbit, direction and place of an image are those of an orbit of its satellite."""
    for image in group_images(inputs.samples, *_COLUMNS):
        sensor = load_orbit(image["sensor"])
        for problem, detail in _problems(image, sensor, limits):
            yield from (Flag(problem, id, detail) for id in image["id"])
        yield from _at_other_hours(image, sensor, limits)


def _problems(image: Image, sensor: Orbit, limits: Limits) -> Iterator[tuple[str, str]]:
    time, number, direction = image["datetime"], image["relative_orbit"], image["orbit_direction"]
    # A provider may name the mission only, which says nothing about the orbit.
    platform = platform_slug(image["platform"] or "")
    entry = sensor.platforms.get(platform or "")
    if platform is not None and entry is None:
        yield "platform is not one of the sensor", f"{image['platform']}, {image['sensor']}"
    elif entry is not None and not is_within(time.date(), entry.service):
        yield "platform was not in service", f"{image['platform']}, {time:%Y-%m-%d}"
    if direction not in (None, *_DIRECTIONS):
        yield "orbit direction does not exist", direction
    if number is not None and not 1 <= number <= sensor.cycle_orbits:
        yield "relative orbit does not exist", str(number)
    elif number is not None:
        offset = sensor.cycle_offset(platform or "", number, time)
        if offset is not None and abs(offset) > limits["max_orbits"] * sensor.period:
            detail = f"relative orbit {number} of {image['platform']} at {time:%Y-%m-%d %H:%M:%S}: {_format(offset)}"
            yield "the satellite was not in the relative orbit at the time", detail


def _at_other_hours(image: Image, sensor: Orbit, limits: Limits) -> Iterator[Flag]:
    """Samples at another mean local solar time than the orbit's in its direction, or in either if that is unknown."""
    lat, direction = image["lat"], image["orbit_direction"]
    rows = np.flatnonzero(abs(lat) <= limits["max_lat_deg"])
    hour = (_utc_hour(image["datetime"]) + image["lon"][rows] / _HOUR_DEG) % _DAY_H
    expected = [
        sensor.solar_hours(lat[rows], ascending=name == "ascending")
        for name in _DIRECTIONS
        if direction in (None, name)
    ]
    errors = [abs((hour - hours + _DAY_H / 2) % _DAY_H - _DAY_H / 2) for hours in expected]
    wrong = np.min([np.full(len(rows), np.inf), *errors], axis=0) > limits["max_hours"]
    for index in np.flatnonzero(wrong & (len(expected) > 0)).tolist():
        row, hours = rows[index], " or ".join(f"{values[index]:.1f} h" for values in expected)
        detail = f"{hour[index]:.1f} h, {hours} {direction or 'in any direction'} at {lat[row]:.1f} degrees"
        yield Flag("local solar time is not that of the orbit", image["id"][row], detail)


def _utc_hour(time: dt.datetime) -> float:
    return (time.hour * _HOUR_S + time.minute * 60 + time.second) / _HOUR_S


def _format(offset: dt.timedelta) -> str:
    hours = offset.total_seconds() / _HOUR_S
    return f"{hours / _DAY_H:+.1f} days" if abs(hours) >= _DAY_H else f"{hours:+.1f} hours"


CHECKS: dict[str, Check] = {"orbit": orbit}
