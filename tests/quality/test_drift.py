"""Platforms, processings and splits that differ from the others on similar land cover are reported, and others not."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.check_input import CheckInput, CorpusContext
from landmark.quality.checks.drift import MEASURES, fit_contrast, read_land_cover
from landmark.quality.findings import Flag, NotApplicable
from tests.quality.measured_corpus import PROFILE, run_check, sample_table

LIMITS = PROFILE.checks["drift"].limits
TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
UNSTABLE = ["water", "snow_and_ice", "flooded_vegetation", "flooded_area"]
# Levels of a dark, a medium and a bright class.
LEVELS = {"trees": 600.0, "crops": 1500.0, "bare": 2600.0}
LEVELS_DB = {"trees": -8.0, "crops": -11.0, "bare": -14.0}
Rows = list[dict[str, Any]]


def corpus(seed: int, *, sensor: str = "s2", number: int = 240, bare_of_b: float = 0.2) -> Rows:
    """Samples of two platforms with six acquisitions each, in two months and three splits, with noise of 5 % or 0.5 dB.

    Args:
        seed: Of land cover and noise.
        sensor: s1 or s2.
        number: Of samples.
        bare_of_b: Mean fraction of bare soil seen by platform b; it is 0.2 for platform a.
    """
    random, rows = np.random.default_rng(seed), []
    for index in range(number):
        platform, acquisition = f"{sensor}{'ab'[index % 2]}", index % 12
        share = random.dirichlet([4, 4, 4 * (bare_of_b / 0.2 if platform[-1] == "b" else 1)])
        fractions = dict(zip(LEVELS, share.tolist(), strict=True))
        row: dict[str, Any] = {
            "id": f"{index:04}", "sensor": sensor, "platform": platform, "items": [f"item {acquisition}"],
            "split": ("train", "train", "val", "test")[int(random.integers(4))], "product": "P", "baseline": "05.00",
            "orbit_direction": "ascending",
            "datetime": datetime(2021, 4 + acquisition // 6, 1 + acquisition, tzinfo=UTC),
            "lon": 12.0, "lat": 45.0, "cloud_pct": 0.0, "labels": list(LEVELS), "fractions": list(fractions.items()),
        }  # fmt: skip
        for name in MEASURES[sensor]:
            if sensor == "s2":
                level = sum(fractions[key] * LEVELS[key] for key in LEVELS)
                row[name] = level * np.exp(0.05 * random.standard_normal())
            else:
                row[name] = sum(fractions[key] * LEVELS_DB[key] for key in LEVELS) + 0.5 * random.standard_normal()
        rows.append(row)
    return rows


def flags_of(rows: Rows) -> dict[str, Flag]:
    manifest: Any = SimpleNamespace(taxonomy=TAXONOMY)
    context = CorpusContext(Path(), manifest, None, {}, {})
    flags = run_check("drift", CheckInput(context, sample_table(rows), {}, {}, all_pixels=True))
    return {flag.subject: flag for flag in flags}


@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_drift(seed: int, sensor: str) -> None:
    assert flags_of(corpus(seed, sensor=sensor)) == {}


def test_land_cover_is_not_drift() -> None:
    assert flags_of(corpus(0, bare_of_b=0.8)) == {}


def test_the_gain_of_a_platform_is_reported() -> None:
    rows = corpus(0)
    for row in rows:
        if row["platform"] == "s2b":
            row |= {name: 0.8 * row[name] for name in MEASURES["s2"]}
    flags = flags_of(rows)
    assert flags.keys() == {"s2a", "s2b"}
    assert int(flags["s2b"].detail.split()[0]) == pytest.approx(-20, abs=3)


def test_a_single_band_is_named() -> None:
    rows = corpus(0)
    for row in rows:
        if row["split"] == "test":
            row["B11_p50_dn"] *= 1.4
    assert [subject for subject in flags_of(rows) if "test" in subject] == ["s2 test B11"]


def test_a_radar_platform_is_reported_in_db() -> None:
    rows = corpus(0, sensor="s1")
    for row in rows:
        if row["platform"] == "s1b":
            row |= {name: row[name] - 2 for name in MEASURES["s1"]}
    flags = flags_of(rows)
    assert flags.keys() == {"s1a", "s1b"}
    assert float(flags["s1b"].detail.split()[0]) == pytest.approx(-2, abs=0.3)


def test_a_hazy_acquisition_is_not_drift_of_the_platform() -> None:
    rows = corpus(0)
    for row in rows:
        if row["items"] == ["item 1"]:
            row |= {name: 1.5 * row[name] for name in MEASURES["s2"]}
    assert flags_of(rows) == {}


def test_samples_of_different_months_are_not_compared() -> None:
    rows = corpus(0)
    for row in rows:
        month = 4 if row["platform"] == "s2a" else 5
        row |= {"datetime": row["datetime"].replace(month=month), "split": "train"}
    with pytest.raises(NotApplicable):
        flags_of(rows)


def test_the_contrast_is_that_of_plain_least_squares() -> None:
    """Frisch and Waugh in one block agree with the full design matrix, but for outliers."""
    rows = [row for row in corpus(3) if row["datetime"].month == 4]
    values = np.log([[row[name] for name in MEASURES["s2"]] for row in rows])
    cover, levels = read_land_cover(sample_table(rows), UNSTABLE, LIMITS), [row["platform"] for row in rows]
    contrast = fit_contrast(values, cover, levels, [row["items"][0] for row in rows], level="s2a", limits=LIMITS)
    design = np.column_stack([cover.mixture, [level == "s2a" for level in levels]])
    assert contrast is not None
    assert contrast.difference == pytest.approx(np.linalg.lstsq(design, values, rcond=None)[0][-1], abs=2e-3)
