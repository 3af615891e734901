"""Recipes: validation, regions, command-line changes, digests."""

import json

import pytest
import shapely
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.profiles import Provider, load_sensor
from landmark.config.recipe import Recipe, load_recipe
from landmark.core.crs import reproject
from landmark.core.errors import InputError, UnknownName
from landmark.core.resources import available, find_resource
from landmark.core.yaml_files import load_model, read_yaml
from tests.parts import examples, text

RECIPE = {
    "name": "tiny",
    "region": {"bbox": [11.5, 45.2, 12.5, 45.7]},
    "time": {"start": "2021-06-01", "end": "2022-05-31"},
    "labels": [{"source": "worldcover"}],
}
SQUARE = {"type": "Polygon", "coordinates": [[[10, 45], [11, 45], [11, 46], [10, 46], [10, 45]]]}


def write_recipe(folder, **changes):
    """Write a recipe file; None removes a key."""
    value = {key: item for key, item in (RECIPE | changes).items() if item is not None}
    return text(folder / "a.yaml", yaml.safe_dump(value))


def write_geojson(folder, document, name="aoi.geojson"):
    return text(folder / name, document if isinstance(document, str) else json.dumps(document))


def load(folder, options=None, **changes):
    return load_recipe(str(write_recipe(folder, **changes)), **(options or {}))


def refuse(path, **options):
    with pytest.raises(InputError) as caught:
        load_recipe(str(path), **options)
    return caught.value


# -- validation --------------------------------------------------------------------------------------------------------

INVALID = [
    ({"regoin": {}}, "regoin", None),
    ({"time": RECIPE["time"] | {"perod": "year"}}, "time.perod", None),
    ({"splits": {"bufer_m": 3}}, "splits.bufer_m", None),
    ({"region": None}, "region", None),
    ({"labels": None}, "labels", None),
    ({"time": {"start": "2021-06-01"}}, "time.end", None),
    ({"name": "my corpus"}, "name", "my corpus"),
    ({"name": "Tiny"}, "name", "Tiny"),
    ({"name": 3}, "name", 3),
    ({"sensors": ["s3"]}, "sensors.0", "s3"),
    ({"sensors": []}, "sensors", []),
    ({"time": RECIPE["time"] | {"period": "week"}}, "time.period", "week"),
    ({"time": {"start": 2021, "end": "2022-05-31"}}, "time.start", 2021),
    ({"time": {"start": "June", "end": "2022-05-31"}}, "time.start", "June"),
    ({"time": {"start": "2022-05-31", "end": "2021-06-01"}}, "time", "2022-05-31..2021-06-01"),
    ({"time": {"start": "2021-06-31", "end": "2022-05-31"}}, "time.start", "2021-06-31"),
    ({"patch_px": 100}, "patch_px", 100),
    ({"patch_px": 0}, "patch_px", 0),
    ({"patch_px": "big"}, "patch_px", "big"),
    ({"resolution_m": 0}, "resolution_m", 0),
    ({"clouds": {"max_chip_pct": 101}}, "clouds.max_chip_pct", 101),
    ({"clouds": {"max_item_pct": -1}}, "clouds.max_item_pct", -1),
    ({"sampling": {"fraction": 0}}, "sampling.fraction", 0),
    ({"sampling": {"fraction": 1.5}}, "sampling.fraction", 1.5),
    ({"sampling": {"class_balancing": {"balance": False}}}, "sampling.class_balancing", None),
    ({"sampling": {"class_balancing": {}}, "labels": []}, "sampling.class_balancing", None),
    ({"event_sampling": {}}, "event_sampling", None),
    (
        {"event_sampling": {}, "events": [{"source": "effis", "files": ["x"]}], "sampling": {"cells": 3}},
        "event_sampling",
        None,
    ),
    ({"splits": {"train": 70, "val": 10, "test": 10}}, "splits", [70, 10, 10]),
    ({"splits": {"train": 120, "val": -20, "test": 0}}, "splits.val", -20),
    ({"splits": {"buffer_m": -1}}, "splits.buffer_m", -1),
    ({"thresholds": {"default": 0}}, "thresholds.default", 0),
    ({"thresholds": {"classes": {"trees": -5}}}, "thresholds.classes.trees", -5),
    ({"thresholds": {"classes": {"trees": 0}}}, "thresholds.classes.trees", 0),
    ({"thresholds": {"classes": {"trees": 101}}}, "thresholds.classes.trees", 101),
    ({"captions": []}, "captions", []),
    ({"captions": ["sentence", "sentence"]}, "captions", "sentence"),
    ({"languages": ["en", "en"]}, "languages", "en"),
    ({"labels": [{"source": "worldcover"}, {"source": "worldcover"}]}, "labels", "worldcover"),
    ({"labels": [{"source": "corine"}] * 2}, "labels", "corine"),
    ({"limit": 0}, "limit", 0),
    ({"grid": "mgrs"}, "grid", "mgrs"),
    ({"output": 3}, "output", 3),
    ({"output": {"shard_mb": 0}}, "output.shard_mb", 0),
    ({"output": {"formats": ["webdataset"]}}, "output.formats", ["webdataset"]),
    ({"output": {"formats": []}}, "output.formats", []),
    ({"output": {"formats": ["parquet", "zarr"]}}, "output.formats.1", "zarr"),
    ({"output": {"formats": "parquet"}}, "output.formats", "parquet"),
    ({"region": {"bbox": [0, 0, 1, 1], "geojson": "a.geojson"}}, "region", None),
    ({"region": {}}, "region", None),
    ({"region": {"bbox": [0, 0, 1]}}, "region.bbox.0", [0, 0, 1]),
    ({"region": {"bbox": [0, 0, 1, 1, 1]}}, "region.bbox.0", [0, 0, 1, 1, 1]),
    ({"region": {"bbox": [0, 2, 1, 1]}}, "region.bbox", [0, 2, 1, 1]),
    ({"region": {"bbox": [1, 0, 1, 1]}}, "region.bbox", [1, 0, 1, 1]),
    ({"region": {"bbox": [6e5, 5e6, 61e4, 501e4]}}, "region.bbox", [6e5, 5e6, 61e4, 501e4]),
    ({"region": {"bbox": ["east", 0, 1, 1]}}, "region.bbox.0", "east"),
    ({"region": {"bbox": [float("inf"), 0, 1, 1]}}, "region.bbox.0.0", float("inf")),
    ({"region": {"bbox": [45.2, 111.5, 45.7, 112.5]}}, "region.bbox", [45.2, 111.5, 45.7, 112.5]),
    ({"region": {"bbox": [361, 0, 362, 1]}}, "region.bbox", [361, 0, 362, 1]),
    *(({"resolution_m": value}, "resolution_m", value) for value in (8.98e-05, 1e-4, 0.25, 1e6)),
    ({"resolution_m": 1000}, "patch_px", 120),
    ({"splits": {"block_m": 1}}, "splits.block_m", 1),
    ({"splits": {"buffer_m": 0.01}}, "splits.buffer_m", 0.01),
]


