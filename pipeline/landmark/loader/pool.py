"""Endless sequences of rows in which no row comes again before all others came."""

import numpy as np
from numpy.typing import NDArray

from landmark.loader.permutation import Permutation, Shuffle


class Pool:
    """The rows of a selection, or some of them, over and over in passes. Each pass has another order.

    Args:
        name: Tells the pools of a selection apart; part of the key of their permutations.
        edges: First row of each row group of the pool, and the pool's number of rows; no row group is empty.
        rows: Row of the selection of each row of the pool, ascending; None where they are equal.
        shuffle: How to shuffle; None to keep the order of the rows.

    Attributes:
        count: Number of rows.
    """

    def __init__(
        self, name: str, edges: NDArray[np.int64], rows: NDArray[np.int64] | None, shuffle: Shuffle | None
    ) -> None:
        self.count = int(edges[-1])
        self._name, self._edges, self._rows, self._shuffle = name, edges, rows, shuffle
        # The last pass, and the last block of rows that was drawn, with their numbers.
        self._pass: tuple[int, Permutation] | None = None
        self._block: tuple[int, int, NDArray[np.int64]] | None = None

    def draw(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the selection at the positions start to stop of the sequence, and the stream of each."""
        pieces, position = [_NONE], start
        while position < stop:
            number, first = divmod(position, self.count)
            offset = first % _BLOCK_ROWS
            pieces.append(self._rows_of_block(number, first - offset)[offset : offset + stop - position])
            position += len(pieces[-1])
        streams = self._shuffle.streams if self._shuffle else 1
        return np.concatenate(pieces), np.arange(start, stop) % self.count % streams

    def _rows_of_block(self, number: int, start: int) -> NDArray[np.int64]:
        if self._block is None or self._block[:2] != (number, start):
            stop = min(start + _BLOCK_ROWS, self.count)
            rows = self._order(number, self._shuffle).rows(start, stop) if self._shuffle else np.arange(start, stop)
            self._block = number, start, rows if self._rows is None else self._rows[rows]
        return self._block[2]

    def _order(self, number: int, shuffle: Shuffle) -> Permutation:
        if self._pass is None or self._pass[0] != number:
            self._pass = number, Permutation(self._edges, shuffle, self._name, str(number))
        return self._pass[1]


_NONE = np.empty(0, dtype=np.int64)
# Rows that are put in order at once.
_BLOCK_ROWS = 1024


def pool_edges(edges: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges of the row groups in a pool.

    Args:
        edges: Edges of all row groups, in rows of the selection.
        rows: Rows of the selection that are in the pool, ascending.

    Returns:
        First row of each row group that has rows in the pool, in rows of the pool, and their number.
    """
    positions = np.searchsorted(rows, edges)
    first_rows: NDArray[np.int64] = positions[np.diff(positions, append=-1) != 0]
    return first_rows
