"""Find the nearest named place of a gazetteer."""

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from landmark.captions.sample_facts import NearestPlace
from landmark.core.crs import normalize_lonlat
from landmark.core.errors import InputError
from landmark.core.limits import GAZETTEER_BYTES, check_file_size
from landmark.raster.features import layer_names, read_features
from landmark.raster.vector import UnreadableVector

_EARTH_KM = 6371.0088
_SPHERE = Geod(a=1000 * _EARTH_KM, b=1000 * _EARTH_KM)
_TRANSLATION = "name_"

Row = tuple[tuple[float, float], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Named points.

    Attributes:
        names: Per point, names by language; "" is the default name.
        lonlat: (point, 2), degrees.
        within_km: Largest distance of the nearest place.
    """

    names: tuple[Mapping[str, str], ...]
    lonlat: NDArray[np.float64]
    within_km: float

    def nearest(self, lon: float, lat: float) -> NearestPlace | None:
        """The nearest point on a sphere of mean radius (within 0.6 % of the ellipsoid), None if it is too far away."""
        if not self.names:
            return None
        lons, lats = np.radians(self.lonlat).T
        lon_rad, lat_rad = math.radians(lon), math.radians(lat)
        # Haversine: accurate for small distances.
        half = np.sin((lats - lat_rad) / 2) ** 2 + np.cos(lats) * np.cos(lat_rad) * np.sin((lons - lon_rad) / 2) ** 2
        index = int(half.argmin())
        km = 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half[index])))
        if km > self.within_km:
            return None
        place_lon, place_lat = self.lonlat[index].tolist()
        bearing_deg = _SPHERE.inv(place_lon, place_lat, lon, lat)[0] % 360 if km else 0.0
        return NearestPlace(self.names[index], km, bearing_deg)


def read_gazetteer(path: Path, within_km: float) -> Gazetteer:
    """Read the points of a GeoJSON, GeoPackage or CSV file, sorted by name and position.

    Raises:
        InputError: unreadable, no points, or a point without name or position.
    """
    with suppress(OSError):  # a missing file is an error where it is read
        check_file_size(path, GAZETTEER_BYTES)
    rows = list(_read_csv(path) if path.suffix.lower() == ".csv" else _read_vector(path))
    if not rows:
        raise InputError("no points", file=path)
    # Of equally near places the first wins; sorting makes that independent of the file's order.
    rows.sort(key=lambda row: (row[1][""], row[0]))
    return Gazetteer(tuple(names for _, names in rows), np.array([position for position, _ in rows]), within_km)


def _read_csv(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    position = float(row["lon"]), float(row["lat"])
                except (KeyError, TypeError, ValueError) as error:
                    raise InputError("needs numbers under `lon` and `lat`", file=path, key=f"line {number}") from error
                yield _parse_row(path, f"line {number}", position, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"not readable as UTF-8 text: {error}", file=path) from error


def _read_vector(path: Path) -> Iterator[Row]:
    try:
        layers = layer_names(path, spatial_only=True)
        features = read_features(path, layers[0]) if layers else None
    except UnreadableVector as error:
        raise InputError(f"missing, or not a readable vector file: {error}", file=path) from error
    if features is None:
        return
    for index, shape in enumerate(features.geometries):
        key = f"feature {index + 1}"
        if shape is None or shape.geom_type != "Point" or shape.is_empty:
            raise InputError("not a point", file=path, key=key)
        row = {name: values[index] for name, values in features.fields.items()}
        yield _parse_row(path, key, (shape.x, shape.y), row)


def _parse_row(path: Path, key: str, position: tuple[float, float], row: Mapping[str, Any]) -> Row:
    point = normalize_lonlat(shapely.Point(position), file=path, key=key)
    texts = {
        str(name): text.strip()
        for name, text in sorted(row.items(), key=lambda item: str(item[0]))
        if isinstance(text, str)
    }
    if not texts.get("name"):
        raise InputError("has no `name`", file=path, key=key)
    translations = {
        name.removeprefix(_TRANSLATION): text for name, text in texts.items() if name.startswith(_TRANSLATION) and text
    }
    return (float(shapely.get_x(point)), float(shapely.get_y(point))), {"": texts["name"]} | translations
