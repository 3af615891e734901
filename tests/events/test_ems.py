"""Copernicus EMS packages of all layouts and naming conventions."""

import datetime as dt
import json
import shutil
import zipfile
from pathlib import Path

import geopandas
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.domain.event import Event
from landmark.events.geometry import affected_km2, area_km2
from landmark.events.result import ReadResult
from tests.events.writers import (
    AOI,
    BOWTIE,
    EAST,
    FIRE,
    FLOOD,
    WEST,
    activation,
    flood,
    grading,
    has_note,
    layer,
    read,
    read_error,
    table,
    zipped,
)

DATE = {"EMSR332": "2018-10-29"}
DAY = dt.datetime(2018, 10, 29, tzinfo=dt.UTC)
DATED = {"dates": {"EMSR900": "2018-10-29"}}


def km2(event: Event, name: str) -> float:
    """Area of a part in EPSG:32632, to three decimals."""
    return round(float(geopandas.GeoSeries([event.part(name)], crs=4326).to_crs(32632).area.sum()) / 1e6, 3)


def only(result: ReadResult) -> Event:
    assert len(result.events) == 1
    return result.events[0]


def same(geometry: BaseGeometry | None, expected: BaseGeometry) -> bool:
    return geometry is not None and bool(shapely.equals(geometry, expected))


def square(lon: float, lat: float) -> shapely.Polygon:
    return shapely.box(lon, lat, lon + 0.001, lat + 0.001)


@pytest.fixture
def emsr332(real: Path, tmp_path: Path) -> Path:
    shutil.copytree(real / "crisis" / "EMSR332", tmp_path / "EMSR332")
    return tmp_path / "EMSR332"


def test_extents_of_a_real_activation_equal_the_services_figures(emsr332: Path, real: Path) -> None:
    expected = json.loads((real / "expected.json").read_text())["emsr332_flood_union_km2_epsg32632"]
    both = {event.id: event for event in read(emsr332, dates=DATE).events}
    for monitoring in emsr332.glob("*MONIT*"):
        monitoring.unlink()
    first = {event.id: event for event in read(emsr332, dates=DATE).events}
    for id_, place in (("emsr332-01verona", "VERONA"), ("emsr332-02padova", "PADOVA")):
        assert km2(first[id_], "observed") == expected[place]["DEL"]
        assert km2(both[id_], "observed") == expected[place]["DEL_MONIT01"]
        assert "MONIT01" in both[id_].product and "MONIT01" not in first[id_].product
    assert expected["ROVERETO"] == {}
    assert [part.name for part in both["emsr332-03rovereto"].parts] == ["aoi"]
    assert both["emsr332-03rovereto"].type == "flood", "the type of the activation's other areas"


def test_repaired_and_replaced_products_are_noted(emsr332: Path) -> None:
    result = read(emsr332, dates=DATE)
    assert result.repaired == {"emsr332-01verona": 0, "emsr332-02padova": 49, "emsr332-03rovereto": 0}
    assert has_note(result, "49 polygons", "EMSR332_02PADOVA_DEL_MONIT01_v1")
    assert has_note(result, "EMSR332_01VERONA_DEL_MONIT01_v1", "EMSR332_01VERONA_DEL_v1")
    assert {path.name for path in result.files} == {path.name for path in emsr332.iterdir()}
    assert all(part.geometry.is_valid for event in result.events for part in event.parts)
    assert {(event.group, event.start) for event in result.events} == {("emsr332", DAY)}


def test_a_package_gives_the_same_events_in_every_layout(emsr332: Path, tmp_path: Path) -> None:
    plain = read(emsr332, dates=DATE)
    flat = zipped(tmp_path / "flat.zip", emsr332.iterdir())
    stems = sorted({"_".join(path.name.split("_")[:-4]) for path in emsr332.glob("*area_of_interest_a.shp")})
    packages = [
        zipped(tmp_path / "deep" / f"{stem}_vector.zip", emsr332.glob(f"{stem}_[ao]*"), f"{stem}/") for stem in stems
    ]
    nested = zipped(tmp_path / "nested.zip", packages)
    assert len(packages) == 5
    for paths in ([flat], packages, [nested], [tmp_path / "deep"], [emsr332, flat]):
        again = read(*paths, dates=DATE)
        assert again.events == plain.events
        assert again.repaired == plain.repaired


