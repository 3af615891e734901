"""Signed hrefs: real tokens of a real blob store that expire, are renewed, or are unavailable."""

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from planetary_computer.sas import TOKEN_CACHE

from landmark.core.ranges.errors import Forbidden
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy, TokenError
from landmark.raster.reader import open_raster
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
    """A raster of 16 blocks in a private container, reached through a proxy; no token is cached."""

    def upload(folder):
        path = write_raster(folder / "band.tif", PIXELS)
        services.upload(ACCOUNT, CONTAINER, {"band.tif": path.read_bytes()})

    once(shared, "private", upload)
    monkeypatch.setenv("GDAL_HTTP_PROXY", services.blobs)
    # Otherwise GDAL caches blocks across tests.
    monkeypatch.setenv("CPL_VSIL_CURL_NON_CACHED", "/vsicurl/http")
    TOKEN_CACHE.clear()
    yield services
    TOKEN_CACHE.clear()


@pytest.fixture
def tokens(monkeypatch):
    """Starts a token service and configures the library to use it."""
    with ExitStack() as running:

        def start(seconds=lambda _: HOUR, **options):
            served = running.enter_context(token_service(seconds, **options))
            monkeypatch.setenv("PC_SDK_SAS_URL", served.url)
            monkeypatch.setattr("planetary_computer.settings.Settings.get", _settings(served.url))
            return served

        yield start


def _settings(url):
    """The library reads its variables once per process; tests have many services in a process."""
    from planetary_computer.settings import Settings

    return staticmethod(lambda: Settings(sas_url=url, subscription_key=None))


def check(chips):
    for chip, (row, col) in zip(chips, CORNERS, strict=True):
        assert np.array_equal(chip, PIXELS[row : row + 64, col : col + 64])


def test_a_token_is_reused_for_later_rasters(stored, tokens):
    served = tokens()
    for _ in range(3):
        with open_raster(HREF, SIGNED) as raster:
            check(raster.chips(CORNERS, 64))
    assert served.requests == [f"{ACCOUNT}/{CONTAINER}"]


def test_simultaneous_requests_share_a_token(stored, tokens):
    served = tokens()
    with ThreadPoolExecutor(13) as threads:
        assert len(set(threads.map(lambda _: SIGNED.signed_url(HREF), range(13)))) == 1
    assert len(served.requests) == 1


def test_a_token_about_to_expire_is_renewed(stored, tokens):
    served = tokens(claimed_s=30)
    for _ in range(3):
        with open_raster(HREF, SIGNED) as raster:
            check(raster.chips(CORNERS, 64))
    assert len(served.requests) == 3


def test_without_a_token_a_private_blob_is_forbidden_and_the_message_holds_no_url(stored):
    with pytest.raises(Forbidden) as caught, open_raster(HREF):
        pass
    assert caught.value.reason == "forbidden" and ACCOUNT not in str(caught.value)


def test_an_expired_token_is_renewed_once(stored, tokens):
    served = tokens(lambda number: -5 if number == 0 else HOUR)
    with open_raster(HREF, SIGNED) as raster:
        check(raster.chips(CORNERS, 64))
    assert len(served.requests) == 2


def test_after_two_expired_tokens_the_raster_is_forbidden(stored, tokens):
    served = tokens(lambda _: -5)
    with pytest.raises(Forbidden), open_raster(HREF, SIGNED):
        pass
    assert len(served.requests) == 2


def test_a_token_that_expires_between_two_blocks_is_renewed(stored, tokens):
    served = tokens(lambda number: 6 if number == 0 else HOUR)
    refused = stored.refusals()
    with open_raster(HREF, SIGNED) as raster:
        chips = raster.chips(CORNERS, 64, ahead_bytes=1)
        read = [next(chips), next(chips)]
        end = time.time() + 8
        while time.time() < math.ceil(end):
            time.sleep(0.1)
        read += list(chips)
    check(read)
    assert len(served.requests) == 2
    assert stored.refusals() > refused


def test_after_a_refused_renewal_the_raster_is_forbidden_and_no_log_holds_a_token(stored, tokens, caplog):
    served = tokens(lambda number: 6 if number == 0 else -5)
    caplog.set_level(logging.DEBUG, "rasterio")
    with pytest.raises(Forbidden), open_raster(HREF, SIGNED) as raster:
        chips = raster.chips(CORNERS, 64, ahead_bytes=1)
        assert isinstance(next(chips), np.ndarray)
        end = time.time() + 8
        while time.time() < end:
            time.sleep(0.1)
        list(chips)
    assert len(served.requests) >= 2 and "rasterio" in {record.name.split(".")[0] for record in caplog.records}
    assert HREF in caplog.text and "sig=" not in caplog.text and "%3D" not in caplog.text


@pytest.mark.parametrize("status", [401, 404])
def test_the_error_of_a_refusing_token_service_holds_the_status_and_no_url(stored, tokens, status):
    served = tokens()
    served.status = status
    with pytest.raises(Forbidden) as caught, open_raster(HREF, SIGNED):
        pass
    assert str(status) in str(caught.value) and served.url not in str(caught.value)


def test_an_unreachable_token_service_is_an_error(stored, monkeypatch):
    monkeypatch.setattr("planetary_computer.settings.Settings.get", _settings("http://127.0.0.1:9/token"))
    with pytest.raises(Forbidden), open_raster(HREF, SIGNED):
        pass


@pytest.mark.parametrize("href", ["/data/band.tif", "band.tif", "https://example.org/band.tif", "s3://bucket/band.tif"])
def test_other_hrefs_are_not_signed(href):
    assert SIGNED.signed_url(href) == PUBLIC_ACCESS.signed_url(href) == href


@pytest.mark.parametrize("host", ["acc.blob.core.windows.net:10000", "me@acc.blob.core.windows.net"])
def test_a_host_that_the_library_would_silently_leave_unsigned_is_an_error(host):
    with pytest.raises(TokenError):
        SIGNED.signed_url(f"http://{host}/container/band.tif")


def test_no_token_is_logged(stored, tokens, caplog):
    tokens(lambda _: -5)
    with pytest.raises(Forbidden), open_raster(HREF, SIGNED):
        pass
    assert HREF in caplog.text and "sig=" not in caplog.text
