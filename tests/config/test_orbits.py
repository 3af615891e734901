"""Orbits of the shipped satellites, against the times and orbit numbers of real items."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landmark.config.orbits import load_orbit
from landmark.quality.checks.product_names import ProductName, parse_product_name

# Absolute and relative orbits as published with products of each satellite.
_ORBITS = [
    ("sentinel-1a", 53_498, dt.date(2024, 4, 19), 51),
    ("sentinel-1b", 28_194, dt.date(2021, 8, 11), 168),
    ("sentinel-1d", 4_762, dt.date(2026, 9, 27), 171),
    ("sentinel-1c", 9_000, dt.date(2026, 9, 1), None),
    ("sentinel-1a", 70_000, dt.date(2027, 1, 1), None),
    ("sentinel-1x", 1, dt.date(2021, 1, 1), None),
]


def _features(value: Any) -> Iterator[dict[str, Any]]:
    """All items in a document."""
    if isinstance(value, dict) and value.get("type") == "Feature":
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _features(member)


def _recorded(real: Path) -> dict[str, tuple[ProductName, dict[str, Any]]]:
    """The recorded items with names of products, by id."""
    items = {}
    for path in sorted((real / "stac").iterdir()):
        if path.suffix in (".json", ".geojson"):
            for item in _features(json.loads(path.read_text())):
                name = parse_product_name(item["id"])
                if name is not None and name.start is not None:
                    items[item["id"]] = name, item
    return items


def test_recorded_items_are_in_their_relative_orbit(real: Path) -> None:
    recorded = _recorded(real)
    assert len(recorded) >= 20
    for id, (name, item) in recorded.items():
        orbit, number = load_orbit(name.sensor), item["properties"]["sat:relative_orbit"]
        if name.absolute_orbit is not None:
            assert orbit.relative_orbit(name.platform, name.absolute_orbit, name.day) == number, id
        offset = orbit.cycle_offset(name.platform, number, name.start)
        assert offset is not None and abs(offset) < orbit.period / 2, id


def test_recorded_items_have_the_local_solar_time_of_their_orbit(real: Path) -> None:
    errors: dict[str, list[float]] = {"s1": [], "s2": []}
    for name, item in _recorded(real).values():
        west, south, east, north = item["bbox"]
        lon, lat = (west + east) / 2, np.array([(south + north) / 2])
        if abs(lat[0]) <= 65:
            ascending = item["properties"]["sat:orbit_state"] == "ascending"
            expected = load_orbit(name.sensor).solar_hours(lat, ascending=ascending)[0]
            hour = (name.start - name.start.replace(hour=0, minute=0, second=0)) / dt.timedelta(hours=1) + lon / 15
            errors[name.sensor].append((hour - expected + 12) % 24 - 12)
    assert np.abs(errors["s1"]).max() < 0.1
    # A datatake starts before its tiles.
    assert errors["s2"] and -0.5 < min(errors["s2"]) <= max(errors["s2"]) < 0.3


@pytest.mark.parametrize(("platform", "absolute", "day", "relative"), _ORBITS)
def test_relative_orbits_of_absolute_orbits(platform: str, absolute: int, day: dt.date, relative: int | None) -> None:
    assert load_orbit("s1").relative_orbit(platform, absolute, day) == relative


@pytest.mark.parametrize("days", [1, 5, 365, 366])
def test_another_day_is_in_another_orbit(days: int) -> None:
    orbit, time = load_orbit("s2"), dt.datetime(2021, 6, 12, 10, 10, 31, tzinfo=dt.UTC)
    for shift, far in ((10, False), (days, True)):
        offset = orbit.cycle_offset("sentinel-2a", 22, time + dt.timedelta(days=shift))
        assert offset is not None and (abs(offset) > orbit.period) is far


def test_a_platform_without_a_known_node_has_no_offset() -> None:
    time = dt.datetime(2025, 6, 12, tzinfo=dt.UTC)
    assert load_orbit("s2").cycle_offset("sentinel-2c", 22, time) is None
    assert load_orbit("s2").cycle_offset("sentinel-2a", 22, time) is None
