"""A batch in the making: buffers, and jobs that fill them in any order on any thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from math import prod
from operator import itemgetter
from queue import SimpleQueue
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import LandmarkError
from landmark.core.threads import Job
from landmark.corpus.chips import ChipReader
from landmark.corpus.pages import PREFIX_BYTES
from landmark.loader.annotations import BatchAnnotations
from landmark.loader.batch import Batch, SensorPixels
from landmark.loader.buffers import BufferPool
from landmark.loader.format import PixelFormat
from landmark.loader.sample_cache import SampleCache
from landmark.loader.stats import LoaderStats

_JOB_SAMPLES = 8
# Position of a failure to read annotations, before all samples.
_ANNOTATIONS = -1

# Row of the corpus, position in the batch, buffers, position in them.
Sample = tuple[int, int, "SensorBuffers", int]


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Where the pixels of batches come from.

    Attributes:
        chips: Reader of the corpus's pages.
        cache: Samples in memory.
        pool: Memory of batches.
    """

    chips: ChipReader
    cache: SampleCache
    pool: BufferPool

    def prefetch(self, rows: Sequence[int], format: PixelFormat, *, soon: bool = True) -> None:
        """Start to read rows of a sensor that are not in memory, where reading takes long; `soon` if they come next."""
        if self.chips.files.remote:
            self.chips.prefetch([row for row in rows if row not in self.cache], format.columns, soon=soon)


class SensorBuffers:
    """Buffers of a batch's samples of one sensor.

    Args:
        source: Where pixels come from.
        format: What is made of them.
        rows: (n,) rows of the corpus, in slot order.
        places: (n,) positions of the samples in the batch.

    Attributes:
        pixels: The samples; undefined until all are filled.
    """

    def __init__(
        self, source: SampleSource, format: PixelFormat, rows: NDArray[np.int64], places: NDArray[np.int64]
    ) -> None:
        self._source, self._format, self._rows = source, format, rows.tolist()
        # A page decompresses to the value after its length.
        prefix = PREFIX_BYTES if format.native else 0
        self._buffers: list[NDArray[np.uint8]] = []
        self._groups: dict[str, NDArray[Any]] = {}
        for name, shape in format.stored_shapes.items():
            buffer = source.pool.take((len(rows), prefix + prod(shape) * format.dtype.itemsize), np.uint8)
            self._buffers.append(buffer)
            self._groups[name] = buffer[:, prefix:].view(format.dtype).reshape(len(rows), *shape)
        normalised = None if format.scaling is None else source.pool.take((len(rows), *format.shape), np.float32)
        self.pixels = SensorPixels(format, places, self._groups, normalised)

    @property
    def bytes(self) -> int:
        """Size of the buffers."""
        normalised = 0 if self.pixels.normalised is None else self.pixels.normalised.nbytes
        return normalised + sum(buffer.nbytes for buffer in self._buffers)

    def prefetch(self) -> None:
        """Start to read the samples, where reading takes long."""
        self._source.prefetch(self._rows, self._format)

    def samples(self) -> Iterator[Sample]:
        """Row of the corpus, position in the batch, these buffers and position in them of each sample."""
        places = self.pixels.places.tolist()
        return zip(self._rows, places, repeat(self), range(len(places)))

    def fill(self, number: int, stats: LoaderStats) -> None:
        """Read, resize and normalise a sample."""
        row, outs = self._rows[number], [buffer[number] for buffer in self._buffers]
        if self._source.cache.read(row, outs):
            stats.cached += 1
        else:
            self._read(row, number, outs, stats)
            self._source.cache.add(row, outs)
        if self.pixels.normalised is not None:
            start = perf_counter()
            self._format.images([group[number] for group in self._groups.values()], self.pixels.normalised[number])
            stats.prepare_s += perf_counter() - start

    def shard_of(self, row: int) -> int:
        """Number of the shard of a row."""
        return self._source.chips.shard_of(row)

    def check(self, row: int) -> None:
        """Require that the shard of a row is still the file that was read, as `ChipReader.check`."""
        self._source.chips.check(row)

    def _read(self, row: int, number: int, outs: Sequence[NDArray[np.uint8]], stats: LoaderStats) -> None:
        format, start = self._format, perf_counter()
        if format.native:
            pages = outs
        else:
            pages = [np.empty(PREFIX_BYTES + n_bytes, np.uint8) for n_bytes in format.value_bytes]
        read_s = self._source.chips.read(row, format.columns, pages)
        decoded = perf_counter()
        stats.read_s += read_s
        stats.decode_s += decoded - start - read_s
        if not format.native:
            values = [
                page[PREFIX_BYTES:].view(format.dtype).reshape(group.shape)
                for page, group in zip(pages, format.groups, strict=True)
            ]
            format.resize(values, next(iter(self._groups.values()))[number])
            stats.prepare_s += perf_counter() - decoded


