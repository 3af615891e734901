"""Batches that are filled ahead of their delivery."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from time import perf_counter

from landmark.core.threads import WorkerThreads
from landmark.loader.assembly import PendingBatch
from landmark.loader.batch import Batch
from landmark.loader.stats import LoaderStats

# Batches ahead: so many, or as many as have so many samples.
_MAX_BATCHES = 4
_MIN_SAMPLES = 128


class Prefetch:
    """Batches in order, of which threads fill the next ones.

    Args:
        batches: Makes batches, when there is room for another one.
        threads: Number of threads.
        max_bytes: Size of the batches ahead; one is ahead whatever its size.
        gradual: Begin with one batch and twice as many after each, so that the first one comes sooner.
    """

    def __init__(self, batches: Iterable[PendingBatch], *, threads: int, max_bytes: int, gradual: bool = False) -> None:
        self._batches: Iterator[PendingBatch] = iter(batches)
        self._threads, self._max_bytes = WorkerThreads(threads, name="landmark-loader"), max_bytes
        self._ahead: deque[PendingBatch] = deque()
        self._max_batches = 1 if gradual else sys.maxsize
        self._extend()

    def __bool__(self) -> bool:
        return bool(self._ahead)

    def deliver(self) -> tuple[Batch, LoaderStats]:
        """Wait for the next batch and return it with its sums.

        Raises:
            LandmarkError: a sample of it could not be read.
        """
        start = perf_counter()
        batch, stats = self._ahead[0].wait(), self._ahead[0].stats
        stats.consumer_wait_s = perf_counter() - start
        del self._ahead[0]
        self._max_batches = min(2 * self._max_batches, sys.maxsize)
        self._extend()
        return batch, stats

    def stop(self) -> None:
        """Stop the threads, without waiting for the samples they read."""
        self._threads.stop()

    def _extend(self) -> None:
        while self._has_room() and (batch := next(self._batches, None)) is not None:
            self._ahead.append(batch)
            for job in batch.jobs():
                self._threads.submit(job)

    def _has_room(self) -> bool:
        if not self._ahead:
            return True
        if len(self._ahead) >= self._max_batches:
            return False
        enough = len(self._ahead) >= _MAX_BATCHES and sum(batch.stats.samples for batch in self._ahead) >= _MIN_SAMPLES
        return not enough and sum(batch.bytes for batch in self._ahead) + self._ahead[-1].bytes <= self._max_bytes
