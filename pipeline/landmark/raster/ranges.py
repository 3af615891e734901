"""Byte ranges of local and remote files, within the host's request budget, with retries and back-off."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
import urllib3
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore

from landmark.core.errors import InputError
from landmark.core.hosts import HTTP, TRUSTED, HostRules, is_url, open_manager
from landmark.core.http import MAX_TIMEOUTS
from landmark.core.timeouts import BACKOFF_S, CONNECT_S, RESPONSE_S, TIMEOUT_S
from landmark.raster.answers import (
    Buffer,
    ChangedFile,
    FileVersion,
    TransientError,
    check_status,
    cut_body,
    forbidden,
    read_head,
    read_result_head,
)
from landmark.raster.file_copy import FileCopy
from landmark.raster.gdal_http import request_headers
from landmark.raster.range_reader import LocalFile, NoRanges, NoRangeSupport, RangeReader, RefusedFile
from landmark.raster.source import Forbidden, RasterSource, Unreadable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

T = TypeVar("T")

# Paths that obstore would normalize to another path.
_ODD_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$|%2f", re.IGNORECASE)
# obstore's message; it hides the headers, so `Retry-After` is read from the next response.
_BUSY_MESSAGE = re.compile(r"status code: (429|503)")


class ServerTimeout(TransientError):
    """The server did not answer within the timeout.

    Attributes:
        seconds: How long the request took.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("the server does not answer")
        self.seconds = seconds


class _HttpFile:
    """A file on a server. All its bytes are of the version of the first answer."""

    remote = True

    def __init__(self, source: RasterSource) -> None:
        self._source, self._version, self._headers = source, FileVersion.of(source.href), request_headers()
        # obstore normalizes odd paths, refuses wider ranges, and follows redirects wherever they lead.
        is_odd = _ODD_PATH.search(urlsplit(source.href).path) is not None
        self._exact = source.rules.trusted and not is_odd and not self._headers
        self._changed = False

    def find_size(self) -> int | None:
        if self._version.size is None:
            self._with_token(self._copy)
        return self._version.size

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        if self._version.ends_before(start):
            return b""
        if self._version.copy is None:
            try:
                return self._with_token(lambda url: self._get(url, start, end, retry))
            except NoRangeSupport:
                self._with_token(self._copy)
        return self._version.copy.get(start, end)

    def _with_token(self, request: Callable[[str], T]) -> T:
        """Call a function with the URL, and again with another token if that is refused."""
        url = self._source.url()
        try:
            return request(url)
        except Forbidden as error:
            log.warning("%s: %s", self._source.href, error)
            if not self._source.signed:
                raise
        return request(self._source.renew_url(url))

    def _copy(self, url: str) -> None:
        """Download the complete file, once for all its readers."""
        with self._version.copying:
            if self._version.copy is None:
                self._version.copy = self._retry(lambda: self._download(url), BACKOFF_S)

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
        return self._retry(lambda: self._request(url, start, end), BACKOFF_S if retry and not self._changed else ())

    def _get_exact(self, url: str, start: int, end: int) -> Buffer:
        """Get a range once, with obstore."""
        parts, begin_s = urlsplit(url), time.monotonic()
        try:
            with self._source.rate_limiter:
                begin_s = time.monotonic()
                store = open_store(f"{parts.scheme}://{parts.netloc}", parts.query, _proxy())
                result = obstore.get(store, unquote(parts.path), options={"range": (start, end)})
                head = read_result_head(result)
                # The body may be endless: one byte too many is enough.
                body = next(iter(result.stream(min_chunk_size=head.end - head.start + 1)), b"")
        except PermissionDeniedError:
            raise forbidden(HTTPStatus.FORBIDDEN) from None
        except UnauthenticatedError:
            raise forbidden(HTTPStatus.UNAUTHORIZED) from None
        except FileNotFoundError:
            raise Unreadable("the server answers 404") from None
        except obstore.exceptions.BaseError as error:
            if (seconds := time.monotonic() - begin_s) >= TIMEOUT_S:
                raise ServerTimeout(seconds) from None
            busy = _BUSY_MESSAGE.search(str(error)) is not None
            raise TransientError("the server does not answer", busy=busy) from None
        self._version.check(head, start, end)
        return cut_body(head, body, start, end)

    def _retry(self, send: Callable[[], T], backoffs_s: Sequence[float]) -> T:
        """Send a request with back-off; while the server is busy, the whole process pauses its requests to it.

        Raises:
            ServerTimeout: no response, at the third attempt at the latest.
            ChangedFile: all attempts were answered with another version.
            Unreadable: the last attempt failed.
        """
        silent_s = 0.0
        for backoff_s in backoffs_s:
            try:
                return send()
            except TransientError as error:
                log.info("%s: %s", urlsplit(self._source.href).hostname, error)
                silent_s += error.seconds if isinstance(error, ServerTimeout) else 0
                if silent_s > (MAX_TIMEOUTS - 0.5) * TIMEOUT_S:
                    raise
                wait_s = error.retry_after_s or backoff_s
                if error.busy:
                    self._source.rate_limiter.pause(wait_s)
                else:
                    time.sleep(wait_s)
        try:
            return send()
        except ChangedFile:
            # Further requests are not repeated: the first version is gone.
            self._changed = True
            FileVersion.forget(self._source.href)
            raise

    def _request(self, url: str, start: int, end: int) -> Buffer:
        """Request a range once.

        Raises:
            ServerTimeout: no response.
            TransientError: the connection is cut, the server is busy, or the answer is wrong.
            NoRangeSupport: the answer is the complete file, or may be.
        """
        with self._open(url, {"Range": f"bytes={start}-{end - 1}"}) as response:
            if response.status == HTTPStatus.OK and not self._version.known:
                raise NoRangeSupport
            check_status(response, HTTPStatus.PARTIAL_CONTENT)
            head = read_head(response.headers)
            if start == 0 and head.end < end and head.validators.size is None and self._version.size is None:
                raise NoRangeSupport  # a short file, or a wrong answer: only all of the file tells
            self._version.check(head, start, end)
            body = response.read(head.end - head.start + 1, decode_content=False)
        self._exact = self._exact and (head.start, head.end) in ((start, end), (start, head.validators.size))
        return cut_body(head, body, start, end)

    def _download(self, url: str) -> FileCopy:
        with self._open(url, {}) as response:
            check_status(response, HTTPStatus.OK)
            copy = FileCopy()
            answer = copy.write(response)
            self._version.check(answer, 0, answer.end)
        return copy

    @contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {**self._headers, "Accept-Encoding": "identity", **headers}
        begin_s = time.monotonic()
        try:
            with self._source.rate_limiter:
                begin_s = time.monotonic()
                pool = open_pool(_proxy(), self._source.rules)
                with pool.request("GET", url, headers=headers, preload_content=False) as response:
                    yield response
        except InputError as error:
            log.warning("%s: %s", self._source.href, error)
            raise Unreadable(f"leads to a place that is not allowed: {error.problem}") from None
        except (urllib3.exceptions.TimeoutError, urllib3.exceptions.MaxRetryError) as error:
            log.debug("%s", type(error).__name__)
            cause = getattr(error, "reason", error)
            if isinstance(cause, urllib3.exceptions.TimeoutError):
                raise ServerTimeout(time.monotonic() - begin_s) from None
            raise TransientError("the server does not answer") from None
        except urllib3.exceptions.HTTPError as error:
            log.debug("%s", type(error).__name__)
            raise TransientError("the connection was cut") from None


