"""Sampling of label maps at points, against naive lookups: polygons, unusual CRSs, kinds of codes, invalid files."""

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
from landmark.labels.codes import rank_codes, to_ranks
from landmark.labels.editions import LabelSource
from tests.labels.maps import (
    CORINE,
    DYNAMIC,
    LEFT,
    PROBABILITY_BANDS,
    TOP,
    WORLDCOVER,
    codes_at,
    count_labels,
    local_maps,
    pixels_by_codes,
    scattered_points,
    write_export,
    write_map,
    write_polygons,
)
from tests.parts import cell_table, examples

CODES = sorted(CORINE.classes)
CELL = cell_table(32632, [(LEFT, TOP)], cell_m=120)


def naive(shapes, codes, x, y):
    """Code of the first polygon that contains each point, one polygon at a time."""
    result = np.full(len(x), -1)
    for shape, code in zip(shapes, codes, strict=True):
        result[shapely.contains_xy(shape, x, y) & (result == -1)] = code
    return result


def blobs(seed, count=12, around=(LEFT + 600, TOP - 600), size=700):
    """Overlapping stars, some with a hole, off every grid."""
    rng = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        centre, angles = rng.normal(around, size / 2), np.sort(rng.uniform(0, 2 * np.pi, 9))
        reach = rng.uniform(0.1, 1, 9) * size / 2
        star = shapely.Polygon(centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None])
        shapes.append(star.buffer(0).difference(shapely.Point(centre).buffer(30)) if rng.random() < 0.3 else star)
    return shapes


# -- longitudes from 0 to 360 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("west", [-180, 0, -360, 355, -5])
def test_longitudes_may_begin_anywhere(tmp_path, west):
    """A map of 20 degrees, or of the Earth, across the meridian of Greenwich."""
    width = 20 if west in (355, -5) else 360
    codes = np.random.default_rng(7).choice(sorted(WORLDCOVER.classes), (100, width * 10)).astype("uint8")
    path = write_map(tmp_path / "a_2021.tif", codes, crs="EPSG:4326", transform=Affine(0.1, 0, west, 0, -0.1, 50))
    (label,) = local_maps(WORLDCOVER, path)
    axis, steps = np.random.default_rng(8).uniform(0, 7e5, (2, 300)), 9000 * np.arange(80)
    scattered = scattered_points(32631, 5e4 + axis[0], 4.6e6 + axis[1])
    for points in (scattered, Points(32631, 50_500 + steps[None], 5.3e6 - steps[None])):
        lon, lat = points.coordinates(CRS.from_epsg(4326))
        expected = codes[np.floor((50 - lat) / 0.1).astype(int), np.floor((lon - west) % 360 / 0.1).astype(int)]
        assert (codes_at(label, WORLDCOVER, points) == expected).all()


def test_polygons_may_have_longitudes_from_zero(tmp_path):
    path = write_polygons(
        tmp_path / "clc2018.gpkg", [shapely.box(0, 40, 2, 50), shapely.box(358, 40, 360, 50)], ["111", "512"], crs=4326
    )
    x, y = transformer(4326, 32631).transform(np.array([-1.0, 1.0, 3.0]), np.array([45.0, 45.0, 45.0]))
    (label,) = local_maps(CORINE, path)
    assert codes_at(label, CORINE, scattered_points(32631, x, y)).tolist() == [512, 111, -1]


