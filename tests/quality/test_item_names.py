"""Names of products are read as published; items, orbits and mask shares that contradict a row are flagged."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from landmark.quality.check import CHECKS
from landmark.quality.check_input import CheckInput
from landmark.quality.checks.product_names import ProductName, parse_product_name
from landmark.quality.findings import NotApplicable
from tests.quality.measured_corpus import PROFILE, sample_table

UTC = dt.UTC
S1 = "S1A_IW_GRDH_1SDV_20240419T045749_20240419T045814_053498_067DF2_rtc"
S2 = "S2B_MSIL2A_20240412T101029_R022_T32TQM_20240412T123458"
S1_ROW = {
    "id": "radar",
    "sensor": "s1",
    "datetime": dt.datetime(2024, 4, 19, 4, 57, 49, tzinfo=UTC),
    "platform": "sentinel-1a",
    "orbit_direction": "descending",
    "relative_orbit": 51,
    "product": "S1 IW GRDH RTC gamma0",
    "items": [S1],
    "lon": 16.1,
    "lat": 34.5,
    "valid_pct": 100.0,
}
S2_ROW = {
    "id": "optical",
    "sensor": "s2",
    "datetime": dt.datetime(2024, 4, 12, 10, 10, 29, tzinfo=UTC),
    "platform": "sentinel-2b",
    "orbit_direction": "descending",
    "relative_orbit": 22,
    "baseline": "05.10",
    "product": "S2MSI2A",
    "items": [S2],
    "lon": 11.7,
    "lat": 41.9,
    "valid_pct": 100.0,
    "cloud_pct": 2.5,
    "shadow_pct": 0.0,
    "snow_pct": 25 / 36,
}
EARTH_SEARCH = {"items": ["S2B_32TQM_20240412_0_L2A"]}
WITH_BASELINE = {"items": ["S2B_MSIL2A_20240412T101029_N0510_R022_T32TQM_20240412T123458.SAFE"]}

PARSED = {
    S1: ProductName("s1", "sentinel-1a", dt.date(2024, 4, 19), dt.datetime(2024, 4, 19, 4, 57, 49, tzinfo=UTC),
                    dt.datetime(2024, 4, 19, 4, 58, 14, tzinfo=UTC), absolute_orbit=53498, kind="IW",
                    polarisation="DV"),
    WITH_BASELINE["items"][0]: ProductName(
        "s2", "sentinel-2b", dt.date(2024, 4, 12), dt.datetime(2024, 4, 12, 10, 10, 29, tzinfo=UTC),
        made=dt.datetime(2024, 4, 12, 12, 34, 58, tzinfo=UTC), relative_orbit=22, baseline="05.10", tile="32TQM",
        kind="L2A"),
    "S2A_29RKH_20200219_0_L2A": ProductName("s2", "sentinel-2a", dt.date(2020, 2, 19), tile="29RKH", kind="L2A"),
    "S2C_T05VNJ_20250719T215531_L2A": ProductName("s2", "sentinel-2c", dt.date(2025, 7, 19), tile="05VNJ", kind="L2A"),
    "S1_20171030_637U_59R_1_3_rtc": None,
    "S2_20171030_637U_59R_1_3": None,
    "S2A_MSIL2A_20241332T100549_R022_T32TQM_20240412T123458": None,
    "LC08_L2SP_193027_20240419_02_T1": None,
    "": None,
}  # fmt: skip


def flags(check: str, *rows: dict[str, Any], **limits: float) -> dict[str, set[str]]:
    """Problems that a check finds in rows, and their subjects."""
    manifest = SimpleNamespace(sensors=["s1", "s2"], patch_px=120)
    context: Any = SimpleNamespace(manifest=manifest, root=Path("absent"))
    inputs = CheckInput(context, sample_table(rows), {}, {}, all_pixels=True)
    problems: dict[str, set[str]] = {}
    for flag in CHECKS[check](inputs, {**PROFILE.checks[check].limits, **limits}):
        problems.setdefault(flag.problem, set()).add(flag.subject)
    return problems


@pytest.mark.parametrize(("text", "name"), PARSED.items(), ids=range(len(PARSED)))
def test_names_of_products(text: str, name: ProductName | None) -> None:
    assert parse_product_name(text) == name


@pytest.mark.parametrize("row", [S1_ROW, S2_ROW, {**S2_ROW, **EARTH_SEARCH}, {**S2_ROW, **WITH_BASELINE}])
@pytest.mark.parametrize("check", ["item-names", "orbit"])
def test_a_row_of_a_real_image_has_no_problem(check: str, row: dict[str, Any]) -> None:
    assert flags(check, row) == {}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (S1_ROW, {"datetime": S1_ROW["datetime"] + dt.timedelta(hours=2)}),
        (S1_ROW, {"platform": "Sentinel-1B"}),
        (S1_ROW, {"relative_orbit": 52}),
        (S1_ROW, {"items": [S1.replace("1SDV", "1SDH")]}),
        (S1_ROW, {"items": [S1.replace("_IW_", "_EW_")]}),
        (S1_ROW, {"items": [S1, S2]}),
        (S1_ROW, {"items": [S1.replace("045814", "045714")]}),
        (S2_ROW, {"datetime": S2_ROW["datetime"] + dt.timedelta(days=1)}),
        (S2_ROW, {**EARTH_SEARCH, "datetime": S2_ROW["datetime"] - dt.timedelta(days=1)}),
        (S2_ROW, {"items": [S2.replace("20240412T123458", "20230412T123458")]}),
        (S2_ROW, {"items": [S2.replace("L2A", "L1C")]}),
        (S2_ROW, {**WITH_BASELINE, "baseline": "05.09"}),
        (S2_ROW, {"relative_orbit": 122}),
        (S2_ROW, {"lat": -41.9}),
        (S2_ROW, {"lon": 41.9, "lat": 11.7}),
        (S2_ROW, {"lon": 17.7}),
        (S2_ROW, {"items": [S2.replace("32TQM", "32TQW")]}),
        (S2_ROW, {"items": [S2.replace("32TQM", "33SQM")]}),
    ],
)  # fmt: skip
def test_an_item_that_contradicts_the_row_is_flagged(row: dict[str, Any], change: dict[str, Any]) -> None:
    problems = flags("item-names", S1_ROW | {"id": "clean"}, row | change)
    assert problems and set().union(*problems.values()) == {row["id"]}


def test_items_of_a_catalogue_with_other_names_are_not_compared() -> None:
    with pytest.raises(NotApplicable):
        flags("item-names", {**S2_ROW, "items": ["scene-17"]}, {**S1_ROW, "items": []})


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (S1_ROW, {"orbit_direction": "ascending"}),
        (S1_ROW, {"orbit_direction": "ASCENDING"}),
        (S1_ROW, {"relative_orbit": 176, "platform": None}),
        (S1_ROW, {"relative_orbit": 60}),
        (S1_ROW, {"platform": "sentinel-1b"}),
        (S1_ROW, {"platform": "sentinel-2a"}),
        (S1_ROW, {"datetime": S1_ROW["datetime"] + dt.timedelta(days=6)}),
        (S1_ROW, {"datetime": S1_ROW["datetime"] + dt.timedelta(hours=6), "platform": None, "orbit_direction": None}),
        (S2_ROW, {"orbit_direction": "ascending"}),
        (S2_ROW, {"datetime": S2_ROW["datetime"] - dt.timedelta(days=365)}),
        (S2_ROW, {"datetime": S2_ROW["datetime"] + dt.timedelta(hours=2)}),
        (S2_ROW, {"lon": -75.0}),
    ],
)  # fmt: skip
def test_an_image_that_no_orbit_allows_is_flagged(row: dict[str, Any], change: dict[str, Any]) -> None:
    problems = flags("orbit", S1_ROW | {"id": "clean"}, row | change)
    assert problems and set().union(*problems.values()) == {row["id"]}


def test_images_of_unnamed_satellites_and_of_the_poles_pass() -> None:
    bare = {"platform": "sentinel-2", "orbit_direction": None, "relative_orbit": None}
    assert flags("orbit", S2_ROW | bare, S2_ROW | bare | {"id": "north", "lat": 82.0, "lon": 97.0}) == {}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (S2_ROW, {"cloud_pct": 0.025}),
        (S2_ROW, {"cloud_pct": None}),
        (S2_ROW, {"shadow_pct": 99.0}),
        (S2_ROW, {"snow_pct": -2.5}),
        (S2_ROW, {"valid_pct": 99.123}),
        (S2_ROW, {"valid_pct": 100.5}),
        (S1_ROW, {"cloud_pct": 0.0, "shadow_pct": 0.0, "snow_pct": 0.0}),
    ],
)
def test_shares_that_no_mask_has_are_flagged(row: dict[str, Any], change: dict[str, Any]) -> None:
    assert flags("mask-shares", S1_ROW, S2_ROW) == {}
    problems = flags("mask-shares", {**row, "id": "clean"}, row | change)
    assert problems and set().union(*problems.values()) == {row["id"]}
