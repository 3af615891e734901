"""Events change pixels after their start and inside their extent only, and are published with that extent."""

import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path

import geopandas
import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy import ndimage
from scipy.spatial import cKDTree

from landmark.world import event_specs as specs
from landmark.world import events, publish, scenes
from landmark.world.event_specs import EventSpec, event_specs
from landmark.world.ground import COVER
from landmark.world.places import paint
from landmark.world.plane import to_plane
from landmark.world.rasterize import RasterizedEvent, rasterize
from landmark.world.sensors import BANDS, Radar, Sun, Veil, backscatter, ground10, record_band, reflectances
from landmark.world.window import HALO, Painter
from tests.world.test_world import digests

ZONES = scenes.zones(tile_px=1098, block_px=512, seed=0)
PLACES = {zone.place.name: zone.place for zone in ZONES}
NAMES = sorted(name for name, event in event_specs().items() if event.place in PLACES)
FLOODS = [name for name in NAMES if event_specs()[name].type == "flood"]
INNER = np.s_[HALO:-HALO, HALO:-HALO]


@cache
def rasterized_event(name: str) -> RasterizedEvent:
    event = event_specs()[name]
    return rasterize(event, Painter(next(zone for zone in ZONES if zone.epsg == event.epsg)))


def acquisitions(event: EventSpec) -> Iterator[tuple[datetime, str]]:
    """Yield the time, and the sensor with its direction, of all acquisitions that cover an event's centre."""
    zone = next(zone for zone in ZONES if zone.epsg == event.epsg)
    x, _ = to_plane(zone.lon, zone.lat, zone.epsg).transform(*event.at, direction="INVERSE")
    covering = [tile for tile, (west, _) in zone.corners.items() if west + 1500 < x < west + zone.tile_px * 10 - 600]
    assert covering
    for number in {number for tile in covering for number in zone.acquisition_numbers(tile)}:
        yield zone.schedule["acquisitions"][number][1], "s2"
    for _, when, _, _, direction in zone.schedule["passes"]:
        yield when, f"s1 {direction}"


def images(name: str, when: datetime, *, with_events: bool) -> dict[str, NDArray[np.float64]]:
    """Simulate both sensors over the view of an event at a time, with or without the events."""
    view = rasterized_event(name).view
    now = (
        events.apply_events(view, events.find_traces(view, PLACES[event_specs()[name].place], 0), when)
        if with_events
        else view
    )
    base, day = ground10(view, 0), when.timetuple().tm_yday
    clear = Veil(np.zeros(view.at[0].shape), np.zeros(view.at[0].shape))
    optical = {
        band: record_band(band, field, now, datatake="datatake", offset=0, seed=0).astype(float)
        for band, field in reflectances(now, base, day=day, veil=clear, sun=Sun(30, 150))
        if BANDS[band] < 6
    }
    return optical | {
        band: 10 * np.log10(power) for band, power in backscatter(now, base, Radar("pass", True, day), seed=0).items()
    }


