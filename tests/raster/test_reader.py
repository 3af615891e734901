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

from landmark.core.ranges.errors import Unreadable
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import open_raster
from tests.parts import examples
from tests.raster.rasters import corrupt_block, noise, watched, write_raster

LAYOUTS = [
    ("tiles of 16", {"blockxsize": 16, "blockysize": 16}),
    ("tiles of 64", {}),
    ("oblong tiles", {"blockxsize": 128, "blockysize": 32}),
    ("one tile larger than the raster", {"blockxsize": 512, "blockysize": 512}),
    ("strips of a row", {"tiled": False, "blockysize": 1}),
    ("strips of seven rows", {"tiled": False, "blockysize": 7}),
    ("default strips", {"tiled": False, "blockysize": None}),
    ("not compressed", {"compress": None}),
    ("LZW with a predictor", {"compress": "lzw", "predictor": 2}),
    ("big-endian", {"ENDIANNESS": "BIG"}),
]
DTYPES = ("uint8", "uint16", "int16", "int32", "float32", "float64")


@st.composite
def chip_cases(draw):
    """(shape, size, corners) of a raster and chips inside, some of them at its edges."""
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
@given(chip_cases(), st.sampled_from(DTYPES))
@examples(25)
def test_chips_equal_the_windows_rasterio_reads(tmp_path, layout, case, dtype):
    shape, size, corners = case
    if dtype.startswith("float") and layout.get("predictor"):
        layout = layout | {"predictor": 3}
    path = write_raster(tmp_path / "a.tif", noise(shape, dtype), **layout)
    with open_raster(str(path)) as raster:
        chips = list(raster.chips(corners, size))
    assert len(chips) == len(corners)
    for chip, expected in zip(chips, windows(path, corners, size), strict=True):
        assert chip.dtype == dtype and np.array_equal(chip, expected)


@given(chip_cases())
@examples(15)
def test_chips_equal_a_nearest_warp_onto_each_chip(tmp_path, case):
    shape, size, corners = case
    path = write_raster(tmp_path / "a.tif", noise(shape, "uint16"))
    with open_raster(str(path)) as raster, rasterio.open(path) as data:
        for chip, (row, col) in zip(raster.chips(corners, size), corners, strict=True):
            transform = data.transform @ Affine.translation(col, row)
            with WarpedVRT(data, crs=data.crs, transform=transform, width=size, height=size) as warped:
                assert np.array_equal(chip, warped.read(1))


