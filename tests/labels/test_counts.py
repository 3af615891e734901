import csv
import datetime as dt
from collections import Counter

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
from landmark.labels.counts import CountTask, count_tasks, merge, measure_counts
from landmark.labels.editions import Period, LabelSource
from landmark.stac.open_catalog import open_document
from landmark.stac.search import search
from tests.extract.scenes import PROVIDER
from tests.parts import cell_table, examples, recipe_of
from tests.raster.rasters import write_raster

WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
EUROPE = shapely.box(11.93, 45.44, 12.03, 45.47)
SOUTH = shapely.box(20.98, -33.92, 21.04, -33.88)


def vintage(year=2021, name="worldcover"):
    return LabelEdition(
        name, "1", dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    )


def crosswalk(codes, name="worldcover", nodata=(0,)):
    classes = {code: {"key": f"c{code}", "name": str(code), "to": "trees"} for code in codes}
    return Crosswalk.model_validate(
        {"name": name, "title": name, "target": "landmark", "asset": "map", "nodata": nodata, "licence": "x",
         "attribution": "x", "classes": classes}
    )  # fmt: skip


def labelled(path, edition=None):
    """A class raster as the catalogue hands it on, with a footprint that meets everything."""
    edition = edition or vintage()
    return LabelRaster(edition, path.stem, str(path), path.name, "", shapely.box(-180, -90, 180, 90))


def year(number):
    """The whole of a year."""
    return Period(str(number), *recipe_of(time={"start": "2000-01-01", "end": "2030-12-31"}).time.span(str(number)))


def unit(cells, rasters, *, crosswalks=(WORLDCOVER,), years=(2021,), cell_m=1200, patch_px=120, **options):
    sources = tuple(LabelSource(each, **options) for each in crosswalks)
    return CountTask(cells, cell_m, patch_px, sources, tuple(year(each) for each in years), tuple(rasters))


def table_of(*units_asked):
    """The cover table of units, put together."""
    return merge(units_asked[0].sources, [measure_counts(each) for each in units_asked]).table


def world_rasters(world, recipe):
    asked = load_recipe(str(recipe()))
    found = search(open_document(str(world)), asked, provider=PROVIDER, crosswalks=(WORLDCOVER,))
    return found.labels


def histogram(table, cell, period="2021"):
    rows = [row for row in table.to_pylist() if (row["cell"], row["period"]) == (cell, period)]
    assert len({tuple(row["codes"]) for row in rows}) == len(rows)
    return {tuple(row["codes"]): row["pixels"] for row in rows}


