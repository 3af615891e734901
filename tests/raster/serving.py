"""A file server with ranges that logs requests and plays the faults that a test plans.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.raster.faults import Answer, Fault, PlannedFault, Request

# A silent server is silent for this long at most, whatever happens to the test.
SILENCE_S = 60.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class _Folder:
    """State of the server's process: the files, the planned faults and the log."""

    path: Path
    delay_s: float
    log: list[Request] = field(default_factory=list)
    max_in_flight: int = 0
    plans: dict[str, list[PlannedFault]] = field(default_factory=dict)
    in_flight_count: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def plan(self, name: str, planned: PlannedFault) -> None:
        self.plans.setdefault(name, []).append(planned)

    def summary(self) -> tuple[list[Request], int]:
        with self.lock:
            return self.log, self.max_in_flight

    def answer(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """Answer a request and log it."""
        parts, range_header = urlsplit(target), headers.get("Range")
        name = unquote(parts.path).lstrip("/")
        content = (self.path / name).read_bytes() if (self.path / name).is_file() else None
        right = _right_answer(content, range_header)
        requested = range(right.first, right.first + len(right.body) if method == "GET" else right.first)
        request = Request(method, name, parts.query, requested, range_header is not None, time.monotonic(), 0, headers)
        with self.lock:
            plan = next((planned for planned in self.plans.get(name, ()) if planned.applies(request)), None)
            answer = plan.fault(right, content or b"") if plan else right
            self.log.append(replace(request, status=answer.status))
        return answer

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """A request until its answer is ready: as soon as that is sent, the next one may arrive."""
        with self.lock:
            self.in_flight_count += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight_count)
        time.sleep(self.delay_s)
        try:
            yield
        finally:
            with self.lock:
                self.in_flight_count -= 1


def _right_answer(content: bytes | None, range_header: str | None) -> Answer:
    if content is None:
        return Answer(404, {}, b"no such file")
    size = len(content)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{size}"', "Content-Type": "image/tiff"}
    match = _RANGE.fullmatch(range_header or "")
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
    wbufsize = -1  # head and body are sent together
    disable_nagle_algorithm = True
    folder: _Folder

    def do_GET(self) -> None:
        with self.folder.in_flight():
            headers = {name.title(): value for name, value in self.headers.items()}
            answer = self.folder.answer(self.command, self.path, headers)
            if answer.silent:
                time.sleep(SILENCE_S)
        self._send(answer)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """Call a method of the folder for the test's process."""
        method, arguments = pickle.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(Answer(200, {}, pickle.dumps(getattr(self.folder, method)(*arguments))))

    def _send(self, answer: Answer) -> None:
        if answer.status == 0:
            self.close_connection = True
            return
        if answer.drip_s:
            self._drip(answer)
        self.send_response(answer.status)
        size = 2**40 if answer.endless else len(answer.body)
        for name, value in {**answer.headers, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent])
            while answer.endless:
                self.wfile.write(bytes(2**16))
        self.wfile.flush()
        self.close_connection |= answer.sent is not None

    def _drip(self, answer: Answer) -> None:
        for letter in b"HTTP/1.1 206 Partial Content\r\nX-Wait: " + bytes(10_000):
            self.connection.sendall(bytes([letter or 97]))
            time.sleep(answer.drip_s)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore readers that close the connection early."""


def serve(path: str, delay_s: float) -> None:
    """Serve until standard input ends, as it does when the test's process ends."""
    handler = type("Handler", (_Handler,), {"folder": _Folder(Path(path), delay_s)})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        os._exit(0)


@dataclass(frozen=True)
class Files:
    """A served folder, as the test's process sees it."""

    folder: Path
    url: str

    def href(self, name: str, query: str = "") -> str:
        """URL of a file in the folder."""
        return f"{self.url}/{quote(name)}" + (f"?{query}" if query else "")

    def plan(self, name: str, fault: Fault, **conditions: Any) -> None:
        """Plan a fault of requests for a file; of several that apply to a request, the first is played."""
        self._call("plan", name, PlannedFault(fault, **conditions))

    def requests(self, name: str, status: int | None = None) -> list[Request]:
        """Requests for a file in order, optionally only those answered with a status."""
        log, _ = self._call("summary")
        return [request for request in log if request.name == name and status in (None, request.status)]

    def max_in_flight(self) -> int:
        """Largest number of simultaneous requests."""
        return int(self._call("summary")[1])

    def max_rate(self, seconds: float = 1.0) -> int:
        """Largest number of requests within any interval of so many seconds."""
        times = [request.at_s for request in self._call("summary")[0]]
        return max((sum(begin <= time < begin + seconds for time in times) for begin in times), default=0)

    def _call(self, method: str, *arguments: object) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SILENCE_S)
        connection.request("POST", "/", pickle.dumps((method, arguments)))
        result = pickle.loads(connection.getresponse().read())
        connection.close()
        return result


@contextmanager
def serving(folder: Path, *, delay_s: float = 0.0) -> Iterator[Files]:
    """Serve a folder over HTTP on loopback; every answer takes `delay_s`."""
    program = f"from tests.raster.serving import serve; serve({str(folder)!r}, {delay_s})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        yield Files(folder, f"http://127.0.0.1:{int(server.stdout.readline())}")
        server.stdin.close()
