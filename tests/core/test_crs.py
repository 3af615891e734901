"""Geometries at the antimeridian: two narrow parts, never one around the Earth."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.crs import LONLAT, lonlat_problem, normalize_lonlat, reproject, split_antimeridian
from landmark.core.errors import InputError
from landmark.grid.cells import utm_cells
from tests.parts import examples, raises


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


@pytest.mark.parametrize(
    ("bounds", "value"),
    [
        ([45, 111, 46, 112], [45, 111, 46, 112]),
        ([6e5, 5e6, 61e4, 501e4], [6e5, 5e6, 61e4, 501e4]),
        ([0, 0, 361, 1], [0, 0, 361, 1]),
        ([45, 111, 45, 111], [45, 111]),
    ],
)
def test_coordinates_that_are_no_degrees_are_refused(bounds, value):
    west, south, east, north = bounds
    shape = shapely.Point(west, south) if west == east else shapely.box(*bounds)
    with raises(InputError, name="a.geojson", key="feature 1", value=value):
        normalize_lonlat(shape, file="a.geojson", key="feature 1")
    swapped = lonlat_problem([south, west, north, east]) is None
    assert ("swapped" in (lonlat_problem(bounds) or "")[0]) == swapped


def test_longitudes_that_count_from_zero_are_wrapped():
    box = shapely.box(350, 45, 351, 46)
    assert normalize_lonlat(box).equals(shapely.box(-10, 45, -9, 46))
    assert normalize_lonlat(shapely.Point(350.5, 45)) == shapely.Point(-9.5, 45)
    crossing = shapely.Polygon([(179, 1), (-179, 1), (-179, 2), (179, 2)])
    assert normalize_lonlat(crossing).equals(shapely.union(shapely.box(179, 1, 180, 2), shapely.box(-180, 1, -179, 2)))


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
