"""Byte ranges of local and remote files, within the host's request budget, with retries and back-off."""

import logging
import os
import re
import time
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
import urllib3
from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore

from landmark.core.http import RETRY, TIMEOUT_S
from landmark.raster.rate_limit import RateLimiter
from landmark.raster.source import Forbidden, RasterSource, Unreadable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

Buffer = Any  # supports the buffer protocol
CONNECT_S = 20
# Paths that obstore would normalize to another path.
_ODD_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$|%2f", re.IGNORECASE)
# obstore's message; it hides the headers, so `Retry-After` is read from the next response.
_BUSY_MESSAGE = re.compile(r"status code: (429|503)")
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)
# Back-off between attempts where the server names none.
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
# GDAL_HTTP_* variables for authentication that only GDAL implements.
_GDAL_ONLY = ("HEADERS", "HEADER_FILE", "USERPWD", "AUTH", "BEARER", "COOKIE", "COOKIEFILE", "NETRC_FILE", "UNSAFESSL")


class NoRangeSupport(Exception):
    """Byte ranges are not available; the message gives the reason."""

    def __init__(self, reason: str = "the server does not support ranges") -> None:
        super().__init__(reason)


class ServerTimeout(Unreadable):
    """The server did not answer within the timeout."""


class RangeReader(Protocol):
    """A file that is read by byte ranges; thread-safe."""

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Return bytes `start` to `end` (exclusive), fewer where the file ends.

        Raises:
            Unreadable: missing, refused, or the server does not answer.
            NoRangeSupport: byte ranges are not available.
        """


def open_ranges(source: RasterSource) -> RangeReader:
    """Return the range reader of a source; where only GDAL can read it, one that raises `NoRangeSupport`."""
    parts = urlsplit(source.href)
    if parts.scheme in ("http", "https"):
        if _ODD_PATH.search(parts.path):
            return NoRanges("an address with empty or encoded parts")
        variables = [f"GDAL_HTTP_{name}" for name in _GDAL_ONLY if f"GDAL_HTTP_{name}" in os.environ]
        return NoRanges(f"{variables[0]} is set") if variables else _HttpFile(source)
    if "://" in source.href or source.href.startswith("/vsi"):
        return NoRanges(f"{parts.scheme or source.href.split('/')[1]} is for GDAL")
    return _LocalFile(source.href)


class NoRanges:
    """A file without byte ranges."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Raise `NoRangeSupport`."""
        raise NoRangeSupport(self._reason)


class _LocalFile:
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        try:
            with self._path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), end - start, start)
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from None


class _HttpFile:
    def __init__(self, source: RasterSource) -> None:
        self._source = source

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        url = self._source.url()
        try:
            return self._get(url, start, end, retry)
        except Forbidden as error:
            log.warning("%s: %s", self._source.href, error)
            if not self._source.signed:
                raise
        return self._get(self._source.renew_url(url), start, end, retry)

    def _get(self, url: str, start: int, end: int, retry: bool) -> Buffer:
        parts, rate_limiter = urlsplit(url), self._source.rate_limiter
        try:
            with rate_limiter:
                store = open_store(f"{parts.scheme}://{parts.netloc}", parts.query, _proxy())
                return obstore.get_range(store, unquote(parts.path), start=start, end=end)
        except PermissionDeniedError:
            raise _forbidden(HTTPStatus.FORBIDDEN) from None
        except UnauthenticatedError:
            raise _forbidden(HTTPStatus.UNAUTHORIZED) from None
        except FileNotFoundError:
            raise Unreadable("the server answers 404") from None
        except NotSupportedError:
            raise NoRangeSupport from None
        except obstore.exceptions.BaseError as error:
            log.debug("%s: %s", self._source.href, type(error).__name__)
            if not retry:
                raise Unreadable("the server does not answer") from None
            if _BUSY_MESSAGE.search(str(error)):
                rate_limiter.pause(BACKOFF_S[0])
            return _get_with_retries(rate_limiter, url, start, end)


def _get_with_retries(rate_limiter: RateLimiter, url: str, start: int, end: int) -> Buffer:
    """Get a range with back-off; while the server is busy, the whole process pauses its requests to it."""
    for backoff_s in (*BACKOFF_S, None):
        with rate_limiter:
            response = _request(url, start, end)
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            return response.data
        if response.status == HTTPStatus.OK:
            raise NoRangeSupport
        if response.status in _REFUSED:
            raise _forbidden(response.status)
        if backoff_s is None or response.status not in RETRY.status_forcelist:
            break
        wait_s = _retry_after_s(response) or backoff_s
        if response.status in _BUSY:
            rate_limiter.pause(wait_s)
        else:
            time.sleep(wait_s)
        log.info("%s answers %d", urlsplit(url).hostname, response.status)
    raise Unreadable(f"the server answers {response.status}")


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds of the `Retry-After` header, None where it is missing or invalid."""
    try:
        return RETRY.get_retry_after(response)
    except urllib3.exceptions.InvalidHeader:
        return None


def _forbidden(status: int) -> Forbidden:
    return Forbidden(f"the server answers {status}")


def _request(url: str, start: int, end: int) -> urllib3.BaseHTTPResponse:
    """Request a range once and read the complete response.

    Raises:
        ServerTimeout: no response.
    """
    try:
        return open_pool(_proxy()).request("GET", url, headers={"Range": f"bytes={start}-{end - 1}"})
    except urllib3.exceptions.HTTPError as error:
        log.debug("%s", type(error).__name__)
        raise ServerTimeout("the server does not answer") from None


def _proxy() -> str | None:
    """The proxy that GDAL is configured to use."""
    proxy = os.environ.get("GDAL_HTTP_PROXY")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


@cache
def open_pool(proxy: str | None) -> urllib3.PoolManager:
    """Open a connection pool for retries."""
    # The caller handles statuses, so that the whole process can pause.
    retries = urllib3.Retry(
        connect=2, read=0, redirect=5, status=0, backoff_factor=0.5, respect_retry_after_header=False
    )
    options: dict[str, Any] = {
        "retries": retries,
        "timeout": urllib3.Timeout(connect=CONNECT_S, read=TIMEOUT_S),
        "maxsize": 4,
    }
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


@lru_cache(maxsize=64)
def open_store(origin: str, query: str, proxy: str | None) -> HTTPStore:
    """Connections to a server. The query string, with the signature, is part of every request of a store."""
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": f"{CONNECT_S}s",
        "read_timeout": f"{TIMEOUT_S}s",
        "timeout": "1h",
    }
    if proxy:
        options["proxy_url"] = proxy
    # Retries are made by `_get_with_retries`, which reads status and headers.
    return HTTPStore.from_url(
        f"{origin}?{query}" if query else origin, client_options=options, retry_config={"max_retries": 0}
    )
