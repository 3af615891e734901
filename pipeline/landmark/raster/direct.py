"""Blocks fetched by ranges and decoded in threads, straight into the chips that touch them."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

from landmark.raster.block_index import Chips, Strip, scatter
from landmark.raster.blocks import Blocks, Undecodable
from landmark.raster.ranges import Buffer, Ranges, Silent, Unranged
from landmark.raster.rate_limit import own_cores
from landmark.raster.source import Forbidden, Unreadable

# Requests of a process at once, as far as the hosts' budgets let it.
_THREADS = 16
# What one request may bring, and what may lie unused between two blocks of it.
_RANGE_BYTES = 2**22
_GAP_BYTES = 16
# A server that was silent more often than this is not asked block by block: each time takes minutes.
_MOST_SILENCES = 8

# Column of a block that gave no pixels, and why; None where GDAL may know better.
Failed = tuple[int, str | None]


class Place(NamedTuple):
    """Where a block lies in the file."""

    column: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.offset + self.size


class Trip(NamedTuple):
    """One request: which bytes, how many blocks were in them, and the seconds it took to fetch and to cut these."""

    start: int
    end: int
    blocks: int
    fetch_s: float
    cut_s: float


class Begun(NamedTuple):
    """A strip on its way: bytes asked for, and what becomes of each request; blocks without a place in `missing`."""

    bytes: int
    requests: list[Future[list[Failed]]]
    missing: list[Failed]


class Direct:
    """The blocks of a raster's first band.

    Attributes:
        ranges: The file.
        trips: Every request that brought blocks, in the order they were cut.
    """

    def __init__(self, ranges: Ranges, blocks: Blocks) -> None:
        self.ranges, self._blocks = ranges, blocks
        self.trips: list[Trip] = []
        self._silences = 0

    @property
    def head(self) -> bytes:
        """The file's first bytes, with all that is said of its pixels."""
        return self._blocks.head

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a block."""
        return self._blocks.shape

    def masked(self) -> bool:
        """True where more than a value without data may say which pixels count."""
        return self._blocks.masked()

    def begin(self, strip: Strip, chips: Chips) -> Begun:
        """Ask for the blocks of a strip; what comes is cut into the chips as it comes."""
        placed = [(column, self._blocks.place(strip.number, column)) for column in strip.pieces]
        places = [Place(column, *place) for column, place in placed if place is not None]
        runs = list(_runs(sorted(places, key=lambda place: place.offset)))
        requests = [threads().submit(self._brought, run, strip, chips) for run in runs]
        missing: list[Failed] = [(column, None) for column, place in placed if place is None]
        return Begun(sum(run[-1].end - run[0].offset for run in runs), requests, missing)

    def _brought(self, run: Sequence[Place], strip: Strip, chips: Chips, *, patient: bool = True) -> list[Failed]:
        """Fetch a run of blocks, and cut them; one that cannot be had together is fetched block by block.

        Raises:
            Forbidden: the archive refuses the raster.
        """
        start, begun_s = run[0].offset, time.perf_counter()
        try:
            content = memoryview(self.ranges.get(start, run[-1].end, patient=patient))
        except Forbidden:
            raise
        except (Unranged, Unreadable) as error:
            self._silences += isinstance(error, Silent)
            if len(run) == 1 or self._silences > _MOST_SILENCES:
                return [(place.column, None if isinstance(error, Unranged) else str(error)) for place in run]
            return [failed for place in run for failed in self._brought([place], strip, chips, patient=False)]
        fetched_s = time.perf_counter()
        with _decoding():
            decoding_s = time.perf_counter()
            blocks = ((place, content[place.offset - start : place.end - start]) for place in run)
            failed = [place.column for place, block in blocks if not self._cut(block, strip, place.column, chips)]
            cut_s = time.perf_counter() - decoding_s
        self.trips.append(Trip(start, run[-1].end, len(run), fetched_s - begun_s, cut_s))
        return [(column, None) for column in failed]

    def _cut(self, content: Buffer, strip: Strip, column: int, chips: Chips) -> bool:
        """Decode a block and copy what chips take of it; False where its bytes are not what the header says."""
        try:
            block = self._blocks.decoded(content, strip.number)
        except Undecodable:
            return False
        scatter(block, strip.pieces[column], chips)
        return True

    def refetched(self, trip: Trip) -> int:
        """Make a request again, and keep nothing: how many bytes came."""
        return len(self.ranges.get(trip.start, trip.end))


def _runs(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Blocks that lie one after the other, as many as one request may bring."""
    run: list[Place] = []
    for place in places:
        if run and (place.offset - run[-1].end > _GAP_BYTES or place.end - run[0].offset > _RANGE_BYTES):
            yield run
            run = []
        run.append(place)
    if run:
        yield run


@cache
def threads() -> ThreadPoolExecutor:
    """Those of this process that wait for servers and decode."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="blocks")


def _decoding() -> threading.Semaphore:
    """Lets as many threads decode as this process has cores: more would push each other out of the caches."""
    return _decoders(own_cores())


@cache
def _decoders(count: int) -> threading.Semaphore:
    return threading.Semaphore(count)
