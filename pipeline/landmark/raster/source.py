"""Where a raster is read from: an href, the address it has for now, and how GDAL is to go there."""

import logging
import re
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from landmark.raster.access import Access, NoToken
from landmark.raster.rate_limit import Gate, gate_of

log = logging.getLogger(__name__)
# GDAL's own complaints name signed addresses; what is logged here says the same without the token. A signature may hold
# a slash, and GDAL names a file by what follows the last one: then only its end, always an encoded `=`, tells.
for _name in ("_base", "_env", "_err", "_io"):
    logging.getLogger(f"rasterio.{_name}").addFilter(
        lambda record: not any(part in record.getMessage() for part in ("sig=", "%3D"))
    )

_REFUSED = re.compile(r"HTTP response code: (401|403|409)")

# One folder listing or side-car probe per band would be a request each; retries cover what passes by itself.
GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": 64 * 2**20,
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "VSI_CACHE": True,
    # A server that takes a request and says nothing would be waited for without end.
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
}


class Unreadable(Exception):
    """The raster cannot be read. The message names no address, so that it can stand in a ledger."""

    reason = "read_error"


class Forbidden(Unreadable):
    """The archive refuses the raster, or no token for it can be had."""

    reason = "forbidden"


class Source:
    """Where a raster is read from: an href, and the address it has for now. Threads may share one."""

    def __init__(self, href: str, access: Access) -> None:
        self.href, self._access, self._url = href, access, ""
        self._turn = threading.Lock()
        self._datasets = ExitStack()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._datasets.close()

    @property
    def gate(self) -> Gate:
        """Lets its host be asked; a path on disk is asked at any time."""
        return gate_of(urlsplit(self.href).netloc, self._access.budget)

    @property
    def signed(self) -> bool:
        """True where the address is good for a while only."""
        return self.url() != self.href

    def url(self) -> str:
        """The address to read from now.

        Raises:
            Forbidden: no token can be had.
        """
        with self._turn:
            self._url = self._url or self._address(lambda: self._access.url(self.href))
            return self._url

    def renewed(self, refused: str) -> str:
        """The address after another was refused; threads refused together renew it once.

        Raises:
            Forbidden: no token can be had.
        """
        with self._turn:
            if self._url == refused:
                self._url = self._address(lambda: self._access.renewed(self.href, refused))
            return self._url

    def dataset(self) -> Any:
        """The raster as GDAL opens it, with a fresh token where the one at hand is refused."""
        url = self.url()
        try:
            return self._open(url)
        except Forbidden:
            if not self.signed:
                raise
            return self.again(url)

    def again(self, refused: str | None = None) -> Any:
        """The raster, with another token than before."""
        return self._open(self.renewed(refused or self.url()))

    def clean(self, error: Exception) -> str:
        """What an error says, without the token: GDAL names files by the last part of their address."""
        if not self._url:
            return str(error)
        tail, name = (place.rsplit("/", 1)[-1] for place in (self._url, self.href))
        return str(error).replace(self._url, self.href).replace(tail, name)

    def _address(self, made: Callable[[], str]) -> str:
        try:
            return made()
        except NoToken as error:
            log.warning("%s: %s", self.href, error)
            raise Forbidden(str(error)) from None

    def _open(self, url: str) -> Any:
        try:
            with warnings.catch_warnings():
                # Whoever asks for the header sees that it places the raster nowhere.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                return self._datasets.enter_context(rasterio.open(url))
        except RasterioError as error:
            if code := _REFUSED.search(str(error)):
                log.warning("%s: %s", self.href, self.clean(error))
                raise Forbidden(f"the archive answers {code[1]}") from None
            raise
