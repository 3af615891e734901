"""The place of a sample: outlines against the square of the transform."""

from types import SimpleNamespace
from typing import Any

import pytest
import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT, reproject, split_antimeridian, transformer
from landmark.grid.cells import cell_corner
from landmark.quality.rows.row_checks import ROW_CHECKS
from tests.quality.measured_corpus import PROFILE

EDGE_M = 1200
CONTEXT: Any = SimpleNamespace(manifest=SimpleNamespace(resolution_m=10, patch_px=120))


def row_of(cell: str) -> dict[str, Any]:
    """A sample of a cell, with the outline that landmark writes."""
    corner = cell_corner(cell, EDGE_M)
    assert corner is not None
    epsg, left, top = corner
    square = shapely.box(left, top - EDGE_M, left + EDGE_M, top)
    lon, lat = transformer(epsg, LONLAT).transform(left + EDGE_M / 2, top - EDGE_M / 2)
    return {
        "cell": cell,
        "epsg": epsg,
        "shard": "shards/s2-train-0000.parquet",
        "sensor": "s2",
        "split": "train",
        "transform": [10, 0, left, 0, -10, top],
        "lon": lon,
        "lat": lat,
        "geometry": shapely.to_wkb(split_antimeridian(reproject(square, epsg, LONLAT))),
    }


def problems(row: dict[str, Any]) -> list[str]:
    return [problem for problem, _ in ROW_CHECKS["placement"](row, CONTEXT, PROFILE.checks["placement"].limits)]


@pytest.mark.parametrize("cell", ["33n_221_4196", "34s_414_3123", "01n_141_5555", "60s_700_7000"])
def test_outlines_of_landmark_are_squares(cell: str) -> None:
    assert problems(row_of(cell)) == []


@pytest.mark.parametrize("change", [
    lambda outline: shapely.box(*outline.bounds),
    lambda outline: shapely.Polygon(outline.exterior.coords[:3]),
    lambda outline: affinity.scale(outline, 1.005, 1.005),
    lambda outline: affinity.translate(outline, 0, 1e-4),
    lambda outline: affinity.rotate(outline, 1),
    lambda outline: shapely.Polygon(),
], ids=["enclosing rectangle", "triangle", "scaled", "moved by 11 m", "rotated", "empty"])  # fmt: skip
def test_outlines_that_are_not_the_square_are_named(change: Any) -> None:
    row = row_of("33n_221_4196")
    outline: BaseGeometry = change(shapely.from_wkb(row["geometry"]))
    assert problems(row | {"geometry": shapely.to_wkb(outline)}) == ["geometry is not the square of the transform"]


def test_degrees_of_six_decimals_are_the_square() -> None:
    row = row_of("33n_221_4196")
    rounded = shapely.transform(shapely.from_wkb(row["geometry"]), lambda points: points.round(6))
    assert problems(row | {"geometry": shapely.to_wkb(rounded)}) == []
