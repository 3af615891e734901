"""Iterate over a selection in batches, in an exact order that can be resumed at any batch."""

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InputError
from landmark.core.process_share import available_cores
from landmark.corpus.reader import Corpus
from landmark.loader.annotations import Annotations
from landmark.loader.assembly import PendingBatch, SampleSource, SensorBuffers
from landmark.loader.batch import Batch
from landmark.loader.buffers import BufferPool
from landmark.loader.captions import CaptionRequest
from landmark.loader.format import Bands, Fit, open_format
from landmark.loader.order import Epoch, rank_slots
from landmark.loader.prefetch import Prefetch
from landmark.loader.sample_cache import SampleCache
from landmark.loader.selection import OrderOptions, open_order
from landmark.loader.state import identify
from landmark.loader.stats import LoaderStats

# Samples of later batches that are announced, where reading takes long: a window of each stream; and batches of them
# after each batch.
_SAMPLES_ANNOUNCED, _STEPS_AT_ONCE = 4096, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions(OrderOptions):
    """Options of a loader.

    Attributes:
        epoch: Number of the first epoch.
        bands: Bands of the images, see `open_format`, as are the next three.
        size: Edge of the images in pixels.
        fit: How samples are brought to it.
        normalise: A normalisation by name or path.
        captions: Captions to read, see `Annotations`.
        columns: Columns of the index to read.
        threads: Threads that read, decode and normalise; by default as many as CPUs, at most 4.
        prefetch_bytes: Size of the batches that are filled ahead; one is ahead whatever its size.
        cache_bytes: Size of the samples that stay decoded in memory.
    """

    epoch: int = 0
    bands: Bands | None = None
    size: int | None = None
    fit: Fit = "resize"
    normalise: str | os.PathLike[str] | None = None
    captions: CaptionRequest = None
    columns: Sequence[str] = ()
    threads: int | None = None
    prefetch_bytes: int = 256_000_000
    cache_bytes: int = 1_000_000_000

    def check(self) -> None:
        """Require numbers in their ranges, also those of the order.

        Raises:
            InputError: an option is another; `key` is its name.
        """
        OrderOptions.check(self)
        for key, minimum in (("epoch", 0), ("prefetch_bytes", 0), ("cache_bytes", 0), ("threads", 1)):
            value = getattr(self, key)
            is_count = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
            if not is_count and (key, value) != ("threads", None):
                raise InputError(f"must be a whole number from {minimum} on", key=key, value=value)


