"""Every answer is held to its range, its length, the file's size and one version, at the first try and at a retry.

The raster is uncompressed: wrong bytes decode to wrong pixels.
"""

import os

import numpy as np
import pytest

from landmark.core.ranges.errors import ChangedFile, Unreadable
from landmark.raster.blocks import HEADER_BYTES
from landmark.raster.reader import FailedChip, open_raster
from tests.raster.conftest import each, put
from tests.raster.faults import (
    aligned,
    another_range,
    clipped,
    compressed,
    cut,
    endless,
    multipart,
    new_version,
    padded,
    page,
    refuse,
    restated,
    unranged,
    unsized,
)
from tests.raster.outcomes import CORNERS, JPEG_2000, PIXELS, SIZE, check, check_pixels, make, read
from tests.raster.rasters import block_bytes, write_raster

pytestmark = pytest.mark.usefixtures("short_timeouts")

MODIFIED = "Wed, 01 Jul 2026 12:00:00 GMT"
# Turned by half: as large as the good raster, and valid.
NEWER = PIXELS[::-1, ::-1]

WRONG = {
    "later": another_range(1000, 1000),
    "earlier": another_range(-1000, -1000),
    "narrower": another_range(10, 0),
    "shorter": another_range(0, -10),
    "clipped": clipped,
    "padded": padded,
    "endless": endless,
    "unranged": unranged,
    "page": page,
    "multipart": multipart,
    "compressed": compressed,
    "encoded": restated(Content_Encoding="br"),
    "no-range": restated(Content_Range=None),
    "no-number": restated(Content_Range="bytes */100"),
    "other-total": restated(Content_Range="bytes 0-9/10"),
    "etag": restated(ETag='"new"'),
    "no-etag": restated(ETag=None),
    "unsatisfiable": restated(416),
    "unknown-2xx": restated(299),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make(tmp_path_factory.mktemp("raw") / "raw.tif", compress=None)


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    options = {"blockxsize": 256, "blockysize": 256, "compress": None}
    return write_raster(tmp_path_factory.mktemp("newer") / "newer.tif", NEWER, **options).read_bytes()


@pytest.fixture
def name(raw, files):
    return put(files, raw.read_bytes())


@each(**WRONG)
@pytest.mark.parametrize("earlier_failures", [0, 1, 4])
def test_a_wrong_answer_is_repeated_and_costs_no_chip(raw, files, name, fault, earlier_failures):
    place = block_bytes(raw, 1, 1)
    files.plan(name, refuse(503), times=earlier_failures, over=place)
    files.plan(name, fault, times=1, over=place)
    check(read(files.href(name)))


@each(**WRONG)
def test_a_server_of_wrong_answers_for_a_block_fails_exactly_the_overlapping_chips(raw, files, name, fault):
    # A byte in the middle: a request for the block need not overlap another one.
    files.plan(name, fault, over=block_bytes(raw, 1, 1)[1000:1001])
    chips = read(files.href(name))
    if not isinstance(chips, ChangedFile):
        check(chips, {(1, 1)})


@each(**WRONG)
def test_a_server_of_wrong_answers_gives_no_wrong_pixels(files, name, fault):
    files.plan(name, fault)
    check_pixels(read(files.href(name)))


@each(another=another_range(-70_000, -70_000), clipped=clipped, etag=restated(ETag='"new"'))
@pytest.mark.parametrize("options", [{"ENDIANNESS": "BIG", "compress": None}, JPEG_2000], ids=["big-endian", "jp2"])
def test_what_gdal_reads_is_held_to_the_same(tmp_path, files, fault, options):
    path = make(tmp_path / "raw", **options)
    name = put(files, path.read_bytes())
    check(read(files.href(name)))
    files.plan(name, fault, over=range(500_000, 500_001))
    chips = read(files.href(name))
    if isinstance(chips, ChangedFile):
        return
    check_pixels(chips)
    assert not isinstance(chips, Unreadable)
    assert {isinstance(chip, FailedChip) for chip in chips} == {True, False}


@pytest.mark.parametrize("block", [4096, 300_000])
def test_a_cache_may_answer_with_a_wider_range(files, name, block):
    files.plan(name, aligned(block))
    check(read(files.href(name)))


def test_the_file_s_size_may_be_missing(files, name):
    files.plan(name, unsized)
    check(read(files.href(name)))


def test_the_size_of_a_short_file_may_be_missing(tmp_path, files):
    path = write_raster(tmp_path / "short.tif", PIXELS[:SIZE, :SIZE], blockysize=128, blockxsize=128)
    assert path.stat().st_size < HEADER_BYTES
    name = put(files, path.read_bytes())
    files.plan(name, unsized)
    with open_raster(files.href(name)) as raster:
        (chip,) = raster.chips([(0, 0)], SIZE)
    assert np.array_equal(chip, PIXELS[:SIZE, :SIZE])


@pytest.mark.parametrize("tag", ['W/"{}"', '"{}"'])
def test_an_etag_may_become_weak(raw, files, name, tag):
    files.plan(name, restated(ETag=tag.format(raw.stat().st_size)), over=block_bytes(raw, 1, 1))
    check(read(files.href(name)))


def test_an_interrupted_answer_is_repeated_as_often_as_a_busy_server(raw, files, name):
    place = block_bytes(raw, 1, 1)
    files.plan(name, cut(place.start + 1000), times=6, over=place)
    check(read(files.href(name)))


@each(
    etag=lambda newer: new_version(newer, '"new"'),
    size=lambda newer: new_version(newer + b"more", None),
    time=lambda newer: new_version(newer, None, Last_Modified=MODIFIED),
    nothing=lambda newer: new_version(newer, None),
)
@pytest.mark.parametrize("times", [1, None], ids=["one-replica", "for-good"])
def test_two_versions_are_never_mixed(files, name, newer, fault, times):
    files.plan(name, fault(newer), after=1, times=times)
    chips = read(files.href(name))
    if times is None:
        assert isinstance(chips, ChangedFile) and chips.reason == "changed"
    else:
        check(chips)


def test_readers_of_several_bands_hold_the_same_version(files, name, newer):
    with open_raster(files.href(name)) as first:
        files.plan(name, new_version(newer, '"new"'))
        assert isinstance(read(files.href(name)), ChangedFile)
        with pytest.raises(ChangedFile):
            list(first.chips(CORNERS, SIZE))


def test_a_file_may_change_between_two_tasks(files, name, newer):
    check(read(files.href(name)))
    files.plan(name, new_version(newer, '"new"'))
    with open_raster(files.href(name)) as raster:
        assert np.array_equal(next(raster.chips(CORNERS, SIZE)), NEWER[:SIZE, :SIZE])


def test_without_etags_versions_differ_by_time(raw, files, name, newer):
    files.plan(name, new_version(raw.read_bytes(), None, Last_Modified=MODIFIED), times=1)
    files.plan(name, new_version(newer, None, Last_Modified="Thu, 02 Jul 2026 12:00:00 GMT"), times=1)
    files.plan(name, new_version(raw.read_bytes(), None, Last_Modified=MODIFIED))
    check(read(files.href(name)))


@pytest.mark.parametrize("by", ["rename", "write"])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_a_local_file_that_changes_is_not_read_on(newer, tmp_path, by, order):
    path = make(tmp_path / "a.tif", compress=None, ENDIANNESS=order)
    with open_raster(str(path)) as raster:
        chips = raster.chips(CORNERS, SIZE, ahead_bytes=0)
        first = next(chips)
        if by == "rename":
            (tmp_path / "b.tif").write_bytes(newer)
            (tmp_path / "b.tif").replace(path)
        else:
            path.write_bytes(newer)
            os.utime(path, (1, 1))
        assert np.array_equal(first, PIXELS[:SIZE, :SIZE])
        with pytest.raises(ChangedFile):
            list(chips)