@pytest.mark.parametrize(("changes", "key", "value"), INVALID, ids=lambda item: str(item)[:50])
def test_invalid_values_are_refused_with_file_key_and_value(tmp_path, changes, key, value):
    path = write_recipe(tmp_path, **changes)
    error = refuse(path)
    assert (error.file, error.key, error.value) == (str(path), key, value)


@pytest.mark.parametrize(
    ("changes", "similar"),
    [({"regoin": {}}, "region"), ({"splits": {"bufer_m": 3}}, "buffer_m"), ({"zzz": 1}, None)],
)
def test_unknown_keys_are_refused_with_a_similar_key(tmp_path, changes, similar):
    remedy = refuse(write_recipe(tmp_path, **changes)).remedy
    assert similar in remedy if similar else remedy is None


def test_all_mistakes_are_reported_at_once(tmp_path):
    path = write_recipe(tmp_path, name="A B", patch_px=7, zzz=1)
    error = refuse(path)
    assert {problem.key for problem in error.problems} == {"name", "patch_px", "zzz"}
    assert len(str(error).splitlines()) == 3


# -- YAML --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("name: tiny\nregion: {bbox: [1, 2\n", 3),
        ("name: tiny\n\tregion: 1\n", 2),
        ("name: a: b\n", 1),
        ("name: !python/object:os.system x\n", 1),
        ("name: tiny\ngrid: utm\nname: other\n", 3),
        ("name: tiny\ntime:\n  start: 1\n  start: 2\n", 4),
        ("name: tiny\n? [a, b]\n: 1\n", 2),
        ("name: tiny\x07\n", None),
        ("- name\n", None),
        ("", None),
        ("hello\n", None),
        (b"name: \xff\xfe\n", None),
    ],
)
def test_malformed_yaml_is_refused_with_file_and_line(tmp_path, content, line):
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = refuse(path)
    assert error.file == str(path) and (line is None or f"line {line}," in error.problem)


