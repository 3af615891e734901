"""A server in front of the real STAC API that refuses, cuts and forgets as real ones have done."""

import http.client
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

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

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, data = proxy.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield proxy
        server.shutdown()
        thread.join()
