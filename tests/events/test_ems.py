"""Copernicus EMS packages, in every layout they come in, and what is true of them."""

import datetime as dt
import json
import shutil
from pathlib import Path

import geopandas
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.domain.event import Event
from landmark.events.read import Read
from landmark.events.shapes import affected_km2, area_km2
from tests.events.making import (
    AOI,
    BOWTIE,
    EAST,
    FIRE,
    FLOOD,
    WEST,
    activation,
    flood,
    grading,
    layer,
    read,
    table,
    zipped,
)

DATE = {"EMSR332": "2018-10-29"}
DAY = dt.datetime(2018, 10, 29, tzinfo=dt.UTC)
DATED = {"dates": {"EMSR900": "2018-10-29"}}


def km2(event: Event, name: str) -> float:
    """Area of a part on the map of EPSG:32632, to three decimals."""
    return round(float(geopandas.GeoSeries([event.part(name)], crs=4326).to_crs(32632).area.sum()) / 1e6, 3)


def only(read_: Read) -> Event:
    assert len(read_.events) == 1
    return read_.events[0]


def same(one: BaseGeometry | None, other: BaseGeometry) -> bool:
    """Whether two shapes are the same ground."""
    return one is not None and bool(shapely.equals(one, other))


def square(lon: float, lat: float) -> shapely.Polygon:
    return shapely.box(lon, lat, lon + 0.001, lat + 0.001)


@pytest.fixture
def emsr332(real: Path, tmp_path: Path) -> Path:
    shutil.copytree(real / "crisis" / "EMSR332", tmp_path / "EMSR332")
    return tmp_path / "EMSR332"


def test_real_figures_are_unions_and_monitoring_replaces(emsr332: Path, real: Path) -> None:
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
    assert both["emsr332-03rovereto"].type == "flood", "its type is that of the activation's other areas"


def test_real_package_says_what_was_repaired_and_replaced(emsr332: Path) -> None:
    found = read(emsr332, dates=DATE)
    assert found.repaired == {"emsr332-01verona": 0, "emsr332-02padova": 49, "emsr332-03rovereto": 0}
    assert "EMSR332 02PADOVA: 49 polygons repaired in EMSR332_02PADOVA_DEL_MONIT01_v1" in found.notes
    assert "EMSR332 01VERONA: EMSR332_01VERONA_DEL_MONIT01_v1 replaces EMSR332_01VERONA_DEL_v1" in found.notes
    assert {path.name for path in found.files} == {path.name for path in emsr332.iterdir()}
    assert all(part.shape.is_valid for event in found.events for part in event.parts)
    assert {(event.group, event.start) for event in found.events} == {("emsr332", DAY)}


def test_real_package_is_the_same_in_every_layout(emsr332: Path, tmp_path: Path) -> None:
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


def test_packages_since_2019_carry_each_layer_twice_in_any_system(tmp_path: Path) -> None:
    name = "EMSR900_AOI01_DEL_PRODUCT"
    for suffix, crs in ((".shp", 32632), (".json", 4326)):
        layer(tmp_path / f"{name}_observedEventA_r1_v1{suffix}", [BOWTIE], FLOOD, crs=crs)
        layer(tmp_path / f"{name}_areaOfInterestA_r1_v1{suffix}", [AOI], {"emsr_id": "EMSR900"}, crs=crs)
    found = read(tmp_path, **DATED)
    event = only(found)
    assert (event.id, event.product) == ("emsr900-aoi01", f"{name}_r1_v1")
    assert found.repaired == {"emsr900-aoi01": 1}, "not once for each format"
    triangles = shapely.make_valid(BOWTIE)
    assert shapely.area(shapely.symmetric_difference(event.part("observed"), triangles)) < 1e-3 * triangles.area


def test_packages_of_2016_in_utm_with_attributes_in_capitals(tmp_path: Path) -> None:
    folder = tmp_path / "EMSR900_01PLACE_DELINEATION_OVERVIEW_v1_vector"
    stem = "EMSR900_01PLACE_01DELINEATION_v1_50000"
    said = {"EVENT_TYPE": "Flood", "OBJ_DESC": "Null"}
    layer(folder / f"{stem}_crisis_information_poly.shp", [WEST], said, crs=32632)
    layer(folder / f"{stem}_area_of_interest.shp", [AOI], {"EMSR_ID": "EMSR900"}, crs=32632)
    layer(folder / f"{stem}_hydrography_poly.shp", [EAST], {"OBJ_DESC": "Lake"}, crs=32632)
    event = only(read(zipped(tmp_path / "a.zip", folder.iterdir(), f"{folder.name}/"), **DATED))
    assert (event.id, event.type) == ("emsr900-01place", "flood")
    assert affected_km2(event) == pytest.approx(area_km2(WEST), rel=1e-3), "the lake is no flood"


