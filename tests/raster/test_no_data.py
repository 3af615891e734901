"""Nodata values, masks, alpha bands, side-cars, band numbers and reversed rows of files as people have them."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import open_raster
from landmark.raster.side_cars import raster_sha256
from landmark.raster.source import MissingBand
from tests.raster.rasters import noise, write_raster
from tests.raster.serving import serving

SIZE = 96
HOLE = np.s_[10:40, 50:80]
PIXELS = noise((SIZE, SIZE), "uint16") % 1000 + 1


def _nodata(path):
    holed = PIXELS.copy()
    holed[HOLE] = 65535
    write_raster(path, holed, nodata=65535)


def _masked(path, *, internal=True, **options):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        write_raster(path, PIXELS, **options)
        mask = np.full((SIZE, SIZE), 255, "uint8")
        mask[HOLE] = 0
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)


def _mask_file(path):
    _masked(path, internal=False)
    assert path.with_name(f"{path.name}.msk").exists()


def _alpha(path, *, interleave="band", **options):
    alpha = np.full((SIZE, SIZE), 65535, "uint16")
    alpha[HOLE] = 0
    write_raster(path, np.stack([PIXELS, alpha]), interleave=interleave, ALPHA="YES", **options)
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[1] == ColorInterp.alpha


def _nodata_in_side_car(path):
    """The nodata value stands in a file beside the raster."""
    holed = PIXELS.copy()
    holed[HOLE] = 7777
    write_raster(path, holed)
    path.with_name(f"{path.name}.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>7777</NoDataValue></PAMRasterBand></PAMDataset>'
    )


def _nodata_of_all_bands(path):
    _nodata(path)
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = None
        dataset.update_tags(NODATA_VALUES="65535")


HOLED = {
    "nodata": _nodata,
    "mask inside": _masked,
    "mask inside, nodata": lambda path: _masked(path, nodata=0),
    "mask file": _mask_file,
    "alpha": _alpha,
    "alpha, nodata": lambda path: _alpha(path, nodata=0),
    "alpha, by pixel": lambda path: _alpha(path, interleave="pixel"),
    "side-car": _nodata_in_side_car,
    "NODATA_VALUES": _nodata_of_all_bands,
}


@pytest.mark.parametrize("write", HOLED.values(), ids=HOLED)
def test_pixels_without_data_are_filled_and_masked(tmp_path, write):
    path = tmp_path / "a.tif"
    write(path)
    expected = PIXELS.copy()
    expected[HOLE] = 0
    with open_raster(str(path)) as raster:
        assert raster.header.n_bands == 1
        (chip,) = raster.chips([(5, 8)], 88, fill=raster.fill(0))
        window = raster.read_window(5, 8, 88, 88)
    assert np.array_equal(chip, expected[5:93, 8:96])
    assert np.array_equal(np.ma.getmaskarray(window), expected[5:93, 8:96] == 0)


@pytest.mark.parametrize("name", ["nodata", "mask inside", "alpha"])
def test_pixels_without_data_are_filled_over_http(tmp_path, name):
    HOLED[name](tmp_path / "a.tif")
    with serving(tmp_path) as files, open_raster(files.href("a.tif")) as raster:
        (chip,) = raster.chips([(0, 0)], SIZE, fill=raster.fill(0))
    assert (chip[HOLE] == 0).all() and np.count_nonzero(chip) == SIZE * SIZE - 900


@pytest.mark.parametrize(
    ("dtype", "header", "profile"),
    [("uint16", None, 7), ("uint16", 9, 7), ("uint16", None, -9999), ("float32", 0.1, None), ("float32", -3.4e38, 0.1)],
)
def test_nodata_of_header_and_profile_count_in_the_type_of_the_pixels(tmp_path, dtype, header, profile):
    values = np.ones((8, 8), dtype)
    for column, number in enumerate((header, profile)):
        if number is not None and (dtype == "float32" or number >= 0):
            values[:, column] = number
    expected = values == 1
    path = write_raster(tmp_path / "a.tif", values, nodata=header)
    with open_raster(str(path)) as raster:
        (chip,) = raster.chips([(0, 0)], 8, fill=raster.fill(0, [profile]))
    assert np.array_equal(chip == 1, expected) and not chip[~expected].any()


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("options", [{}, {"predictor": 2}, {"tiled": False, "blockysize": 7}, {"driver": "COG"}])
def test_a_band_is_read_by_number(tmp_path, interleave, options):
    bands = np.stack([noise((SIZE, SIZE), "uint16", seed) for seed in range(3)])
    if options.get("driver") == "COG":
        options = options | {"tiled": False, "blockysize": None}
    path = write_raster(tmp_path / "a.tif", bands, **{"interleave": interleave} | options)
    for number in (1, 2, 3):
        with open_raster(str(path), band=number) as raster:
            assert raster.header.n_bands == 3
            (chip,) = raster.chips([(3, 4)], 90)
        assert np.array_equal(chip, bands[number - 1, 3:93, 4:94])
    with pytest.raises(MissingBand), open_raster(str(path), band=4):
        pass


@pytest.mark.parametrize("options", [{}, {"ENDIANNESS": "BIG"}, {"nodata": 7}])
def test_rows_from_south_to_north_are_reversed(tmp_path, options):
    pixels = noise((100, 120), "uint16")
    pixels[3, 5] = 7
    plain = write_raster(tmp_path / "plain.tif", pixels, **options)
    turned = write_raster(
        tmp_path / "turned.tif", pixels[::-1], transform=Affine(10, 0, 600_000, 0, 10, 5_039_000), **options
    )
    corners = [(0, 0), (3, 40), (70, 90)]
    with open_raster(str(plain)) as first, open_raster(str(turned)) as second:
        assert first.header == second.header and first.transform == second.transform
        pairs = zip(first.chips(corners, 30), second.chips(corners, 30), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
        windows = [raster.read_window(2, 3, 60, 70) for raster in (first, second)]
    assert np.array_equal(windows[0].data, windows[1].data)
    assert np.array_equal(*(np.ma.getmaskarray(window) for window in windows))


AUX = "<PAMDataset>{}</PAMDataset>"


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("a.tif.aux.xml", AUX.format("<SRS>EPSG:32633</SRS>"), {"crs": None}, {"epsg": 32633}),
        ("a.tfw", "10\n0\n0\n-10\n612345\n5039995\n", {"transform": None}, {"origin": (612_340.0, 5_040_000.0)}),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_georeference_in_a_side_car_counts(tmp_path, name, content, options, expected):
    path = write_raster(tmp_path / "a.tif", PIXELS, **options)
    (tmp_path / name).write_text(content)
    with open_raster(str(path)) as raster:
        assert {field: getattr(raster.header, field) for field in expected} == expected
        assert raster.route == "direct"
        (chip,) = raster.chips([(0, 0)], SIZE)
    assert not isinstance(chip, FailedChip) and np.array_equal(chip, PIXELS)


def test_the_digest_of_a_raster_covers_side_cars(tmp_path):
    path = write_raster(tmp_path / "a.tif", PIXELS)
    digests = [raster_sha256(path)]
    for content in ("<PAMDataset/>", "<PAMDataset></PAMDataset>"):
        (tmp_path / "a.tif.aux.xml").write_text(content)
        digests.append(raster_sha256(path))
    (tmp_path / "a.tif.ovr").write_bytes(b"overviews")
    assert len(set(digests)) == 3 and raster_sha256(path) == digests[-1]


GRIDS = {
    "degrees": ({"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 11.5, 0, -1e-4, 45.5)}, "EPSG:32632"),
    "feet": ({"crs": "EPSG:2263"}, "US survey foot"),
    "rotated": ({"transform": Affine(10, 1, 0, 1, -10, 0)}, "rotated"),
    "mirrored": ({"transform": Affine(-10, 0, 0, 0, -10, 0)}, "-10 x 10 m"),
    "oblong": ({"transform": Affine(10, 0, 0, 0, -20, 0)}, "10 x 20 m"),
    "no CRS": ({"crs": None}, "no CRS"),
}


@pytest.mark.parametrize(("options", "word"), GRIDS.values(), ids=GRIDS)
def test_an_unusable_grid_is_named(tmp_path, options, word):
    path = write_raster(tmp_path / "a.tif", PIXELS, **options)
    with open_raster(str(path)) as raster:
        assert word in (raster.grid_problem or "")
