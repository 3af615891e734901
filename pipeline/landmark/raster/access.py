"""How an href becomes an address that can be read: as it is, or signed for a while, in the process that reads."""

import logging
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

import requests

from landmark.config.profiles import Budget, Signing
from landmark.core.http import PATIENCE, TIMEOUT_S

log = logging.getLogger(__name__)

# Bands that want a token together ask for one.
_ASKING = threading.RLock()
_BLOBS = ".blob.core.windows.net"
# As planetary_computer has it: a token that ends sooner is not handed out again.
_SPARE_S = 60


class NoToken(Exception):
    """An href cannot be signed. The message names no address, so that it can stand in a ledger."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a provider's hrefs are signed, and what each of its hosts may be asked.

    It holds no secret: tokens stay in the process they serve.
    """

    scheme: Signing = "none"
    budget: Budget = field(default_factory=Budget)

    def url(self, href: str, *, fresh: bool = False) -> str:
        """The address to read an href from now; `fresh` trusts no token from before.

        Paths, and hosts that are none of the scheme's, are their own address.

        Raises:
            NoToken: the href should be signed, and cannot be.
        """
        host = urlparse(href).hostname or ""
        if self.scheme == "none" or not host.endswith(_BLOBS):
            return href
        where = urlparse(href)
        if where.netloc != host:
            raise NoToken("its host has a port, a user or capitals, and such hosts are not signed")
        account, container = host.removesuffix(_BLOBS), where.path.split("/")[1]
        return str(_token(account, container, fresh=fresh).sign(href).href)

    def renewed(self, href: str, refused: str) -> str:
        """The address of an href after another was refused: with the token others got meanwhile, else a fresh one.

        Raises:
            NoToken: none can be had.
        """
        with _ASKING:
            url = self.url(href)
            return url if url != refused else self.url(href, fresh=True)


OPEN = Access()


def _token(account: str, container: str, *, fresh: bool) -> Any:
    """A token of planetary_computer's own cache, or a new one put there.

    The library's call is the same, but waits for ever on a server that takes the request and says nothing.
    """
    # Imported where it is needed: archives on disk should not wait for it.
    from planetary_computer.sas import TOKEN_CACHE
    from planetary_computer.settings import Settings

    settings = Settings.get()
    place = f"{settings.sas_url}/{account}/{container}"
    with _ASKING:
        token = None if fresh else TOKEN_CACHE.get(place)
        if token is None or token.ttl() < _SPARE_S:
            token = TOKEN_CACHE[place] = _asked(place, settings.subscription_key)
        return token


def _asked(place: str, key: str | None) -> Any:
    from planetary_computer.sas import SASToken

    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=PATIENCE))
        try:
            answer = session.get(place, headers={"Ocp-Apim-Subscription-Key": key} if key else {}, timeout=TIMEOUT_S)
            answer.raise_for_status()
            said = answer.json()
            return SASToken(**{name: said[name] for name in ("msft:expiry", "token")})
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            # What pydantic says of an answer holds a piece of it.
            log.warning("%s gives no token: %s", place, error if isinstance(error, OSError) else type(error).__name__)
            code = getattr(getattr(error, "response", None), "status_code", None)
            raise NoToken(f"the token service {f'answers {code}' if code else 'does not answer'}") from None