# -- polygons ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@examples(15)
def test_polygons_equal_a_naive_lookup(tmp_path_factory, seed):
    shapes, rng = blobs(seed), np.random.default_rng(seed)
    codes = [int(code) for code in rng.choice(CODES, len(shapes))]
    path = write_polygons(tmp_path_factory.mktemp("clc") / "clc2018.gpkg", shapes, [str(code) for code in codes])
    x, y = rng.uniform(LEFT, LEFT + 1200, 3000), rng.uniform(TOP - 1200, TOP, 3000)
    (label,) = local_maps(CORINE, path)
    assert (codes_at(label, CORINE, scattered_points(32632, x, y)) == naive(shapes, codes, x, y)).all()


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "parquet", "geojson"])
def test_all_vector_formats_give_the_same_codes(tmp_path, suffix):
    shapes, codes = blobs(1), [111 + number for number in (0, 1, 10, 11, 12, 13, 20, 21, 22, 31, 100, 101)]
    degrees = geopandas.GeoSeries(shapes, crs=32632).to_crs(4326) if suffix == "geojson" else shapes
    path = write_polygons(
        tmp_path / f"CLC2018.{suffix}", list(degrees), codes, crs=4326 if suffix == "geojson" else 32632
    )
    axes = LEFT + 5 + 10 * np.arange(120), TOP - 5 - 10 * np.arange(120)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes))
    (label,) = local_maps(CORINE, path)
    assert label.edition.start.year == 2018 and label.local and label.recorded_href == path.name
    sampled = codes_at(label, CORINE, Points(32632, *(axis[None] for axis in axes)))
    assert (sampled == naive(shapes, codes, x, y)).mean() > (0.999 if suffix == "geojson" else 0.9999)
    assert len(set(sampled)) > 5


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
def test_codes_may_be_text_numbers_aliases_or_more_detailed(tmp_path, field, values):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = write_polygons(tmp_path / "clc2018.gpkg", halves, values, field=field)
    label_counts = count_labels(CELL, (LabelSource(CORINE, max_gap_days=5000), local_maps(CORINE, path)))
    assert pixels_by_codes(label_counts, CELL["cell"][0].as_py()) == {(111,): 72, (512,): 72}


def test_polygons_without_a_code_are_nodata_and_edges_belong_to_polygons(tmp_path):
    shapes = [
        shapely.box(LEFT, TOP - 10, LEFT + 5, TOP),
        shapely.box(LEFT + 5, TOP - 10, LEFT + 10, TOP),
        shapely.box(LEFT + 10, TOP - 10, LEFT + 20, TOP),
    ]
    (label,) = local_maps(CORINE, write_polygons(tmp_path / "clc2018.gpkg", shapes, ["311", "512", None]))
    x = np.array([LEFT + 5, LEFT + 9, LEFT + 15])
    assert codes_at(label, CORINE, scattered_points(32632, x, np.full(3, TOP - 5))).tolist() == [311, 512, -1]


def test_the_real_polygons_equal_the_real_raster(real):
    expected = json.loads((real / "expected.json").read_text())["clc_lanjaron_pixels_per_code"]
    with rasterio.open(real / "landcover/clc.tif") as data:
        values, nodata, transform = data.read(1).astype(np.int64), int(data.nodata), data.transform
        wkt = data.crs.to_wkt()
    rows, cols = np.nonzero(values != nodata)
    x, y = transform @ (cols + 0.5, rows + 0.5)
    (label,) = local_maps(CORINE, real / "landcover/clc.gpkg", year=2018)
    # EPSG:3042 has northing before easting; in the order of the file its coordinates are those of EPSG:25830.
    assert CRS.from_wkt(wkt).axis_info[0].direction == "north"
    projected = Transformer.from_crs(CRS.from_wkt(wkt), 25830, always_xy=True).transform(x, y)
    sampled = codes_at(label, CORINE, scattered_points(25830, *projected))
    assert len(sampled) == 353_130 and (sampled == values[rows, cols]).all()
    assert Counter(sampled.tolist()) == {int(code): count for code, count in expected.items()}


def test_the_real_raster_sampled_at_pixel_centres_is_unchanged(real):
    with rasterio.open(real / "landcover/clc.tif") as data:
        values, transform = data.read(1).astype(np.int64), data.transform
    (x, _), (_, y) = (
        transform @ (centres, centres)
        for centres in (np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5)
    )
    (label,) = local_maps(CORINE, real / "landcover/clc.tif", year=2018)
    sampled = codes_at(label, CORINE, Points(25830, x[None], y[None]))
    assert (sampled == np.where(values == 4294967295, -1, values).ravel()).all()


# -- datums ------------------------------------------------------------------------------------------------------------

ED50 = CRS.from_epsg(23033)


