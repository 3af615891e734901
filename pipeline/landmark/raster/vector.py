"""Layers of polygons: what a file holds, and the polygons that meet a box."""

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

_ARROW = (".parquet", ".geoparquet")
# GeoParquet: no key `crs` means longitude and latitude, null that nobody knows.
_LONLAT = "OGC:CRS84"
SUFFIXES = (".gpkg", ".shp", ".fgb", ".geojson", *_ARROW)

Box = tuple[float, float, float, float]


class NotPolygons(Exception):
    """The file cannot be opened, or does not hold what is asked of it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer says of itself. `bounds` are (left, bottom, right, top) in its CRS."""

    name: str
    fields: tuple[str, ...]
    crs: CRS | None
    bounds: Box


def layers(path: Path) -> list[Layer]:
    """The layers of a file that have a geometry and at least one feature.

    Raises:
        NotPolygons: missing, or no file of vectors.
    """
    with _opening() as pyogrio:
        if path.suffix.lower() in _ARROW:
            return [_arrow_layer(path)] if pq.read_metadata(path).num_rows else []
        named = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        said = {name: pyogrio.read_info(path, layer=name, force_total_bounds=True) for name in named}
        return [layer for name in named if (layer := _layer(name, said[name])) is not None]


def crs_of(path: Path, layer: str) -> CRS:
    """The CRS of a layer.

    Raises:
        NotPolygons: the layer is gone, or has none.
    """
    with _opening() as pyogrio:
        said = (
            _geo(path).get("crs", _LONLAT)
            if path.suffix.lower() in _ARROW
            else pyogrio.read_info(path, layer=layer)["crs"]
        )
    if not said:
        raise NotPolygons(f"layer {layer} has no CRS; assign one (ogr2ogr -a_srs)")
    return CRS.from_user_input(said)


def polygons(path: Path, layer: str, field: str, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Geometries and values of a field of the features that meet a box in the layer's CRS, in the file's order.

    GeoParquet without a column of boxes is read whole.

    Raises:
        NotPolygons: the layer or its field is gone or unreadable.
    """
    with _opening() as pyogrio:
        if path.suffix.lower() in _ARROW:
            import geopandas

            column = _geo(path)
            columns, boxed = [field, column["name"]], box if "covering" in column else None
            frame = geopandas.read_parquet(path, columns=columns, bbox=boxed)
        else:
            frame = pyogrio.read_dataframe(path, layer=layer, columns=[field], bbox=box)
        shapes, values = np.asarray(frame.geometry.array, dtype=object), frame[field].to_numpy(dtype=object)
        meeting = shapely.intersects(shapely.box(*box), shapes)
        return shapes[meeting], values[meeting]


@contextmanager
def _opening() -> Iterator[Any]:
    """Pyogrio, whose failures are refusals; it brings pandas, so it is imported when it is needed.

    Raises:
        NotPolygons: the file cannot be opened, or does not hold what is asked of it.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        yield pyogrio
    except (OSError, ValueError, KeyError, pa.ArrowException, DataSourceError, DataLayerError, ProjError) as error:
        raise NotPolygons(str(error)) from error


def _layer(name: str, said: dict[str, Any]) -> Layer | None:
    if said["total_bounds"] is None or not np.isfinite(said["total_bounds"]).all():
        return None
    crs = CRS.from_user_input(said["crs"]) if said["crs"] else None
    return Layer(name, tuple(map(str, said["fields"])), crs, tuple(said["total_bounds"]))


def _arrow_layer(path: Path) -> Layer:
    import geopandas

    column = _geo(path)
    crs = column.get("crs", _LONLAT)
    bounds = column.get("bbox") or geopandas.read_parquet(path, columns=[column["name"]]).total_bounds
    left, bottom, right, top = (float(edge) for edge in bounds)
    fields = tuple(name for name in pq.read_schema(path).names if name != column["name"])
    return Layer(path.stem, fields, CRS.from_user_input(crs) if crs else None, (left, bottom, right, top))


def _geo(path: Path) -> dict[str, Any]:
    """What GeoParquet says of its first geometry column."""
    geo = json.loads((pq.read_schema(path).metadata or {})[b"geo"])
    return {"name": geo["primary_column"], **geo["columns"][geo["primary_column"]]}


def as_geoparquet(table: pa.Table) -> pa.Table:
    """A table whose column `geometry` is WKB in EPSG:4326, with the metadata that GeoParquet's readers look for."""
    outlines = shapely.from_wkb(table["geometry"].to_pylist())
    column = {
        "encoding": "WKB",
        "edges": "planar",
        "geometry_types": sorted({outline.geom_type for outline in outlines}),
        "bbox": [round(float(edge), 9) for edge in shapely.total_bounds(outlines)],
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return table.replace_schema_metadata({"geo": json.dumps(geo)})
