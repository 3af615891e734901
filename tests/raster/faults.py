"""Faults between a file and its reader, as a test plans them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the server.

    Attributes:
        first: Offset in the file of the body's first byte.
        sent: Bytes of the body that are sent before the connection is closed; None sends all and keeps it open.
        silent: Send nothing until the test is over.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first: int = 0
    sent: int | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request and its status; `bytes` are the requested ones of the file, `at_s` is its time."""

    method: str
    name: str
    query: str
    bytes: range
    ranged: bool
    at_s: float
    status: int

    @property
    def sig(self) -> str:
        """Signature in the URL, "" where there is none."""
        return parse_qs(self.query).get("sig", [""])[0]


# Turns the right answer to a request for a file into a faulty one.
Fault = Callable[[Answer, bytes], Answer]


def refuse(status: int, **headers: str) -> Fault:
    """Answer with a status and no pixels; `Retry_After="1"` becomes the header's name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(_replaced, Answer(status, named, b"<html>no</html>"))


def page(_: Answer, __: bytes) -> Answer:
    """Answer 200 with a page in place of the file."""
    return Answer(200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>" * 20)


def cut(offset: int) -> Fault:
    """Announce the complete body, send what lies before an offset in the file, and close the connection."""
    return partial(_cut, offset)


def _cut(offset: int, answer: Answer, _: bytes) -> Answer:
    return replace(answer, sent=max(0, offset - answer.first))


def clipped(answer: Answer, _: bytes) -> Answer:
    """Send half of the requested bytes as if they were all."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def padded(answer: Answer, _: bytes) -> Answer:
    """Send more bytes than requested."""
    return replace(answer, body=answer.body + b"\xa5" * 1000)


def garbled(place: range) -> Fault:
    """Overwrite some bytes of the file."""
    return partial(_garbled, place)


def _garbled(place: range, answer: Answer, _: bytes) -> Answer:
    body = bytearray(answer.body)
    begin, end = (min(max(byte - answer.first, 0), len(body)) for byte in (place.start, place.stop))
    body[begin:end] = b"\xa5" * (end - begin)
    return replace(answer, body=bytes(body))


def unranged(answer: Answer, content: bytes) -> Answer:
    """Send the complete file whatever range is requested, as a server without range support does."""
    return Answer(200, {name: value for name, value in answer.headers.items() if name != "Content-Range"}, content)


def silent(answer: Answer, _: bytes) -> Answer:
    """Accept the request and send nothing."""
    return replace(answer, silent=True)


def moved(url: str) -> Fault:
    """Redirect the reader."""
    return partial(_replaced, Answer(302, {"Location": url}, b""))


def _replaced(answer: Answer, _: Answer, __: bytes) -> Answer:
    return answer


@dataclass
class PlannedFault:
    """A fault of some requests for a file.

    Attributes:
        times: Number of faulty requests; None is all.
        after: Number of requests that pass first.
        over: Restricts the fault to requests that overlap these bytes of the file.
        sig: Restricts the fault to requests with this signature.
    """

    fault: Fault
    times: int | None = None
    after: int = 0
    over: range | None = None
    sig: str | None = None

    def applies(self, request: Request) -> bool:
        """Whether it applies to this request; counts the requests it could apply to."""
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
