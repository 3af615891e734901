"""Published records of the events: those of the easy edition in `events.yaml`, those of the planet drawn from names.

Floods and earthquakes of the planet are activations of Copernicus EMS; fires are published by region: EFFIS about the
Mediterranean, FRAP in North America, elsewhere activations.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from landmark.world.event_specs import EventSpec, event_of, load
from landmark.world.place import Place, planet_places
from landmark.world.plane import rng, to_plane

Record = dict[str, Any]


class Earthquake(NamedTuple):
    """A row of `earthquakes` in `events.yaml`."""

    id: str
    when: datetime
    magnitude: float
    magnitude_type: str
    depth_km: float
    lon: float
    lat: float
    place: str


def activations(names: set[str]) -> dict[str, Record]:
    """Return the Copernicus EMS activations of some places by code, in the form of `events.yaml`."""
    known = load()["activations"] | _planet_activations()
    return {code: activation for code, activation in known.items() if activation["place"] in names}


def burnt_areas(source: str, names: set[str]) -> dict[str, list[Any]]:
    """Return the attributes of each fire in some places that a source (effis or cal_fire) publishes."""
    if names.isdisjoint(planet_places()):
        return dict(load()[source])
    fires = [event for place, event in _planet_events() if place.name in names and _publisher(place) == source]
    return {fire.name: _attributes(source, number, fire) for number, fire in enumerate(fires, 901)}


def earthquakes(names: set[str]) -> list[Earthquake]:
    """Return the catalogue of the edition with some places, the first earthquake first."""
    if names.isdisjoint(planet_places()):
        return [Earthquake(*row) for row in load()["earthquakes"]]
    events = (row for row in _planet_events() if row[0].name in names and row[1].type == "earthquake")
    distant = (Earthquake(*row) for row in load()["planet"]["distant_earthquakes"])
    return sorted([*(shock for row in events for shock in _shocks(*row)), *distant], key=lambda shock: shock.when)


def gazetteer(names: set[str]) -> list[list[Any]]:
    """Return the rows of `places` in `events.yaml`; of the planet, each place, and per continent a country far away."""
    if names.isdisjoint(planet_places()):
        return list(load()["places"])
    places = [place for place in planet_places().values() if place.name in names]
    centres = [[place.name, 0, 0, "town" if place.event == "earthquake" else "district", place.name.title()]
               for place in places]  # fmt: skip
    first = {place.continent: place.name for place in reversed(places)}
    countries = [[name, 40_000, 40_000, "country", *load()["planet"]["countries"][continent]]
                 for continent, name in first.items()]  # fmt: skip
    return [*centres, *countries]


@cache
def _planet_events() -> list[tuple[Place, EventSpec]]:
    return [(place, event) for place in planet_places().values() if (event := event_of(place))]


def _publisher(place: Place) -> str:
    """Return who publishes the event of a place: effis, cal_fire or ems."""
    west, south, east, north = load()["planet"]["effis_bbox"]
    if place.event != "fire":
        return "ems"
    if place.continent == "north america":
        return "cal_fire"
    return "effis" if west < place.lon < east and south < place.lat < north else "ems"


@cache
def _planet_activations() -> dict[str, Record]:
    published = [(place, event) for place, event in _planet_events() if _publisher(place) == "ems"]
    return {f"EMSR{number}": _activation(place, event, number) for number, (place, event) in enumerate(published, 901)}


def _activation(place: Place, event: EventSpec, number: int) -> Record:
    """Draw an activation; some have an area without an event beyond the opposite corner of the place."""
    text, draw = load()["planet"]["activations"][event.type], rng(0, "activation", event.name)
    areas: list[list[Any]] = [[1, event.name.title(), event.name]]
    if number % 3 == 0 and event.type != "earthquake":
        away_u, away_v = (-2600 if offset > 0 else 2600 for offset in event.at)
        areas.append([2, f"{event.name.title()}moor", [place.epsg, away_u, away_v, 600]])
    return {
        "name": f"{text['title']} {event.name.title()}", "category": text["category"],
        "kind": str(draw.choice(text["kinds"])), "place": place.name, "new": bool(draw.random() < 0.5),
        "opened": event.start + timedelta(hours=round(draw.uniform(2, 9))), "start": event.start, "areas": areas,
        "products": _products(event, draw),
    }  # fmt: skip


def _products(event: EventSpec, draw: np.random.Generator) -> list[list[Any]]:
    """Return the products: of a flood one before its peak and one that monitors it, or one after the peak."""
    image, hours = str(draw.choice(load()["planet"]["images"])), timedelta(hours=round(draw.uniform(4, 14)))
    if event.type != "flood":
        day = timedelta(days=1)
        return [["GRA" if event.type == "earthquake" else "DEL", image, event.end + day + hours]]
    assert event.peak
    if draw.random() < 0.5:
        return [["DEL", image, event.peak + hours]]
    return [["DEL", image, event.start + hours], ["DEL_MONIT01", "Sentinel-2A", event.peak + 2 * hours]]


def _attributes(source: str, number: int, fire: EventSpec) -> list[Any]:
    title = fire.name.title()
    return [number * 1000, f"{title} Hills", title] if source == "effis" else [title.upper(), f"{number:08d}"]


def _shocks(place: Place, event: EventSpec) -> Iterator[Earthquake]:
    """Yield the main shock of an event, which has its time, and one or two aftershocks."""
    draw = rng(0, "shocks", event.name)
    to_degrees = to_plane(place.lon, place.lat, 4326)
    hours = [0.0, *np.cumsum(draw.uniform(0.2, 20, draw.integers(1, 3)))]
    for number, hour in enumerate(hours):
        after = timedelta(hours=hour, milliseconds=int(draw.integers(1000)))
        off = draw.uniform(-1200, 1200, 2)
        lon, lat = to_degrees.transform(event.at[0] + off[0], event.at[1] + off[1], direction="INVERSE")
        magnitude = draw.uniform(5.5, 6.8) if number == 0 else draw.uniform(2.8, 4.9)
        yield Earthquake(
            f"wl7000{draw.integers(16**3, 16**4):x}", event.start + after,
            round(magnitude, 1), "mww" if magnitude > 5 else "mb", round(draw.uniform(6, 18), 1),
            round(lon, 4), round(lat, 4), f"1 km {draw.choice(['N', 'E', 'S', 'W'])} of {event.name.title()}",
        )  # fmt: skip
