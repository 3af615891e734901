import json

import pytest
import shapely
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landmark.config.profiles import Provider, load_sensor
from landmark.config.recipe import Recipe, load_recipe
from landmark.core.errors import InputError, UnknownName
from landmark.core.yaml_files import known, load, read
from tests.parts import examples, text

PLAIN = {
    "name": "tiny",
    "region": {"bbox": [11.5, 45.2, 12.5, 45.7]},
    "time": {"start": "2021-06-01", "end": "2022-05-31"},
    "labels": [{"source": "worldcover"}],
}
SQUARE = {"type": "Polygon", "coordinates": [[[10, 45], [11, 45], [11, 46], [10, 46], [10, 45]]]}


def written(folder, **changes):
    """A recipe on disk; None removes a key."""
    value = {key: item for key, item in (PLAIN | changes).items() if item is not None}
    return text(folder / "a.yaml", yaml.safe_dump(value))


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        load_recipe(str(path), **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


# -- wrong values ------------------------------------------------------------------------------------------------------

WRONG = [
    ("an unknown key", {"regoin": {}}, ["unknown key `regoin`", "did you mean `region`"]),
    ("an unknown key inside", {"time": PLAIN["time"] | {"perod": "year"}}, ["`time.perod`", "did you mean `period`"]),
    ("an unknown key of the splits", {"splits": {"bufer_m": 3}}, ["`splits.bufer_m`", "did you mean `buffer_m`"]),
    ("an unknown key in a list", {"labels": [{"sorce": "worldcover"}]}, ["`labels.0.sorce`"]),
    ("nothing like a key", {"zzz": 1}, ["unknown key `zzz`"]),
    ("no region", {"region": None}, ["key `region` is missing"]),
    ("no labels", {"labels": None}, ["key `labels` is missing"]),
    ("no end", {"time": {"start": "2021-06-01"}}, ["key `time.end` is missing"]),
    ("a name with blanks", {"name": "my corpus"}, ["`name`", "'my corpus'"]),
    ("a name with capitals", {"name": "Tiny"}, ["`name`", "'Tiny'"]),
    ("a number as name", {"name": 3}, ["`name`", "got 3"]),
    ("a sensor nobody has", {"sensors": ["s3"]}, ["`sensors.0`", "'s3'", "'s1'"]),
    ("no sensor", {"sensors": []}, ["`sensors`"]),
    ("a period nobody has", {"time": PLAIN["time"] | {"period": "week"}}, ["`time.period`", "'week'"]),
    ("a day as text", {"time": {"start": "June", "end": "2022-05-31"}}, ["`time.start`", "'June'"]),
    ("end before start", {"time": {"start": "2022-05-31", "end": "2021-06-01"}}, ["`time`", "2021-06-01 is before"]),
    ("an odd patch", {"patch_px": 100}, ["`patch_px`", "multiple of 6", "got 100"]),
    ("a tiny patch", {"patch_px": 0}, ["`patch_px`", "got 0"]),
    ("a text as patch", {"patch_px": "big"}, ["`patch_px`", "'big'"]),
    ("no resolution", {"resolution_m": 0}, ["`resolution_m`", "got 0"]),
    ("too much cloud", {"clouds": {"max_chip_pct": 101}}, ["`clouds.max_chip_pct`", "got 101"]),
    ("less than no cloud", {"clouds": {"max_item_pct": -1}}, ["`clouds.max_item_pct`", "got -1"]),
    ("no fraction", {"sampling": {"fraction": 0}}, ["`sampling.fraction`", "got 0"]),
    ("more than all", {"sampling": {"fraction": 1.5}}, ["`sampling.fraction`", "got 1.5"]),
    ("shares of 90", {"splits": {"train": 70, "val": 10, "test": 10}}, ["`splits`", "must be 100"]),
    ("a negative share", {"splits": {"train": 120, "val": -20, "test": 0}}, ["`splits.val`", "got -20"]),
    ("a negative buffer", {"splits": {"buffer_m": -1}}, ["`splits.buffer_m`", "got -1"]),
    ("a threshold of nought", {"thresholds": {"default": 0}}, ["`thresholds.default`", "got 0"]),
    ("no caption", {"captions": []}, ["`captions`"]),
    ("a limit of nought", {"limit": 0}, ["`limit`", "got 0"]),
    ("a grid nobody has", {"grid": "mgrs"}, ["`grid`", "'mgrs'"]),
    ("a shard of nothing", {"output": {"shard_mb": 0}}, ["`output.shard_mb`", "got 0"]),
    ("no parquet", {"output": {"formats": ["webdataset"]}}, ["`output.formats`", "add parquet", "webdataset"]),
    ("no format", {"output": {"formats": []}}, ["`output.formats`", "add parquet"]),
    ("a format nobody has", {"output": {"formats": ["parquet", "zarr"]}}, ["`output.formats.1`", "'zarr'"]),
    ("a format as text", {"output": {"formats": "parquet"}}, ["`output.formats`", "'parquet'"]),
    ("bbox and geojson", {"region": {"bbox": [0, 0, 1, 1], "geojson": "a.geojson"}}, ["`region`", "exactly one of"]),
    ("neither bbox nor geojson", {"region": {}}, ["`region`", "exactly one of"]),
    ("a box of three", {"region": {"bbox": [0, 0, 1]}}, ["`region.bbox.0`"]),
    ("a box of five", {"region": {"bbox": [0, 0, 1, 1, 1]}}, ["`region.bbox.0"]),
    ("south above north", {"region": {"bbox": [0, 2, 1, 1]}}, ["`region.bbox`", "south < north"]),
    ("a box of no width", {"region": {"bbox": [1, 0, 1, 1]}}, ["`region.bbox`", "[west, south, east, north]"]),
    ("metres as degrees", {"region": {"bbox": [600000, 5000000, 610000, 5010000]}}, ["`region.bbox`", "degrees"]),
    ("not a number", {"region": {"bbox": [float("nan"), 0, 1, 1]}}, ["`region.bbox.0.0`", "finite"]),
    ("latitude first", {"region": {"bbox": [45.2, 111.5, 45.7, 112.5]}}, ["`region.bbox`"]),
]


@pytest.mark.parametrize(("changes", "words"), [pytest.param(*row, id=name) for name, *row in WRONG])
def test_a_wrong_recipe_is_refused_with_file_key_and_value(tmp_path, changes, words):
    message = refusal(written(tmp_path, **changes))
    assert [word for word in words if word not in message] == []


def test_every_mistake_has_a_line_of_its_own(tmp_path):
    path = written(tmp_path, name="A B", patch_px=7, zzz=1)
    lines = refusal(path).splitlines()
    assert len(lines) == 3 and all(line.startswith(f"{path}: ") for line in lines)


@pytest.mark.parametrize("percent", [-5, 0, 101, 500])
def test_a_threshold_of_a_class_lies_between_nought_and_a_hundred(tmp_path, percent):
    assert "thresholds.classes" in refusal(written(tmp_path, thresholds={"classes": {"trees": percent}}))


def test_a_label_source_named_twice_is_refused(tmp_path):
    assert "labels" in refusal(written(tmp_path, labels=[{"source": "worldcover"}, {"source": "worldcover"}]))


# -- wrong YAML --------------------------------------------------------------------------------------------------------

MALFORMED = [
    ("an open bracket", "name: tiny\nregion: {bbox: [1, 2\n", ["line 3", "malformed YAML"]),
    ("a tab", "name: tiny\n\tregion: 1\n", ["line 2", "malformed YAML"]),
    ("two colons", "name: a: b\n", ["line 1", "malformed YAML"]),
    ("an unknown tag", "name: !python/object:os.system x\n", ["line 1", "malformed YAML"]),
    ("a key twice", "name: tiny\ngrid: utm\nname: other\n", ["line 3", "'name' is written twice"]),
    ("a key twice inside", "name: tiny\ntime:\n  start: 1\n  start: 2\n", ["line 4", "'start' is written twice"]),
    ("a list", "- name\n", ["keys and values, not list"]),
    ("nothing", "", ["keys and values, not NoneType"]),
    ("a word", "hello\n", ["keys and values, not str"]),
    ("a list as key", "name: tiny\n? [a, b]\n: 1\n", ["malformed YAML"]),
    ("a control character", "name: tiny\x07\n", ["malformed YAML"]),
]


@pytest.mark.parametrize(("content", "words"), [pytest.param(*row, id=name) for name, *row in MALFORMED])
def test_malformed_yaml_is_refused_with_file_and_line(tmp_path, content, words):
    message = refusal(text(tmp_path / "a.yaml", content))
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("day", ["2021-06-31", "2021-13-01", "2021-02-29"])
def test_a_day_that_no_calendar_has_is_refused_with_key_and_value(tmp_path, day):
    path = text(tmp_path / "a.yaml", yaml.safe_dump(PLAIN).replace("'2021-06-01'", day))
    assert day in path.read_text()
    message = refusal(path)
    assert "time.start" in message and day in message


def test_bytes_that_are_no_text_are_refused_with_the_file(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe\n")
    assert "not UTF-8" in refusal(tmp_path / "a.yaml")


def test_a_recipe_nobody_wrote_is_refused_with_the_nearest_and_the_known_ones():
    with pytest.raises(UnknownName, match=r"no recipe named 'dmeo'. Did you mean 'demo'\? Known: .*demo"):
        load_recipe("dmeo")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnknownName, match=r"gone\.yaml: no such file"):
        load_recipe(str(tmp_path / "gone.yaml"))


# -- regions -----------------------------------------------------------------------------------------------------------


def shipped(tmp_path, document, name="aoi.geojson"):
    return text(tmp_path / name, document if isinstance(document, str) else json.dumps(document))


BROKEN = [
    ("no JSON", "{", ["cannot be read as JSON"]),
    ("an empty file", "", ["cannot be read as JSON"]),
    ("a number", 3, []),
    ("null", "null", []),
    ("a list", [], []),
    ("an unknown type", {"type": "Blob"}, []),
    ("a point", {"type": "Point", "coordinates": [10, 45]}, ["must be a polygon"]),
    ("a line", {"type": "LineString", "coordinates": [[10, 45], [11, 45]]}, ["must be a polygon"]),
    ("nothing", {"type": "FeatureCollection", "features": []}, ["must be a polygon"]),
    ("a ring of two", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, []),
    ("metres", {"type": "Polygon", "coordinates": [[[6e5, 5e6], [7e5, 5e6], [7e5, 6e6], [6e5, 5e6]]]}, ["degrees"]),
]


@pytest.mark.parametrize(("document", "words"), [pytest.param(*row, id=name) for name, *row in BROKEN])
def test_a_broken_geojson_is_refused_with_its_path(tmp_path, document, words):
    file = shipped(tmp_path, document)
    path = written(tmp_path, region={"geojson": "aoi.geojson"})
    with pytest.raises(InputError) as caught:
        load_recipe(str(path))
    assert str(file) in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_missing_geojson_is_refused_with_recipe_key_and_file(tmp_path):
    message = refusal(written(tmp_path, region={"geojson": "gone.geojson"}))
    assert "region.geojson" in message and str(tmp_path / "gone.geojson") in message


def test_an_inline_geojson_is_refused_with_the_recipes_path(tmp_path):
    refusal(written(tmp_path, region={"geojson": {"type": "Point", "coordinates": [10, 45]}}))


WRAPPED = [
    SQUARE,
    {"type": "Feature", "properties": {}, "geometry": SQUARE},
    {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": SQUARE}]},
    {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]},
    {"type": "Polygon", "coordinates": [[[*point, 100.0] for point in SQUARE["coordinates"][0]]]},
]


@pytest.mark.parametrize("document", WRAPPED)
def test_an_area_is_the_same_however_geojson_wraps_it(tmp_path, document):
    shipped(tmp_path, document)
    region = load_recipe(str(written(tmp_path, region={"geojson": "aoi.geojson"}))).region
    assert region.geometry.equals(shapely.box(10, 45, 11, 46)) and not region.geometry.has_z
    assert isinstance(region.geojson, dict)


def test_features_that_overlap_are_one_area(tmp_path):
    other = shapely.to_geojson(shapely.box(10.5, 45, 12, 46))
    features = [{"type": "Feature", "properties": {}, "geometry": each} for each in (SQUARE, json.loads(other))]
    shipped(tmp_path, {"type": "FeatureCollection", "features": features})
    region = load_recipe(str(written(tmp_path, region={"geojson": "aoi.geojson"}))).region
    assert region.geometry.equals(shapely.box(10, 45, 12, 46))


def degrees(low, high):
    return st.floats(low, high).map(lambda value: round(value, 6))


@given(degrees(-180, 180), degrees(-180, 180), degrees(-89, 0), degrees(0.001, 89))
@examples(60)
def test_a_box_holds_the_points_between_its_edges_even_over_the_antimeridian(west, east, south, north):
    if west == east:
        return
    region = Recipe.model_validate(PLAIN | {"region": {"bbox": [west, south, east, north]}}).region.geometry
    wide = (east - west) % 360
    assert region.area == pytest.approx(wide * (north - south), abs=1e-6)
    middle = (west + wide / 2 + 180) % 360 - 180
    if wide > 1e-6 and abs(abs(middle) - 180) > 1e-6:
        assert shapely.contains_xy(region, middle, (south + north) / 2)


def test_several_boxes_are_one_area_and_one_box_may_stand_alone():
    two = Recipe.model_validate(PLAIN | {"region": {"bbox": [[0, 0, 1, 1], [2, 0, 3, 1]]}}).region
    assert two.geometry.equals(shapely.union(shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)))
    one = Recipe.model_validate(PLAIN | {"region": {"bbox": [0, 0, 1, 1]}}).region
    assert one.bbox == ((0, 0, 1, 1),)


