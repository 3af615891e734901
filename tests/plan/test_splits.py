import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import SPLITS, Splits
from landmark.core.crs import reproject
from landmark.grid.cells import utm_cells
from landmark.plan.distance import find_gaps, min_gap_m
from landmark.plan.splits import assign_splits, split_cells
from tests.parts import cell_table, examples
from tests.plan.scenes import grid

SHARES = {"train": 60, "val": 20, "test": 20, "block_m": 3600}


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60), st.integers(0, 99), st.data())
@examples(60)
def test_the_split_of_a_block_does_not_depend_on_other_blocks(blocks, seed, data):
    splits = Splits(train=60, val=20, test=20)
    alone = {block: assign_splits([block], splits, seed)[0] for block in blocks}
    subset = data.draw(st.lists(st.sampled_from(blocks), min_size=1, max_size=80))
    assert assign_splits(subset, splits, seed) == [alone[block] for block in subset]


def test_the_splits_have_the_requested_shares():
    counts = Counter(assign_splits([f"b{n}" for n in range(20_000)], Splits(train=70, val=20, test=10), 0))
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        assert abs(counts[name] / 20_000 - share) < 5 * math.sqrt(share * (1 - share) / 20_000)


@pytest.mark.parametrize("only", SPLITS)
def test_a_split_of_a_hundred_percent_gets_every_block(only):
    splits = Splits(**{name: 100 if name == only else 0 for name in SPLITS})
    assert set(assign_splits([f"b{n}" for n in range(500)], splits, 0)) == {only}


def test_cells_of_a_block_share_a_split():
    cells = grid(20, 20, block_m=3600)
    assigned = split_cells(cells, [], Splits(block_m=3600, buffer_m=0), seed=0, cell_m=1200)
    pairs = set(zip(cells["block"].to_pylist(), assigned.split, strict=True))
    assert len(pairs) == len(set(cells["block"].to_pylist())) and len({split for _, split in pairs}) == 3


def test_another_seed_gives_other_splits():
    cells, splits = grid(20, 20, block_m=3600), Splits(block_m=3600)
    first, second = (split_cells(cells, [], splits, seed=seed, cell_m=1200).split for seed in (0, 1))
    assert first != second


# -- the buffer --------------------------------------------------------------------------------------------------------


def squares(cells, epsg):
    """Each cell's outline in metres of one zone, with vertices along the edges."""
    outlines = []
    for row in cells.to_pylist():
        box = shapely.segmentize(shapely.box(row["x"], row["y"] - 1200, row["x"] + 1200, row["y"]), 300)
        outlines.append(box if row["epsg"] == epsg else reproject(box, row["epsg"], epsg))
    return outlines


def least_gap(cells, assigned, epsg=32632):
    """Least gap between remaining cells of different splits, by brute force."""
    remaining = [
        (outline, split)
        for outline, split, dropped in zip(squares(cells, epsg), assigned.split, assigned.in_buffer, strict=True)
        if not dropped
    ]
    assert len({split for _, split in remaining}) > 1
    return min(a.distance(b) for (a, of_a), (b, of_b) in combinations(remaining, 2) if of_a != of_b)


@pytest.mark.parametrize("buffer_m", [0, 1, 1199, 1200, 1201, 2400, 4000])
@pytest.mark.parametrize("seed", [0, 1])
def test_cells_of_different_splits_are_separated_by_the_buffer(buffer_m, seed):
    cells = grid(14, 14, block_m=3600)
    assigned = split_cells(cells, [], Splits(**SHARES, buffer_m=buffer_m), seed=seed, cell_m=1200)
    assert least_gap(cells, assigned) >= buffer_m - 1e-6


@pytest.mark.parametrize("buffer_m", [0, 600, 1200, 3000])
def test_the_buffer_holds_across_zones(buffer_m):
    cells = utm_cells(shapely.box(11.9, 45.4, 12.1, 45.5), cell_m=1200, block_m=3600)
    assert {32632, 32633} == set(cells["epsg"].to_pylist())
    assigned = split_cells(cells, [], Splits(**SHARES, buffer_m=buffer_m), seed=0, cell_m=1200)
    # Metres of the two zones' grids differ by less than a thousandth here.
    assert least_gap(cells, assigned) >= buffer_m * 0.999 - 1


def test_the_buffer_takes_only_cells_of_the_larger_split_that_are_too_near():
    cells = grid(14, 14, block_m=3600)
    assigned = split_cells(cells, [], Splits(**SHARES, buffer_m=1200), seed=0, cell_m=1200)
    outlines, smaller = squares(cells, 32632), {"train": {"val", "test"}, "val": {"test"}, "test": set()}
    expected = [
        any(
            assigned.split[j] in smaller[assigned.split[i]] and outlines[i].distance(outlines[j]) < 1200
            for j in range(cells.num_rows)
        )
        for i in range(cells.num_rows)
    ]
    assert assigned.in_buffer.tolist() == expected and any(expected)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=14, unique=True), st.data())
@examples(60)
def test_gaps_equal_those_of_brute_force(corners, data):
    cells = cell_table(32632, [(600_000 + 1200 * x, 5_040_000 - 1200 * y) for x, y in corners])
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(corners), max_size=len(corners))))
    buffer_m = data.draw(st.sampled_from([1, 1200, 1700, 5000]))
    outlines = squares(cells, 32632)
    pairs = [(i, j) for i, j in combinations(range(len(corners)), 2) if group[i] != group[j]]
    gaps = {frozenset(pair): outlines[pair[0]].distance(outlines[pair[1]]) for pair in pairs}
    expected = {pair: round(gap, 6) for pair, gap in gaps.items() if gap < buffer_m}
    result = list(zip(*find_gaps(cells, group, buffer_m=buffer_m, cell_m=1200), strict=True))
    assert {frozenset((i, j)): round(gap, 6) for i, j, gap in result} == expected and len(result) == len(expected)
    least = pytest.approx(min(gaps.values())) if gaps else None
    assert min_gap_m(cells, group, cell_m=1200) == least
