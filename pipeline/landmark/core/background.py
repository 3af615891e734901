"""Calls that threads make in the background, and whose results may be waited for."""

import atexit
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from landmark.core.errors import LandmarkError
from landmark.core.threads import WorkerThreads

T = TypeVar("T")
Item = TypeVar("Item")

_log = logging.getLogger(__name__)


def map_ahead(function: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    """Yield `function(item)` of each item, in order; a thread computes the next while one is used.

    Where an item raises, the results of those before it come first.
    """
    iterator, pending = iter(items), deque[Future[T]]()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        while True:
            try:
                pending.append(thread.submit(function, next(iterator)))
            except StopIteration:
                break
            except Exception:
                yield from (future.result() for future in pending)
                raise
            if len(pending) > 1:
                yield pending.popleft().result()
        yield from (future.result() for future in pending)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, and of those that are left; where an item raises, those before it come first."""
    batch = list[Item]()
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class BackgroundCalls:
    """Calls of functions by some threads, in order. Thread-safe; the threads start with the first call."""

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._threads: WorkerThreads | None = None
        self._pending: set[Future[Any]] = set()
        self._changed = threading.Condition()
        _all.add(self)

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function in the background."""
        future: Future[T] = Future()
        with self._changed:
            self._pending.add(future)
            threads = self._threads = self._threads or WorkerThreads(self._n_threads)
        future.add_done_callback(self._end)
        threads.submit(partial(_run, future, function))
        return future

    def wait(self, timeout_s: float) -> None:
        """Wait until no call is pending."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, timeout_s)

    def cancel(self) -> None:
        """Make no pending call that has not begun; `result` of it is None."""
        with self._changed:
            threads, self._threads = self._threads, None
            pending = list(self._pending)
        if threads is not None:
            threads.stop()
        for future in pending:
            future.cancel()

    def _end(self, future: "Future[Any]") -> None:
        with self._changed:
            self._pending.discard(future)
            self._changed.notify_all()


_all = weakref.WeakSet[BackgroundCalls]()


@atexit.register
def _cancel_all() -> None:
    """Release threads that wait for results, before the interpreter waits for the threads."""
    for calls in list(_all):
        calls.cancel()


def result(future: "Future[T]") -> T | None:
    """Wait for the result of a call; None if it was cancelled.

    What the function raised is raised.
    """
    try:
        return future.result()
    except CancelledError:
        return None


def _run(future: "Future[T]", function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        if not isinstance(error, LandmarkError):
            _log.exception("a call in the background failed")
        future.set_exception(error)
