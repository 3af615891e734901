"""A deflate block whose checksum fails is fetched once more and then unreadable, whoever decodes the raster."""

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.transform import Affine

from landmark.core.ranges.errors import Unreadable
from landmark.raster.reader import FailedChip, open_raster
from tests.raster.conftest import put
from tests.raster.faults import garbled, refuse
from tests.raster.outcomes import BLOCK, CORNERS, PIXELS, SIDE, SIZE, check, check_pixels, make, read
from tests.raster.rasters import block_bytes, write_raster

pytestmark = pytest.mark.usefixtures("short_timeouts")

SOUTH_UP = Affine(10, 0, 600_000, 0, 10, 5_040_000)


def interleaved(path, **options):
    tiles = {"blockxsize": BLOCK, "blockysize": BLOCK}
    return write_raster(path, np.stack([PIXELS, PIXELS // 2]), interleave="pixel", **tiles | options)


def masked(path):
    """A raster with a mask in the file that marks no pixel."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(make(path), "r+") as dataset:
        dataset.write_mask(np.full((SIDE, SIDE), 255, "uint8"))
    return path


LAYOUTS = {
    "direct": make,
    "direct-strips": lambda path: write_raster(path, PIXELS, tiled=False, blockysize=BLOCK),
    "big-endian": lambda path: make(path, ENDIANNESS="BIG"),
    "interleaved": interleaved,
    "interleaved-strips": lambda path: interleaved(path, tiled=False, blockysize=BLOCK),
    "predictor": lambda path: interleaved(path, predictor=2),
    "south-up": lambda path: write_raster(
        path, PIXELS[::-1], transform=SOUTH_UP, blockxsize=BLOCK, blockysize=BLOCK
    ),
    "masked": masked,
}  # fmt: skip


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    return LAYOUTS[request.param](tmp_path / "a.tif")


def damaged(path, place):
    content = bytearray(path.read_bytes())
    content[place.start : place.stop] = bytes(byte ^ 0xFF for byte in content[place.start : place.stop])
    path.write_bytes(content)


def check_partly_failed(chips):
    check_pixels(chips)
    assert not isinstance(chips, Unreadable)
    assert {isinstance(chip, FailedChip) for chip in chips} == {True, False}


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_block_gives_no_wrong_pixels(layout, at):
    check(read(layout))
    place = block_bytes(layout, 1, 0)
    start = place.start + int(len(place) * at)
    damaged(layout, range(start, start + 64))
    check_partly_failed(read(layout))


@pytest.mark.parametrize("times", [1, None])
def test_a_block_that_arrives_damaged_is_fetched_once_more(layout, files, times):
    name, place = put(files, layout.read_bytes()), block_bytes(layout, 1, 0)[1000:1064]
    # A byte that no request for the header or another block overlaps.
    files.plan(name, garbled(place), times=times, over=place)
    chips = read(files.href(name))
    check(chips) if times else check_partly_failed(chips)


def test_a_block_with_a_wrong_checksum_is_fetched_again_once(tmp_path, files):
    path = make(tmp_path / "a.tif")
    name, place = put(files, path.read_bytes()), block_bytes(path, 1, 1)[1000:1064]
    files.plan(name, garbled(place), over=place)
    check(read(files.href(name)), {(1, 1)})
    assert sum(place.start in request.bytes for request in files.requests(name)) == 2


def test_other_bands_and_floats_are_checked(tmp_path):
    for path in (
        write_raster(tmp_path / "bands.tif", np.stack([PIXELS, PIXELS]), interleave="band"),
        write_raster(tmp_path / "floats.tif", np.stack([PIXELS, PIXELS]).astype("float32"), interleave="band"),
    ):
        with tifffile.TiffFile(path) as file:
            offset = file.pages.first.dataoffsets[144]  # the first block of the second band
        damaged(path, range(offset + 100, offset + 164))
        with open_raster(str(path)) as raster:
            assert raster.read_window(0, 0, 64, 64, band=1).shape == (64, 64)
            assert raster.read_window(64, 64, 64, 64, band=2).shape == (64, 64)
            with pytest.raises(Unreadable):
                raster.read_window(0, 0, 80, 80, band=2)


@pytest.mark.parametrize("internal", [True, False])
def test_a_damaged_mask_masks_no_pixel(tmp_path, internal):
    path = make(tmp_path / "a.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.where(PIXELS > 30_000, 255, 0).astype("uint8"))
    with tifffile.TiffFile(path if internal else tmp_path / "a.tif.msk") as file:
        page = file.pages[-1 if internal else 0]
        place = range(page.dataoffsets[0], page.dataoffsets[0] + page.databytecounts[0])
    with open_raster(str(path)) as raster:
        good = list(raster.chips(CORNERS, SIZE, fill=raster.fill(0)))
    damaged(path if internal else tmp_path / "a.tif.msk", place[len(place) // 2 : len(place) // 2 + 64])
    with open_raster(str(path)) as raster:
        chips = list(raster.chips(CORNERS, SIZE, fill=raster.fill(0)))
    assert any(isinstance(chip, FailedChip) for chip in chips)
    assert all(
        isinstance(chip, FailedChip) or np.array_equal(chip, before) for chip, before in zip(chips, good, strict=True)
    )


@pytest.mark.parametrize(("offset", "size"), [(0, 100), (100, 0), (2**31, 100), (8, 2**31)])
def test_a_block_in_an_implausible_place_is_no_sparse_block(tmp_path, offset, size):
    path = make(tmp_path / "a.tif")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages.first.tags
        for name, value in (("TileOffsets", offset), ("TileByteCounts", size)):
            tags[name].overwrite([*tags[name].value[:4], value, *tags[name].value[5:]])
    check(read(path), {(1, 1)})


def test_a_truncated_raster_for_gdal_gives_no_wrong_pixels(layout):
    layout.write_bytes(layout.read_bytes()[: block_bytes(layout, 2, 0).start + 10])
    chips = read(layout)
    check_pixels(chips)


def test_sparse_blocks_are_fetched_with_the_same_checks(tmp_path, files):
    path = tmp_path / "a.tif"
    shape = {"height": SIDE, "width": SIDE, "count": 1, "dtype": "uint16", "crs": "EPSG:32632", "tiled": True}
    shape |= {"transform": Affine(10, 0, 600_000, 0, -10, 5_040_000)}
    with rasterio.open(
        path, "w", driver="GTiff", SPARSE_OK=True, nodata=7, **shape, blockxsize=BLOCK, blockysize=BLOCK
    ):
        pass
    name = put(files, path.read_bytes())
    for href in (str(path), files.href(name)):
        with open_raster(href) as raster:
            assert raster.route == "direct"
            assert all((chip == 7).all() for chip in raster.chips(CORNERS, SIZE))
    # GDAL's own requests fail: no block is taken for sparse.
    files.plan(name, refuse(503), after=1)
    chips = read(files.href(name))
    assert isinstance(chips, Unreadable) or all(isinstance(chip, FailedChip) for chip in chips)
