import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from landmark.raster.reader import FailedChip, open_raster
from landmark.raster.source import Unreadable
from tests.parts import examples
from tests.raster.rasters import noise, spoil, watched, write_raster

LAYOUTS = [
    ("tiles of 16", {"blockxsize": 16, "blockysize": 16}),
    ("tiles of 64", {}),
    ("oblong tiles", {"blockxsize": 128, "blockysize": 32}),
    ("one tile larger than the raster", {"blockxsize": 512, "blockysize": 512}),
    ("strips of a row", {"tiled": False, "blockysize": 1}),
    ("strips of seven rows", {"tiled": False, "blockysize": 7}),
    ("GDAL's own strips", {"tiled": False, "blockysize": None}),
    ("not compressed", {"compress": None}),
    ("LZW with a predictor", {"compress": "lzw", "predictor": 2}),
    ("big-endian", {"ENDIANNESS": "BIG"}),
]
DTYPES = ("uint8", "uint16", "int16", "int32", "float32", "float64")


@st.composite
def cuttings(draw):
    """(shape, size, corners): squares that lie inside, some of them against the raster's edges."""
    height, width = draw(st.integers(12, 210)), draw(st.integers(12, 210))
    size = draw(st.integers(1, min(height, width)))
    rows = st.integers(0, height - size) | st.sampled_from([0, height - size])
    cols = st.integers(0, width - size) | st.sampled_from([0, width - size])
    corners = draw(st.lists(st.tuples(rows, cols), max_size=12))
    return (height, width), size, sorted(corners)


def windows(path, corners, size):
    with rasterio.open(path) as data:
        return [data.read(1, window=Window(col, row, size, size)) for row, col in corners]


@pytest.mark.parametrize("layout", [pytest.param(options, id=name) for name, options in LAYOUTS])
@given(cuttings(), st.sampled_from(DTYPES))
@examples(25)
def test_chips_equal_the_windows_rasterio_reads(tmp_path, layout, cutting, dtype):
    shape, size, corners = cutting
    if dtype.startswith("float") and layout.get("predictor"):
        layout = layout | {"predictor": 3}
    path = write_raster(tmp_path / "a.tif", noise(shape, dtype), **layout)
    with open_raster(str(path)) as raster:
        chips = list(raster.chips(corners, size))
    assert len(chips) == len(corners)
    for chip, expected in zip(chips, windows(path, corners, size), strict=True):
        assert chip.dtype == dtype and np.array_equal(chip, expected)


@given(cuttings())
@examples(15)
def test_chips_equal_a_nearest_warp_onto_each_chip(tmp_path, cutting):
    shape, size, corners = cutting
    path = write_raster(tmp_path / "a.tif", noise(shape, "uint16"))
    with open_raster(str(path)) as raster, rasterio.open(path) as data:
        for chip, (row, col) in zip(raster.chips(corners, size), corners, strict=True):
            onto = data.transform @ Affine.translation(col, row)
            with WarpedVRT(data, crs=data.crs, transform=onto, width=size, height=size) as warped:
                assert np.array_equal(chip, warped.read(1))