def _proxy() -> str | None:
    """The proxy that GDAL is configured to use."""
    proxy = os.environ.get("GDAL_HTTP_PROXY")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def open_ranges(source: RasterSource) -> RangeReader:
    """Return the range reader of a source; where only GDAL can read it, one that raises `NoRangeSupport`.

    Raises:
        InputError: a `GDAL_HTTP_*` variable is not supported.
    """
    if (refusal := source.refusal) is not None:
        return RefusedFile(refusal)
    if (scheme := urlsplit(source.href).scheme.lower()) in HTTP:
        return _HttpFile(source)
    return NoRanges(f"{scheme} is for GDAL") if is_url(source.href) else LocalFile(source.href)


@cache
def open_pool(proxy: str | None, rules: HostRules = TRUSTED) -> urllib3.PoolManager:
    """Open a connection pool for retries."""
    # The caller handles statuses, so that the whole process can pause.
    # All redirects are within one request: only the first server gets the headers of `GDAL_HTTP_*`.
    retries = urllib3.Retry(
        connect=0,
        read=False,
        redirect=5,
        status=0,
        respect_retry_after_header=False,
        remove_headers_on_redirect=[*urllib3.Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, *request_headers()],
    )
    options: dict[str, Any] = {
        "retries": retries,
        "timeout": urllib3.Timeout(connect=CONNECT_S, read=TIMEOUT_S),
        "maxsize": 16,
    }
    return open_manager(rules, proxy, **options)


@lru_cache(maxsize=64)
def open_store(origin: str, query: str, proxy: str | None) -> HTTPStore:
    """Connections to a server. The query string, with the signature, is part of every request of a store."""
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": f"{1000 * CONNECT_S:.0f}ms",
        "read_timeout": f"{1000 * TIMEOUT_S:.0f}ms",
        "timeout": f"{1000 * RESPONSE_S:.0f}ms",
    }
    if proxy:
        options["proxy_url"] = proxy
    # Retries are made by `_HttpFile`, which reads status and headers.
    return HTTPStore.from_url(
        f"{origin}?{query}" if query else origin, client_options=options, retry_config={"max_retries": 0}
    )
