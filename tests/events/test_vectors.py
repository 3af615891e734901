"""Any vectors, by a mapping: fires, earthquakes, and a person's own."""

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

from landmark.core.errors import InputError
from landmark.domain.event import NEAR, moment
from landmark.events.read import combined
from landmark.events.shapes import affected_km2, area_km2, circle
from tests.events.making import AOI, BOWTIE, EAST, WEST, layer, read, zipped

DOCS = Path(__file__).parents[2] / "docs" / "events.md"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def quake(id_: str, magnitude: float | None, time: int = 1_654_827_273_000, **more: Any) -> dict[str, Any]:
    """A feature as the USGS writes it."""
    said = {"mag": magnitude, "time": time, "type": "earthquake", "title": f"M {magnitude} - here", **more}
    return {
        "type": "Feature",
        "id": id_,
        "properties": said,
        "geometry": {"type": "Point", "coordinates": [11.9, 45.4, 10.0]},
    }


def catalogue(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_effis_perimeters(tmp_path: Path) -> None:
    path = tmp_path / "modis.ba.poly.shp"
    row = {"FIREDATE": "2022-07-14 12:40:00", "LASTUPDATE": "2022-08-02 09:00:00", "AREA_HA": 900.0, "COUNTRY": "IT"}
    layer(path, [WEST, BOWTIE], {"id": 101, **row}, {"id": 102, **row, "FIREDATE": "2022-07-30"})
    found = read(zipped(tmp_path / "effis.zip", tmp_path.glob("modis*")), source="effis")
    first, second = found.events
    assert (first.id, first.group, first.type, first.product) == ("effis-101", "effis-101", "fire", "effis-101")
    assert (first.start, first.observed) == (at("2022-07-14T12:40"), at("2022-08-02T09:00"))
    assert first.end == at("2022-08-02T09:00"), "no end is stated, and the perimeter was drawn later than a week"
    assert second.start == at("2022-07-30") and second.end == at("2022-08-06")
    assert affected_km2(first) == pytest.approx(area_km2(WEST), rel=1e-6)
    assert found.repaired == {"effis-101": 0, "effis-102": 1}


def test_cal_fire_perimeters_of_one_incident_are_one_event(tmp_path: Path) -> None:
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
    found = read(path, source="cal-fire")
    assert [event.id for event in found.events] == [
        "cal-fire-2020-cdf-neu-00000007-jones",
        "cal-fire-2020-cdf-neu-00010708-jones",
    ]
    whole = found.events[1]
    assert (whole.start, whole.product) == (at("2020-08-17"), "JONES 2020")
    assert whole.end == at("2020-09-01T23:59:59.999999"), "the day it was contained is the whole day"
    assert affected_km2(whole) == pytest.approx(area_km2(WEST) + area_km2(EAST), rel=1e-3)
    assert found.events[0].end == at("2020-08-24"), "an end before the start is none"
    assert any("1 features left out: no start" in note for note in found.notes)
    assert any("an end before the start" in note for note in found.notes)


def test_earthquakes_are_a_point_a_time_and_what_is_near(tmp_path: Path) -> None:
    path = catalogue(
        tmp_path / "usgs.geojson",
        quake("us1", 5.6),
        quake("us2", 4.2),
        quake("us3", None),
        quake("us4", 6.0, type="quarry blast"),
    )
    with pytest.raises(InputError, match=r"usgs-us1 is a point: say `within_km`"):
        read(path, source="usgs-earthquakes")
    found = read(path, source="usgs-earthquakes", within_km=20, min_magnitude=5)
    assert [event.id for event in found.events] == ["usgs-us1"]
    event = found.events[0]
    assert (event.epicentre, event.magnitude, event.product) == ((11.9, 45.4), 5.6, "M 5.6 - here")
    assert event.start == event.end == at("2022-06-10T02:14:33")
    assert event.affected == () and affected_km2(event) == 0, "an earthquake near is no damage"
    assert area_km2(event.part(NEAR)) == pytest.approx(np.pi * 400, rel=1e-3)
    assert sorted(found.notes) == [
        "usgs.geojson: 1 features left out: of no type or grade that is mapped",
        "usgs.geojson: 2 features left out: weaker than magnitude 5, or of unknown magnitude",
    ]


@given(st.floats(-180, 180), st.floats(-70, 70), st.floats(1, 300))
def test_near_is_as_far_everywhere(lon: float, lat: float, radius_km: float) -> None:
    shape = circle(lon, lat, radius_km)
    west, south, east, north = shape.bounds
    assert shape.is_valid and west >= -180 and east <= 180 and south > -90 and north < 90
    assert area_km2(shape) == pytest.approx(np.pi * radius_km**2, rel=5e-3)
    corners = [xy for xy in shapely.get_coordinates(shape) if abs(xy[0]) < 179.999]
    for x, y in corners[::17]:
        assert Geod(ellps="WGS84").inv(lon, lat, x, y)[2] / 1000 == pytest.approx(radius_km, rel=1e-4)


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    """The example in the documentation, as it stands there."""
    (block,) = re.findall(r"```yaml\n(# floods-of-mine\.yaml\n.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    mapping = tmp_path / "floods-of-mine.yaml"
    mapping.write_text(block, encoding="utf-8")
    row = {"Event_No": 7, "Basin": "Brenta", "Hazard": "Flood", "From": "29.10.2018", "To": "02.11.2018"}
    layer(tmp_path / "a.geojson", [WEST, EAST], row, {**row, "Event_No": 8, "Hazard": "Storm"}, crs=4326)
    event = read(tmp_path / "a.geojson", source=str(mapping)).events[0]
    assert (event.id, event.group, event.type, event.product) == ("mine-7", "mine-brenta", "flood", "mine-7")
    assert (event.start, event.end) == (at("2018-10-29"), at("2018-11-02T23:59:59.999999"))
    assert event.source == "floods-of-mine"


def mapping(tmp_path: Path, **more: Any) -> str:
    """A mapping of one's own, changed by keyword."""
    vectors = {"id": ["no"], "type": "flood", "start": {"fields": ["when"]}, **more}
    value = {"name": "own", "title": "Own", "licence": "CC0", "attribution": "me", "vectors": vectors}
    (tmp_path / "own.yaml").write_text(json.dumps(value))
    return str(tmp_path / "own.yaml")


def test_a_grade_names_the_part_and_an_earthquake_needs_one(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.geojson", [WEST, EAST], {"no": 1, "when": "2020-01-01T00:00:00", "dmg": "Collapsed"})
    with pytest.raises(InputError, match="a polygon of an earthquake is damage only where it says a grade"):
        read(path, source=mapping(tmp_path, type="earthquake"))
    grade = {"fields": ["DMG"], "values": {"collapsed": "destroyed"}}
    event = read(path, source=mapping(tmp_path, type="earthquake", grade=grade)).events[0]
    assert [part.name for part in event.parts] == ["destroyed"]


def test_the_worst_grade_comes_first_and_none_is_made_up(tmp_path: Path) -> None:
    row = {"no": 1, "when": "2020-01-01T00:00:00"}
    path = layer(tmp_path / "a.geojson", [WEST, EAST], {**row, "dmg": "moderate"}, {**row, "dmg": "total"})
    grade: dict[str, Any] = {"fields": ["dmg"], "values": {"moderate": "moderately_damaged", "total": "destroyed"}}
    event = read(path, source=mapping(tmp_path, type="earthquake", grade=grade)).events[0]
    assert [part.name for part in event.parts] == ["destroyed", "moderately_damaged"]
    grade["values"]["total"] = "ruined"
    with pytest.raises(InputError, match="own: grade: values: 'ruined' is no grade of damage, only destroyed, damaged"):
        read(path, source=mapping(tmp_path, type="earthquake", grade=grade))


def test_a_layer_without_geometry_is_passed_over(tmp_path: Path) -> None:
    """As QGIS saves its styles."""
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
def test_an_end_at_midnight_is_the_whole_day(tmp_path: Path, value: Any, formats: list[str], expected: str) -> None:
    path = layer(tmp_path / "a.gpkg", [WEST], {"no": 1, "when": "2021-08-01T00:00:00", "to": value})
    event = read(path, source=mapping(tmp_path, end={"fields": ["to"], "formats": formats})).events[0]
    assert (event.start, event.end) == (at("2021-08-01"), at(expected))


def test_times_out_of_all_time_are_refused(tmp_path: Path) -> None:
    row = {"no": 1, "when": "2021-08-01", "to": "9999-12-31"}
    path, ended = layer(tmp_path / "a.gpkg", [WEST], row), {"end": {"fields": ["to"]}}
    with pytest.raises(InputError, match=r"a\.gpkg: to: 9999-12-31 lies outside 1000-01-01 to 2999-12-31"):
        read(path, source=mapping(tmp_path, **ended))
    path = layer(tmp_path / "b.gpkg", [WEST], {**row, "when": "0999-12-31", "to": "2999-12-31"})
    with pytest.raises(InputError, match=r"b\.gpkg: when: 0999-12-31 lies outside"):
        read(path, source=mapping(tmp_path, **ended))
    with pytest.raises(InputError, match=r"own: dates: 1: 9999-12-31 lies outside"):
        read(path, source=mapping(tmp_path, start=None), dates={"1": ["2020-01-01", "9999-12-31"]})
    path = layer(tmp_path / "c.gpkg", [WEST], {**row, "when": "1000-01-01", "to": "2999-12-31"})
    assert len(read(path, source=mapping(tmp_path, **ended)).events) == 1


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
def test_times_as_people_write_them(tmp_path: Path, value: Any, formats: list[str], expected: str) -> None:
    path = layer(tmp_path / "a.gpkg", [WEST], {"no": "x", "when": value})
    source = mapping(tmp_path, start={"fields": ["when"], "formats": formats})
    assert read(path, source=source).events[0].start == at(expected)


def test_what_cannot_be_understood_is_told(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.geojson", [WEST], {"no": 1, "when": "last spring", "kind": "Hail"})
    with pytest.raises(InputError, match=r"a\.geojson: when: 'last spring' is no moment written as iso"):
        read(path, source=mapping(tmp_path))
    assert read(path, source=mapping(tmp_path, start=None), dates={"1": "2020-01-01"}).events[0].start == at(
        "2020-01-01"
    )
    with pytest.raises(InputError, match=r"has no attribute number, only no, when, kind"):
        read(path, source=mapping(tmp_path, id=["number"]))
    words = {"fields": ["kind"], "values": {"Flood": "flood"}}
    with pytest.raises(InputError, match=r"kind: 'Hail' \(1 features\) is not among the mapped words Flood"):
        read(path, source=mapping(tmp_path, type=words))
    with pytest.raises(InputError, match=r"`type`: 'hail' is none of those in types\.yaml"):
        read(path, source=mapping(tmp_path, type="hail", start=None))
    with pytest.raises(InputError, match="'ISO' is not iso, epoch_ms"):
        read(path, source=mapping(tmp_path, start={"fields": ["when"], "formats": ["ISO"]}))
    (tmp_path / "none.yaml").write_text("name: none\ntitle: x\nlicence: x\nattribution: x\n")
    with pytest.raises(InputError, match="give exactly one of `ems` and `vectors`"):
        read(path, source=str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (("Εύβοια", "Αττική"), r"a\.geojson: no: 'Εύβοια' makes no id"),
        (("Εύβοια 1", "Αττική 1"), r"a\.geojson: no: 'Αττική 1' like 'Εύβοια 1' makes the id 'mine-1'"),
        (("a-b", "a b"), r"a\.geojson: no: 'a b' like 'a-b' makes the id 'mine-a-b'"),
    ],
)
def test_events_of_one_id_are_not_merged(tmp_path: Path, ids: tuple[str, str], told: str) -> None:
    rows = [{"no": one, "when": "2020-01-01", "basin": one, "row": place} for place, one in enumerate(ids)]
    path = layer(tmp_path / "a.geojson", [WEST, EAST], *rows)
    with pytest.raises(InputError, match=told):
        read(path, source=mapping(tmp_path, prefix="mine"))
    with pytest.raises(InputError, match=told.replace("no:", "basin:", 1)):
        read(path, source=mapping(tmp_path, prefix="mine", id=["row"], group=["basin"]))


def test_features_are_one_event_in_any_case_and_none_without_what_tells_it(tmp_path: Path) -> None:
    rows = [{"no": one, "sea": sea, "when": "2020-01-01"} for one, sea in (("A", "x"), ("a", "X"), (None, "x"))]
    path = layer(tmp_path / "a.geojson", [WEST, EAST, AOI], *rows)
    found = read(path, source=mapping(tmp_path, id=["sea", "no"]))
    assert [event.id for event in found.events] == ["x-a"]
    assert found.notes == ("a.geojson: 1 features left out: no does not say which event",)
    assert len(read(path, source=mapping(tmp_path, id=["sea", "no"], telling=["sea"])).events) == 2
    with pytest.raises(InputError, match="telling: 'when' is not among `id`, no"):
        read(path, source=mapping(tmp_path, telling=["when"]))
    grouped = read(path, source=mapping(tmp_path, id=["sea"], group=["no"]))
    assert [event.group for event in grouped.events] == ["a"]


def test_cal_fire_perimeters_without_number_and_name_are_left_out(tmp_path: Path) -> None:
    row = {"YEAR_": "2020", "AGENCY": "CDF", "UNIT_ID": None, "ALARM_DATE": "2020-08-17", "CONT_DATE": None}
    told = [{"INC_NUM": "7", "FIRE_NAME": None}, {"INC_NUM": None, "FIRE_NAME": "JONES"}]
    nameless = {"INC_NUM": None, "FIRE_NAME": None}
    rows = [{**row, **one} for one in (*told, nameless, nameless)]
    found = read(layer(tmp_path / "fire.gpkg", [WEST, EAST, WEST, EAST], *rows), source="cal-fire")
    assert [event.id for event in found.events] == ["cal-fire-2020-cdf-7", "cal-fire-2020-cdf-jones"]
    assert found.notes == ("fire.gpkg: 2 features left out: none of INC_NUM, FIRE_NAME says which event",)


def test_one_event_told_twice(tmp_path: Path) -> None:
    row = {"no": 1, "when": "2020-01-01"}
    one, same = layer(tmp_path / "one.geojson", [WEST], row), layer(tmp_path / "two" / "one.gpkg", [WEST], row)
    named = layer(tmp_path / "four.geojson", [WEST], row)
    other = layer(tmp_path / "three" / "one.geojson", [EAST], row)
    source = mapping(tmp_path)
    assert len(read(one, same, named, source=source).events) == 1, "whatever its files are called"
    assert combined([read(one, source=source), read(same, source=source)]).events == read(one, source=source).events
    with pytest.raises(InputError, match="1 is told twice and differently"):
        combined([read(one, source=source), read(other, source=source)])


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2018-10-29", "2018-10-29T00:00:00", "2018-10-29T23:59:59.999999"),
        ("20181029", "2018-10-29T00:00:00", "2018-10-29T23:59:59.999999"),
        ("2018-10-29T06:30:00Z", "2018-10-29T06:30:00", "2018-10-29T06:30:00"),
        ("2018-10-29 06:30+01:00", "2018-10-29T05:30:00", "2018-10-29T05:30:00"),
    ],
)
def test_a_day_is_its_first_moment_or_its_last(text: str, first: str, last: str) -> None:
    assert (moment(text), moment(text, last=True)) == (at(first), at(last))


@pytest.mark.parametrize("dates", [{"X": "tomorrow"}, {"X": ["2018-10-29", "2018-10-01"]}, {"X": ["2018-10-29"]}])
def test_dates_of_a_recipe_are_checked(tmp_path: Path, dates: dict[str, Any]) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="X: "):
        read(tmp_path, source="effis", dates=dates)


def test_an_entry_names_its_files_wherever_it_lies(tmp_path: Path) -> None:
    from landmark.domain.event import Events

    entry = Events(source="own.yaml", files=("a/*.zip", "world:events/ems"), dates={"X": "2018-10-29"}).beside(tmp_path)
    assert entry.files == (f"{tmp_path}/a/*.zip", "world:events/ems")
    assert entry.name == "own" and entry.source == f"{tmp_path}/own.yaml"
    assert entry.asked()["files"] == ["*.zip", "ems"] and entry.asked()["source"] == "own"
    assert Events.model_validate_json(entry.model_dump_json()) == entry
