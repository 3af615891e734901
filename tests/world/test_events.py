"""Floods, fires and earthquakes change pixels from their date on, there and nowhere else, and are published so."""

import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy import ndimage
from scipy.spatial import cKDTree

from landmark.world import events, publish, scenes
from landmark.world.events import EventSpec, event_specs
from landmark.world.ground import COVER
from landmark.world.plane import to_plane
from landmark.world.rasterize import RasterizedEvent, rasterize
from landmark.world.sensors import BANDS, Radar, Sun, Veil, backscatter, ground10, recorded, reflectances
from landmark.world.window import HALO
from tests.world.test_world import digests

ZONES = scenes.zones(tile_px=1098, block_px=512, seed=0)
NAMES = sorted(event_specs())
FLOODS = [name for name in NAMES if event_specs()[name].type == "flood"]
INNER = np.s_[HALO:-HALO, HALO:-HALO]


@cache
def charted(name: str) -> RasterizedEvent:
    return rasterize(event_specs()[name], ZONES)


def acquisitions(strike: EventSpec) -> Iterator[tuple[datetime, str]]:
    """Yield when, and the sensor with its direction, of all that see an event's middle."""
    zone = next(zone for zone in ZONES if zone.epsg == strike.epsg)
    x, _ = to_plane(zone.lon, zone.lat, zone.epsg).transform(*strike.at, direction="INVERSE")
    seeing = [tile for tile, (west, _) in zone.corners.items() if west + 1500 < x < west + zone.tile_px * 10 - 600]
    assert seeing
    for number in {number for tile in seeing for number in zone.takes(tile)}:
        yield zone.book["takes"][number][1], "s2"
    for _, when, _, _, direction in zone.book["passes"]:
        yield when, f"s1 {direction}"


def images(name: str, when: datetime, *, struck: bool) -> dict[str, NDArray[np.float64]]:
    """Return what both sensors see of an event's window at a moment, as it is or as if nothing had happened."""
    seen = charted(name).seen
    now = events.apply_events(seen, events.find_traces(seen, event_specs()[name].place, 0), when) if struck else seen
    base, day = ground10(seen, 0), when.timetuple().tm_yday
    clear = Veil(np.zeros(seen.at[0].shape), np.zeros(seen.at[0].shape))
    optical = {
        band: recorded(band, field, now, take="one", offset=0, seed=0).astype(float)
        for band, field in reflectances(now, base, day=day, veil_=clear, where=Sun(30, 150))
        if BANDS[band] < 6
    }
    return optical | {
        band: 10 * np.log10(power) for band, power in backscatter(now, base, Radar("one", True, day), seed=0).items()
    }


