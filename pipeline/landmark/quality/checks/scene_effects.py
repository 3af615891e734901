"""Levels of acquisitions beyond those of other acquisitions: over land of the same classes, and over the same cells."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]
# Median absolute deviation to standard deviation of a normal distribution.
_MAD = 1.4826
_MEDIAN_ERROR = np.sqrt(np.pi / 2)  # of a median, in standard errors of a mean
_MIN_SAMPLES_PER_REGRESSOR = 2
_FITS = 4


class Effects(NamedTuple):
    """What distinguishes acquisitions over land of the same classes.

    Attributes:
        items: First item of each acquisition, sorted.
        values: (acquisition, level): excess over the median acquisition.
        errors: (acquisition, level): their standard errors.
        samples: Number of samples per acquisition.
    """

    items: list[str]
    values: F8
    errors: F8
    samples: NDArray[np.int64]


class Contrast(NamedTuple):
    """Median difference (level,) of the later of two acquisitions from the earlier one over their common cells.

    Attributes:
        errors: (level,): standard errors, from the spread of all cells about the medians of their contrasts.
    """

    earlier: str
    later: str
    cells: int
    values: F8
    errors: F8


def common_shift(shifts: F8, skip: int) -> F8:
    """The part of shifts (…, level) that all levels but `skip` share: the smallest of them, 0 if signs differ.

    Weather and seasons brighten some bands and kinds of land and darken others, or change some more than others; a
    gain, an offset or another unit changes all of them.
    """
    ordered = np.sort(shifts, axis=-1)
    return np.maximum(ordered[..., skip], 0) + np.minimum(ordered[..., -1 - skip], 0)


def spread(values: F8) -> F8:
    """Robust standard deviation about zero along the first axis."""
    return np.asarray(_MAD * np.median(abs(values), axis=0))


def fit_effects(values: F8, regressors: F8, items: Sequence[str], min_samples: int) -> Effects | None:
    """Effects of acquisitions of at least `min_samples` samples; None if these are too few to fit the regressors.

    Slopes of the regressors come from differences within acquisitions, so that deviating acquisitions do not change
    them; samples that fit badly have less weight (Huber 1964). An effect is the median of an acquisition's residuals.

    Args:
        values: (sample, level), finite.
        regressors: (sample, regressor), such as class fractions.
        items: First item of the acquisition per sample.
        min_samples: Of an acquisition.
    """
    names, number, counts = np.unique(np.asarray(items, dtype=object), return_inverse=True, return_counts=True)
    keep = counts[number] >= min_samples
    order = np.flatnonzero(keep)[np.argsort(number[keep], kind="stable")]
    if len(order) < (counts >= min_samples).sum() + _MIN_SAMPLES_PER_REGRESSOR * regressors.shape[1]:
        return None
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    target, design = values[order], regressors[order]
    slopes = _slopes_within(target, design, starts)
    residuals, sizes = target - design @ slopes, np.diff(starts, append=len(order))
    medians = _medians(residuals, starts)
    errors = _MEDIAN_ERROR * spread(residuals - medians.repeat(sizes, axis=0)) / np.sqrt(sizes)[:, None]
    first_items = [str(names[number[order[start]]]) for start in starts]
    return Effects(first_items, medians - np.median(medians, axis=0), errors, sizes)


def _medians(values: F8, starts: NDArray[np.intp]) -> F8:
    """(group, level) medians of groups of rows that begin at `starts`."""
    sizes = np.diff(starts, append=len(values))
    group = np.arange(len(starts)).repeat(sizes)
    ordered = np.array([column[np.lexsort((column, group))] for column in values.T]).T
    return np.asarray((ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2)


def _slopes_within(target: F8, design: F8, starts: NDArray[np.intp]) -> F8:
    """(regressor, level) slopes of differences from the means of groups of rows, that begin at `starts`."""
    sizes = np.diff(starts, append=len(target))

    def centred(rows: F8) -> F8:
        return rows - (np.add.reduceat(rows, starts) / sizes[:, None]).repeat(sizes, axis=0)

    inner, outer, weight = centred(design), centred(target), np.ones((len(target), 1))
    slopes = np.zeros((design.shape[1], target.shape[1]))
    for _ in range(_FITS):
        slopes[:] = np.linalg.lstsq(inner * weight, outer * weight, rcond=1e-6)[0]
        residual = abs(outer - inner @ slopes)
        outlying = np.median(residual / np.maximum(spread(residual), 1e-9), axis=1)
        weight = np.sqrt(2 / np.maximum(outlying, 2))[:, None]
    return slopes


def contrast_revisits(
    values: F8, cells: Sequence[str], items: Sequence[str], times: Sequence[object], min_cells: int
) -> Iterator[Contrast]:
    """Contrasts of acquisitions that follow each other in at least `min_cells` cells.

    Args:
        values: (sample, level), finite.
        cells: Cell per sample.
        items: First item of the acquisition per sample.
        times: Time of the acquisition per sample.
        min_cells: Of a contrast.
    """
    order = sorted(range(len(cells)), key=lambda row: (cells[row], times[row], items[row]))
    common: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for first, second in pairwise(order):
        if cells[first] == cells[second] and items[first] != items[second]:
            common.setdefault((items[first], items[second]), []).append((first, second))
    differences = {
        pair: np.diff(values[np.array(rows)], axis=1)[:, 0]
        for pair, rows in sorted(common.items())
        if len(rows) >= min_cells
    }
    medians = {pair: np.median(rows, axis=0) for pair, rows in differences.items()}
    # Of n values, those about their own median spread less.
    residuals = [(rows - medians[pair]) * np.sqrt(len(rows) / (len(rows) - 1)) for pair, rows in differences.items()]
    error = _MEDIAN_ERROR * spread(np.concatenate(residuals)) if residuals else 0
    for (earlier, later), rows in differences.items():
        yield Contrast(earlier, later, len(rows), medians[earlier, later], error / np.sqrt(len(rows)))
