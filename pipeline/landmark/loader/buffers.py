"""Memory of batches, reused once nothing refers to it."""

import weakref
from collections import deque
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Sizes are rounded up to a multiple of this, so that batches with a few samples more or fewer of a sensor share blocks.
_STEP_BYTES = 1 << 16
_MAX_FREE = 8  # blocks of a size


class BufferPool:
    """Blocks of memory by size.

    An array of the pool, any view of it and any tensor that shares its memory keep the block in use; it is reused when
    the last of them is gone. An array that is kept is therefore never overwritten. Thread-safe without locks, as blocks
    return wherever the garbage collector runs.
    """

    def __init__(self) -> None:
        self._free: dict[int, deque[NDArray[np.uint8]]] = {}
        self._in_use: dict[int, int] = {}

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the blocks that arrays refer to."""
        return sum(self._in_use.copy().values())

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this shape and type with undefined content."""
        n_bytes = prod(shape) * np.dtype(dtype).itemsize
        size = -(-n_bytes // _STEP_BYTES) * _STEP_BYTES
        free = self._free.setdefault(size, deque(maxlen=_MAX_FREE))
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(size, np.uint8)
        owner = _Owner(block)
        self._in_use[id(owner)] = size
        # Only what is needed: a pool that is gone must not be kept by its arrays.
        weakref.finalize(owner, _give_back, block, free, self._in_use, id(owner)).atexit = False
        array: NDArray[np.uint8] = np.asarray(owner)
        return array[:n_bytes].view(dtype).reshape(shape)


class _Owner:
    """The base of all arrays over a block, without a reference to it: the block returns when its owner is deleted."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, block: NDArray[np.uint8]) -> None:
        address = block.__array_interface__["data"]
        self.__array_interface__ = {"data": address, "shape": block.shape, "typestr": "|u1", "version": 3}


def _give_back(block: NDArray[np.uint8], free: deque[NDArray[np.uint8]], in_use: dict[int, int], owner: int) -> None:
    del in_use[owner]
    free.append(block)
