"""Faults between a file and its reader, as a test plans them."""

import gzip
from collections.abc import Callable, Mapping, Sequence
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
        drip_s: Seconds between the letters of a head that does not end.
        endless: Send zeros after the body until the connection is closed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first: int = 0
    sent: int | None = None
    silent: bool = False
    drip_s: float = 0.0
    endless: bool = False


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
    headers: Mapping[str, str]

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


def endless(answer: Answer, _: bytes) -> Answer:
    """Send a body that does not end."""
    return replace(answer, endless=True)


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


def restated(status: int = 206, **headers: str | None) -> Fault:
    """Send the right bytes under another status or other headers; `Content_Range=None` leaves a header out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(_restated, status, named)


def _restated(status: int, named: Mapping[str, str | None], answer: Answer, _: bytes) -> Answer:
    headers = {name: value for name, value in {**answer.headers, **named}.items() if value is not None}
    return replace(answer, status=status, headers=headers)


def another_range(begin: int, end: int) -> Fault:
    """Send a range that begins and ends so many bytes later than the requested one, and say so."""
    return partial(_another_range, begin, end)


def _another_range(begin: int, end: int, answer: Answer, content: bytes) -> Answer:
    first = min(max(0, answer.first + begin), len(content) - 1)
    body = content[first : max(first + 1, answer.first + len(answer.body) + end)]
    headers = {**answer.headers, "Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(content)}"}
    return replace(answer, headers=headers, body=body, first=first)


def unsized(answer: Answer, _: bytes) -> Answer:
    """Send the range without the size of the file."""
    if "Content-Range" not in answer.headers:
        return answer
    place, _slash, _size = answer.headers["Content-Range"].partition("/")
    return replace(answer, headers={**answer.headers, "Content-Range": f"{place}/*"})


def newer_as_complete(answer: Answer, content: bytes) -> Answer:
    """Send ranges without the size of the file, and the complete file as another version."""
    if "Content-Range" in answer.headers:
        return unsized(answer, content)
    return replace(answer, headers={**answer.headers, "ETag": '"new"'})


def aligned(block: int) -> Fault:
    """Send the blocks of a cache that contain the requested range, and say so."""
    return partial(_aligned, block)


def _aligned(block: int, answer: Answer, content: bytes) -> Answer:
    begin, end = answer.first, answer.first + len(answer.body)
    return _another_range(begin // block * block - begin, -(-end // block) * block - end, answer, content)


def new_version(newer: bytes, etag: str | None, **headers: str | None) -> Fault:
    """Send the range of another version of the file, as after an upload."""
    return partial(_new_version, newer, {"ETag": etag, **headers})


def _new_version(newer: bytes, named: Mapping[str, str | None], answer: Answer, _: bytes) -> Answer:
    body = newer[answer.first : answer.first + len(answer.body)]
    place = f"bytes {answer.first}-{answer.first + len(body) - 1}/{len(newer)}"
    answered = replace(answer, headers={**answer.headers, "Content-Range": place}, body=body)
    return _restated(answer.status, {name.replace("_", "-"): value for name, value in named.items()}, answered, b"")


def compressed(answer: Answer, _: bytes) -> Answer:
    """Send the range compressed, as a proxy may."""
    return replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"}, body=gzip.compress(answer.body))


def multipart(answer: Answer, _: bytes) -> Answer:
    """Send the range as a part of several."""
    head = f"--x\r\nContent-Type: image/tiff\r\nContent-Range: {answer.headers['Content-Range']}\r\n\r\n"
    headers = {**answer.headers, "Content-Type": "multipart/byteranges; boundary=x"}
    headers.pop("Content-Range")
    return replace(answer, headers=headers, body=head.encode() + answer.body + b"\r\n--x--\r\n")


def in_turn(*faults: Fault) -> Fault:
    """Apply some faults, each to the answer of the one before."""
    return partial(_in_turn, faults)


def _in_turn(faults: Sequence[Fault], answer: Answer, content: bytes) -> Answer:
    for fault in faults:
        answer = fault(answer, content)
    return answer


def hung_up(answer: Answer, _: bytes) -> Answer:
    """Close the connection without an answer."""
    return replace(answer, status=0)


def dripping(answer: Answer, _: bytes) -> Answer:
    """Send a head that does not end, letter by letter."""
    return replace(answer, drip_s=0.05)


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
