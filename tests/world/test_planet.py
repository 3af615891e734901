"""The planet edition: places apart from each other, and plausible acquisitions around the events."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely

from landmark.config.recipe import load_recipe
from landmark.world import planet, scenes
from landmark.world.event_specs import event_of
from landmark.world.place import LATTICE_M, planet_places
from landmark.world.publish import degree_painter
from landmark.world.window import Painter

ROOT = Path(__file__).parents[2]
PLACES = planet_places()
ZONES = planet.zones(tile_px=360, block_px=128, seed=0)
TILES = [next(iter(zone.corners)) for zone in ZONES]


def test_places_share_no_product() -> None:
    covers = [scenes.Cover(scenes.worldcover_bounds_px([zone], 12_000), 12_000).tile for zone in ZONES]
    assert len({tile[:3] for tile in TILES}) == len(set(covers)) == len(ZONES) >= 80
    assert all(-60 < place.lat < 72 for place in PLACES.values())


def test_pages_and_the_recipe_have_the_number_of_places() -> None:
    events = sum(place.event is not None for place in PLACES.values())
    pages = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in ("README.md", "docs/world.md", "manifests/demo.yaml")
    }
    assert all(f"{len(PLACES)} places" in page for page in pages.values())
    assert f"{events} have an event" in pages["docs/world.md"] and f"Of {events} that" in pages["manifests/demo.yaml"]


def test_continents_biomes_and_events() -> None:
    assert len({place.continent for place in PLACES.values()}) == 6
    assert min(Counter(place.biome for place in PLACES.values()).values()) >= 5
    for kind, least in (("flood", 10), ("fire", 10), ("earthquake", 9)):
        continents = [place.continent for place in PLACES.values() if place.event == kind]
        assert len(continents) >= least and len(set(continents)) >= 4


def test_tiles_are_squares_of_the_lattice_about_their_place() -> None:
    for zone in ZONES:
        ((west, north),) = zone.corners.values()
        assert west % LATTICE_M == (north - zone.false_northing_m) % LATTICE_M == 0
        middle = shapely.Point(zone.lon, zone.lat)
        outline = scenes.degrees(shapely.box(*zone.bounds), zone.epsg)
        assert outline.centroid.distance(middle) < 1e-3
        assert load_recipe("demo").region.geometry.covers(outline)


def test_acquisitions_repeat_the_track_of_a_satellite() -> None:
    optical = [scenes.simulated_pass(zone, tile, n) for zone, tile in zip(ZONES, TILES, strict=True)
               for n in zone.acquisition_numbers(tile)]  # fmt: skip
    radar = [scenes.radar_pass(zone, n) for zone in ZONES for n in range(len(zone.schedule["passes"]))]
    assert len({each.id for each in optical}) == len(optical) and len({each.id for each in radar}) == len(radar)
    for passes, mission in ((optical, planet.SENTINEL_2), (radar, planet.SENTINEL_1)):
        for each in passes:
            ahead = next(craft.ahead for craft in mission.satellites if craft.letter == each.platform[-1])
            assert each.orbit == (each.absolute_orbit + ahead) % mission.orbits + 1
    assert {each.offset for each in optical} == {0, 1000}


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone.place.event], ids=lambda zone: zone.place.name)
def test_events_are_imaged_before_and_while_they_show(zone: scenes.Zone) -> None:
    event = event_of(zone.place)
    assert event
    first, last = event.visible
    for times in ([row[1] for row in zone.schedule[key]] for key in ("acquisitions", "passes")):
        before, shown = times
        assert timedelta(9) < event.start - before < timedelta(62) and first < shown < last
        assert (before.year, before.month) != (shown.year, shown.month)


def test_land_maps_are_cut_from_land_that_is_painted_once() -> None:
    zone = next(zone for zone in planet.zones(tile_px=120, block_px=64, seed=0) if zone.place.biome == "coast")
    west, south, east, north = scenes.degrees(shapely.box(*zone.bounds), zone.epsg).bounds
    lon, lat = np.linspace(west, east, 60), np.linspace(north, south, 50)
    cut = Painter(zone, zone.bounds).dominant(4326, lon, lat)
    # Centres of pixels differ by up to 7 m.
    assert (cut == degree_painter(zone)(lon, lat)).mean() > 0.8
