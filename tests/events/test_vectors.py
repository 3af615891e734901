"""Events of vector files by a mapping: fires, earthquakes, and own mappings."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from landmark.core.crs import reproject
from landmark.core.errors import InputError
from landmark.domain.event import NEAR
from landmark.events.geometry import affected_km2, area_km2, circle
from landmark.events.result import merge_results
from tests.events.writers import AOI, BOWTIE, EAST, WEST, has_note, layer, read, read_error, zipped

CROSSING = shapely.union(shapely.box(179.9, 45, 180, 45.1), shapely.box(-180, 45, -179.9, 45.1))
DOCS = Path(__file__).parents[2] / "docs" / "events.md"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def quake(id_: str, magnitude: float | None, time: int = 1_654_827_273_000, **more: Any) -> dict[str, Any]:
    """A GeoJSON feature as the USGS writes it."""
    properties = {"mag": magnitude, "time": time, "type": "earthquake", "title": f"M {magnitude} - here", **more}
    return {
        "type": "Feature",
        "id": id_,
        "properties": properties,
        "geometry": {"type": "Point", "coordinates": [11.9, 45.4, 10.0]},
    }


def collection(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def metres(shape: shapely.Geometry) -> shapely.Geometry:
    return reproject(shapely.segmentize(shape, 0.001), 4326, 32632)


def moved(shape: shapely.Geometry, east: float) -> shapely.Geometry:
    return shapely.transform(shape, lambda xy: xy + np.array([east, 0]))


FIRE = {"id": 101, "FIREDATE": "2022-07-14"}


def outline(path: Path, shape: shapely.Geometry, crs: str | None = None) -> Path:
    """A fire's perimeter as GeoJSON, in any coordinates."""
    geometry = json.loads(shapely.to_geojson(shape))
    document = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": FIRE, "geometry": geometry}],
    }
    named = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
    path.write_text(json.dumps(document | named))
    return path


@pytest.mark.parametrize(
    "shape",
    [metres(WEST), shapely.transform(WEST, lambda xy: xy[:, ::-1] + [0, 100]), moved(WEST, 350)],
    ids=["metres", "swapped", "beyond"],
)
def test_coordinates_that_are_no_degrees_are_refused(tmp_path: Path, shape: shapely.Geometry) -> None:
    error = read_error(outline(tmp_path / "fire.geojson", shape), source="effis")
    assert (error.file, error.key, error.value) == ("fire.geojson", "feature 1", pytest.approx(list(shape.bounds)))


@pytest.mark.parametrize(
    ("shape", "crs", "expected"),
    [
        (metres(WEST), "urn:ogc:def:crs:EPSG::32632", WEST),
        (moved(WEST, 340), None, moved(WEST, -20)),
        (moved(WEST, -360), None, WEST),
        (shapely.box(179.9, 45, 180.1, 45.1), None, CROSSING),
        (shapely.Polygon([(179.9, 45), (-179.9, 45), (-179.9, 45.1), (179.9, 45.1)]), None, CROSSING),
        (
            reproject(shapely.segmentize(shapely.box(179.9, 45, 180.1, 45.1), 0.001), 4326, 32660),
            "EPSG:32660",
            CROSSING,
        ),
    ],
    ids=["crs", "east", "west", "unrolled", "rolled", "utm"],
)
def test_coordinates_of_any_form_give_the_same_event(
    tmp_path: Path, shape: shapely.Geometry, crs: str | None, expected: shapely.Geometry
) -> None:
    (event,) = read(outline(tmp_path / "fire.geojson", shape, crs), source="effis").events
    assert event.parts[0].geometry.symmetric_difference(expected).area < 1e-7
    assert affected_km2(event) == pytest.approx(area_km2(expected), rel=1e-4)


def test_a_vertex_without_a_position_is_left_out(tmp_path: Path) -> None:
    vertices = shapely.get_coordinates(WEST)
    with np.errstate(invalid="ignore"):
        path = layer(tmp_path / "fire.gpkg", [shapely.Polygon(np.insert(vertices, 2, np.nan, axis=0))], FIRE)
    result = read(path, source="effis")
    assert result.events[0].parts[0].geometry.equals(WEST) and result.repaired == {"effis-101": 1}


