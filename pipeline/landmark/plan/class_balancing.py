"""Which cells to take for what lies in them: the rare guaranteed, the common capped, near-repeats last.

A choice among candidates whose cover is known; no pixel has been fetched.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.cell_sampling import Meaningful
from landmark.core.hashing import ranks
from landmark.core.salts import CLASS_BALANCING
from landmark.labels.label_rules import Fractions

# Percents written as decimals: a cap of 29 % of 100 cells is 29 of them.
_ROUNDING = 1e-9


class Sampling(Protocol):
    """What is read of a recipe's `sampling`."""

    @property
    def cells(self) -> int | None:
        """Most cells to take."""

    @property
    def by_meaning(self) -> Meaningful | None:
        """How to choose them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The cells to take, and what that does to the classes.

    Attributes:
        keep: Over the cells.
        before: Class → candidates it is on, the most frequent first.
        after: The same of the cells kept.
        skipped: Why the others are not: `unlabelled`, `cap` (a class of theirs is full), `repeat` (enough such cells
            are kept), `enough` (as many as are wanted, or as caps allow, are kept).
    """

    keep: NDArray[np.bool_]
    before: dict[str, int]
    after: dict[str, int]
    skipped: dict[str, int]

    def told(self) -> dict[str, Any]:
        """For the lock: cells looked at and taken, and the counts."""
        counts = {"candidates": len(self.keep), "chosen": int(self.keep.sum())}
        return {**counts, "before": self.before, "after": self.after, "skipped": self.skipped}


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Candidates in the order of their hash, as plain lists: one step of the choice is a few operations on integers.

    Attributes:
        rows: Of the cells' table.
        labels: Number of the set of labels of each; sets: The classes in each set, as numbers.
        kinds: Number of what makes near-repeats of each; all 0 where repeats do not count.
        classes: Keys of the classes, sorted.
        queues: Per class its candidates.
    """

    rows: NDArray[np.int64]
    labels: list[int]
    sets: list[tuple[int, ...]]
    kinds: list[int]
    classes: list[str]
    queues: list[list[int]]


def select(cells: pa.Table, facts: Mapping[tuple[str, str], Fractions], sampling: Sampling, *, seed: int) -> Selection:
    """Choose among the cells of a table by what the labels say of them in any period.

    First each class in turn, the rarest first, gets the cells it is guaranteed; then, with `balance`, the class that is
    on the fewest chosen cells gets one after the other, else the hash decides. A cap holds against the number of cells
    that are chosen in the end: where too few are without a class, fewer are chosen. Near-repeats come when nothing else
    is left; where no number of cells is asked for, they do not come at all. The order of the rows does not matter, and
    without caps the choice of fewer cells is part of the choice of more.
    """
    wanted = sampling.by_meaning
    if wanted is None:
        return Selection(np.ones(cells.num_rows, dtype=bool), {}, {}, {})
    among = _candidates(cells, facts, seed, alike=wanted.repeats is not None)
    most = len(among.labels) if sampling.cells is None else min(sampling.cells, len(among.labels))
    choice = _Choice(among, wanted, most, fills_up=sampling.cells is not None)
    # Caps are shares of what is chosen: with fewer cells than hoped for they are smaller, and all is chosen anew.
    while len(choice.taken) < most:
        most = len(choice.taken)
        choice = _Choice(among, wanted, most, fills_up=sampling.cells is not None)
    keep = np.zeros(cells.num_rows, dtype=bool)
    keep[among.rows[sorted(choice.taken)]] = True
    unlabelled = cells.num_rows - len(among.labels)
    skipped = Counter({"unlabelled": unlabelled} if unlabelled else {}) + Counter(choice.reasons())
    return Selection(keep, _counts(among, range(len(among.labels))), _counts(among, choice.taken), dict(skipped))


def _candidates(cells: pa.Table, facts: Mapping[tuple[str, str], Fractions], seed: int, *, alike: bool) -> _Candidates:
    names, said = cells["cell"].to_pylist(), dict[str, tuple[str, ...]]()
    for (cell, _), one in facts.items():
        if one.labels:
            said[cell] = (*said[cell], *one.labels) if cell in said else one.labels
    rows = np.flatnonzero(np.fromiter((name in said for name in names), bool, len(names)))
    mine = [names[row] for row in rows.tolist()]
    order = np.argsort(ranks(seed, CLASS_BALANCING, mine), kind="stable")
    rows, mine = rows[order], [mine[place] for place in order.tolist()]
    # Cells are many, the sets of their labels few.
    sets = sorted({tuple(sorted(set(labels))) for labels in set(said.values())})
    number = {labels: sets.index(tuple(sorted(set(labels)))) for labels in set(said.values())}
    labels = [number[said[name]] for name in mine]
    classes = sorted({key for one in sets for key in one})
    numbered = [tuple(classes.index(key) for key in one) for one in sets]
    queues: list[list[int]] = [[] for _ in classes]
    for place, held in enumerate(labels):
        for label in numbered[held]:
            queues[label].append(place)
    return _Candidates(rows, labels, numbered, _kinds(mine, facts) if alike else [0] * len(mine), classes, queues)


def _kinds(names: Sequence[str], facts: Mapping[tuple[str, str], Fractions]) -> list[int]:
    """A number per cell, the same for cells of the same labels and shares to the nearest 10 %, period by period."""
    said: dict[str, list[object]] = {name: [] for name in names}
    for (cell, period), one in facts.items():
        if cell in said:
            tenths = ((key, floor(10 * share + 0.5)) for key, share in one.fractions.items())
            said[cell].append((period, frozenset(one.labels), frozenset(one for one in tenths if one[1])))
    numbers: dict[object, int] = {}
    return [numbers.setdefault(frozenset(said[name]), len(numbers)) for name in names]


def _counts(among: _Candidates, places: Iterable[int]) -> dict[str, int]:
    counts = Counter[int]()
    for held, times in Counter(among.labels[place] for place in places).items():
        counts.update(dict.fromkeys(among.sets[held], times))
    largest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {among.classes[label]: count for label, count in largest_first}


class _Choice:
    """A choice while it is made: what is taken, how often each class and kind is, and how far each queue is read."""

    def __init__(self, among: _Candidates, wanted: Meaningful, most: int, *, fills_up: bool) -> None:
        self.taken = set[int]()
        self._among, self._wanted, self._most = among, wanted, most
        caps = [wanted.cap_pct(key) for key in among.classes]
        # A class without a cap is never full.
        self._full = [floor(cap * most / 100 + _ROUNDING) if cap < 100 else most + 1 for cap in caps]
        self._held, self._kinds = [0] * len(among.classes), Counter[int]()
        # Sets with a class that is full: once closed, a set stays so.
        self._closed = [any(not self._full[label] for label in labels) for labels in among.sets]
        # Near-repeats wait for their turn; without a number to fill up to they wait for ever.
        for repeats in dict.fromkeys((wanted.repeats, None)):
            self._guarantee(repeats)
        for repeats in dict.fromkeys((wanted.repeats, None)) if fills_up else (wanted.repeats,):
            self._fill(repeats)

    def reasons(self) -> Iterator[str]:
        """Why each candidate that is not taken is not."""
        for place, held in enumerate(self._among.labels):
            if place in self.taken:
                continue
            if self._closed[held]:
                yield "cap"
            else:
                yield "repeat" if self._enough_alike(place, self._wanted.repeats) else "enough"

    def _enough_alike(self, place: int, repeats: int | None) -> bool:
        return repeats is not None and self._kinds[self._among.kinds[place]] >= repeats

    def _guarantee(self, repeats: int | None) -> None:
        """The rarest class first: what it takes also counts for the others it meets."""
        for label in sorted(range(len(self._held)), key=lambda label: (len(self._among.queues[label]), label)):
            due = self._wanted.guaranteed(self._among.classes[label])
            for place in self._among.queues[label] if due else ():
                if self._held[label] >= due or len(self.taken) >= self._most:
                    break
                self._take(place, repeats)

    def _fill(self, repeats: int | None) -> None:
        if not self._wanted.balance:
            for place in range(len(self._among.labels)):
                if len(self.taken) >= self._most:
                    break
                self._take(place, repeats)
            return
        queues = [iter(queue) for queue in self._among.queues]
        open_classes = set(range(len(queues)))
        while open_classes and len(self.taken) < self._most:
            rarest = min(open_classes, key=lambda label: (self._held[label], label))
            if not any(self._take(place, repeats) for place in queues[rarest]):
                open_classes.discard(rarest)

    def _take(self, place: int, repeats: int | None) -> bool:
        """Whether a candidate was there to take, no class of its is full, and not enough like it are taken."""
        held = self._among.labels[place]
        if self._closed[held] or place in self.taken or self._enough_alike(place, repeats):
            return False
        self.taken.add(place)
        self._kinds[self._among.kinds[place]] += 1
        for label in self._among.sets[held]:
            self._held[label] += 1
            if self._held[label] == self._full[label]:
                self._close(label)
        return True

    def _close(self, label: int) -> None:
        for held, labels in enumerate(self._among.sets):
            self._closed[held] |= label in labels