# -- the command line's region -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "box"),
    [
        ("1,2,3,4", (1, 2, 3, 4)),
        ("-10.5, -20, 3e0, 4", (-10.5, -20, 3, 4)),
        ("179,-17,-179,-16", None),
    ],
)
def test_a_region_of_four_numbers_is_a_box(tmp_path, given_, box):
    region = load_recipe(str(written(tmp_path)), region=given_).region
    assert region.geometry.bounds == (box or (-180, -17, 180, -16))
    assert len(shapely.get_parts(region.geometry)) == (1 if box else 2)


@pytest.mark.parametrize("given_", ["1,2,3", "1,2,3,4,5", "4,3,2,1", "a,b,c,d"])
def test_a_region_that_is_no_box_is_refused(tmp_path, given_):
    with pytest.raises(InputError):
        load_recipe(str(written(tmp_path)), region=given_)


def test_a_region_may_be_a_geojson_file_relative_to_where_the_command_runs(tmp_path, monkeypatch):
    shipped(tmp_path / "here", SQUARE)
    monkeypatch.chdir(tmp_path / "here")
    asked = load_recipe(str(written(tmp_path / "there")), region="aoi.geojson")
    assert asked.region.geometry.equals(shapely.box(10, 45, 11, 46))


def test_a_region_may_be_that_of_another_recipe(tmp_path):
    other = written(tmp_path / "other", region={"bbox": [20, -34, 21, -33]})
    asked = load_recipe(str(written(tmp_path)), region=str(other))
    assert asked.region.geometry.bounds == (20, -34, 21, -33) and asked.name == "tiny"
    assert load_recipe(str(written(tmp_path)), region="demo").region == load_recipe("demo").region


