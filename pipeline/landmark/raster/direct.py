"""Read blocks by byte ranges and decode them in threads, directly into the chips that overlap them."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

from landmark.core.ranges.answers import Buffer
from landmark.core.ranges.errors import ChangedFile, Forbidden, ServerTimeout, Unreadable
from landmark.core.ranges.range_reader import RangeReader
from landmark.raster.block_index import BlockRow, Chips, copy_block
from landmark.raster.blocks import BlockLayout, DecodeError
from landmark.raster.rate_limit import core_share

log = logging.getLogger(__name__)

# Requests of a process at once, as far as the hosts' budgets allow.
_THREADS = 16
# Largest request, and largest unused gap between two blocks of one request.
_MAX_RANGE_BYTES = 2**22
_MAX_GAP_BYTES = 16
# After more timeouts than this, a file is no longer requested block by block: each timeout takes minutes.
_MAX_TIMEOUTS = 8


class FailedBlock(NamedTuple):
    """A block that was not decoded, by its column; without an error it is sparse, and GDAL fills it."""

    column: int
    error: Unreadable | None


class BlockRange(NamedTuple):
    """Position of a block in the file."""

    column: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.size


class RangeRead(NamedTuple):
    """A completed request: its bytes, number of blocks, and seconds spent fetching and decoding."""

    start: int
    end: int
    block_count: int
    fetch_s: float
    decode_s: float


class PendingRow(NamedTuple):
    """A row of blocks being read: requested bytes, the requests, and the blocks that cannot be requested."""

    byte_count: int
    requests: list[Future[list[FailedBlock]]]
    failed: list[FailedBlock]


class DirectReader:
    """Reader of a raster's first band by byte ranges.

    Attributes:
        ranges: The file.
        layout: Byte ranges of its blocks and how they are decoded.
        reads: Every request that returned blocks, in the order in which they were decoded.
    """

    def __init__(self, ranges: RangeReader, layout: BlockLayout) -> None:
        self.ranges, self.layout = ranges, layout
        self.reads: list[RangeRead] = []
        self._timeouts = 0

    def request(self, row: BlockRow, chips: Chips) -> PendingRow:
        """Request a row of blocks; threads copy them into the chips as they arrive."""
        places = [self._locate(row.number, column) for column in row.copies]
        blocks = [place for place in places if isinstance(place, BlockRange)]
        runs = list(group_ranges(sorted(blocks, key=lambda block: block.offset)))
        requests = [thread_pool().submit(self._read, run, row, chips) for run in runs]
        failed = [place for place in places if isinstance(place, FailedBlock)]
        return PendingRow(sum(run[-1].end - run[0].offset for run in runs), requests, failed)

    def _locate(self, row: int, column: int) -> BlockRange | FailedBlock:
        try:
            place = self.layout.locate(row, column)
        except DecodeError as error:
            return self._refused(row, column, error)
        return FailedBlock(column, None) if place is None else BlockRange(column, *place)

    def _read(
        self, run: Sequence[BlockRange], row: BlockRow, chips: Chips, *, retry: bool = True, refetch: bool = True
    ) -> list[FailedBlock]:
        """Fetch and decode a run of blocks.

        If the request fails, or the codec refuses a block, the block is requested by itself once.

        Raises:
            Forbidden: the server refuses access to the raster.
            ChangedFile: the file was replaced since it was opened.
        """
        start, begin_s = run[0].offset, time.perf_counter()
        try:
            content = memoryview(self.ranges.get(start, run[-1].end, retry=retry))
        except (Forbidden, ChangedFile):
            raise
        except Unreadable as error:
            self._timeouts += isinstance(error, ServerTimeout)
            if len(run) == 1 or self._timeouts > _MAX_TIMEOUTS:
                return [FailedBlock(block.column, error) for block in run]
            return [failed for block in run for failed in self._read([block], row, chips, retry=False)]
        fetched_s = time.perf_counter()
        with _decode_slots(core_share()):
            decoding_s = time.perf_counter()
            parts = ((block, content[block.offset - start : block.end - start]) for block in run)
            errors = [(block, self._decode(part, row, block.column, chips)) for block, part in parts]
            decode_s = time.perf_counter() - decoding_s
        self.reads.append(RangeRead(start, run[-1].end, len(run), fetched_s - begin_s, decode_s))
        refused = [(block, error) for block, error in errors if error is not None]
        if not refetch:
            return [self._refused(row.number, block.column, error) for block, error in refused]
        return [
            failed for block, _ in refused for failed in self._read([block], row, chips, retry=retry, refetch=False)
        ]

    def _decode(self, content: Buffer, row: BlockRow, column: int, chips: Chips) -> DecodeError | None:
        """Decode a block and copy it into the chips; return the codec's error."""
        try:
            block = self.layout.decode(content, row.number)
        except DecodeError as error:
            return error
        copy_block(block, row.copies[column], chips)
        return None

    def _refused(self, row: int, column: int, error: DecodeError) -> FailedBlock:
        height, width = self.layout.shape
        problem = f"block at row {row * height}, column {column * width} unreadable"
        log.warning("%s: %s", problem, error)
        return FailedBlock(column, Unreadable(problem))

    def repeat_read(self, read: RangeRead) -> int:
        """Repeat a request, discard the bytes and return their number."""
        return len(self.ranges.get(read.start, read.end))


def group_ranges(blocks: Sequence[BlockRange]) -> Iterator[list[BlockRange]]:
    """Group blocks that follow each other in the file into requests."""
    run: list[BlockRange] = []
    for block in blocks:
        if run and (block.offset - run[-1].end > _MAX_GAP_BYTES or block.end - run[0].offset > _MAX_RANGE_BYTES):
            yield run
            run = []
        run.append(block)
    if run:
        yield run


@cache
def thread_pool() -> ThreadPoolExecutor:
    """Return the process's threads for requests and decoding."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="blocks")


@cache
def _decode_slots(count: int) -> threading.Semaphore:
    """Limits decoding threads to the process's cores: more would evict each other's data from the caches."""
    return threading.Semaphore(count)
