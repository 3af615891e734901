"""Geometries at the antimeridian: two narrow parts, never one around the Earth."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.crs import LONLAT, reproject, split_antimeridian
from landmark.grid.cells import utm_cells
from tests.parts import examples


@given(st.floats(-179, 179), st.floats(0.01, 20))
@examples(60)
def test_boxes_beyond_180_degrees_keep_their_area(west, width):
    box = split_antimeridian(shapely.box(west, 10, west + width, 11))
    assert box.area == pytest.approx(width)
    assert box.bounds[0] >= -180 and box.bounds[2] <= 180
    assert all(part.geom_type == "Polygon" for part in shapely.get_parts(box))


def test_outlines_elsewhere_are_unchanged():
    box = shapely.box(10, 45, 11, 46)
    assert split_antimeridian(box) is box


@pytest.mark.parametrize(("epsg", "west", "east"), [(32660, 179.98, 180), (32601, -180, -179.98)])
def test_cells_at_the_antimeridian_keep_their_area(epsg, west, east):
    cells = utm_cells(shapely.box(west, 16, east, 16.2), cell_m=1200, block_m=24_000).to_pylist()
    n_split = 0
    for cell in cells:
        square = shapely.box(cell["x"], cell["y"] - 1200, cell["x"] + 1200, cell["y"])
        outline = split_antimeridian(reproject(square, epsg, LONLAT))
        assert outline.area == pytest.approx(0.000123, rel=0.05)
        n_split += outline.geom_type == "MultiPolygon"
    assert n_split