def test_the_geojson_of_another_recipe_lies_beside_that_recipe(tmp_path):
    shipped(tmp_path / "other", SQUARE)
    other = written(tmp_path / "other", region={"geojson": "aoi.geojson"})
    asked = load_recipe(str(written(tmp_path)), region=str(other))
    assert asked.region.geometry.equals(shapely.box(10, 45, 11, 46))


def test_a_region_of_a_recipe_nobody_wrote_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="no recipe named 'nowhere'"):
        load_recipe(str(written(tmp_path)), region="nowhere")


@pytest.mark.parametrize(("sensors", "kept"), [("s2", ("s2",)), ("s2,s1", ("s1", "s2")), ("s2, s2", ("s2",))])
def test_sensors_of_the_command_line_go_before_the_recipes(tmp_path, sensors, kept):
    assert load_recipe(str(written(tmp_path, sensors=["s1"])), sensors=sensors).sensors == kept


@pytest.mark.parametrize("options", [{"sensors": "s3"}, {"sensors": ""}, {"limit": 0}])
def test_a_wrong_option_is_refused_like_a_wrong_key(tmp_path, options):
    assert f"`{next(iter(options))}" in refusal(written(tmp_path), **options)


# -- the digest --------------------------------------------------------------------------------------------------------


def test_the_digest_is_independent_of_the_order_of_keys_and_of_defaults_written_out(tmp_path):
    value = PLAIN | {"patch_px": 120, "sensors": ["s2", "s1"]}
    backwards = {key: value[key] for key in sorted(value, reverse=True)}
    one = text(tmp_path / "one.yaml", yaml.safe_dump(PLAIN, sort_keys=False))
    other = text(tmp_path / "other.yaml", yaml.safe_dump(backwards, sort_keys=False))
    assert one.read_text() != other.read_text()
    assert load_recipe(str(one)).digest == load_recipe(str(other)).digest