@pytest.mark.parametrize("day", ["2021-06-31", "2021-13-01", "2021-02-29"])
def test_unquoted_impossible_dates_are_errors_of_their_key(tmp_path, day):
    path = text(tmp_path / "a.yaml", yaml.safe_dump(RECIPE).replace("'2021-06-01'", day))
    error = refuse(path)
    assert (error.key, error.value) == ("time.start", day)


def test_unknown_recipes_are_refused_with_a_similar_name():
    with pytest.raises(UnknownName) as caught:
        load_recipe("dmeo")
    assert caught.value.value == "dmeo" and "'demo'" in caught.value.remedy and "europe" in caught.value.remedy


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(UnknownName) as caught:
        load_recipe(str(tmp_path / "gone.yaml"))
    assert caught.value.file == str(tmp_path / "gone.yaml")


# -- regions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        3,
        "null",
        [],
        {"type": "Blob"},
        {"type": "Point", "coordinates": [10, 45]},
        {"type": "LineString", "coordinates": [[10, 45], [11, 45]]},
        {"type": "FeatureCollection", "features": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[6e5, 5e6], [7e5, 5e6], [7e5, 6e6], [6e5, 5e6]]]},
        {"type": "Polygon", "coordinates": [[[45, 110], [46, 110], [46, 111], [45, 110]]]},
        {"type": "Polygon", "coordinates": [[[179, 10], [-179, 10], [-179, 11], [179, 11], [179, 10]]]},
        {**SQUARE, "crs": {"type": "name", "properties": {"name": "EPSG:999999"}}},
        {**SQUARE, "crs": {"type": "link"}},
    ],
)
def test_invalid_geojson_is_refused_with_the_file(tmp_path, document):
    file = write_geojson(tmp_path, document)
    assert refuse(write_recipe(tmp_path, region={"geojson": "aoi.geojson"})).file == str(file)


@pytest.mark.parametrize("content", ["{", "", None])
def test_unreadable_geojson_is_refused_with_recipe_key_and_file(tmp_path, content):
    if content is not None:
        write_geojson(tmp_path, content)
    path = write_recipe(tmp_path, region={"geojson": "aoi.geojson"})
    error = refuse(path)
    assert (error.file, error.key, error.value) == (str(path), "region.geojson", str(tmp_path / "aoi.geojson"))


def test_invalid_inline_geojson_is_refused_with_the_recipe(tmp_path):
    path = write_recipe(tmp_path, region={"geojson": {"type": "Point", "coordinates": [10, 45]}})
    error = refuse(path)
    assert (error.file, error.key) == (str(path), "region.geojson")


WRAPPED = [
    SQUARE,
    {"type": "Feature", "properties": {}, "geometry": SQUARE},
    {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": SQUARE}]},
    {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]},
    {"type": "Polygon", "coordinates": [[[*point, 100.0] for point in SQUARE["coordinates"][0]]]},
]


@pytest.mark.parametrize("document", WRAPPED)
def test_geojson_of_any_form_gives_the_same_region(tmp_path, document):
    write_geojson(tmp_path, document)
    region = load(tmp_path, region={"geojson": "aoi.geojson"}).region
    assert region.geometry.equals(shapely.box(10, 45, 11, 46)) and not region.geometry.has_z
    assert isinstance(region.geojson, dict)


def test_longitudes_beyond_180_are_the_same_region(tmp_path):
    outline = json.loads(shapely.to_geojson(shapely.box(179, 10, 182, 11)))
    regions = [{"bbox": [179, 10, -178, 11]}, {"bbox": [179, 10, 182, 11]}, {"geojson": outline}]
    west_of_greenwich = [{"bbox": [-3, 10, -2, 11]}, {"bbox": [357, 10, 358, 11]}]
    for same in (regions, west_of_greenwich):
        first, *repeated = (load(tmp_path, region=region).region.geometry for region in same)
        assert all(first.equals(area) for area in repeated)


@pytest.mark.parametrize(
    ("name", "epsg"),
    [("urn:ogc:def:crs:EPSG::32632", 32632), ("EPSG:3035", 3035), ("urn:ogc:def:crs:OGC:1.3:CRS84", 4326)],
)
def test_the_crs_of_an_old_geojson_is_honoured(tmp_path, name, epsg):
    square = shapely.box(10, 45, 11, 46)
    outline = reproject(shapely.segmentize(square, 0.01), 4326, epsg) if epsg != 4326 else square
    crs = {"type": "name", "properties": {"name": name}}
    write_geojson(tmp_path, json.loads(shapely.to_geojson(outline)) | {"crs": crs})
    region = load(tmp_path, region={"geojson": "aoi.geojson"}).region.geometry
    assert region.symmetric_difference(square).area < 1e-5


