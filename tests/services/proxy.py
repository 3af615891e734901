"""A server in front of the real STAC API that refuses, cuts and forgets as real ones have done."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from tests.services.served import served

Json = dict[str, Any]


@dataclass
class Proxy:
    """What the proxy does, and what it saw.

    Attributes:
        spoil: Changes an answer before it is handed on.
        refuse: Status, headers and body given in place of an answer to a search, or None.
        searched: Bodies of the searches that were answered.
    """

    api: str
    url: str = ""
    spoil: Callable[[Json], Json] = lambda answer: answer
    refuse: Callable[[], tuple[int, dict[str, str], bytes] | None] = lambda: None
    searched: list[Json] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The API's own answer, its links leading back here; or another."""
        searches = path.startswith("/search")
        if searches and (refusal := self.refuse()) is not None:
            return refusal
        if searches:
            self.searched.append(json.loads(body or b"{}"))
        to = http.client.HTTPConnection(urlparse(self.api).netloc)
        to.request(method, path, body, {"Host": urlparse(self.url).netloc, "Content-Type": "application/json"})
        answer = to.getresponse()
        data = answer.read()
        to.close()
        if answer.status == 200:
            data = json.dumps(self.spoil(json.loads(data))).encode()
        return answer.status, {"Content-Type": "application/json"}, data


@contextmanager
def proxied(api: str) -> Iterator[Proxy]:
    """A proxy of an API; its `url` is the landing page."""
    proxy = Proxy(api)
    with served(proxy.answer) as url:
        proxy.url = url
        yield proxy
