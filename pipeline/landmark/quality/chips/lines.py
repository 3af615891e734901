"""Bright or dark lines across a chip: single ones, and patterns that repeat."""

from functools import cache

import numpy as np

from landmark.quality.chips.optical import F

_MAX_PERIOD_PX = 24
_MIN_REPEATS = 5
_MAX_EXCESS = np.float32(5)  # times the mean: single edges must not dominate
_ROUNDING = np.float32(1e-4)  # of the power of a profile


def line_excess(levels: F) -> F:
    """Differences of lines (..., line) from the mean of the two beside each; steps between two levels count half."""
    return np.asarray(levels[..., 1:-1] - (levels[..., :-2] + levels[..., 2:]) * np.float32(0.5))


def line_step(excess: F) -> float:
    """Largest difference of a line from those beside it that has one sign in all its parts.

    Args:
        excess: `line_excess` of parts of lines: (image, part, line).
    """
    return max(float(excess.min(axis=1).max()), -float(excess.max(axis=1).min()))


def stripe_z(excess: F) -> float:
    """The pattern of lines that stands out most, with any period up to 24 px, in standard errors.

    Args:
        excess: `line_excess` of means of columns or rows (image, line), or a multiple of it.
    """
    length = excess.shape[1]
    most = abs(excess).sum(axis=1, keepdims=True) * (_MAX_EXCESS / np.float32(length))
    excess = np.minimum(np.maximum(excess, -most), most)
    power = np.vecdot(excess, excess)
    explained = abs(excess @ _patterns(length)).max(axis=1) ** 2
    unexplained = np.maximum(power - explained, power * _ROUNDING + np.float32(1e-12))
    return float(np.sqrt((explained / unexplained).max() * length))


@cache
def _patterns(length: int) -> F:
    """(place, pattern): every n-th line beside its neighbours, for all n and first lines, of norm 1."""
    lines = [
        np.arange(length + 2) % period == first
        for period in range(2, min(_MAX_PERIOD_PX, length // _MIN_REPEATS) + 1)
        for first in range(period)
    ]
    excess = line_excess(np.array(lines, dtype=np.float32))
    return np.ascontiguousarray((excess / np.linalg.norm(excess, axis=1, keepdims=True)).T)