class PendingBatch:
    """A batch and the jobs that fill it.

    Args:
        buffers: Sensor → buffers of its samples.
        annotate: Read its annotations.
        classes: Class keys of its labels.

    Attributes:
        bytes: Size of its buffers.
        stats: Sums over the jobs that are done; complete once `wait` returns.
    """

    def __init__(
        self, buffers: Mapping[str, SensorBuffers], annotate: Callable[[], BatchAnnotations], classes: tuple[str, ...]
    ) -> None:
        self.bytes = sum(part.bytes for part in buffers.values())
        self.stats = LoaderStats(batches=1, samples=sum(len(part.pixels.places) for part in buffers.values()))
        self._buffers, self._annotate, self._classes = buffers, annotate, classes
        self._annotations: BatchAnnotations | None = None
        # Position in the batch and error of each failure; appending is atomic.
        self._failures: list[tuple[int, BaseException]] = []
        self._done: SimpleQueue[LoaderStats] = SimpleQueue()
        self._n_jobs = 0

    def jobs(self) -> Iterator[Job]:
        """The jobs, in the order in which the files are read."""
        for part in self._buffers.values():
            part.prefetch()
        samples = [sample for part in self._buffers.values() for sample in part.samples()]
        # By row; equal rows, of quotas, by position.
        samples.sort(key=itemgetter(0, 1))
        chunks = [samples[start : start + _JOB_SAMPLES] for start in range(0, len(samples), _JOB_SAMPLES)]
        self._n_jobs = len(chunks) + 1
        yield self._read_annotations
        for chunk in chunks:
            yield partial(self._fill, chunk)

    def wait(self) -> Batch:
        """Wait for the jobs and return the batch.

        Raises:
            LandmarkError: the first sample in the batch's order that could not be read, or the annotations.
        """
        while self._n_jobs:
            self.stats.add(self._done.get())
            self._n_jobs -= 1
        if self._failures:
            raise min(self._failures, key=itemgetter(0))[1]
        assert self._annotations is not None
        return Batch({sensor: part.pixels for sensor, part in self._buffers.items()}, self._annotations, self._classes)

    def _read_annotations(self) -> None:
        stats, start = LoaderStats(), perf_counter()
        try:
            self._annotations = self._annotate()
        except BaseException as error:
            self._failures.append((_ANNOTATIONS, error))
        stats.prepare_s = perf_counter() - start
        self._done.put(stats)

    def _fill(self, samples: Sequence[Sample]) -> None:
        stats = LoaderStats()
        # First sample of each shard: that a file is the one of before is checked once for all.
        shards: dict[int, tuple[int, int, SensorBuffers]] = {}
        for row, place, buffers, number in samples:
            # After a failure only samples before it matter, so that the same one is reported whatever the threads do.
            if self._failures and place > min(self._failures, key=itemgetter(0))[0]:
                continue
            try:
                buffers.fill(number, stats)
                shards.setdefault(buffers.shard_of(row), (row, place, buffers))
            except BaseException as error:
                self._failures.append((place, error))
        for row, place, buffers in shards.values() if stats.cached < len(samples) else ():
            try:
                buffers.check(row)
            except LandmarkError as error:
                self._failures.append((place, error))
        self._done.put(stats)
