"""A platform, processing or split that departs from the others on like ground, and land cover that only seems to."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from landmark.quality.drift import BANDS, contrast, drift, ground_of
from landmark.quality.evidence import CheckInput
from landmark.quality.findings import Flag, NotApplicable
from tests.quality.chips import RULES, SCHEMA

LIMITS = RULES.checks["drift"].limits
# Levels of three classes: dark, middling, bright; in dB less far apart.
LEVELS = {"trees": 600.0, "crops": 1500.0, "bare": 2600.0}
LEVELS_DB = {"trees": -8.0, "crops": -11.0, "bare": -14.0}


def corpus(seed: int, *, sensor: str = "s2", number: int = 240, bare_of_b: float = 0.2) -> list[dict[str, Any]]:
    """Samples of two platforms, six acquisitions each, in two months and three splits, with noise of 5 % or 0.5 dB.

    `bare_of_b`: bare soil that platform b happens to have seen; a saw 0.2.
    """
    draw, rows = np.random.default_rng(seed), []
    for place in range(number):
        platform, take = f"{sensor}{'ab'[place % 2]}", place % 12
        share = draw.dirichlet([4, 4, 4 * (bare_of_b / 0.2 if platform[-1] == "b" else 1)])
        fractions = dict(zip(LEVELS, share.tolist(), strict=True))
        row: dict[str, Any] = {
            "id": f"{place:04}", "sensor": sensor, "platform": platform, "items": [f"take {take}"],
            "split": ("train", "train", "val", "test")[int(draw.integers(4))], "product": "P", "baseline": "05.00",
            "orbit_direction": "ascending", "datetime": datetime(2021, 4 + take // 6, 1 + take, tzinfo=UTC),
            "lon": 12.0, "lat": 45.0, "cloud_pct": 0.0, "labels": list(LEVELS), "fractions": list(fractions.items()),
        }  # fmt: skip
        for name in BANDS[sensor]:
            if sensor == "s2":
                level = sum(fractions[key] * LEVELS[key] for key in LEVELS)
                row[name] = level * np.exp(0.05 * draw.standard_normal())
            else:
                row[name] = sum(fractions[key] * LEVELS_DB[key] for key in LEVELS) + 0.5 * draw.standard_normal()
        rows.append(row)
    return rows


def judged(rows: list[dict[str, Any]]) -> list[Flag]:
    table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)
    return sorted(drift(CheckInput(None, None, table, {}, {}, True), LIMITS))  # type: ignore[arg-type]


@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_drift(seed: int, sensor: str) -> None:
    assert judged(corpus(seed, sensor=sensor)) == []


def test_ground_that_labels_explain_is_no_drift() -> None:
    assert judged(corpus(0, bare_of_b=0.8)) == []


def test_a_platform_of_other_gain_is_told_with_its_gain() -> None:
    rows = corpus(0)
    for row in rows:
        if row["platform"] == "s2b":
            row |= {name: 0.8 * row[name] for name in BANDS["s2"]}
    flags = {flag.subject: flag for flag in judged(rows)}
    assert flags.keys() == {"s2a", "s2b"}
    assert flags["s2b"].problem == "a platform departs from the others in all bands"
    assert int(flags["s2b"].detail.split()[0]) == pytest.approx(-20, abs=3)


def test_a_single_band_is_told_by_its_name() -> None:
    rows = corpus(0)
    for row in rows:
        if row["split"] == "test":
            row["B11_p50_dn"] *= 1.4
    assert [(flag.problem, flag.subject) for flag in judged(rows) if "test" in flag.subject] == [
        ("a split departs from the others in a band", "s2 test B11")
    ]


def test_a_radar_platform_two_db_low_is_told_in_db() -> None:
    rows = corpus(0, sensor="s1")
    for row in rows:
        if row["platform"] == "s1b":
            row |= {name: row[name] - 2 for name in BANDS["s1"]}
    flags = {flag.subject: flag.detail for flag in judged(rows)}
    assert flags.keys() == {"s1a", "s1b"}
    assert float(flags["s1b"].split()[0]) == pytest.approx(-2, abs=0.3)


def test_one_hazy_acquisition_is_no_platform() -> None:
    rows = corpus(0)
    for row in rows:
        if row["items"] == ["take 1"]:
            row |= {name: 1.5 * row[name] for name in BANDS["s2"]}
    assert judged(rows) == []


def test_months_apart_are_not_compared() -> None:
    rows = corpus(0)
    for row in rows:
        row["datetime"] = row["datetime"].replace(month=4 if row["platform"] == "s2a" else 5)
    rows = [{**row, "split": "train"} for row in rows]
    with pytest.raises(NotApplicable, match="like ground"):
        judged(rows)


def test_the_contrast_is_that_of_plain_least_squares() -> None:
    """Frisch and Waugh in one block, against a design matrix solved whole; far samples apart, they agree."""
    rows = [row for row in corpus(3) if row["datetime"].month == 4]
    table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)
    values = np.log([[row[name] for name in BANDS["s2"]] for row in rows])
    ground, levels = ground_of(table, LIMITS), [row["platform"] for row in rows]
    found = contrast(values, ground, levels, [row["items"][0] for row in rows], level="s2a", limits=LIMITS)
    design = np.column_stack([ground.mixture, [level == "s2a" for level in levels]])
    assert found is not None
    assert found.above == pytest.approx(np.linalg.lstsq(design, values, rcond=None)[0][-1], abs=2e-3)
