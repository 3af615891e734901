import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.profiles import load_sensor
from landmark.domain.acquisition import Item
from landmark.domain.schemas import CLOUD_STATS
from landmark.labels.cloud_stats import MaskConfig, cloud_stat_tasks, measure_mask
from tests.parts import acquisition, cell_table, examples
from tests.raster.rasters import corrupt_block, write_raster

MASK = load_sensor("s2").mask
LEFT, TOP = 600_000.0, 5_040_000.0
CELLS = cell_table(32632, [(LEFT + 1200 * col, TOP - 1200 * row) for row in range(3) for col in range(3)])


def task_of(folder, *masks, rows=range(9)):
    items = []
    for number, mask in enumerate(masks):
        write_raster(folder / f"{number}.tif", mask, pixel_m=20.0, origin=(LEFT, TOP))
        items.append(Item(f"i{number}", {"SCL": f"{number}.tif"}, ""))
    image = acquisition(items=tuple(items))
    shortlist = {image.id: np.array(list(rows))}
    (task,) = cloud_stat_tasks(shortlist, {image.id: image}, CELLS, MaskConfig(MASK, 1200, f"{folder}/"))
    return task


def pixels_by_class(table):
    return {(row["cell"], row["code"]): row["pixels"] for row in table.to_pylist()}


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 8), min_size=1))
@examples(15)
def test_classes_are_counted_per_cell(tmp_path_factory, seed, rows):
    mask = np.random.default_rng(seed).integers(0, 12, (180, 180), dtype="uint8")
    table = measure_mask(task_of(tmp_path_factory.mktemp("clear"), mask, rows=sorted(rows)))
    expected = {}
    for number in rows:
        part = mask[number // 3 * 60 :, number % 3 * 60 :][:60, :60]
        for code in np.unique(part).tolist():
            expected[CELLS["cell"][number].as_py(), code] = int((part == code).sum())
    assert table.schema == CLOUD_STATS and pixels_by_class(table) == expected
    assert table.equals(table.sort_by([("cell", "ascending"), ("code", "ascending")]))


def test_the_masks_of_a_split_granule_are_combined(tmp_path):
    left, right = np.full((180, 180), 4, "uint8"), np.full((180, 180), 9, "uint8")
    left[:, 90:], right[:, :60] = 0, 0
    pixels = pixels_by_class(measure_mask(task_of(tmp_path, left, right, rows=[1])))
    assert pixels == {(CELLS["cell"][1].as_py(), 4): 60 * 30, (CELLS["cell"][1].as_py(), 9): 60 * 30}


@pytest.mark.parametrize("fault", ["missing", "damaged block"])
def test_cells_with_an_unreadable_mask_are_left_out(tmp_path, fault):
    task = task_of(tmp_path, np.full((180, 180), 4, "uint8"))
    if fault == "missing":
        (tmp_path / "0.tif").unlink()
        assert measure_mask(task).num_rows == 0
    else:
        corrupt_block(tmp_path / "0.tif", 0, 0)
        damaged = {CELLS["cell"][number].as_py() for number in (0, 1, 3, 4)}
        assert {cell for cell, _ in pixels_by_class(measure_mask(task))} == set(CELLS["cell"].to_pylist()) - damaged


def test_cells_outside_the_mask_are_left_out(tmp_path):
    table = measure_mask(task_of(tmp_path, np.full((179, 180), 4, "uint8")))
    assert {row["cell"] for row in table.to_pylist()} == set(CELLS["cell"].to_pylist()[:6])