def test_a_layer_in_two_formats_is_read_once(tmp_path: Path) -> None:
    name = "EMSR900_AOI01_DEL_PRODUCT"
    for suffix, crs in ((".shp", 32632), (".json", 4326)):
        layer(tmp_path / f"{name}_observedEventA_r1_v1{suffix}", [BOWTIE], FLOOD, crs=crs)
        layer(tmp_path / f"{name}_areaOfInterestA_r1_v1{suffix}", [AOI], {"emsr_id": "EMSR900"}, crs=crs)
    result = read(tmp_path, **DATED)
    event = only(result)
    assert (event.id, event.product) == ("emsr900-aoi01", f"{name}_r1_v1")
    assert result.repaired == {"emsr900-aoi01": 1}
    triangles = shapely.make_valid(BOWTIE)
    assert shapely.area(shapely.symmetric_difference(event.part("observed"), triangles)) < 1e-3 * triangles.area


def test_packages_of_2016_in_utm_with_capital_attributes(tmp_path: Path) -> None:
    folder = tmp_path / "EMSR900_01PLACE_DELINEATION_OVERVIEW_v1_vector"
    stem = "EMSR900_01PLACE_01DELINEATION_v1_50000"
    attributes = {"EVENT_TYPE": "Flood", "OBJ_DESC": "Null"}
    layer(folder / f"{stem}_crisis_information_poly.shp", [WEST], attributes, crs=32632)
    layer(folder / f"{stem}_area_of_interest.shp", [AOI], {"EMSR_ID": "EMSR900"}, crs=32632)
    layer(folder / f"{stem}_hydrography_poly.shp", [EAST], {"OBJ_DESC": "Lake"}, crs=32632)
    event = only(read(zipped(tmp_path / "a.zip", folder.iterdir(), f"{folder.name}/"), **DATED))
    assert (event.id, event.type) == ("emsr900-01place", "flood")
    assert affected_km2(event) == pytest.approx(area_km2(WEST), rel=1e-3), "hydrography is no flood"


def test_layers_named_after_their_folder_or_geopackage(tmp_path: Path) -> None:
    bare = tmp_path / "a" / "EMSR900_01PLACE_DEL_v1_vector"
    layer(bare / "observed_event_a.shp", [WEST], FLOOD)
    pack = tmp_path / "b" / "EMSR900_01PLACE_DEL_v1.gpkg"
    pack.parent.mkdir()
    frame = geopandas.GeoDataFrame([FLOOD], geometry=[WEST], crs=4326)
    frame.to_file(pack, layer="observedEventA_v1")
    named, packed = only(read(tmp_path / "a", **DATED)), only(read(tmp_path / "b", **DATED))
    assert named.id == packed.id == "emsr900-01place"
    assert named.parts == packed.parts


def test_later_versions_and_releases_replace_earlier(tmp_path: Path) -> None:
    flood(tmp_path, "EMSR900_01PLACE_DEL_v1", shapes=[WEST, EAST])
    flood(tmp_path, "EMSR900_01PLACE_DEL_v2", shapes=[EAST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), EAST)
    flood(tmp_path, "EMSR900_01PLACE_DEL_r2_v1", shapes=[WEST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), WEST)


