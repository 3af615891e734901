"""Features of vector layers with all their attributes, as valid geometries in longitude and latitude."""

import datetime as dt
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from landmark.core.crs import LONLAT, normalize_lonlat
from landmark.core.limits import EVENT_VERTICES
from landmark.core.outlines import make_valid
from landmark.raster.vector import (
    UnreadableVector,
    drop_invalid_vertices,
    is_parquet,
    list_layers,
    read_parquet,
    using_pyogrio,
)


@dataclass(frozen=True, slots=True)
class Features:
    """Features of a layer, in the file's order.

    Attributes:
        fields: Attribute, as written in the file → values; times as ISO 8601 text.
        geometries: Valid geometries in EPSG:4326 (longitude, latitude); None where a feature has none.
        repaired: Which geometries were invalid in the file, or had vertices that are no numbers.
    """

    fields: dict[str, NDArray[Any]]
    geometries: NDArray[Any]
    repaired: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.geometries)

    def has(self, name: str) -> bool:
        """Whether the layer has an attribute, in any case."""
        return name.lower() in map(str.lower, self.fields)

    def values(self, names: tuple[str, ...]) -> list[Any]:
        """Values of the first of some attributes, in any case, that the layer has; None where a feature has none."""
        by_name = {name.lower(): column for name, column in self.fields.items()}
        column = next((by_name[name.lower()] for name in names if name.lower() in by_name), None)
        if column is None:
            return [None] * len(self)
        return [None if value is None or value != value else value for value in column.tolist()]


def layer_names(path: Path, *, spatial_only: bool = False) -> list[str]:
    """Names of the layers of a file, optionally without those that have no geometry, as tables of styles.

    Raises:
        UnreadableVector: the file is missing, or is no vector file.
    """
    with using_pyogrio(path) as pyogrio:
        if is_parquet(path):
            return [layer.name for layer in list_layers(path)]
        return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None or not spatial_only]


def read_features(path: Path, layer: str | None = None) -> Features:
    """Read all features of a layer (by default the first), repair their geometries and reproject them to EPSG:4326.

    Raises:
        UnreadableVector: the layer is unreadable, or has geometries but no CRS.
        InputError: coordinates are no degrees of longitude and latitude, although no other CRS is declared.
    """
    with using_pyogrio(path) as pyogrio, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's on invalid rings, which are repaired here
        if is_parquet(path):
            fields, geometries, crs = _read_parquet(path)
        else:
            meta, _, encoded, columns = pyogrio.raw.read(path, layer=layer, force_2d=True, datetime_as_string=True)
            fields, crs = {str(name): column for name, column in zip(meta["fields"], columns, strict=True)}, meta["crs"]
            if encoded is None:
                size = len(columns[0]) if columns else 0
                return Features(fields, np.full(size, None, dtype=object), np.zeros(size, dtype=bool))
            geometries = shapely.from_wkb(encoded, on_invalid="fix")
        if not crs:
            raise UnreadableVector(
                f"{f'layer {layer}' if layer else 'the file'} has no CRS; assign one (ogr2ogr -a_srs)"
            )
        if (count := int(shapely.get_num_coordinates(geometries).sum())) > EVENT_VERTICES:
            raise UnreadableVector(f"{count} vertices, more than {EVENT_VERTICES}; simplify its polygons")
        incomplete = drop_invalid_vertices(geometries)
        invalid = ~(shapely.is_valid(geometries) | shapely.is_missing(geometries))
        geometries[invalid] = make_valid(geometries[invalid])
        geometries = to_lonlat(geometries, CRS.from_user_input(crs).to_2d(), path)
        return Features(fields, geometries, invalid | incomplete)


def _read_parquet(path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Any]:
    """Attributes, geometries and CRS of a GeoParquet file."""
    frame = read_parquet(path)
    columns = {str(name): frame[name] for name in frame.columns if name != frame.geometry.name}
    fields = {
        name: np.array(
            [value.isoformat() if isinstance(value, dt.date) and value == value else value for value in column],
            dtype=object,
        )
        for name, column in columns.items()
    }
    return fields, shapely.force_2d(np.array(frame.geometry.array, dtype=object)), frame.crs


def to_lonlat(geometries: NDArray[Any], crs: CRS, path: Path) -> NDArray[Any]:
    """Reproject geometries to EPSG:4326, as valid ones on longitudes in [-180, 180].

    Raises:
        InputError: coordinates are no degrees, or have none.
    """
    lonlat = CRS.from_epsg(LONLAT)
    if crs in (lonlat, CRS.from_user_input("OGC:CRS84")):
        return _normalize(geometries, path)
    transform = Transformer.from_crs(crs, lonlat, always_xy=True).transform
    projected = shapely.transform(geometries, lambda xy: np.column_stack(transform(xy[:, 0], xy[:, 1])))
    # Reprojection can make a valid ring touch itself.
    return np.asarray(make_valid(_normalize(projected, path)))


def _normalize(geometries: NDArray[Any], path: Path) -> NDArray[Any]:
    """`normalize_lonlat` of the geometries that need it."""
    points, rows = shapely.get_coordinates(geometries, return_index=True)
    west, _, east, _ = shapely.bounds(geometries).T
    outside = rows[~(np.abs(points) <= (180, 90)).all(axis=1)]
    for row in np.union1d(outside, np.flatnonzero(east - west > 180)).tolist():
        geometries[row] = normalize_lonlat(geometries[row], file=path, key=f"feature {row + 1}")
    return geometries
