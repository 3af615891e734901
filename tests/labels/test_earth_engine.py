"""The export script: valid Python whose rectangles cover every planned cell in its period."""

import ast
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.region import TimeRange
from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.labels.earth_engine import export_regions, period_intervals, write_export_script

TIME = TimeRange(start=dt.date(2021, 6, 1), end=dt.date(2022, 5, 31))
# Two periods, three zones, both hemispheres; some cells in two periods.
CELLS = [
    (period, epsg, 1200.0 * (col + 500), 1200.0 * (row + top))
    for period, cols in (("2021", range(50)), ("2022", range(0, 80, 7)))
    for epsg, top in ((32632, 4200), (32633, 4200), (32734, 5200))
    for col in cols
    for row in (0, 45)
]
PLAN = pa.table(dict(zip(("period", "epsg", "x", "y"), map(list, zip(*CELLS, strict=True)), strict=True)))


def write_script(out: Path) -> int:
    return write_export_script(out, name="demo", cells=PLAN, cell_m=1200, time=TIME)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Constants of the script."""
    path = tmp_path_factory.mktemp("script") / "export.py"
    write_script(path)
    return constants(path)


def constants(script: Path) -> dict[str, Any]:
    """The script's top-level constants; parsing it proves that it is Python."""
    assignments = [node for node in ast.parse(script.read_text()).body if isinstance(node, ast.Assign)]
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in assignments
        if isinstance(node.targets[0], ast.Name)
    }


def rectangles(rows: list[list[Any]]) -> dict[tuple[str, int], Any]:
    """Per period and zone the union of the rectangles, in metres."""
    boxes: dict[tuple[str, int], list[Any]] = {}
    for period, _, epsg, left, top, width, height in rows:
        boxes.setdefault((period, epsg), []).append(shapely.box(left, top - 10 * height, left + 10 * width, top))
    return {key: shapely.union_all(zone_boxes) for key, zone_boxes in boxes.items()}


def test_exports_cover_every_planned_cell_and_period(script: dict[str, Any]) -> None:
    areas = rectangles(script["EXPORTS"])
    for period, epsg, x, y in CELLS:
        assert areas[period, epsg].covers(shapely.box(x, y - 1200, x + 1200, y))
    assert script["PERIODS"] == {
        "2021": ["2021-06-01", "2022-01-01", "20210916T000000"],
        "2022": ["2022-01-01", "2022-06-01", "20220317T120000"],
    }


def test_pixels_are_aligned_with_the_cells(script: dict[str, Any]) -> None:
    for _, _, _, left, top, width, height in script["EXPORTS"]:
        assert left % 1200 == top % 1200 == 0
        assert width % 120 == height % 120 == 0


def test_bands_are_the_taxonomys_land_cover_in_dynamic_worlds_order(script: dict[str, Any]) -> None:
    classes = load_model(Taxonomy, "taxonomies", "landmark").classes
    assert set(script["BANDS"]) == {key for key, entry in classes.items() if not entry.event}
    assert script["BANDS"][0] == "water"
    assert script["NODATA"] not in range(101)


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    counts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        counts.append(write_script(tmp_path / name / "export.py"))
    assert (tmp_path / "a/export.py").read_bytes() == (tmp_path / "b/export.py").read_bytes()
    assert counts == [len(constants(tmp_path / "a/export.py")["EXPORTS"])] * 2


def test_names_are_unique_and_accepted_by_earth_engine(script: dict[str, Any]) -> None:
    names = [f"{script['PERIODS'][period][2]}_{region}" for period, region, *_ in script["EXPORTS"]]
    assert len(set(names)) == len(names)
    assert all(dt.datetime.strptime(name.split("_")[0], "%Y%m%dT%H%M%S") for name in names)
    assert all(len(name) <= 100 and set(name) <= set("abcdefghijklmnopqrstuvwxyzT0123456789_-") for name in names)


@given(
    cells=st.lists(st.tuples(st.integers(100, 700), st.integers(-4000, 4000)), min_size=1, max_size=30),
    edge_px=st.sampled_from([120, 90, 240]),
)
def test_rectangles_cover_all_cells_of_any_size(cells: list[tuple[int, int]], edge_px: int) -> None:
    edge_m = 10.0 * edge_px
    table = pa.table(
        {
            "period": ["2021"] * len(cells),
            "epsg": [32633] * len(cells),
            "x": [col * edge_m for col, _ in cells],
            "y": [(row + 1) * edge_m for _, row in cells],
        }
    )
    regions = export_regions(table, cell_m=edge_m)
    area = rectangles([list(region) for region in regions])["2021", 32633]
    for col, row in cells:
        assert area.covers(shapely.box(col * edge_m, row * edge_m, (col + 1) * edge_m, (row + 1) * edge_m))
    assert all(region.width <= 4800 + edge_px and region.height <= 4800 + edge_px for region in regions)


def test_periods_are_cut_to_the_recipes_time_range() -> None:
    time = TimeRange(start=dt.date(2021, 6, 10), end=dt.date(2021, 12, 20), period="month")
    intervals = period_intervals(["2021-06", "2021-07", "2021-12"], time)
    assert [interval[:2] for interval in intervals.values()] == [
        ("2021-06-10", "2021-07-01"),
        ("2021-07-01", "2021-08-01"),
        ("2021-12-01", "2021-12-21"),
    ]


@pytest.mark.parametrize("name", ["", "missing/export.py"])
def test_a_folder_and_a_file_in_a_missing_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_script(tmp_path / name)
    assert (caught.value.file, caught.value.value) == ("--out", str(tmp_path / name))
