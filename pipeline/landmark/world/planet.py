"""Zones of the planet edition, with acquisitions drawn from the seed around the dates of the events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import numpy as np

from landmark.world.event_specs import EventSpec, event_of
from landmark.world.place import Place, planet_places
from landmark.world.plane import rng, seed_of
from landmark.world.scenes import Zone

MARGIN = 0.1  # margins about the tiles, as a share of those of the easy edition
BANDS = "CDEFGHJKLMNPQRSTUVWX"  # latitude bands of 8 degrees, from 80 degrees south
COLUMNS, ROWS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "ABCDEFGHJKLMNPQRSTUV"  # letters of MGRS squares of 100 km
DAYS = [date(2021, 6, 1) + timedelta(days=day) for day in range(451)]
BASELINE_4 = date(2022, 1, 25)
MIN_SUN_DEG = 25.0  # least elevation of the sun at noon
GAP_DAYS = (10, 60)  # from an image before an event to the event's start
CLOUDS = ((0.75, 0.0, 0.02), (0.22, 0.02, 0.06), (0.03, 0.15, 0.3))  # probability, least and largest cloud share


class Satellite(NamedTuple):
    """A satellite: an absolute orbit and its time, how far the relative orbit is ahead, and the last day of service."""

    letter: str
    orbit: int
    when: datetime
    ahead: int
    last: date = DAYS[-1]


class Mission(NamedTuple):
    """Two satellites that repeat their tracks after `days` and `orbits`, half a cycle apart."""

    satellites: tuple[Satellite, Satellite]
    days: int
    orbits: int


SENTINEL_2 = Mission((
    Satellite("A", 31193, datetime(2021, 6, 12, 10, 10, 31), 2),
    Satellite("B", 25788, datetime(2022, 2, 12, 10, 10, 29), -27)), 10, 143)  # fmt: skip
SENTINEL_1 = Mission((
    Satellite("A", 38339, datetime(2021, 6, 14, 17, 6, 28), -73),
    Satellite("B", 28194, datetime(2021, 8, 11, 5, 27, 12), -27, date(2021, 12, 22))), 12, 175)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Track:
    """Passes of a mission over a place, every half cycle by the other satellite.

    `first` is the number of the satellite that passes on day `day`.
    """

    mission: Mission
    time: time
    day: date
    first: int

    def satellite(self, day: date) -> Satellite | None:
        """Return the satellite that passes on a day; None without one."""
        cycles, rest = divmod((day - self.day).days, self.mission.days // 2)
        satellite = self.mission.satellites[(self.first + cycles) % 2]
        return satellite if rest == 0 and day <= satellite.last else None

    def row(self, day: date) -> tuple[str, datetime, int, int]:
        """Return letter, time, absolute and relative orbit of the pass on a day."""
        satellite, when = self.satellite(day), datetime.combine(day, self.time)
        assert satellite
        per_day = self.mission.orbits / self.mission.days
        orbit = satellite.orbit + round((when - satellite.when) / timedelta(days=1) * per_day)
        return satellite.letter, when, orbit, (orbit + satellite.ahead) % self.mission.orbits + 1


def zones(*, tile_px: int, block_px: int, seed: int) -> list[Zone]:
    """Return every place's zone, with one tile about its centre."""
    return [
        Zone(place, 0, place.epsg, _corner(place, 10 * tile_px), _schedule(place, seed), tile_px, block_px,
             seed_of(seed, "place", place.name), MARGIN)
        for place in planet_places().values()
    ]  # fmt: skip


def _corner(place: Place, size_m: int) -> dict[str, tuple[int, int]]:
    """Return the west and north edge of a place's tile by its MGRS name."""
    (x, y), zone = place.centre, place.epsg % 100
    column = COLUMNS[(zone - 1) % 3 * 8 + int(x // 100_000) - 1]
    row = ROWS[(int(y // 100_000) + 5 * (zone % 2 == 0)) % len(ROWS)]
    name = f"{zone:02d}{BANDS[int((place.lat + 80) // 8)]}{column}{row}"
    # The centre is a multiple of 1800 m, and rounded in degrees.
    return {name: (round(x - size_m / 2), round(y + size_m / 2))}


# -- acquisitions ------------------------------------------------------------------------------------------------------


def _schedule(place: Place, seed: int) -> dict[str, Any]:
    """Draw the acquisitions of a place, with the keys of a zone in `acquisitions.yaml`."""
    draw, event = rng(seed, "dates", place.name), event_of(place)
    windows = _event_windows(event) if event else [_sunny_days(place)]
    ascending = bool(draw.random() < 0.5)
    optical = _track(SENTINEL_2, place, 10.5, windows[0][draw.integers(len(windows[0]))], draw)
    near = [day for day in windows[0] if abs((day - optical.day).days) < 3 and _month(day) == _month(optical.day)]
    radar = _track(SENTINEL_1, place, 18 if ascending else 6, near[draw.integers(len(near))], draw)
    days = [(optical.day, radar.day), *(_other_days(optical, radar, window, draw) for window in windows[1:])]
    rows = [optical.row(day) for day, _ in sorted(days)]
    return {
        "orbit": rows[0][3],
        "acquisitions": [
            [*row[:3], "04.00" if row[1].date() >= BASELINE_4 else "03.01", _cloud_share(draw), None] for row in rows
        ],
        "passes": [[*radar.row(day), "ascending" if ascending else "descending"] for _, day in sorted(days)],
    }


def _event_windows(event: EventSpec) -> list[list[date]]:
    """Return the days of images that show an event, and of images before it."""
    first, last = (moment.date() for moment in event.visible)
    return [
        [day for day in DAYS if first < day < last],
        [day for day in DAYS if GAP_DAYS[0] <= (event.start.date() - day).days <= GAP_DAYS[1]],
    ]


def _sunny_days(place: Place) -> list[date]:
    """Return the days on which the sun is high enough at noon."""
    day = np.array([day.timetuple().tm_yday for day in DAYS])
    declination = -23.44 * np.cos(2 * np.pi * (day + 10) / 365.25)
    return [DAYS[index] for index in np.flatnonzero(np.abs(place.lat - declination) < 90 - MIN_SUN_DEG)]


def _track(mission: Mission, place: Place, solar_hour: float, day: date, draw: np.random.Generator) -> Track:
    """Draw the time of day of a track that a satellite passes on a day."""
    second = round((solar_hour - place.lon / 15 + draw.uniform(-0.2, 0.2)) * 3600) % 86400
    serving = [number for number, satellite in enumerate(mission.satellites) if day <= satellite.last]
    return Track(mission, (datetime.min + timedelta(seconds=second)).time(), day, serving[draw.integers(len(serving))])


def _other_days(optical: Track, radar: Track, window: Sequence[date], draw: np.random.Generator) -> tuple[date, date]:
    """Draw a day of each track in a window and another month, near each other."""
    first = [day for day in window if optical.satellite(day) and _month(day) != _month(optical.day)]
    second = [day for day in window if radar.satellite(day) and _month(day) != _month(radar.day)]
    day = first[draw.integers(len(first))]
    return day, min(second, key=lambda radar_day: (_month(radar_day) != _month(day), abs((radar_day - day).days)))


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _cloud_share(draw: np.random.Generator) -> float:
    probability, low, high = np.array(CLOUDS).T
    kind = draw.choice(len(CLOUDS), p=probability)
    return round(float(draw.uniform(low[kind], high[kind])), 3)
