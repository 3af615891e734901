"""A process's share of the machine's cores and of each host's request budget."""

import os
import threading
import time
from functools import cache
from types import TracebackType

from landmark.config.profiles import RequestBudget
from landmark.core.process_share import get_share

_UNLIMITED = RequestBudget(in_flight=2**30)


def available_cores() -> int:
    """Number of cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def core_share() -> int:
    """Return the process's share of the cores, at least 1."""
    processes, machines = get_share()
    return max(1, available_cores() * machines // processes)


def get_rate_limiter(host: str, budget: RequestBudget) -> "RateLimiter":
    """Return this process's rate limiter of a host; an empty host (local files) is not limited."""
    return _rate_limiter(host, budget.share(get_share()[0]) if host else _UNLIMITED)


class RateLimiter:
    """Context manager around each request to a host: waits until the budget allows another one."""

    def __init__(self, budget: RequestBudget) -> None:
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


@cache
def _rate_limiter(host: str, budget: RequestBudget) -> RateLimiter:
    return RateLimiter(budget)
