"""Broken files give right pixels or an error in bounded time, and no readable chip is lost."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.ranges.errors import Unreadable
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import open_raster
from tests.parts import examples
from tests.raster.outcomes import BLOCKS, JPEG_2000, SIZE, check, check_pixels, make, read, within_bound
from tests.raster.rasters import block_bytes, noise, write_raster

OFFSETS, COUNTS = 324, 325  # TIFF tags TileOffsets and TileByteCounts

# Byte of the header with the high part of the number of bands: GDAL would allocate blocks of gigabytes.
BANDS = 79


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "a.tif")


@pytest.fixture(scope="module")
def header_bytes(good):
    """Size of the file before its pixels."""
    return min(block_bytes(good, *block).start for block in BLOCKS)


def patched(content, tag, number, value):
    """Return the file with one of a tag's values changed."""
    at, count, entry, word = (8, "<Q", 20, "<Q") if content[2] == 43 else (4, "<H", 12, "<I")
    (start,) = struct.unpack_from(word, content, at)
    (entries,) = struct.unpack_from(count, content, start)
    first, size = start + struct.calcsize(count), struct.calcsize(word)
    (place,) = (
        place
        for place in range(first, first + entry * entries, entry)
        if struct.unpack_from("<H", content, place) == (tag,)
    )
    (values,) = struct.unpack_from(word, content, place + 4 + size)
    changed = bytearray(content)
    struct.pack_into(word, changed, values + size * number, value)
    return bytes(changed)


@given(share=st.floats(0, 1, exclude_max=True))
@examples(12)
def test_a_file_that_ends_in_the_header_is_unreadable(good, header_bytes, tmp_path, share):
    size = int(share * header_bytes)
    path = tmp_path / f"{size}.tif"
    path.write_bytes(good.read_bytes()[:size])
    chips = read(path)
    assert isinstance(chips, Unreadable) or all(isinstance(chip, FailedChip) for chip in chips), size


@given(share=st.floats(0, 1))
@examples(12)
def test_a_truncated_file_gives_the_chips_over_complete_blocks(good, header_bytes, tmp_path, share):
    content = good.read_bytes()
    size = header_bytes + round(share * (len(content) - header_bytes))
    path = tmp_path / f"{size}.tif"
    path.write_bytes(content[:size])
    check(read(path), {block for block in BLOCKS if block_bytes(good, *block).stop > size})


@pytest.mark.parametrize("size", [1, 1000, 2**31, 2**32 - 1])
def test_a_block_of_a_wrong_length_fails_no_other_block(good, tmp_path, size):
    (tmp_path / "a.tif").write_bytes(patched(good.read_bytes(), COUNTS, 4, size))
    check_but_the_middle(read(tmp_path / "a.tif"))


@pytest.mark.parametrize("more", [-4, -1, 1, 7, 5000])
def test_a_block_of_nearly_the_right_length_fails_no_other_block(good, tmp_path, more):
    (tmp_path / "a.tif").write_bytes(patched(good.read_bytes(), COUNTS, 4, len(block_bytes(good, 1, 1)) + more))
    check_but_the_middle(read(tmp_path / "a.tif"))


def check_but_the_middle(chips):
    """Check that at most the block of a wrong length failed: its bytes may suffice to decode it."""
    check(chips, {(1, 1)} if any(isinstance(chip, FailedChip) for chip in chips) else ())


@pytest.mark.parametrize("value", [10_000_000, 2**31, 2**32 - 1, 1])
def test_a_wrong_block_offset_fails_no_other_block(good, tmp_path, value):
    (tmp_path / "a.tif").write_bytes(patched(good.read_bytes(), OFFSETS, 4, value))
    check(read(tmp_path / "a.tif"), {(1, 1)})


@pytest.mark.parametrize("value", [2**33, 2**62, 2**63, 2**64 - 1])
def test_a_block_offset_beyond_any_file_fails_no_other_block(tmp_path, value):
    path = make(tmp_path / "a.tif", BIGTIFF="YES")
    path.write_bytes(patched(path.read_bytes(), OFFSETS, 4, value))
    check(read(path), {(1, 1)})


@given(st.dictionaries(st.integers(0, 420).filter(lambda place: place != BANDS), st.integers(0, 255), max_size=6))
@examples(60)
def test_a_garbled_header_gives_chips_or_an_error(good, tmp_path, changes):
    content = bytearray(good.read_bytes())
    for place, value in changes.items():
        content[place] = value
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    for chip in within_bound(lambda: read_corners(path)):
        assert isinstance(chip, FailedChip) or chip.shape == (SIZE, SIZE)


def read_corners(path):
    """First and last chip of a raster, if its header gives a plausible size."""
    try:
        with open_raster(str(path)) as raster:
            height, width = raster.header.shape
            plausible = min(height, width) >= SIZE and max(height, width) < 10_000
            return list(raster.chips([(0, 0), (height - SIZE, width - SIZE)] if plausible else [], SIZE))
    except Unreadable:
        return []


@pytest.mark.parametrize(
    "content",
    [b"", b"I", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\xff", b"<html>Please sign in</html>"],
)
def test_a_file_that_is_no_raster_is_unreadable(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    assert isinstance(read(tmp_path / "a.tif"), Unreadable)


def test_jpeg_2000_with_undecodable_blocks_gives_no_wrong_pixels(tmp_path):
    path = make(tmp_path / "a.jp2", **JPEG_2000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    chips = read(path)
    check_pixels(chips)
    assert not isinstance(chips, Unreadable)
    assert {isinstance(chip, FailedChip) for chip in chips} == {True, False}


@pytest.mark.parametrize("driver", ["PNG", "JPEG", "ENVI"])
def test_a_truncated_file_of_another_format_is_unreadable(tmp_path, driver):
    smooth = (np.indices((SIZE, SIZE)).sum(axis=0) // 4 + 1).astype("uint8")
    path = write_raster(tmp_path / "a", smooth, driver=driver, tiled=None, blockysize=None, compress=None)
    content = path.read_bytes()
    with open_raster(str(path)) as raster:
        (chip,) = raster.chips([(0, 0)], SIZE)
        assert not isinstance(chip, FailedChip)
    path.write_bytes(content[: 9 * len(content) // 10])
    with pytest.raises(Unreadable), open_raster(str(path)):
        pass


def test_a_png_whose_checksum_is_wrong_is_unreadable(tmp_path):
    path = write_raster(tmp_path / "a.png", noise((SIZE, SIZE), "uint16"), driver="PNG", tiled=None, compress=None)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unreadable), open_raster(str(path)):
        pass
