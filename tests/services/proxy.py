"""A proxy of the STAC API that injects the faults of real servers."""

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
    """Faults to inject, and the searches that were forwarded.

    Attributes:
        spoil: Changes a response of the API.
        refuse: Returns (status, headers, body) to send instead of the response to a search, or None.
        searched: Bodies of the forwarded searches.
    """

    api: str
    url: str = ""
    spoil: Callable[[Json], Json] = lambda answer: answer
    refuse: Callable[[], tuple[int, dict[str, str], bytes] | None] = lambda: None
    searched: list[Json] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Forward a request and change the response; links in it refer to the proxy."""
        searches = path.startswith("/search")
        if searches and (refusal := self.refuse()) is not None:
            return refusal
        if searches:
            self.searched.append(json.loads(body or b"{}"))
        connection = http.client.HTTPConnection(urlparse(self.api).netloc)
        connection.request(method, path, body, {"Host": urlparse(self.url).netloc, "Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status == 200:
            data = json.dumps(self.spoil(json.loads(data))).encode()
        return answer.status, {"Content-Type": "application/json"}, data


@contextmanager
def proxied(api: str) -> Iterator[Proxy]:
    """Run a proxy of an API; its `url` is the landing page."""
    proxy = Proxy(api)
    with served(proxy.answer) as url:
        proxy.url = url
        yield proxy
