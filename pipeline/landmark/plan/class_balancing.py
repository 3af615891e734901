"""Choose cells by the classes on them: guarantee rare classes, cap common ones, take near-repeats last.

The label counts of the candidates are known; no image has been read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.cell_sampling import ClassBalancing
from landmark.core.hashing import ranks
from landmark.core.salts import CLASS_BALANCING
from landmark.labels.label_rules import CellLabels

# Tolerance for percentages in binary: a cap of 29 % of 100 cells is 29 of them.
_ROUNDING = 1e-9

LabelsByPeriod = Mapping[tuple[str, str], CellLabels]


class SamplingOptions(Protocol):
    """The options of a recipe's `sampling` that are used here."""

    @property
    def cells(self) -> int | None:
        """Most cells to choose."""

    @property
    def class_balancing(self) -> ClassBalancing | None:
        """Options of the choice."""


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """The chosen cells, and the class counts before and after.

    Attributes:
        mask: Chosen cells.
        before: Class -> number of candidate cells with it, most frequent first.
        after: The same of the chosen cells.
        skipped: Reason -> number of cells not chosen: `unlabelled`, `cap` (one of their classes is at its cap),
            `repeat` (enough cells with the same labels are chosen), `enough` (the requested number, or what the caps
            allow, is chosen).
    """

    mask: NDArray[np.bool_]
    before: dict[str, int]
    after: dict[str, int]
    skipped: dict[str, int]

    def summary(self) -> dict[str, Any]:
        """Counts for the lock."""
        counts = {"candidates": len(self.mask), "chosen": int(self.mask.sum())}
        return {**counts, "before": self.before, "after": self.after, "skipped": self.skipped}


def balance_classes(
    cells: pa.Table, cell_labels: LabelsByPeriod, sampling: SamplingOptions, *, seed: int
) -> BalanceResult:
    """Choose among the cells of a table by their labels in any period.

    First each class, the rarest first, gets the cells it is guaranteed. Then, with `balance`, the class on the fewest
    chosen cells gets the next cell; otherwise cells are taken by hash. A cap is a share of the cells chosen in the
    end: where too few cells lack a class, fewer are chosen. Near-repeats are chosen when nothing else is left, and not
    at all where no number of cells is requested. The order of the rows does not matter, and without caps the choice of
    fewer cells is a subset of the choice of more.
    """
    rules = sampling.class_balancing
    if rules is None:
        return BalanceResult(np.ones(cells.num_rows, dtype=bool), {}, {}, {})
    pool = _make_pool(cells, cell_labels, seed, with_kinds=rules.repeats is not None)
    count = len(pool.label_set) if sampling.cells is None else min(sampling.cells, len(pool.label_set))
    selection = _Selection(pool, rules, count, fill_up=sampling.cells is not None)
    # Caps are shares of the chosen cells: with fewer cells than requested they are smaller, and the choice restarts.
    while len(selection.chosen) < count:
        count = len(selection.chosen)
        selection = _Selection(pool, rules, count, fill_up=sampling.cells is not None)
    mask = np.zeros(cells.num_rows, dtype=bool)
    mask[pool.rows[sorted(selection.chosen)]] = True
    unlabelled = cells.num_rows - len(pool.label_set)
    skipped = Counter({"unlabelled": unlabelled} if unlabelled else {}) + Counter(selection.skip_reasons())
    before, after = (_count_classes(pool, places) for places in (range(len(pool.label_set)), selection.chosen))
    return BalanceResult(mask, before, after, dict(skipped))


@dataclass(frozen=True, slots=True)
class _Pool:
    """Labelled cells in the order of their hash, as lists of integers for speed. A place is an index into them.

    Attributes:
        rows: Row of each in the table of cells.
        label_set: Number of each cell's set of labels.
        sets: The classes of each set, as numbers.
        kind: Cells of one kind are near-repeats of each other; all 0 where repeats do not count.
        classes: Class keys, sorted.
        queues: Per class, the places of its cells.
    """

    rows: NDArray[np.int64]
    label_set: list[int]
    sets: list[tuple[int, ...]]
    kind: list[int]
    classes: list[str]
    queues: list[list[int]]


def _make_pool(cells: pa.Table, cell_labels: LabelsByPeriod, seed: int, *, with_kinds: bool) -> _Pool:
    all_names, labels_of = cells["cell"].to_pylist(), dict[str, tuple[str, ...]]()
    for (cell, _), labels in cell_labels.items():
        if labels.labels:
            labels_of[cell] = (*labels_of.get(cell, ()), *labels.labels)
    rows = np.flatnonzero(np.fromiter((name in labels_of for name in all_names), bool, len(all_names)))
    names = [all_names[row] for row in rows.tolist()]
    order = np.argsort(ranks(seed, CLASS_BALANCING, names), kind="stable")
    rows, names = rows[order], [names[index] for index in order.tolist()]
    # There are many cells, but few distinct sets of labels.
    distinct = set(labels_of.values())
    sets = sorted({tuple(sorted(set(labels))) for labels in distinct})
    set_number = {labels: sets.index(tuple(sorted(set(labels)))) for labels in distinct}
    label_set = [set_number[labels_of[name]] for name in names]
    classes = sorted({key for keys in sets for key in keys})
    numbered_sets = [tuple(classes.index(key) for key in keys) for keys in sets]
    queues: list[list[int]] = [[] for _ in classes]
    for place, number in enumerate(label_set):
        for label in numbered_sets[number]:
            queues[label].append(place)
    kind = _find_kinds(names, cell_labels) if with_kinds else [0] * len(names)
    return _Pool(rows, label_set, numbered_sets, kind, classes, queues)


