"""Downloads of public feeds: paging, failures, resuming, and reading the files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from landmark.core.errors import DownloadPending, InputError
from landmark.core.resources import available
from landmark.core.time import parse_utc
from landmark.core.yaml_files import load_model
from landmark.events.feed import Feed, FeedQuery
from landmark.events.fetch import fetch
from landmark.events.source import load_source
from tests.conftest import Run
from tests.events.feed_server import Feeds, serving
from tests.events.test_vectors import quake
from tests.events.writers import EAST, WEST, flood, read, zipped
from tests.parts import raises

SINCE = parse_utc("2022-06-01")


@pytest.fixture
def feeds() -> Iterator[Feeds]:
    with serving(Feeds()) as served:
        yield served


def feed(name: str, feeds: Feeds, **changes: Any) -> Feed:
    """A shipped feed profile with the test server's address."""
    shipped = load_model(Feed, "profiles/events", name)
    end = {"fdsn": "/fdsnws/event/1", "ems": "/backend/dashboard-api", "wfs": "/effis"}[shipped.service]
    return shipped.model_copy(update={"api": feeds.url + end, **changes})


def packages(feeds: Feeds, folder: Path) -> None:
    """Serve a first product, a monitoring product and a reference product."""
    for kind, shapes in (("DEL_v1", [WEST]), ("DEL_MONIT01_v1", [EAST]), ("REF_v1", [])):
        name = f"EMSR900_01PLACE_{kind}"
        files = flood(folder / name, name, shapes=shapes).iterdir() if shapes else []
        feeds.packages[f"/backend/EMSR900/{name}.zip"] = zipped(folder / f"{name}.zip", files).read_bytes()


def burnt(id_: int, day: str, shape: shapely.Polygon) -> dict[str, Any]:
    properties = {"id": id_, "FIREDATE": f"{day} 12:00:00", "LASTUPDATE": f"{day} 18:00:00", "AREA_HA": "9"}
    return {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}


def test_every_feed_has_a_source() -> None:
    for name in available("profiles/events"):
        assert load_source(load_model(Feed, "profiles/events", name).name).attribution