def changed(before: NDArray[np.float64], after: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """Return the mask of different 10 m pixels of a square window with `side` pixels."""
    times = side // len(before)
    return (before != after).repeat(times, axis=0).repeat(times, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_change_inside_the_extent_only(name: str) -> None:
    event, level = event_specs()[name], rasterized_event(name).level
    when = max(event.start, event.peak or event.start) + timedelta(hours=1)
    undisturbed, now = images(name, when, with_events=False), images(name, when, with_events=True)
    # Point spread of the sensors, and bands of 20 m.
    near = ndimage.binary_dilation(level > 0, np.ones((3, 3)), iterations=3)[INNER]
    core = ((level > 0) if event.type != "earthquake" else (level == events.DESTROYED))[INNER]
    side = len(core)
    for band in undisturbed:
        differs = changed(undisturbed[band], now[band], side)
        assert not (differs & ~near).any()
        assert (differs & core).sum() > 0.8 * core.sum()


@pytest.mark.parametrize("name", NAMES)
def test_land_is_unchanged_before_the_start(name: str) -> None:
    view, event = rasterized_event(name).view, event_specs()[name]
    traces = [trace for trace in events.find_traces(view, PLACES[event.place], 0) if trace.event is event]
    assert traces
    assert events.apply_events(view, traces, event.start - timedelta(seconds=1)) is view
    assert events.apply_events(view, traces, event.start) is not view


def test_events_change_later_acquisitions_only(tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "events_at", lambda place: [])
    for unit in (("s2", "32734", "34HEH"), ("s1", "32734")):
        publish.write_unit(
            unit, out=tmp_path, parameters={"edition": "easy", "tile_px": 366, "block_px": 128, "seed": 0}
        )
    undisturbed, published = digests(tmp_path), digests(world)
    differs = {re.findall(r"20\d{6}(?=T)", name)[0] for name in undisturbed if undisturbed[name] != published[name]}
    assert differs == {"20220621", "20220622", "20220711", "20220716", "20220820", "20220821"}


@pytest.mark.parametrize("name", FLOODS)
def test_water_recedes_after_a_flood(name: str) -> None:
    view, event = rasterized_event(name).view, event_specs()[name]
    traces = events.find_traces(view, PLACES[event.place], 0)
    wet = [
        COVER[events.apply_events(view, traces, when).land.kind] == 80
        for when in (event.start - timedelta(days=1), event.start, event.end, event.end + timedelta(days=1))
    ]
    assert wet[0].sum() < wet[1].sum() < wet[2].sum()
    assert not (wet[0] & ~wet[2]).any()
    np.testing.assert_array_equal(wet[0], wet[3])


def test_a_burn_fades_over_a_year() -> None:
    view, event = rasterized_event("hartwood").view, event_specs()["hartwood"]
    traces = events.find_traces(view, PLACES[event.place], 0)
    shares = [
        float(
            events.apply_events(view, traces, event.end + timedelta(days=days))
            .land.share[rasterized_event("hartwood").level > 0]
            .mean()
        )
        for days in (1, 60, 365)
    ]
    assert shares[0] > 0.75 > shares[1] > 0.5 > shares[2] > 0.1


def test_events_start_in_june_2022_and_keep_apart() -> None:
    assert all(event_specs()[name].start > datetime(2022, 6, 1) for name in NAMES)
    spots = {}
    for name in NAMES:
        rasterized = rasterized_event(name)
        spots[name] = np.stack([axis[rasterized.level > 0] for axis in rasterized.view.at], axis=1)
    quake = {"riverton", "ashby"}  # two areas of one event
    for first, second in combinations(NAMES, 2):
        if event_specs()[first].place == event_specs()[second].place and {first, second} != quake:
            assert cKDTree(spots[first]).query(spots[second], distance_upper_bound=2500)[0].min() == np.inf


@pytest.mark.parametrize("name", NAMES)
def test_both_sensors_acquire_before_and_after(name: str) -> None:
    event = event_specs()[name]
    passes = sorted(acquisitions(event))
    for sensor in ("s1", "s2"):
        before = {
            label for when, label in passes if label[:2] == sensor and timedelta(0) < event.start - when < timedelta(60)
        }
        after = [label for when, label in passes if label[:2] == sensor and when > event.start]
        assert len(before & set(after)) == 1
        assert len(after) >= 2
    if event.type == "flood":
        assert {label[:2] for when, label in passes if event.peak < when < event.end} == {"s1", "s2"}
        assert {label[:2] for when, label in passes if when > event.end} == {"s1", "s2"}


def layers(package: Path) -> dict[str, geopandas.GeoDataFrame]:
    names = [name for name in zipfile.ZipFile(package).namelist() if name.endswith(".shp")]
    return {name: geopandas.read_file(f"zip://{package}!{name}") for name in names}


def burn(name: str, shapes: geopandas.GeoSeries) -> NDArray[np.bool_]:
    rasterized = rasterized_event(name)
    projected = shapes.to_crs(rasterized.epsg)
    return geometry_mask(list(projected.make_valid()), rasterized.level.shape, rasterized.transform, invert=True)


def published(folder: Path) -> Iterator[tuple[str, geopandas.GeoDataFrame]]:
    """Yield the name of each event and the polygons of its last product."""
    for code, activation in specs.load()["activations"].items():
        for number, locality, target in activation["areas"]:
            stem = f"{code}_AOI{number:02d}" if activation["new"] else f"{code}_{number:02d}{locality.upper()}"
            last = sorted(folder.glob(f"ems/{stem}_*.zip"), key=lambda path: "MONIT" in path.name)[-1]
            tables = [table for name, table in layers(last).items() if "bserved" in name or "uilt" in name]
            if isinstance(target, list):
                assert not tables
            else:
                yield target, tables[0]
    for name, key in (("effis", "effis"), ("cal-fire", "cal_fire")):
        table = geopandas.read_file(folder / "burnt-areas" / f"{name}.geojson")
        for row, fire in enumerate(specs.load()[key]):
            yield fire, table.iloc[[row]]


def test_published_extents_are_those_of_the_pixels(world: Path) -> None:
    mapped = dict(published(world / "events"))
    assert sorted(mapped) == NAMES
    for name, table in mapped.items():
        level = rasterized_event(name).level
        pairs = [(table, level > 0)]
        if "damage_gra" in table:
            words = {"Destroyed": 3, "Damaged": 2, "Possibly damaged": 1}
            assert set(table["damage_gra"]) == {*words, "No visible damage"}
            pairs = [(table[table["damage_gra"] == word], level == grade) for word, grade in words.items()]
        for shown, truth in pairs:
            drawn = burn(name, shown.geometry)
            assert (drawn & truth).sum() / (drawn | truth).sum() > 0.85


def test_packages_match_the_api_response(world: Path) -> None:
    packages, crossed = sorted((world / "events" / "ems").glob("*.zip")), 0
    for package in packages:
        tables = layers(package)
        (aoi,) = (table for name, table in tables.items() if "nterest" in name)
        assert (len(aoi), aoi.crs.to_epsg()) == (1, 4326)
        assert aoi["emsr_id"][0].upper() == package.name[:7]
        for name, table in tables.items():
            assert name.startswith(package.name.split("_r1_RTP01")[0].split("_vector")[0])
            crossed += int((~table.is_valid).sum()) if "bserved" in name else 0
            assert (
                "nterest" in name
                or "ydro" in name
                or table.make_valid().union_all().within(aoi.geometry[0].buffer(1e-4))
            )
    assert crossed >= 5
    assert any("MONIT01" in package.name for package in packages)
    for path in (world / "events" / "ems").glob("*.json"):
        (response,) = json.loads(path.read_text())["results"]
        listed = {Path(product["downloadPath"]).name for area in response["aois"] for product in area["products"]}
        assert listed == {package.name for package in packages if package.name.startswith(path.stem)}
        assert datetime.fromisoformat(response["eventTime"]) <= datetime.fromisoformat(response["activationTime"])


def test_monitoring_products_include_earlier_polygons(world: Path) -> None:
    tables = {
        name: table
        for path in (world / "events" / "ems").glob("EMSR801_01*.zip")
        for name, table in layers(path).items() if "observed" in name
    }  # fmt: skip
    first, last = (tables[f"EMSR801_01OLDFORD_{product}_v1_observed_event_a.shp"] for product in ("DEL", "DEL_MONIT01"))
    assert set(first["dmg_src_id"]) == {2}
    assert (last["dmg_src_id"] == 2).sum() == len(first)
    assert first.make_valid().union_all().area < 0.9 * last.make_valid().union_all().area


def test_package_dates_are_those_of_the_image(world: Path) -> None:
    for package in (world / "events" / "ems").glob("*.zip"):
        with zipfile.ZipFile(package) as archive:
            days = {archive.read(name)[1:4] for name in archive.namelist() if name.endswith(".dbf")}
            assert days == {bytes([entry.date_time[0] - 1900, *entry.date_time[1:3]]) for entry in archive.infolist()}


def test_gazetteer_matches_the_land_cover(world: Path) -> None:
    table = geopandas.read_file(world / "events" / "places.geojson")
    assert len(table) >= 20
    covers = {"town": 50, "village": 50, "lake": 80, "lagoon": 80, "sea": 80}
    for row in table[table["kind"].isin(covers)].itertuples():
        place = "europe" if row.geometry.y > 0 else "south"
        zone = next(zone for zone in ZONES if zone.place.name == place)
        u, v = to_plane(zone.lon, zone.lat, 4326).transform(row.geometry.x, row.geometry.y)
        at = tuple(np.meshgrid(u + np.arange(-150.0, 151, 30), v + np.arange(-150.0, 151, 30)))
        assert (COVER[paint(PLACES[place], at, 0).dominant] == covers[row.kind]).mean() > 0.3


def test_earthquake_catalogue_matches_the_events(world: Path) -> None:
    feed = json.loads((world / "events" / "earthquakes" / "usgs.geojson").read_text())
    quakes = {quake["properties"]["time"]: quake for quake in feed["features"]}
    assert feed["metadata"]["count"] == len(quakes)
    assert sorted(quakes, reverse=True) == [quake["properties"]["time"] for quake in feed["features"]]
    assert min(quake["properties"]["mag"] for quake in quakes.values()) < 5
    for event in map(event_specs().__getitem__, NAMES):
        if event.type == "earthquake":
            second = round(event.start.replace(tzinfo=UTC).timestamp())
            (quake,) = (feature for time, feature in quakes.items() if time // 1000 == second)
            lon, lat, depth_km = quake["geometry"]["coordinates"]
            zone = next(zone for zone in ZONES if zone.place.name == event.place)
            u, v = to_plane(zone.lon, zone.lat, 4326).transform(lon, lat)
            assert np.hypot(u - event.at[0], v - event.at[1]) < 3000
            assert 0 < depth_km < 20