@pytest.mark.parametrize("layout", [pytest.param(options, id=name) for name, options in LAYOUTS])
@given(chip_cases())
@examples(25)
def test_every_overlapped_block_is_read_once_and_no_other(tmp_path, layout, case):
    shape, size, corners = case
    path = write_raster(tmp_path / "a.tif", noise(shape, "uint16"), **layout)
    with watched(path) as seen:
        list(seen.raster.chips(corners, size))
    read = [block for request in seen.requests for block in request]
    height, width = seen.block
    overlapped = {(row // height, col // width) for row, col in _pixels(corners, size)}
    assert sorted(read) == sorted(overlapped)


def _pixels(corners, size):
    """Every pixel of the chips."""
    return {(row + down, col + right) for row, col in corners for down in range(size) for right in range(size)}


@pytest.mark.parametrize("layout", [{}, {"ENDIANNESS": "BIG"}], ids=["by ranges", "by GDAL"])
def test_adjacent_blocks_of_a_row_are_read_together(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", noise((64, 64 * 6), "uint16"), **layout)
    with watched(path) as seen:
        list(seen.raster.chips([(0, 10), (0, 100), (0, 330)], 50))
    assert sorted(seen.requests) == [[(0, 0), (0, 1), (0, 2)], [(0, 5)]]


@pytest.mark.parametrize("layout", [{}, {"ENDIANNESS": "BIG"}], ids=["by ranges", "by GDAL"])
def test_rows_of_blocks_are_requested_ahead_of_the_chips(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", noise((512, 64), "uint16"), **layout)
    corners = [(row, 0) for row in range(0, 512, 64)]
    with watched(path) as seen:
        for number, _ in enumerate(seen.raster.chips(corners, 20, ahead_bytes=1)):
            assert max(row for request in seen.requests for row, _ in request) <= number + 1
    assert len(seen.requests) == 8


def test_a_chip_that_extends_beyond_the_raster_is_an_error(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((128, 192), "uint16"))
    with open_raster(str(path)) as raster:
        for corner in ((-1, 0), (0, -1), (109, 0), (0, 173)):
            with pytest.raises(ValueError):
                raster.chips([corner], 20)


def test_chips_in_memory_are_bounded_however_well_blocks_compress(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.ones((64 * 200, 512), "uint16"))
    corners = [(row, col) for row in range(0, 64 * 200, 64) for col in range(0, 512, 64)]
    with watched(path) as seen:
        for number, _ in enumerate(seen.raster.chips(corners, 64)):
            rows_ahead = len({row for request in seen.requests for row, _ in request}) - number // 8
            assert rows_ahead * 64 * 512 * 2 < 20e6


def test_closing_a_raster_cancels_requests(tmp_path, monkeypatch):
    single_thread = ThreadPoolExecutor(1)
    monkeypatch.setattr("landmark.raster.direct.thread_pool", lambda: single_thread)
    path = write_raster(tmp_path / "a.tif", noise((64 * 8, 64), "uint16"))
    with watched(path) as seen:
        get = seen.get
        seen.get = lambda *args, **options: (time.sleep(0.2), get(*args, **options))[1]
        seen.raster.chips([(64 * row, 0) for row in range(8)], 64)
    time.sleep(0.5)
    assert len(seen.requests) <= 2


def test_no_corners_give_no_chips_and_no_reads(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((64, 64), "uint16"))
    with watched(path) as seen:
        assert list(seen.raster.chips([], 20)) == [] and seen.requests == []


def test_closing_the_iterator_cancels_requests(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((64 * 40, 64), "uint16"))
    with watched(path) as seen:
        chips = seen.raster.chips([(row * 64, 0) for row in range(40)], 20, ahead_bytes=1)
        next(chips)
        chips.close()
    assert len(seen.requests) < 40


@given(st.integers(0, 3), st.integers(0, 3), chip_cases())
@examples(40)
def test_a_corrupt_block_fails_exactly_the_overlapping_chips(tmp_path, caplog, bad_row, bad_col, case):
    shape, size, corners = case
    block = 64 if max(shape) > 64 else 16
    bad_row, bad_col = min(bad_row, (shape[0] - 1) // block), min(bad_col, (shape[1] - 1) // block)
    pixels = noise(shape, "uint16")
    path = write_raster(tmp_path / "a.tif", pixels, blockxsize=block, blockysize=block)
    corrupt_block(path, bad_row, bad_col)
    caplog.set_level(logging.ERROR)
    with open_raster(str(path)) as raster:
        chips = list(raster.chips(corners, size))
    for chip, (row, col) in zip(chips, corners, strict=True):
        overlaps = row < (bad_row + 1) * block and row + size > bad_row * block
        overlaps &= col < (bad_col + 1) * block and col + size > bad_col * block
        assert isinstance(chip, FailedChip) == overlaps
        if not overlaps:
            assert np.array_equal(chip, pixels[row : row + size, col : col + size])


def test_a_corrupt_block_is_named_by_the_first_pixel(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((128, 192), "uint16"))
    corrupt_block(path, 1, 2)
    with open_raster(str(path)) as raster:
        (chip,) = raster.chips([(70, 130)], 40)
    assert chip == FailedChip("block at row 64, column 128 unreadable")


def test_a_corrupt_block_fails_overlapping_windows_only(tmp_path):
    pixels = noise((128, 128), "uint16")
    path = write_raster(tmp_path / "a.tif", pixels)
    corrupt_block(path, 1, 1)
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
        window, expected = (
            raster.read_window(30, 50, 90, 140),
            data.read(1, window=Window(50, 30, 140, 90), masked=True),
        )
    assert np.array_equal(window.data, expected.data) and window.dtype == expected.dtype
    assert np.array_equal(np.ma.getmaskarray(window), np.ma.getmaskarray(expected))


def test_a_window_under_an_alpha_band_masks_what_rasterio_masks(tmp_path):
    path, pixels = tmp_path / "a.tif", np.ones((2, 64, 64), "uint8")
    pixels[1, :, 32:] = 0
    profile = {"driver": "GTiff", "height": 64, "width": 64, "count": 2, "dtype": "uint8", "interleave": "band"}
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32632", transform=Affine(10, 0, 6e5, 0, -10, 5e6), ALPHA="YES"
    ) as dataset:
        dataset.write(pixels)
    with open_raster(str(path)) as raster:
        assert np.ma.getmaskarray(raster.read_window(0, 0, 64, 64)).sum() == 64 * 32


def write_broken(path, kind):
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
def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path, kind):
    with pytest.raises(Unreadable), open_raster(str(write_broken(tmp_path / "a.tif", kind))):
        pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"epsg": 32632, "nodata": None, "north_up": True}),
        ({"nodata": 7}, {"nodata": 7.0}),
        ({"crs": None}, {"epsg": None}),
        ({"crs": "EPSG:4326"}, {"epsg": 4326}),
        ({"transform": Affine(10, 0, 0, 0, 10, 0)}, {"origin": (0, 300), "north_up": True}),
        ({"transform": Affine(10, 0, 0, 0, -20, 0)}, {"north_up": False}),
        ({"transform": Affine(10, 1, 0, 1, -10, 0)}, {"north_up": False}),
        ({"transform": Affine(20, 0, 5.5, 0, -20, 9.25)}, {"origin": (5.5, 9.25), "pixel_size": 20, "north_up": True}),
    ],
)
def test_the_header_equals_the_files(tmp_path, options, expected):
    path = write_raster(tmp_path / "a.tif", noise((30, 40), "uint16"), **options)
    with open_raster(str(path)) as raster:
        header = raster.header
    assert header.shape == (30, 40) and header.dtype == "uint16"
    assert {name: getattr(header, name) for name in expected} == expected
