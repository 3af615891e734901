"""Decoded samples in memory, so that small corpora are decoded once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SampleCache:
    """Stored pixels of samples by row, as they are after resizing. Thread-safe.

    Samples enter in the order they are read until the cache is full, and stay: every epoch reads each row about once,
    so that replacing them would only lower the share of hits.
    """

    def __init__(self, max_bytes: int) -> None:
        self._free_bytes = max_bytes
        self._samples: dict[int, tuple[NDArray[np.uint8], ...]] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._samples

    def read(self, row: int, outs: Sequence[NDArray[np.uint8]]) -> bool:
        """Copy a sample's buffers into `outs`; False if the cache does not hold it."""
        values = self._samples.get(row)
        if values is None:
            return False
        for value, out in zip(values, outs, strict=True):
            out[:] = value
        return True

    def add(self, row: int, buffers: Sequence[NDArray[np.uint8]]) -> None:
        """Copy a sample's buffers into the cache if there is room."""
        n_bytes = sum(buffer.nbytes for buffer in buffers)
        # Threads may both pass before either subtracts: a few samples beyond the limit do not matter.
        if n_bytes <= self._free_bytes and row not in self._samples:
            self._free_bytes -= n_bytes
            self._samples[row] = tuple(buffer.copy() for buffer in buffers)
