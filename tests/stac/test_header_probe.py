"""Grids of headers override those of STAC items; images without a grid are dropped."""

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


def probe(tmp_path, item, **changes):
    cataloged = acquisition(sensor="s1", items=(item,), origin=(600_000.0, 5_040_000.0), size_px=(240, 240), **changes)
    return cataloged, probe_header(HeaderProbe(cataloged, "vv", f"{tmp_path}/"))


def test_consistent_item_is_unchanged(tmp_path):
    cataloged, measured = probe(tmp_path, write_item(tmp_path, s1_pixels()))
    assert measured == cataloged and grid_mismatch(cataloged, measured) is None


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"transform": Affine(10, 0, 612_345, 0, -10, 5_040_000)}, "origin", (612_345.0, 5_040_000.0)),
        ({"transform": Affine(100, 0, 600_000, 0, -100, 5_040_000)}, "pixel_m", 100.0),
        ({"crs": "EPSG:32633"}, "epsg", 32633),
    ],
)
def test_grid_of_the_file_overrides_the_item_with_a_finding(tmp_path, options, field, value):
    cataloged, measured = probe(tmp_path, write_item(tmp_path, s1_pixels(), **options))
    assert getattr(measured, field) == value
    assert cataloged.items[0].id in grid_mismatch(cataloged, measured)


def test_item_without_grid_is_no_finding(tmp_path):
    cataloged, measured = probe(tmp_path, write_item(tmp_path, s1_pixels()), pixel_m=0.0, footprint=box(9, 45, 11, 46))
    assert measured.pixel_m == 10 and grid_mismatch(cataloged, measured) is None


def test_image_with_ground_control_points_is_dropped(tmp_path):
    item = write_item(tmp_path, s1_pixels())
    points = [GroundControlPoint(row, col, col, row) for row in (0, 239) for col in (0, 239)]
    with rasterio.open(
        tmp_path / "one/vv.tif", "w", driver="GTiff", width=240, height=240, count=1, dtype="uint16", gcps=points,
        crs="EPSG:4326",
    ) as to:  # fmt: skip
        to.write(np.ones((240, 240), "uint16"), 1)
    _, record = probe(tmp_path, item)
    assert (record.stage, record.reason) == ("stac", "not_geocoded")


def test_image_without_grid_is_dropped(tmp_path):
    item = write_item(tmp_path, s1_pixels())
    write_raster(tmp_path / "one/vv.tif", s1_pixels()["vv"], crs=None)
    _, record = probe(tmp_path, item)
    assert record.reason == "not_geocoded"


def test_missing_file_is_dropped_as_retryable(tmp_path):
    item = write_item(tmp_path, s1_pixels())
    (tmp_path / "one/vv.tif").unlink()
    _, record = probe(tmp_path, item)
    assert (record.reason, record.final) == ("read_error", False)