def test_overlapping_features_are_merged(tmp_path):
    overlapping = json.loads(shapely.to_geojson(shapely.box(10.5, 45, 12, 46)))
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in (SQUARE, overlapping)]
    write_geojson(tmp_path, {"type": "FeatureCollection", "features": features})
    region = load(tmp_path, region={"geojson": "aoi.geojson"}).region
    assert region.geometry.equals(shapely.box(10, 45, 12, 46))


def degrees(low, high):
    return st.floats(low, high).map(lambda value: round(value, 6))


@given(degrees(-180, 180), degrees(-180, 180), degrees(-89, 0), degrees(0.001, 89))
@examples(60)
def test_boxes_contain_their_centre_across_the_antimeridian(west, east, south, north):
    if west == east:
        return
    region = Recipe.model_validate(RECIPE | {"region": {"bbox": [west, south, east, north]}}).region.geometry
    width = (east - west) % 360
    assert region.area == pytest.approx(width * (north - south), abs=1e-6)
    middle = (west + width / 2 + 180) % 360 - 180
    if width > 1e-6 and abs(abs(middle) - 180) > 1e-6:
        assert shapely.contains_xy(region, middle, (south + north) / 2)


def test_a_region_is_a_box_or_a_list_of_boxes():
    region = Recipe.model_validate(RECIPE | {"region": {"bbox": [[0, 0, 1, 1], [2, 0, 3, 1]]}}).region
    assert region.geometry.equals(shapely.union(shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)))
    assert Recipe.model_validate(RECIPE | {"region": {"bbox": [0, 0, 1, 1]}}).region.bbox == ((0, 0, 1, 1),)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "bounds", "parts"),
    [
        ("1,2,3,4", (1, 2, 3, 4), 1),
        ("-10.5, -20, 3e0, 4", (-10.5, -20, 3, 4), 1),
        ("179,-17,-179,-16", (-180, -17, 180, -16), 2),
    ],
)
def test_four_numbers_are_a_box(tmp_path, option, bounds, parts):
    region = load(tmp_path, {"region": option}).region.geometry
    assert region.bounds == bounds and len(shapely.get_parts(region)) == parts


@pytest.mark.parametrize("option", ["1,2,3", "1,2,3,4,5", "4,3,2,1", "a,b,c,d", "nowhere"])
def test_invalid_region_options_are_refused(tmp_path, option):
    refuse(write_recipe(tmp_path), region=option)


def test_a_geojson_option_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    write_geojson(tmp_path / "a", SQUARE)
    monkeypatch.chdir(tmp_path / "a")
    region = load(tmp_path / "b", {"region": "aoi.geojson"}).region
    assert region.geometry.equals(shapely.box(10, 45, 11, 46))


def test_a_region_option_may_be_another_recipe(tmp_path):
    path = write_recipe(tmp_path / "other", region={"bbox": [20, -34, 21, -33]})
    recipe = load(tmp_path, {"region": str(path)})
    assert recipe.region.geometry.bounds == (20, -34, 21, -33) and recipe.name == "tiny"
    assert load(tmp_path, {"region": "demo"}).region == load_recipe("demo").region
    write_geojson(tmp_path / "other", SQUARE)
    path = write_recipe(tmp_path / "other", region={"geojson": "aoi.geojson"})
    assert load(tmp_path, {"region": str(path)}).region.geometry.equals(shapely.box(10, 45, 11, 46))


@pytest.mark.parametrize(("option", "sensors"), [("s2", ("s2",)), ("s2,s1", ("s1", "s2")), ("s2, s2", ("s2",))])
def test_sensors_of_the_command_line_override_the_recipe(tmp_path, option, sensors):
    assert load(tmp_path, {"sensors": option}, sensors=["s1"]).sensors == sensors


def test_formats_of_the_command_line_override_the_recipe(tmp_path):
    output = load(
        tmp_path, {"formats": " parquet "}, output={"shard_mb": 3, "formats": ["parquet", "webdataset"]}
    ).output
    assert (output.formats, output.shard_mb) == (("parquet",), 3)
    assert load(tmp_path, {"formats": "webdataset, parquet"}).output.formats == ("parquet", "webdataset")


