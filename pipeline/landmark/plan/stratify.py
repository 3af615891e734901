"""Assign units of cells to splits so that each split has each class, in about its share.

A unit is a block, or all blocks that the events of one group touch. Iterative stratification (Sechidis et al. 2011)
places units of the rarest class first; then units move while that leaves fewer classes missing or the shares closer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from landmark.plan.candidates import Rows

# Cells and pairs of cells that the search may look at while classes are missing: a few seconds; after that, a tenth.
_MAX_WORK = 5 * 10**8
# What a look costs for few cells.
_OVERHEAD = 5 * 10**4
# So few are all compared: seven units in three splits.
_MAX_ASSIGNMENTS = 3**7
# A class on fewer units than there are splits cannot be in all of them; each split that lacks it costs this much of a
# share, and a split that lacks another class more than all shares.
_RARE_GAP = 0.1

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SplitProblem:
    """Cells to divide.

    Attributes:
        unit: Unit of each cell; units are numbered in the order in which ties are resolved.
        classes: (cell, class) mask.
        near: Two rows of each pair of cells of different units that are nearer to each other than the buffer.
        force: Cells that stay where a near cell of another split is left out.
        shares: Share of each split, in the order in which the cells of a split yield to those of the next.
    """

    unit: Rows
    classes: NDArray[np.bool_]
    near: tuple[Rows, Rows]
    force: NDArray[np.bool_]
    shares: NDArray[np.float64]

    def unit_counts(self) -> Counts:
        """(unit, class) numbers of cells; the last column counts all cells."""
        columns = np.column_stack([self.classes, np.ones(len(self.unit), dtype=bool)])
        counts = np.zeros((int(self.unit.max()) + 1, columns.shape[1]), dtype=np.int64)
        np.add.at(counts, self.unit, columns)
        return counts


def buffer_mask(number: Rows, near: tuple[Rows, Rows], force: NDArray[np.bool_], n_splits: int) -> NDArray[np.bool_]:
    """Mark the cells that yield to a near cell of another split: those not in `force`, then the lower number's."""
    priority = number + n_splits * force
    first, second = near
    apart = number[first] != number[second]
    mask = np.zeros(len(number), dtype=bool)
    mask[np.where(priority[first] < priority[second], first, second)[apart]] = True
    return mask


def stratify(problem: SplitProblem) -> Rows:
    """Assign a split to each unit: an index into `shares`. Splits without a share get none."""
    search, counts = _Search(problem), problem.unit_counts()
    if int((problem.shares > 0).sum()) ** len(counts) <= _MAX_ASSIGNMENTS:
        return search.best_of_all()
    return search.improve(_place_units(counts, problem.shares))


def _place_units(counts: Counts, shares: NDArray[np.float64]) -> Rows:
    """Place units of the rarest class first, each in the split that is furthest below its share of that class."""
    deficit, used = shares[:, None] * counts.sum(axis=0), shares > 0
    split_of, lacking = np.full(len(counts), -1), np.repeat(used[:, None], counts.shape[1], axis=1)
    remaining, remaining_units = counts.sum(axis=0), (counts > 0).sum(axis=0)
    for _ in range(len(counts)):
        rarest = np.where(remaining[:-1] > 0, remaining[:-1], np.iinfo(np.int64).max)
        label = int(np.argmin(rarest)) if (remaining[:-1] > 0).any() else -1
        unit = int(np.argmax(np.where(split_of < 0, counts[:, label], -1)))
        # The last units of a class go to the splits that lack it.
        options = lacking[:, label] if remaining_units[label] <= lacking[:, label].sum() else used
        split = max(np.flatnonzero(options).tolist(), key=lambda row: (deficit[row, label], deficit[row, -1]))
        split_of[unit] = split
        deficit[split] -= counts[unit]
        lacking[split] &= counts[unit] == 0
        remaining, remaining_units = remaining - counts[unit], remaining_units - (counts[unit] > 0)
    return split_of


class _Search:
    """Moves of single units between splits, with the buffer taken into account."""

    def __init__(self, problem: SplitProblem) -> None:
        self._problem, self._counts = problem, problem.unit_counts()
        self._splits = np.flatnonzero(problem.shares > 0)
        units = (self._counts[:, :-1] > 0).sum(axis=0)
        self._required, self._rare = units >= len(self._splits), (units > 0) & (units < len(self._splits))
        self._work = 0

    def best_of_all(self) -> Rows:
        """Compare all assignments of few units."""
        assignments = product(self._splits.tolist(), repeat=len(self._counts))
        return min((np.array(assignment) for assignment in assignments), key=self._score)

    def improve(self, split_of: Rows) -> Rows:
        """Move and exchange units as long as that improves the score."""
        score, before = self._score(split_of), None
        while score != before:
            before = score
            for units, splits in self._changes(split_of):
                if self._work > (_MAX_WORK if score[0] else _MAX_WORK / 10):
                    return split_of
                trial = split_of.copy()
                trial[units] = splits
                if (trial_score := self._score(trial)) < score:
                    split_of, score = trial, trial_score
        return split_of

    def _changes(self, split_of: Rows) -> Iterator[tuple[list[int], list[int]]]:
        """Units and splits to try: single units, then pairs; first those that show a class that some split lacks."""
        missing = (self._remaining_counts(split_of)[self._splits, :-1] == 0).any(axis=0) & self._required
        shows = (self._counts[:, :-1][:, missing] > 0).any(axis=1)
        order, splits = np.argsort(~shows, kind="stable").tolist(), self._splits.tolist()
        alternatives = [[split for split in splits if split != current] for current in split_of.tolist()]
        yield from (([unit], [split]) for unit in order for split in alternatives[unit])
        for a, b in combinations(order, 2):
            yield from (([a, b], [x, y]) for x, y in product(alternatives[a], alternatives[b]))

    def _remaining_counts(self, split_of: Rows) -> Counts:
        """(split, class) numbers of cells outside the buffer; the last column counts all cells."""
        problem, n_splits = self._problem, len(self._problem.shares)
        number = split_of[problem.unit]
        self._work += len(number) + len(problem.near[0]) + _OVERHEAD
        splits = np.arange(n_splits)[:, None]
        rows = np.flatnonzero(buffer_mask(number, problem.near, problem.force, n_splits))
        counts: Counts = (splits == split_of).astype(np.int64) @ self._counts
        left_out = (splits == number[rows]).astype(np.int64)
        counts[:, :-1] -= left_out @ problem.classes[rows]
        counts[:, -1] -= left_out.sum(axis=1)
        return counts

    def _score(self, split_of: Rows) -> tuple[int, float]:
        """Number of missing classes, and distance from the shares; the less, the better."""
        counts, shares = self._remaining_counts(split_of), self._problem.shares
        missing = (counts[self._splits, :-1] == 0).sum(axis=0)
        off = np.abs(counts / np.maximum(counts.sum(axis=0), 1) - shares[:, None]).sum(axis=0)
        n_classes = max(int((self._required | self._rare).sum()), 1)
        distance = off[-1] + off[:-1].sum() / n_classes + _RARE_GAP * int(missing[self._rare].sum())
        # Rounded, so that libraries that add in another order decide alike.
        return int(missing[self._required].sum()), round(float(distance), 9)
