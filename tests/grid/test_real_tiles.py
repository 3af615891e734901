import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import shape

from landmark.core.errors import InvalidCorpus
from landmark.grid.cells import cell_blocks, cell_corner, source_cells, utm_cells
from landmark.grid.majortom import majortom_names
from tests.parts import acquisition, raises

SCENE = "scene/S2A_29RKH_20200219_0_L2A"


def grids_of_35mnm(real: Path) -> dict[tuple[int, float, float, float, int], str]:
    """Every raster geometry that the items of tile 35MNM declare: (epsg, left, top, pixel, size)."""
    rasters = {}
    for item in json.loads((real / "stac/site2-2020_jun_jul-35MNM.geojson").read_text())["features"]:
        for band in ("B02", "B05", "B09"):
            step, _, left, _, _, top = item["assets"][band]["proj:transform"]
            size = item["assets"][band]["proj:shape"][0]
            rasters[item["properties"]["proj:epsg"], left, top, step, size] = item["id"]
    return rasters


def test_southern_tile_aligns_at_10_20_and_60_m(real):
    items = json.loads((real / "stac/site2-2020_jun_jul-35MNM.geojson").read_text())["features"]
    cells = utm_cells(shape(items[0]["geometry"]), cell_m=1200, block_m=24_000)
    grids = grids_of_35mnm(real)
    assert {pixel for _, _, _, pixel, _ in grids} == {10, 20, 60}
    for epsg, left, top, pixel, size in grids:
        x, y = cells["x"].to_numpy(), cells["y"].to_numpy()
        within = (cells["epsg"].to_numpy() == epsg) & (x >= left) & (x + 1200 <= left + size * pixel)
        within &= (y <= top) & (y - 1200 >= top - size * pixel)
        assert within.sum() > 7000
        for steps in ((x[within] - left) / pixel, (top - y[within]) / pixel):
            assert (steps == np.rint(steps)).all()


def test_tile_corner_is_not_a_cell_corner(real):
    assert any((10_000_000 - top) % 1200 for _, _, top, _, _ in grids_of_35mnm(real))


def header_of_29rkh(real: Path):
    with rasterio.open(real / SCENE / "B04.tif") as data:
        return acquisition(
            epsg=data.crs.to_epsg(),
            origin=(data.transform.c, data.transform.f),
            size_px=(data.width, data.height),
            pixel_m=data.transform.a,
        )


def test_the_scene_29rkh_gives_nine_by_nine_source_cells_at_100_m(real):
    scene = header_of_29rkh(real)
    world = shapely.box(-180, -90, 180, 90)
    table = source_cells([scene], world, cell_m=12_000, block_m=24_000)
    assert table.num_rows == 81 and scene.pixel_m == 100
    for name, edge in (("x", scene.origin[0]), ("y", scene.origin[1])):
        places = sorted({abs(value - edge) / 100 for value in table[name].to_pylist()})
        assert places == [120 * number for number in range(9)]


def test_source_cell_ids_are_corners_in_centimetres(real):
    scene = header_of_29rkh(real)
    table = source_cells([scene], shapely.box(-180, -90, 180, 90), cell_m=12_000, block_m=24_000)
    for row in table.to_pylist():
        assert row["cell"] == f"32629_{round(100 * row['x'])}_{round(100 * row['y'])}"


def test_rasters_with_the_same_corner_share_cells(real):
    scene, world = header_of_29rkh(real), shapely.box(-180, -90, 180, 90)
    once = source_cells([scene], world, cell_m=12_000, block_m=24_000)
    assert source_cells([scene, scene], world, cell_m=12_000, block_m=24_000).equals(once)


def test_source_cells_are_in_the_region(real):
    scene = header_of_29rkh(real)
    world = source_cells([scene], shapely.box(-180, -90, 180, 90), cell_m=12_000, block_m=24_000)
    lon = world["lon"].to_numpy()
    middle = float(np.median(lon))
    part = source_cells([scene], shapely.box(middle, -90, 180, 90), cell_m=12_000, block_m=24_000)
    assert part["cell"].to_pylist() == [
        name for name, east in zip(world["cell"].to_pylist(), lon, strict=True) if east > middle
    ]


def test_rounding_error_of_pixel_size_loses_no_cell():
    odd = acquisition(pixel_m=10 - 1e-9, size_px=(240, 120))
    assert source_cells([odd], shapely.box(-180, -90, 180, 90), cell_m=1200, block_m=1200).num_rows == 2


@pytest.mark.parametrize("sensor", ["sentinel-2-l2a", "sentinel-1-rtc"])
def test_majortom_names_equal_those_in_the_names_of_real_files(real, sensor):
    """The files' names end in row, column and the place of the patch in that cell, after the sensor and the date."""
    folders = sorted((real / "catalog" / sensor).glob("S?_*"))
    assert len(folders) == 5
    for folder in folders:
        box = shape(json.loads((folder / f"{folder.name}.json").read_text())["geometry"]).bounds
        middle = np.array([(box[0] + box[2]) / 2]), np.array([(box[1] + box[3]) / 2])
        assert majortom_names(*middle).to_pylist() == ["_".join(folder.name.split("_")[2:4])]


def test_majortom_cells_are_about_ten_kilometres():
    lat = np.linspace(-60, 60, 241)
    for each in lat:
        names = majortom_names(np.linspace(-1, 1, 2001), np.full(2001, each)).to_pylist()
        changes = [number for number, (first, second) in enumerate(pairwise(names)) if first != second]
        gaps_km = np.diff(changes) * 0.001 * 111.32 * np.cos(np.radians(each))
        assert (np.abs(gaps_km - 10) < 0.5).all() and all(name.count("_") == 1 for name in names)


def test_majortom_rows_and_columns_count_from_equator_and_greenwich():
    assert majortom_names(np.array([0.01, -0.01, 0.01]), np.array([0.01, 0.01, -0.01])).to_pylist() == [
        "0U_0R",
        "0U_1L",
        "1D_0R",
    ]


def test_rasters_offset_by_complete_cells_share_cells():
    aligned = acquisition(epsg=32632, origin=(600_000, 5_000_040), size_px=(360, 360), pixel_m=10)
    shifted = acquisition(epsg=32632, origin=(602_400, 5_000_040), size_px=(360, 360), pixel_m=10)
    table = source_cells([aligned, shifted], shapely.box(-180, -90, 180, 90), cell_m=1200, block_m=24_000)
    assert table.num_rows == len(set(table["cell"].to_pylist())) == 15
    for row in table.to_pylist():
        assert cell_corner(row["cell"], 1200) == (row["epsg"], row["x"], row["y"])
    blocks = table["block"].to_pylist()
    assert cell_blocks(table["cell"].to_pylist(), cell_m=1200, block_m=24_000) == blocks
    assert cell_corner("somewhere", 1200) is None
    with raises(InvalidCorpus, value="somewhere"):
        cell_blocks(["somewhere"], cell_m=1200, block_m=24_000)
