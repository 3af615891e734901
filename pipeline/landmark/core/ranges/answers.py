"""What answers to range requests are held to: range, length, total size, and one version of the file.

A block-aligned cache may answer with a wider range than requested (RFC 7233); its bytes are cut to the requested ones.
"""

import datetime as dt
import os
import re
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

import urllib3

from landmark.core.http import RETRY
from landmark.core.ranges.errors import ChangedFile, Forbidden, TransientError, Unreadable

Buffer = Any  # supports the buffer protocol

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
# obstore's time of a response without `Last-Modified`.
_NO_TIME = dt.datetime.fromtimestamp(0, dt.UTC)
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_UNSATISFIABLE = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)
# What no file of data is sent as.
_PAGE = re.compile(r"text/|application/(json|xml|xhtml)", re.IGNORECASE)
# Bytes of a wider answer beyond the requested ones.
_MAX_EXTRA_BYTES = 2**26
_CHANGED = "the file has changed while it was read"


class Validators(NamedTuple):
    """What identifies a version of a file; None where the server does not say."""

    size: int | None
    etag: str | None
    modified: dt.datetime | None

    def completed(self, later: "Validators") -> "Validators":
        """These, and another answer's where the server did not say."""
        size = later.size if self.size is None else self.size
        return Validators(size, self.etag or later.etag, self.modified or later.modified)

    def matches(self, first: "Validators") -> bool:
        """Whether an answer with these belongs to the version of a first answer.

        Sizes are compared, and ETags or else times; an answer that lacks what the first one had does not match.
        """
        if self.size != first.size and None not in (self.size, first.size):
            return False
        if self.etag and first.etag:
            return self.etag.removeprefix("W/") == first.etag.removeprefix("W/")
        if self.modified and first.modified:
            return self.modified == first.modified
        return not (first.etag or first.modified)

    def __str__(self) -> str:
        size = None if self.size is None else f"{self.size} bytes"
        time = None if self.modified is None else f"modified {self.modified:%Y-%m-%dT%H:%M:%SZ}"
        parts = (size, None if self.etag is None else f"ETag {self.etag:.80}", time)
        return ", ".join(part for part in parts if part) or "of unknown size"


class Answer(NamedTuple):
    """Head of an answer: the range of its body, `end` exclusive, and the version of the file."""

    start: int
    end: int
    validators: Validators


def read_head(headers: Mapping[str, str]) -> Answer:
    """Parse the headers of a partial response.

    Raises:
        TransientError: no single range of plain bytes.
    """
    _check_encoding(headers.get("Content-Encoding"))
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None:
        raise TransientError(f"the answer has Content-Range {headers.get('Content-Range')!r:.80}")
    size = None if match[3] == "*" else int(match[3])
    validators = Validators(size, headers.get("ETag") or None, _parse_time(headers.get("Last-Modified")))
    return Answer(int(match[1]), int(match[2]) + 1, validators)


def read_result_head(result: Any) -> Answer:
    """The same of a result of obstore, which has parsed the headers.

    Raises:
        TransientError: the bytes are compressed.
    """
    _check_encoding(result.attributes.get("Content-Encoding"))
    meta, modified = result.meta, result.meta["last_modified"]
    validators = Validators(meta["size"], meta["e_tag"] or None, None if modified == _NO_TIME else modified)
    start, end = result.range
    return Answer(start, end, validators)


def read_complete_head(headers: Mapping[str, str]) -> Validators:
    """Parse the headers of an answer with the complete file; the size is None where the body's encoding ends it.

    Raises:
        TransientError: the answer is a page, or its end is unknown.
    """
    _check_encoding(headers.get("Content-Encoding"))
    kind, length = headers.get("Content-Type", ""), headers.get("Content-Length", "")
    if _PAGE.match(kind.strip()):
        raise TransientError(f"the answer is {kind!r:.80}")
    if not length.isascii() or not length.isdigit():
        if headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise TransientError(f"the answer has Content-Length {length!r:.80}")
        length = ""
    size = int(length) if length else None
    return Validators(size, headers.get("ETag") or None, _parse_time(headers.get("Last-Modified")))


def _check_encoding(encoding: str | None) -> None:
    if encoding and encoding.strip().lower() != "identity":
        raise TransientError(f"the answer has Content-Encoding {encoding!r:.80}")


def _parse_time(text: str | None) -> dt.datetime | None:
    try:
        time = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return time.replace(tzinfo=dt.UTC) if time and time.tzinfo is None else time


