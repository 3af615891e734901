"""Bytes of a file by ranges: on disk, or at a server whose budget and pauses are kept."""

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

from landmark.core.http import PATIENCE, TIMEOUT_S
from landmark.raster.rate_limit import Gate
from landmark.raster.source import Forbidden, Source, Unreadable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

Buffer = Any  # whatever lends its bytes without a copy
_CONNECT_S = 20
# Paths that obstore would spell another way.
_ODD_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$|%2f", re.IGNORECASE)
# How obstore words it; it hands on no header, so the next answer must tell for how long.
_SAID_BUSY = re.compile(r"status code: (429|503)")
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)
# Between one try and the next, unless the server says how long to wait.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
# Ways to sign in to a server that only GDAL knows.
_GDAL_ALONE = ("HEADERS", "HEADER_FILE", "USERPWD", "AUTH", "BEARER", "COOKIE", "COOKIEFILE", "NETRC_FILE", "UNSAFESSL")


class Unranged(Exception):
    """No ranges can be had; the message says why."""

    def __init__(self, why: str = "the server hands out no ranges") -> None:
        super().__init__(why)


class Ranges(Protocol):
    """A file, by ranges of its bytes; threads may share one."""

    def get(self, start: int, end: int, *, patient: bool = True) -> Buffer:
        """Bytes from `start` to before `end`, fewer where the file ends; asked for once unless `patient`.

        Raises:
            Unreadable: missing, refused, or the server does not answer.
            Unranged: no ranges can be had there.
        """


def ranges_of(source: Source) -> Ranges:
    """The ranges of a source; asking them tells where GDAL alone can go."""
    where = urlsplit(source.href)
    if where.scheme in ("http", "https"):
        said = [name for name in _GDAL_ALONE if f"GDAL_HTTP_{name}" in os.environ]
        if _ODD_PATH.search(where.path):
            return Nowhere("an address with empty or encoded parts")
        return Nowhere(f"GDAL_HTTP_{said[0]} is set") if said else _Remote(source)
    if "://" in source.href or source.href.startswith("/vsi"):
        return Nowhere(f"{where.scheme or source.href.split('/')[1]} is for GDAL")
    return _Local(source.href)


class Silent(Unreadable):
    """The server took its time, and said nothing."""


class Nowhere:
    """A file no range of which can be had."""

    def __init__(self, why: str) -> None:
        self._why = why

    def get(self, start: int, end: int, *, patient: bool = True) -> Buffer:
        """Say why."""
        raise Unranged(self._why)


class _Local:
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def get(self, start: int, end: int, *, patient: bool = True) -> Buffer:
        try:
            with self._path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), end - start, start)
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from None


class _Remote:
    def __init__(self, source: Source) -> None:
        self._source = source

    def get(self, start: int, end: int, *, patient: bool = True) -> Buffer:
        url = self._source.url()
        try:
            return self._get(url, start, end, patient)
        except Forbidden as error:
            log.warning("%s: %s", self._source.href, error)
            if not self._source.signed:
                raise
        return self._get(self._source.renewed(url), start, end, patient)

    def _get(self, url: str, start: int, end: int, patient: bool) -> Buffer:
        where = urlsplit(url)
        gate = self._source.gate
        try:
            with gate:
                store = _store(f"{where.scheme}://{where.netloc}", where.query, _proxy())
                return obstore.get_range(store, unquote(where.path), start=start, end=end)
        except PermissionDeniedError:
            raise _forbidden(HTTPStatus.FORBIDDEN) from None
        except UnauthenticatedError:
            raise _forbidden(HTTPStatus.UNAUTHORIZED) from None
        except FileNotFoundError:
            raise Unreadable("the archive answers 404") from None
        except NotSupportedError:
            raise Unranged from None
        except obstore.exceptions.BaseError as error:
            log.debug("%s: %s", self._source.href, type(error).__name__)
            if not patient:
                raise Unreadable("the archive does not answer") from None
            if _SAID_BUSY.search(str(error)):
                gate.shut(_PAUSES_S[0])
            return _patiently(gate, url, start, end)


def _patiently(gate: Gate, url: str, start: int, end: int) -> Buffer:
    """Ask again, with pauses; where the server is busy, nobody of this process asks it meanwhile."""
    for pause_s in (*_PAUSES_S, None):
        with gate:
            answer = _answer(url, start, end)
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            return answer.data
        if answer.status == HTTPStatus.OK:
            raise Unranged
        if answer.status in _REFUSED:
            raise _forbidden(answer.status)
        if pause_s is None or answer.status not in PATIENCE.status_forcelist:
            break
        quiet_s = _asked_s(answer) or pause_s
        if answer.status in _BUSY:
            gate.shut(quiet_s)
        else:
            time.sleep(quiet_s)
        log.info("%s answers %d", urlsplit(url).hostname, answer.status)
    raise Unreadable(f"the archive answers {answer.status}")


def _asked_s(answer: urllib3.BaseHTTPResponse) -> float | None:
    """For how long the server wants quiet, None where it does not say, or makes no sense."""
    try:
        return PATIENCE.get_retry_after(answer)
    except urllib3.exceptions.InvalidHeader:
        return None


def _forbidden(status: int) -> Forbidden:
    return Forbidden(f"the archive answers {status}")


def _answer(url: str, start: int, end: int) -> urllib3.BaseHTTPResponse:
    """What the server says, read whole.

    Raises:
        Unreadable: nothing.
    """
    try:
        return _pool(_proxy()).request("GET", url, headers={"Range": f"bytes={start}-{end - 1}"})
    except urllib3.exceptions.HTTPError as error:
        log.debug("%s", type(error).__name__)
        raise Silent("the archive does not answer") from None


def _proxy() -> str | None:
    """The proxy GDAL goes through."""
    said = os.environ.get("GDAL_HTTP_PROXY")
    return said if said is None or "://" in said else f"http://{said}"


@cache
def _pool(proxy: str | None) -> urllib3.PoolManager:
    # Statuses are judged by the caller, who lets the whole process pause.
    retries = urllib3.Retry(
        connect=2, read=0, redirect=5, status=0, backoff_factor=0.5, respect_retry_after_header=False
    )
    settings: dict[str, Any] = {
        "retries": retries,
        "timeout": urllib3.Timeout(connect=_CONNECT_S, read=TIMEOUT_S),
        "maxsize": 4,
    }
    return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)


@lru_cache(maxsize=64)
def _store(origin: str, query: str, proxy: str | None) -> HTTPStore:
    """A server's connections; those of one signature share them, for the query goes with every request."""
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": f"{_CONNECT_S}s",
        "read_timeout": f"{TIMEOUT_S}s",
        "timeout": "1h",
    }
    if proxy:
        options["proxy_url"] = proxy
    # What fails is asked for again by those who see why, and hear how long to wait.
    return HTTPStore.from_url(
        f"{origin}?{query}" if query else origin, client_options=options, retry_config={"max_retries": 0}
    )