@pytest.mark.parametrize(
    ("options", "key"),
    [({"sensors": "s3"}, "sensors.0"), ({"sensors": ""}, "sensors.0"), ({"limit": 0}, "limit")]
    + [({"formats": formats}, "output.formats") for formats in ("", "webdataset", "parquet;webdataset", "tar")],
)
def test_invalid_options_are_refused_as_keys(tmp_path, options, key):
    assert refuse(write_recipe(tmp_path), **options).key.startswith(key)


def test_a_format_option_keeps_an_invalid_output(tmp_path):
    assert refuse(write_recipe(tmp_path, output=3), formats="parquet").key == "output"


# -- the digest --------------------------------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_key_order_and_explicit_defaults(tmp_path):
    value = RECIPE | {"patch_px": 120, "sensors": ["s2", "s1"]}
    reverse = {key: value[key] for key in sorted(value, reverse=True)}
    paths = [
        text(tmp_path / name, yaml.safe_dump(content, sort_keys=False))
        for name, content in (("a.yaml", RECIPE), ("b.yaml", reverse))
    ]
    assert len({load_recipe(str(path)).digest for path in paths}) == 1


def test_the_digest_does_not_depend_on_where_and_how_geojson_is_stored(tmp_path):
    file = write_geojson(tmp_path / "a", SQUARE)
    write_geojson(tmp_path / "b" / "deep", WRAPPED[2], "other.json")
    recipes = [
        load(tmp_path / "a", region={"geojson": "aoi.geojson"}),
        load(tmp_path / "b", region={"geojson": "deep/other.json"}),
        load(tmp_path / "c", region={"geojson": str(file)}),
        load(tmp_path / "d", {"region": str(file)}),
    ]
    assert len({recipe.digest for recipe in recipes}) == 1


@pytest.mark.parametrize("changes", [{"catalog": "/a"}, {"output": {"formats": ["webdataset", "parquet", "parquet"]}}])
def test_the_digest_does_not_depend_on_catalogue_and_formats(tmp_path, changes):
    recipe, changed = load(tmp_path), load(tmp_path, **changes)
    assert changed != recipe and changed.digest == recipe.digest and changed.canonical() == recipe.canonical()


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"region": "1,2,3,4"}, {}),
        ({"sensors": "s2"}, {}),
        ({"limit": 5}, {}),
        ({}, {"name": "other"}),
        ({}, {"patch_px": 60}),
        ({}, {"time": RECIPE["time"] | {"period": "month"}}),
        ({}, {"sampling": {"seed": 1}}),
        ({}, {"thresholds": {"classes": {"trees": 6}}}),
        ({}, {"labels": []}),
        ({}, {"splits": {"buffer_m": 0}}),
        ({}, {"max_pair_gap_days": 3}),
    ],
)
def test_the_digest_depends_on_what_determines_samples(tmp_path, options, changes):
    assert load(tmp_path, options, **changes).digest != load(tmp_path).digest


def test_the_canonical_form_is_a_recipe(tmp_path):
    write_geojson(tmp_path, SQUARE)
    gazetteer = {"file": "maps/places.csv", "licence": "x", "attribution": "y"}
    recipe = load(tmp_path, {"limit": 3}, region={"geojson": "aoi.geojson"}, gazetteer=gazetteer)
    copy = Recipe.model_validate(json.loads(json.dumps(recipe.canonical())))
    assert copy.digest == recipe.digest and copy.region.geometry.equals(recipe.region.geometry)
    assert recipe.gazetteer.file == str(tmp_path / "maps/places.csv") and copy.gazetteer.file == "places.csv"


# -- shipped profiles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", available("profiles/providers"))
def test_shipped_providers_are_valid(name):
    assert load_model(Provider, "profiles/providers", name).name == name


@pytest.mark.parametrize("name", ["s1", "s2"])
def test_bands_are_stored_once_and_read_once(name):
    sensor = load_sensor(name)
    stored = [band for group in sensor.groups for band in group.bands]
    assert len(set(stored)) == len(stored) and sorted(stored) == sorted(sensor.order)


def test_providers_without_a_band_are_refused(tmp_path):
    value = read_yaml(find_resource("profiles/providers", "planetary-computer"))
    del value["sensors"]["s2"]["assets"]["B8A"]
    path = text(tmp_path / "p.yaml", yaml.safe_dump(value))
    with pytest.raises(InputError) as caught:
        load_model(Provider, "profiles/providers", str(path))
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), "sensors.s2.assets", ["B8A"])
