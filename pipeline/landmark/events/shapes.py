"""Features of vector files as valid polygons in longitude and latitude."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.domain.event import Event

_EARTH = Geod(ellps="WGS84")
_POINT, _POLYGON = 0, 3
_CIRCLE_STEPS = 128


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a layer, in the file's order.

    Attributes:
        fields: Attribute in lower case → values; moments as ISO 8601 text.
        shapes: Geometries in EPSG:4326, (lon, lat), valid; None where there is none.
        invalid: Which were not valid in the file, and are repaired.
    """

    fields: dict[str, NDArray[Any]]
    shapes: NDArray[Any]
    invalid: NDArray[np.bool_]

    @property
    def repaired(self) -> int:
        """How many were repaired."""
        return int(self.invalid.sum())

    def __len__(self) -> int:
        return len(self.shapes)

    def values(self, names: tuple[str, ...]) -> list[Any]:
        """The values of the first of some attributes the layer has, None for each feature where it has none."""
        column = next((self.fields[name.lower()] for name in names if name.lower() in self.fields), None)
        return [None] * len(self) if column is None else [_missing_is_none(value) for value in column.tolist()]


def layer_names(path: Path, label: str, *, shaped: bool = False) -> list[str]:
    """Names of a file's layers, or of those alone that have geometries: not of a table of styles beside them.

    Raises:
        InputError: it is no file of vectors.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        return [str(name) for name, shape in pyogrio.list_layers(path) if shape or not shaped]
    except (DataSourceError, DataLayerError, OSError) as error:
        raise InputError(f"events: {label}: cannot be read: {error}") from error


def read_features(path: Path, layer: str, label: str) -> Features:
    """All features of a layer, repaired and turned to longitude and latitude.

    Raises:
        InputError: unreadable, or shapes without a coordinate reference system.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL on odd rings, which are repaired and counted here
            meta, _, found, columns = pyogrio.raw.read(path, layer=layer, force_2d=True, datetime_as_string=True)
        fields = {str(name).lower(): column for name, column in zip(meta["fields"], columns, strict=True)}
        if found is None:
            rows = len(columns[0]) if columns else 0
            return Features(fields, np.full(rows, None, dtype=object), np.zeros(rows, dtype=bool))
        shapes = shapely.from_wkb(found, on_invalid="fix")
        wrong = ~(shapely.is_valid(shapes) | shapely.is_missing(shapes))
        shapes[wrong] = shapely.make_valid(shapes[wrong])
        return Features(fields, _lonlat(shapes, meta["crs"], label), wrong)
    except (DataSourceError, DataLayerError, OSError, ValueError, ProjError, shapely.errors.GEOSException) as error:
        raise InputError(f"events: {label}: layer {layer} cannot be read: {error}") from error


def polygons(shapes: NDArray[Any]) -> NDArray[Any]:
    """The polygons among shapes, whatever they are collected in."""
    flat = shapely.get_parts(shapely.get_parts(shapes[~shapely.is_missing(shapes)]))
    return np.asarray(flat[(shapely.get_type_id(flat) == _POLYGON) & ~shapely.is_empty(flat)])


def points(shapes: NDArray[Any]) -> NDArray[Any]:
    """The points among shapes."""
    flat = shapely.get_parts(shapes[~shapely.is_missing(shapes)])
    return np.asarray(flat[(shapely.get_type_id(flat) == _POINT) & ~shapely.is_empty(flat)])


def union(shapes: NDArray[Any]) -> BaseGeometry | None:
    """The ground that polygons cover together, a valid (Multi)Polygon written in one way; None where that is none."""
    whole = shapely.union_all(polygons(shapes))
    if not shapely.is_valid(whole):
        whole = shapely.union_all(polygons(np.array([shapely.make_valid(whole)])))
    return None if shapely.is_empty(whole) else shapely.normalize(whole)


def squares(centres: NDArray[Any], edge_m: float) -> NDArray[Any]:
    """Squares around points in degrees, their edges north to south and `edge_m` long."""
    lon, lat = shapely.get_x(centres), shapely.get_y(centres)
    half = np.full(len(lon), edge_m / 2)
    east, _, _ = _EARTH.fwd(lon, lat, np.full(len(lon), 90.0), half)
    _, north, _ = _EARTH.fwd(lon, lat, np.zeros(len(lon)), half)
    right, up = np.asarray(east) - lon, np.asarray(north) - lat
    return np.asarray(shapely.box(lon - right, lat - up, lon + right, lat + up))


def circle(lon: float, lat: float, radius_km: float) -> BaseGeometry:
    """The ground within a geodesic radius; across the antimeridian two polygons."""
    steps = np.linspace(0, 360, _CIRCLE_STEPS, endpoint=False)
    along = np.full(_CIRCLE_STEPS, 1000 * radius_km)
    lons, lats, _ = _EARTH.fwd(np.full(_CIRCLE_STEPS, lon), np.full(_CIRCLE_STEPS, lat), steps, along)
    unrolled = lon + (np.asarray(lons) - lon + 180) % 360 - 180
    if unrolled.min() >= -180 and unrolled.max() <= 180:
        return shapely.normalize(shapely.Polygon(np.column_stack([unrolled, lats])))
    rings = [shapely.Polygon(np.column_stack([unrolled + by, lats])) for by in (-360, 0, 360)]
    whole = union(np.asarray(shapely.intersection(rings, shapely.box(-180, -90, 180, 90))))
    assert whole is not None
    return whole


def affected_km2(event: Event) -> float:
    """Geodesic area of what an event affected, square kilometres on WGS84; parts that overlap count once."""
    return area_km2(union(np.array([part.shape for part in event.affected], dtype=object)))


def area_km2(shape: BaseGeometry | None) -> float:
    """Geodesic area of polygons in degrees, square kilometres on WGS84; 0 for None."""
    if shape is None:
        return 0.0
    return abs(float(_EARTH.geometry_area_perimeter(shapely.orient_polygons(shape))[0])) / 1e6


def _lonlat(shapes: NDArray[Any], crs: str | None, label: str) -> NDArray[Any]:
    if not crs:
        raise InputError(f"events: {label}: says no coordinate reference system; assign one (ogr2ogr -a_srs)")
    source, target = CRS.from_user_input(crs), CRS.from_epsg(4326)
    if source.to_2d() in (target, CRS.from_user_input("OGC:CRS84")):
        return shapes
    turn = Transformer.from_crs(source.to_2d(), target, always_xy=True)
    turned = shapely.transform(shapes, lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))
    # What is valid in one plane may touch itself in another.
    return np.asarray(shapely.make_valid(turned))


def _missing_is_none(value: Any) -> Any:
    return None if value is None or value != value else value
