"""The order of samples against an oracle in plain Python, over drawn selections, batches, ranks, stops and mixtures."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.errors import InputError, InsufficientData
from landmark.loader.order import Order, Part, group_edges, make_part, rank_slots
from landmark.loader.permutation import Shuffle
from landmark.loader.selection import OrderOptions
from tests.loader import oracle
from tests.parts import examples, raises

EPOCHS = 3


@dataclass
class Case:
    """A drawn selection: groups of its rows, and the keys of quotas that each row has."""

    groups: list[list[int]]
    keys: list[list[str]]
    shares: dict[str, float]
    shuffle: Shuffle
    batch: int
    step: int

    @property
    def rows(self) -> list[int]:
        return list(chain(*self.groups))

    def pools(self) -> dict[str, list[int]]:
        """Rows by pool: the rarest of a row's keys, the first of equally rare ones; "" without any."""
        counts = Counter(chain(*(self.keys[row] for row in self.rows)))
        pools: dict[str, list[int]] = {}
        for row in self.rows:
            key = min(self.keys[row], key=lambda key: (counts[key], key), default="")
            pools.setdefault(key, []).append(row)
        return pools

    def order(self, *parts: Part) -> Order:
        return Order(self.batch, parts or (self.part(),))

    def part(self, name: str = "", rows: list[int] | None = None) -> Part:
        quotas = {key: (share, np.array([key in keys for keys in self.keys])) for key, share in self.shares.items()}
        selected = None if rows is None else np.array(rows)
        return make_part(name, np.array([0, *accumulate(map(len, self.groups))]), selected, quotas, self.shuffle)

    def sequence(self, name: str, rows: list[int]) -> Iterator[tuple[int, int]]:
        """The endless sequence of a pool: (stream, row)."""
        chosen = set(rows)
        groups = [group for rows in self.groups if (group := [row for row in rows if row in chosen])]
        dials = {"seed": self.shuffle.seed, "streams": self.shuffle.streams, "window": self.shuffle.window}
        number = 0
        while True:
            yield from oracle.pass_over(groups, (name, str(number)), **dials)
            number += 1


