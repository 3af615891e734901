"""What maps on disk say at points, against a direct look: polygons, odd CRSs, codes of every kind, damaged files."""

import json
from collections import Counter

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.transform import Affine

from landmark.core.crs import transformer
from landmark.core.errors import InputError
from landmark.domain.taxonomy import Crosswalk
from landmark.grid.points import Points
from landmark.labels.codes import rank_codes, ranked
from landmark.labels.editions import LabelSource
from tests.labels.maps import (
    CORINE,
    DYNAMIC,
    LEFT,
    TOP,
    WORLDCOVER,
    codes_at,
    counts,
    covered,
    each_alone,
    export,
    maps,
    polygons,
    raster,
)
from tests.parts import cell_table, examples

CODES = sorted(CORINE.classes)
ONE = cell_table(32632, [(LEFT, TOP)], cell_m=120)


def naive(shapes, codes, x, y):
    """Code of the first polygon that holds a point, one polygon at a time."""
    found = np.full(len(x), -1)
    for shape, code in zip(shapes, codes, strict=True):
        found[shapely.contains_xy(shape, x, y) & (found == -1)] = code
    return found


def blobs(seed, count=12, around=(LEFT + 600, TOP - 600), size=700):
    """Overlapping stars with a hole now and then, on no lattice."""
    chance = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        centre, angles = chance.normal(around, size / 2), np.sort(chance.uniform(0, 2 * np.pi, 9))
        reach = chance.uniform(0.1, 1, 9) * size / 2
        star = shapely.Polygon(centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None])
        made.append(star.buffer(0).difference(shapely.Point(centre).buffer(30)) if chance.random() < 0.3 else star)
    return made


# -- polygons ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@examples(15)
def test_polygons_equal_a_direct_look_point_by_point(tmp_path_factory, seed):
    shapes, chance = blobs(seed), np.random.default_rng(seed)
    codes = [int(code) for code in chance.choice(CODES, len(shapes))]
    path = polygons(tmp_path_factory.mktemp("clc") / "clc2018.gpkg", shapes, [str(code) for code in codes])
    x, y = chance.uniform(LEFT, LEFT + 1200, 3000), chance.uniform(TOP - 1200, TOP, 3000)
    (label,) = maps(CORINE, path)
    assert (codes_at(label, CORINE, each_alone(32632, x, y)) == naive(shapes, codes, x, y)).all()


@pytest.mark.parametrize("ending", ["gpkg", "shp", "parquet", "geojson"])
def test_every_format_of_polygons_says_the_same(tmp_path, ending):
    shapes, codes = blobs(1), [111 + number for number in (0, 1, 10, 11, 12, 13, 20, 21, 22, 31, 100, 101)]
    degrees = geopandas.GeoSeries(shapes, crs=32632).to_crs(4326) if ending == "geojson" else shapes
    path = polygons(tmp_path / f"CLC2018.{ending}", list(degrees), codes, crs=4326 if ending == "geojson" else 32632)
    axes = LEFT + 5 + 10 * np.arange(120), TOP - 5 - 10 * np.arange(120)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes))
    (label,) = maps(CORINE, path)
    assert label.edition.start.year == 2018 and label.local and label.recorded_href == path.name
    found = codes_at(label, CORINE, Points(32632, *(axis[None] for axis in axes)))
    assert (found == naive(shapes, codes, x, y)).mean() > (0.999 if ending == "geojson" else 0.9999)
    assert len(set(found)) > 5


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("CODE_18", ["111", "512"]),
        ("code_18", [111, 512]),
        ("Code_18", [111.0, 512.0]),
        ("clc18", [" 111", "512.0"]),
        ("CLC_CODE", ["1113", "5120"]),
        ("CODE_18", [1, 41]),
        ("CODE_12", ["1", "41"]),
    ],
)
def test_a_code_is_taken_as_text_number_grid_code_or_finer_code(tmp_path, field, values):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = polygons(tmp_path / "clc2018.gpkg", halves, values, field=field)
    found = covered(ONE, (LabelSource(CORINE, max_gap_days=5000), maps(CORINE, path)), px=12, m=120)
    assert counts(found, ONE["cell"][0].as_py()) == {(111,): 72, (512,): 72}


