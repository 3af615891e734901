"""Requests of byte ranges, with the retries and checks that HTTP servers and cloud stores have in common."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from landmark.core.http import MAX_TIMEOUTS
from landmark.core.ranges.answers import Buffer, FileVersion, cut_body, forbidden, read_result_head
from landmark.core.ranges.errors import ChangedFile, ServerTimeout, TransientError, Unreadable
from landmark.core.timeouts import BACKOFF_S, TIMEOUT_S

log = logging.getLogger(__name__)

T = TypeVar("T")

# obstore's message; it hides the headers, so `Retry-After` is read from the next response.
_BUSY_MESSAGE = re.compile(r"status code: (429|503)")


class Limiter(AbstractContextManager[Any], Protocol):
    """Context manager around each request to a host: waits until another one may start."""

    def pause(self, seconds: float) -> None:
        """Start no request for some seconds."""


class RangeSource(Protocol):
    """A remote file and how it is requested; thread-safe."""

    @property
    def href(self) -> str:
        """The file's name, in logs and for its version: a URL without a token."""

    @property
    def rate_limiter(self) -> Limiter:
        """The rate limiter of its host."""


class RemoteFile:
    """A file on a server. All its bytes are of the version of the first answer."""

    remote = True

    def __init__(self, source: RangeSource) -> None:
        self._limited, self._version = source, FileVersion.of(source.href)
        self._changed = False

    def _backoffs_s(self, retry: bool) -> Sequence[float]:
        return BACKOFF_S if retry and not self._changed else ()

    def _get_range(self, store: Any, path: str, start: int, end: int) -> Buffer:
        """Get a range once, with obstore."""
        begin_s = time.monotonic()
        try:
            with self._limited.rate_limiter:
                begin_s = time.monotonic()
                result = obstore.get(store, path, options={"range": (start, end)})
                head = read_result_head(result)
                # The body may be endless: one byte too many is enough.
                body = next(iter(result.stream(min_chunk_size=head.end - head.start + 1)), b"")
        except PermissionDeniedError:
            raise forbidden(HTTPStatus.FORBIDDEN) from None
        except UnauthenticatedError:
            raise forbidden(HTTPStatus.UNAUTHORIZED) from None
        except FileNotFoundError:
            raise Unreadable("the server answers 404") from None
        except obstore.exceptions.BaseError as error:
            if (seconds := time.monotonic() - begin_s) >= TIMEOUT_S:
                raise ServerTimeout(seconds) from None
            busy = _BUSY_MESSAGE.search(str(error)) is not None
            raise TransientError("the server does not answer", busy=busy) from None
        self._version.check(head, start, end)
        return cut_body(head, body, start, end)

    def _retry(self, send: Callable[[], T], backoffs_s: Sequence[float]) -> T:
        """Send a request with back-off; while the server is busy, the whole process pauses its requests to it.

        Raises:
            ServerTimeout: no response, at the third attempt at the latest.
            ChangedFile: all attempts were answered with another version.
            Unreadable: the last attempt failed.
        """
        silent_s = 0.0
        for backoff_s in backoffs_s:
            try:
                return send()
            except TransientError as error:
                log.info("%s: %s", urlsplit(self._limited.href).hostname, error)
                silent_s += error.seconds if isinstance(error, ServerTimeout) else 0
                if silent_s > (MAX_TIMEOUTS - 0.5) * TIMEOUT_S:
                    raise
                wait_s = error.retry_after_s or backoff_s
                if error.busy:
                    self._limited.rate_limiter.pause(wait_s)
                else:
                    time.sleep(wait_s)
        try:
            return send()
        except ChangedFile:
            # Further requests are not repeated: the first version is gone.
            self._changed = True
            FileVersion.forget(self._limited.href)
            raise
