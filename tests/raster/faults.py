"""What can go wrong between a file and its reader, as a test plans it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        first: Place in the file of the body's first byte.
        sent: How many bytes of the body are sent before the connection is closed; None sends all and keeps it.
        silent: True says nothing at all until the test is over.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first: int = 0
    sent: int | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what became of it; `bytes` are those of the file it asked for, `at_s` is when it came."""

    method: str
    name: str
    query: str
    bytes: range
    ranged: bool
    at_s: float
    status: int

    @property
    def sig(self) -> str:
        """The signature in the address, "" where there is none."""
        return parse_qs(self.query).get("sig", [""])[0]


# What becomes of an honest answer to a request of a file.
Fault = Callable[[Answer, bytes], Answer]


def refuse(status: int, **headers: str) -> Fault:
    """Answer with a status and no pixels; `Retry_After="1"` becomes the header's name."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(_instead, Answer(status, said, b"<html>no</html>"))


def page(_: Answer, __: bytes) -> Answer:
    """Answer 200 with a page in place of the file."""
    return Answer(200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>" * 20)


def cut(place: int) -> Fault:
    """Announce the whole body, send what lies before a byte of the file, close."""
    return partial(_cut, place)


def _cut(place: int, answer: Answer, _: bytes) -> Answer:
    return replace(answer, sent=max(0, place - answer.first))


def clipped(answer: Answer, _: bytes) -> Answer:
    """Send half of what was asked for, as if it were all."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def padded(answer: Answer, _: bytes) -> Answer:
    """Send more than was asked for."""
    return replace(answer, body=answer.body + b"\xa5" * 1000)


def garbled(place: range) -> Fault:
    """Send nonsense for some bytes of the file."""
    return partial(_garbled, place)


def _garbled(place: range, answer: Answer, _: bytes) -> Answer:
    body = bytearray(answer.body)
    begin, end = (min(max(byte - answer.first, 0), len(body)) for byte in (place.start, place.stop))
    body[begin:end] = b"\xa5" * (end - begin)
    return replace(answer, body=bytes(body))


def whole(answer: Answer, content: bytes) -> Answer:
    """Send the whole file, whatever range was asked for, as a server that knows no ranges does."""
    return Answer(200, {name: value for name, value in answer.headers.items() if name != "Content-Range"}, content)


def silent(answer: Answer, _: bytes) -> Answer:
    """Take the request and say nothing."""
    return replace(answer, silent=True)


def moved(url: str) -> Fault:
    """Send the reader elsewhere."""
    return partial(_instead, Answer(302, {"Location": url}, b""))


def _instead(answer: Answer, _: Answer, __: bytes) -> Answer:
    return answer


@dataclass
class Planned:
    """A fault of some of a file's requests.

    Attributes:
        times: How many requests it befalls; None is every one.
        after: How many requests it lets pass first.
        over: It befalls only requests that touch these bytes of the file.
        sig: It befalls only requests signed like this.
    """

    fault: Fault
    times: int | None = None
    after: int = 0
    over: range | None = None
    sig: str | None = None

    def befalls(self, request: Request) -> bool:
        """Whether it befalls this request; it counts the requests it could befall."""
        if self.over is not None and not (
            request.bytes.start < self.over.stop and self.over.start < request.bytes.stop
        ):
            return False
        if self.sig is not None and request.sig != self.sig:
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0