@st.composite
def cases(draw: st.DrawFn, *, mixed: bool = False) -> Case:
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=30))
    edges = [0, *accumulate(sizes)]
    streams = draw(st.sampled_from([1, 2, 4, 8]))
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True)) if mixed else []
    random = draw(st.randoms(use_true_random=False))
    keys = [sorted(random.sample(names, random.randint(0, len(names)))) for _ in range(edges[-1])]
    shuffle = Shuffle(draw(st.integers(0, 2**63 - 1)), streams, draw(st.integers(1, 9)))
    groups = [list(range(*pair)) for pair in pairwise(edges)]
    batch = streams * draw(st.integers(1, 4))
    case = Case(groups, keys, {}, shuffle, batch, draw(st.integers(0, -(-edges[-1] // batch) - 1)))
    pools = case.pools()
    cuts = [0, *sorted(random.sample(range(1, 20), len(pools) - 1)), 20]
    shares = [(end - start) / 20 for start, end in pairwise(cuts)]
    case.shares = {name: share for name, share in zip(sorted(pools), shares, strict=True) if name}
    return case


def check_plain(case: Case, ranks: int) -> None:
    order, rows = case.order(), case.rows
    sequence = case.sequence("", rows)
    for number in range(EPOCHS):
        epoch, ranked = order.epoch(number), len(rows) // case.batch
        batches = [epoch.rows(step)[0].tolist() for step in range(epoch.steps)]
        assert sorted(chain(*batches)) == rows
        expected = list(islice(sequence, len(rows)))
        for step, batch in enumerate(batches):
            part = expected[step * case.batch : (step + 1) * case.batch]
            assert batch == [row for _, row in sorted(part, key=lambda entry: entry[0])]
            # Each rank owns its streams.
            if len(batch) == case.batch:
                owners = {row: stream * ranks // case.shuffle.streams for stream, row in part}
                slots = [batch[rank_slots(len(batch), rank, ranks)] for rank in range(ranks)]
                assert [{owners[row] for row in rows} for rows in slots] == [{rank} for rank in range(ranks)]
        check_locality(case, expected)
        if ranked:
            assert order.epoch(number, ranks=ranks).steps == (ranked if ranks > 1 else epoch.steps)
        # A fresh order at any step.
        assert case.order().epoch(number).rows(case.step)[0].tolist() == batches[case.step]


def check_locality(case: Case, entries: list[tuple[int, int]]) -> None:
    """No stream returns to a group, but among as many as a window has."""
    group_of = {row: number for number, rows in enumerate(case.groups) for row in rows}
    for stream in range(case.shuffle.streams):
        groups = [group_of[row] for number, row in entries if number == stream]
        first = {group: at for at, group in reversed(list(enumerate(groups)))}
        last = {group: at for at, group in enumerate(groups)}
        for at in range(len(groups)):
            assert sum(first[group] <= at <= last[group] for group in first) <= case.shuffle.window


def check_mixture(case: Case) -> None:
    order, pools = case.order(), case.pools()
    sequences = {key: case.sequence(f"/{key}" if key else "", rows) for key, rows in pools.items()}
    pool_of = {row: key for key, rows in pools.items() for row in rows}
    shares = case.shares | {"": 1 - sum(case.shares.values())}
    totals = Counter[str]()
    for number in range(EPOCHS):
        epoch = order.epoch(number)
        assert epoch.steps == -(-len(case.rows) // case.batch)
        batches = [epoch.rows(step)[0].tolist() for step in range(epoch.steps)]
        assert len(list(chain(*batches))) == len(case.rows)
        for batch in batches:
            counts = Counter(pool_of[row] for row in batch)
            expected = [row for key, count in counts.items() for _, row in islice(sequences[key], count)]
            assert sorted(batch) == sorted(expected)
            totals += counts
            for key, share in shares.items():
                assert abs(totals[key] - totals.total() * share) < 1 + 1e-6
        assert case.order().epoch(number).rows(case.step)[0].tolist() == batches[case.step]


def check_together(case: Case, split: int) -> None:
    """Two parts, of the rows of the first groups and of the rest."""
    first, second = (list(chain(*groups)) for groups in (case.groups[:split], case.groups[split:]))
    order = case.order(case.part("s1", first), case.part("s2", second))
    sequences = case.sequence("s1", first), case.sequence("s2", second)
    longer = max(len(first), len(second))
    for number in range(EPOCHS):
        epoch = order.epoch(number)
        assert epoch.steps == -(-longer // case.batch)
        for step in range(epoch.steps):
            count = min(case.batch, longer - step * case.batch)
            for rows, sequence in zip(epoch.rows(step), sequences, strict=True):
                assert sorted(rows.tolist()) == sorted(row for _, row in islice(sequence, count))


def check(kind: str, case: Case, data: st.DataObject) -> None:
    if kind == "plain":
        check_plain(case, data.draw(st.sampled_from([1, 2, 4, 8]).filter(lambda ranks: ranks <= case.shuffle.streams)))
    elif kind == "mixture":
        check_mixture(case)
    elif len(case.groups) > 1:
        check_together(case, data.draw(st.integers(1, len(case.groups) - 1)))


KINDS = pytest.mark.parametrize("kind", ["plain", "mixture", "together"])


@KINDS
@given(st.data())
@examples(100)
def test_order(kind: str, data: st.DataObject) -> None:
    check(kind, data.draw(cases(mixed=kind == "mixture")), data)


@pytest.mark.nightly
@KINDS
@given(st.data())
@examples(3_400)
def test_many_orders(kind: str, data: st.DataObject) -> None:
    check(kind, data.draw(cases(mixed=kind == "mixture")), data)


def test_pairs_follow_their_anchors() -> None:
    partners = np.array([3, -1, 3, 0])
    for anchor_first in (True, False):
        shuffle = Shuffle(0)
        part = make_part("s1", np.array([0, 2, 4]), np.array([0, 2]), {}, shuffle)
        drawn = Order(8, (part,), partners, anchor_first).epoch(0).rows(0)
        anchors, drawn_partners = drawn if anchor_first else drawn[::-1]
        assert (sorted(anchors.tolist()), drawn_partners.tolist()) == ([0, 2], [3, 3])


def test_rows_in_their_order_without_a_shuffle() -> None:
    order = Order(4, (make_part("", np.array([0, 3, 9]), None, {}, None),))
    rows = [order.epoch(1).rows(step)[0].tolist() for step in range(3)]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_edges_of_row_groups_in_a_selection() -> None:
    # Row groups start at 0, 4, 8; 10, 15; 21.
    edges = group_edges(np.array([10, 11]), np.array([4, 5]), np.array([1, 2, 9, 10, 14, 20]))
    assert edges.tolist() == [0, 2, 3, 5, 6]


@pytest.mark.parametrize(
    "option",
    [
        {"batch": 12},
        {"batch": 0},
        {"ranks": 3},
        {"ranks": 16},
        {"rank": 1},
        {"rank": -1},
        {"seed": -1},
        {"sensors": "s1"},
        {"quotas": {"water": 0.6, "grass": 0.5}},
        {"quotas": {"water": 0}},
        {"quotas": {"water": "half"}},
        {"quotas": {"water": float("nan")}},
        {"quotas": {"water": True}},
        {"quotas": {5: 0.5}},
        {"quotas": ["water"]},
        {"shuffle": "no"},
        {"batch": 64.0},
    ],
)
def test_options_that_make_no_order_are_refused(option: dict) -> None:
    with raises(InputError, key=next(iter(option)), value=next(iter(option.values()))):
        OrderOptions(**option).check()


def test_several_ranks_need_a_full_batch() -> None:
    order = Order(8, (make_part("", np.array([0, 7]), None, {}, Shuffle(0)),))
    assert order.epoch(0).steps == 1
    with raises(InsufficientData, key="batch", value=8):
        order.epoch(0, ranks=2)


@pytest.mark.parametrize(("value", "share", "member"), [("a", 0.5, False), (None, 0.5, True)])
def test_pools_without_a_row_are_refused(value: str | None, share: float, member: bool) -> None:
    with raises(InsufficientData, key="quotas", value=value):
        make_part("", np.array([0, 2]), None, {"a": (share, np.full(2, member))}, Shuffle(0))


def test_order_of_the_first_version() -> None:
    """Fixed, so that no library or change of code gives resumed trainings another order."""
    edges = np.arange(0, 41, 4)
    members = np.arange(40) % 3 == 0
    plain = Order(8, (make_part("", edges, None, {}, Shuffle(7)),))
    mixed = Order(8, (make_part("", edges, None, {"a": (0.5, members)}, Shuffle(7)),))
    assert plain.epoch(1).rows(2)[0].tolist() == [5, 12, 15, 2, 25, 23, 36, 39]
    assert mixed.epoch(1).rows(2)[0].tolist() == [12, 18, 6, 31, 0, 25, 26, 10]
