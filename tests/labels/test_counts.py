import csv
import datetime as dt
from collections import Counter
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.transform import rowcol
from rasterio.windows import Window

from landmark.config.recipe import load_recipe
from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from landmark.domain.acquisition import LabelRaster
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.grid.cells import utm_cells
from landmark.labels.counts import CountConfig, CountTask, count_tasks, measure_counts, merge
from landmark.labels.editions import LabelSource, Period
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import search
from tests.extract.scenes import PROVIDER
from tests.parts import cell_table, examples, recipe_of
from tests.raster.rasters import write_raster

WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
EUROPE = shapely.box(11.93, 45.44, 12.03, 45.47)
SOUTH = shapely.box(20.98, -33.92, 21.04, -33.88)
CELL = cell_table(32632, [(600_000, 5_040_000)])


def edition_of(year=2021, name="worldcover"):
    return LabelEdition(
        name, "1", dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    )


def crosswalk(codes, name="worldcover", nodata=(0,)):
    classes = {code: {"key": f"c{code}", "name": str(code), "to": "trees"} for code in codes}
    return Crosswalk.model_validate(
        {"name": name, "title": name, "target": "landmark", "asset": "map", "nodata": nodata, "licence": "x",
         "attribution": "x", "classes": classes}
    )  # fmt: skip


def label_raster(path, edition=None):
    """A label raster with the Earth as its footprint."""
    return LabelRaster(edition or edition_of(), path.stem, str(path), path.name, "", shapely.box(-180, -90, 180, 90))


def year(number):
    """A full year."""
    return Period(str(number), *recipe_of(time={"start": "2000-01-01", "end": "2030-12-31"}).time.span(str(number)))


def task_of(cells, rasters, *, crosswalks=(WORLDCOVER,), years=(2021,), cell_m=1200, patch_px=120, **options):
    sources = tuple(LabelSource(crosswalk, **options) for crosswalk in crosswalks)
    config = CountConfig(cell_m, patch_px, sources, tuple(year(number) for number in years))
    return CountTask(cells, config, tuple(rasters))


def measure(*tasks):
    """The merged label counts of tasks."""
    return merge(tasks[0].config.sources, [measure_counts(task) for task in tasks]).table


def world_rasters(world, recipe):
    catalog = open_catalog(str(world))
    return search(catalog, load_recipe(str(recipe())), provider=PROVIDER, crosswalks=(WORLDCOVER,)).labels


def histogram(table, cell, period="2021"):
    rows = [row for row in table.to_pylist() if (row["cell"], row["period"]) == (cell, period)]
    assert len({tuple(row["codes"]) for row in rows}) == len(rows)
    return {tuple(row["codes"]): row["pixels"] for row in rows}


def expected_histogram(row, path, *, patch_px=120, pixel_m=10):
    """Count pixels one by one: the raster's pixel at each centre; 0 and the outside are -1."""
    with rasterio.open(path) as data:
        values, to_raster = data.read(1), Transformer.from_crs(row["epsg"], data.crs, always_xy=True)
        counts = Counter()
        for down in range(patch_px):
            x = [row["x"] + (along + 0.5) * pixel_m for along in range(patch_px)]
            lon, lat = to_raster.transform(x, [row["y"] - (down + 0.5) * pixel_m] * patch_px)
            for r, c in zip(*rowcol(data.transform, lon, lat), strict=True):
                inside = 0 <= r < data.height and 0 <= c < data.width
                code = int(values[int(r), int(c)]) if inside else 0
                counts[(code if code else -1,)] += 1
    return dict(counts)