class Loader:
    """Batches of a selection, epoch by epoch.

    `for batch in loader` gives the rest of the current epoch; the next `for` the next epoch. After `break` or an error
    it continues behind the last batch that was delivered. Threads read ahead only during an iteration; one iteration
    runs at a time, in the process that made the loader.

    Attributes:
        epoch: Number of the current epoch.
        position: Batches of it that were delivered.
    """

    def __init__(self, corpus: Corpus, options: LoaderOptions) -> None:
        """Open a loader.

        Raises:
            InputError: an option is unknown or does not fit the corpus; `key` is its name.
            InsufficientData: the selection is empty, smaller than a batch of several ranks, or lacks captions.
        """
        self.epoch, self.position = options.epoch, 0
        self._options, self._process, self._iteration = options, os.getpid(), object()
        self._order, self._identity = open_order(corpus, options), identify(corpus, options)
        self._epoch()
        self._formats = open_format(
            corpus, bands=options.bands, size=options.size, fit=options.fit, normalise=options.normalise
        )
        self._annotations = Annotations(corpus, captions=options.captions, columns=options.columns)
        self._rows, self._sensors = corpus.rows, _sensor_numbers(corpus, tuple(self._formats))
        self._source = SampleSource(corpus.chips, SampleCache(options.cache_bytes), BufferPool())
        self._n_threads = options.threads or min(4, available_cores())
        self._stats = LoaderStats()
        # A traceback may keep an iteration that ended.
        self._last_ahead: Callable[[], Prefetch | None] = lambda: None

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._epoch().steps

    @property
    def samples(self) -> int:
        """Samples of an epoch on all ranks: of the sensor with the most, where sensors come together."""
        return self._order.n_rows

    def stats(self) -> LoaderStats:
        """What was delivered, and what was waited for, since the loader was opened."""
        return replace(self._stats, buffer_bytes=self._source.pool.bytes_in_use)

    def state_dict(self) -> dict[str, Any]:
        """Order, epoch and number of delivered batches: at most 256 bytes as JSON, and the same on all ranks."""
        return self._identity.state(epoch=self.epoch, position=self.position)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue behind the last batch that another loader delivered, on any number of ranks and threads.

        Raises:
            StateMismatch: its order is another; `key` is the part that differs.
        """
        self.epoch, self.position = self._identity.restore(state, self._order, ranks=self._options.ranks)
        self._iteration = object()

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the rest of the current epoch.

        Raises:
            GenerationReplaced: a newer generation has replaced the shards; open the corpus again.
            InvalidCorpus: a file is damaged or was changed; the batch with it is not delivered.
            RuntimeError: another iteration or `load_state_dict` was called meanwhile.
        """
        iteration = self._iteration = object()
        self._check_iteration(iteration)
        if (last := self._last_ahead()) is not None:
            last.stop()
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        epoch = self._epoch()
        batches = map(partial(self._make_batch, epoch), self._steps(epoch))
        ahead = Prefetch(
            batches,
            threads=self._n_threads,
            max_bytes=self._options.prefetch_bytes,
            gradual=self._source.chips.files.remote,
        )
        self._last_ahead = weakref.ref(ahead)
        try:
            while ahead:
                self._check_iteration(iteration)
                # Without a name, so that nothing but the consumer refers to the batch.
                yield self._deliver(ahead)
            self._check_iteration(iteration)
        finally:
            ahead.stop()
        self.epoch, self.position = self.epoch + 1, 0

    def _epoch(self) -> Epoch:
        return self._order.epoch(self.epoch, ranks=self._options.ranks)

    def _deliver(self, ahead: Prefetch) -> Batch:
        batch, stats = ahead.deliver()
        self._stats.add(stats)
        self.position += 1
        return batch

    def _check_iteration(self, iteration: object) -> None:
        if os.getpid() != self._process:
            problem = "a loader works in the process that opened it only, as its threads do not exist in others"
            raise InputError(problem, key="num_workers", remedy="set it to 0: the loader has threads of its own")
        if iteration is not self._iteration:
            raise RuntimeError("the loader was iterated anew or got another state during this iteration")

    def _steps(self, epoch: Epoch) -> Iterator[int]:
        """The rest of an epoch. Where reading takes long, later batches are announced, several after each step."""
        announced = self.position
        for step in range(self.position, epoch.steps):
            yield step
            if self._source.chips.files.remote:
                last = min(epoch.steps, step + 1 + _SAMPLES_ANNOUNCED // self._options.batch)
                first, announced = max(announced, step + 1), min(max(announced, step + 1) + _STEPS_AT_ONCE, last)
                for later in range(first, announced):
                    self._announce(epoch, later)

    def _announce(self, epoch: Epoch, step: int) -> None:
        selected = self._select(epoch, step)
        rows, sensors = self._rows[selected], self._sensors[selected]
        for number, format in enumerate(self._formats.values()):
            self._source.prefetch(rows[sensors == number].tolist(), format, soon=False)

    def _select(self, epoch: Epoch, step: int) -> NDArray[np.int64]:
        """Rows of the selection in this rank's part of a batch."""
        rank, ranks = self._options.rank, self._options.ranks
        return np.concatenate([part[rank_slots(len(part), rank, ranks)] for part in epoch.rows(step)])

    def _make_batch(self, epoch: Epoch, step: int) -> PendingBatch:
        selected = self._select(epoch, step)
        rows, sensors = self._rows[selected], self._sensors[selected]
        buffers = {}
        for number, (sensor, format) in enumerate(self._formats.items()):
            places = np.flatnonzero(sensors == number)
            if len(places):
                buffers[sensor] = SensorBuffers(self._source, format, rows[places], places)
        annotate = partial(self._annotations.read, selected, seed=self._options.seed, epoch=epoch.number)
        return PendingBatch(buffers, annotate, self._annotations.classes)


def _sensor_numbers(corpus: Corpus, sensors: Sequence[str]) -> NDArray[np.int8]:
    """Sensor of each row of a selection, as a number of `sensors`; -1 for others."""
    shards = corpus.manifest.shards
    numbers = [sensors.index(shard.sensor) if shard.sensor in sensors else -1 for shard in shards]
    return np.repeat(np.array(numbers, np.int8), [shard.rows for shard in shards])[corpus.rows]
