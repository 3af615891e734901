"""Label rasters as people have them: masks and side-cars, several bands, rows from south to north, rotated grids."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from landmark.core.errors import InputError
from landmark.labels.files import file_digest
from tests.labels.maps import (
    DYNAMIC,
    LEFT,
    TOP,
    WORLDCOVER,
    codes_at,
    local_maps,
    scattered_points,
    write_export,
    write_map,
)
from tests.parts import raises

ROWS, COLS = np.mgrid[0:30, 0:40]
CODES = np.where(COLS < 20, 10, 80).astype("uint8")
POINTS = scattered_points(32632, LEFT + 10 * COLS.ravel() + 5, TOP - 10 * ROWS.ravel() - 5)


def sample(path, crosswalk=WORLDCOVER):
    (label,) = local_maps(crosswalk, path)
    return codes_at(label, crosswalk, POINTS).reshape(CODES.shape)


def mask(path, *, internal):
    values = np.full(CODES.shape, 255, "uint8")
    values[5:15, 15:25] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as data:
        data.write_mask(values)
    return values == 0


@pytest.mark.parametrize("nodata", [None, 0, 255])
@pytest.mark.parametrize("internal", [True, False], ids=["inside", "beside"])
def test_masked_pixels_have_no_class(tmp_path, internal, nodata):
    codes = CODES.copy()
    codes[0, 0] = 255 if nodata == 255 else 0
    path = write_map(tmp_path / "map_2021.tif", codes, nodata=nodata)
    before = file_digest(path)
    is_masked = mask(path, internal=internal)
    assert (sample(path) == np.where(is_masked | (codes != CODES), -1, CODES.astype(int))).all()
    digests = {before, file_digest(path)}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as data:
        data.write_mask(np.full(CODES.shape, 255, "uint8"))
    assert len(digests | {file_digest(path)}) == 3


def test_masked_pixels_of_an_export_are_not_water(tmp_path):
    path = write_export(tmp_path / "20210612T101031_32TQR.tif", np.where(COLS < 20, 1, 4).astype("float32"))
    is_masked = mask(path, internal=False)
    assert (sample(path, DYNAMIC) == np.where(is_masked, -1, np.where(COLS < 20, 1, 4))).all()


def test_a_crs_in_a_side_car_counts(tmp_path):
    path = write_map(tmp_path / "map_2021.tif", CODES, crs=None)
    with raises(InputError, name="map_2021.tif"):
        sample(path)
    (tmp_path / "map_2021.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>")
    assert (sample(path) == CODES).all()


@pytest.mark.parametrize(
    ("turn", "transform"),
    [
        (lambda codes: codes[::-1], Affine(10, 0, LEFT, 0, 10, TOP - 300)),
        (lambda codes: codes[:, ::-1], Affine(-10, 0, LEFT + 400, 0, -10, TOP)),
        (lambda codes: codes.T, Affine(0, 10, LEFT, -10, 0, TOP)),
    ],
    ids=["south up", "mirrored", "rotated"],
)
def test_the_order_of_rows_and_columns_does_not_matter(tmp_path, turn, transform):
    codes = np.where(ROWS < 10, 50, CODES)
    path = write_map(tmp_path / "map_2021.tif", turn(codes), transform=transform)
    assert (sample(path) == codes).all()


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_of_several_bands_the_named_band_is_read_and_without_a_name_none(tmp_path, interleave):
    path = write_map(tmp_path / "map_2021.tif", CODES // 2, CODES, names=["count", "codes"], interleave=interleave)
    with raises(InputError, name="map_2021.tif", value=2):
        sample(path)
    named = WORLDCOVER.model_copy(update={"files": WORLDCOVER.files.model_copy(update={"band": "codes"})})
    assert (sample(path, named) == CODES).all()
    missing = WORLDCOVER.model_copy(update={"files": WORLDCOVER.files.model_copy(update={"band": "classes"})})
    with raises(InputError, name="map_2021.tif", value="classes"):
        sample(path, missing)