@pytest.mark.parametrize(("region", "tile"), [(EUROPE, "N45E009"), (SOUTH, "S36E021")])
def test_label_counts_of_the_small_world_equal_a_naive_lookup(world, recipe, region, tile):
    cells = utm_cells(region, cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    for epsg in sorted(set(cells["epsg"].to_pylist())):
        zone = cells.filter(pa.compute.equal(cells["epsg"], epsg))
        table = measure(task_of(zone, rasters))
        path = next(raster.href for raster in rasters if tile in raster.href)
        for row in zone.to_pylist()[:5]:
            assert histogram(table, row["cell"]) == expected_histogram(row, path)


def test_label_counts_equal_rasterios_samples(world, recipe):
    (row,) = utm_cells(SOUTH, cell_m=1200, block_m=24_000).slice(3, 1).to_pylist()
    rasters = world_rasters(world, recipe)
    table = measure(
        task_of(pa.Table.from_pylist([row], schema=utm_cells(SOUTH, cell_m=1200, block_m=1).schema), rasters)
    )
    east, south = (np.arange(120) * 10 + 5 for _ in range(2))
    x, y = (axis.ravel() for axis in np.meshgrid(row["x"] + east, row["y"] - south))
    with rasterio.open(next(raster.href for raster in rasters if "S36" in raster.href)) as data:
        points = zip(*Transformer.from_crs(row["epsg"], 4326, always_xy=True).transform(x, y), strict=True)
        sampled = Counter((int(value[0]) or -1,) for value in data.sample(points))
    assert histogram(table, row["cell"]) == dict(sampled) and len(sampled) > 1


def test_the_counts_of_a_cell_and_period_sum_to_all_pixels(world, recipe):
    cells = utm_cells(SOUTH, cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    table = measure(task_of(cells, rasters, years=(2020, 2021)))
    sums = table.group_by(["cell", "period"]).aggregate([("pixels", "sum")])
    assert sums.num_rows == 2 * cells.num_rows and set(sums["pixels_sum"].to_pylist()) == {14_400}
    assert table.schema.equals(label_counts_schema(["worldcover"]), check_metadata=True)
    assert table.equals(table.sort_by([("cell", "ascending"), ("period", "ascending")]))


@given(st.integers(-1500, 1500), st.integers(-1500, 1500), st.integers(0, 2**32 - 1))
@examples(20)
def test_pixels_outside_the_raster_have_no_code(tmp_path_factory, right, down, seed):
    path = tmp_path_factory.mktemp("labels") / "a.tif"
    codes = np.random.default_rng(seed).choice(np.array([0, 10, 20, 80], "uint8"), (120, 120))
    write_raster(path, codes)
    cells = cell_table(32632, [(600_000 + right, 5_040_000 - down)])
    (row,) = cells.to_pylist()
    assert histogram(measure(task_of(cells, [label_raster(path)])), row["cell"]) == expected_histogram(row, path)


def test_a_cell_without_rasters_has_no_codes():
    table = measure(task_of(CELL, []))
    assert histogram(table, CELL["cell"][0].as_py()) == {(-1,): 14_400}


def test_coarse_label_pixels_are_sampled_by_nearest_neighbour(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.arange(1, 17, dtype="uint8").reshape(4, 4), pixel_m=300)
    table = measure(task_of(CELL, [label_raster(path)], crosswalks=[crosswalk(range(1, 17))]))
    assert histogram(table, CELL["cell"][0].as_py()) == {(code,): 900 for code in range(1, 17)}


# -- several rasters, editions and sources -----------------------------------------------------------------------------


def quarters(tmp_path, name, codes, **options):
    """A raster of one cell whose four quarters have the given codes."""
    values = np.repeat(np.repeat(np.array(codes, "uint8").reshape(2, 2), 60, axis=0), 60, axis=1)
    return write_raster(tmp_path / f"{name}.tif", values, **options)


def test_the_first_of_two_overlapping_rasters_wins(tmp_path):
    first = quarters(tmp_path, "a", [10, 10, 10, 10])
    second = quarters(tmp_path, "b", [20, 20, 20, 20], origin=(600_600.0, 5_040_000.0))
    cells = cell_table(32632, [(600_600, 5_040_000)])
    table = measure(task_of(cells, [label_raster(first), label_raster(second)]))
    assert histogram(table, cells["cell"][0].as_py()) == {(10,): 7200, (20,): 7200}


def test_nodata_of_the_first_raster_is_filled_from_the_second(tmp_path):
    first, second = quarters(tmp_path, "a", [10, 0, 0, 0]), quarters(tmp_path, "b", [20, 20, 20, 0])
    table = measure(task_of(CELL, [label_raster(first), label_raster(second)]))
    assert histogram(table, CELL["cell"][0].as_py()) == {(10,): 3600, (20,): 7200, (-1,): 3600}


def test_codes_of_several_sources_are_counted_jointly(tmp_path):
    first, second = quarters(tmp_path, "a", [10, 10, 20, 0]), quarters(tmp_path, "b", [1, 2, 2, 2])
    sources = [WORLDCOVER, crosswalk([1, 2], name="other")]
    rasters = [label_raster(second, edition_of(name="other")), label_raster(first)]
    table = measure(task_of(CELL, rasters, crosswalks=sources))
    assert histogram(table, CELL["cell"][0].as_py()) == {(10, 1): 3600, (10, 2): 3600, (20, 2): 3600, (-1, 2): 3600}
    assert table.schema.metadata == {b"sources": b'["worldcover", "other"]'}


def test_each_period_uses_the_nearest_edition(tmp_path):
    rasters = [
        label_raster(quarters(tmp_path, f"y{year}", [code] * 4), edition_of(year))
        for year, code in ((2020, 10), (2021, 20))
    ]
    table = measure(task_of(CELL, rasters, years=(2019, 2020, 2021, 2022)))
    rows = {row["period"]: (row["codes"], row["editions"]) for row in table.to_pylist()}
    old, new = ([10], [0]), ([20], [1])
    assert rows == {"2019": old, "2020": old, "2021": new, "2022": new}


def test_gaps_are_full_days_to_the_interval():
    edition = edition_of(2021)
    days = [
        (dt.datetime(2021, 7, 1, tzinfo=dt.UTC), 0),
        (dt.datetime(2020, 12, 31, tzinfo=dt.UTC), 1),
        (dt.datetime(2020, 12, 22, tzinfo=dt.UTC), 10),
        (dt.datetime(2022, 1, 11, tzinfo=dt.UTC), 10),
    ]
    assert [edition.gap_days(time) for time, _ in days] == [gap for _, gap in days]


# -- batches -----------------------------------------------------------------------------------------------------------


def test_batching_does_not_change_the_counts(world, recipe):
    cells = utm_cells(shapely.box(11.9, 45.43, 12.1, 45.47), cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    batches = list(count_tasks(cells, rasters, CountConfig(1200, 120, (LabelSource(WORLDCOVER),), (year(2021),))))
    single_cells = [task_of(cells.slice(row, 1), rasters) for row in range(cells.num_rows)]
    assert len(batches) > 1 and measure(*batches).equals(measure(*reversed(single_cells)))


def test_batches_contain_every_cell_once_and_a_single_crs():
    cells = utm_cells(shapely.box(11.7, 45.3, 12.3, 45.6), cell_m=1200, block_m=24_000)
    batches = list(count_tasks(cells, [], CountConfig(1200, 120, (), ())))
    assert sorted(name for batch in batches for name in batch.cells["cell"].to_pylist()) == cells["cell"].to_pylist()
    for batch in batches:
        assert len(set(batch.cells["epsg"].to_pylist())) == 1 and batch.cells.num_rows <= 100


def test_sparse_cells_share_a_batch_with_those_around_them():
    cells = utm_cells(shapely.box(11.7, 45.3, 12.3, 45.6), cell_m=1200, block_m=24_000)
    config = CountConfig(1200, 120, (), ())
    dense = list(count_tasks(cells, [], config))
    sparse = list(count_tasks(cells.take(list(range(0, cells.num_rows, 16))), [], config))
    assert len(sparse) <= len(dense) / 2
    assert max(batch.cells.num_rows for batch in sparse) <= 100


def test_batches_have_every_raster_that_intersects_their_cells():
    cells = utm_cells(shapely.box(11.7, 45.3, 12.3, 45.6), cell_m=1200, block_m=24_000)
    tiles = [
        LabelRaster(edition_of(), f"{x}", "", "", "", shapely.box(x / 10, 45, (x + 1) / 10, 46))
        for x in range(110, 130)
    ]
    for batch in count_tasks(cells, tiles, CountConfig(1200, 120, (), ())):
        for row in batch.cells.to_pylist():
            to_degrees = Transformer.from_crs(row["epsg"], 4326, always_xy=True)
            corners = [to_degrees.transform(row["x"] + a, row["y"] - b) for a in (0, 1200) for b in (0, 1200)]
            envelope = shapely.MultiPoint(corners).envelope
            intersecting = {tile.item_id for tile in tiles if tile.footprint.intersects(envelope)}
            assert intersecting <= {raster.item_id for raster in batch.rasters}


# -- invalid maps ------------------------------------------------------------------------------------------------------


def damage_block(path):
    with rasterio.open(path) as data:
        start = int(data.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xa5" * 20
    path.write_bytes(content)


@pytest.mark.parametrize("fault", [Path.unlink, lambda path: path.write_bytes(b"<html>403</html>"), damage_block])
def test_unreadable_rasters_are_refused(tmp_path, fault):
    path = quarters(tmp_path, "a", [10, 20, 30, 40])
    fault(path)
    with pytest.raises(InputError) as caught:
        measure(task_of(CELL, [label_raster(path)]))
    assert caught.value.file == str(path)


@pytest.mark.parametrize(("codes", "options", "value"), [([10] * 4, {"crs": None}, None), ([10, 11, 20, 10], {}, 11)])
def test_rasters_without_crs_or_with_unknown_codes_are_refused(tmp_path, codes, options, value):
    path = quarters(tmp_path, "a", codes, **options)
    with pytest.raises(InputError) as caught:
        measure(task_of(CELL, [label_raster(path)]))
    assert (caught.value.file, caught.value.value) == (str(path), value)


# -- real CORINE -------------------------------------------------------------------------------------------------------


def test_corine_with_swapped_axes_equals_the_rasterized_polygons(real):
    """Cells are on the raster's 25 m grid, at whose pixel centres the polygons are rasterized."""
    path, polygons = real / "landcover/clc.tif", geopandas.read_file(real / "landcover/clc.gpkg", layer="clc")
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        codes = [int(row["CLC_CODE"]) for row in csv.DictReader(file, delimiter=";") if row["LABEL1"].strip()]
    with rasterio.open(path) as data:
        left, top, transform, shape = data.transform.c, data.transform.f, data.transform, data.shape
    shapes = zip(polygons.geometry, polygons["CODE_18"].astype(int), strict=True)
    rasterized = rasterize(shapes, shape, fill=-1, transform=transform, dtype="int32")
    corners = [(left + 3000 * x, top - 3000 * y) for y in range(shape[0] // 120) for x in range(shape[1] // 120)]
    cells = cell_table(32630, corners, cell_m=3000)
    legend = crosswalk([code for code in codes if 111 <= code <= 523], nodata=(-1,))
    table = measure(task_of(cells, [label_raster(path)], crosswalks=[legend], cell_m=3000))
    checked = 0
    for name, (x, y) in zip(cells["cell"].to_pylist(), corners, strict=True):
        part = Window(round((x - left) / 25), round((top - y) / 25), 120, 120)
        expected = rasterized[part.toslices()]
        assert histogram(table, name) == {(int(code),): int(count) for code, count in Counter(expected.ravel()).items()}
        checked += int((expected >= 0).sum())
    assert checked > 100_000