def changed(before: NDArray[np.float64], after: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """Return which 10 m pixels of a square window of that side differ."""
    times = side // len(before)
    return (before != after).repeat(times, axis=0).repeat(times, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_change_where_the_truth_says_and_nowhere_else(name: str) -> None:
    strike, level = event_specs()[name], charted(name).level
    when = max(strike.start, strike.peak or strike.start) + timedelta(hours=1)
    quiet, now = images(name, when, struck=False), images(name, when, struck=True)
    # The optics and the radar spread a pixel over its neighbours; 20 m bands hold four.
    near = ndimage.binary_dilation(level > 0, np.ones((3, 3)), iterations=3)[INNER]
    core = ((level > 0) if strike.type != "earthquake" else (level == events.DESTROYED))[INNER]
    side = len(core)
    for band in quiet:
        differs = changed(quiet[band], now[band], side)
        assert not (differs & ~near).any()
        assert (differs & core).sum() > 0.8 * core.sum()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_differs_before_the_date(name: str) -> None:
    seen, strike = charted(name).seen, event_specs()[name]
    alone = [mark for mark in events.find_traces(seen, strike.place, 0) if mark.strike is strike]
    assert alone
    assert events.apply_events(seen, alone, strike.start - timedelta(seconds=1)) is seen
    assert events.apply_events(seen, alone, strike.start) is not seen


def test_no_event_touches_what_was_taken_earlier(tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "event_specs", dict)
    for unit in (("s2", "32734", "34HEH"), ("s1", "32734")):
        publish.write_unit(unit, out=tmp_path, parameters={"tile_px": 366, "block_px": 128, "seed": 0})
    quiet, told = digests(tmp_path), digests(world)
    differs = {re.findall(r"20\d{6}(?=T)", name)[0] for name in quiet if quiet[name] != told[name]}
    assert differs == {"20220621", "20220622", "20220711", "20220716", "20220820", "20220821"}


def test_what_the_sensors_see_is_what_such_events_do() -> None:
    for name in NAMES:
        strike, level = event_specs()[name], charted(name).level[INNER]
        when = max(strike.start, strike.peak or strike.start) + timedelta(days=1)
        quiet, now = images(name, when, struck=False), images(name, when, struck=True)
        core = ndimage.binary_erosion(level > 2 if strike.type == "earthquake" else level > 0)
        coarse = core[::2, ::2]
        rise = {band: float(np.median((now[band] - quiet[band])[core])) for band in ("B03", "B04", "B08", "vv", "vh")}
        swir = float(np.median((now["B12"] - quiet["B12"])[coarse]))
        match strike.type:
            case "flood":
                assert rise["B08"] < -1000 and swir < -600 and rise["vv"] < -5
            case "fire":
                assert rise["B08"] < -300 and rise["vh"] < -2
                nbr = [(x["B8A"] - x["B12"])[coarse] / (x["B8A"] + x["B12"])[coarse] for x in (quiet, now)]
                assert np.median(nbr[0] - nbr[1]) > 0.27  # a moderate burn, by the usual classes of dNBR
            case "earthquake":
                assert rise["B03"] > 150 and -6 < rise["vv"] < -1


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_goes_and_leaves_no_water(name: str) -> None:
    seen, strike = charted(name).seen, event_specs()[name]
    found = events.find_traces(seen, strike.place, 0)
    wet = [
        COVER[events.apply_events(seen, found, when).land.kind] == 80
        for when in (strike.start - timedelta(days=1), strike.start, strike.end, strike.end + timedelta(days=1))
    ]
    assert wet[0].sum() < wet[1].sum() < wet[2].sum()
    assert not (wet[0] & ~wet[2]).any()  # what was water stays water
    np.testing.assert_array_equal(wet[0], wet[3])


def test_a_burn_fades_over_a_year() -> None:
    seen, strike = charted("hartwood").seen, event_specs()["hartwood"]
    found = events.find_traces(seen, strike.place, 0)
    shares = [
        float(
            events.apply_events(seen, found, strike.end + timedelta(days=days))
            .land.share[charted("hartwood").level > 0]
            .mean()
        )
        for days in (1, 60, 365)
    ]
    assert shares[0] > 0.75 > shares[1] > 0.5 > shares[2] > 0.1


def test_events_lie_after_what_was_published_and_apart() -> None:
    assert all(strike.start > datetime(2022, 6, 1) for strike in event_specs().values())
    spots = {}
    for name in NAMES:
        seen = charted(name)
        spots[name] = np.stack([axis[seen.level > 0] for axis in seen.seen.at], axis=1)
    quake = {"riverton", "ashby"}  # two areas of one event
    for one in NAMES:
        for other in NAMES:
            if one < other and event_specs()[one].place == event_specs()[other].place and {one, other} != quake:
                assert cKDTree(spots[one]).query(spots[other], distance_upper_bound=2500)[0].min() == np.inf


@pytest.mark.parametrize("name", NAMES)
def test_both_sensors_look_before_and_after(name: str) -> None:
    strike = event_specs()[name]
    found = sorted(acquisitions(strike))
    for sensor in ("s1", "s2"):
        before = {
            how for when, how in found if how[:2] == sensor and timedelta(0) < strike.start - when < timedelta(60)
        }
        after = [how for when, how in found if how[:2] == sensor and when > strike.start]
        assert len(before & set(after)) == 1
        assert len(after) >= 2
    if strike.type == "flood":
        assert {how[:2] for when, how in found if strike.peak < when < strike.end} == {"s1", "s2"}
        assert {how[:2] for when, how in found if when > strike.end} == {"s1", "s2"}


def layers(package: Path) -> dict[str, geopandas.GeoDataFrame]:
    names = [name for name in zipfile.ZipFile(package).namelist() if name.endswith(".shp")]
    return {name: geopandas.read_file(f"zip://{package}!{name}") for name in names}


def on_the_lattice(name: str, shapes: geopandas.GeoSeries) -> NDArray[np.bool_]:
    seen = charted(name)
    there = shapes.to_crs(seen.epsg)
    return geometry_mask(list(there.make_valid()), seen.level.shape, seen.transform, invert=True)


def published(folder: Path) -> Iterator[tuple[str, geopandas.GeoDataFrame]]:
    """Yield each event and what the last product shows as affected, damage that is only possible left out."""
    for code, said in events.load()["activations"].items():
        for number, locality, what in said["areas"]:
            stem = f"{code}_AOI{number:02d}" if said["new"] else f"{code}_{number:02d}{locality.upper()}"
            last = sorted(folder.glob(f"ems/{stem}_*.zip"), key=lambda path: "MONIT" in path.name)[-1]
            found = [table for name, table in layers(last).items() if "bserved" in name or "uilt" in name]
            if isinstance(what, list):
                assert not found
            else:
                yield what, found[0]
    for name, key in (("effis", "effis"), ("cal-fire", "cal_fire")):
        table = geopandas.read_file(folder / "burnt-areas" / f"{name}.geojson")
        for row, fire in enumerate(events.load()[key]):
            yield fire, table.iloc[[row]]


def test_published_extents_are_those_of_the_pixels(world: Path) -> None:
    found = dict(published(world / "events"))
    assert sorted(found) == NAMES
    for name, table in found.items():
        level = charted(name).level
        pairs = [(table, level > 0)]
        if "damage_gra" in table:
            words = {"Destroyed": 3, "Damaged": 2, "Possibly damaged": 1}
            assert set(table["damage_gra"]) == {*words, "No visible damage"}
            pairs = [(table[table["damage_gra"] == word], level == grade) for word, grade in words.items()]
        for shown, truth in pairs:
            drawn = on_the_lattice(name, shown.geometry)
            assert (drawn & truth).sum() / (drawn | truth).sum() > 0.85


def test_packages_open_and_say_what_the_service_says(world: Path) -> None:
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
        (said,) = json.loads(path.read_text())["results"]
        listed = {Path(one["downloadPath"]).name for area in said["aois"] for one in area["products"]}
        assert listed == {package.name for package in packages if package.name.startswith(path.stem)}
        assert datetime.fromisoformat(said["eventTime"]) <= datetime.fromisoformat(said["activationTime"])


def test_a_monitoring_product_holds_the_first_ones_polygons(world: Path) -> None:
    tables = {
        name: table
        for path in (world / "events" / "ems").glob("EMSR801_01*.zip")
        for name, table in layers(path).items() if "observed" in name
    }  # fmt: skip
    first, last = (tables[f"EMSR801_01OLDFORD_{product}_v1_observed_event_a.shp"] for product in ("DEL", "DEL_MONIT01"))
    assert set(first["dmg_src_id"]) == {2}
    assert (last["dmg_src_id"] == 2).sum() == len(first)
    assert first.make_valid().union_all().area < 0.9 * last.make_valid().union_all().area


def test_packages_hold_the_image_s_day_and_not_today(world: Path) -> None:
    for package in (world / "events" / "ems").glob("*.zip"):
        with zipfile.ZipFile(package) as held:
            days = {held.read(name)[1:4] for name in held.namelist() if name.endswith(".dbf")}
            assert days == {bytes([one.date_time[0] - 1900, *one.date_time[1:3]]) for one in held.infolist()}


def test_the_gazetteer_names_what_lies_there(world: Path) -> None:
    table = geopandas.read_file(world / "events" / "places.geojson")
    assert len(table) >= 20
    covers = {"town": 50, "village": 50, "lake": 80, "lagoon": 80, "sea": 80}
    for row in table[table["kind"].isin(covers)].itertuples():
        place = "europe" if row.geometry.y > 0 else "south"
        zone = next(zone for zone in ZONES if zone.place == place)
        u, v = to_plane(zone.lon, zone.lat, 4326).transform(row.geometry.x, row.geometry.y)
        at = tuple(np.meshgrid(u + np.arange(-150.0, 151, 30), v + np.arange(-150.0, 151, 30)))
        assert (COVER[publish.PLACES[place](at, 0).most] == covers[row.kind]).mean() > 0.3


def test_the_catalogue_of_earthquakes_is_a_feed(world: Path) -> None:
    said = json.loads((world / "events" / "earthquakes" / "usgs.geojson").read_text())
    quakes = {one["properties"]["time"]: one for one in said["features"]}
    assert said["metadata"]["count"] == len(quakes)
    assert sorted(quakes, reverse=True) == [one["properties"]["time"] for one in said["features"]]
    assert min(one["properties"]["mag"] for one in quakes.values()) < 5
    for strike in event_specs().values():
        if strike.type == "earthquake":
            second = round(strike.start.replace(tzinfo=UTC).timestamp())
            (quake,) = (one for time, one in quakes.items() if time // 1000 == second)
            lon, lat, depth_km = quake["geometry"]["coordinates"]
            zone = next(zone for zone in ZONES if zone.place == strike.place)
            u, v = to_plane(zone.lon, zone.lat, 4326).transform(lon, lat)
            assert np.hypot(u - strike.at[0], v - strike.at[1]) < 3000
            assert 0 < depth_km < 20
