"""Pair each sample with the nearest in time of the other sensor in its cell."""

import numpy as np
from numpy.typing import NDArray

from landmark.plan.candidates import Candidates, Rows

_DAY_S = 86_400


def pair_samples(candidates: Candidates, chosen: Rows, max_gap_days: float) -> tuple[Rows, Rows]:
    """Pair chosen candidates across sensors.

    Returns:
        Index into `chosen` of each candidate's partner, -1 where none is within `max_gap_days`, and its own time
        minus that of the partner in seconds.
    """
    cell, acquisition = candidates.cell[chosen].astype(np.int64), candidates.acquisition[chosen]
    time = candidates.acquisition_times[acquisition]
    is_optical = np.array([item.sensor == "s2" for item in candidates.acquisitions], dtype=bool)[acquisition]
    pair = np.full(len(chosen), -1)
    for mask in (is_optical, ~is_optical):
        rows, partners = np.flatnonzero(mask), np.flatnonzero(~mask)
        if len(rows) and len(partners):
            pair[rows] = _find_nearest(rows, partners, cell, time)
    gap_s = time - time[pair]
    pair[np.abs(gap_s) > max_gap_days * _DAY_S] = -1
    return pair, gap_s


def _find_nearest(rows: Rows, partners: Rows, cell: NDArray[np.int64], time: NDArray[np.int64]) -> Rows:
    """For each row the nearest in time of the partners in its cell, of a tie the first; -1 where there is none."""
    since_s = time - time.min()
    # One number per cell and time, so that those of a cell are adjacent.
    key = cell * (since_s.max() + 1) + since_s
    partners = partners[np.argsort(key[partners], kind="stable")]
    after_index = np.minimum(np.searchsorted(key[partners], key[rows]), len(partners) - 1)
    # Of all that share the time just before, the first.
    before_index = np.searchsorted(key[partners], key[partners[after_index - 1]])
    before, after = partners[before_index], partners[after_index]
    no_partner = np.iinfo(np.int64).max
    before_gap, after_gap = (
        np.where(cell[partner] == cell[rows], np.abs(time[partner] - time[rows]), no_partner)
        for partner in (before, after)
    )
    use_after = (after_gap < before_gap) | ((after_gap == before_gap) & (after < before))
    nearest = np.where(use_after, after, before)
    return np.where(np.minimum(before_gap, after_gap) < no_partner, nearest, -1)
