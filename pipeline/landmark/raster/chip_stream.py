"""Assemble chips from rows of blocks that are requested ahead of them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.core.ranges.errors import Unreadable
from landmark.raster.block_index import BlockRow, Chips
from landmark.raster.direct import DirectReader, FailedBlock, PendingRow
from landmark.raster.gdal import GdalReader
from landmark.raster.no_data import Fill

# Two rows of blocks are requested ahead, and more while less than this is requested and their chips take less than
# `_MAX_CHIP_BYTES`.
AHEAD_BYTES = 2**25
_MAX_CHIP_BYTES = 2**23


@dataclass(frozen=True, slots=True)
class FailedChip:
    """A chip that overlaps at least one unreadable block."""

    detail: str


class ChipStream:
    """Iterator over chips that requests rows of blocks ahead of the one whose chips are yielded."""

    def __init__(
        self,
        direct: DirectReader | None,
        gdal: GdalReader,
        rows: Sequence[BlockRow],
        template: NDArray[Any],
        ahead_bytes: int,
        fill: Fill | None,
    ) -> None:
        self._fill = fill
        self._direct, self._gdal, self._template, self._ahead_bytes = direct, gdal, template, ahead_bytes
        self._rows, self._pending = iter(rows), deque[tuple[BlockRow, PendingRow]]()
        self._chips: Chips = {}
        self._requests: list[Future[list[FailedBlock]]] = []
        self._request_ahead()

    def __iter__(self) -> Iterator[NDArray[Any] | FailedChip]:
        problems: dict[int, str] = {}
        try:
            while self._pending:
                row, pending = self._pending.popleft()
                for column, error in self._wait(row, pending):
                    problems |= {copy.chip: str(error) for copy in row.copies[column]}
                for number in row.ending:
                    chip = self._chips.pop(number)
                    if number in problems:
                        yield FailedChip(problems.pop(number))
                    else:
                        yield chip if self._fill is None else self._fill.apply(chip)
                self._request_ahead()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Cancel the requests that have not started."""
        for request in self._requests:
            request.cancel()

    def _request_ahead(self) -> None:
        while len(self._pending) < 2 or self._has_room():
            if (row := next(self._rows, None)) is None:
                return
            self._chips |= {number: np.empty_like(self._template) for number in row.starting}
            self._pending.append((row, self._request(row)))

    def _has_room(self) -> bool:
        requested_bytes = sum(pending.byte_count for _, pending in self._pending)
        return requested_bytes < self._ahead_bytes and len(self._chips) * self._template.nbytes < _MAX_CHIP_BYTES

    def _request(self, row: BlockRow) -> PendingRow:
        if self._direct:
            pending = self._direct.request(row, self._chips)
            self._requests += pending.requests
            return pending
        return PendingRow(self._ahead_bytes, [], [FailedBlock(column, None) for column in row.copies])

    def _wait(self, row: BlockRow, pending: PendingRow) -> Iterator[tuple[int, Unreadable]]:
        """Wait for a row of blocks; yield (column, error) of those that cannot be read. GDAL fills sparse blocks."""
        failed = pending.failed + [block for request in pending.requests for block in request.result()]
        yield from ((column, error) for column, error in failed if error is not None)
        columns = sorted(column for column, error in failed if error is None)
        yield from self._gdal.read_blocks(row, columns, self._chips, self._fill)