def test_effis_perimeters(tmp_path: Path) -> None:
    path = tmp_path / "modis.ba.poly.shp"
    row = {"FIREDATE": "2022-07-14 12:40:00", "LASTUPDATE": "2022-08-02 09:00:00", "AREA_HA": 900.0, "COUNTRY": "IT"}
    layer(path, [WEST, BOWTIE], {"id": 101, **row}, {"id": 102, **row, "FIREDATE": "2022-07-30"})
    result = read(zipped(tmp_path / "effis.zip", tmp_path.glob("modis*")), source="effis")
    first, second = result.events
    assert (first.id, first.group, first.type, first.product) == ("effis-101", "effis-101", "fire", "effis-101")
    assert (first.start, first.observed) == (at("2022-07-14T12:40"), at("2022-08-02T09:00"))
    assert first.end == at("2022-08-02T09:00"), (
        "no end is stated, and the perimeter is younger than a week after the start"
    )
    assert second.start == at("2022-07-30") and second.end == at("2022-08-06")
    assert affected_km2(first) == pytest.approx(area_km2(WEST), rel=1e-6)
    assert result.repaired == {"effis-101": 0, "effis-102": 1}


def test_cal_fire_perimeters_of_an_incident_are_merged(tmp_path: Path) -> None:
    row = {"YEAR_": "2020", "AGENCY": "CDF", "UNIT_ID": "NEU", "INC_NUM": "00010708", "FIRE_NAME": "JONES"}
    dates = {"ALARM_DATE": "2020-08-17", "CONT_DATE": "2020-08-28"}
    old = {**row, "INC_NUM": "00000000", "YEAR_": "1911", "ALARM_DATE": None}
    backwards = {**row, "INC_NUM": "00000007", "ALARM_DATE": "2020-08-17", "CONT_DATE": "2020-01-28"}
    path = layer(
        tmp_path / "fire.gpkg",
        [WEST, EAST, WEST, WEST],
        {**row, **dates},
        {**row, **dates, "CONT_DATE": "2020-09-01"},
        old,
        backwards,
        crs=3310,
    )
    result = read(path, source="cal-fire")
    assert [event.id for event in result.events] == [
        "cal-fire-2020-cdf-neu-00000007-jones",
        "cal-fire-2020-cdf-neu-00010708-jones",
    ]
    event = result.events[1]
    assert (event.start, event.product) == (at("2020-08-17"), "JONES 2020")
    assert event.end == at("2020-09-01T23:59:59.999999"), "the containment day is included"
    assert affected_km2(event) == pytest.approx(area_km2(WEST) + area_km2(EAST), rel=1e-3)
    assert result.events[0].end == at("2020-08-24"), "an end before the start is ignored"
    assert len(result.notes) == 2


def test_earthquakes_have_an_epicentre_and_a_radius(tmp_path: Path) -> None:
    path = collection(
        tmp_path / "usgs.geojson",
        quake("us1", 5.6),
        quake("us2", 4.2),
        quake("us3", None),
        quake("us4", 6.0, type="quarry blast"),
    )
    error = read_error(path, source="usgs-earthquakes")
    assert (error.file, error.key, error.value) == ("usgs.geojson", "within_km", "usgs-us1")
    result = read(path, source="usgs-earthquakes", within_km=20, min_magnitude=5)
    assert [event.id for event in result.events] == ["usgs-us1"]
    event = result.events[0]
    assert (event.epicentre, event.magnitude, event.product) == ((11.9, 45.4), 5.6, "M 5.6 - here")
    assert event.start == event.end == at("2022-06-10T02:14:33")
    assert event.affected_parts == () and affected_km2(event) == 0, "ground near an earthquake is not damaged"
    assert area_km2(event.part(NEAR)) == pytest.approx(np.pi * 400, rel=1e-3)
    assert has_note(result, "usgs.geojson", "1 feature ") and has_note(result, "usgs.geojson", "2 features")


