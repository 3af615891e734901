"""Byte ranges of local and remote files, within the host's request budget, with retries and back-off."""

import logging
import os
import re
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
import urllib3
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore

from landmark.core.http import RETRY, TIMEOUT_S
from landmark.raster.answers import Buffer as Buffer
from landmark.raster.answers import (
    ChangedFile,
    FileVersion,
    TransientError,
    cut_body,
    read_head,
    read_result_head,
)
from landmark.raster.source import Forbidden, RasterSource, Unreadable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

CONNECT_S = 20
# Paths that obstore would normalize to another path.
_ODD_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$|%2f", re.IGNORECASE)
# obstore's message; it hides the headers, so `Retry-After` is read from the next response.
_BUSY_MESSAGE = re.compile(r"status code: (429|503)")
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_UNSATISFIABLE = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
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

    @property
    def size(self) -> int | None:
        """Bytes of a remote file, as its first answer says; None of other files and where it does not say."""

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

    size = None

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Raise `NoRangeSupport`."""
        raise NoRangeSupport(self._reason)


class _LocalFile:
    size = None

    def __init__(self, path: str) -> None:
        self._path, self._version = Path(path), FileVersion.of(path)

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        try:
            with self._path.open("rb", buffering=0) as file:
                content = os.pread(file.fileno(), end - start, start)
                self._version.check_status(os.fstat(file.fileno()))
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from None
        return content


class _HttpFile:
    """A file on a server. All its bytes are of the version of the first answer."""

    def __init__(self, source: RasterSource) -> None:
        self._source, self._version = source, FileVersion.of(source.href)
        # A server that answers with wider ranges is not asked through obstore, which refuses them.
        self._exact = True
        self._changed = False

    @property
    def size(self) -> int | None:
        return self._version.size

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        if self._version.ends_before(start):
            return b""
        url = self._source.url()
        try:
            return self._get(url, start, end, retry)
        except Forbidden as error:
            log.warning("%s: %s", self._source.href, error)
            if not self._source.signed:
                raise
        return self._get(self._source.renew_url(url), start, end, retry)

    def _get(self, url: str, start: int, end: int, retry: bool) -> Buffer:
        if self._exact:
            try:
                return self._get_exact(url, start, end)
            except TransientError as error:
                log.debug("%s: %s", self._source.href, error)
                if not retry:
                    raise
                if error.busy:
                    self._source.rate_limiter.pause(BACKOFF_S[0])
        return self._get_with_retries(url, start, end, BACKOFF_S if retry and not self._changed else ())

    def _get_exact(self, url: str, start: int, end: int) -> Buffer:
        """Get a range once, with obstore."""
        parts = urlsplit(url)
        try:
            with self._source.rate_limiter:
                store = open_store(f"{parts.scheme}://{parts.netloc}", parts.query, _proxy())
                result = obstore.get(store, unquote(parts.path), options={"range": (start, end)})
                body = result.bytes()
        except PermissionDeniedError:
            raise _forbidden(HTTPStatus.FORBIDDEN) from None
        except UnauthenticatedError:
            raise _forbidden(HTTPStatus.UNAUTHORIZED) from None
        except FileNotFoundError:
            raise Unreadable("the server answers 404") from None
        except obstore.exceptions.BaseError as error:
            busy = _BUSY_MESSAGE.search(str(error)) is not None
            raise TransientError("the server does not answer", busy=busy) from None
        head = read_result_head(result)
        self._version.check(head, start, end)
        return cut_body(head, body, start, end)

    def _get_with_retries(self, url: str, start: int, end: int, backoffs_s: Sequence[float]) -> Buffer:
        """Get a range with back-off; while the server is busy, the whole process pauses its requests to it."""
        for backoff_s in backoffs_s:
            try:
                return self._request(url, start, end)
            except TransientError as error:
                log.info("%s: %s", urlsplit(url).hostname, error)
                wait_s = error.retry_after_s or backoff_s
                if error.busy:
                    self._source.rate_limiter.pause(wait_s)
                else:
                    time.sleep(wait_s)
        try:
            return self._request(url, start, end)
        except ChangedFile:
            # Further requests are not repeated: the first version is gone.
            self._changed = True
            raise

    def _request(self, url: str, start: int, end: int) -> Buffer:
        """Request a range once.

        Raises:
            ServerTimeout: no response.
            TransientError: the connection is cut, the server is busy, or the answer is wrong.
        """
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        try:
            with (
                self._source.rate_limiter,
                open_pool(_proxy()).request("GET", url, headers=headers, preload_content=False) as response,
            ):
                self._check_status(response)
                head = read_head(response.headers)
                self._version.check(head, start, end)
                body = response.read(decode_content=False)
        except (urllib3.exceptions.TimeoutError, urllib3.exceptions.MaxRetryError) as error:
            log.debug("%s", type(error).__name__)
            raise ServerTimeout("the server does not answer") from None
        except urllib3.exceptions.HTTPError as error:
            log.debug("%s", type(error).__name__)
            raise TransientError("the connection was cut") from None
        self._exact = self._exact and (head.start, head.end) in ((start, end), (start, head.validators.size))
        return cut_body(head, body, start, end)

    def _check_status(self, response: urllib3.BaseHTTPResponse) -> None:
        status = response.status
        if status == HTTPStatus.PARTIAL_CONTENT:
            return
        if status == HTTPStatus.OK and not self._version.known:
            raise NoRangeSupport
        if status in _REFUSED:
            raise _forbidden(status)
        problem = f"the server answers {status}"
        if status in RETRY.status_forcelist or 200 <= status < 300 or status == _UNSATISFIABLE:
            raise TransientError(problem, busy=status in _BUSY, retry_after_s=_retry_after_s(response))
        raise Unreadable(problem)


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds of the `Retry-After` header, None where it is missing or invalid."""
    try:
        return RETRY.get_retry_after(response)
    except urllib3.exceptions.InvalidHeader:
        return None


def _forbidden(status: int) -> Forbidden:
    return Forbidden(f"the server answers {status}")


def _proxy() -> str | None:
    """The proxy that GDAL is configured to use."""
    proxy = os.environ.get("GDAL_HTTP_PROXY")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


@cache
def open_pool(proxy: str | None) -> urllib3.PoolManager:
    """Open a connection pool for retries."""
    # The caller handles statuses, so that the whole process can pause.
    retries = urllib3.Retry(
        connect=2, read=False, redirect=5, status=0, backoff_factor=0.5, respect_retry_after_header=False
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
    # Retries are made by `_HttpFile`, which reads status and headers.
    return HTTPStore.from_url(
        f"{origin}?{query}" if query else origin, client_options=options, retry_config={"max_retries": 0}
    )
