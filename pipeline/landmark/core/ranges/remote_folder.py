"""Files below a URL."""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from landmark.core.errors import InputError
from landmark.core.hosts import HTTP, TRUSTED, HostRules
from landmark.core.ranges.errors import Forbidden
from landmark.core.ranges.http_file import HttpFile
from landmark.core.ranges.range_reader import RangeReader
from landmark.core.ranges.rate_limit import RateLimiter
from landmark.core.ranges.store_file import StoreFile, open_bucket

# Simultaneous requests of a process to a host or bucket.
MAX_REQUESTS = 64


class _Budget(NamedTuple):
    in_flight: int
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder on a server, or a prefix in a store; picklable.

    Attributes:
        url: Its URL, without a query and a slash at the end: errors and logs name files by it.
        query: The URL's query, such as a token, which is part of every request.
    """

    url: str
    query: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "RemoteFolder":
        """The folder of a user's own URL, which may name any host.

        Raises:
            InputError: not a URL of a supported scheme, with a user name or fragment, or without a bucket.
        """
        parts = urlsplit(url)
        TRUSTED.check_href(url)
        if "@" in parts.netloc or parts.fragment or not parts.netloc or (parts.query and parts.scheme not in HTTP):
            remedy = "give https://host/path, with a token as its query, or s3://, az:// or gs:// with bucket and path"
            value = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
            raise InputError("not the URL of a corpus", key="path", value=value, remedy=remedy)
        return cls(f"{parts.scheme.lower()}://{parts.netloc}{parts.path}".rstrip("/"), parts.query)

    def href(self, path: str) -> str:
        """URL of a file, without the query."""
        return f"{self.url}/{quote(path)}"

    def open(self, path: str) -> RangeReader:
        """The range reader of a file; nothing is requested."""
        source = _Source(self.href(path), self.query)
        parts = urlsplit(self.url)
        if parts.scheme in HTTP:
            return HttpFile(source)
        key = f"{parts.path}/{path}".lstrip("/")
        return StoreFile(source, open_bucket(parts.scheme, parts.netloc), key)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file of a folder, as requests need it."""

    href: str
    query: str = field(repr=False)

    @property
    def rules(self) -> HostRules:
        return TRUSTED

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    def proxy(self) -> str | None:
        return _find_proxy(urlsplit(self.href).scheme, urlsplit(self.href).netloc)

    @property
    def rate_limiter(self) -> RateLimiter:
        return _rate_limiter(*urlsplit(self.href)[:2])

    @property
    def signed(self) -> bool:
        return False

    def url(self) -> str:
        return f"{self.href}?{self.query}" if self.query else self.href

    def renew_url(self, refused: str) -> str:
        raise Forbidden("the server refuses access")


@cache
def _rate_limiter(scheme: str, host: str) -> RateLimiter:
    return RateLimiter(_Budget(MAX_REQUESTS))


@cache
def _find_proxy(scheme: str, host: str) -> str | None:
    """The proxy for a host, by the environment variables of curl."""
    url = f"{scheme}://{host}"
    return select_proxy(url, get_environ_proxies(url))