def _find_kinds(names: Sequence[str], cell_labels: LabelsByPeriod) -> list[int]:
    """Number cells so that those with the same labels and fractions, rounded to 10 %, in each period share a number."""
    kinds: dict[str, list[object]] = {name: [] for name in names}
    for (cell, period), labels in cell_labels.items():
        if cell in kinds:
            tenths = ((key, floor(10 * fraction + 0.5)) for key, fraction in labels.fractions.items())
            rounded = frozenset((key, tenth) for key, tenth in tenths if tenth)
            kinds[cell].append((period, frozenset(labels.labels), rounded))
    numbers: dict[object, int] = {}
    return [numbers.setdefault(frozenset(kinds[name]), len(numbers)) for name in names]


def _count_classes(pool: _Pool, places: Iterable[int]) -> dict[str, int]:
    counts = Counter[int]()
    for number, count in Counter(pool.label_set[place] for place in places).items():
        counts.update(dict.fromkeys(pool.sets[number], count))
    most_frequent_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {pool.classes[label]: count for label, count in most_frequent_first}


class _Selection:
    """Selection of `count` cells from a pool.

    Attributes:
        chosen: Places of the chosen cells.
    """

    def __init__(self, pool: _Pool, rules: ClassBalancing, count: int, *, fill_up: bool) -> None:
        self.chosen = set[int]()
        self._pool, self._rules, self._count = pool, rules, count
        caps = [rules.cap_pct(key) for key in pool.classes]
        # A class without a cap never reaches it.
        self._max_cells = [floor(cap * count / 100 + _ROUNDING) if cap < 100 else count + 1 for cap in caps]
        self._class_cells, self._kind_cells = [0] * len(pool.classes), Counter[int]()
        # Whether a set has a class at its cap; closed sets stay closed.
        self._closed = [any(not self._max_cells[label] for label in labels) for labels in pool.sets]
        # Near-repeats come in a second pass, which needs a requested number of cells to fill up to.
        for repeats in dict.fromkeys((rules.repeats, None)):
            self._guarantee(repeats)
        for repeats in dict.fromkeys((rules.repeats, None)) if fill_up else (rules.repeats,):
            self._fill(repeats)

    def skip_reasons(self) -> Iterator[str]:
        """Reason of each cell that is not chosen."""
        for place, number in enumerate(self._pool.label_set):
            if place in self.chosen:
                continue
            if self._closed[number]:
                yield "cap"
            else:
                yield "repeat" if self._is_repeat(place, self._rules.repeats) else "enough"

    def _is_repeat(self, place: int, repeats: int | None) -> bool:
        return repeats is not None and self._kind_cells[self._pool.kind[place]] >= repeats

    def _guarantee(self, repeats: int | None) -> None:
        """Choose the guaranteed cells, of the rarest class first; each counts for all its classes."""
        for label in sorted(range(len(self._class_cells)), key=lambda label: (len(self._pool.queues[label]), label)):
            min_cells = self._rules.min_cells(self._pool.classes[label])
            for place in self._pool.queues[label] if min_cells else ():
                if self._class_cells[label] >= min_cells or len(self.chosen) >= self._count:
                    break
                self._choose(place, repeats)

    def _fill(self, repeats: int | None) -> None:
        if not self._rules.balance:
            for place in range(len(self._pool.label_set)):
                if len(self.chosen) >= self._count:
                    break
                self._choose(place, repeats)
            return
        queues = [iter(queue) for queue in self._pool.queues]
        open_classes = set(range(len(queues)))
        while open_classes and len(self.chosen) < self._count:
            rarest = min(open_classes, key=lambda label: (self._class_cells[label], label))
            if not any(self._choose(place, repeats) for place in queues[rarest]):
                open_classes.discard(rarest)

    def _choose(self, place: int, repeats: int | None) -> bool:
        """Choose a cell unless it is chosen already, one of its classes is at its cap, or it is a repeat."""
        number = self._pool.label_set[place]
        if self._closed[number] or place in self.chosen or self._is_repeat(place, repeats):
            return False
        self.chosen.add(place)
        self._kind_cells[self._pool.kind[place]] += 1
        for label in self._pool.sets[number]:
            self._class_cells[label] += 1
            if self._class_cells[label] == self._max_cells[label]:
                for label_set, labels in enumerate(self._pool.sets):
                    self._closed[label_set] |= label in labels
        return True