@pytest.mark.parametrize("layout", [pytest.param(options, id=name) for name, options in LAYOUTS])
@given(cuttings())
@examples(25)
def test_every_block_is_read_once_and_none_that_no_chip_touches(tmp_path, layout, cutting):
    shape, size, corners = cutting
    path = write_raster(tmp_path / "a.tif", noise(shape, "uint16"), **layout)
    with watched(path) as seen:
        list(seen.raster.chips(corners, size))
    read = [block for request in seen.requests for block in request]
    touched = {(row // high, col // wide) for high, wide in [seen.block] for row, col in _pixels(corners, size)}
    assert sorted(read) == sorted(touched)


def _pixels(corners, size):
    """Every pixel of some squares."""
    return {(row + down, col + right) for row, col in corners for down in range(size) for right in range(size)}


@pytest.mark.parametrize("layout", [{}, {"ENDIANNESS": "BIG"}], ids=["by ranges", "by GDAL"])
def test_neighbouring_blocks_of_a_strip_are_one_read_and_a_gap_makes_two(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", noise((64, 64 * 6), "uint16"), **layout)
    with watched(path) as seen:
        list(seen.raster.chips([(0, 10), (0, 100), (0, 330)], 50))
    assert sorted(seen.requests) == [[(0, 0), (0, 1), (0, 2)], [(0, 5)]]


@pytest.mark.parametrize("layout", [{}, {"ENDIANNESS": "BIG"}], ids=["by ranges", "by GDAL"])
def test_no_strip_is_asked_for_earlier_than_one_ahead_of_the_chips_taken(tmp_path, monkeypatch, layout):
    monkeypatch.setattr("landmark.raster.reader._AHEAD_BYTES", 1)
    path = write_raster(tmp_path / "a.tif", noise((512, 64), "uint16"), **layout)
    corners = [(row, 0) for row in range(0, 512, 64)]
    with watched(path) as seen:
        for number, _ in enumerate(seen.raster.chips(corners, 20)):
            assert max(row for request in seen.requests for row, _ in request) <= number + 1
    assert len(seen.requests) == 8


def test_a_chip_outside_the_raster_is_an_error_and_never_other_pixels(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((128, 192), "uint16"))
    with open_raster(str(path)) as raster:
        for corner in ((-1, 0), (0, -1), (109, 0), (0, 173)):
            with pytest.raises(ValueError, match="lie not in 128 x 192"):
                raster.chips([corner], 20)


def test_however_well_blocks_compress_no_more_than_a_few_megabytes_of_chips_are_held(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.ones((64 * 200, 512), "uint16"))
    corners = [(row, col) for row in range(0, 64 * 200, 64) for col in range(0, 512, 64)]
    with watched(path) as seen:
        for number, _ in enumerate(seen.raster.chips(corners, 64)):
            strips = len({row for request in seen.requests for row, _ in request}) - number // 8
            assert strips * 64 * 512 * 2 < 20e6


def test_a_raster_that_is_closed_asks_for_nothing_more(tmp_path, monkeypatch):
    alone = ThreadPoolExecutor(1)
    monkeypatch.setattr("landmark.raster.direct.threads", lambda: alone)
    path = write_raster(tmp_path / "a.tif", noise((64 * 8, 64), "uint16"))
    with watched(path) as seen:
        slow = seen.get
        seen.get = lambda *args, **said: (time.sleep(0.2), slow(*args, **said))[1]
        seen.raster.chips([(64 * row, 0) for row in range(8)], 64)
    time.sleep(0.5)
    assert len(seen.requests) <= 2


def test_no_corner_gives_no_chip_and_no_read(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((64, 64), "uint16"))
    with watched(path) as seen:
        assert list(seen.raster.chips([], 20)) == [] and seen.requests == []


def test_chips_that_nobody_takes_leave_nothing_to_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("landmark.raster.reader._AHEAD_BYTES", 1)
    path = write_raster(tmp_path / "a.tif", noise((64 * 40, 64), "uint16"))
    with watched(path) as seen:
        chips = seen.raster.chips([(row * 64, 0) for row in range(40)], 20)
        next(chips)
        chips.close()
    assert len(seen.requests) < 40


@given(st.integers(0, 3), st.integers(0, 3), cuttings())
@examples(40)
def test_a_spoiled_block_spoils_exactly_the_chips_that_touch_it(tmp_path, caplog, bad_row, bad_col, cutting):
    shape, size, corners = cutting
    block = 64 if max(shape) > 64 else 16
    bad_row, bad_col = min(bad_row, (shape[0] - 1) // block), min(bad_col, (shape[1] - 1) // block)
    pixels = noise(shape, "uint16")
    path = write_raster(tmp_path / "a.tif", pixels, blockxsize=block, blockysize=block)
    spoil(path, bad_row, bad_col)
    caplog.set_level(logging.ERROR)
    with open_raster(str(path)) as raster:
        chips = list(raster.chips(corners, size))
    for chip, (row, col) in zip(chips, corners, strict=True):
        touches = row < (bad_row + 1) * block and row + size > bad_row * block
        touches &= col < (bad_col + 1) * block and col + size > bad_col * block
        assert isinstance(chip, FailedChip) == touches
        if not touches:
            assert np.array_equal(chip, pixels[row : row + size, col : col + size])


def test_a_spoiled_block_is_named_by_its_first_pixel(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((128, 192), "uint16"))
    spoil(path, 1, 2)
    with open_raster(str(path)) as raster:
        (chip,) = raster.chips([(70, 130)], 40)
    assert chip == FailedChip("block at row 64, column 128 unreadable")


def test_a_spoiled_block_refuses_a_window_over_it_and_no_other(tmp_path):
    pixels = noise((128, 128), "uint16")
    path = write_raster(tmp_path / "a.tif", pixels)
    spoil(path, 1, 1)
    with open_raster(str(path)) as raster:
        assert np.array_equal(raster.read_window(3, 5, 60, 100), pixels[3:63, 5:105])
        with pytest.raises(Unreadable):
            raster.read_window(60, 60, 10, 10)


@pytest.mark.parametrize("options", [{}, {"nodata": 7}, {"nodata": 0}, {"nodata": 7, "ENDIANNESS": "BIG"}])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_window_masks_what_rasterio_masks(tmp_path, dtype, options):
    pixels = np.random.default_rng(2).integers(0, 9, (150, 200)).astype(dtype)
    path = write_raster(tmp_path / "a.tif", pixels, **options)
    with open_raster(str(path)) as raster, rasterio.open(path) as data:
        found, expected = raster.read_window(30, 50, 90, 140), data.read(1, window=Window(50, 30, 140, 90), masked=True)
    assert np.array_equal(found.data, expected.data) and found.dtype == expected.dtype
    assert np.array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(expected))


def test_a_window_under_an_alpha_band_masks_what_rasterio_masks(tmp_path):
    path, pixels = tmp_path / "a.tif", np.ones((2, 64, 64), "uint8")
    pixels[1, :, 32:] = 0
    made = {"driver": "GTiff", "height": 64, "width": 64, "count": 2, "dtype": "uint8", "interleave": "band"}
    with rasterio.open(
        path, "w", **made, crs="EPSG:32632", transform=Affine(10, 0, 6e5, 0, -10, 5e6), ALPHA="YES"
    ) as to:
        to.write(pixels)
    with open_raster(str(path)) as raster:
        assert raster.route == "direct" and np.ma.getmaskarray(raster.read_window(0, 0, 64, 64)).sum() == 64 * 32


def broken(path, kind):
    if kind == "a missing file":
        return path
    if kind == "a folder":
        path.mkdir()
    elif kind == "a truncated file":
        write_raster(path, noise((100, 100), "uint16"))
        path.write_bytes(path.read_bytes()[:60])
    else:
        path.write_bytes(
            {"an empty file": b"", "noise": bytes(range(256)) * 20, "a page of text": b"<html>403</html>"}[kind]
        )
    return path


@pytest.mark.parametrize(
    "kind", ["a missing file", "a folder", "a truncated file", "an empty file", "noise", "a page of text"]
)
def test_what_cannot_be_opened_is_unreadable(tmp_path, kind):
    with pytest.raises(Unreadable), open_raster(str(broken(tmp_path / "a.tif", kind))):
        pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"epsg": 32632, "nodata": None, "north_up": True}),
        ({"nodata": 7}, {"nodata": 7.0}),
        ({"crs": None}, {"epsg": None}),
        ({"crs": "EPSG:4326"}, {"epsg": 4326}),
        ({"transform": Affine(10, 0, 0, 0, 10, 0)}, {"north_up": False}),
        ({"transform": Affine(10, 0, 0, 0, -20, 0)}, {"north_up": False}),
        ({"transform": Affine(10, 1, 0, 1, -10, 0)}, {"north_up": False}),
        ({"transform": Affine(20, 0, 5.5, 0, -20, 9.25)}, {"origin": (5.5, 9.25), "pixel": 20, "north_up": True}),
    ],
)
def test_the_header_is_what_the_file_says(tmp_path, options, expected):
    path = write_raster(tmp_path / "a.tif", noise((30, 40), "uint16"), **options)
    with open_raster(str(path)) as raster:
        header = raster.header
    assert header.shape == (30, 40) and header.dtype == "uint16"
    assert {name: getattr(header, name) for name in expected} == expected
