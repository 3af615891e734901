"""What this process may take: cores, and of each host so much at once and per second."""

import os
import threading
import time
from functools import cache
from types import TracebackType

from landmark.config.profiles import Budget

_processes, _machines = 1, 1
_NO_LIMIT = Budget(in_flight=2**30)


def share_with(processes: int, machines: int = 1) -> None:
    """From now on this process is one of several, on so many machines, that ask the same hosts."""
    global _processes, _machines
    _processes, _machines = max(1, processes), max(1, machines)


def cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def own_cores() -> int:
    """Those of them that are left to it by the others on this machine."""
    return max(1, cores() * _machines // _processes)


def gate_of(host: str, budget: Budget) -> "Gate":
    """The one gate of this process to a host; that to a disk, which has no name, is always open."""
    return _gate(host, budget.share(_processes) if host else _NO_LIMIT)


class Gate:
    """Lets a request begin when the budget allows: `with gate: ...` around each."""

    def __init__(self, budget: Budget) -> None:
        self._free = threading.BoundedSemaphore(budget.in_flight)
        self._gap_s = 1 / budget.per_second if budget.per_second else 0.0
        self._turn = threading.Lock()
        self._next_s = 0.0

    def __enter__(self) -> "Gate":
        self._free.acquire()
        try:
            while (wait_s := self._wait_s()) > 0:
                time.sleep(wait_s)
        except BaseException:
            self._free.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._free.release()

    def shut(self, seconds: float) -> None:
        """Let nothing begin for a while: the host asked for quiet."""
        with self._turn:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def _wait_s(self) -> float:
        """Take the next turn, or say how long it is still away; a gate that was shut meanwhile is asked again."""
        with self._turn:
            now_s = time.monotonic()
            if self._next_s <= now_s:
                self._next_s = now_s + self._gap_s
                return 0.0
            return self._next_s - now_s


@cache
def _gate(host: str, budget: Budget) -> Gate:
    return Gate(budget)
