"""Signed URLs of hrefs. Tokens are requested at read time, by the process that reads."""

import logging
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

import requests

from landmark.config.profiles import RequestBudget, Signing
from landmark.core.errors import InputError
from landmark.core.hosts import HostRules
from landmark.core.http import open_session

log = logging.getLogger(__name__)

# Held during a request, so that bands opened together request one token.
_TOKEN_LOCK = threading.RLock()
_BLOB_HOSTS = ".blob.core.windows.net"
# As planetary_computer does: a cached token that expires sooner is replaced.
_MIN_TTL_S = 60


class TokenError(Exception):
    """An href cannot be signed. The message holds no URL, so that it can be written to a ledger."""


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Signing of a provider's hrefs, the request budget of each of its hosts, and the rules of the catalogue's hrefs.

    Holds no secret: tokens stay in the process that requested them.
    """

    signing: Signing = "none"
    budget: RequestBudget = field(default_factory=RequestBudget)
    rules: HostRules = field(default_factory=HostRules)

    def signed_url(self, href: str, *, fresh: bool = False) -> str:
        """Return the URL to read an href from; `fresh=True` requests a new token.

        Paths and hosts that the signing scheme does not cover are returned unchanged.

        Raises:
            TokenError: the href has to be signed and cannot be.
        """
        parts = urlparse(href)
        host = parts.hostname or ""
        if self.signing == "none" or not host.endswith(_BLOB_HOSTS):
            return href
        if parts.netloc != host:
            raise TokenError("its host has a port, a user or capitals, and such hosts are not signed")
        account, container = host.removesuffix(_BLOB_HOSTS), parts.path.split("/")[1]
        address, _, query = href.partition("?")
        signed = str(_get_token(account, container, fresh=fresh).sign(address).href)
        return f"{signed}&{query}" if query else signed

    def renew_url(self, href: str, refused: str) -> str:
        """Return a URL that differs from a refused one: with the cached token if that is newer, else with a fresh one.

        Raises:
            TokenError: no token is available.
        """
        with _TOKEN_LOCK:
            url = self.signed_url(href)
            return url if url != refused else self.signed_url(href, fresh=True)


PUBLIC_ACCESS = AccessPolicy()


def _get_token(account: str, container: str, *, fresh: bool) -> Any:
    """Return a token from planetary_computer's own cache, or request one and cache it there.

    Replaces the library's own call, which has no timeout.
    """
    # Imported here: reading local files needs neither.
    from planetary_computer.sas import TOKEN_CACHE
    from planetary_computer.settings import Settings

    settings = Settings.get()
    url = f"{settings.sas_url}/{account}/{container}"
    with _TOKEN_LOCK:
        token = None if fresh else TOKEN_CACHE.get(url)
        if token is None or token.ttl() < _MIN_TTL_S:
            token = TOKEN_CACHE[url] = _request_token(url, settings.subscription_key)
        return token


def _request_token(url: str, key: str | None) -> Any:
    from planetary_computer.sas import SASToken

    with open_session() as session:
        try:
            response = session.get(url, headers={"Ocp-Apim-Subscription-Key": key} if key else {})
            response.raise_for_status()
            content = response.json()
            return SASToken(**{name: content[name] for name in ("msft:expiry", "token")})
        except (requests.RequestException, InputError, KeyError, TypeError, ValueError) as error:
            # Pydantic's messages quote the response, and with it a part of the token.
            log.warning("%s returned no token: %s", url, error if isinstance(error, OSError) else type(error).__name__)
            status = getattr(getattr(error, "response", None), "status_code", None)
            problem = f"answers {status}" if status else "does not answer"
            raise TokenError(f"the token service {problem}") from None
