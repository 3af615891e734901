from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.profiles import Provider
from landmark.core.yaml_files import load_model
from landmark.plan.candidates import find_candidates
from landmark.plan.choose import LabelFacts, choose_samples
from landmark.plan.estimate import estimate_plan
from landmark.plan.sample import sample_cells
from tests.parts import examples, recipe_of
from tests.plan.scenes import SENSORS, grid, optical, radar

PROVIDER = load_model(Provider, "profiles/providers", "planetary-computer")


def naive_blocks(corners, size, block):
    return {
        (block_row, block_col)
        for row, col in corners
        for block_row in range(row // block, (row + size - 1) // block + 1)
        for block_col in range(col // block, (col + size - 1) // block + 1)
    }


def naive_requests(blocks, max_blocks):
    """Requests for blocks in order, block by block."""
    requests, last, length = 0, None, 0
    for row, col in blocks:
        if last != (row, col - 1) or length == max_blocks:
            requests, length = requests + 1, 0
        last, length = (row, col), length + 1
    return requests


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([64, 100, 512]), st.sampled_from([1, 2]))
@examples(25)
def test_the_estimate_counts_the_blocks_under_the_chips(width, height, block_px, items):
    archive, cells = [replace(optical(0), items=optical(0).items * items), radar(0)], grid(width, height)
    recipe = recipe_of(splits={"block_m": 2400, "buffer_m": 0})
    sensors = {name: value.model_copy(update={"block_px": block_px}) for name, value in PROVIDER.sensors.items()}
    provider = PROVIDER.model_copy(update={"sensors": sensors})
    sampled = sample_cells(cells, archive, recipe)
    candidates = find_candidates(sampled.cells, archive, recipe, SENSORS)
    plan = choose_samples(sampled, candidates, recipe, SENSORS, LabelFacts()).plan
    cost = estimate_plan(plan, {item.id: item for item in archive}, recipe, provider=provider, sensors=SENSORS)
    requests, fetched, chip_bytes = 0, 0.0, 0.0
    for item in archive:
        rows = [row for row in plan.to_pylist() if row["acquisition"] == item.id]
        layers = [(group.factor, len(group.bands)) for group in SENSORS[item.sensor].groups]
        for factor, bands in layers + ([(2, 1)] if item.sensor == "s2" else []):
            corners = [
                (round((item.origin[1] - row["y"]) / 10) // factor, round((row["x"] - item.origin[0]) / 10) // factor)
                for row in rows
            ]
            blocks = naive_blocks(corners, 120 // factor, block_px)
            size = provider.sensors[item.sensor].bytes_per_px
            rasters = bands * len(item.items)
            requests += (1 + naive_requests(sorted(blocks), 2**22 // (block_px**2 * size))) * rasters
            fetched += len(blocks) * rasters * block_px**2 * size
            chip_bytes += bands * len(rows) * (120 // factor) ** 2 * size
    assert (cost.samples, cost.acquisitions, cost.requests) == (plan.num_rows, 2, requests)
    assert cost.fetched_bytes == pytest.approx(fetched, abs=1)
    assert cost.amplification == pytest.approx(fetched / chip_bytes)
    assert cost.staging_bytes > cost.corpus_bytes > 0
