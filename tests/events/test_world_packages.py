"""What the embedded world publishes is read as what happened in it."""

from pathlib import Path

import yaml

from landmark import world as planet
from landmark.domain.event import Events, moment
from landmark.events.files import event_files
from landmark.events.load import read_events
from landmark.events.shapes import affected_km2
from landmark.events.source import load_source
from tests.events.making import read

TOLD = yaml.safe_load((Path(planet.__file__).parent / "events.yaml").read_text(encoding="utf-8"))
# What was mapped is the ground's own truth, smoothed as mappers do.
KINDS = {"flood": ["observed", "aoi"], "earthquake": ["destroyed", "damaged", "aoi"]}


def test_activations_of_the_world(world: Path) -> None:
    found = {event.id: event for event in read(world / "events" / "ems").events}
    areas = {}
    for code, said in TOLD["activations"].items():
        for number, locality, event in said["areas"]:
            name = f"aoi{number:02}" if said["new"] else f"{number:02}{locality.lower()}"
            areas[f"{code.lower()}-{name}"] = (said, event)
    assert sorted(found) == sorted(areas)
    for id_, (said, happened) in areas.items():
        event, mapped = found[id_], isinstance(happened, str)
        assert event.start == moment(str(said["start"]))
        assert event.type == said["category"].lower()
        assert event.group == id_.partition("-")[0]
        assert [part.name for part in event.parts] == (KINDS[event.type] if mapped else ["aoi"])
        assert (affected_km2(event) > 0.1) == mapped
        if mapped and event.type == "flood":
            assert event.observed is not None and event.start < event.observed <= event.end
            assert ("MONIT01" in event.product) == (len(said["products"]) > 1)


def test_fires_and_earthquakes_of_the_world(world: Path) -> None:
    for source, file, key in (("effis", "effis", "effis"), ("cal-fire", "cal-fire", "cal_fire")):
        fires = read(world / "events" / "burnt-areas" / f"{file}.geojson", source=source).events
        assert [fire.type for fire in fires] == ["fire"] * len(TOLD[key])
        assert {fire.start.date() for fire in fires} == {
            moment(str(TOLD["events"][name]["start"])).date() for name in TOLD[key]
        }
    entry = Events(source="usgs-earthquakes", files=("world:events/earthquakes/*",), within_km=20, min_magnitude=5)
    quakes = read_events(entry, load_source(entry.source), event_files(entry, lambda: world)).events
    assert [quake.id for quake in quakes] == [f"usgs-{one[0]}" for one in TOLD["earthquakes"] if one[2] >= 5]
