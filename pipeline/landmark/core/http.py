"""HTTP sessions, retry policy, timeout and downloads, shared by all services."""

from collections.abc import Mapping
from http import HTTPStatus
from shutil import copyfileobj
from typing import IO, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError

RESUME_HINT = "run the same command again to resume"

TIMEOUT_S = 60
# A busy server's `Retry-After` is obeyed; an unreachable server fails within seconds.
RETRY = Retry(
    total=6,
    connect=2,
    read=2,
    backoff_factor=0.5,
    backoff_max=30,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,  # STAC searches are POSTs without side effects
    retry_after_max=120,
)


class IncompleteDownload(Exception):
    """The connection failed, or the server sent fewer or more bytes than announced."""


class _Adapter(HTTPAdapter):
    """An adapter whose requests have a timeout unless they set one, and whose responses are complete."""

    def __init__(self, retry: Retry, timeout_s: float | tuple[float, float]) -> None:
        super().__init__(max_retries=retry)
        self._timeout_s = timeout_s

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request.

        Raises:
            requests.ConnectionError: no response, or only a part of the file.
        """
        response = super().send(request, **{**options, "timeout": options.get("timeout") or self._timeout_s})
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            response.close()
            raise requests.ConnectionError("the server answers with a part of the file", response=response)
        return response


def open_session(retry: Retry = RETRY, timeout_s: float | tuple[float, float] = TIMEOUT_S) -> requests.Session:
    """Open a session that retries transient errors and times out.

    Args:
        retry: The retry policy.
        timeout_s: Timeout in seconds, or timeouts of (connecting, reading).
    """
    session = requests.Session()
    session.headers["User-Agent"] = "landmark"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(retry, timeout_s))
    return session


def download(session: requests.Session, url: str, file: IO[bytes], headers: Mapping[str, str] | None = None) -> None:
    """Append the body at a URL to a file, comparing its size with `Content-Length`.

    Raises:
        requests.HTTPError: the server refuses; `response` holds the status and the text.
        IncompleteDownload: no response, or not all of the body.
    """
    try:
        with session.get(url, headers=dict(headers or {}), stream=True) as response:
            if not response.ok:
                _ = response.content  # readable after the connection is closed
            response.raise_for_status()
            response.raw.decode_content = True
            copyfileobj(response.raw, file, 1 << 20)
            expected, size = response.headers.get("Content-Length"), response.raw.tell()
    except requests.HTTPError:
        raise
    except (requests.RequestException, HTTPError) as error:
        raise IncompleteDownload(str(error)) from error
    if expected is not None and size != int(expected):
        raise IncompleteDownload(f"received {size} of {expected} bytes")