def expected_histogram(row, path, *, patch_px=120, pixel_m=10):
    """Each pixel on its own: its centre in the raster's CRS, the raster's pixel there, 0 and the outside as -1."""
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
def test_the_cover_of_the_small_world_equals_a_lookup_pixel_by_pixel(world, recipe, region, tile):
    cells = utm_cells(region, cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    for epsg in sorted(set(cells["epsg"].to_pylist())):
        mine = cells.filter(pa.compute.equal(cells["epsg"], epsg))
        table = table_of(unit(mine, rasters))
        path = next(raster.href for raster in rasters if tile in raster.href)
        for row in mine.to_pylist()[:5]:
            assert histogram(table, row["cell"]) == expected_histogram(row, path)


def test_the_cover_equals_what_rasterio_samples(world, recipe):
    (row,) = utm_cells(SOUTH, cell_m=1200, block_m=24_000).slice(3, 1).to_pylist()
    rasters = world_rasters(world, recipe)
    table = table_of(unit(pa.Table.from_pylist([row], schema=utm_cells(SOUTH, cell_m=1200, block_m=1).schema), rasters))
    east, south = (np.arange(120) * 10 + 5 for _ in range(2))
    x, y = (axis.ravel() for axis in np.meshgrid(row["x"] + east, row["y"] - south))
    with rasterio.open(next(raster.href for raster in rasters if "S36" in raster.href)) as data:
        points = zip(*Transformer.from_crs(row["epsg"], 4326, always_xy=True).transform(x, y), strict=True)
        sampled = Counter((int(value[0]) or -1,) for value in data.sample(points))
    assert histogram(table, row["cell"]) == dict(sampled) and len(sampled) > 1


def test_every_cell_and_period_counts_all_its_pixels(world, recipe):
    cells = utm_cells(SOUTH, cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    table = table_of(unit(cells, rasters, years=(2020, 2021)))
    sums = table.group_by(["cell", "period"]).aggregate([("pixels", "sum")])
    assert sums.num_rows == 2 * cells.num_rows and set(sums["pixels_sum"].to_pylist()) == {14_400}
    assert table.schema.equals(label_counts_schema(["worldcover"]), check_metadata=True)
    assert table.equals(table.sort_by([("cell", "ascending"), ("period", "ascending")]))


@given(st.integers(-1500, 1500), st.integers(-1500, 1500), st.integers(0, 2**32 - 1))
@examples(20)
def test_a_cell_over_the_edge_has_minus_one_outside_the_raster(tmp_path_factory, right, down, seed):
    path = tmp_path_factory.mktemp("labels") / "a.tif"
    codes = np.random.default_rng(seed).choice(np.array([0, 10, 20, 80], "uint8"), (120, 120))
    write_raster(path, codes)
    cells = cell_table(32632, [(600_000 + right, 5_040_000 - down)])
    (row,) = cells.to_pylist()
    assert histogram(table_of(unit(cells, [labelled(path)])), row["cell"]) == expected_histogram(row, path)


def test_a_cell_that_no_raster_meets_is_all_minus_one():
    cells = cell_table(32632, [(600_000, 5_040_000)])
    table = table_of(unit(cells, []))
    assert histogram(table, cells["cell"][0].as_py()) == {(-1,): 14_400}


def test_a_label_pixel_coarser_than_the_cells_is_the_nearest_one(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.arange(1, 17, dtype="uint8").reshape(4, 4), pixel_m=300)
    cells = cell_table(32632, [(600_000, 5_040_000)])
    table = table_of(unit(cells, [labelled(path)], crosswalks=[crosswalk(range(1, 17))]))
    assert histogram(table, cells["cell"][0].as_py()) == {(code,): 900 for code in range(1, 17)}


# -- several rasters, editions and sources -----------------------------------------------------------------------------


def quarters(tmp_path, name, codes, **options):
    """A raster of one cell whose four quarters have the given codes."""
    values = np.repeat(np.repeat(np.array(codes, "uint8").reshape(2, 2), 60, axis=0), 60, axis=1)
    return write_raster(tmp_path / f"{name}.tif", values, **options)


def test_of_two_rasters_of_an_edition_the_earlier_wins_where_they_overlap(tmp_path):
    one = quarters(tmp_path, "a", [10, 10, 10, 10])
    other = quarters(tmp_path, "b", [20, 20, 20, 20], origin=(600_600.0, 5_040_000.0))
    cells = cell_table(32632, [(600_600, 5_040_000)])
    table = table_of(unit(cells, [labelled(one), labelled(other)]))
    assert histogram(table, cells["cell"][0].as_py()) == {(10,): 7200, (20,): 7200}


def test_no_data_of_the_earlier_raster_does_not_hide_a_class_of_the_later(tmp_path):
    one, other = quarters(tmp_path, "a", [10, 0, 0, 0]), quarters(tmp_path, "b", [20, 20, 20, 0])
    cells = cell_table(32632, [(600_000, 5_040_000)])
    table = table_of(unit(cells, [labelled(one), labelled(other)]))
    assert histogram(table, cells["cell"][0].as_py()) == {(10,): 3600, (20,): 7200, (-1,): 3600}


def test_codes_of_several_sources_are_counted_together_in_their_order(tmp_path):
    one, other = quarters(tmp_path, "a", [10, 10, 20, 0]), quarters(tmp_path, "b", [1, 2, 2, 2])
    cells = cell_table(32632, [(600_000, 5_040_000)])
    sources = [WORLDCOVER, crosswalk([1, 2], name="other")]
    rasters = [labelled(other, vintage(name="other")), labelled(one)]
    table = table_of(unit(cells, rasters, crosswalks=sources))
    assert histogram(table, cells["cell"][0].as_py()) == {(10, 1): 3600, (10, 2): 3600, (20, 2): 3600, (-1, 2): 3600}
    assert table.schema.metadata == {b"sources": b'["worldcover", "other"]'}


def test_each_period_reads_the_edition_that_serves_it(tmp_path):
    rasters = [
        labelled(quarters(tmp_path, f"y{year}", [code] * 4), vintage(year)) for year, code in ((2020, 10), (2021, 20))
    ]
    cells = cell_table(32632, [(600_000, 5_040_000)])
    table = table_of(unit(cells, rasters, years=(2019, 2020, 2021, 2022)))
    said = {row["period"]: (row["codes"], row["editions"]) for row in table.to_pylist()}
    one, other = ([10], [0]), ([20], [1])
    assert said == {"2019": one, "2020": one, "2021": other, "2022": other}


def test_a_gap_counts_whole_days_to_the_interval_and_none_inside_it():
    edition = vintage(2021)
    days = [
        (dt.datetime(2021, 7, 1, tzinfo=dt.UTC), 0),
        (dt.datetime(2020, 12, 31, tzinfo=dt.UTC), 1),
        (dt.datetime(2020, 12, 22, tzinfo=dt.UTC), 10),
        (dt.datetime(2022, 1, 11, tzinfo=dt.UTC), 10),
    ]
    assert [edition.gap_days(moment) for moment, _ in days] == [gap for _, gap in days]


# -- batches -----------------------------------------------------------------------------------------------------------


def test_batching_does_not_change_the_cover(world, recipe):
    cells = utm_cells(shapely.box(11.9, 45.43, 12.1, 45.47), cell_m=1200, block_m=24_000)
    rasters = world_rasters(world, recipe)
    said = {"cell_m": 1200, "patch_px": 120, "sources": (LabelSource(WORLDCOVER),), "periods": (year(2021),)}
    batches = list(count_tasks(cells, rasters, **said))
    apart = [unit(cells.slice(row, 1), rasters) for row in range(cells.num_rows)]
    assert len(batches) > 2 and table_of(*batches).equals(table_of(*reversed(apart)))


def test_batches_hold_every_cell_once_and_one_crs_each():
    cells = utm_cells(shapely.box(11.7, 45.3, 12.3, 45.6), cell_m=1200, block_m=24_000)
    batches = list(count_tasks(cells, [], cell_m=1200, patch_px=120, sources=(), periods=()))
    assert sorted(name for batch in batches for name in batch.cells["cell"].to_pylist()) == cells["cell"].to_pylist()
    for batch in batches:
        assert len(set(batch.cells["epsg"].to_pylist())) == 1 and batch.cells.num_rows <= 100


def test_a_batch_keeps_every_raster_that_meets_one_of_its_cells():
    cells = utm_cells(shapely.box(11.7, 45.3, 12.3, 45.6), cell_m=1200, block_m=24_000)
    tiles = [
        LabelRaster(vintage(), f"{x}", "", "", "", shapely.box(x / 10, 45, (x + 1) / 10, 46)) for x in range(110, 130)
    ]
    for batch in count_tasks(cells, tiles, cell_m=1200, patch_px=120, sources=(), periods=()):
        for row in batch.cells.to_pylist():
            to_degrees = Transformer.from_crs(row["epsg"], 4326, always_xy=True)
            corners = [to_degrees.transform(row["x"] + a, row["y"] - b) for a in (0, 1200) for b in (0, 1200)]
            met = {tile.item_id for tile in tiles if tile.footprint.intersects(shapely.MultiPoint(corners).envelope)}
            assert met <= {raster.item_id for raster in batch.rasters}


# -- refusals ----------------------------------------------------------------------------------------------------------


def refusal(raster, **options):
    with pytest.raises(InputError) as caught:
        measure_counts(unit(cell_table(32632, [(600_000, 5_040_000)]), [raster], **options))
    return str(caught.value)


def test_a_missing_raster_is_named(tmp_path):
    assert str(tmp_path / "gone.tif") in refusal(labelled(tmp_path / "gone.tif"))


def test_a_raster_that_is_none_is_named(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"<html>403</html>")
    assert str(tmp_path / "a.tif") in refusal(labelled(tmp_path / "a.tif"))


def test_a_raster_without_a_crs_is_named_with_the_remedy(tmp_path):
    message = refusal(labelled(quarters(tmp_path, "a", [10] * 4, crs=None)))
    assert str(tmp_path / "a.tif") in message and "gdal_edit -a_srs" in message


def test_an_unknown_code_is_named_with_its_number_of_pixels(tmp_path):
    message = refusal(labelled(quarters(tmp_path, "a", [10, 11, 20, 10])))
    assert "worldcover" in message and "code 11 " in message and " 3600 pixels" in message


def test_the_raster_with_an_unknown_code_is_named(tmp_path):
    assert str(tmp_path / "a.tif") in refusal(labelled(quarters(tmp_path, "a", [10, 11, 20, 10])))


def test_a_block_that_cannot_be_read_is_a_refusal_and_not_a_hole(tmp_path):
    path = quarters(tmp_path, "a", [10, 20, 30, 40])
    with rasterio.open(path) as data:
        start = int(data.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xa5" * 20
    path.write_bytes(content)
    assert str(path) in refusal(labelled(path))


# -- CORINE, for real --------------------------------------------------------------------------------------------------


def test_corine_in_an_odd_axis_order_equals_a_burn_of_its_polygons(real):
    """Cells on the raster's own 25 m lattice, so that their pixel centres are those the polygons were burnt at."""
    path, polygons = real / "landcover/clc.tif", geopandas.read_file(real / "landcover/clc.gpkg", layer="clc")
    with (real / "landcover/clc_legend.csv").open(encoding="utf-8-sig") as file:
        codes = [int(row["CLC_CODE"]) for row in csv.DictReader(file, delimiter=";") if row["LABEL1"].strip()]
    with rasterio.open(path) as data:
        left, top, transform, shape = data.transform.c, data.transform.f, data.transform, data.shape
    burning = zip(polygons.geometry, polygons["CODE_18"].astype(int), strict=True)
    burnt = rasterize(burning, shape, fill=-1, transform=transform, dtype="int32")
    corners = [(left + 3000 * x, top - 3000 * y) for y in range(shape[0] // 120) for x in range(shape[1] // 120)]
    cells = cell_table(32630, corners, cell_m=3000)
    legend = crosswalk([code for code in codes if 111 <= code <= 523], nodata=(-1,))
    table = table_of(unit(cells, [labelled(path)], crosswalks=[legend], cell_m=3000))
    seen = 0
    for name, (x, y) in zip(cells["cell"].to_pylist(), corners, strict=True):
        part = Window(round((x - left) / 25), round((top - y) / 25), 120, 120)
        kinds = burnt[part.toslices()]
        assert histogram(table, name) == {(int(code),): int(count) for code, count in Counter(kinds.ravel()).items()}
        seen += int((kinds >= 0).sum())
    assert seen > 100_000
