"""The place a raster is read from: an href, its current URL, and GDAL's options."""

import logging
import os
import re
import threading
import uuid
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from landmark.core.errors import InputError
from landmark.core.hosts import HostRules, host_of
from landmark.core.ranges.errors import Forbidden, Unreadable
from landmark.core.ranges.rate_limit import RateLimiter
from landmark.raster.access import AccessPolicy, TokenError
from landmark.raster.formats import HEAD_BYTES, LOCAL_DRIVERS, REMOTE_DRIVERS, find_driver
from landmark.raster.gdal_http import request_headers
from landmark.raster.rate_limit import get_rate_limiter
from landmark.raster.side_cars import find_side_cars, local_path

log = logging.getLogger(__name__)
# GDAL's own messages contain signed URLs; this package logs the same failures without the token. GDAL names a file by
# what follows the last slash, and a signature may contain one: its end, an encoded `=`, is then the only mark of it.
for _name in ("_base", "_env", "_err", "_io"):
    logging.getLogger(f"rasterio.{_name}").addFilter(
        lambda record: not any(part in record.getMessage() for part in ("sig=", "%3D"))
    )

_REFUSED = re.compile(r"HTTP response code: (401|403|409)")

GDAL_OPTIONS = {
    # A folder listing or a side-car probe would be an extra request per band of a remote file.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": 64 * 2**20,
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "VSI_CACHE": True,
    # In threads of its own, GDAL's reader of JPEG 2000 ignores errors, and rasterio's openers are unknown.
    "GDAL_NUM_THREADS": 1,
    # Without these, GDAL waits for ever for a server that accepts a request and never answers.
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
}
# Side-cars of local files count.
_LOCAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"}


class MissingBand(Unreadable):
    """The file lacks the requested band."""

    reason = "encoding"


class RasterSource:
    """An href and its current URL; thread-safe. Closing it closes the datasets opened from it.

    Attributes:
        side_cars: Files beside a local raster that GDAL reads with it.
    """

    def __init__(self, href: str, access: AccessPolicy) -> None:
        self.href, self._access, self._url = href, access, ""
        self.side_cars = [] if (path := local_path(href)) is None else find_side_cars(path)
        self._url_lock = threading.Lock()
        self._datasets = ExitStack()

    def __enter__(self) -> "RasterSource":
        return self

    def __exit__(self, *_: object) -> None:
        self._datasets.close()

    @property
    def rate_limiter(self) -> RateLimiter:
        """The rate limiter of its host; local paths are not limited."""
        return get_rate_limiter(urlsplit(self.href).netloc, self._access.budget)

    @property
    def signed(self) -> bool:
        """True where the URL is signed and thus expires."""
        return self.url() != self.href

    @property
    def refusal(self) -> str | None:
        """Why the href may not be read, None if it may."""
        try:
            self._access.rules.check_href(self.href)
        except InputError as error:
            return error.problem
        return None

    @property
    def rules(self) -> HostRules:
        """The rules for its href and where that redirects."""
        return self._access.rules

    @property
    def headers(self) -> dict[str, str]:
        """Headers of its requests, as GDAL is configured to send them.

        Raises:
            InputError: a `GDAL_HTTP_*` variable is not supported.
        """
        return request_headers()

    @property
    def proxy(self) -> str | None:
        """The proxy that GDAL is configured to use."""
        proxy = os.environ.get("GDAL_HTTP_PROXY")
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"

    def url(self) -> str:
        """Return the current URL.

        Raises:
            Forbidden: no token is available.
        """
        with self._url_lock:
            self._url = self._url or self._sign(lambda: self._access.signed_url(self.href))
            return self._url

    def renew_url(self, refused: str) -> str:
        """Return a URL other than a refused one; threads refused at the same time renew it once.

        Raises:
            Forbidden: no token is available.
        """
        with self._url_lock:
            if self._url == refused:
                self._url = self._sign(lambda: self._access.renew_url(self.href, refused))
            return self._url

    def open(self) -> Any:
        """Open the raster with rasterio, with a fresh token where the current one is refused."""
        url = self.url()
        try:
            return self._open(url)
        except Forbidden:
            if not self.signed:
                raise
            return self.reopen(url)

    def reopen(self, refused: str | None = None) -> Any:
        """Open the raster with rasterio and another token than before."""
        return self._open(self.renew_url(refused or self.url()))

    def open_file(self, opener: Callable[..., Any]) -> Any:
        """Open the raster with rasterio, its bytes read from the files that `opener` returns."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if (driver := find_driver(opener("").read(HEAD_BYTES))) is None:
                raise RasterioError(f"no {', '.join(REMOTE_DRIVERS)} by its first bytes")
            # rasterio knows openers by name.
            dataset = rasterio.open(uuid.uuid4().hex, opener=opener, driver=driver)
            return self._datasets.enter_context(dataset)

    def redact(self, error: Exception) -> str:
        """Return an error's message without the token; GDAL names files by the last part of their URL."""
        if not self._url:
            return str(error)
        url_tail, href_tail = (address.rsplit("/", 1)[-1] for address in (self._url, self.href))
        return str(error).replace(self._url, self.href).replace(url_tail, href_tail)

    def _sign(self, get_url: Callable[[], str]) -> str:
        try:
            return get_url()
        except TokenError as error:
            log.warning("%s: %s", self.href, error)
            raise Forbidden(str(error)) from None

    def _open(self, url: str) -> Any:
        """Open the raster with GDAL's own access to files and servers.

        Raises:
            Unreadable: the href may not be read.
        """
        if (refusal := self.refusal) is not None:
            raise Unreadable(refusal)
        try:
            if "GDAL_HTTP_PROXY" not in os.environ:
                self.rules.check_addresses(host_of(url))
        except InputError as error:
            raise Unreadable(error.problem) from None
        try:
            with warnings.catch_warnings(), rasterio.Env(**({} if local_path(url) is None else _LOCAL_OPTIONS)):
                # A missing georeference shows in the header.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                drivers = REMOTE_DRIVERS if local_path(url) is None else LOCAL_DRIVERS
                return self._datasets.enter_context(DatasetReader(url, driver=list(drivers)))
        except RasterioError as error:
            if status := _REFUSED.search(str(error)):
                log.warning("%s: %s", self.href, self.redact(error))
                raise Forbidden(f"the server answers {status[1]}") from None
            raise
