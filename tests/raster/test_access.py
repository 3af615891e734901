"""Signed hrefs: real tokens of a real blob store, that end, are renewed, and cannot be had."""

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from planetary_computer.sas import TOKEN_CACHE

from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy, TokenError
from landmark.raster.reader import open_raster
from landmark.raster.source import Forbidden
from tests.raster.rasters import noise, write_raster
from tests.services.client import once
from tests.services.tokens import HOUR, token_service

ACCOUNT, CONTAINER = "sentinel2l2a01", "private"
HREF = f"http://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/band.tif"
SIGNED = AccessPolicy("planetary-computer")
PIXELS = noise((256, 256), "uint16", 5)
CORNERS = [(row, col) for row in (0, 64, 128, 192) for col in (0, 128)]


@pytest.fixture
def stored(services, shared, monkeypatch):
    """A raster of 16 blocks in a private container, and GDAL's way there; no token is known yet."""

    def upload(folder):
        path = write_raster(folder / "band.tif", PIXELS)
        services.upload(ACCOUNT, CONTAINER, {"band.tif": path.read_bytes()})

    once(shared, "private", upload)
    monkeypatch.setenv("GDAL_HTTP_PROXY", services.blobs)
    # GDAL would hand the blocks of one test to the next.
    monkeypatch.setenv("CPL_VSIL_CURL_NON_CACHED", "/vsicurl/http")
    TOKEN_CACHE.clear()
    yield services
    TOKEN_CACHE.clear()


@pytest.fixture
def tokens(monkeypatch):
    """Starts a token service and has the library ask it."""
    from contextlib import ExitStack

    with ExitStack() as running:

        def start(seconds=lambda _: HOUR, **said):
            served = running.enter_context(token_service(seconds, **said))
            monkeypatch.setenv("PC_SDK_SAS_URL", served.url)
            monkeypatch.setattr("planetary_computer.settings.Settings.get", _settings(served.url))
            return served

        yield start


def _settings(url):
    """The library reads its variables once a process; tests have many services in one."""
    from planetary_computer.settings import Settings

    return staticmethod(lambda: Settings(sas_url=url, subscription_key=None))


def cut(raster):
    return list(raster.chips(CORNERS, 64))


def same(chips):
    places = zip(chips, CORNERS, strict=True)
    return all((chip == PIXELS[row : row + 64, col : col + 64]).all() for chip, (row, col) in places)


def test_a_signed_raster_is_read_and_one_token_serves_many(stored, tokens):
    served = tokens()
    for _ in range(3):
        with open_raster(HREF, SIGNED) as raster:
            assert same(cut(raster))
    assert served.asked == [f"{ACCOUNT}/{CONTAINER}"]


def test_bands_that_want_a_token_together_ask_for_one(stored, tokens):
    served = tokens()
    with ThreadPoolExecutor(13) as threads:
        assert len(set(threads.map(lambda _: SIGNED.signed_url(HREF), range(13)))) == 1
    assert len(served.asked) == 1


def test_a_token_near_its_end_is_renewed_before(stored, tokens):
    served = tokens(claimed_s=30)
    for _ in range(3):
        with open_raster(HREF, SIGNED) as raster:
            assert same(cut(raster))
    assert len(served.asked) == 3


def test_without_a_token_a_private_blob_is_forbidden_and_the_message_names_no_address(stored):
    with pytest.raises(Forbidden, match=r"^the archive answers (403|409)$") as caught, open_raster(HREF):
        pass
    assert caught.value.reason == "forbidden"


def test_a_token_that_is_of_no_use_is_renewed_once(stored, tokens):
    served = tokens(lambda number: -5 if number == 0 else HOUR)
    with open_raster(HREF, SIGNED) as raster:
        assert same(cut(raster))
    assert len(served.asked) == 2


def test_tokens_that_are_never_of_use_are_given_up(stored, tokens):
    served = tokens(lambda _: -5)
    with pytest.raises(Forbidden, match="the archive answers 403"), open_raster(HREF, SIGNED):
        pass
    assert len(served.asked) == 2


def test_a_token_that_ends_between_two_blocks_is_renewed_and_the_band_is_whole(stored, tokens, monkeypatch):
    monkeypatch.setattr("landmark.raster.reader._AHEAD_BYTES", 1)
    served = tokens(lambda number: 6 if number == 0 else HOUR)
    refused = stored.refusals()
    with open_raster(HREF, SIGNED) as raster:
        chips = raster.chips(CORNERS, 64)
        read = [next(chips), next(chips)]
        end = time.time() + 8
        while time.time() < math.ceil(end):
            time.sleep(0.1)
        read += list(chips)
    assert same(read) and len(served.asked) == 2
    assert stored.refusals() > refused


def test_where_the_next_token_is_refused_too_the_raster_is_given_up_and_no_log_holds_a_piece_of_either(
    stored, tokens, monkeypatch, caplog
):
    monkeypatch.setattr("landmark.raster.reader._AHEAD_BYTES", 1)
    served = tokens(lambda number: 6 if number == 0 else -5)
    caplog.set_level(logging.DEBUG, "rasterio")
    with pytest.raises(Forbidden, match="the archive answers 403"), open_raster(HREF, SIGNED) as raster:
        chips = raster.chips(CORNERS, 64)
        assert isinstance(next(chips), np.ndarray)
        end = time.time() + 8
        while time.time() < end:
            time.sleep(0.1)
        list(chips)
    assert len(served.asked) == 2 and "rasterio" in {record.name.split(".")[0] for record in caplog.records}
    assert HREF in caplog.text and "sig=" not in caplog.text and "%3D" not in caplog.text


@pytest.mark.parametrize("status", [401, 404])
def test_a_token_service_that_refuses_is_told_without_its_address(stored, tokens, status):
    tokens().status = status
    with pytest.raises(Forbidden, match=f"^the token service answers {status}$"), open_raster(HREF, SIGNED):
        pass


def test_a_token_service_that_is_gone_is_told_and_waited_for_not_long(stored, monkeypatch):
    monkeypatch.setattr("planetary_computer.settings.Settings.get", _settings("http://127.0.0.1:9/token"))
    with pytest.raises(Forbidden, match=r"^the token service does not answer$"), open_raster(HREF, SIGNED):
        pass


@pytest.mark.parametrize("href", ["/data/band.tif", "band.tif", "https://example.org/band.tif", "s3://bucket/band.tif"])
def test_what_is_none_of_the_schemes_is_its_own_address(href):
    assert SIGNED.signed_url(href) == PUBLIC_ACCESS.signed_url(href) == href


@pytest.mark.parametrize("host", ["acc.blob.core.windows.net:10000", "me@acc.blob.core.windows.net"])
def test_a_host_the_library_would_leave_unsigned_in_silence_is_refused(host):
    with pytest.raises(TokenError, match="such hosts are not signed"):
        SIGNED.signed_url(f"http://{host}/container/band.tif")


def test_no_token_is_ever_logged(stored, tokens, caplog):
    tokens(lambda _: -5)
    with pytest.raises(Forbidden), open_raster(HREF, SIGNED):
        pass
    assert HREF in caplog.text and "sig=" not in caplog.text