def check_status(response: urllib3.BaseHTTPResponse, expected: HTTPStatus) -> None:
    """Check the status of an answer.

    Raises:
        Forbidden: access is refused.
        TransientError: the server is busy, or the answer is of another kind than expected.
        Unreadable: any other status.
    """
    status = response.status
    if status == expected:
        return
    if status in _REFUSED:
        raise forbidden(status)
    problem = f"the server answers {status}"
    if status in RETRY.status_forcelist or 200 <= status < 300 or status == _UNSATISFIABLE:
        raise TransientError(problem, busy=status in _BUSY, retry_after_s=_retry_after_s(response))
    raise Unreadable(problem)


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds of the `Retry-After` header, None where it is missing or invalid."""
    try:
        return RETRY.get_retry_after(response)
    except urllib3.exceptions.InvalidHeader:
        return None


def forbidden(status: int) -> Forbidden:
    """Error of a status that refuses access."""
    return Forbidden(f"the server answers {status}")


class FileVersion:
    """The version of a file: the first answer's, to which all later ones are held; thread-safe.

    Attributes:
        copy: The complete file, where the server answers with nothing else.
        copying: Held while it is downloaded.
    """

    _by_href: ClassVar[WeakValueDictionary[str, "FileVersion"]] = WeakValueDictionary()

    def __init__(self) -> None:
        self._first: Validators | None = None
        self._status: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self.copying = threading.Lock()
        self.copy: Any = None

    @classmethod
    def of(cls, href: str) -> "FileVersion":
        """The version of a file that is open, shared by all its readers, as for several bands."""
        return cls._by_href.setdefault(href, cls())

    @classmethod
    def forget(cls, href: str) -> None:
        """Let later readers of a file that is closed, or has changed, hold the version that they find."""
        cls._by_href.pop(href, None)

    def check_status(self, status: os.stat_result) -> None:
        """Check that a local file is still the one of the first call.

        Raises:
            ChangedFile: it was replaced or written to.
        """
        current = status.st_ino, status.st_size, status.st_mtime_ns
        with self._lock:
            self._status = self._status or current
            if current != self._status:
                raise ChangedFile(_CHANGED)

    @property
    def first(self) -> Validators | None:
        """What the answers say of the version; None without an answer."""
        return self._first

    @property
    def known(self) -> bool:
        """Whether there was an answer."""
        return self._first is not None

    @property
    def size(self) -> int | None:
        """Bytes of the file; None without an answer, and where the answer does not say."""
        return None if self._first is None else self._first.size

    def ends_before(self, start: int) -> bool:
        """Whether the file is known to have no byte from `start` on."""
        return self.size is not None and self.size <= start

    def check(self, answer: Answer, start: int, end: int) -> None:
        """Check that an answer contains bytes `start` to `end` of this version, or all that the file has of them.

        Raises:
            ChangedFile: it belongs to another version.
            TransientError: it holds other bytes.
        """
        with self._lock:
            first = self._first or answer.validators
            _check_version(answer.validators, first)
            first = first.completed(answer.validators)
            _check_range(answer, start, end, first.size)
            self._first = first


def _check_version(validators: Validators, first: Validators) -> None:
    if validators.size != first.size and None not in (validators.size, first.size):
        raise ChangedFile(f"the file has changed from {first.size} to {validators.size} bytes")
    if not validators.matches(first):
        raise ChangedFile(_CHANGED)


def _check_range(answer: Answer, start: int, end: int, size: int | None) -> None:
    last = end if size is None else min(end, size)
    within = answer.end if size is None else size
    too_long = answer.end - answer.start > end - start + _MAX_EXTRA_BYTES
    if too_long or not answer.start <= start < last <= answer.end <= within:
        place = f"bytes {answer.start}-{answer.end - 1}/{answer.validators.size}"
        raise TransientError(f"the answer holds {place}, not {start}-{last - 1}")


def cut_body(answer: Answer, body: Buffer, start: int, end: int) -> Buffer:
    """Return bytes `start` to `end` of an answer's body.

    Raises:
        TransientError: the body is shorter or longer than its range.
    """
    if len(body) != answer.end - answer.start:
        raise TransientError(f"the answer has {len(body)} of {answer.end - answer.start} bytes")
    if (answer.start, answer.end) == (start, end):
        return body
    return memoryview(body)[start - answer.start : end - answer.start]
