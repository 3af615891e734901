"""The joint histogram of what several maps say in each cell."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Up to so many combinations each has a counter; of more, those that are there are sorted.
_COUNTERS = 2**18

# Of each combination that occurs the number of the cell, the codes (row, map) and the pixels.
Histogram = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]


def joint_histogram(ranks: Sequence[NDArray[Any]], codes: Sequence[NDArray[np.int32]]) -> Histogram:
    """Pixels of each cell per combination of codes, by cell and then by codes.

    Args:
        ranks: Of one map or more, (cell, pixel) each.
        codes: What a rank means in each map, ascending.
    """
    sizes = [len(known) for known in codes]
    found = [_counted(_packed(pixels, sizes), math.prod(sizes)) for pixels in zip(*ranks, strict=True)]
    cell = np.repeat(np.arange(len(found)), [len(kinds) for kinds, _ in found])
    kinds, pixels = (np.concatenate(column) for column in zip(*found, strict=True))
    said = [known[rank] for known, rank in zip(codes, np.unravel_index(kinds, sizes), strict=True)]
    return cell, np.stack(said, axis=1), pixels


def _packed(ranks: Sequence[NDArray[Any]], sizes: Sequence[int]) -> NDArray[Any]:
    """The ranks of each pixel as one number."""
    packed = np.zeros(ranks[0].shape, np.min_scalar_type(math.prod(sizes)))
    for rank, size in zip(ranks, sizes, strict=True):
        if size > 1:
            packed *= packed.dtype.type(size)
            packed += rank.astype(packed.dtype)
    return packed


def _counted(pixels: NDArray[Any], kinds: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if kinds > _COUNTERS:
        return np.unique(pixels, return_counts=True)
    counts = np.bincount(pixels)
    there = np.flatnonzero(counts)
    return there, counts[there]
