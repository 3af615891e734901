import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import SPLITS, Splits
from landmark.core.crs import projected
from landmark.domain.schemas import CELLS
from landmark.grid.cells import utm_cells
from landmark.plan.distance import closest_m, gaps_below
from landmark.plan.sample import assign_splits, sample
from tests.parts import acquisition, cell_table, examples, recipe_of

TILE = acquisition(origin=(600_000.0, 5_040_000.0), size_px=(3600, 3600))


def grid(wide=20, high=20, *, left=600_000, top=5_040_000, block_m=3600):
    return cell_table(
        32632, [(left + 1200 * x, top - 1200 * y) for y in range(high) for x in range(wide)], block_m=block_m
    )


def drawn(cells, asked, acquisitions=(TILE,)):
    return sample(cells, list(acquisitions), asked)


def names(sampled):
    return sampled.cells["cell"].to_pylist()


# -- splits ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60), st.integers(0, 99), st.data())
@examples(60)
def test_a_block_keeps_its_split_whatever_else_is_there(blocks, seed, data):
    splits = Splits(train=60, val=20, test=20)
    alone = {block: assign_splits([block], splits, seed)[0] for block in blocks}
    part = data.draw(st.lists(st.sampled_from(blocks), min_size=1, max_size=80))
    assert assign_splits(part, splits, seed) == [alone[block] for block in part]


def test_shares_of_the_splits_are_those_asked_for():
    counts = Counter(assign_splits([f"b{n}" for n in range(20_000)], Splits(train=70, val=20, test=10), 0))
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        assert abs(counts[name] / 20_000 - share) < 5 * math.sqrt(share * (1 - share) / 20_000)


@pytest.mark.parametrize("only", SPLITS)
def test_a_split_of_a_hundred_percent_takes_everything(only):
    splits = Splits(**{name: 100 if name == only else 0 for name in SPLITS})
    assert set(assign_splits([f"b{n}" for n in range(500)], splits, 0)) == {only}


def test_cells_of_a_block_share_a_split():
    sampled = drawn(grid(), recipe_of(splits={"block_m": 3600, "buffer_m": 0}))
    pairs = set(zip(sampled.cells["block"].to_pylist(), sampled.cells["split"].to_pylist(), strict=True))
    assert len(pairs) == len(set(sampled.cells["block"].to_pylist())) and len({split for _, split in pairs}) == 3


def test_a_cell_keeps_its_split_when_the_region_grows():
    asked = recipe_of(splits={"block_m": 3600, "buffer_m": 0})
    small, large = drawn(grid(8, 8), asked).cells.to_pylist(), drawn(grid(20, 20), asked).cells.to_pylist()
    splits = {row["cell"]: row["split"] for row in large}
    assert all(splits[row["cell"]] == row["split"] for row in small)


def test_another_seed_is_another_split():
    one, other = (drawn(grid(), recipe_of(sampling={"seed": seed}, splits={"block_m": 3600})) for seed in (0, 1))
    assert one.cells["split"].to_pylist() != other.cells["split"].to_pylist()


# -- the buffer --------------------------------------------------------------------------------------------------------


def squares(cells, epsg):
    """Each cell's outline in metres of one zone, straight edges kept short."""
    made = []
    for row in cells.to_pylist():
        box = shapely.segmentize(shapely.box(row["x"], row["y"] - 1200, row["x"] + 1200, row["y"]), 300)
        made.append(box if row["epsg"] == epsg else projected(box, row["epsg"], epsg))
    return made


def nearest_of_other_splits(cells, epsg):
    outlines, split = squares(cells, epsg), cells["split"].to_pylist()
    near = [
        (one.distance(other), i, j)
        for (i, one), (j, other) in combinations(enumerate(outlines), 2)
        if split[i] != split[j]
    ]
    return min(near)[0] if near else math.inf


