import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.domain.schemas import CELLS
from landmark.plan.sample import sample_cells
from landmark.plan.splits import split_cells
from tests.parts import acquisition, examples, recipe_of
from tests.plan.scenes import grid

TILE = acquisition(origin=(600_000.0, 5_040_000.0), size_px=(3600, 3600))


def sample(cells, acquisitions=(TILE,), **changes):
    return sample_cells(cells, list(acquisitions), recipe_of(**{"splits": {"buffer_m": 0}} | changes))


def names(sampled):
    return sampled.cells["cell"].to_pylist()


def clusters(cells, cluster_px=512):
    """Cell -> cluster: the block of `TILE` that contains its centre."""
    edge = cluster_px * 10
    return {
        row["cell"]: ((row["x"] + 600 - 600_000) // edge, (5_040_000 - row["y"] + 600) // edge)
        for row in cells.to_pylist()
    }


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("cluster_px", [256, 512])
def test_the_requested_fraction_of_clusters_is_sampled_completely(fraction, cluster_px):
    cluster_of = clusters(grid(20, 20), cluster_px)
    sampled = set(names(sample(grid(20, 20), sampling={"fraction": fraction, "cluster_px": cluster_px})))
    chosen = {cluster_of[cell] for cell in sampled}
    assert sampled == {cell for cell in cluster_of if cluster_of[cell] in chosen}
    assert len(chosen) == math.ceil(fraction * len(set(cluster_of.values())))


@pytest.mark.parametrize(("smaller", "larger"), [(0.1, 0.4), (0.4, 0.9), (0.9, 1.0)])
def test_a_smaller_fraction_is_a_subset_of_a_larger_fraction(smaller, larger):
    few, many = (set(names(sample(grid(20, 20), sampling={"fraction": share}))) for share in (smaller, larger))
    assert few < many


@pytest.mark.parametrize("count", [1, 17, 50, 200, 399, 400, 1000])
def test_sampling_stops_after_the_cluster_that_reaches_the_number_of_cells(count):
    cells = grid(20, 20)
    cluster_of = clusters(cells)
    sampled = names(sample(cells, sampling={"cells": count}))
    sizes = Counter(cluster_of[cell] for cell in sampled)
    assert len(sampled) >= min(count, cells.num_rows)
    assert count > cells.num_rows or len(sampled) - max(sizes.values()) < count
    all_sizes = Counter(cluster_of.values())
    assert all(size == all_sizes[key] for key, size in sizes.items())


def test_cells_outside_every_raster_are_counted():
    sampled = sample(grid(5, 5), [acquisition(size_px=(365, 240))])
    assert len(names(sampled)) == 3 * 2 and sampled.counts["outside_rasters"] == 25 - 6


def test_with_sentinel_2_other_rasters_do_not_count():
    radar = acquisition(sensor="s1", id="s1_a", size_px=(1200, 1200), cloud_pct=None)
    optical = acquisition(size_px=(240, 240))
    assert len(names(sample(grid(5, 5), [radar, optical]))) == 4
    assert len(names(sample(grid(5, 5), [radar, optical], sensors=["s1"]))) == 25


def test_cells_have_the_splits_of_their_blocks_without_the_buffer():
    cells = grid(20, 20, block_m=3600)
    recipe = recipe_of(splits={"train": 60, "val": 20, "test": 20, "block_m": 3600, "buffer_m": 1200})
    assigned = split_cells(cells, [], recipe.splits, seed=0, cell_m=1200)
    sampled = sample_cells(cells, [TILE], recipe)
    rows = list(zip(cells["cell"].to_pylist(), assigned.split, assigned.in_buffer.tolist(), strict=True))
    splits = dict(zip(names(sampled), sampled.cells["split"].to_pylist(), strict=True))
    assert splits == {cell: split for cell, split, in_buffer in rows if not in_buffer}
    assert sampled.buffered == [cell for cell, _, in_buffer in rows if in_buffer] != []


def test_cells_keep_the_split_when_the_region_grows():
    splits = {"block_m": 3600, "buffer_m": 0}
    small, large = (sample(grid(n, n, block_m=3600), splits=splits).cells.to_pylist() for n in (8, 20))
    split_of = {row["cell"]: row["split"] for row in large}
    assert all(split_of[row["cell"]] == row["split"] for row in small)


@given(st.integers(1, 60), st.integers(1, 60))
@examples(40)
def test_a_smaller_limit_is_a_subset_of_a_larger_limit_and_of_no_limit(a, b):
    smaller, larger = sorted((a, b))
    splits = {"block_m": 2400, "buffer_m": 0}
    tables = [sample(grid(7, 7, block_m=3600), limit=limit, splits=splits).cells for limit in (smaller, larger, None)]
    rows = [{row["cell"]: row for row in table.to_pylist()} for table in tables]
    assert [len(by_cell) for by_cell in rows] == [min(smaller, 49), min(larger, 49), 49]
    for few, many in ((rows[0], rows[1]), (rows[1], rows[2])):
        assert all(many[cell] == row for cell, row in few.items())


def test_every_cell_is_sampled_or_counted():
    splits = {"train": 60, "val": 20, "test": 20, "block_m": 3600}
    tile = acquisition(size_px=(2400, 2400))
    cells = grid(22, 22, block_m=3600)
    sampled = sample(cells, [tile], limit=40, sampling={"fraction": 0.6}, splits=splits)
    counts = sampled.counts
    dropped = sum(counts[name] for name in ("outside_rasters", "not_sampled", "buffer", "beyond_limit"))
    assert counts["cells"] == 22 * 22 == dropped + sampled.cells.num_rows and sampled.cells.num_rows == 40
    assert min(counts.values()) > 0


def test_an_empty_grid_gives_an_empty_sample():
    sampled = sample(CELLS.empty_table())
    assert sampled.cells.num_rows == 0 and sampled.counts["cells"] == 0
