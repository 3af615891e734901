"""Limit the requests to a host."""

import threading
import time
from types import TracebackType
from typing import Protocol


class Budget(Protocol):
    """Limits of the requests of a process to one host."""

    @property
    def in_flight(self) -> int:
        """Simultaneous requests."""

    @property
    def per_second(self) -> float | None:
        """Requests started per second; None for any number."""


class RateLimiter:
    """Context manager around each request to a host: waits until the budget allows another one."""

    def __init__(self, budget: Budget) -> None:
        self._slots = threading.BoundedSemaphore(budget.in_flight)
        self._interval_s = 1 / budget.per_second if budget.per_second else 0.0
        self._lock = threading.Lock()
        self._next_s = 0.0

    def __enter__(self) -> "RateLimiter":
        self._slots.acquire()
        try:
            while (wait_s := self._reserve()) > 0:
                time.sleep(wait_s)
        except BaseException:
            self._slots.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._slots.release()

    def pause(self, seconds: float) -> None:
        """Start no request for some seconds, as after `Retry-After`."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def _reserve(self) -> float:
        """Reserve the next start time and return 0, or return the seconds to wait before trying again."""
        with self._lock:
            now_s = time.monotonic()
            if self._next_s <= now_s:
                self._next_s = now_s + self._interval_s
                return 0.0
            return self._next_s - now_s