@pytest.mark.parametrize("buffer_m", [0, 1, 1199, 1200, 1201, 2400, 4000])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_cells_of_different_splits_stand_nearer_than_the_buffer(buffer_m, seed):
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 3600, "buffer_m": buffer_m}
    sampled = drawn(grid(14, 14), recipe_of(splits=splits, sampling={"seed": seed}))
    assert len(set(sampled.cells["split"].to_pylist())) > 1
    assert nearest_of_other_splits(sampled.cells, 32632) >= buffer_m - 1e-6


ZONES = [
    acquisition(id="s2_a", epsg=32632, origin=(690_000.0, 5_060_000.0), size_px=(6000, 6000)),
    acquisition(id="s2_b", epsg=32633, origin=(240_000.0, 5_060_000.0), size_px=(6000, 6000)),
]


@pytest.mark.parametrize("buffer_m", [0, 600, 1200, 3000])
def test_the_buffer_holds_across_zones(buffer_m):
    cells = utm_cells(shapely.box(11.9, 45.4, 12.1, 45.5), cell_m=1200, block_m=3600)
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 3600, "buffer_m": buffer_m}
    sampled = drawn(cells, recipe_of(splits=splits), ZONES)
    assert {32632, 32633} == set(sampled.cells["epsg"].to_pylist())
    # Metres of one zone's grid differ from those of the other by less than a thousandth here.
    assert nearest_of_other_splits(sampled.cells, 32632) >= buffer_m * 0.999 - 1


def test_the_buffer_takes_cells_of_the_larger_split_and_only_those_that_are_too_near():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 3600, "buffer_m": 1200}
    asked, cells = recipe_of(splits=splits), grid(14, 14)
    sampled = drawn(cells, asked)
    split = dict(
        zip(cells["cell"].to_pylist(), assign_splits(cells["block"].to_pylist(), asked.splits, 0), strict=True)
    )
    outlines = dict(zip(cells["cell"].to_pylist(), squares(cells, 32632), strict=True))
    smaller = {"train": {"val", "test"}, "val": {"test"}, "test": set()}
    expected = {
        one
        for one in outlines
        if any(split[o] in smaller[split[one]] and outlines[one].distance(outlines[o]) < 1200 for o in outlines)
    }
    assert set(sampled.buffered) == expected and sampled.considered["buffer"] == len(expected) > 0


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=14, unique=True), st.data())
@examples(60)
def test_the_gaps_found_are_those_of_a_brute_force(corners, data):
    cells = cell_table(32632, [(600_000 + 1200 * x, 5_040_000 - 1200 * y) for x, y in corners])
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(corners), max_size=len(corners))))
    buffer_m = data.draw(st.sampled_from([1, 1200, 1700, 5000]))
    outlines = squares(cells, 32632)
    expected = {
        frozenset((i, j)): round(outlines[i].distance(outlines[j]), 6)
        for i, j in combinations(range(len(corners)), 2)
        if group[i] != group[j] and outlines[i].distance(outlines[j]) < buffer_m
    }
    found = list(zip(*gaps_below(cells, group, buffer_m=buffer_m, cell_m=1200), strict=True))
    assert {frozenset((i, j)): round(gap, 6) for i, j, gap in found} == expected and len(found) == len(expected)
    every = [outlines[i].distance(outlines[j]) for i, j in combinations(range(len(corners)), 2) if group[i] != group[j]]
    assert closest_m(cells, group, cell_m=1200) == (pytest.approx(min(every)) if every else None)


# -- sampling ----------------------------------------------------------------------------------------------------------


