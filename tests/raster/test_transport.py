"""Every byte of a remote file comes by this package's own requests, whatever the server, the path or the settings."""

import time

import pytest

from landmark.core import time_limit
from landmark.core.errors import InputError
from landmark.core.ranges import file_copy, http_file
from landmark.core.ranges.errors import ChangedFile, Unreadable
from landmark.raster.reader import open_raster
from tests.parts import raises
from tests.raster.conftest import each, put
from tests.raster.faults import clipped, cut, dripping, hung_up, newer_as_complete, page, refuse, unranged, unsized
from tests.raster.outcomes import CORNERS, JPEG_2000, SIZE, check, make, read
from tests.raster.rasters import block_bytes

pytestmark = pytest.mark.usefixtures("short_timeouts")

LAYOUTS = {"direct": {}, "big-endian": {"ENDIANNESS": "BIG"}, "jp2": JPEG_2000}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    return make(tmp_path / "raster", **LAYOUTS[request.param])


@pytest.fixture(autouse=True)
def no_gdal_http(monkeypatch):
    """GDAL's own requests fail."""
    monkeypatch.setenv("CPL_VSIL_CURL_ALLOWED_FILENAME", "none")


def test_a_server_without_ranges_is_read_from_a_copy(layout, files):
    name = put(files, layout.read_bytes())
    files.plan(name, unranged)
    check(read(files.href(name)))
    assert len(files.requests(name)) == 3, "the header twice, then the file once"
    with open_raster(files.href(name)) as first, open_raster(files.href(name), band=1) as second:
        check(list(first.chips(CORNERS, SIZE)))
        check(list(second.chips(CORNERS, SIZE)))


@each(cut=cut(300_000), busy=refuse(503), page=page)
def test_a_copy_is_complete(good, files, name, fault):
    files.plan(name, fault, times=4, after=2)
    files.plan(name, unranged)
    check(read(files.href(name)))


@each(cut=cut(300_000), page=page)
def test_an_incomplete_copy_is_unreadable(files, name, fault):
    files.plan(name, unranged, times=2)
    files.plan(name, fault)
    assert isinstance(read(files.href(name)), Unreadable)


def test_a_large_file_is_not_copied(files, name, monkeypatch):
    monkeypatch.setattr(file_copy, "MAX_BYTES", 1000)
    files.plan(name, unranged)
    assert isinstance(read(files.href(name)), Unreadable)


def test_gdal_reads_a_file_of_unknown_size_from_a_copy(layout, files):
    name = put(files, layout.read_bytes())
    files.plan(name, unsized)
    check(read(files.href(name)))


def test_the_copy_is_of_the_same_version(files, tmp_path):
    path = make(tmp_path / "a.tif", ENDIANNESS="BIG")
    name = put(files, path.read_bytes())
    files.plan(name, newer_as_complete)
    assert isinstance(read(files.href(name)), ChangedFile)


@pytest.mark.parametrize(
    ("variable", "value", "headers"),
    [
        ("HEADERS", "X-Key: a,b,Accept: image/tiff", {"X-Key": "a,b", "Accept": "image/tiff"}),
        ("HEADERS", "Authorization: Bearer t", {"Authorization": "Bearer t"}),
        ("USERPWD", "me:secret", {"Authorization": "Basic bWU6c2VjcmV0"}),
        ("BEARER", "t", {"Authorization": "Bearer t"}),
        ("COOKIE", "a=b; c=d", {"Cookie": "a=b; c=d"}),
        ("HEADER_FILE", None, {"X-Key": "1"}),
    ],
)
def test_headers_of_gdal_s_variables_are_sent(files, name, monkeypatch, tmp_path, variable, value, headers):
    (tmp_path / "headers").write_text("X-Key: 1\n")
    monkeypatch.setenv(f"GDAL_HTTP_{variable}", value or str(tmp_path / "headers"))
    check(read(files.href(name)))
    sent = [request.headers for request in files.requests(name)]
    assert sent and all(headers.items() <= each.items() for each in sent)


@pytest.mark.parametrize(
    ("variable", "value"), [("COOKIEFILE", "x"), ("NETRC_FILE", "x"), ("AUTH", "NTLM"), ("HEADER_FILE", "missing")]
)
def test_variables_for_gdal_s_own_client_are_refused(files, name, monkeypatch, variable, value):
    monkeypatch.setenv(f"GDAL_HTTP_{variable}", value)
    with raises(InputError, file=f"GDAL_HTTP_{variable}"):
        read(files.href(name))


@each(before=hung_up, within=cut(300_000), short=clipped)
def test_a_cut_connection_is_retried_as_often_as_a_busy_server(good, files, name, fault):
    place = block_bytes(good, 0, 2)
    assert 300_000 in place
    for busy in (fault, refuse(500)):
        files.plan(name, busy, times=6, over=place)
        check(read(files.href(name)))
        files.plan(name, hung_up, times=6)
        check(read(files.href(name)))


def test_a_server_that_drips_is_abandoned_in_bounded_time(good, files, name, monkeypatch):
    monkeypatch.setattr(time_limit, "RESPONSE_S", 3)
    monkeypatch.setattr(http_file, "RESPONSE_S", 3)
    files.plan(name, dripping, over=block_bytes(good, 1, 1)[1000:1001])
    begin_s = time.monotonic()
    check(read(files.href(name)), {(1, 1)})
    assert time.monotonic() - begin_s < 60