@pytest.mark.parametrize("kind", ["raster", "polygons"])
def test_a_map_in_ed50_is_placed_by_the_datum(tmp_path, kind):
    """A 100 m square of water in an ED50 map, sampled at 1 m in UTM zone 33 N."""
    left, top = 400_000.0, 4_500_000.0
    if kind == "raster":
        codes = np.full((40, 40), 23, "int16")
        codes[20, 20] = 41
        path = write_map(
            tmp_path / "clc2018.tif", codes, crs="EPSG:23033", transform=Affine(100, 0, left, 0, -100, top)
        )
    else:
        lake = shapely.box(left + 2000, top - 2100, left + 2100, top - 2000)
        forest = shapely.box(left, top - 4000, left + 4000, top)
        path = write_polygons(tmp_path / "clc2018.gpkg", [lake, forest], ["512", "311"], crs=23033)
    (label,) = local_maps(CORINE, path)
    axes = np.arange(left + 1700, left + 2400), np.arange(top - 2400, top - 1700)
    x, y = np.meshgrid(*axes)
    sampled = codes_at(label, CORINE, Points(32633, *(axis[None] for axis in axes))).reshape(x.shape)
    centre = np.array([x[sampled == 512].mean(), y[sampled == 512].mean()])
    exact = np.array(Transformer.from_crs(ED50, 32633, always_xy=True).transform(left + 2050, top - 2050))
    assert np.hypot(*(centre - exact)) < 3
    assert np.hypot(*(centre - (left + 2050, top - 2050))) > 100


# -- kinds of codes in rasters -----------------------------------------------------------------------------------------


def corine_raster(path, values, dtype="int16", **options):
    cells = np.repeat(np.repeat(np.array(values, dtype).reshape(2, 2), 6, axis=0), 6, axis=1)
    return write_map(path, cells, **options)


def codes_in(path, crosswalk=CORINE, **options):
    source = (LabelSource(crosswalk, max_gap_days=9999, **options), local_maps(crosswalk, path, year=2021))
    return pixels_by_codes(count_labels(CELL, source), CELL["cell"][0].as_py())


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
def test_corine_rasters_may_have_codes_aliases_or_more_detailed_codes(tmp_path, values, dtype, options):
    path = corine_raster(tmp_path / "a.tif", values, dtype, **options)
    assert codes_in(path) == {(111,): 36, (512,): 36, (311,): 36, (-1,): 36}


@pytest.mark.parametrize(
    ("values", "dtype", "value"),
    [
        ([111, 512, 23, 311], "int16", [111, 23]),
        ([111, 512, 777, 311], "int16", 777),
        ([1, 2, 45, 3], "int16", 45),
        ([111, 512, 311.5, 311], "float32", 311.5),
    ],
)
def test_invalid_codes_in_rasters_are_refused(tmp_path, values, dtype, value):
    path = corine_raster(tmp_path / "a.tif", values, dtype)
    with pytest.raises(InputError) as caught:
        codes_in(path)
    assert (caught.value.file, caught.value.value) == (str(path), value)


@pytest.mark.parametrize(
    ("codes", "value"),
    [(["111", "x1"], "x1"), (["111", "987"], 987), (["111", "2"], [111, 2])],
)
def test_invalid_codes_of_polygons_are_refused(tmp_path, codes, value):
    halves = [shapely.box(LEFT, TOP - 120, LEFT + 60, TOP), shapely.box(LEFT + 60, TOP - 120, LEFT + 120, TOP)]
    path = write_polygons(tmp_path / "clc2021.gpkg", halves, codes, field="CLC_CODE")
    with pytest.raises(InputError) as caught:
        codes_in(path)
    assert (caught.value.file, caught.value.value) == (str(path), value)


def test_unknown_codes_between_the_cells_are_ignored(tmp_path):
    """Both cells are read in one window."""
    codes = np.full((12, 36), 10, "uint8")
    codes[:, 12:24] = 77
    path = write_map(tmp_path / "a.tif", codes)
    apart = cell_table(32632, [(LEFT, TOP), (LEFT + 240, TOP)], cell_m=120)
    label_counts = count_labels(apart, (LabelSource(WORLDCOVER), local_maps(WORLDCOVER, path, year=2021)))
    assert [pixels_by_codes(label_counts, cell) for cell in apart["cell"].to_pylist()] == [{(10,): 144}] * 2
    codes[5, 5:8] = 77
    write_map(path, codes)
    with pytest.raises(InputError) as caught:
        count_labels(apart, (LabelSource(WORLDCOVER), local_maps(WORLDCOVER, path, year=2021)))
    assert (caught.value.file, caught.value.value) == (str(path), 77)


