"""Events of the planet: their traces on the land of their place, and their published records."""

from datetime import UTC, timedelta
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from landmark.config.event_entries import EventEntry
from landmark.domain.event import Event
from landmark.events.load import read_events
from landmark.events.source import load_source
from landmark.world import event_records, events, feeds, packages, planet
from landmark.world.event_specs import event_of, event_specs
from landmark.world.ground import COVER
from landmark.world.rasterize import RasterizedEvent, rasterize
from landmark.world.window import HALO, Painter

ZONES = {zone.place.name: zone for zone in planet.zones(tile_px=360, block_px=128, seed=0) if zone.place.event}
EVENTS = {name: event_specs()[name] for name in ZONES}
FIRES = {source: next(iter(event_records.burnt_areas(source, set(ZONES)))) for source in ("effis", "cal_fire")}
MAPPED = {activation["place"] for activation in event_records.activations(set(ZONES)).values()}
# One event of each type from each kind of publisher.
TYPES = {EVENTS[name].type: name for name in sorted(MAPPED)}
CHOSEN = [*TYPES.values(), *FIRES.values()]


@cache
def rasterized_event(name: str) -> RasterizedEvent:
    return rasterize(EVENTS[name], Painter(ZONES[name]))


def affected(name: str, level: NDArray[np.floating], cover: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask that carries the event's class: damage that is certain, or what is not permanent water."""
    return level >= events.DAMAGED if EVENTS[name].type == "earthquake" else (level > 0) & (cover != 80)


def test_every_event_is_published_once() -> None:
    fires = [fire for source in FIRES for fire in event_records.burnt_areas(source, set(ZONES))]
    assert sorted([*MAPPED, *fires]) == sorted(EVENTS)
    assert {fire: EVENTS[fire].type for fire in fires} == dict.fromkeys(fires, "fire")
    activations = event_records.activations(set(ZONES))
    assert {activation["new"] for activation in activations.values()} == {True, False}
    assert {len(activation["areas"]) for activation in activations.values()} == {1, 2}
    assert any(len(activation["products"]) == 2 for activation in activations.values())


def test_events_are_spread_over_the_year() -> None:
    assert len({(event.start.year, event.start.month) for event in EVENTS.values()}) >= 8
    for event in EVENTS.values():
        assert event.start <= (event.peak or event.start) < event.visible[0] + timedelta(hours=1) < event.visible[1]


@pytest.mark.parametrize("name", TYPES.values())
def test_events_change_the_land_inside_their_extent(name: str) -> None:
    event, (view, level, *_), zone = EVENTS[name], rasterized_event(name), ZONES[name]
    traces = events.find_traces(view, zone.place, zone.seed)
    assert events.apply_events(view, traces, event.start - timedelta(seconds=1)) is view
    now = events.apply_events(view, traces, event.visible[0] + timedelta(hours=1)).land
    differs = (now.kind != view.land.kind) | (now.share != view.land.share)
    assert not (differs & (level == 0)).any()
    core = affected(name, level, COVER[view.land.dominant]) & (level != events.DAMAGED)
    assert (differs & core).sum() > 0.95 * core.sum() > 0


@pytest.mark.long
def test_each_event_affects_cells_of_the_place() -> None:
    counts = {}
    for name, zone in ZONES.items():
        ((west, north),) = zone.corners.values()
        view = Painter(zone).view(west=west, north=north, shape=(360, 360))
        (trace,) = events.find_traces(view, zone.place, zone.seed)
        level = np.zeros(view.at[0].shape)
        level[trace.window] = trace.level
        mask = affected(name, level, COVER[view.land.dominant])[HALO:-HALO, HALO:-HALO]
        share = mask.reshape(3, 120, 3, 120).mean(axis=(1, 3))
        least = 0.01 if EVENTS[name].type == "earthquake" else 0.05
        counts[name] = (int((share >= least).sum()), int((share < least).sum()))
    assert min(with_class for with_class, _ in counts.values()) >= 2
    assert min(without for _, without in counts.values()) >= 2
    assert sum(with_class >= 3 for with_class, _ in counts.values()) >= 0.85 * len(counts)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for name in CHOSEN:
        packages.publish([Painter(ZONES[name])], folder / "ems")
    feeds.publish([ZONES[name] for name in CHOSEN], folder)
    return folder


def read(source: str, path: Path, **fields: float) -> tuple[Event, ...]:
    entry = EventEntry(source=source, files=[str(path)], **fields)
    return read_events(entry, load_source(source), [path]).events


def test_records_give_the_extent_and_the_times_of_the_events(records: Path) -> None:
    mapped = [event for event in read("copernicus-ems", records / "ems") if event.affected_parts]
    burnt = [event for name in ("effis", "cal-fire")
             for event in read(name, records / "burnt-areas" / f"{name}.geojson")]  # fmt: skip
    assert len(mapped) == 3 and len(burnt) == 2
    for name, event in zip(CHOSEN, sorted(mapped, key=lambda event: CHOSEN.index(owner(event))) + burnt, strict=True):
        spec, (view, level, transform, epsg) = EVENTS[name], rasterized_event(name)
        assert event.type == spec.type
        assert abs(event.start - spec.start.replace(tzinfo=UTC)) < timedelta(days=1)
        first, last = (moment.replace(tzinfo=UTC) for moment in spec.visible)
        assert (event.start < first < last < event.end) if spec.type == "flood" else event.end < first
        shapes = geopandas.GeoSeries([part.geometry for part in event.affected_parts], crs=4326).to_crs(epsg)
        drawn = geometry_mask(list(shapes), level.shape, transform, invert=True)
        truth = level >= events.DAMAGED if spec.type == "earthquake" else level > 0
        assert (drawn & truth).sum() > 0.85 * (drawn | truth).sum() > 0
        assert view.at[0].shape == level.shape


def owner(event: Event) -> str:
    """Return the place of an event of Copernicus EMS, by the code of its activation."""
    return str(event_records.activations(set(ZONES))[event.group.upper()]["place"])


def test_the_catalogue_has_each_earthquake(records: Path) -> None:
    name = TYPES["earthquake"]
    near = read("usgs-earthquakes", records / "earthquakes" / "usgs.geojson", within_km=3, min_magnitude=5)
    place, start = ZONES[name].place, EVENTS[name].start.replace(tzinfo=UTC)
    (quake,) = (quake for quake in near if abs(quake.start - start) < timedelta(seconds=1))
    assert quake.epicentre
    assert np.hypot(quake.epicentre[0] - place.lon, quake.epicentre[1] - place.lat) < 0.03
    assert len(near) > 1  # earthquakes elsewhere


def test_the_gazetteer_names_each_place(records: Path) -> None:
    table = geopandas.read_file(records / "places.geojson")
    assert {name.title() for name in CHOSEN} <= set(table["name"])
    assert {"country", "district", "town"} == set(table["kind"])
    assert event_of(ZONES[CHOSEN[0]].place) == EVENTS[CHOSEN[0]]