def test_empty_monitoring_products_are_ignored(tmp_path: Path) -> None:
    flood(tmp_path)
    layer(tmp_path / "EMSR900_01PLACE_DEL_MONIT01_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    rows = geopandas.GeoDataFrame({"event_type": ["x"]}, geometry=[WEST], crs=4326).iloc[:0]
    rows.to_file(tmp_path / "EMSR900_01PLACE_DEL_MONIT01_v1_observed_event_a.shp")
    result = read(tmp_path, **DATED)
    assert only(result).product == "EMSR900_01PLACE_DEL_v1"
    assert has_note(result, "EMSR900_01PLACE_DEL_MONIT01_v1")


def test_the_extent_is_the_delineations_or_else_the_gradings(tmp_path: Path) -> None:
    flood(tmp_path, "EMSR900_01PLACE_GRA_v1", shapes=[EAST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), EAST)
    flood(tmp_path, "EMSR900_01PLACE_DEL_v1", shapes=[WEST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), WEST)


def test_reference_products_give_no_event_but_an_area_of_interest(tmp_path: Path) -> None:
    reference = tmp_path / "EMSR900_02OTHER_REF_v1_area_of_interest_a.shp"
    layer(reference, [EAST], {"emsr_id": "EMSR900"})
    result = read(flood(tmp_path), **DATED)
    assert only(result).id == "emsr900-01place", "the other area was not analysed after the event"
    assert has_note(result, "EMSR900 02OTHER")
    layer(tmp_path / "EMSR900_02OTHER_DEL_v1_observed_event_a.shp", [EAST], FLOOD)
    events = {event.id: event for event in read(tmp_path, **DATED).events}
    assert same(events["emsr900-02other"].part("aoi"), EAST)


def test_areas_that_were_not_analysed_are_not_in_the_aoi(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_not_analysed_a.shp", [EAST], {"obj_type": "cloud"})
    aoi = only(read(flood(tmp_path), **DATED)).part("aoi")
    assert aoi is not None
    assert aoi.area == pytest.approx(AOI.area - EAST.area)
    assert not aoi.contains(EAST.centroid)


def test_an_event_mapped_as_points_is_no_true_negative(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_AOI01_DEL_PRODUCT_observedEventP_v1.json", [shapely.Point(11.85, 45.35)], FLOOD)
    layer(tmp_path / "EMSR900_AOI01_DEL_PRODUCT_areaOfInterestA_v1.json", [AOI], {"emsr_id": "EMSR900"})
    activation(tmp_path, "EMSR900", "Flood")
    result = read(tmp_path)
    assert not result.events
    assert len(result.notes) == 1 and has_note(result, "emsr900-aoi01")


def test_an_area_without_an_extent_gets_the_type_of_the_document(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    result = read(tmp_path)
    assert not result.events and has_note(result, "EMSR900 01PLACE")
    activation(tmp_path, "EMSR900", "Wildfire")
    event = only(read(tmp_path))
    assert (event.type, event.start.hour) == ("fire", 6)
    assert tmp_path / "EMSR900.json" in read(tmp_path).files


def test_an_unknown_start_is_refused(tmp_path: Path) -> None:
    flood(tmp_path)
    table(
        tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf",
        {"src_id": 2, "src_date": "31/10/2018", "source_tm": "T09:00:00Z"},
    )
    error = read_error(tmp_path)
    assert (error.key, error.value) == ("events.copernicus-ems.dates", "EMSR900")


def test_the_start_is_the_recipes_or_else_the_documents(tmp_path: Path) -> None:
    flood(tmp_path)
    activation(tmp_path, "EMSR900", "Flood", "2018-10-28T18:30:00")
    assert only(read(tmp_path)).start == dt.datetime(2018, 10, 28, 18, 30, tzinfo=dt.UTC)
    assert only(read(tmp_path, **DATED)).start == DAY
    dates = {"EMSR900": "2018-01-01", "emsr900-01place": ["2018-10-27", "2018-11-02"]}
    event = only(read(tmp_path, dates=dates))
    assert event.start == dt.datetime(2018, 10, 27, tzinfo=dt.UTC)
    assert event.end == dt.datetime(2018, 11, 2, 23, 59, 59, 999999, tzinfo=dt.UTC)


def test_the_observation_is_the_referenced_image_and_not_after_the_end(tmp_path: Path) -> None:
    rows = [(1, "01/10/2018"), (2, "20/11/2018"), (7, "24/12/2018")]
    table(
        tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf",
        *({"src_id": number, "src_date": day, "source_tm": "T09:02:36Z"} for number, day in rows),
    )
    event = only(read(flood(tmp_path), **DATED))
    assert event.observed == event.end == dt.datetime(2018, 11, 20, 9, 2, 36, tzinfo=dt.UTC)
    assert only(read(tmp_path, dates={"EMSR900": ["2018-10-29", "2018-11-01"]})).end.month == 11


def test_parts_are_named_by_grade_and_doubtful_damage_is_uncertain(tmp_path: Path) -> None:
    grades = {
        "Destroyed": square(11.81, 45.31),
        "Damaged": square(11.82, 45.32),
        "Possibly damaged": square(11.83, 45.33),
        "No visible damage": square(11.84, 45.34),
        "Null": square(11.85, 45.35),
    }
    activation(grading(tmp_path, grades), "EMSR901", "Earthquake")
    event = only(read(tmp_path))
    assert [part.name for part in event.parts] == ["destroyed", "damaged", "aoi"]
    aoi = event.part("aoi")
    assert aoi is not None
    assert [aoi.contains(shape.centroid) for shape in grades.values()] == [True, True, False, True, False]
    assert event.end == event.start, "a later image does not extend an earthquake"


def test_damage_mapped_as_a_point_is_a_pixel_wide(tmp_path: Path) -> None:
    activation(grading(tmp_path, {"Destroyed": shapely.Point(11.83, 45.33)}), "EMSR901", "Earthquake")
    event = only(read(tmp_path))
    destroyed = event.part("destroyed")
    assert destroyed is not None
    assert affected_km2(event) * 1e6 == pytest.approx(100, rel=1e-5)
    assert destroyed.contains(shapely.Point(11.83, 45.33))


def test_an_earthquake_without_a_grading_is_no_event(tmp_path: Path) -> None:
    shaken = {"event_type": "1-Earthquake", "obj_desc": "Ground shaking", "notation": None}
    layer(tmp_path / "EMSR901_AOI01_DEL_PRODUCT_observedEventA_r1_v1.json", [WEST], shaken)
    layer(tmp_path / "EMSR901_AOI01_DEL_PRODUCT_areaOfInterestA_r1_v1.json", [AOI], {"emsr_id": "EMSR901"})
    result = read(tmp_path)
    assert not result.events, "not even a true negative"
    assert len(result.notes) == 1 and has_note(result, "emsr901-aoi01")
    grading(tmp_path, {"Destroyed": EAST})
    event = only(read(tmp_path, dates={"EMSR901": "2020-01-01"}))
    assert [part.name for part in event.parts] == ["destroyed", "aoi"]


def test_buildings_graded_in_a_flood_are_no_earthquake(tmp_path: Path) -> None:
    flood(tmp_path)
    layer(tmp_path / "EMSR900_01PLACE_GRA_v1_built_up_a.shp", [EAST], {"damage_gra": "Possibly damaged"})
    event = only(read(tmp_path, **DATED))
    assert [part.name for part in event.parts] == ["observed", "aoi"]
    assert same(event.part("aoi"), AOI)


@pytest.mark.parametrize("name", ["EMSR901", "emsr901-aoi01"])
def test_a_date_of_gradings_alone_is_no_unknown_event(tmp_path: Path, name: str) -> None:
    grading(tmp_path, {"Destroyed": EAST})
    result = read(tmp_path, dates={name: "2020-01-01"})
    assert not result.events and has_note(result, "EMSR901 AOI01")
    activation(tmp_path, "EMSR901", "Earthquake", None)
    assert only(read(tmp_path, dates={name: "2020-01-01"})).start == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("category", ["Flood", "Wildfire"])
@pytest.mark.parametrize(
    ("grades", "negative"),
    [
        (["Destroyed"], False),
        (["No visible damage", "Possibly damaged"], False),
        (["No visible damage", "Not analysed"], False),
        (["No visible damage", "Null"], True),
    ],
)
def test_damage_without_an_extent_is_no_true_negative(
    tmp_path: Path, category: str, grades: list[str], negative: bool
) -> None:
    shapes = {grade: square(11.81 + 0.01 * index, 45.31) for index, grade in enumerate(grades)}
    activation(grading(tmp_path, shapes), "EMSR901", category)
    result = read(tmp_path)
    assert [[part.name for part in event.parts] for event in result.events] == [["aoi"]] * negative
    assert has_note(result, "emsr901-aoi01") == (not negative)


def test_an_area_with_two_types_has_two_events(tmp_path: Path) -> None:
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    slide = {"event_type": "6-Mass movement", "obj_desc": "Landslide", "notation": "Null", "dmg_src_id": 1}
    layer(path, [WEST, EAST, square(11.85, 45.35)], FLOOD, FIRE, slide)
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    result = read(tmp_path, **DATED)
    assert [(event.id, event.type) for event in result.events] == [
        ("emsr900-01place-fire", "fire"),
        ("emsr900-01place-flood", "flood"),
    ]
    assert has_note(result, "EMSR900 01PLACE", "1 polygon ")
    aoi = result.events[0].part("aoi")
    assert aoi is not None and not aoi.contains(square(11.85, 45.35).centroid)
    assert [event.type for event in read(tmp_path, types=["fire"], **DATED).events] == ["fire"]


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    layer(path, [WEST, EAST], {"event_type": "Blizzard", "obj_desc": "Null"})
    error = read_error(tmp_path, **DATED)
    assert (Path(error.file or "").name, error.value) == (path.name, "Blizzard")
    activation(grading(tmp_path / "g", {"Wobbly": WEST}), "EMSR901", "Earthquake")
    error = read_error(tmp_path / "g")
    assert (error.file, error.value) == ("g/EMSR901_AOI01_GRA_PRODUCT_builtUpA_r1_v1.json", "Wobbly")


def test_invalid_activation_documents_are_refused(tmp_path: Path) -> None:
    flood(tmp_path)
    activation(tmp_path, "EMSR900", "Blizzard")
    error = read_error(tmp_path)
    assert (error.file, error.key, error.value) == ("EMSR900.json", "category", "Blizzard")
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    layer(path, [WEST], {**FLOOD, "event_type": "Null", "obj_desc": ""})
    error = read_error(tmp_path)
    assert (Path(error.file or "").name, error.value) == (path.name, "Blizzard")
    activation(tmp_path, "EMSR900", "Flood", "9999-12-31T00:00:00")
    error = read_error(tmp_path)
    assert (error.file, error.key, error.value) == ("EMSR900.json", "eventTime", "9999-12-31")


def test_an_image_time_out_of_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf"
    table(path, {"src_id": 2, "src_date": "31/10/9999", "source_tm": "T09:00:00Z"})
    error = read_error(flood(tmp_path), **DATED)
    assert (Path(error.file or "").name, error.value) == (path.name, "9999-10-31")


def test_files_that_are_no_packages_are_refused(tmp_path: Path) -> None:
    observed = tmp_path / "a" / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    layer(observed, [WEST], FLOOD)
    observed.with_suffix(".prj").unlink()
    assert read_error(observed, **DATED).file == observed.name, "no CRS"
    observed.write_bytes(b"no shapefile")
    assert read_error(observed).file == observed.name
    layer(tmp_path / "roads.geojson", [WEST], {"name": "x"})
    error = read_error(tmp_path / "roads.geojson")
    assert (error.key, error.value) == ("events.copernicus-ems.files", "roads.geojson")
    error = read_error(tmp_path / "none*.zip")
    assert (error.key, error.value) == ("events.copernicus-ems.files", f"{tmp_path}/none*.zip")


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    (tmp_path / "truncated.zip").write_bytes(b"PK\x03\x04 and no more")
    assert read_error(tmp_path / "truncated.zip").file == "truncated.zip"
    (tmp_path / "a.json").write_text(json.dumps([number**3 for number in range(4000)]))
    package = zipped(tmp_path / "corrupt.zip", [tmp_path / "a.json"])
    content = bytearray(package.read_bytes())
    content[36:60] = b"\xff" * 24  # the deflate stream begins after the 30 bytes of the header and the 6 of the name
    package.write_bytes(content)
    assert read_error(package).file == "corrupt.zip"


def test_zips_are_extracted_inside_their_folder_and_to_a_limited_depth(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../../escaped.json", "{}")
    read_error(tmp_path / "up.zip")
    assert not list(tmp_path.parent.rglob("escaped.json"))
    package = zipped(tmp_path / "0.zip", [tmp_path / "up.zip"])
    for depth in range(1, 5):
        package = zipped(tmp_path / f"{depth}.zip", [package])
    assert read_error(package).file == "4.zip/3.zip/2.zip/1.zip/0.zip"


def test_dates_and_types_of_an_entry_must_exist(tmp_path: Path) -> None:
    error = read_error(flood(tmp_path), dates={"EMSR900": "2018-10-29", "EMSR9000": "2018-10-29"})
    assert (error.key, error.value) == ("events.copernicus-ems.dates", "emsr9000")
    error = read_error(tmp_path, types=["floods"], **DATED)
    assert (error.key, error.value) == ("events.copernicus-ems.types", "floods")
