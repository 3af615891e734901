"""Faulty servers: every written sample is right, and every other one is in the ledger under a fitting reason."""

import os
from pathlib import Path

import pytest

from tests.faults.oracle import Planet, check_build, check_plan
from tests.faults.schedules import Schedule, draw, enumerate_planning_schedules, enumerate_schedules

# `LANDMARK_FAULT_SEED=17` or `=100-199` runs these seeds.
FIRST, _, LAST = os.environ.get("LANDMARK_FAULT_SEED", "0-1999").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)


def images(planet: Planet) -> list[str]:
    """Paths of the images on the server."""
    return sorted(f"/{path.relative_to(planet.folder)}" for path in planet.folder.glob("sentinel-*/*/*.tif"))


@pytest.mark.parametrize("schedule", list(enumerate_schedules()), ids=lambda schedule: schedule.name)
def test_each_kind_of_fault_while_reading(schedule: Schedule, planet: Planet, tmp_path: Path) -> None:
    print(check_build(planet, schedule, tmp_path / "corpus"))


@pytest.mark.parametrize("schedule", list(enumerate_planning_schedules()), ids=lambda schedule: schedule.name)
def test_each_kind_of_fault_while_planning(schedule: Schedule, planet: Planet, tmp_path: Path) -> None:
    print(check_plan(planet, schedule, tmp_path / "corpus"))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_schedule(seed: int, planet: Planet, tmp_path: Path) -> None:
    schedule = draw(seed, images(planet))
    print(schedule)
    print(check_build(planet, schedule, tmp_path / "corpus"))