def test_a_polygon_without_a_code_is_no_data_and_a_point_on_an_edge_has_a_class(tmp_path):
    shapes = [
        shapely.box(LEFT, TOP - 10, LEFT + 5, TOP),
        shapely.box(LEFT + 5, TOP - 10, LEFT + 10, TOP),
        shapely.box(LEFT + 10, TOP - 10, LEFT + 20, TOP),
    ]
    (label,) = maps(CORINE, polygons(tmp_path / "clc2018.gpkg", shapes, ["311", "512", None]))
    x = np.array([LEFT + 5, LEFT + 9, LEFT + 15])
    assert codes_at(label, CORINE, each_alone(32632, x, np.full(3, TOP - 5))).tolist() == [311, 512, -1]


def test_the_real_polygons_equal_the_real_raster_on_every_valid_pixel(real):
    expected = json.loads((real / "expected.json").read_text())["clc_lanjaron_pixels_per_code"]
    with rasterio.open(real / "landcover/clc.tif") as data:
        values, nodata, transform = data.read(1).astype(np.int64), int(data.nodata), data.transform
        wkt = data.crs.to_wkt()
    rows, cols = np.nonzero(values != nodata)
    x, y = transform @ (cols + 0.5, rows + 0.5)
    (label,) = maps(CORINE, real / "landcover/clc.gpkg", year=2018)
    # EPSG:3042 is northing before easting: its coordinates in the order of the file are those of EPSG:25830.
    assert CRS.from_wkt(wkt).axis_info[0].direction == "north"
    turned = Transformer.from_crs(CRS.from_wkt(wkt), 25830, always_xy=True).transform(x, y)
    found = codes_at(label, CORINE, each_alone(25830, *turned))
    assert len(found) == 353_130 and (found == values[rows, cols]).all()
    assert Counter(found.tolist()) == {int(code): count for code, count in expected.items()}


def test_the_real_raster_sampled_at_its_own_centres_is_itself(real):
    with rasterio.open(real / "landcover/clc.tif") as data:
        values, transform = data.read(1).astype(np.int64), data.transform
    (x, _), (_, y) = (
        transform @ (place, place) for place in (np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5)
    )
    (label,) = maps(CORINE, real / "landcover/clc.tif", year=2018)
    found = codes_at(label, CORINE, Points(25830, x[None], y[None]))
    assert (found == np.where(values == 4294967295, -1, values).ravel()).all()


# -- datums ------------------------------------------------------------------------------------------------------------

ED50 = CRS.from_epsg(23033)


@pytest.mark.parametrize("kind", ["raster", "polygons"])
def test_a_map_in_ed50_lands_where_pyproj_puts_it_and_not_where_its_numbers_read(tmp_path, kind):
    """One 100 m square of water in an ED50 map, sought at 1 m on the ground of UTM 33 N."""
    left, top = 400_000.0, 4_500_000.0
    if kind == "raster":
        codes = np.full((40, 40), 23, "int16")
        codes[20, 20] = 41
        path = raster(tmp_path / "clc2018.tif", codes, crs="EPSG:23033", transform=Affine(100, 0, left, 0, -100, top))
    else:
        lake = shapely.box(left + 2000, top - 2100, left + 2100, top - 2000)
        ground = shapely.box(left, top - 4000, left + 4000, top)
        path = polygons(tmp_path / "clc2018.gpkg", [lake, ground], ["512", "311"], crs=23033)
    (label,) = maps(CORINE, path)
    axes = np.arange(left + 1700, left + 2400), np.arange(top - 2400, top - 1700)
    x, y = np.meshgrid(*axes)
    found = codes_at(label, CORINE, Points(32633, *(axis[None] for axis in axes))).reshape(x.shape)
    seen = np.array([x[found == 512].mean(), y[found == 512].mean()])
    exact = np.array(Transformer.from_crs(ED50, 32633, always_xy=True).transform(left + 2050, top - 2050))
    assert np.hypot(*(seen - exact)) < 3
    assert np.hypot(*(seen - (left + 2050, top - 2050))) > 100


# -- kinds of codes in rasters -----------------------------------------------------------------------------------------


def corine_raster(path, values, dtype="int16", **options):
    cells = np.repeat(np.repeat(np.array(values, dtype).reshape(2, 2), 6, axis=0), 6, axis=1)
    return raster(path, cells, **options)


