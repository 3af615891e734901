"""HTTP connections of urllib3 whose responses end in bounded time, however slowly a server sends them."""

import http.client
import io
import time
from typing import Any

import urllib3

from landmark.core.timeouts import RESPONSE_S

# A response takes longer than `RESPONSE_S` only at this rate.
MIN_BYTES_PER_S = 16 * 1024


class _LimitedFile(io.RawIOBase):
    """The bytes of a socket until the time is up; each read has the socket's own timeout."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._end_s = raw, time.monotonic() + RESPONSE_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read some bytes.

        Raises:
            TimeoutError: the time is up.
        """
        if time.monotonic() > self._end_s:
            raise TimeoutError("the response takes too long")
        size = self._raw.readinto(buffer)
        self._end_s += (size or 0) / MIN_BYTES_PER_S
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _LimitedResponse(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_LimitedFile(self.fp.detach()))


class _HttpConnection(urllib3.connection.HTTPConnection):
    response_class = _LimitedResponse


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    response_class = _LimitedResponse


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def limit_time(manager: urllib3.PoolManager) -> None:
    """Bound the time of all responses of a pool manager's connections."""
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
