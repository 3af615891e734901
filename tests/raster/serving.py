"""A file server with ranges that keeps a log, and that refuses, cuts, garbles and falls silent where a test plans it.

It is a process of its own: GDAL holds the interpreter's lock through some of its requests, and a server in a thread of
the reader's process could not answer them.
"""

import http.client
import http.server
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.raster.faults import Answer, Fault, Planned, Request

# A silent server is silent for no longer than this, whatever becomes of the test.
SILENCE_S = 60.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class _Folder:
    """What the server's process knows: the files, the plans and the log."""

    path: Path
    delay_s: float
    log: list[Request] = field(default_factory=list)
    most: int = 0
    plans: dict[str, list[Planned]] = field(default_factory=dict)
    flying: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def plan(self, name: str, planned: Planned) -> None:
        self.plans.setdefault(name, []).append(planned)

    def seen(self) -> tuple[list[Request], int]:
        with self.lock:
            return self.log, self.most

    def answer(self, method: str, target: str, said_range: str | None) -> Answer:
        """The answer to a request, which is logged."""
        where = urlsplit(target)
        name = unquote(where.path).lstrip("/")
        content = (self.path / name).read_bytes() if (self.path / name).is_file() else None
        honest = _honest(content, said_range)
        asked = range(honest.first, honest.first + len(honest.body) if method == "GET" else honest.first)
        request = Request(method, name, where.query, asked, said_range is not None, time.monotonic(), 0)
        with self.lock:
            plan = next((planned for planned in self.plans.get(name, ()) if planned.befalls(request)), None)
            answer = plan.fault(honest, content or b"") if plan else honest
            self.log.append(replace(request, status=answer.status))
        return answer

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """A request, until its answer is ready to go: once that is out, the next one may already be here."""
        with self.lock:
            self.flying += 1
            self.most = max(self.most, self.flying)
        time.sleep(self.delay_s)
        try:
            yield
        finally:
            with self.lock:
                self.flying -= 1


def _honest(content: bytes | None, said_range: str | None) -> Answer:
    if content is None:
        return Answer(404, {}, b"no such file")
    size = len(content)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{size}"', "Content-Type": "image/tiff"}
    match = _RANGE.fullmatch(said_range or "")
    if match is None:
        return Answer(200, headers, content)
    first, last = match.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if begin >= end:
        return Answer(416, {"Content-Range": f"bytes */{size}"}, b"")
    return Answer(206, headers | {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}, content[begin:end], begin)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    folder: _Folder

    def do_GET(self) -> None:
        with self.folder.in_flight():
            answer = self.folder.answer(self.command, self.path, self.headers.get("Range"))
            if answer.silent:
                time.sleep(SILENCE_S)
        self._send(answer)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """What the test's process asks of the folder."""
        method, arguments = pickle.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(Answer(200, {}, pickle.dumps(getattr(self.folder, method)(*arguments))))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent])
        self.wfile.flush()
        self.close_connection |= answer.sent is not None

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A reader may leave before it was answered."""


def serve(path: str, delay_s: float) -> None:
    """Serve until standard input ends, as it does when the test's process is gone."""
    handler = type("Handler", (_Handler,), {"folder": _Folder(Path(path), delay_s)})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        os._exit(0)


@dataclass(frozen=True)
class Files:
    """A served folder, as the test sees it."""

    folder: Path
    url: str

    def href(self, name: str, query: str = "") -> str:
        """The address of a file in the folder."""
        return f"{self.url}/{quote(name)}" + (f"?{query}" if query else "")

    def plan(self, name: str, fault: Fault, **when: Any) -> None:
        """Have a fault befall requests of a file; of several, the first that befalls a request has it."""
        self._ask("plan", name, Planned(fault, **when))

    def asked(self, name: str, status: int | None = None) -> list[Request]:
        """The requests of a file in the order they came, all or those answered with a status."""
        log, _ = self._ask("seen")
        return [request for request in log if request.name == name and status in (None, request.status)]

    def most(self) -> int:
        """How many requests were in flight at once, at most."""
        return int(self._ask("seen")[1])

    def busiest(self, seconds: float = 1.0) -> int:
        """How many requests came within one stretch of so many seconds, at most."""
        times = [request.at_s for request in self._ask("seen")[0]]
        return max((sum(begin <= time < begin + seconds for time in times) for begin in times), default=0)

    def _ask(self, method: str, *arguments: object) -> Any:
        to = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SILENCE_S)
        to.request("POST", "/", pickle.dumps((method, arguments)))
        said = pickle.loads(to.getresponse().read())
        to.close()
        return said


@contextmanager
def serving(folder: Path, *, delay_s: float = 0.0) -> Iterator[Files]:
    """A folder behind HTTP on loopback, for as long as the block; every answer takes `delay_s`."""
    program = f"from tests.raster.serving import serve; serve({str(folder)!r}, {delay_s})"
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=where
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        yield Files(folder, f"http://127.0.0.1:{int(server.stdout.readline())}")
        server.stdin.close()
