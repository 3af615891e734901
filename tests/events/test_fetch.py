"""Public feeds, fetched whole, in pages and in spite of faults, and read as they come."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from landmark.core.errors import DownloadPending, InputError
from landmark.core.yaml_files import known, load
from landmark.domain.event import moment
from landmark.events.feed import Feed, Wanted
from landmark.events.fetch import fetch
from landmark.events.source import load_source
from tests.conftest import Run
from tests.events.feeds import Feeds, serving
from tests.events.making import EAST, WEST, flood, read, zipped
from tests.events.test_vectors import quake

SINCE = moment("2022-06-01")


@pytest.fixture
def feeds() -> Iterator[Feeds]:
    with serving(Feeds()) as served:
        yield served


def feed(name: str, feeds: Feeds, **changes: Any) -> Feed:
    """A shipped feed, but served here."""
    shipped = load(Feed, "profiles/events", name)
    end = {"fdsn": "/fdsnws/event/1", "ems": "/backend/dashboard-api", "wfs": "/effis"}[shipped.service]
    return shipped.model_copy(update={"api": feeds.url + end, **changes})


def packages(feeds: Feeds, folder: Path) -> None:
    """A first product, a monitoring one, and a reference."""
    for kind, shapes in (("DEL_v1", [WEST]), ("DEL_MONIT01_v1", [EAST]), ("REF_v1", [])):
        name = f"EMSR900_01PLACE_{kind}"
        files = flood(folder / name, name, shapes=shapes).iterdir() if shapes else []
        feeds.packages[f"/backend/EMSR900/{name}.zip"] = zipped(folder / f"{name}.zip", files).read_bytes()


def burnt(id_: int, day: str, shape: shapely.Polygon) -> dict[str, Any]:
    properties = {"id": id_, "FIREDATE": f"{day} 12:00:00", "LASTUPDATE": f"{day} 18:00:00", "AREA_HA": "9"}
    return {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}


def test_every_feed_has_a_source_that_reads_it() -> None:
    for name in known("profiles/events"):
        assert load_source(load(Feed, "profiles/events", name).name).attribution


def test_earthquakes_come_in_pages_each_once(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes = [quake(f"us{number}", 4.5 + number / 10) for number in range(7)]
    feeds.busy = 1
    wanted = Wanted(since=SINCE, until=moment("2022-06-30", last=True), min_magnitude=4.6, bbox=(10, 44, 13, 47))
    (path,) = fetch(feed("usgs-earthquakes", feeds, page=2), wanted, tmp_path / "out")
    assert path.name == "usgs-earthquakes-20220601-20220630-m4.6-10_44_13_47.geojson"
    assert [query["offset"] for query in feeds.paths("/query")] == ["1", "3", "5"]
    asked = feeds.paths("/query")[0]
    assert (asked["starttime"], asked["endtime"]) == ("2022-06-01T00:00:00", "2022-06-30T23:59:59")
    assert (asked["minmagnitude"], asked["minlongitude"], asked["maxlatitude"]) == ("4.6", "10", "47")
    events = read(path, source="usgs-earthquakes", within_km=10).events
    assert [event.id for event in events] == [f"usgs-us{number}" for number in range(1, 7)]


def test_earthquakes_that_do_not_all_come_are_not_written(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes, feeds.counted = [quake("us1", 5)], 3
    with pytest.raises(DownloadPending, match="counts 3 earthquakes, but gave 1"):
        fetch(feed("usgs-earthquakes", feeds), Wanted(since=SINCE), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_packages_come_with_what_says_their_start(feeds: Feeds, tmp_path: Path) -> None:
    packages(feeds, tmp_path)
    paths = fetch(feed("copernicus-ems", feeds), Wanted(codes=("emsr900",)), tmp_path / "out")
    assert [path.name for path in paths] == [
        "EMSR900.json",
        "EMSR900_01PLACE_DEL_MONIT01_v1.zip",
        "EMSR900_01PLACE_DEL_v1.zip",
    ], "no reference, and nothing that waits"
    (event,) = read(tmp_path / "out").events
    assert (event.id, event.start, event.product) == (
        "emsr900-01place",
        moment("2018-10-10T06:00:00"),
        "EMSR900_01PLACE_DEL_MONIT01_v1",
    )


def test_a_download_that_breaks_off_leaves_nothing_and_goes_on(feeds: Feeds, tmp_path: Path) -> None:
    packages(feeds, tmp_path)
    ours = feed("copernicus-ems", feeds)
    said: list[str] = []
    feeds.cut = 1
    with pytest.raises(DownloadPending, match=r"DEL_MONIT01_v1\.zip: .* run the same command again"):
        fetch(ours, Wanted(codes=("EMSR900",)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "EMSR900").iterdir()] == ["EMSR900.json"]
    assert len(fetch(ours, Wanted(codes=("EMSR900",)), tmp_path / "out", progress=said.append)) == 3
    assert said == ["EMSR900: EMSR900_01PLACE_DEL_MONIT01_v1.zip", "EMSR900: EMSR900_01PLACE_DEL_v1.zip"]
    fetch(ours, Wanted(codes=("EMSR900",)), tmp_path / "out", progress=said.append)
    assert len(said) == 2, "what is there is not fetched again"
    feeds.packages["/backend/EMSR900/EMSR900_02_DEL_v1.zip"] = b"<html>log in</html>"
    with pytest.raises(DownloadPending, match="no whole zip"):
        fetch(ours, Wanted(codes=("EMSR900",)), tmp_path / "out")


def test_activations_are_listed_in_pages_and_chosen_by_time_and_place(feeds: Feeds, tmp_path: Path) -> None:
    ours = feed("copernicus-ems", feeds, page=2)
    until = Wanted(until=moment("2018-10-11", last=True))
    assert [path.name for path in fetch(ours, until, tmp_path / "a")] == ["EMSR901.json", "EMSR900.json"]
    assert [query["offset"] for query in feeds.paths("-info/")] == ["0", "2"]
    place = Wanted(since=moment("2018-10-11"), bbox=(12.5, 44, 13.5, 46))
    assert [path.name for path in fetch(ours, place, tmp_path / "b")] == ["EMSR902.json"]


@pytest.mark.parametrize("latitude_first", [False, True])
def test_burnt_areas_have_longitude_first_however_they_come(feeds: Feeds, tmp_path: Path, latitude_first: bool) -> None:
    turned = [shapely.transform(one, lambda xy: xy[:, ::-1]) if latitude_first else one for one in (WEST, EAST)]
    feeds.burnt = [burnt(1, "2022-06-04", turned[0]), burnt(2, "2021-06-04", turned[1])]
    (path,) = fetch(feed("effis", feeds), Wanted(since=SINCE, bbox=(11, 45, 13, 46)), tmp_path / "out")
    (event,) = read(path, source="effis").events
    assert feeds.paths("/effis")[0]["bbox"] == "11,45,13,46"
    assert event.id == "effis-1"
    assert shapely.equals(event.parts[0].shape, WEST)


def test_burnt_areas_that_lie_nowhere(feeds: Feeds, tmp_path: Path) -> None:
    feeds.burnt = [burnt(1, "2022-06-04", shapely.box(-120, 38, -119, 39))]
    with pytest.raises(DownloadPending, match=r"outside .* whichever of their coordinates is longitude"):
        fetch(feed("effis", feeds), Wanted(), tmp_path / "out")


def test_what_a_feed_cannot_be_asked(feeds: Feeds, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--min-magnitude: effis cannot be asked for that"):
        fetch(feed("effis", feeds), Wanted(min_magnitude=5), tmp_path)
    with pytest.raises(InputError, match="--code: usgs-earthquakes cannot be asked for that"):
        fetch(feed("usgs-earthquakes", feeds), Wanted(codes=("EMSR900",)), tmp_path)
    with pytest.raises(InputError, match="--since: usgs-earthquakes needs the day"):
        fetch(feed("usgs-earthquakes", feeds), Wanted(), tmp_path)
    with pytest.raises(InputError, match="copernicus-ems: say which"):
        fetch(feed("copernicus-ems", feeds), Wanted(), tmp_path)
    with pytest.raises(InputError, match=r"--code EMSR999: .* knows no such activation"):
        fetch(feed("copernicus-ems", feeds), Wanted(codes=("EMSR999",)), tmp_path)
    assert not feeds.paths("-info/")


def test_answers_that_are_none(feeds: Feeds, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="refuses what was asked: 400 Error 400: Bad Request Bad starttime value"):
        fetch(feed("usgs-earthquakes", feeds), Wanted(since=moment("2101-01-01")), tmp_path)
    feeds.packages["/effis"] = b"<ServiceException>layer</ServiceException>"
    with pytest.raises(DownloadPending, match="answers without whole JSON"):
        fetch(feed("effis", feeds), Wanted(), tmp_path)
    feeds.packages["/effis"] = b"[]"
    with pytest.raises(DownloadPending, match="answers with a list"):
        fetch(feed("effis", feeds), Wanted(), tmp_path)
    with pytest.raises(InputError, match=r"--out .*: cannot be made"):
        (tmp_path / "file").write_text("")
        fetch(feed("effis", feeds), Wanted(), tmp_path / "file" / "out")


_ACTIVATION = {"code": "EMSR900", "eventTime": "2022-06-10", "centroid": "POINT (1 2)"}


@pytest.mark.parametrize(
    ("name", "path", "answer", "wanted", "told"),
    [
        ("usgs-earthquakes", "/fdsnws/event/1/count", {}, Wanted(since=SINCE), "`count` as a int"),
        ("usgs-earthquakes", "/fdsnws/event/1/query", {}, Wanted(since=SINCE), "`features` as a list"),
        ("usgs-earthquakes", "/fdsnws/event/1/query", {"features": [{}]}, Wanted(since=SINCE), "`id` as a str"),
        ("copernicus-ems", "-info/", {"count": 3}, Wanted(since=SINCE), "`results` as a list"),
        ("copernicus-ems", "-info/", {"count": 3, "results": [{}]}, Wanted(since=SINCE), "`code` as a str"),
        (
            "copernicus-ems",
            "-info/",
            {"count": 1, "results": [{**_ACTIVATION, "eventTime": "soon"}]},
            Wanted(since=SINCE),
            "'soon' is no moment",
        ),
        (
            "copernicus-ems",
            "-info/",
            {"count": 1, "results": [{**_ACTIVATION, "centroid": "here"}]},
            Wanted(bbox=(1, 2, 3, 4)),
            "'here' is no centroid",
        ),
        ("copernicus-ems", "/", {}, Wanted(codes=("EMSR900",)), "`results` as a list"),
        ("copernicus-ems", "/", {"results": [{"x": 1}]}, Wanted(codes=("EMSR900",)), "`code` as a str"),
        ("effis", "/effis", {}, Wanted(), "`features` as a list"),
        ("effis", "/effis", {"features": [{"properties": None}]}, Wanted(), "`properties` as a dict"),
        ("effis", "/effis", {"features": [{"properties": {}, "geometry": {}, "x": 1}, 7]}, Wanted(), "`properties`"),
        ("effis", "/effis", {"features": [{"properties": {}, "geometry": {"type": "x"}}]}, Wanted(), "geometry"),
    ],
)
def test_answers_that_lack_what_they_should_say(
    feeds: Feeds, tmp_path: Path, name: str, path: str, answer: dict[str, Any], wanted: Wanted, told: str
) -> None:
    feeds.quakes = [quake("us1", 5)]
    whole = f"/backend/dashboard-api/public-activations{path}" if name == "copernicus-ems" else path
    feeds.packages[whole] = json.dumps(answer).encode()
    with pytest.raises(DownloadPending, match=told):
        fetch(feed(name, feeds), wanted, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.geojson"))


def test_a_burnt_area_without_ground_is_kept_as_it_is(feeds: Feeds, tmp_path: Path) -> None:
    feeds.burnt = [burnt(1, "2022-06-04", WEST), {**burnt(2, "2022-06-04", WEST), "geometry": None}]
    (path,) = fetch(feed("effis", feeds), Wanted(), tmp_path / "out")
    assert [one["geometry"] is None for one in json.loads(path.read_text())["features"]] == [False, True]


def test_another_question_is_written_to_another_file(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes = [quake("us1", 5)]
    day, later = moment("2022-06-01"), moment("2022-06-02", last=True)
    asked = [
        Wanted(since=day),
        Wanted(since=moment("2022-06-01T06:30:00")),
        Wanted(since=day, until=later),
        Wanted(since=day, until=moment("2022-06-02T12:00:00")),
        Wanted(since=day, min_magnitude=4.5),
        Wanted(since=day, bbox=(10, 44, 13, 47)),
        Wanted(since=day, bbox=(10, 44, 13, 47.000001)),
    ]
    paths = [path for wanted in asked for path in fetch(feed("usgs-earthquakes", feeds), wanted, tmp_path / "out")]
    paths += fetch(feed("effis", feeds), Wanted(since=day), tmp_path / "out")
    paths += fetch(feed("effis", feeds), Wanted(until=day), tmp_path / "out")
    assert len(set(paths)) == len(paths) == 9
    assert paths[1].name == "usgs-earthquakes-20220601T063000.geojson"


def test_the_command_fetches_and_shows(landmark: Run, feeds: Feeds, tmp_path: Path) -> None:
    packages(feeds, tmp_path)
    profile = tmp_path / "mine.yaml"
    profile.write_text(json.dumps(feed("copernicus-ems", feeds).model_dump(exclude_none=True)))
    code, out, err = landmark("events", "fetch", profile, "--code", "EMSR900")
    assert code == 0 and out.splitlines()[0] == "events/EMSR900/EMSR900.json"
    assert "© European Union, Copernicus Emergency Management Service" in err
    code, out, err = landmark("events", "show", "events", "--json")
    (event,) = json.loads(out)["events"]
    assert code == 0 and err == ""
    assert (event["id"], event["start"], event["parts"]) == (
        "emsr900-01place",
        "2018-10-10T06:00Z",
        ["observed", "aoi"],
    )
    code, out, err = landmark("events", "show", "events", "--date", "EMSR900=2018-10-09/2018-10-20")
    assert code == 0 and "2018-10-09T00:00Z  2018-10-20T23:59Z" in out and "1 events" in out
    assert "EMSR900_01PLACE_DEL_MONIT01_v1 replaces EMSR900_01PLACE_DEL_v1" in err
    feeds.cut = 9
    code, _, err = landmark("events", "fetch", profile, "--code", "EMSR900", "--out", "again")
    assert code == 1 and "run the same command again" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fetch", "nasa"), "no event named 'nasa'"),
        (("fetch", "effis", "--bbox", "1,2,3"), "--bbox 1,2,3: give west,south,east,north"),
        (("fetch", "effis", "--since", "June"), "--since June: give a day such as 2022-06-01"),
        (("show", "none.zip"), "nothing matches none.zip"),
        (("show", ".", "--date", "EMSR332"), "--date EMSR332: give an event or activation and its start"),
        (("show", ".", "--date", "EMSR332=soon"), "EMSR332: 'soon' is no day"),
        (("show", ".", "--source", "modis"), "no event named 'modis'"),
    ],
)
def test_what_the_commands_refuse(landmark: Run, arguments: tuple[str, ...], told: str) -> None:
    code, out, err = landmark("events", *arguments)
    assert (code, out) == (2, "")
    assert told in err
