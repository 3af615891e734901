"""Events read from the embedded world's files equal its simulated events."""

from pathlib import Path

import yaml

from landmark import world as planet
from landmark.config.event_entries import EventEntry
from landmark.core.time import parse_utc
from landmark.events.files import resolve_event_files
from landmark.events.geometry import affected_km2
from landmark.events.load import read_events
from landmark.events.source import load_source
from tests.events.writers import read

WORLD = yaml.safe_load((Path(planet.__file__).parent / "events.yaml").read_text(encoding="utf-8"))
PARTS = {"flood": ["observed", "aoi"], "earthquake": ["destroyed", "damaged", "aoi"]}


def test_activations_of_the_world(world: Path) -> None:
    events = {event.id: event for event in read(world / "events" / "ems").events}
    areas = {}
    for code, activation in WORLD["activations"].items():
        for number, locality, event in activation["areas"]:
            name = f"aoi{number:02}" if activation["new"] else f"{number:02}{locality.lower()}"
            areas[f"{code.lower()}-{name}"] = (activation, event)
    assert sorted(events) == sorted(areas)
    for id_, (activation, simulated) in areas.items():
        event, mapped = events[id_], isinstance(simulated, str)
        assert event.start == parse_utc(str(activation["start"]))
        assert event.type == activation["category"].lower()
        assert event.group == id_.partition("-")[0]
        assert [part.name for part in event.parts] == (PARTS[event.type] if mapped else ["aoi"])
        assert (affected_km2(event) > 0.1) == mapped
        if mapped and event.type == "flood":
            assert event.observed is not None and event.start < event.observed <= event.end
            assert ("MONIT01" in event.product) == (len(activation["products"]) > 1)


def test_fires_and_earthquakes_of_the_world(world: Path) -> None:
    for source, file, key in (("effis", "effis", "effis"), ("cal-fire", "cal-fire", "cal_fire")):
        fires = read(world / "events" / "burnt-areas" / f"{file}.geojson", source=source).events
        assert [fire.type for fire in fires] == ["fire"] * len(WORLD[key])
        assert {fire.start.date() for fire in fires} == {
            parse_utc(str(WORLD["events"][name]["start"])).date() for name in WORLD[key]
        }
    entry = EventEntry(source="usgs-earthquakes", files=("world:events/earthquakes/*",), within_km=20, min_magnitude=5)
    quakes = read_events(entry, load_source(entry.source), resolve_event_files(entry, lambda _: world)).events
    assert [quake.id for quake in quakes] == [f"usgs-{row[0]}" for row in WORLD["earthquakes"] if row[2] >= 5]