@pytest.mark.parametrize("pixel_m", [0.5, 1, 2.5, 5, 40])
def test_maps_of_any_resolution_are_sampled_at_pixel_centres(tmp_path, pixel_m):
    """With nodata, distant cells, and a cell partly outside the map."""
    rng = np.random.default_rng(0)
    codes = rng.choice([0, 10, 20, 95], (int(440 / pixel_m), int(420 / pixel_m))).astype("uint8")
    transform = Affine(pixel_m, 0, LEFT, 0, -pixel_m, TOP)
    (label,) = local_maps(WORLDCOVER, write_map(tmp_path / "2021.tif", codes, nodata=0, transform=transform))
    centres = 10 * np.arange(12) + 5.2
    x, y = (
        np.array([[LEFT], [LEFT + 300], [LEFT + 360]]) + centres,
        np.array([[TOP], [TOP - 300], [TOP - 60]]) - centres,
    )
    sampled = codes_at(label, WORLDCOVER, Points(32632, x, y)).reshape(3, 12, 12)
    for cell, down, across in np.ndindex(sampled.shape):
        col, row = (x[cell, across] - LEFT) // pixel_m, (TOP - y[cell, down]) // pixel_m
        inside = col < codes.shape[1]
        assert sampled[cell, down, across] == (codes[int(row), int(col)] or -1 if inside else -1)


@given(
    st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"]),
    st.sets(st.integers(1, 120), min_size=1, max_size=20),
    st.integers(0, 2**32 - 1),
)
@examples(60)
def test_values_of_any_dtype_are_ranked(dtype, classes, seed):
    classes |= {90_000} if np.dtype(dtype).itemsize >= 4 else set()
    entries = {code: {"key": f"c{code}", "name": f"class {code}", "to": "trees"} for code in classes}
    crosswalk = Crosswalk.model_validate({**WORLDCOVER.model_dump(), "classes": entries, "count": None})
    rng = np.random.default_rng(seed)
    values = rng.choice([0, *classes], (7, 9)).astype(dtype)
    masked = np.ma.array(values, mask=rng.random((7, 9)) < rng.choice([0, 0.3]))
    masked.data[masked.mask] = 127
    expected = np.where(masked.mask | (values == 0), -1, values.astype(int))
    assert (rank_codes(crosswalk)[to_ranks(masked, crosswalk)] == expected).all()


def test_an_internal_mask_is_nodata(tmp_path):
    path = corine_raster(tmp_path / "a.tif", [10, 20, 30, 40], "uint8")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        mask = np.full((12, 12), 255, "uint8")
        mask[:6, :6] = 0
        file.write_mask(mask)
    assert codes_in(path, WORLDCOVER) == {(-1,): 36, (20,): 36, (30,): 36, (40,): 36}


# -- Dynamic World -----------------------------------------------------------------------------------------------------


def test_zero_is_water_only_with_a_probability(tmp_path):
    codes = np.zeros((12, 12), "uint8")
    probabilities = np.zeros((9, 12, 12))
    probabilities[0, :, :4] = 1
    for composite in ("mode", "probability"):
        path = write_export(tmp_path / "20210612T101031_32TQR.tif", codes, probabilities)
        assert codes_in(path, DYNAMIC, composite=composite) == {(0,): 48, (-1,): 96}


def test_any_probability_makes_zero_valid(tmp_path):
    probabilities = np.zeros((9, 12, 12))
    probabilities[3, :, :2], probabilities[8, :, 2:5], probabilities[0, :, 5] = 0.2, 0.1, 1
    path = write_export(tmp_path / "20210612T101031_32TQR.tif", np.zeros((12, 12), "uint8"), probabilities)
    assert codes_in(path, DYNAMIC) == {(0,): 72, (-1,): 72}


