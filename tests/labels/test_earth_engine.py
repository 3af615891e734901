"""The export script: it is Python, its rectangles hold every planned cell, and its periods are the plan's."""

import ast
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.recipe import load_recipe
from landmark.config.region import TimeRange
from landmark.core.errors import InputError, InvalidCorpus
from landmark.core.executor import ExecutorConfig
from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.labels.earth_engine import export_regions, export_script, period_spans
from landmark.workflow.build import BuildRequest, plan_corpus
from landmark.workflow.lock import Planned, read_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planned")


@pytest.fixture
def planned(folder: Path, recipe: Callable[..., Path]) -> tuple[Path, Planned]:
    """A corpus folder with a plan of two periods and three zones."""
    corpus = folder / "corpus"
    return corpus, read_plan(corpus) or plan_corpus(BuildRequest(load_recipe(str(recipe())), corpus, ExecutorConfig()))[0]


def constants(script: Path) -> dict[str, Any]:
    """The script's top-level constants; parsing it proves that it is Python."""
    tree = ast.parse(script.read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {
        node.targets[0].id: ast.literal_eval(node.value) for node in assigned if isinstance(node.targets[0], ast.Name)
    }


def rectangles(rows: list[list[Any]]) -> dict[tuple[str, int], Any]:
    """Per period and zone the union of the rectangles, in metres."""
    found: dict[tuple[str, int], list[Any]] = {}
    for period, _, epsg, left, top, width, height in rows:
        found.setdefault((period, epsg), []).append(shapely.box(left, top - 10 * height, left + 10 * width, top))
    return {key: shapely.union_all(boxes) for key, boxes in found.items()}


def test_the_exports_hold_every_planned_cell_in_its_period(planned: tuple[Path, Planned], tmp_path: Path) -> None:
    corpus, made = planned
    count = export_script(corpus, tmp_path / "export.py")
    said = constants(tmp_path / "export.py")
    assert len(said["EXPORTS"]) == count
    held = rectangles(said["EXPORTS"])
    rows = made.plan.to_pylist()
    assert len({row["epsg"] for row in rows}) > 1
    for row in rows:
        cell = shapely.box(row["x"], row["y"] - 1200, row["x"] + 1200, row["y"])
        assert held[row["period"], row["epsg"]].covers(cell), row["cell"]
    assert set(said["PERIODS"]) == {row["period"] for row in rows} == {"2021", "2022"}
    assert said["PERIODS"]["2021"] == ["2021-06-01", "2022-01-01", "20210916T000000"]
    assert said["PERIODS"]["2022"] == ["2022-01-01", "2022-06-01", "20220317T120000"]


def test_pixels_stand_on_the_cells_grid(planned: tuple[Path, Planned], tmp_path: Path) -> None:
    export_script(planned[0], tmp_path / "export.py")
    for _, _, _, left, top, width, height in constants(tmp_path / "export.py")["EXPORTS"]:
        assert left % 1200 == 0
        assert (top - (10_000_000 if top > 5_500_000 else 0)) % 1200 == 0
        assert width % 120 == height % 120 == 0


def test_bands_are_the_taxonomys_land_cover_in_dynamic_worlds_order(
    planned: tuple[Path, Planned], tmp_path: Path
) -> None:
    export_script(planned[0], tmp_path / "export.py")
    said = constants(tmp_path / "export.py")
    land_cover = {key for key, entry in load_model(Taxonomy, "taxonomies", "landmark").classes.items() if not entry.event}
    assert set(said["BANDS"]) == land_cover
    assert said["BANDS"][0] == "water"
    assert said["NODATA"] not in range(101)


def test_the_same_plan_gives_the_same_bytes(planned: tuple[Path, Planned], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_script(planned[0], tmp_path / name / "export.py")
    assert (tmp_path / "a/export.py").read_bytes() == (tmp_path / "b/export.py").read_bytes()


def test_names_are_fit_for_earth_engine_and_told_apart(planned: tuple[Path, Planned], tmp_path: Path) -> None:
    export_script(planned[0], tmp_path / "export.py")
    said = constants(tmp_path / "export.py")
    names = [f"{said['PERIODS'][period][2]}_{region}" for period, region, *_ in said["EXPORTS"]]
    assert len(set(names)) == len(names)
    assert all(dt.datetime.strptime(name.split("_")[0], "%Y%m%dT%H%M%S") for name in names)
    assert all(len(name) <= 100 and set(name) <= set("abcdefghijklmnopqrstuvwxyzT0123456789_-") for name in names)


@given(
    cells=st.lists(st.tuples(st.integers(100, 700), st.integers(-4000, 4000)), min_size=1, max_size=30),
    edge_px=st.sampled_from([120, 90, 240]),
)
def test_rectangles_hold_all_cells_whatever_their_size(cells: list[tuple[int, int]], edge_px: int) -> None:
    edge = 10.0 * edge_px
    table = pa.table(
        {
            "period": ["2021"] * len(cells),
            "epsg": [32633] * len(cells),
            "x": [col * edge for col, _ in cells],
            "y": [(row + 1) * edge for _, row in cells],
        }
    )
    regions = export_regions(table, cell_m=edge)
    held = rectangles([list(region) for region in regions])["2021", 32633]
    for col, row in cells:
        assert held.covers(shapely.box(col * edge, row * edge, (col + 1) * edge, (row + 1) * edge))
    assert all(region.width <= 4800 + edge_px and region.height <= 4800 + edge_px for region in regions)


def test_periods_are_cut_at_the_recipes_time() -> None:
    time = TimeRange(start=dt.date(2021, 6, 10), end=dt.date(2021, 12, 20), period="month")
    spans = period_spans(["2021-06", "2021-07", "2021-12"], time)
    assert [span[:2] for span in spans.values()] == [
        ("2021-06-10", "2021-07-01"),
        ("2021-07-01", "2021-08-01"),
        ("2021-12-01", "2021-12-21"),
    ]


def test_a_folder_without_a_plan_and_an_out_nowhere_are_refused(planned: tuple[Path, Planned], tmp_path: Path) -> None:
    with pytest.raises(InvalidCorpus, match="landmark plan"):
        export_script(tmp_path, tmp_path / "export.py")
    with pytest.raises(InputError, match="there is no folder"):
        export_script(planned[0], tmp_path / "nowhere" / "export.py")
