"""Permutations that depend on their keys alone: not on NumPy's version, a generator's state, or what was drawn before.

A key is a 64-bit integer. A permutation sorts positions by a hash of key and position, splitmix64 (Steele, Lea and
Flood, 2014, doi 10.1145/2660193.2660195).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.core import salts
from landmark.core.hashing import rank

_INCREMENT, *_FACTORS = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27))


@dataclass(frozen=True, slots=True)
class Shuffle:
    """How rows are shuffled.

    Attributes:
        seed: Seed of all epochs.
        streams: Runs that the permuted rows are cut into; a batch takes equally many rows of each.
        window: Row groups whose rows are permuted together.
    """

    seed: int
    streams: int = 8
    window: int = 8


def permutation(key: int, start: int, stop: int) -> NDArray[np.int64]:
    """The numbers 0 to stop - start, sorted by the upper bits of the hashes of start to stop, then by number."""
    bits = np.arange(start + 1, stop + 1, dtype=np.uint64)
    bits *= _INCREMENT
    bits += np.uint64(key)
    for shift, factor in zip(_SHIFTS, _FACTORS, strict=True):
        bits ^= bits >> shift
        bits *= factor
    bits ^= bits >> np.uint64(31)
    # The lower bits hold the number: sorting such values is several times faster than sorting numbers by value.
    mask = np.uint64((1 << (stop - start).bit_length()) - 1)
    bits &= ~mask
    bits |= np.arange(stop - start, dtype=np.uint64)
    bits.sort()
    bits &= mask
    return bits.view(np.int64)


class Permutation:
    """The rows of some row groups, each once, in a shuffled order that reads few row groups at a time.

    The row groups are permuted, and the sequence of their rows is cut into `streams` runs, equal to one row; a row
    group across a cut belongs to both runs, each of its rows to one. Windows of `window` row groups follow each other
    in a run, the first one shorter by a number that depends on the run, so that runs do not change their windows
    together. Rows are permuted inside a window. The order takes one row of each run in turn.

    Args:
        edges: First row of each row group, and the number of rows.
        shuffle: How to shuffle.
        names: What the permutation is of, such as a pool and the number of the pass.
    """

    def __init__(self, edges: NDArray[np.int64], shuffle: Shuffle, *names: str) -> None:
        self._shuffle = shuffle
        self._row_key = rank(shuffle.seed, salts.LOADER_ROWS, *names)
        order = permutation(rank(shuffle.seed, salts.LOADER_GROUPS, *names), 0, len(edges) - 1)
        self._first_rows = edges[:-1][order]
        self._starts = np.append(0, np.cumsum(np.diff(edges)[order]))
        shorter, remainder = divmod(int(edges[-1]), shuffle.streams)
        self._cuts = [shorter * run + min(run, remainder) for run in range(shuffle.streams + 1)]
        # Of each run the last window: start, stop, and rows in their order.
        self._windows: dict[int, tuple[int, int, NDArray[np.int64]]] = {}

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows start to stop of the order; row n is of stream n % streams."""
        rows, streams = np.empty(stop - start, dtype=np.int64), self._shuffle.streams
        for first in range(min(streams, stop - start)):
            index, stream = divmod(start + first, streams)
            part = rows[first::streams]
            position = self._cuts[stream] + index
            self._fill(part, stream, position)
        return rows

    def _fill(self, rows: NDArray[np.int64], stream: int, position: int) -> None:
        """Fill an array with the rows of a stream from a position on."""
        end = position + len(rows)
        while position < end:
            start, stop, window = self._window(stream, position)
            piece = window[position - start : end - start]
            rows[position - end + len(rows) :][: len(piece)] = piece
            position = stop

    def _window(self, stream: int, position: int) -> tuple[int, int, NDArray[np.int64]]:
        window = self._windows.get(stream)
        if window is None or not window[0] <= position < window[1]:
            window = self._windows[stream] = self._permute(stream, *self._groups(stream, position))
        return window

    def _groups(self, stream: int, position: int) -> tuple[int, int]:
        """Permuted row groups of the window of a position: first, and end."""
        size, streams = self._shuffle.window, self._shuffle.streams
        first, group = np.searchsorted(self._starts, [self._cuts[stream], position], side="right").tolist()
        # Windows end at such distances from the first row group, plus multiples of the window.
        offset = max(size * (stream + 1) // streams, 1)
        number = (group - first - offset) // size
        end = first - 1 + offset + (number + 1) * size
        return max(end - size, first - 1), min(end, len(self._first_rows))

    def _permute(self, stream: int, first: int, end: int) -> tuple[int, int, NDArray[np.int64]]:
        starts = self._starts[first : end + 1]
        start, stop = max(int(starts[0]), self._cuts[stream]), min(int(starts[-1]), self._cuts[stream + 1])
        positions = start + permutation(self._row_key, start, stop)
        groups = np.searchsorted(starts, positions, side="right") - 1
        return start, stop, self._first_rows[first + groups] + positions - starts[groups]