def test_the_digest_is_independent_of_where_the_geojson_lies_and_how_it_is_wrapped(tmp_path):
    shipped(tmp_path / "one", SQUARE)
    shipped(tmp_path / "two" / "deep", WRAPPED[2], "other.json")
    first = written(tmp_path / "one", region={"geojson": "aoi.geojson"})
    second = written(tmp_path / "two", region={"geojson": "deep/other.json"})
    third = written(tmp_path / "three", region={"geojson": str(tmp_path / "one" / "aoi.geojson")})
    fourth = load_recipe(str(written(tmp_path / "four")), region=str(tmp_path / "one" / "aoi.geojson"))
    digests = {load_recipe(str(path)).digest for path in (first, second, third)} | {fourth.digest}
    assert len(digests) == 1


def test_the_digest_is_independent_of_where_the_archive_is_reached(tmp_path):
    one, other = (load_recipe(str(written(tmp_path, catalog=place))) for place in ("/a", "/b"))
    assert one.digest == other.digest


OTHER_REQUESTS = [
    ({"region": "1,2,3,4"}, {}),
    ({"sensors": "s2"}, {}),
    ({"limit": 5}, {}),
    ({}, {"name": "other"}),
    ({}, {"patch_px": 60}),
    ({}, {"time": PLAIN["time"] | {"period": "month"}}),
    ({}, {"sampling": {"seed": 1}}),
    ({}, {"thresholds": {"classes": {"trees": 6}}}),
    ({}, {"labels": []}),
    ({}, {"splits": {"buffer_m": 0}}),
    ({}, {"max_pair_gap_days": 3}),
]


