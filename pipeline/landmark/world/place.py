"""Places of the world."""

from dataclasses import dataclass


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