def test_layers_named_by_their_folder_and_geopackages(tmp_path: Path) -> None:
    bare = tmp_path / "a" / "EMSR900_01PLACE_DEL_v1_vector"
    layer(bare / "observed_event_a.shp", [WEST], FLOOD)
    pack = tmp_path / "b" / "EMSR900_01PLACE_DEL_v1.gpkg"
    pack.parent.mkdir()
    frame = geopandas.GeoDataFrame([FLOOD], geometry=[WEST], crs=4326)
    frame.to_file(pack, layer="observedEventA_v1")
    named, packed = only(read(tmp_path / "a", **DATED)), only(read(tmp_path / "b", **DATED))
    assert named.id == packed.id == "emsr900-01place"
    assert named.parts == packed.parts


def test_a_later_version_and_release_correct_an_earlier_one(tmp_path: Path) -> None:
    flood(tmp_path, "EMSR900_01PLACE_DEL_v1", shapes=[WEST, EAST])
    flood(tmp_path, "EMSR900_01PLACE_DEL_v2", shapes=[EAST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), EAST)
    flood(tmp_path, "EMSR900_01PLACE_DEL_r2_v1", shapes=[WEST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), WEST)


def test_a_round_that_shows_nothing_any_more_is_no_true_negative(tmp_path: Path) -> None:
    flood(tmp_path)
    layer(tmp_path / "EMSR900_01PLACE_DEL_MONIT01_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    rows = geopandas.GeoDataFrame({"event_type": ["x"]}, geometry=[WEST], crs=4326).iloc[:0]
    rows.to_file(tmp_path / "EMSR900_01PLACE_DEL_MONIT01_v1_observed_event_a.shp")
    found = read(tmp_path, **DATED)
    assert only(found).product == "EMSR900_01PLACE_DEL_v1"
    assert "EMSR900 01PLACE: EMSR900_01PLACE_DEL_MONIT01_v1 shows nothing any more" in found.notes


def test_the_delineation_tells_the_extent_and_without_one_the_grading(tmp_path: Path) -> None:
    flood(tmp_path, "EMSR900_01PLACE_GRA_v1", shapes=[EAST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), EAST)
    flood(tmp_path, "EMSR900_01PLACE_DEL_v1", shapes=[WEST])
    assert same(only(read(tmp_path, **DATED)).part("observed"), WEST)


def test_a_reference_product_is_from_before_the_event(tmp_path: Path) -> None:
    reference = tmp_path / "EMSR900_02OTHER_REF_v1_area_of_interest_a.shp"
    layer(reference, [EAST], {"emsr_id": "EMSR900"})
    found = read(flood(tmp_path), **DATED)
    assert only(found).id == "emsr900-01place", "nobody looked at the other area after the event"
    assert "EMSR900 02OTHER: only a reference product, from before the event; left out" in found.notes
    layer(tmp_path / "EMSR900_02OTHER_DEL_v1_observed_event_a.shp", [EAST], FLOOD)
    event = {one.id: one for one in read(tmp_path, **DATED).events}["emsr900-02other"]
    assert same(event.part("aoi"), EAST), "the same area has the same frame"


def test_ground_nobody_could_see_is_not_looked_at(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_not_analysed_a.shp", [EAST], {"obj_type": "cloud"})
    looked = only(read(flood(tmp_path), **DATED)).part("aoi")
    assert looked is not None
    assert looked.area == pytest.approx(AOI.area - EAST.area)
    assert not looked.contains(EAST.centroid)


def test_an_event_marked_by_points_alone_is_no_true_negative(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_AOI01_DEL_PRODUCT_observedEventP_v1.json", [shapely.Point(11.85, 45.35)], FLOOD)
    layer(tmp_path / "EMSR900_AOI01_DEL_PRODUCT_areaOfInterestA_v1.json", [AOI], {"emsr_id": "EMSR900"})
    activation(tmp_path, "EMSR900", "Flood")
    found = read(tmp_path)
    assert not found.events
    assert found.notes == ("emsr900-aoi01: marked by points or lines alone; left out",)


def test_an_area_alone_needs_the_activations_document(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    found = read(tmp_path, **{})
    assert not found.events
    assert "no product tells what happened" in found.notes[0]
    activation(tmp_path, "EMSR900", "Wildfire")
    event = only(read(tmp_path))
    assert (event.type, event.start.hour) == ("fire", 6)
    assert tmp_path / "EMSR900.json" in read(tmp_path).files


def test_nobody_says_when_it_began(tmp_path: Path) -> None:
    flood(tmp_path)
    table(
        tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf",
        {"src_id": 2, "src_date": "31/10/2018", "source_tm": "T09:00:00Z"},
    )
    with pytest.raises(InputError, match=r"EMSR900: its packages tell when images .* `dates: \{EMSR900: 2018-10-29\}`"):
        read(tmp_path)


def test_a_start_is_the_recipes_then_the_documents(tmp_path: Path) -> None:
    flood(tmp_path)
    activation(tmp_path, "EMSR900", "Flood", "2018-10-28T18:30:00")
    assert only(read(tmp_path)).start == dt.datetime(2018, 10, 28, 18, 30, tzinfo=dt.UTC)
    assert only(read(tmp_path, **DATED)).start == DAY
    event = only(read(tmp_path, dates={"EMSR900": "2018-01-01", "emsr900-01place": ["2018-10-27", "2018-11-02"]}))
    assert event.start == dt.datetime(2018, 10, 27, tzinfo=dt.UTC)
    assert event.end == dt.datetime(2018, 11, 2, 23, 59, 59, 999999, tzinfo=dt.UTC), "a day is the whole day"


def test_the_image_is_the_one_the_polygons_name_and_the_end_is_not_before_it(tmp_path: Path) -> None:
    rows = [(1, "01/10/2018"), (2, "20/11/2018"), (7, "24/12/2018")]
    table(
        tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf",
        *({"src_id": number, "src_date": day, "source_tm": "T09:02:36Z"} for number, day in rows),
    )
    event = only(read(flood(tmp_path), **DATED))
    assert event.observed == event.end == dt.datetime(2018, 11, 20, 9, 2, 36, tzinfo=dt.UTC)
    assert only(read(tmp_path, dates={"EMSR900": ["2018-10-29", "2018-11-01"]})).end.month == 11


def test_damage_is_named_by_grade_and_doubt_is_neither_damage_nor_none(tmp_path: Path) -> None:
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
    looked = event.part("aoi")
    assert looked is not None
    assert [looked.contains(shape.centroid) for shape in grades.values()] == [True, True, False, True, False]
    assert event.end == event.start, "seen a day later, it lasted no day longer"


def test_points_of_damage_are_a_pixel_wide(tmp_path: Path) -> None:
    activation(grading(tmp_path, {"Destroyed": shapely.Point(11.83, 45.33)}), "EMSR901", "Earthquake")
    event = only(read(tmp_path))
    destroyed = event.part("destroyed")
    assert destroyed is not None
    assert affected_km2(event) * 1e6 == pytest.approx(100, rel=1e-5)
    assert destroyed.contains(shapely.Point(11.83, 45.33))


def test_where_it_shook_is_not_where_it_broke(tmp_path: Path) -> None:
    shaken = {"event_type": "1-Earthquake", "obj_desc": "Ground shaking", "notation": None}
    layer(tmp_path / "EMSR901_AOI01_DEL_PRODUCT_observedEventA_r1_v1.json", [WEST], shaken)
    layer(tmp_path / "EMSR901_AOI01_DEL_PRODUCT_areaOfInterestA_r1_v1.json", [AOI], {"emsr_id": "EMSR901"})
    found = read(tmp_path)
    assert not found.events, "not even a true negative: nobody looked for damage"
    assert found.notes == ("emsr901-aoi01: nobody graded damage there, and an extent is no damage; left out",)
    grading(tmp_path, {"Destroyed": EAST})
    event = only(read(tmp_path, dates={"EMSR901": "2020-01-01"}))
    assert [part.name for part in event.parts] == ["destroyed", "aoi"]


def test_buildings_graded_in_a_flood_are_no_earthquake(tmp_path: Path) -> None:
    flood(tmp_path)
    layer(tmp_path / "EMSR900_01PLACE_GRA_v1_built_up_a.shp", [EAST], {"damage_gra": "Possibly damaged"})
    event = only(read(tmp_path, **DATED))
    assert [part.name for part in event.parts] == ["observed", "aoi"]
    assert same(event.part("aoi"), AOI)


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
    shapes = {grade: square(11.81 + 0.01 * place, 45.31) for place, grade in enumerate(grades)}
    activation(grading(tmp_path, shapes), "EMSR901", category)
    found = read(tmp_path)
    assert [[part.name for part in event.parts] for event in found.events] == [["aoi"]] * negative
    note = "emsr901-aoi01: damage is graded, but no extent is outlined; left out"
    assert (note in found.notes) == (not negative)


def test_two_kinds_in_one_area_are_two_events_and_a_landslide_is_none(tmp_path: Path) -> None:
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    slide = {"event_type": "6-Mass movement", "obj_desc": "Landslide", "notation": "Null", "dmg_src_id": 1}
    layer(path, [WEST, EAST, square(11.85, 45.35)], FLOOD, FIRE, slide)
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_area_of_interest_a.shp", [AOI], {"emsr_id": "EMSR900"})
    found = read(tmp_path, **DATED)
    assert [(event.id, event.type) for event in found.events] == [
        ("emsr900-01place-fire", "fire"),
        ("emsr900-01place-flood", "flood"),
    ]
    assert "EMSR900 01PLACE: 1 polygons left out: landslides are no class of the taxonomy" in found.notes
    looked = found.events[0].part("aoi")
    assert looked is not None and not looked.contains(square(11.85, 45.35).centroid)
    assert [event.type for event in read(tmp_path, types=["fire"], **DATED).events] == ["fire"]


def test_unknown_words_are_told_with_file_and_count(tmp_path: Path) -> None:
    path = tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp"
    layer(path, [WEST, EAST], {"event_type": "Blizzard", "obj_desc": "Null"})
    with pytest.raises(InputError, match=r"observed_event_a\.shp: 2 features: .*'Blizzard' is not known"):
        read(tmp_path, **DATED)
    activation(grading(tmp_path / "g", {"Wobbly": WEST}), "EMSR901", "Earthquake")
    with pytest.raises(InputError, match=r"builtUpA_r1_v1\.json: 1 features: .*gradings: 'Wobbly' is not known"):
        read(tmp_path / "g")


def test_what_a_document_says_wrong_is_told_with_its_name(tmp_path: Path) -> None:
    flood(tmp_path)
    activation(tmp_path, "EMSR900", "Blizzard")
    with pytest.raises(InputError, match=r"events: EMSR900\.json: `category`: .*'Blizzard' is not known"):
        read(tmp_path)
    layer(
        tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp",
        [WEST],
        {**FLOOD, "event_type": "Null", "obj_desc": ""},
    )
    with pytest.raises(InputError, match=r"observed_event_a\.shp: 1 features: EMSR900\.json: `category`: .*'Blizzard'"):
        read(tmp_path)
    activation(tmp_path, "EMSR900", "Flood", "9999-12-31T00:00:00")
    with pytest.raises(InputError, match=r"EMSR900\.json: `eventTime`: 9999-12-31 lies outside 1000-01-01"):
        read(tmp_path)


def test_an_image_out_of_all_time_is_refused(tmp_path: Path) -> None:
    row = {"src_id": 2, "src_date": "31/10/9999", "source_tm": "T09:00:00Z"}
    table(tmp_path / "EMSR900_01PLACE_DEL_v1_source.dbf", row)
    with pytest.raises(InputError, match=r"_source\.dbf: 9999-10-31 lies outside 1000-01-01"):
        read(flood(tmp_path), **DATED)


def test_shapes_without_a_system_are_refused(tmp_path: Path) -> None:
    layer(tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp", [WEST], FLOOD)
    (tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.prj").unlink()
    with pytest.raises(InputError, match=r"observed_event_a\.shp: says no coordinate reference system"):
        read(tmp_path, **DATED)


def test_files_that_are_no_packages(tmp_path: Path) -> None:
    layer(tmp_path / "roads.geojson", [WEST], {"name": "x"})
    with pytest.raises(InputError, match=r"no layer of a Copernicus EMS package is among the files: .*roads\.geojson"):
        read(tmp_path)
    with pytest.raises(InputError, match="nothing matches"):
        read(tmp_path / "none*.zip")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"cut\.zip: cannot be unzipped"):
        read(tmp_path / "cut.zip")
    (tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp").write_bytes(b"no shapes")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "EMSR900_01PLACE_DEL_v1_observed_event_a.shp")


def test_a_zip_with_a_corrupt_stream_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([number**3 for number in range(4000)]))
    package = zipped(tmp_path / "corrupt.zip", [tmp_path / "a.json"])
    bad = bytearray(package.read_bytes())
    bad[36:60] = b"\xff" * 24  # the deflate stream begins after the 30 bytes of the header and the 6 of the name
    package.write_bytes(bad)
    with pytest.raises(InputError, match=r"corrupt\.zip: cannot be unzipped: .*decompressing"):
        read(package)


def test_zips_stay_in_their_place_and_have_an_end(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../../escaped.json", "{}")
    with pytest.raises(InputError, match="no layer"):
        read(tmp_path / "up.zip")
    assert not list(tmp_path.parent.rglob("escaped.json"))
    package = zipped(tmp_path / "0.zip", [tmp_path / "up.zip"])
    for depth in range(1, 5):
        package = zipped(tmp_path / f"{depth}.zip", [package])
    with pytest.raises(InputError, match="zips lie 4 deep in each other"):
        read(package)


def test_dates_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dates: 'emsr9000' is no event or group read here: emsr900, emsr900-01place"):
        read(flood(tmp_path), dates={"EMSR900": "2018-10-29", "EMSR9000": "2018-10-29"})
    with pytest.raises(InputError, match=r"types: 'floods' is none of those in types\.yaml, flood, fire, earthquake"):
        read(tmp_path, types=["floods"], **DATED)