@pytest.mark.parametrize(("options", "changes"), OTHER_REQUESTS)
def test_the_digest_changes_with_what_is_asked_for(tmp_path, options, changes):
    plain = load_recipe(str(written(tmp_path / "one")))
    assert load_recipe(str(written(tmp_path / "two", **changes)), **options).digest != plain.digest


def test_a_resolved_recipe_reads_back_from_its_own_json(tmp_path):
    shipped(tmp_path, SQUARE)
    asked = load_recipe(str(written(tmp_path, region={"geojson": "aoi.geojson"})), limit=3)
    again = Recipe.model_validate(json.loads(json.dumps(asked.asked())))
    assert again.digest == asked.digest and again.region.geometry.equals(asked.region.geometry)


# -- the shipped files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", known("manifests"))
def test_every_shipped_recipe_is_right(name):
    assert not load_recipe(name).region.geometry.is_empty


@pytest.mark.parametrize("name", known("profiles/providers"))
def test_every_shipped_provider_is_right(name):
    assert load(Provider, "profiles/providers", name).name == name


@pytest.mark.parametrize("name", ["s1", "s2"])
def test_every_band_of_a_sensor_is_stored_once_and_handed_back_once(name):
    sensor = load_sensor(name)
    stored = [band for group in sensor.groups for band in group.bands]
    assert len(set(stored)) == len(stored) and sorted(stored) == sorted(sensor.order)


def test_a_provider_that_lacks_a_band_is_refused(tmp_path):
    from landmark.core.yaml_files import find

    value = read(find("profiles/providers", "planetary-computer"))
    del value["sensors"]["s2"]["assets"]["B8A"]
    path = text(tmp_path / "p.yaml", yaml.safe_dump(value))
    with pytest.raises(InputError, match=r"p\.yaml: .*sensors\.s2\.assets lacks B8A"):
        load(Provider, "profiles/providers", str(path))


# -- formats -----------------------------------------------------------------------------------------------------------


def test_formats_change_neither_the_request_nor_its_digest(tmp_path):
    plain = load_recipe(str(written(tmp_path)))
    asked = load_recipe(str(written(tmp_path, output={"formats": ["webdataset", "parquet", "parquet"]})))
    assert asked.output.formats == ("parquet", "webdataset") and plain.output.formats == ("parquet",)
    assert asked.digest == plain.digest and asked.asked() == plain.asked()
    assert asked.asked()["output"] == {"shard_mb": 256}


def test_formats_of_the_command_line_go_before_the_recipes_and_leave_the_rest(tmp_path):
    path = str(written(tmp_path, output={"shard_mb": 3, "formats": ["parquet", "webdataset"]}))
    output = load_recipe(path, formats=" parquet ").output
    assert (output.formats, output.shard_mb) == (("parquet",), 3)
    assert load_recipe(str(written(tmp_path)), formats="webdataset, parquet").output.formats[1] == "webdataset"


@pytest.mark.parametrize("formats", ["", "webdataset", "parquet;webdataset", "tar"])
def test_wrong_formats_of_the_command_line_are_refused(tmp_path, formats):
    assert "output.formats" in refusal(written(tmp_path), formats=formats)


def test_formats_over_an_output_that_is_no_mapping_leave_the_complaint_about_it(tmp_path):
    assert "`output`" in refusal(written(tmp_path, output=3), formats="parquet")
