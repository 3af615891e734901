"""The header is right: grids that STAC items get wrong, and images no grid places."""

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine
from shapely import box

from landmark.stac.header_probe import HeaderProbe, grid_mismatch, probe_header
from tests.extract.scenes import s1_pixels, write_item
from tests.parts import acquisition
from tests.raster.rasters import write_raster


def looked(tmp_path, one, **changes):
    said = acquisition(sensor="s1", items=(one,), origin=(600_000.0, 5_040_000.0), size_px=(240, 240), **changes)
    return said, probe_header(HeaderProbe(said, "vv", f"{tmp_path}/"))


def test_an_item_that_agrees_is_left_as_it_is(tmp_path):
    said, measured = looked(tmp_path, write_item(tmp_path, s1_pixels()))
    assert measured == said and grid_mismatch(said, measured) is None


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"transform": Affine(10, 0, 612_345, 0, -10, 5_040_000)}, "origin", (612_345.0, 5_040_000.0)),
        ({"transform": Affine(100, 0, 600_000, 0, -100, 5_040_000)}, "pixel_m", 100.0),
        ({"crs": "EPSG:32633"}, "epsg", 32633),
    ],
)
def test_where_an_item_says_otherwise_the_file_is_right_and_a_finding_says_so(tmp_path, options, field, value):
    said, measured = looked(tmp_path, write_item(tmp_path, s1_pixels(), **options))
    assert getattr(measured, field) == value
    assert f"{said.items[0].id}: the item says 240 x 240 px of 10 m" in grid_mismatch(said, measured)


def test_an_item_that_says_nothing_is_no_finding(tmp_path):
    said, measured = looked(tmp_path, write_item(tmp_path, s1_pixels()), pixel_m=0.0, footprint=box(9, 45, 11, 46))
    assert measured.pixel_m == 10 and grid_mismatch(said, measured) is None


def test_an_image_placed_by_ground_control_points_is_refused(tmp_path):
    one = write_item(tmp_path, s1_pixels())
    points = [GroundControlPoint(row, col, col, row) for row in (0, 239) for col in (0, 239)]
    with rasterio.open(
        tmp_path / "one/vv.tif", "w", driver="GTiff", width=240, height=240, count=1, dtype="uint16", gcps=points,
        crs="EPSG:4326",
    ) as to:  # fmt: skip
        to.write(np.ones((240, 240), "uint16"), 1)
    _, outcome = looked(tmp_path, one)
    assert (outcome.stage, outcome.reason) == ("stac", "not_geocoded")
    assert outcome.detail == "vv has 4 ground control points"


def test_an_image_nothing_places_is_refused(tmp_path):
    one = write_item(tmp_path, s1_pixels())
    write_raster(tmp_path / "one/vv.tif", s1_pixels()["vv"], crs=None)
    _, outcome = looked(tmp_path, one)
    assert (outcome.reason, outcome.detail) == ("not_geocoded", "vv has no grid")


def test_a_file_that_is_gone_is_told(tmp_path):
    one = write_item(tmp_path, s1_pixels())
    (tmp_path / "one/vv.tif").unlink()
    _, outcome = looked(tmp_path, one)
    assert (outcome.reason, outcome.final) == ("read_error", False)