def test_without_probabilities_zero_is_water(tmp_path):
    path = write_map(tmp_path / "20210612T101031.tif", np.zeros((12, 12), "uint8"), names=["label"])
    assert codes_in(path, DYNAMIC) == {(0,): 144}
    declared = write_map(tmp_path / "20210613T101031.tif", np.full((12, 12), 255, "uint8"), nodata=255)
    assert codes_in(declared, DYNAMIC) == {(-1,): 144}


@pytest.mark.parametrize(
    ("names", "composite", "missing"),
    [(["water", "trees"], "mode", "label"), (["label", "trees"], "probability", "water")],
)
def test_a_missing_band_is_refused(tmp_path, names, composite, missing):
    path = write_map(tmp_path / "20210612T101031.tif", *[np.ones((12, 12), "float32")] * 2, names=names)
    with pytest.raises(InputError) as caught:
        codes_in(path, DYNAMIC, composite=composite)
    assert (caught.value.file, caught.value.value) == (str(path), missing)


def scaled_export(path, factor, dtype, scale=None):
    """The nine probabilities on another scale: 0.6 and 0.4 of the classes 1 and 2, without data in the first row."""
    probabilities = np.zeros((9, 12, 12))
    probabilities[1, 1:6], probabilities[2, 1:6] = 0.6, 0.4
    probabilities[1, 6:], probabilities[2, 6:] = 0.1, 0.9
    write_map(path, *np.round(probabilities * factor, 3).astype(dtype), names=PROBABILITY_BANDS)
    if scale is not None:
        with rasterio.open(path, "r+") as file:
            file.scales = [scale] * 9
    return path


@pytest.mark.parametrize(
    ("factor", "dtype", "header", "scale"),
    [
        (1, "float32", None, None),
        (100, "uint8", None, None),
        (255, "uint8", None, 0.003922),
        (255, "uint8", 1 / 255, None),
        (10_000, "uint16", None, 1e-4),
        (100, "float32", 0.01, None),
        (100, "float32", None, 0.01),
    ],
)
def test_probabilities_are_read_on_their_scale(tmp_path, factor, dtype, header, scale):
    path = scaled_export(tmp_path / "20210612T101031.tif", factor, dtype, header)
    counts = codes_in(path, DYNAMIC, composite="probability", min_confidence=0.7, scale=scale)
    assert counts == {(-1,): 72, (2,): 72}


@pytest.mark.parametrize(
    ("factor", "dtype", "header", "scale", "fitting"),
    [
        (255, "uint8", None, None, "0.003922"),
        (10_000, "uint16", None, None, "0.0001"),
        (100, "float32", None, None, "0.01"),
        (100, "uint8", 1 / 255, None, "0.01"),
        (100, "uint8", None, 1 / 255, "0.01"),
        (80, "uint8", None, None, None),
        (-1, "float32", None, None, None),
    ],
)
def test_probabilities_on_another_scale_are_refused(tmp_path, factor, dtype, header, scale, fitting):
    path = scaled_export(tmp_path / "20210612T101031.tif", factor, dtype, header)
    with pytest.raises(InputError) as caught:
        codes_in(path, DYNAMIC, composite="probability", min_confidence=0.7, scale=scale)
    assert (caught.value.file, caught.value.value) == (str(path), pytest.approx(factor, abs=1))
    assert f"scale: {fitting}`" in caught.value.remedy or fitting is None


def test_polygons_have_no_probabilities(tmp_path):
    path = write_polygons(tmp_path / "clc2021.gpkg", [shapely.box(LEFT, TOP - 120, LEFT + 120, TOP)], ["111"])
    with pytest.raises(InputError) as caught:
        codes_in(path, CORINE, composite="probability")
    assert caught.value.file == str(path)


def test_points_are_projected_to_the_requested_crs():
    points = scattered_points(32632, np.array([LEFT]), np.array([TOP]))
    for epsg in (4326, 32632, 4326, 3035):
        x, y = points.coordinates(CRS.from_epsg(epsg))
        assert (x[0], y[0]) == pytest.approx(transformer(32632, epsg).transform(LEFT, TOP))