def seen_in(path, crosswalk=CORINE, **options):
    source = (LabelSource(crosswalk, max_gap_days=9999, **options), maps(crosswalk, path, year=2021))
    return counts(covered(ONE, source, px=12, m=120), ONE["cell"][0].as_py())


@pytest.mark.parametrize(
    ("values", "dtype", "options"),
    [
        ([111, 512, 311, -1], "int16", {"nodata": -1}),
        ([1, 41, 23, -128], "int8", {"nodata": -128}),
        ([1, 41, 23, 48], "int8", {"nodata": -128}),
        ([1, 41, 23, 255], "uint8", {}),
        ([1111, 5120, 3111, 999], "uint16", {}),
        ([111, 512, 311, np.nan], "float32", {}),
        ([111, 512, 311, 4294967295], "uint32", {"nodata": 4294967295}),
    ],
)
def test_corine_rasters_may_hold_clc_codes_grid_codes_or_finer_codes(tmp_path, values, dtype, options):
    path = corine_raster(tmp_path / "a.tif", values, dtype, **options)
    assert seen_in(path) == {(111,): 36, (512,): 36, (311,): 36, (-1,): 36}


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        ([111, 512, 23, 311], "int16", ["two kinds", "111", "23"]),
        ([111, 512, 777, 311], "int16", ["code 777 ", " 36 pixels", "taxonomies/corine.yaml"]),
        ([1, 2, 45, 3], "int16", ["code 45 ", " 36 pixels"]),
        ([111, 512, 311.5, 311], "float32", ["311.5", "fraction"]),
    ],
)
def test_codes_nobody_knows_are_refused_with_file_and_count(tmp_path, values, dtype, words):
    path = corine_raster(tmp_path / "a.tif", values, dtype)
    with pytest.raises(InputError) as caught:
        seen_in(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["111", "x1"], ["code 'x1' ", " 1 polygons"]),
        (["111", "987"], ["code 987 ", " 1 polygons"]),
        (["111", "2"], ["two kinds"]),
    ],
)
def test_polygons_of_unknown_codes_are_refused_with_file_and_count(tmp_path, codes, words):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = polygons(tmp_path / "clc2021.gpkg", halves, codes)
    with pytest.raises(InputError) as caught:
        seen_in(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_a_code_that_no_point_lies_in_need_not_be_known(tmp_path):
    """Between two cells, in the one window that is read for both."""
    codes = np.full((12, 36), 10, "uint8")
    codes[:, 12:24] = 77
    path = raster(tmp_path / "a.tif", codes)
    apart = cell_table(32632, [(LEFT, TOP), (LEFT + 240, TOP)], cell_m=120)
    found = covered(apart, (LabelSource(WORLDCOVER), maps(WORLDCOVER, path, year=2021)), px=12, m=120)
    assert [counts(found, cell) for cell in apart["cell"].to_pylist()] == [{(10,): 144}] * 2
    codes[5, 5:8] = 77
    raster(path, codes)
    with pytest.raises(InputError, match="code 77 stands at 3 pixels"):
        covered(apart, (LabelSource(WORLDCOVER), maps(WORLDCOVER, path, year=2021)), px=12, m=120)


@pytest.mark.parametrize("pixel_m", [0.5, 1, 2.5, 5, 40])
def test_a_map_finer_or_coarser_than_the_pixels_says_what_lies_at_their_centres(tmp_path, pixel_m):
    """With no data, cells apart from each other, and one half outside the map."""
    chance = np.random.default_rng(0)
    codes = chance.choice([0, 10, 20, 95], (int(440 / pixel_m), int(420 / pixel_m))).astype("uint8")
    transform = Affine(pixel_m, 0, LEFT, 0, -pixel_m, TOP)
    (label,) = maps(WORLDCOVER, raster(tmp_path / "2021.tif", codes, nodata=0, transform=transform))
    centres = 10 * np.arange(12) + 5.2
    x, y = (
        np.array([[LEFT], [LEFT + 300], [LEFT + 360]]) + centres,
        np.array([[TOP], [TOP - 300], [TOP - 60]]) - centres,
    )
    found = codes_at(label, WORLDCOVER, Points(32632, x, y)).reshape(3, 12, 12)
    for cell, down, across in np.ndindex(found.shape):
        col, row = (x[cell, across] - LEFT) // pixel_m, (TOP - y[cell, down]) // pixel_m
        inside = col < codes.shape[1]
        assert found[cell, down, across] == (codes[int(row), int(col)] or -1 if inside else -1)


@given(
    st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"]),
    st.sets(st.integers(1, 120), min_size=1, max_size=20),
    st.integers(0, 2**32 - 1),
)
@examples(60)
def test_a_value_of_any_type_has_the_rank_of_its_code(dtype, classes, seed):
    classes |= {90_000} if np.dtype(dtype).itemsize >= 4 else set()
    made = {code: {"key": f"c{code}", "name": f"class {code}", "to": "trees"} for code in classes}
    crosswalk = Crosswalk.model_validate({**WORLDCOVER.model_dump(), "classes": made, "count": None})
    chance = np.random.default_rng(seed)
    values = chance.choice([0, *classes], (7, 9)).astype(dtype)
    masked = np.ma.array(values, mask=chance.random((7, 9)) < chance.choice([0, 0.3]))
    masked.data[masked.mask] = 127
    expected = np.where(masked.mask | (values == 0), -1, values.astype(int))
    assert (rank_codes(crosswalk)[ranked(masked, crosswalk)] == expected).all()


def test_an_internal_mask_is_no_data(tmp_path):
    path = corine_raster(tmp_path / "a.tif", [10, 20, 30, 40], "uint8")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as to:
        mask = np.full((12, 12), 255, "uint8")
        mask[:6, :6] = 0
        to.write_mask(mask)
    assert seen_in(path, WORLDCOVER) == {(-1,): 36, (20,): 36, (30,): 36, (40,): 36}


# -- Dynamic World's traps ---------------------------------------------------------------------------------------------


def test_zero_is_water_where_a_probability_says_so_and_nothing_where_all_are_zero(tmp_path):
    codes = np.zeros((12, 12), "uint8")
    shares = np.zeros((9, 12, 12))
    shares[0, :, :4] = 0.7
    for composite in ("mode", "probability"):
        path = export(tmp_path / "20210612T101031_32TQR.tif", codes, shares)
        assert seen_in(path, DYNAMIC, composite=composite) == {(0,): 48, (-1,): 96}


def test_any_of_the_probabilities_vouches_for_water(tmp_path):
    shares = np.zeros((9, 12, 12))
    shares[3, :, :2], shares[8, :, 2:5], shares[0, :, 5] = 0.2, 0.1, 1
    path = export(tmp_path / "20210612T101031_32TQR.tif", np.zeros((12, 12), "uint8"), shares)
    assert seen_in(path, DYNAMIC) == {(0,): 72, (-1,): 72}


def test_a_label_alone_is_taken_at_its_word(tmp_path):
    path = raster(tmp_path / "20210612T101031.tif", np.zeros((12, 12), "uint8"), names=["label"])
    assert seen_in(path, DYNAMIC) == {(0,): 144}
    tagged = raster(tmp_path / "20210613T101031.tif", np.full((12, 12), 255, "uint8"), nodata=255)
    assert seen_in(tagged, DYNAMIC) == {(-1,): 144}


@pytest.mark.parametrize(
    ("names", "composite", "words"),
    [
        (["water", "trees"], "mode", ["'label'", "water, trees"]),
        (["label", "trees"], "probability", ["'water'", "label, trees"]),
    ],
)
def test_a_band_that_is_missing_is_named_with_those_there_are(tmp_path, names, composite, words):
    path = raster(tmp_path / "20210612T101031.tif", *[np.ones((12, 12), "float32")] * 2, names=names)
    with pytest.raises(InputError) as caught:
        seen_in(path, DYNAMIC, composite=composite)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_polygons_have_no_probabilities(tmp_path):
    path = polygons(tmp_path / "clc2021.gpkg", [shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)], ["111"])
    with pytest.raises(InputError, match="composite: mode"):
        seen_in(path, CORINE, composite="probability")


def test_points_are_handed_out_in_the_crs_asked_for_each_time():
    points = each_alone(32632, np.array([LEFT]), np.array([TOP]))
    for epsg in (4326, 32632, 4326, 3035):
        x, y = points.within(CRS.from_epsg(epsg))
        assert (x[0], y[0]) == pytest.approx(transformer(32632, epsg).transform(LEFT, TOP))
