"""Splits by classes: random blocks, classes and events, and the hash as the baseline."""

import itertools
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import SPLITS, Splits
from landmark.plan.distance import find_gaps, find_near
from landmark.plan.splits import split_cells, union_groups
from landmark.plan.stratify import SplitProblem, _Search, stratify
from tests.parts import examples
from tests.plan.scenes import grid

SHARES = {"train": 60, "val": 20, "test": 20, "block_m": 2400}


def divide(cells, classes, touched=(), *, seed=0, **changes):
    splits = Splits(**SHARES | {"balance": "classes"} | changes)
    balanced = classes if splits.balance == "classes" else None
    return split_cells(cells, list(touched), splits, seed=seed, cell_m=1200, classes=balanced)


def units_of(cells, touched):
    blocks = cells["block"].to_pylist()
    group_of = union_groups(blocks, touched)
    return np.unique([group_of.get(block, block) for block in blocks], return_inverse=True)[1]


def gaps(cells, classes, assigned):
    """(class, split) that lack each other, outside the buffer."""
    outside_buffer, split = ~assigned.in_buffer, np.array(assigned.split)
    return {
        (label, name)
        for label, name in itertools.product(range(classes.shape[1]), SPLITS)
        if not (classes[:, label] & outside_buffer & (split == name)).any()
    }


@st.composite
def scenes(draw):
    """Cells in blocks of 2 x 2, events over some of them, and classes that each are on three separate units or more."""
    cells = grid(draw(st.sampled_from([8, 10, 12])), draw(st.sampled_from([8, 10])), block_m=2400)
    rows, rng = np.arange(cells.num_rows), np.random.default_rng(draw(st.integers(0, 10**6)))
    touched = [
        (f"e{number}", row)
        for number in range(draw(st.integers(0, 3)))
        for row in rng.choice(rows, draw(st.integers(1, 4)), replace=False).tolist()
    ]
    unit = units_of(cells, touched)
    n_units = int(unit.max()) + 1
    presence = rng.random((n_units, draw(st.integers(1, 6)))) < rng.uniform(0.1, 0.9)
    for label in range(presence.shape[1]):
        presence[rng.choice(n_units, 3, replace=False), label] = True
    return cells, presence[unit] & (rng.random((len(rows), presence.shape[1])) < 0.9), sorted(touched)


def requirable(classes, unit):
    """Classes on at least three units."""
    return [label for label in range(classes.shape[1]) if len(set(unit[classes[:, label]].tolist())) >= 3]


@given(scenes(), st.sampled_from([0, 1200]), st.integers(0, 3))
@examples(12)
def test_events_buffers_and_row_order(scene, buffer_m, seed):
    cells, classes, touched = scene
    assigned = divide(cells, classes, touched, buffer_m=buffer_m, seed=seed)
    splits_of = defaultdict(set)
    for unit, split in zip(units_of(cells, touched).tolist(), assigned.split, strict=True):
        splits_of[unit].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())

    outside_buffer = np.flatnonzero(~assigned.in_buffer)
    number = np.array([SPLITS.index(assigned.split[row]) for row in outside_buffer.tolist()])
    assert not len(find_gaps(cells.take(pa.array(outside_buffer)), number, buffer_m=buffer_m, cell_m=1200)[0])

    order = np.random.default_rng(seed).permutation(cells.num_rows)
    position = np.argsort(order)
    moved = sorted((group, int(position[row])) for group, row in touched)
    again = divide(cells.take(pa.array(order)), classes[order], moved, buffer_m=buffer_m, seed=seed)
    assert again.split == [assigned.split[row] for row in order.tolist()]
    assert again.in_buffer.tolist() == assigned.in_buffer[order].tolist()


@given(scenes(), st.integers(0, 3))
@examples(25)
def test_a_class_on_three_units_is_in_every_split_and_the_shares_hold(scene, seed):
    cells, classes, touched = scene
    assigned, unit = divide(cells, classes, touched, buffer_m=0, seed=seed), units_of(cells, touched)
    required = requirable(classes, unit)
    assert not {label for label, _ in gaps(cells, classes, assigned)} & set(required)
    off = [assigned.split.count(name) / cells.num_rows - SHARES[name] / 100 for name in SPLITS]
    assert max(map(abs, off)) <= np.bincount(unit).max() / cells.num_rows + 0.1


def test_hash_leaves_classes_missing_where_classes_does_not():
    cells, missing = grid(12, 12, block_m=2400), {"hash": 0, "classes": 0}
    for seed in range(8):
        unit = units_of(cells, [])
        rng = np.random.default_rng(seed)
        presence = np.zeros((int(unit.max()) + 1, 6), dtype=bool)
        for label, count in enumerate((3, 4, 5, 8, 12, 30)):
            presence[rng.choice(len(presence), count, replace=False), label] = True
        for balance in missing:
            missing[balance] += len(
                gaps(cells, presence[unit], divide(cells, presence[unit], seed=seed, balance=balance))
            )
    assert missing["classes"] == 0 and missing["hash"] > 8


@pytest.mark.parametrize("empty", SPLITS)
def test_a_split_without_a_share_stays_empty(empty):
    shares = {name: 0 if name == empty else 50 for name in SPLITS}
    cells = grid(8, 8, block_m=2400)
    classes = np.random.default_rng(0).random((64, 3)) < 0.3
    split = divide(cells, classes, **shares).split
    assert set(split) == set(SPLITS) - {empty}
    assert divide(cells, classes, train=100, val=0, test=0).split == ["train"] * 64


def test_without_classes_the_shares_alone_decide():
    assigned = divide(grid(10, 10, block_m=2400), np.zeros((100, 0), dtype=bool), buffer_m=0)
    assert [assigned.split.count(name) for name in SPLITS] == [60, 20, 20]


@pytest.mark.parametrize("seed", range(2))
def test_the_search_finds_as_few_gaps_as_trying_everything(seed):
    rng, n_units = np.random.default_rng(seed), 8
    unit = np.concatenate([np.arange(n_units), rng.integers(0, n_units, 20)])
    presence = rng.random((n_units, 4)) < rng.uniform(0.3, 0.6, 4)
    pairs = rng.integers(0, len(unit), (2, 12))
    near = tuple(pairs[:, unit[pairs[0]] != unit[pairs[1]]])
    problem = SplitProblem(unit, presence[unit], near, rng.random(len(unit)) < 0.1, np.array([0.6, 0.2, 0.2]))
    search = _Search(problem)
    assert search._score(stratify(problem))[0] == search._score(search.best_of_all())[0]


@pytest.mark.parametrize("buffer_m", [0, 1200, 4000])
def test_near_cells_are_those_with_a_gap_below_the_buffer(buffer_m):
    cells = grid(7, 7, block_m=2400)
    unit = units_of(cells, [])
    first, second, _ = find_gaps(cells, unit, buffer_m=buffer_m, cell_m=1200)
    near = find_near(cells, unit, buffer_m=buffer_m, cell_m=1200, max_pairs=10**6)
    assert {frozenset(pair) for pair in zip(*near, strict=True)} == {
        frozenset(pair) for pair in zip(first, second, strict=True)
    }
    assert find_near(cells, unit, buffer_m=buffer_m, cell_m=1200, max_pairs=10) is None
