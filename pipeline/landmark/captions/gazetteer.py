"""The nearest named place: a gazetteer as points on the unit sphere."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.captions.sample_facts import NearestPlace
from landmark.core.errors import InputError

_EARTH_KM = 6371.0088
_NAMES = "name_"


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Named points.

    Attributes:
        names: Of each point by language, the plain one under "".
        lonlat: (point, 2), degrees.
        within_km: Farther points are not near.
    """

    names: tuple[Mapping[str, str], ...]
    lonlat: NDArray[np.float64]
    within_km: float

    def nearest(self, lon: float, lat: float) -> NearestPlace | None:
        """The nearest point on the sphere (mean radius; within 0.6 % of the ellipsoid), None where none is near."""
        if not self.names:
            return None
        lons, lats = np.radians(self.lonlat).T
        here_lon, here_lat = math.radians(lon), math.radians(lat)
        # The haversine holds its digits where points are close.
        half = np.sin((lats - here_lat) / 2) ** 2 + np.cos(lats) * np.cos(here_lat) * np.sin((lons - here_lon) / 2) ** 2
        first = int(half.argmin())
        km = 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half[first])))
        if km > self.within_km:
            return None
        return NearestPlace(self.names[first], km, _bearing_deg(float(lons[first]), float(lats[first]), here_lon, here_lat))


def read_gazetteer(path: Path, within_km: float) -> Gazetteer:
    """The points of a GeoJSON, GeoPackage or CSV file, in the order of their names and places.

    Raises:
        InputError: unreadable, no points, or a point without a name or a place.
    """
    rows = list(_csv(path) if path.suffix.lower() == ".csv" else _vectors(path))
    if not rows:
        raise InputError(f"places: {path}: holds no point")
    # Whatever the order of the file, of two places as near the same one is named.
    rows.sort(key=lambda row: (row[1][""], row[0]))
    return Gazetteer(tuple(names for _, names in rows), np.array([place for place, _ in rows]), within_km)


def _csv(path: Path) -> Iterator[tuple[tuple[float, float], dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    place = float(row["lon"]), float(row["lat"])
                except (KeyError, TypeError, ValueError) as error:
                    raise InputError(f"places: {path}: line {number}: needs numbers under `lon` and `lat`") from error
                yield _placed(path, number, place), _names(path, number, row)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"places: {path}: cannot be read as UTF-8 text: {error}") from error


def _vectors(path: Path) -> Iterator[tuple[tuple[float, float], dict[str, str]]]:
    import geopandas

    try:
        frame = geopandas.read_file(path)
    except Exception as error:
        raise InputError(f"places: {path}: is no file of vectors, or is gone: {error}") from error
    if frame.crs is None:
        raise InputError(f"places: {path}: does not say its coordinate system")
    frame = frame.to_crs(4326)
    rows = zip(frame.drop(columns="geometry").to_dict("records"), frame.geometry, strict=True)
    for number, (row, shape) in enumerate(rows, start=1):
        if shape is None or shape.geom_type != "Point" or shape.is_empty:
            raise InputError(f"places: {path}: feature {number}: is no point")
        yield _placed(path, number, (shape.x, shape.y)), _names(path, number, row)


def _placed(path: Path, number: int, place: tuple[float, float]) -> tuple[float, float]:
    lon, lat = place
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InputError(f"places: {path}: {number}: {lon} {lat} is no longitude and latitude")
    return place


def _names(path: Path, number: int, row: Mapping[str, Any]) -> dict[str, str]:
    name = row.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"places: {path}: {number}: has no `name`")
    named = {str(key): said.strip() for key, said in sorted(row.items()) if isinstance(said, str) and said.strip()}
    others = {key.removeprefix(_NAMES): said for key, said in named.items() if key.startswith(_NAMES)}
    return {"": name.strip()} | others


def _bearing_deg(from_lon: float, from_lat: float, lon: float, lat: float) -> float:
    """Initial bearing of the great circle from one point to another (radians), clockwise from the north, 0 to 360."""
    east = math.sin(lon - from_lon) * math.cos(lat)
    north = math.cos(from_lat) * math.sin(lat) - math.sin(from_lat) * math.cos(lat) * math.cos(lon - from_lon)
    return math.degrees(math.atan2(east, north)) % 360
