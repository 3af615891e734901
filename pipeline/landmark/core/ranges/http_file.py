"""Byte ranges of files on HTTP servers, within the host's request budget, with retries and back-off."""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import urllib3
from obstore.store import HTTPStore

from landmark.core.errors import InputError
from landmark.core.hosts import TRUSTED, HostRules, open_manager
from landmark.core.ranges.answers import Buffer, check_status, cut_body, read_head
from landmark.core.ranges.errors import Forbidden, NoRangeSupport, ServerTimeout, TransientError, Unreadable
from landmark.core.ranges.file_copy import FileCopy
from landmark.core.ranges.remote_file import RangeSource, RemoteFile
from landmark.core.timeouts import BACKOFF_S, CONNECT_S, RESPONSE_S, TIMEOUT_S

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

T = TypeVar("T")

# Paths that obstore would normalize to another path.
_ODD_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$|%2f", re.IGNORECASE)


class HttpSource(RangeSource, Protocol):
    """An href and its current URL."""

    @property
    def rules(self) -> HostRules:
        """The rules for its href and where that redirects."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of its requests."""

    @property
    def proxy(self) -> str | None:
        """URL of the proxy for its requests."""

    @property
    def signed(self) -> bool:
        """True where the URL is signed and thus expires."""

    def url(self) -> str:
        """Return the current URL.

        Raises:
            Forbidden: no token is available.
        """

    def renew_url(self, refused: str) -> str:
        """Return a URL other than a refused one.

        Raises:
            Forbidden: no token is available.
        """


class HttpFile(RemoteFile):
    """A file on an HTTP server. All its bytes are of the version of the first answer."""

    def __init__(self, source: HttpSource) -> None:
        super().__init__(source)
        self._source, self._headers = source, source.headers
        # obstore normalizes odd paths, refuses wider ranges, and follows redirects wherever they lead.
        is_odd = _ODD_PATH.search(urlsplit(source.href).path) is not None
        self._exact = source.rules.trusted and not is_odd and not self._headers

    def find_size(self) -> int | None:
        """Bytes of the file, which is downloaded if its server does not state them.

        Raises:
            Unreadable: as `get`.
        """
        if self._version.size is None:
            self._with_token(self._copy)
        return self._version.size

    def get(self, start: int, end: int, *, retry: bool = True) -> Buffer:
        """Return bytes `start` to `end`, fewer where the file ends; of a temporary copy where there are no ranges.

        Raises:
            Unreadable: missing, refused, or the server does not answer.
        """
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
        return self._retry(lambda: self._request(url, start, end), self._backoffs_s(retry))

    def _get_exact(self, url: str, start: int, end: int) -> Buffer:
        """Get a range once, with obstore."""
        parts = urlsplit(url)
        store = open_store(f"{parts.scheme}://{parts.netloc}", parts.query, self._source.proxy)
        return self._get_range(store, unquote(parts.path), start, end)

    def _request(self, url: str, start: int, end: int) -> Buffer:
        """Request a range once.

        Raises:
            ServerTimeout: no response.
            TransientError: the connection is cut, the server is busy, or the answer is wrong.
            NoRangeSupport: the answer is the complete file, or may be.
        """
        with self._open(url, {"Range": f"bytes={start}-{end - 1}"}) as response:
            # Another thread may have made the copy meanwhile.
            if response.status == HTTPStatus.OK and (self._version.copy is not None or not self._version.known):
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
                pool = open_pool(self._source.proxy, self._source.rules, tuple(self._headers))
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


@cache
def open_pool(proxy: str | None, rules: HostRules = TRUSTED, own_headers: tuple[str, ...] = ()) -> urllib3.PoolManager:
    """Open a connection pool for retries."""
    # The caller handles statuses, so that the whole process can pause.
    # All redirects are within one request: only the first server gets the source's own headers.
    retries = urllib3.Retry(
        connect=0,
        read=False,
        redirect=5,
        status=0,
        respect_retry_after_header=False,
        remove_headers_on_redirect=[*urllib3.Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, *own_headers],
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
    # Retries are made by `RemoteFile`, which reads status and headers.
    return HTTPStore.from_url(
        f"{origin}?{query}" if query else origin, client_options=options, retry_config={"max_retries": 0}
    )
