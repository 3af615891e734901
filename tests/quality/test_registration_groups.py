"""Shifts of a part of a pixel that a platform, direction, orbit, baseline or acquisition has are reported in metres."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from landmark.quality.check_input import CheckInput, CorpusContext
from landmark.quality.chips.registration import MAX_SHIFT_PX, Surface, Surfaces
from landmark.quality.findings import Flag, NotApplicable
from tests.quality.measured_corpus import run_check, sample_table

Columns = dict[str, Any]
Move = Callable[[Columns, Columns], tuple[float, float]]


def acquisitions(sensor: str) -> list[Columns]:
    """24 acquisitions of 2 platforms, 2 directions (radar), 4 orbits, 2 baselines and 3 zones."""
    return [
        {
            "sensor": sensor, "items": [f"{sensor}-{number}"], "platform": f"{sensor}{'ab'[number % 2]}",
            "orbit_direction": "ascending" if sensor == "s1" and number // 2 % 2 else "descending",
            "relative_orbit": number // 2 % 4, "baseline": "04.00" if number % 3 else "03.01",
            "epsg": 32631 + number // 8,
        }
        for number in range(24)
    ]  # fmt: skip


def surface(shift: tuple[float, float], random: np.random.Generator, noise: float = 0.5) -> Surface:
    """Correlation of 8 chips with a peak at a shift (south, east)."""
    south, east = np.indices((2 * MAX_SHIFT_PX + 1,) * 2) - MAX_SHIFT_PX
    peak = 20 * np.exp(-((south - shift[0]) ** 2 + (east - shift[1]) ** 2) / 4)
    return Surface(np.rint(1000 * (peak + noise * random.normal(0, 1, peak.shape))).astype(np.int64), 8)


def flags_of(move: Move, *, jitter: float = 0.05) -> list[Flag]:
    """Flags where the radar images of each pair are moved."""
    optical, radar, random = acquisitions("s2"), acquisitions("s1"), np.random.default_rng(0)
    surfaces: Surfaces = {}
    for first, second in zip(optical, radar, strict=True):
        south, east = np.array(move(first, second)) + random.normal(0, jitter, 2)
        surfaces[first["items"][0], second["items"][0]] = surface((float(south), float(east)), random)
    manifest: Any = SimpleNamespace()
    context = CorpusContext(Path(), manifest, None, {}, {})
    inputs = CheckInput(context, sample_table([*optical, *radar]), surfaces, {}, all_pixels=True)
    return run_check("registration-groups", inputs)


@pytest.mark.parametrize("jitter", [0.05, 0.4])
def test_scattered_shifts_are_no_fault(jitter: float) -> None:
    assert flags_of(lambda optical, radar: (0, 0), jitter=jitter) == []


@pytest.mark.parametrize(
    ("name", "is_moved"),
    [
        ("s2b", lambda optical, radar: optical["platform"] == "s2b"),
        ("s1 ascending", lambda optical, radar: radar["orbit_direction"] == "ascending"),
        ("s1 descending 2", lambda optical, radar: radar["relative_orbit"] == 2),
        ("baseline 03.01", lambda optical, radar: optical["baseline"] == "03.01"),
        ("EPSG:32633", lambda optical, radar: optical["epsg"] == 32633),
        ("s1-5", lambda optical, radar: radar["items"] == ["s1-5"]),
    ],
)
@pytest.mark.parametrize("shift", [(0.6, 0), (-1, 1)])
def test_the_group_that_is_shifted_is_named(
    name: str, is_moved: Callable[[Columns, Columns], bool], shift: tuple[float, float]
) -> None:
    (flag,) = flags_of(lambda optical, radar: shift if is_moved(optical, radar) else (0, 0))
    assert name in f"{flag.subject} {flag.detail}"
    north, east = (float(part.split()[-1]) for part in flag.detail.split(" m ")[:2])
    assert (north, east) == pytest.approx((-10 * shift[0], 10 * shift[1]), abs=2)


def test_opposite_shifts_of_two_directions_are_reported() -> None:
    (flag,) = flags_of(lambda optical, radar: (0, 0.7 if radar["orbit_direction"] == "ascending" else -0.6))
    assert "s1 ascending" in f"{flag.subject} {flag.detail}"


def test_a_shift_of_all_pairs_is_reported_above_a_pixel() -> None:
    assert flags_of(lambda optical, radar: (0.5, 0)) == []
    (flag,) = flags_of(lambda optical, radar: (1.5, 0))
    assert flag.subject == "all pairs"


def test_without_clear_peaks_nothing_is_compared() -> None:
    manifest: Any = SimpleNamespace()
    rows, random = [*acquisitions("s2"), *acquisitions("s1")], np.random.default_rng(0)
    noise = {(f"s2-{number}", f"s1-{number}"): surface((0, 0), random, 20) for number in range(24)}
    context = CorpusContext(Path(), manifest, None, {}, {})
    for surfaces in ({}, noise):
        with pytest.raises(NotApplicable):
            run_check("registration-groups", CheckInput(context, sample_table(rows), surfaces, {}, all_pixels=True))
