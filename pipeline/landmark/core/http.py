"""HTTP sessions, retry policy, timeouts and downloads, shared by all services."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3 import Retry
from urllib3.exceptions import HTTPError, ReadTimeoutError

from landmark.core.bounded_response import BoundedResponse, copy_bounded
from landmark.core.hosts import TRUSTED, HostRules
from landmark.core.time_limit import limit_time
from landmark.core.timeouts import BACKOFF_S, PACE, TIMEOUT_S

RESUME_HINT = "run the same command again to resume"

# After so many timeouts of one request, none is made again.
MAX_TIMEOUTS = 3


class _Retry(Retry):
    """Retries a connection that is cut as often as a busy server, and a silent server twice."""

    def increment(self, method: str | None = None, url: str | None = None, *args: Any, **options: Any) -> "_Retry":
        """The retries that remain after an error."""
        remaining = super().increment(method, url, *args, **options)
        error = options.get("error")
        if isinstance(error, ReadTimeoutError) and isinstance(remaining.total, int):
            remaining.total = min(remaining.total, MAX_TIMEOUTS - 2)
        return remaining


# A busy server's `Retry-After` is obeyed; an unreachable server fails within seconds.
RETRY = _Retry(
    total=6,
    connect=2,
    backoff_factor=0.5 * PACE,
    backoff_max=30 * PACE,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,  # STAC searches are POSTs without side effects
    retry_after_max=120,
)


class IncompleteDownload(Exception):
    """The connection failed, or the server sent fewer or more bytes than announced."""


class CompleteAdapter(HTTPAdapter):
    """Adapter of complete responses in bounded time.

    A connection that is cut before or in the body is as transient as a busy server. Requests have a timeout unless they
    set one; of streamed responses only the head is retried.
    """

    def __init__(self, retry: Retry, timeout_s: float | tuple[float, float], rules: HostRules) -> None:
        self._timeout_s, self._rules = timeout_s, rules
        super().__init__(max_retries=retry)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Open the pool of connections."""
        super().init_poolmanager(*args, **options)
        limit_time(self.poolmanager)
        self._rules.guard(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """The pool of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        limit_time(manager)
        return manager

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """A response of bounded size."""
        return BoundedResponse.of(super().build_response(req, resp))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request.

        Raises:
            requests.ConnectionError: no response, or only a part of the file.
            InputError: the rules do not allow it.
        """
        self._rules.check_url(request.url or "")
        options = {**options, "timeout": options.get("timeout") or self._timeout_s}
        last_s = time.monotonic() + MAX_TIMEOUTS * TIMEOUT_S
        for backoff_s in self._backoffs_s(request.method):
            try:
                return self._send(request, **options)
            except _Cut as error:
                if time.monotonic() > last_s:
                    raise requests.ConnectionError("the server is too slow", request=request) from error
                time.sleep(backoff_s)
        try:
            return self._send(request, **options)
        except _Cut as error:
            raise requests.ConnectionError(str(error), request=request) from error

    def _backoffs_s(self, method: str | None) -> tuple[float, ...]:
        """Back-offs after a body that was cut; none where the request may have side effects."""
        allowed: Any = self.max_retries.allowed_methods
        return (0.0, *BACKOFF_S) if allowed is None or (method or "").upper() in allowed else ()

    def _send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            response.close()
            raise _Cut("the server answers with a part of the file")
        if not options.get("stream"):
            _read_body(response)
        return response


class _Cut(Exception):
    """The body of a response is incomplete."""


def _read_body(response: requests.Response) -> None:
    """Read the body into the response.

    Raises:
        _Cut: it is incomplete: by its length, or as JSON that lacks its end.
    """
    try:
        content = response.content
    except (ChunkedEncodingError, ContentDecodingError, requests.ConnectionError) as error:
        raise _Cut(str(error)) from error
    is_json = "json" in response.headers.get("Content-Type", "").lower()
    if response.ok and is_json and content.strip()[:1] in (b"{", b"[") and content.strip()[-1:] not in (b"}", b"]"):
        raise _Cut("JSON without its end")


class _Session(requests.Session):
    """A session that checks where redirects lead."""

    def __init__(self, rules: HostRules) -> None:
        super().__init__()
        self._rules = rules

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called before each redirect."""
        self._rules.check_redirect(response.url, prepared_request.url or "")
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]


def open_session(
    retry: Retry = RETRY, timeout_s: float | tuple[float, float] = TIMEOUT_S, rules: HostRules = TRUSTED
) -> requests.Session:
    """Open a session that retries transient errors, times out, and requests only what the rules allow.

    Args:
        retry: The retry policy.
        timeout_s: Timeout in seconds, or timeouts of (connecting, reading).
        rules: By default any host may be requested, but redirects lead from no public host to a private one.
    """
    session = _Session(rules)
    session.headers["User-Agent"] = "landmark"
    for scheme in ("https://", "http://"):
        session.mount(scheme, CompleteAdapter(retry, timeout_s, rules))
    return session


def download(session: requests.Session, url: str, file: IO[bytes], headers: Mapping[str, str] | None = None) -> None:
    """Append the body at a URL to a file, comparing its size with `Content-Length`; a cut connection is retried.

    Raises:
        requests.HTTPError: the server refuses; `response` holds the status and the text.
        IncompleteDownload: no response, or not all of the body.
    """
    start = file.tell()
    for backoff_s in BACKOFF_S:
        try:
            return _download(session, url, file, headers)
        except _Cut:
            time.sleep(backoff_s)
            file.seek(start)
            file.truncate()
    try:
        _download(session, url, file, headers)
    except _Cut as error:
        raise IncompleteDownload(str(error)) from error


def _download(session: requests.Session, url: str, file: IO[bytes], headers: Mapping[str, str] | None) -> None:
    try:
        with session.get(url, headers=dict(headers or {}), stream=True) as response:
            if not response.ok:
                _ = response.content  # readable after the connection is closed
            response.raise_for_status()
            response.raw.decode_content = True
            copy_bounded(response.raw, file)
            expected, size = response.headers.get("Content-Length"), response.raw.tell()
    except requests.HTTPError:
        raise
    except HTTPError as error:
        raise _Cut(str(error)) from error
    except requests.RequestException as error:
        raise IncompleteDownload(str(error)) from error
    if expected is not None and size != int(expected):
        raise _Cut(f"received {size} of {expected} bytes")