def clusters(cells, cluster_px):
    """The cluster of each cell: the block of `TILE` that holds its centre."""
    edge = cluster_px * 10
    return {
        row["cell"]: ((row["x"] + 600 - 600_000) // edge, (5_040_000 - row["y"] + 600) // edge)
        for row in cells.to_pylist()
    }


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("cluster_px", [256, 512])
def test_sampling_takes_whole_clusters_and_the_fraction_of_them(fraction, cluster_px):
    cells = grid()
    where = clusters(cells, cluster_px)
    sampling = {"fraction": fraction, "cluster_px": cluster_px}
    taken = set(names(drawn(cells, recipe_of(sampling=sampling, splits={"buffer_m": 0}))))
    kept = {where[cell] for cell in taken}
    assert taken == {cell for cell in where if where[cell] in kept}
    assert len(kept) == math.ceil(fraction * len(set(where.values())))


@pytest.mark.parametrize(("few", "many"), [(0.1, 0.4), (0.4, 0.9), (0.9, 1.0)])
def test_a_smaller_fraction_is_a_subset_of_a_larger(few, many):
    one, other = (
        set(names(drawn(grid(), recipe_of(sampling={"fraction": f}, splits={"buffer_m": 0})))) for f in (few, many)
    )
    assert one < other


@pytest.mark.parametrize("wanted", [1, 17, 50, 200, 399, 400, 1000])
def test_sampling_stops_after_the_cluster_that_reaches_the_number_of_cells(wanted):
    cells = grid()
    where, asked = clusters(cells, 512), recipe_of(sampling={"cells": wanted}, splits={"buffer_m": 0})
    taken = names(drawn(cells, asked))
    sizes = Counter(where[cell] for cell in taken)
    assert len(taken) >= min(wanted, cells.num_rows)
    assert wanted > cells.num_rows or len(taken) - max(sizes.values()) < wanted
    assert all(count == Counter(where.values())[key] for key, count in sizes.items())


def test_cells_outside_every_raster_are_counted_and_left_out():
    small = acquisition(size_px=(365, 240))
    sampled = drawn(grid(5, 5), recipe_of(splits={"buffer_m": 0}), [small])
    assert len(names(sampled)) == 3 * 2 and sampled.considered["outside_rasters"] == 25 - 6


def test_where_sentinel_2_is_asked_for_its_rasters_say_what_lies_inside():
    radar = acquisition(sensor="s1", id="s1_a", size_px=(1200, 1200), cloud_pct=None)
    optical = acquisition(size_px=(240, 240))
    asked = {"splits": {"buffer_m": 0}}
    assert len(names(drawn(grid(5, 5), recipe_of(**asked), [radar, optical]))) == 4
    assert len(names(drawn(grid(5, 5), recipe_of(sensors=["s1"], **asked), [radar, optical]))) == 25


# -- the limit ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60))
@examples(40)
def test_a_limit_is_a_true_subset_of_a_larger_one_and_of_none(one, other):
    few, many = sorted((one, other))
    kept = [
        drawn(grid(7, 7), recipe_of(limit=limit, splits={"block_m": 2400, "buffer_m": 0})).cells
        for limit in (few, many, None)
    ]
    rows = [{row["cell"]: row for row in cells.to_pylist()} for cells in kept]
    assert [len(each) for each in rows] == [min(few, 49), min(many, 49), 49]
    for less, more in ((rows[0], rows[1]), (rows[1], rows[2])):
        assert all(more[cell] == row for cell, row in less.items())


def test_every_candidate_is_accounted_for():
    asked = recipe_of(
        limit=40, sampling={"fraction": 0.6}, splits={"train": 60, "val": 20, "test": 20, "block_m": 3600}
    )
    sampled = drawn(grid(22, 22), asked, [acquisition(size_px=(2400, 2400))])
    said = sampled.considered
    lost = said["outside_rasters"] + said["not_sampled"] + said["buffer"] + said["beyond_limit"]
    assert said["cells"] == 22 * 22 == lost + sampled.cells.num_rows and sampled.cells.num_rows == 40
    assert min(said.values()) > 0


def test_an_empty_grid_gives_an_empty_sample():
    sampled = drawn(CELLS.empty_table(), recipe_of())
    assert sampled.cells.num_rows == 0 and sampled.considered["cells"] == 0
