"""Read polygon layers of vector files: their metadata, and the polygons that intersect a box."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

_PARQUET_SUFFIXES = (".parquet", ".geoparquet")
VECTOR_SUFFIXES = (".gpkg", ".shp", ".fgb", ".geojson", *_PARQUET_SUFFIXES)
# GeoParquet: without a key `crs` coordinates are longitude and latitude; null means unknown.
_DEFAULT_CRS = "OGC:CRS84"

Box = tuple[float, float, float, float]


class UnreadableVector(Exception):
    """The file cannot be opened, or lacks the requested layer, field or CRS."""


@dataclass(frozen=True, slots=True)
class VectorLayer:
    """Metadata of a layer; `bounds` are (left, bottom, right, top) in its CRS."""

    name: str
    fields: tuple[str, ...]
    crs: CRS | None
    bounds: Box


def list_layers(path: Path) -> list[VectorLayer]:
    """List the layers of a file that have a geometry and at least one feature.

    Raises:
        UnreadableVector: missing, or not a vector file.
    """
    with using_pyogrio() as pyogrio:
        if _is_parquet(path):
            return [_read_parquet_layer(path)] if pq.read_metadata(path).num_rows else []
        names = [str(name) for name, geometry_type in pyogrio.list_layers(path) if geometry_type is not None]
        layers = (_parse_layer(name, pyogrio.read_info(path, layer=name, force_total_bounds=True)) for name in names)
        return [layer for layer in layers if layer is not None]


def read_layer_crs(path: Path, layer: str) -> CRS:
    """Read the CRS of a layer.

    Raises:
        UnreadableVector: no such layer, or it has no CRS.
    """
    with using_pyogrio() as pyogrio:
        crs = (
            _read_geometry_column(path).get("crs", _DEFAULT_CRS)
            if _is_parquet(path)
            else pyogrio.read_info(path, layer=layer)["crs"]
        )
        if not crs:
            raise UnreadableVector(f"layer {layer} has no CRS; assign one (ogr2ogr -a_srs)")
        return CRS.from_user_input(crs)


def read_polygons(path: Path, layer: str, field: str, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read geometries and one field of the features that intersect a box in the layer's CRS, in the file's order.

    GeoParquet without a bounding-box column is read completely.

    Raises:
        UnreadableVector: no such layer or field, or unreadable.
    """
    with using_pyogrio() as pyogrio:
        if _is_parquet(path):
            import geopandas

            column = _read_geometry_column(path)
            columns, bbox = [field, column["name"]], box if "covering" in column else None
            frame = geopandas.read_parquet(path, columns=columns, bbox=bbox)
        else:
            frame = pyogrio.read_dataframe(path, layer=layer, columns=[field], bbox=box)
        shapes, values = np.asarray(frame.geometry.array, dtype=object), frame[field].to_numpy(dtype=object)
        intersecting = shapely.intersects(shapely.box(*box), shapes)
        return shapes[intersecting], values[intersecting]


@contextmanager
def using_pyogrio() -> Iterator[Any]:
    """Import pyogrio, and raise the errors of reading with it as `UnreadableVector`.

    Imported here because pyogrio imports pandas, which takes long.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    errors = (OSError, ValueError, KeyError, pa.ArrowException, DataSourceError, DataLayerError, ProjError)
    try:
        yield pyogrio
    except (*errors, shapely.errors.GEOSException) as error:
        raise UnreadableVector(str(error)) from error


def add_geo_metadata(table: pa.Table) -> pa.Table:
    """Add GeoParquet metadata to a table whose column `geometry` is WKB in EPSG:4326."""
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    column = {
        "encoding": "WKB",
        "edges": "planar",
        "geometry_types": sorted({shape.geom_type for shape in shapes}),
        "bbox": [round(float(edge), 9) for edge in shapely.total_bounds(shapes)],
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return table.replace_schema_metadata({"geo": json.dumps(geo)})


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in _PARQUET_SUFFIXES


def _parse_layer(name: str, info: dict[str, Any]) -> VectorLayer | None:
    if info["total_bounds"] is None or not np.isfinite(info["total_bounds"]).all():
        return None
    crs = CRS.from_user_input(info["crs"]) if info["crs"] else None
    return VectorLayer(name, tuple(map(str, info["fields"])), crs, tuple(info["total_bounds"]))


def _read_parquet_layer(path: Path) -> VectorLayer:
    import geopandas

    column = _read_geometry_column(path)
    crs = column.get("crs", _DEFAULT_CRS)
    bounds = column.get("bbox") or geopandas.read_parquet(path, columns=[column["name"]]).total_bounds
    left, bottom, right, top = (float(edge) for edge in bounds)
    fields = tuple(name for name in pq.read_schema(path).names if name != column["name"])
    return VectorLayer(path.stem, fields, CRS.from_user_input(crs) if crs else None, (left, bottom, right, top))


def _read_geometry_column(path: Path) -> dict[str, Any]:
    """GeoParquet metadata of the primary geometry column, its name included."""
    geo = json.loads((pq.read_schema(path).metadata or {})[b"geo"])
    return {"name": geo["primary_column"], **geo["columns"][geo["primary_column"]]}
