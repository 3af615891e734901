"""Which hosts and files an href may name: any of a document on this machine, few of a document from elsewhere."""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from landmark.core.errors import InputError
from landmark.core.time_limit import limit_time

HTTP = ("http", "https")
# In the others the bucket or container stands in place of the host.
SCHEMES = (*HTTP, "s3", "gs", "az")
# What clients read differently: a host before it for one is a host after it for another.
_AMBIGUOUS = re.compile(r"[\\\s\x00-\x20\x7f]")
_URL = re.compile(r"(?!file:)[\w+.-]+://", re.IGNORECASE)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PRIVATE_REMEDY = "give --allow-private if the catalogue may lead into this network"


def is_private(address: str) -> bool:
    """Whether an address is not of the public internet: private, loopback, link-local, multicast, reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = (
            ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        )
        if inner is not None:
            return is_private(str(inner))
    return not ip.is_global or ip.is_multicast or ip.is_reserved or bool(getattr(ip, "is_site_local", False))


def is_private_literal(url: str) -> bool:
    """Whether a URL's host is written as a private address, or as `localhost`; no name is resolved."""
    host = host_of(url)
    try:
        return host == "localhost" or is_private(host)
    except ValueError:
        return False


def is_url(href: str) -> bool:
    """Whether an href has a scheme other than `file`."""
    return _URL.match(href) is not None


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def host_of(url: str) -> str:
    """Host of a URL in lower case, without port, brackets and a final dot; empty where clients would differ on it."""
    if _AMBIGUOUS.search(url) is not None:
        return ""
    try:
        parts = urlsplit(url)
        hosts = {(parts.hostname or "").lower(), (parse_url(url).host or "").strip("[]").lower()}
    except (ValueError, LocationParseError):
        return ""
    host = hosts.pop()
    return "" if hosts or not host.isascii() or "%" in host else host.removesuffix(".")


@dataclass(frozen=True, slots=True)
class HostRules:
    """Rules for the hrefs of a document; picklable.

    Attributes:
        trusted: The document is on this machine, or its URL is the user's own: it may name any host and file.
        hosts: Names of the hosts that an untrusted document may name; `*.` at the start stands for any subdomain. A
            document that is linked from a trusted one may name these and its own.
        private: Whether hosts that an untrusted document names may have private addresses.
        local_mirror: Whether the user's profile has hrefs of the document rewritten to files on this machine.
        is_private: Tells private addresses.
    """

    trusted: bool = True
    hosts: tuple[str, ...] = ()
    private: bool = False
    local_mirror: bool = False
    is_private: Callable[[str], bool] = is_private

    def for_document(self, location: str) -> "HostRules":
        """The rules for the hrefs of a document at a path or URL; the same for all documents of an untrusted one."""
        if not self.trusted or not is_url(location):
            return self
        hosts = (*self.hosts, host_of(location))
        return replace(self, trusted=False, hosts=hosts, private=self.private or is_private_literal(location))

    def check_href(self, href: str) -> None:
        """Require that a document may name a path or URL, by its text; no name is resolved.

        Raises:
            InputError: it may not.
        """
        path = href[7:] if href[:7].lower() == "file://" else href
        if re.match(r"/+vsi", path) or (is_url(href) and _scheme(href) not in SCHEMES):
            remedy = f"name a file, or a URL of {', '.join(SCHEMES)}"
            raise InputError("a place that only GDAL knows", key="href", value=href, remedy=remedy)
        if self.trusted:
            return
        if not is_url(href):
            if self.local_mirror:
                return
            remedy = "files on this machine are read for catalogues on this machine: save the catalogue here"
            raise InputError("a remote document names a file on this machine", key="href", value=href, remedy=remedy)
        if re.match(r"[^/]*//[^/?#]*@", href):
            remedy = "give hrefs without it"
            raise InputError("a user name or password", key="href", value=host_of(href) or None, remedy=remedy)
        self._check_name(host_of(href))

    def check_url(self, url: str) -> None:
        """Require that a URL may be requested, by its text.

        Raises:
            InputError: it may not.
        """
        if self.trusted:
            return
        if _scheme(url) not in HTTP:
            raise InputError("a redirect to what is no http(s) URL", key="href", value=_scheme(url))
        self._check_name(host_of(url))

    def check_redirect(self, origin: str, target: str) -> None:
        """Require that a URL may be requested on behalf of another; no trusted public host leads to a private one.

        Raises:
            InputError: it may not.
        """
        self.check_url(target)
        if self.trusted and not self.private and not self._has_private(host_of(origin)):
            self._refuse_private(host_of(target))

    def check_addresses(self, host: str) -> None:
        """Require that no address of a host, as it is resolved now, is private where that is not allowed.

        Raises:
            InputError: one is.
        """
        if not self.trusted and not self.private:
            self._refuse_private(host)

    def guard(self, manager: urllib3.PoolManager) -> None:
        """Have a manager's connections check their addresses: before they connect, and before anything is sent.

        Not for connections through a proxy, which resolves names itself.
        """
        if not self.trusted and not self.private:
            classes = manager.pool_classes_by_scheme
            manager.pool_classes_by_scheme = {scheme: _guarded(pool, self) for scheme, pool in classes.items()}

    def _check_name(self, host: str) -> None:
        if not host:
            remedy = "write it in plain ASCII letters (`xn--…`)"
            raise InputError("a host that programs may read differently", key="hosts", remedy=remedy)
        if not any(host.endswith(entry[1:]) if entry.startswith("*.") else host == entry for entry in self.hosts):
            remedy = "add it to `hosts` of the provider's profile if the catalogue may lead there"
            raise InputError("not a host that the catalogue may name", key="hosts", value=host, remedy=remedy)

    def _refuse_private(self, host: str) -> None:
        if self._has_private(host):
            raise InputError("has a private address", key="hosts", value=host, remedy=_PRIVATE_REMEDY)

    def _has_private(self, host: str) -> bool:
        try:
            addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False  # connecting fails
        return any(self.is_private(str(address[0])) for *_, address in addresses)


TRUSTED = HostRules()


class _CheckedManager(urllib3.PoolManager):
    """A pool manager whose requests and redirects obey rules."""

    rules: HostRules

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Make a request; redirects come here, too."""
        self.rules.check_url(url)
        return super().urlopen(method, url, redirect, **options)


class _CheckedProxy(_CheckedManager, urllib3.ProxyManager):
    pass


def open_manager(rules: HostRules, proxy: str | None, **options: Any) -> urllib3.PoolManager:
    """Open a connection pool whose requests and redirects obey rules, in bounded time; a proxy resolves names."""
    manager = _CheckedProxy(proxy, **options) if proxy else _CheckedManager(**options)
    manager.rules = rules
    limit_time(manager)
    if not proxy:
        rules.guard(manager)
    return manager


def _guarded(pool: Any, rules: HostRules) -> Any:
    """A class of connection pools whose connections check their addresses."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            rules.check_addresses(self.host)
            connected: socket.socket = super()._new_conn()
            try:  # its name may have been resolved anew
                rules.check_addresses(connected.getpeername()[0])
            except InputError:
                connected.close()
                raise
            return connected

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})
