"""Bright or dark lines across a chip: single ones, and patterns that repeat."""

from functools import cache

import numpy as np

from landmark.quality.optical import F

_MAX_PERIOD_PX = 24
_MIN_REPEATS = 5
_MAX_EXCESS = np.float32(3)  # times the mean: single edges must not dominate


def line_step(levels: F) -> float:
    """Largest difference of a line from the mean of the two beside it that has one sign in all its parts.

    Args:
        levels: Means of parts of lines: (image, part, line). A step between two levels counts half.
    """
    excess = levels[:, :, 1:-1] - (levels[:, :, :-2] + levels[:, :, 2:]) * np.float32(0.5)
    return max(float(excess.min(axis=1).max()), -float(excess.max(axis=1).min()))


def stripe_z(profiles: F) -> float:
    """The pattern of lines that stands out most, with any period up to 24 px, in standard errors.

    Args:
        profiles: Means of columns or rows (band, place).
    """
    excess = 2 * profiles[:, 1:-1] - profiles[:, :-2] - profiles[:, 2:]
    length = excess.shape[1]
    most = abs(excess).sum(axis=1, keepdims=True) * (_MAX_EXCESS / np.float32(length))
    excess = np.minimum(np.maximum(excess, -most), most)
    explained = abs(excess @ _patterns(length)).max(axis=1) ** 2
    unexplained = np.maximum(np.vecdot(excess, excess) - explained, np.float32(1e-3))
    return float(np.sqrt((explained / unexplained).max() * length))


@cache
def _patterns(length: int) -> F:
    """(place, pattern): every n-th line beside its neighbours, for all n and first lines, of norm 1."""
    lines = [
        np.arange(length + 2) % period == first
        for period in range(2, min(_MAX_PERIOD_PX, length // _MIN_REPEATS) + 1)
        for first in range(period)
    ]
    marked = np.array(lines, dtype=np.float32)
    excess = marked[:, 1:-1] - (marked[:, :-2] + marked[:, 2:]) / 2
    return np.ascontiguousarray((excess / np.linalg.norm(excess, axis=1, keepdims=True)).T)
