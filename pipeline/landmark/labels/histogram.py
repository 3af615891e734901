"""Joint histograms of several class maps per cell."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Up to this number of possible combinations, bincount is faster than sorting.
_BINCOUNT_MAX = 2**18

# Per combination that occurs: the number of the cell, the codes (row, map) and the pixel count.
Histogram = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]


def joint_histogram(ranks: Sequence[NDArray[Any]], codes: Sequence[NDArray[np.int32]]) -> Histogram:
    """Count the pixels of each cell per combination of codes, sorted by cell and codes.

    Args:
        ranks: Of one map or more, (cell, pixel) each.
        codes: The code of each rank of each map, ascending.
    """
    sizes = [len(map_codes) for map_codes in codes]
    n_combinations = math.prod(sizes)
    counts = [_count(_pack(pixels, sizes), n_combinations) for pixels in zip(*ranks, strict=True)]
    cells = np.repeat(np.arange(len(counts)), [len(combinations) for combinations, _ in counts])
    combinations, pixels = (np.concatenate(column) for column in zip(*counts, strict=True))
    unpacked = np.unravel_index(combinations, sizes)
    return cells, np.stack([map_codes[rank] for map_codes, rank in zip(codes, unpacked, strict=True)], axis=1), pixels


def _pack(ranks: Sequence[NDArray[Any]], sizes: Sequence[int]) -> NDArray[Any]:
    """Encode the ranks of each pixel as one number."""
    packed = np.zeros(ranks[0].shape, np.min_scalar_type(math.prod(sizes)))
    for rank, size in zip(ranks, sizes, strict=True):
        if size > 1:
            packed *= packed.dtype.type(size)
            packed += rank.astype(packed.dtype)
    return packed


def _count(packed: NDArray[Any], n_combinations: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if n_combinations > _BINCOUNT_MAX:
        return np.unique(packed, return_counts=True)
    counts = np.bincount(packed)
    present = np.flatnonzero(counts)
    return present, counts[present]
