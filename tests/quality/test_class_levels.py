"""Forests outside the range of published levels are reported, in their green season and over several images."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.check_input import CheckInput, CorpusContext
from landmark.quality.findings import NotApplicable
from tests.quality.measured_corpus import run_check, sample_table

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
FOREST: dict[str, Any] = {
    "s1": {"vv_p50_db": -8.0, "vh_p50_db": -14.0},
    "s2": {"B08_p50_dn": 2800.0, "cloud_pct": 0.0},
}


def subjects(sensor: str, month: int = 7, lat: float = 50, trees: float = 0.9, **changes: Any) -> set[str]:
    """Subjects of the flags of 12 forest samples of 3 acquisitions."""
    rows = [
        {
            "id": f"{index:02}", "sensor": sensor, "items": [f"item {index % 3}"], "lat": lat,
            "datetime": datetime(2021, month, 1, tzinfo=UTC), "fractions": [("trees", trees), ("crops", 1 - trees)],
            **FOREST[sensor], **changes,
        }
        for index in range(12)
    ]  # fmt: skip
    manifest: Any = SimpleNamespace(taxonomy=TAXONOMY)
    context = CorpusContext(Path(), manifest, None, {}, {})
    inputs = CheckInput(context, sample_table(rows), {}, {}, all_pixels=True)
    return {flag.subject for flag in run_check("class-levels", inputs)}


@pytest.mark.parametrize(
    ("sensor", "changes", "expected"),
    [
        ("s1", {}, set()),
        ("s1", {"vv_p50_db": -6.5, "vh_p50_db": -12.5}, set()),
        ("s1", {"vv_p50_db": -12.5, "vh_p50_db": -18.5}, {"s1 vv_p50_db", "s1 vh_p50_db"}),
        ("s1", {"vh_p50_db": -10.5}, {"s1 vh_p50_db"}),
        ("s2", {}, set()),
        ("s2", {"B08_p50_dn": 6000.0}, {"s2 B08_p50_dn"}),
        ("s2", {"B08_p50_dn": 900.0}, {"s2 B08_p50_dn"}),
    ],
)
def test_levels_outside_the_published_range_are_reported(
    sensor: str, changes: dict[str, Any], expected: set[str]
) -> None:
    assert subjects(sensor, **changes) == expected


def test_southern_and_tropical_forests_are_compared_in_their_green_season() -> None:
    for month, lat in ((1, -45), (1, 5), (7, -20)):
        assert subjects("s1", month, lat, vh_p50_db=-20.0) == {"s1 vh_p50_db"}


@pytest.mark.parametrize("facts", [{"month": 1}, {"lat": -45}, {"trees": 0.4}])
def test_frozen_or_mixed_land_is_not_compared(facts: dict[str, Any]) -> None:
    with pytest.raises(NotApplicable):
        subjects("s1", **facts, vh_p50_db=-20.0)
