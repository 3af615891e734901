"""Places of the world, and those of the planet edition."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from landmark.core.crs import transformer

LATTICE_M = 3600  # corners of the planet edition's tiles are multiples of it, from the equator and easting 0


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the world: its name, the degrees of its centre, and what is painted there.

    `biome` selects the painter of the planet edition; None: the painter of the easy edition with the place's name.
    `event` is the type of its event (flood, fire or earthquake), None without one.
    """

    name: str
    lon: float
    lat: float
    continent: str = ""
    biome: str | None = None
    event: str | None = None

    @property
    def epsg(self) -> int:
        """EPSG code of the place's UTM zone on WGS 84."""
        return (32600 if self.lat >= 0 else 32700) + int((self.lon + 180) // 6) + 1

    @property
    def centre(self) -> tuple[float, float]:
        """Map coordinates of the place's centre in its UTM zone."""
        x, y = transformer(4326, self.epsg).transform(self.lon, self.lat)
        return float(x), float(y)

    @property
    def false_northing_m(self) -> int:
        """False northing of the UTM zone."""
        return 10_000_000 if self.lat < 0 else 0


@cache
def planet_places() -> dict[str, Place]:
    """Return the places of `planet.yaml` by name; the centre of each is that of its tile."""
    with (Path(__file__).parent / "planet.yaml").open(encoding="utf-8") as file:
        continents = yaml.safe_load(file)
    rows = ((name, continent, fields) for continent, table in continents.items() for name, fields in table.items())
    return {name: _move_to_tile(Place(name, continent=continent, **fields)) for name, continent, fields in rows}


def _move_to_tile(place: Place) -> Place:
    """Move a place to the centre of the square of `LATTICE_M` that contains it."""
    # 10,000 km, the false northing of the south, is no multiple of the lattice.
    x, y = place.centre
    x, y = ((edge // LATTICE_M + 0.5) * LATTICE_M for edge in (x, y - place.false_northing_m))
    lon, lat = transformer(4326, place.epsg).transform(x, y + place.false_northing_m, direction="INVERSE")
    return replace(place, lon=round(float(lon), 7), lat=round(float(lat), 7))
