"""A file server with ranges that plays faults: `python server.py FOLDER` prints its port and serves until stdin ends.

Faults are values (see `Fault`), sent by POST; `GET /~faulted` answers the paths that a fault has met.
"""

import asyncio
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

# Longer than any reader of the tests waits.
SILENCE_S = 120.0
DRIP_S = 0.2
# Rasters by another name, without faults.
ELSEWHERE = "/elsewhere"
# A file's later version, by the same path below this folder.
NEWER = "newer"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Fault:
    """A fault of some answers.

    Attributes:
        kind: Key of `KINDS`.
        paths: Regular expression of the paths, from their start.
        first: Number of answers of each path that are faulty; None is all.
        chance: Probability that an answer is faulty.
        after: Number of answers of each path that are right before.
        part: `header` restricts it to requests from byte 0, `blocks` to the others.
        seed: Seed of its random numbers.
        status: Status of `failing` answers.
        wait_s: `Retry-After` of `busy` answers.
    """

    kind: str
    paths: str
    first: int | None = None
    chance: float = 1.0
    after: int = 0
    part: str = "any"
    seed: int = 0
    status: int = 500
    wait_s: int = 0

    def covers(self, path: str, start: int) -> bool:
        """Whether it is a fault of requests for a path from a byte on."""
        return bool(re.match(self.paths, path)) and self.part in ("any", "blocks" if start else "header")

    def strikes(self, path: str, count: int) -> bool:
        """Whether answer number `count` of a path is faulty."""
        last = count < self.after or (self.first is not None and count >= self.after + self.first)
        return not last and self.random(path, count).random() < self.chance

    def random(self, path: str, count: int) -> random.Random:
        """Random numbers of an answer, the same in each run."""
        return random.Random(f"{self.seed}/{self.kind}/{path}/{count}")


@dataclass
class Answer:
    """An answer.

    Attributes:
        start: Offset in the file of the body's first byte.
        sent: Bytes of the body that are sent before the connection is closed; None sends all and keeps it open.
        head_only: Send half of the head only.
        silent: Send nothing more, but keep the connection open.
        pause_s: Seconds between two bytes of the body.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    start: int = 0
    sent: int | None = None
    head_only: bool = False
    silent: bool = False
    pause_s: float = 0.0


@dataclass
class Folder:
    """The files, the faults, and what they have met."""

    path: Path
    faults: list[Fault] = field(default_factory=list)
    blocks: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    faulted: dict[str, set[str]] = field(default_factory=dict)

    def plan(self, document: dict[str, Any]) -> None:
        """Replace the faults, and forget what they have met."""
        self.faults = [Fault(**fault) for fault in document["faults"]]
        self.blocks = document.get("blocks", self.blocks)
        self.counts.clear()
        self.faulted.clear()

    def answer(self, target: str, span: str | None) -> Answer:
        path = unquote(target.partition("?")[0])
        if path == "/~faulted":
            document = {name: sorted(kinds) for name, kinds in self.faulted.items()}
            return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())
        if path.startswith(f"{ELSEWHERE}/"):
            return self.right(path.removeprefix(ELSEWHERE), span)
        right = self.right(path, span)
        for number, fault in enumerate(self.faults):
            if not fault.covers(path, right.start):
                continue
            count = self.counts[number, path]
            self.counts[number, path] += 1
            if fault.strikes(path, count):
                self.faulted.setdefault(path, set()).add(fault.kind)
                return KINDS[fault.kind](self, right, path, fault.random(path, count), fault, span)
        return right

    def right(self, path: str, span: str | None) -> Answer:
        """The answer without faults."""
        file = self.path / path.lstrip("/")
        if ".." in path or not file.is_file():
            return Answer(404, {"Content-Type": "text/plain"}, b"no such file")
        content = file.read_bytes()
        status = file.stat()
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
            "Content-Type": "application/json" if file.suffix == ".json" else "image/tiff",
        }
        return _ranged(content, span, headers)


def _ranged(content: bytes, span: str | None, headers: dict[str, str]) -> Answer:
    match, size = _RANGE.fullmatch(span or ""), len(content)
    if match is None:
        return Answer(200, headers, content)
    start, end = int(match[1]), min(int(match[2] or size - 1) + 1, size)
    if start >= end:
        return Answer(416, {"Content-Range": f"bytes */{size}"}, b"", start)
    return Answer(206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, content[start:end], start)


# -- Kinds: (folder, right answer, path, random numbers, fault, requested range) -> faulty answer ----------------------

Kind = Callable[[Folder, Answer, str, random.Random, Fault, str | None], Answer]


def _busy(_: Folder, right: Answer, __: str, ___: random.Random, fault: Fault, ____: str | None) -> Answer:
    return Answer(429, {"Retry-After": str(fault.wait_s)}, b"slow down", right.start)


def _failing(_: Folder, right: Answer, __: str, ___: random.Random, fault: Fault, ____: str | None) -> Answer:
    return Answer(fault.status, {}, b"<html>error</html>", right.start)


def _status(status: int) -> Kind:
    return lambda _, right, *__: Answer(status, {"Content-Type": "text/html"}, b"<html>no</html>", right.start)


def _hang(_: Folder, right: Answer, *__: object) -> Answer:
    right.silent, right.head_only, right.sent = True, True, 0
    return right


def _stall(_: Folder, right: Answer, *__: object) -> Answer:
    """Half of the body, and then nothing."""
    right.silent, right.sent = True, len(right.body) // 2
    return right


def _drip(_: Folder, right: Answer, *__: object) -> Answer:
    right.pause_s = DRIP_S
    return right


def _cut(_: Folder, right: Answer, __: str, rng: random.Random, *___: object) -> Answer:
    """Close the connection within the head or the body."""
    right.head_only = rng.random() < 0.25
    right.sent = rng.randrange(len(right.body)) if right.body else 0
    return right


def _short(_: Folder, right: Answer, __: str, rng: random.Random, *___: object) -> Answer:
    """A body shorter than the range that the head names; `Content-Length` says so only in half of the cases."""
    size = rng.randrange(len(right.body)) if right.body else 0
    if rng.random() < 0.5 and right.status == 206:
        right.body = right.body[:size]
    else:
        right.sent = size
    return right


def _garbled(folder: Folder, right: Answer, path: str, rng: random.Random, *_: object) -> Answer:
    """Flip bytes within the compressed blocks."""
    body, end = bytearray(right.body), right.start + len(right.body)
    for offset, size in folder.blocks.get(path, ()):
        first, last = max(offset, right.start), min(offset + size, end)
        for _number in range(min(64, max(0, last - first))):
            body[rng.randrange(first, last) - right.start] ^= rng.randrange(1, 256)
    right.body = bytes(body)
    return right


def _shifted(_: Folder, right: Answer, __: str, rng: random.Random, ___: Fault, ____: str | None) -> Answer:
    """The right bytes, said to be another range."""
    size = right.headers.get("Content-Range", "/0").rpartition("/")[2]
    first = right.start + rng.choice([10, 4096, *([-7] if right.start > 7 else [])])
    right.headers["Content-Range"] = f"bytes {first}-{first + len(right.body) - 1}/{size}"
    right.status = 206
    return right


def _unlabelled(_: Folder, right: Answer, *__: object) -> Answer:
    """A part without `Content-Range`."""
    right.headers.pop("Content-Range", None)
    right.status = 206
    return right


def _full(folder: Folder, _: Answer, path: str, *__: object) -> Answer:
    """The whole file whatever range is requested."""
    return folder.right(path, None)


def _redirect(_: Folder, __: Answer, path: str, rng: random.Random, *___: object) -> Answer:
    return Answer(rng.choice([301, 302, 307, 308]), {"Location": f"{ELSEWHERE}{path}"}, b"")


def _loop(_: Folder, __: Answer, path: str, rng: random.Random, *___: object) -> Answer:
    return Answer(302, {"Location": path}, b"")


def _page(_: Folder, __: Answer, *___: object) -> Answer:
    return Answer(200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>" * 20)


def _replaced(folder: Folder, _: Answer, path: str, __: random.Random, ___: Fault, span: str | None) -> Answer:
    """The file's later version."""
    return folder.right(f"/{NEWER}{path}", span)


