"""Acquisitions with another gain, offset or speckle than the others are reported, and weather and seasons are not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.check_input import CheckInput, CorpusContext
from landmark.quality.checks.scene_effects import common_shift, contrast_revisits, fit_effects
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import Flag, NotApplicable
from tests.quality.measured_corpus import run_check, sample_table

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
DN = [f"{band}_p50_dn" for band in BANDS]
DB = ["vv_p50_db", "vv_p99_db", "vh_p50_db", "vh_p99_db"]
# Reflectance x 10000 of trees, crops and bare ground per band; gamma0 of the same per level.
SPECTRA = np.array([
    [250, 300, 500, 350, 800, 2000, 2400, 2500, 2600, 2600, 1300, 600],
    [500, 600, 900, 800, 1300, 2300, 2700, 2900, 3000, 3000, 2300, 1400],
    [900, 1100, 1500, 1900, 2200, 2400, 2500, 2700, 2800, 2800, 3600, 3100],
])  # fmt: skip
# Growth darkens the visible bands and brightens the infrared.
GROWTH = np.array([-1, -1, -1, -1.5, -1, 0.3, 0.8, 1, 1, 1, -0.5, -1])
LEVELS_DB = np.array([[-8, -4, -14, -11], [-11, -7, -18, -14], [-14, -10, -22, -17]])
ACQUISITIONS, CELLS = 12, 20
Rows = list[dict[str, Any]]


def corpus(sensor: str, *, seed: int = 0, repeated: bool = False) -> Rows:
    """Acquisitions of different weeks with 20 cells each: two each of the same cells if `repeated`."""
    random, rows = np.random.default_rng(seed), []
    shares = random.dirichlet([3, 3, 3], (ACQUISITIONS, CELLS))
    for number in range(ACQUISITIONS):
        place = number // 2 if repeated else number
        # Moisture lifts bare ground most.
        growth = random.normal(0, 0.04)
        moisture = random.normal(0, 0.3) * np.array([1, 0.2, 0.6, 0.1])
        for cell in range(CELLS):
            mixture = shares[place, cell]
            row: dict[str, Any] = {
                "id": f"{number:02}_{cell:02}", "sensor": sensor, "items": [f"item {number}"], "cloud_pct": 0.0,
                "cell": f"{place}_{cell}", "datetime": datetime(2021, 4, 1, tzinfo=UTC) + timedelta(days=7 * number),
                "lon": 12.0 + place, "lat": 45.0, "ndsi_mean": -0.4 if sensor == "s2" else None,
                "fractions": list(zip(["trees", "crops", "bare"], mixture.tolist(), strict=True)),
            }  # fmt: skip
            if sensor == "s2":
                growths = (growth + random.normal(0, 0.05)) * GROWTH
                values = mixture @ SPECTRA * np.exp(growths + random.normal(0, 0.01, 12))
                row |= zip(DN, values.tolist(), strict=True)
            else:
                db = mixture @ LEVELS_DB + moisture + random.normal(0, 0.1, 4)
                row |= zip(DB, db.tolist(), strict=True)
                row |= {"vv_vh_db": row["vv_p50_db"] - row["vh_p50_db"], "vv_speckle_db": random.normal(1.9, 0.03)}
                row |= {"vh_p1_db": row["vh_p50_db"] - 6}
            rows.append(row)
    return rows


def flags_of(check: str, rows: Rows) -> list[Flag]:
    manifest: Any = SimpleNamespace(taxonomy=TAXONOMY)
    context = CorpusContext(Path(), manifest, None, {}, {})
    return run_check(check, CheckInput(context, sample_table(rows), {}, {}, all_pixels=True))


def changed(rows: Rows, items: set[str], change: Callable[[dict[str, Any]], dict[str, float]]) -> Rows:
    return [{**row, **change(row)} if row["items"][0] in items else row for row in rows]


def scaled(names: list[str], factor: float, offset: float = 0) -> Callable[[dict[str, Any]], dict[str, float]]:
    return lambda row: {name: factor * row[name] + offset for name in names}


def louder_vv(row: dict[str, Any]) -> dict[str, float]:
    return {name: row[name] + 2 for name in ("vv_p50_db", "vv_p99_db", "vv_vh_db")}


FAULTS = [
    ("s2", scaled(DN, 0.7)),
    ("s2", scaled(DN, 1.4)),
    ("s2", scaled(DN, 1, 250)),
    ("s1", scaled(DB, 1, -3)),
    ("s1", scaled(DB, 1, 3)),
    ("s1", louder_vv),
    ("s1", scaled(["vv_speckle_db"], 0.4)),
    ("s1", scaled(["vh_p1_db"], 1, 7)),
]


@pytest.mark.parametrize("check", ["scenes", "revisits"])
@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize("seed", range(3))
def test_weather_and_growth_are_no_faults(check: str, sensor: str, seed: int) -> None:
    assert flags_of(check, corpus(sensor, seed=seed, repeated=check == "revisits")) == []


@pytest.mark.parametrize("check", ["scenes", "revisits"])
@pytest.mark.parametrize(("sensor", "fault"), FAULTS)
def test_the_acquisition_with_a_fault_is_named(
    check: str, sensor: str, fault: Callable[[dict[str, Any]], dict[str, float]]
) -> None:
    (flag,) = flags_of(check, changed(corpus(sensor, repeated=check == "revisits"), {"item 4"}, fault))
    # Of two images of the same cells either may have the fault.
    assert "item 4" in (flag.subject if check == "scenes" else f"{flag.subject} {flag.detail}")


@pytest.mark.parametrize("band", ["B02", "B06", "B8A", "B11"])
@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_a_band_with_an_unexpected_level_is_reported(band: str, factor: float) -> None:
    (flag,) = flags_of("scenes", changed(corpus("s2"), {"item 4"}, scaled([f"{band}_p50_dn"], factor)))
    assert (flag.subject, flag.problem.split()[0]) == ("item 4", band)


def test_a_third_of_the_acquisitions_does_not_shift_the_others() -> None:
    faulty = {f"item {number}" for number in range(0, ACQUISITIONS, 3)}
    flags = flags_of("scenes", changed(corpus("s1"), faulty, scaled(DB, 1, -4)))
    assert {flag.subject for flag in flags} == faulty


def test_few_acquisitions_are_not_compared() -> None:
    few = [row for row in corpus("s1", repeated=True) if row["items"][0] in ("item 0", "item 1")]
    for check in ("scenes", "revisits"):
        with pytest.raises(NotApplicable):
            flags_of(check, few)


def test_a_common_shift_is_that_of_the_level_that_changes_least() -> None:
    shifts = np.array([[1.0, 3, 2], [-1, -3, -2], [1, -3, 2], [4, -1, 3]])
    assert common_shift(shifts, 0).tolist() == [1, -1, 0, 0]
    assert common_shift(shifts, 1).tolist() == [2, -2, 1, 3]


def test_effects_are_those_of_least_squares_with_acquisitions_as_factors() -> None:
    random = np.random.default_rng(0)
    mixture = random.dirichlet([1, 1, 1], 240)
    number, effect = np.arange(240) % 8, np.arange(8.0)
    values = mixture @ [[5.0], [1.0], [-3.0]] + effect[number, None] + random.normal(0, 0.01, (240, 1))
    effects = fit_effects(values, mixture, [f"{item}" for item in number], 3)
    design = np.column_stack([mixture, np.eye(8)[number]])
    expected = np.linalg.lstsq(design, values[:, 0], rcond=None)[0][3:]
    assert effects is not None and effects.samples.tolist() == [30] * 8
    assert effects.values[:, 0] == pytest.approx(expected - np.median(expected), abs=0.01)


def test_revisits_are_compared_with_the_last_visit() -> None:
    cells, items = ["p", "q", "p", "q", "p", "q"], ["a", "a", "b", "b", "c", "c"]
    values = np.array([[0.0], [1], [2], [5], [3], [6]])
    contrasts = list(contrast_revisits(values, cells, items, [1, 1, 2, 2, 3, 3], 2))
    assert [(contrast.earlier, contrast.later, contrast.values.item()) for contrast in contrasts] == [
        ("a", "b", 3),
        ("b", "c", 1),
    ]