@given(st.floats(-180, 180), st.floats(-70, 70), st.floats(1, 300))
def test_circles_have_equal_radii_everywhere(lon: float, lat: float, radius_km: float) -> None:
    shape = circle(lon, lat, radius_km)
    west, south, east, north = shape.bounds
    assert shape.is_valid and west >= -180 and east <= 180 and south > -90 and north < 90
    assert area_km2(shape) == pytest.approx(np.pi * radius_km**2, rel=5e-3)
    corners = [xy for xy in shapely.get_coordinates(shape) if abs(xy[0]) < 179.999]
    for x, y in corners[::17]:
        assert Geod(ellps="WGS84").inv(lon, lat, x, y)[2] / 1000 == pytest.approx(radius_km, rel=1e-4)


def test_the_documented_mapping(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(# floods-of-mine\.yaml\n.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    mapping = tmp_path / "floods-of-mine.yaml"
    mapping.write_text(block, encoding="utf-8")
    row = {"Event_No": 7, "Basin": "Brenta", "Hazard": "Flood", "From": "29.10.2018", "To": "02.11.2018"}
    layer(tmp_path / "a.geojson", [WEST, EAST], row, {**row, "Event_No": 8, "Hazard": "Storm"}, crs=4326)
    event = read(tmp_path / "a.geojson", source=str(mapping)).events[0]
    assert (event.id, event.group, event.type, event.product) == ("mine-7", "mine-brenta", "flood", "mine-7")
    assert (event.start, event.end) == (at("2018-10-29"), at("2018-11-02T23:59:59.999999"))
    assert event.source == "floods-of-mine"


def mapping(tmp_path: Path, **changes: Any) -> str:
    """Path of a mapping with some of its keys changed."""
    vectors = {"id": ["no"], "type": "flood", "start": {"fields": ["when"]}, **changes}
    value = {"name": "own", "title": "Own", "licence": "CC0", "attribution": "me", "vectors": vectors}
    (tmp_path / "own.yaml").write_text(json.dumps(value))
    return str(tmp_path / "own.yaml")


def test_polygons_of_an_earthquake_need_a_grade(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.geojson", [WEST, EAST], {"no": 1, "when": "2020-01-01T00:00:00", "dmg": "Collapsed"})
    error = read_error(path, source=mapping(tmp_path, type="earthquake"))
    assert (error.file, error.value) == ("a.geojson", "1")
    grade = {"fields": ["DMG"], "values": {"collapsed": "destroyed"}}
    event = read(path, source=mapping(tmp_path, type="earthquake", grade=grade)).events[0]
    assert [part.name for part in event.parts] == ["destroyed"]


def test_worst_grade_is_first_and_unknown_grades_are_refused(tmp_path: Path) -> None:
    row = {"no": 1, "when": "2020-01-01T00:00:00"}
    path = layer(tmp_path / "a.geojson", [WEST, EAST], {**row, "dmg": "moderate"}, {**row, "dmg": "total"})
    grade: dict[str, Any] = {"fields": ["dmg"], "values": {"moderate": "moderately_damaged", "total": "destroyed"}}
    event = read(path, source=mapping(tmp_path, type="earthquake", grade=grade)).events[0]
    assert [part.name for part in event.parts] == ["destroyed", "moderately_damaged"]
    grade["values"]["total"] = "ruined"
    error = read_error(path, source=mapping(tmp_path, type="earthquake", grade=grade))
    assert (error.file, error.key, error.value) == ("own.yaml", "vectors.grade.values", "ruined")


def test_tables_without_geometry_are_ignored(tmp_path: Path) -> None:
    """QGIS saves styles in such a table."""
    path = layer(tmp_path / "a.gpkg", [WEST], {"no": 1, "when": "2020-01-01"})
    pyogrio.write_dataframe(pandas.DataFrame({"styleName": ["a"]}), path, layer="layer_styles", append=False)
    assert [event.id for event in read(path, source=mapping(tmp_path)).events] == ["1"]


@pytest.mark.parametrize(
    ("value", "formats", "expected"),
    [
        ("2021-08-05T00:00:00", ["iso"], "2021-08-05T23:59:59.999999"),
        ("2021-08-05", ["iso"], "2021-08-05T23:59:59.999999"),
        ("2021/08/05 00:00:00", ["%Y/%m/%d %H:%M:%S"], "2021-08-05T23:59:59.999999"),
        (1_628_121_600_000, ["epoch_ms"], "2021-08-05T23:59:59.999999"),
        ("2021-08-05T00:00:01", ["iso"], "2021-08-05T00:00:01"),
    ],
)
def test_an_end_at_midnight_includes_the_day(tmp_path: Path, value: Any, formats: list[str], expected: str) -> None:
    path = layer(tmp_path / "a.gpkg", [WEST], {"no": 1, "when": "2021-08-01T00:00:00", "to": value})
    event = read(path, source=mapping(tmp_path, end={"fields": ["to"], "formats": formats})).events[0]
    assert (event.start, event.end) == (at("2021-08-01"), at(expected))


def test_years_out_of_range_are_refused(tmp_path: Path) -> None:
    row, end = {"no": 1, "when": "2021-08-01", "to": "9999-12-31"}, {"end": {"fields": ["to"]}}
    error = read_error(layer(tmp_path / "a.gpkg", [WEST], row), source=mapping(tmp_path, **end))
    assert (error.file, error.key, error.value) == ("a.gpkg", "to", "9999-12-31")
    path = layer(tmp_path / "b.gpkg", [WEST], {**row, "when": "0999-12-31", "to": "2999-12-31"})
    error = read_error(path, source=mapping(tmp_path, **end))
    assert (error.file, error.key, error.value) == ("b.gpkg", "when", "0999-12-31")
    error = read_error(path, source=mapping(tmp_path, start=None), dates={"1": ["2020-01-01", "9999-12-31"]})
    assert (error.key, error.value) == ("events.own.dates.1", "9999-12-31")
    path = layer(tmp_path / "c.gpkg", [WEST], {**row, "when": "1000-01-01", "to": "2999-12-31"})
    assert len(read(path, source=mapping(tmp_path, **end)).events) == 1


@pytest.mark.parametrize(
    ("value", "formats", "expected"),
    [
        ("2020-08-17T10:00:00+02:00", ["iso"], "2020-08-17T08:00:00"),
        (1_597_651_200_000, ["epoch_ms"], "2020-08-17T08:00:00"),
        (1_597_651_200, ["epoch_s"], "2020-08-17T08:00:00"),
        ("20200817", ["%Y%m%d"], "2020-08-17T00:00:00"),
        (20200817, ["%Y%m%d"], "2020-08-17T00:00:00"),
        ("17.8.2020 08:00", ["iso", "%d.%m.%Y %H:%M"], "2020-08-17T08:00:00"),
    ],
)
def test_formats_of_times(tmp_path: Path, value: Any, formats: list[str], expected: str) -> None:
    path = layer(tmp_path / "a.gpkg", [WEST], {"no": "x", "when": value})
    source = mapping(tmp_path, start={"fields": ["when"], "formats": formats})
    assert read(path, source=source).events[0].start == at(expected)


def test_invalid_values_are_refused(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.geojson", [WEST], {"no": 1, "when": "last spring", "kind": "Hail"})
    words = {"fields": ["kind"], "values": {"Flood": "flood"}}
    mistakes: list[tuple[dict[str, Any], tuple[str, str | None, Any]]] = [
        ({}, ("a.geojson", "when", "last spring")),
        ({"id": ["number"]}, ("a.geojson", "number", None)),
        ({"type": words}, ("a.geojson", "kind", "Hail")),
        ({"type": "hail", "start": None}, ("own.yaml", "vectors.type", "hail")),
        ({"id_any_of": ["when"]}, (f"{tmp_path}/own.yaml", "vectors.id_any_of", "when")),
        (
            {"start": {"fields": ["when"], "formats": ["ISO"]}},
            (f"{tmp_path}/own.yaml", "vectors.start.formats", "ISO"),
        ),
    ]
    for changes, expected in mistakes:
        error = read_error(path, source=mapping(tmp_path, **changes))
        assert (error.file, error.key, error.value) == expected
    (event,) = read(path, source=mapping(tmp_path, start=None), dates={"1": "2020-01-01"}).events
    assert event.start == at("2020-01-01")
    (tmp_path / "none.yaml").write_text("name: none\ntitle: x\nlicence: x\nattribution: x\n")
    assert read_error(path, source=str(tmp_path / "none.yaml")).file == f"{tmp_path}/none.yaml"


@pytest.mark.parametrize(
    ("ids", "value"),
    [(("Εύβοια", "Αττική"), "Εύβοια"), (("Εύβοια 1", "Αττική 1"), "Αττική 1"), (("a-b", "a b"), "a b")],
)
def test_different_values_with_equal_ids_are_refused(tmp_path: Path, ids: tuple[str, str], value: str) -> None:
    rows = [{"no": id_, "when": "2020-01-01", "basin": id_, "row": index} for index, id_ in enumerate(ids)]
    path = layer(tmp_path / "a.geojson", [WEST, EAST], *rows)
    for key, changes in (("no", {}), ("basin", {"id": ["row"], "group": ["basin"]})):
        error = read_error(path, source=mapping(tmp_path, prefix="mine", **changes))
        assert (error.file, error.key, error.value) == ("a.geojson", key, value)


def test_ids_ignore_case_and_need_their_attributes(tmp_path: Path) -> None:
    values = (("A", "x"), ("a", "X"), (None, "x"))
    rows = [{"no": number, "sea": sea, "when": "2020-01-01"} for number, sea in values]
    path = layer(tmp_path / "a.geojson", [WEST, EAST, AOI], *rows)
    result = read(path, source=mapping(tmp_path, id=["sea", "no"]))
    assert [event.id for event in result.events] == ["x-a"]
    assert len(result.notes) == 1 and has_note(result, "a.geojson", "1 feature ", "no")
    assert len(read(path, source=mapping(tmp_path, id=["sea", "no"], id_any_of=["sea"])).events) == 2
    grouped = read(path, source=mapping(tmp_path, id=["sea"], group=["no"]))
    assert [event.group for event in grouped.events] == ["a"]


def test_cal_fire_perimeters_without_number_and_name_are_skipped(tmp_path: Path) -> None:
    row = {"YEAR_": "2020", "AGENCY": "CDF", "UNIT_ID": None, "ALARM_DATE": "2020-08-17", "CONT_DATE": None}
    names = [("7", None), (None, "JONES"), (None, None), (None, None)]
    rows = [{**row, "INC_NUM": number, "FIRE_NAME": name} for number, name in names]
    result = read(layer(tmp_path / "fire.gpkg", [WEST, EAST, WEST, EAST], *rows), source="cal-fire")
    assert [event.id for event in result.events] == ["cal-fire-2020-cdf-7", "cal-fire-2020-cdf-jones"]
    assert len(result.notes) == 1 and has_note(result, "fire.gpkg", "2 features", "INC_NUM", "FIRE_NAME")


def test_equal_events_merge_and_conflicting_events_are_refused(tmp_path: Path) -> None:
    row = {"no": 1, "when": "2020-01-01"}
    first, equal = layer(tmp_path / "one.geojson", [WEST], row), layer(tmp_path / "two" / "one.gpkg", [WEST], row)
    renamed = layer(tmp_path / "four.geojson", [WEST], row)
    different = layer(tmp_path / "three" / "one.geojson", [EAST], row)
    source = mapping(tmp_path)
    results = [read(path, source=source) for path in (first, equal, different)]
    assert len(read(first, equal, renamed, source=source).events) == 1
    assert merge_results(results[:2]).events == results[0].events
    with pytest.raises(InputError) as caught:
        merge_results([results[0], results[2]])
    assert (caught.value.key, caught.value.value) == ("events", "1")