KINDS: dict[str, Kind] = {
    "busy": _busy,
    "failing": _failing,
    "hang": _hang,
    "drip": _drip,
    "stall": _stall,
    "cut": _cut,
    "short": _short,
    "garbled": _garbled,
    "shifted": _shifted,
    "unlabelled": _unlabelled,
    "full": _full,
    "redirect": _redirect,
    "loop": _loop,
    "page": _page,
    "replaced": _replaced,
    "forbidden": _status(403),
    "missing": _status(404),
}


# -- HTTP --------------------------------------------------------------------------------------------------------------


async def _converse(folder: Folder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection until it is closed."""
    try:
        while request := await reader.readline():
            method, target, _ = request.decode("latin-1").split()
            headers = {}
            while line := (await reader.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
            if method == "POST":
                folder.plan(json.loads(await reader.readexactly(int(headers["content-length"]))))
                answer = Answer(200, {}, b"")
            else:
                answer = folder.answer(target, headers.get("range"))
            if not await _send(writer, reader, answer, body=method != "HEAD"):
                break
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, answer: Answer, *, body: bool) -> bool:
    """Send an answer; whether the connection stays open."""
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    head = f"HTTP/1.1 {answer.status} Status\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    content = answer.body if body else b""
    if answer.head_only:
        if not answer.silent:
            writer.write(head.encode()[: len(head) // 2])
            await writer.drain()
    else:
        writer.write(head.encode() + b"\r\n")
        for part in _parts(content[: answer.sent], answer.pause_s):
            writer.write(part)
            await writer.drain()
            if answer.pause_s and await _closed(reader, answer.pause_s):
                return False
    if answer.silent:
        await _closed(reader, SILENCE_S)
    return answer.sent is None


def _parts(content: bytes, pause_s: float) -> Iterator[bytes]:
    if not pause_s:
        yield content
    else:
        yield from (content[number : number + 1] for number in range(len(content)))


async def _closed(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Wait; True as soon as the reader closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(1), seconds) == b""
    except TimeoutError:
        return False


async def _serve(path: Path) -> None:
    folder = Folder(path)
    server = await asyncio.start_server(lambda *streams: _converse(folder, *streams), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)  # without waiting for silent connections


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
