"""Read documents of catalogues from where they may be read."""

from pathlib import Path
from typing import Any

import pystac
from pystac_client.stac_api_io import StacApiIO

from landmark.core.hosts import HostRules, is_url
from landmark.core.http import RETRY, open_session
from landmark.core.timeouts import TIMEOUT_S


class ApiIO(StacApiIO):
    """HTTP client of STAC APIs, with retries and a timeout; requests what the rules allow, and reads no file."""

    def __init__(self, rules: HostRules) -> None:
        super().__init__(timeout=TIMEOUT_S)
        self.session, self._rules = open_session(RETRY, TIMEOUT_S, rules), rules

    def read_text(self, source: Any, *args: Any, **options: Any) -> str:
        """Text at a URL.

        Raises:
            InputError: no URL.
        """
        href = source.get_href() if isinstance(source, pystac.Link) else str(source)
        if not is_url(str(href)):
            self._rules.check_href(str(href))
        return str(super().read_text(source, *args, **options))


def fetch_bytes(href: str, rules: HostRules) -> bytes:
    """Content of a path or URL that a document of these rules names.

    Raises:
        InputError: the rules do not allow it.
        OSError: it cannot be read; the errors of requests are OSErrors.
    """
    if not is_url(href):
        rules.check_href(href)
        return Path(href.removeprefix("file://")).read_bytes()
    with open_session(rules=rules) as session:
        response = session.get(href)
        response.raise_for_status()
        return response.content
