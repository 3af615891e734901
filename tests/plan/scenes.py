"""Cells and acquisitions of both sensors for the tests of the plan."""

import datetime as dt
from typing import Any

import pyarrow as pa

from landmark.config.profiles import load_sensor
from landmark.domain.acquisition import Acquisition
from tests.parts import NOON, acquisition, cell_table

SENSORS = {name: load_sensor(name) for name in ("s1", "s2")}
DAY = dt.timedelta(days=1)


def grid(width: int = 6, height: int = 6, *, block_m: float = 1200) -> pa.Table:
    """Adjacent cells from the upper-left corner of the acquisitions."""
    corners = [(600_000 + 1200 * col, 5_040_000 - 1200 * row) for row in range(height) for col in range(width)]
    return cell_table(32632, corners, block_m=block_m)


def optical(number: int, *, day: float = 0, cloud: float = 10.0, **changes: Any) -> Acquisition:
    """A Sentinel-2 acquisition of 7.2 km, some days after noon of 1 July 2021."""
    values = {"datetime": NOON + day * DAY, "cloud_pct": cloud, "size_px": (720, 720)} | changes
    return acquisition(id=f"s2_{number:03d}", **values)


def radar(number: int, *, day: float = 0.0, **changes: Any) -> Acquisition:
    """A Sentinel-1 acquisition of 9 km, some days after noon of 1 July 2021."""
    place = {"size_px": (900, 900), "origin": (599_000.0, 5_041_000.0)}
    values = place | {"datetime": NOON + day * DAY, "cloud_pct": None} | changes
    return acquisition(id=f"s1_{number:03d}", sensor="s1", **values)
