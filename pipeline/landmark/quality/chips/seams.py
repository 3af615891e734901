"""Straight lines at which two images meet inside a chip."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from landmark.quality.chips.optical import F

_SEGMENTS = 4  # of a line; a field's border rarely runs through all


def seam_share(across_columns: F, across_rows: F) -> float:
    """How continuous the straightest edge through a chip is, along columns, rows and diagonals, all bands together.

    An edge is where the step between two pixels exceeds the steps before and behind it. The share of the pixels of a
    line that are edges, in the quarter of the line with the lowest share: a third by chance, 1 where two images meet.

    Args:
        across_columns: Sizes of the steps between columns (y, x - 1), of all bands together.
        across_rows: Those between rows (y - 1, x).
    """
    columns = across_columns[:, 1:-1] > np.maximum(across_columns[:, :-2], across_columns[:, 2:])
    rows = across_rows[1:-1] > np.maximum(across_rows[:-2], across_rows[2:])
    return max(_straight_share(columns), _straight_share(rows.T), _diagonal_share(columns))


def _straight_share(edges: NDArray[np.bool_]) -> float:
    length = edges.shape[0] // _SEGMENTS
    segments = edges[: length * _SEGMENTS].reshape(_SEGMENTS, length, -1)
    return float(np.add.reduce(segments, axis=1, dtype=np.uint16).min(axis=0).max() / length)


def _diagonal_share(edges: NDArray[np.bool_]) -> float:
    """As along straight lines, for diagonals of at least half the chip; short segments at their ends are left out."""
    pixels, is_short = _diagonal_pixels(*edges.shape)
    shares = np.maximum(_diagonal_sums(edges) / pixels, is_short)
    return float(shares.min(axis=1)[:, pixels.sum(axis=0) >= edges.shape[0] // 2].max())


@cache
def _diagonal_pixels(height: int, width: int) -> tuple[F, NDArray[np.bool_]]:
    """Numbers of pixels (segment of rows, diagonal), at least 1, and which of them are too few to count."""
    pixels = _diagonal_sums(np.ones((height, width), dtype=np.bool_))[0]
    return np.maximum(pixels, 1), pixels < height // _SEGMENTS // 2


def _diagonal_sums(edges: NDArray[np.bool_]) -> F:
    """Numbers of edges on both kinds of diagonals: (kind, segment of rows, diagonal)."""
    height, width = edges.shape
    padded = np.zeros((2, height, width + 2 * height), dtype=np.uint16)
    padded[0, :, height : height + width] = edges
    padded[1, :, height : height + width] = edges[:, ::-1]
    row, pixel = padded.strides[1:]
    shape = (2, _SEGMENTS, height // _SEGMENTS, width + height)
    strides = (height * row, height // _SEGMENTS * (row + pixel), row + pixel, pixel)
    # Each row starts one pixel later than the row above.
    shifted = np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)
    return np.asarray(np.add.reduce(shifted, axis=2, dtype=np.uint16), np.float32)


def quarter_levels(stack: F) -> F:
    """Means of the quarters of columns, then of rows, of square bands: (direction and band, quarter, line)."""
    return segment_levels(stack, _SEGMENTS)


def segment_levels(stack: F, segments: int) -> F:
    """As `quarter_levels`, for other numbers of parts of equal length; lines at the end that fill none are left out."""
    bands, size, _ = stack.shape
    length = size // segments
    inner, weights = stack[:, : length * segments, : length * segments], np.full(length, 1 / length, dtype=np.float32)
    columns = weights @ inner.reshape(bands, segments, length, -1)
    rows = inner.reshape(-1, length) @ weights
    return np.concatenate([columns, rows.reshape(bands, -1, segments).transpose(0, 2, 1)])


def seam_step(levels: F, width: int) -> float:
    """Largest step across a column or row that has one sign in all its quarters, of any band.

    Args:
        levels: `quarter_levels`, or a function of them.
        width: Number of lines that are averaged on either side of a step; 1 for images without speckle.
    """
    sums = np.cumsum(levels, axis=2, dtype=np.float64)
    means = (sums[:, :, width:] - sums[:, :, :-width]) / width
    steps = means[:, :, width:] - means[:, :, :-width]
    return float(np.maximum(steps.min(axis=1), -steps.max(axis=1)).max())