def test_earthquakes_are_paged(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes = [quake(f"us{number}", 4.5 + number / 10) for number in range(7)]
    feeds.busy = 1
    query = FeedQuery(since=SINCE, until=parse_utc("2022-06-30", last=True), min_magnitude=4.6, bbox=(10, 44, 13, 47))
    (path,) = fetch(feed("usgs-earthquakes", feeds, page=2), query, tmp_path / "out")
    assert path.name == "usgs-earthquakes-20220601-20220630-m4.6-10_44_13_47.geojson"
    requests = feeds.paths("/query")
    assert [request["offset"] for request in requests] == ["1", "3", "5"]
    first = requests[0]
    assert (first["starttime"], first["endtime"]) == ("2022-06-01T00:00:00", "2022-06-30T23:59:59")
    assert (first["minmagnitude"], first["minlongitude"], first["maxlatitude"]) == ("4.6", "10", "47")
    events = read(path, source="usgs-earthquakes", within_km=10).events
    assert [event.id for event in events] == [f"usgs-us{number}" for number in range(1, 7)]


def test_incomplete_earthquakes_are_not_written(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes, feeds.quake_count = [quake("us1", 5)], 3
    with pytest.raises(DownloadPending) as caught:
        fetch(feed("usgs-earthquakes", feeds), FeedQuery(since=SINCE), tmp_path / "out")
    assert caught.value.file == f"{feeds.url}/fdsnws/event/1/query"
    assert not list((tmp_path / "out").iterdir())


def test_packages_come_with_their_activation_document(feeds: Feeds, tmp_path: Path) -> None:
    packages(feeds, tmp_path)
    paths = fetch(feed("copernicus-ems", feeds), FeedQuery(codes=("emsr900",)), tmp_path / "out")
    assert [path.name for path in paths] == [
        "EMSR900.json",
        "EMSR900_01PLACE_DEL_MONIT01_v1.zip",
        "EMSR900_01PLACE_DEL_v1.zip",
    ], "no reference product, and none that is pending"
    (event,) = read(tmp_path / "out").events
    assert (event.id, event.start, event.product) == (
        "emsr900-01place",
        parse_utc("2018-10-10T06:00:00"),
        "EMSR900_01PLACE_DEL_MONIT01_v1",
    )


def test_a_code_names_no_folder_elsewhere(feeds: Feeds, tmp_path: Path) -> None:
    response = {"results": [{"code": "../elsewhere"}]}
    feeds.packages["/backend/dashboard-api/public-activations/"] = json.dumps(response).encode()
    with raises(InputError, key="code", value="../elsewhere"):
        fetch(feed("copernicus-ems", feeds), FeedQuery(codes=("../elsewhere",)), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_download_leaves_no_file_and_resumes(feeds: Feeds, tmp_path: Path) -> None:
    packages(feeds, tmp_path)
    profile, query = feed("copernicus-ems", feeds), FeedQuery(codes=("EMSR900",))
    fetched: list[str] = []

    def progress(stage: str, done: int, total: int, detail: str = "", /) -> None:
        fetched.append(detail)

    feeds.cut = 9
    with pytest.raises(DownloadPending) as caught:
        fetch(profile, query, tmp_path / "out")
    feeds.cut = 0
    assert (caught.value.file or "").endswith("DEL_MONIT01_v1.zip")
    assert [path.name for path in (tmp_path / "out" / "EMSR900").iterdir()] == ["EMSR900.json"]
    assert len(fetch(profile, query, tmp_path / "out", progress=progress)) == 3
    assert fetched == ["EMSR900_01PLACE_DEL_MONIT01_v1.zip", "EMSR900_01PLACE_DEL_v1.zip"]
    fetch(profile, query, tmp_path / "out", progress=progress)
    assert len(fetched) == 2, "existing files are not downloaded again"
    feeds.packages["/backend/EMSR900/EMSR900_02_DEL_v1.zip"] = b"<html>log in</html>"
    with pytest.raises(DownloadPending) as caught:
        fetch(profile, query, tmp_path / "out")
    assert (caught.value.file or "").endswith("EMSR900_02_DEL_v1.zip")


def test_activations_are_selected_by_time_and_box(feeds: Feeds, tmp_path: Path) -> None:
    profile = feed("copernicus-ems", feeds, page=2)
    until = FeedQuery(until=parse_utc("2018-10-11", last=True))
    assert [path.name for path in fetch(profile, until, tmp_path / "a")] == ["EMSR901.json", "EMSR900.json"]
    assert [request["offset"] for request in feeds.paths("-info/")] == ["0", "2"]
    place = FeedQuery(since=parse_utc("2018-10-11"), bbox=(12.5, 44, 13.5, 46))
    assert [path.name for path in fetch(profile, place, tmp_path / "b")] == ["EMSR902.json"]


@pytest.mark.parametrize("latitude_first", [False, True])
def test_the_axis_order_of_burnt_areas_is_corrected(feeds: Feeds, tmp_path: Path, latitude_first: bool) -> None:
    west, east = (shapely.transform(box, lambda xy: xy[:, ::-1]) if latitude_first else box for box in (WEST, EAST))
    feeds.burnt = [burnt(1, "2022-06-04", west), burnt(2, "2021-06-04", east)]
    (path,) = fetch(feed("effis", feeds), FeedQuery(since=SINCE, bbox=(11, 45, 13, 46)), tmp_path / "out")
    (event,) = read(path, source="effis").events
    assert feeds.paths("/effis")[0]["bbox"] == "11,45,13,46"
    assert event.id == "effis-1"
    assert shapely.equals(event.parts[0].geometry, WEST)


def test_burnt_areas_outside_of_the_extent_are_refused(feeds: Feeds, tmp_path: Path) -> None:
    feeds.burnt = [burnt(1, "2022-06-04", shapely.box(-120, 38, -119, 39))]
    with pytest.raises(DownloadPending) as caught:
        fetch(feed("effis", feeds), FeedQuery(), tmp_path / "out")
    assert caught.value.key == "geometry"


@pytest.mark.parametrize(
    ("name", "query", "option", "value"),
    [
        ("effis", FeedQuery(min_magnitude=5), "--min-magnitude", 5),
        ("usgs-earthquakes", FeedQuery(codes=("EMSR900",)), "--code", ("EMSR900",)),
        ("usgs-earthquakes", FeedQuery(), "--since", None),
        ("copernicus-ems", FeedQuery(), None, None),
        ("copernicus-ems", FeedQuery(codes=("EMSR999",)), "--code", "EMSR999"),
    ],
)
def test_unsupported_filters_are_refused(
    feeds: Feeds, tmp_path: Path, name: str, query: FeedQuery, option: str | None, value: Any
) -> None:
    with pytest.raises(InputError) as caught:
        fetch(feed(name, feeds), query, tmp_path)
    assert (caught.value.file, caught.value.value) == (option, value)
    assert not feeds.paths("-info/")


def test_refusals_and_malformed_responses(feeds: Feeds, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        fetch(feed("usgs-earthquakes", feeds), FeedQuery(since=parse_utc("2101-01-01")), tmp_path)
    assert (refused.value.file or "").startswith(f"{feeds.url}/fdsnws/event/1/count")
    for body in (b"<ServiceException>layer</ServiceException>", b"[]"):
        feeds.packages["/effis"] = body
        with pytest.raises(DownloadPending) as malformed:
            fetch(feed("effis", feeds), FeedQuery(), tmp_path)
        assert malformed.value.file == f"{feeds.url}/effis"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as blocked:
        fetch(feed("effis", feeds), FeedQuery(), tmp_path / "file" / "out")
    assert (blocked.value.file, blocked.value.value) == ("--out", f"{tmp_path}/file/out")


_SINCE_ONLY = FeedQuery(since=SINCE)
_ACTIVATION = {"code": "EMSR900", "eventTime": "2022-06-10", "centroid": "POINT (1 2)"}


@pytest.mark.parametrize(
    ("name", "path", "response", "query", "key", "value"),
    [
        ("usgs-earthquakes", "/fdsnws/event/1/count", {}, _SINCE_ONLY, "count", None),
        ("usgs-earthquakes", "/fdsnws/event/1/query", {}, _SINCE_ONLY, "features", None),
        ("usgs-earthquakes", "/fdsnws/event/1/query", {"features": [{}]}, _SINCE_ONLY, "id", None),
        ("copernicus-ems", "-info/", {"count": 3}, _SINCE_ONLY, "results", None),
        ("copernicus-ems", "-info/", {"count": 3, "results": [{}]}, _SINCE_ONLY, "code", None),
        (
            "copernicus-ems",
            "-info/",
            {"count": 1, "results": [{**_ACTIVATION, "eventTime": "soon"}]},
            _SINCE_ONLY,
            "eventTime",
            "soon",
        ),
        (
            "copernicus-ems",
            "-info/",
            {"count": 1, "results": [{**_ACTIVATION, "centroid": "here"}]},
            FeedQuery(bbox=(1, 2, 3, 4)),
            "centroid",
            "here",
        ),
        ("copernicus-ems", "/", {}, FeedQuery(codes=("EMSR900",)), "results", None),
        ("copernicus-ems", "/", {"results": [{"x": 1}]}, FeedQuery(codes=("EMSR900",)), "code", None),
        ("effis", "/effis", {}, FeedQuery(), "features", None),
        ("effis", "/effis", {"features": [{"properties": None}]}, FeedQuery(), "properties", None),
        (
            "effis",
            "/effis",
            {"features": [{"properties": {}, "geometry": {}, "x": 1}, 7]},
            FeedQuery(),
            "properties",
            None,
        ),
        (
            "effis",
            "/effis",
            {"features": [{"properties": {}, "geometry": {"type": "x"}}]},
            FeedQuery(),
            "geometry",
            None,
        ),
    ],
)
def test_incomplete_responses_are_refused(
    feeds: Feeds, tmp_path: Path, name: str, path: str, response: dict[str, Any], query: FeedQuery, key: str, value: Any
) -> None:
    feeds.quakes = [quake("us1", 5)]
    url = f"/backend/dashboard-api/public-activations{path}" if name == "copernicus-ems" else path
    feeds.packages[url] = json.dumps(response).encode()
    with pytest.raises(DownloadPending) as caught:
        fetch(feed(name, feeds), query, tmp_path / "out")
    assert (caught.value.file, caught.value.key, caught.value.value) == (f"{feeds.url}{url}", key, value)
    assert not list((tmp_path / "out").rglob("*.geojson"))


def test_burnt_area_without_geometry_stays(feeds: Feeds, tmp_path: Path) -> None:
    feeds.burnt = [burnt(1, "2022-06-04", WEST), {**burnt(2, "2022-06-04", WEST), "geometry": None}]
    (path,) = fetch(feed("effis", feeds), FeedQuery(), tmp_path / "out")
    assert [feature["geometry"] is None for feature in json.loads(path.read_text())["features"]] == [False, True]


def test_different_queries_are_written_to_different_files(feeds: Feeds, tmp_path: Path) -> None:
    feeds.quakes = [quake("us1", 5)]
    day, later = parse_utc("2022-06-01"), parse_utc("2022-06-02", last=True)
    queries = [
        FeedQuery(since=day),
        FeedQuery(since=parse_utc("2022-06-01T06:30:00")),
        FeedQuery(since=day, until=later),
        FeedQuery(since=day, until=parse_utc("2022-06-02T12:00:00")),
        FeedQuery(since=day, min_magnitude=4.5),
        FeedQuery(since=day, bbox=(10, 44, 13, 47)),
        FeedQuery(since=day, bbox=(10, 44, 13, 47.000001)),
    ]
    paths = [path for query in queries for path in fetch(feed("usgs-earthquakes", feeds), query, tmp_path / "out")]
    paths += fetch(feed("effis", feeds), FeedQuery(since=day), tmp_path / "out")
    paths += fetch(feed("effis", feeds), FeedQuery(until=day), tmp_path / "out")
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
    assert code == 0 and "2018-10-09T00:00Z  2018-10-20T23:59Z" in out and "1 event\n" in out
    assert "EMSR900_01PLACE_DEL_MONIT01_v1" in err and "EMSR900_01PLACE_DEL_v1" in err
    feeds.cut = 9
    assert landmark("events", "fetch", profile, "--code", "EMSR900", "--out", "again")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fetch", "nasa"), ["nasa"]),
        (("fetch", "effis", "--bbox", "1,2,3"), ["--bbox", "1,2,3"]),
        (("fetch", "effis", "--since", "June"), ["--since", "June"]),
        (("show", "none.zip"), ["none.zip"]),
        (("show", ".", "--date", "EMSR332"), ["--date", "EMSR332"]),
        (("show", ".", "--date", "EMSR332=soon"), ["EMSR332", "soon"]),
        (("show", ".", "--source", "modis"), ["modis"]),
    ],
)
def test_invalid_arguments_are_refused(landmark: Run, arguments: tuple[str, ...], words: list[str]) -> None:
    code, out, err = landmark("events", *arguments)
    assert (code, out) == (2, "")
    assert all(word in err for word in words)
