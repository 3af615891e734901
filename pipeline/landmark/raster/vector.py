"""Read polygon layers of vector files: their metadata, and the polygons that intersect a box."""

import json
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.core.archives import ZIP_ERRORS, ZipBudget
from landmark.core.json_text import parse_bounded
from landmark.raster.formats import find_vector_problem

log = logging.getLogger(__name__)

_PARQUET_SUFFIXES = (".parquet", ".geoparquet")
VECTOR_SUFFIXES = (".gpkg", ".shp", ".fgb", ".geojson", ".json", ".gdb", ".zip", *_PARQUET_SUFFIXES)
_ZIPPED_SUFFIXES = (".gpkg", ".shp", ".fgb", ".geojson")
_POLYGONS = ("Polygon", "Surface")
# Reported for a layer whose features may differ.
_MIXED = ("Unknown", "GeometryCollection")
# GeoParquet: without a key `crs` coordinates are longitude and latitude; null means unknown.
_DEFAULT_CRS = "OGC:CRS84"

Box = tuple[float, float, float, float]


class UnreadableVector(Exception):
    """The file cannot be opened, or lacks the requested layer, field or CRS."""


@dataclass(frozen=True, slots=True)
class VectorLayer:
    """Metadata of a layer.

    Attributes:
        path: The file, or its place inside a zip, as GDAL opens it.
        name: Name of the layer.
        fields: Its attributes.
        crs: Its CRS, if it has one.
        bounds: (left, bottom, right, top) of its polygons in its CRS; None without polygons.
        content: What it holds instead of polygons; empty if it has some.
    """

    path: Path
    name: str
    fields: tuple[str, ...]
    crs: CRS | None
    bounds: Box | None
    content: str = ""


def list_layers(path: Path) -> list[VectorLayer]:
    """List the layers of a file that have a geometry; of a zip, those of all vector files in it.

    Raises:
        UnreadableVector: missing, or not a vector file.
    """
    with using_pyogrio(path) as pyogrio:
        if is_parquet(path):
            return [_read_parquet_layer(path)]
        return [
            _read_layer(file, str(name))
            for file in zipped_files(path)
            for name, geometry_type in pyogrio.list_layers(file)
            if geometry_type is not None
        ]


def zipped_files(path: Path) -> list[Path]:
    """Paths of the vector files in a zip, as GDAL opens them, sorted; other paths as they are.

    Raises:
        UnreadableVector: not a zip, or without a vector file.
    """
    if path.suffix.lower() != ".zip":
        return [path]
    try:
        with zipfile.ZipFile(path) as archive:
            ZipBudget(path.stat().st_size).admit(archive, archive.infolist(), str(path))
            members = [PurePosixPath(name) for name in archive.namelist() if not name.startswith("__MACOSX")]
    except (*ZIP_ERRORS, OSError) as error:
        raise UnreadableVector(str(error)) from error
    folders = {folder for member in members for folder in member.parents if folder.suffix.lower() == ".gdb"}
    if path.stem.lower().endswith(".gdb"):  # GDAL opens `x.gdb.zip` without a folder, too.
        folders |= {member.parent for member in members if member.name == "a00000001.gdbtable"}
    files = folders | {member for member in members if member.suffix.lower() in _ZIPPED_SUFFIXES}
    if not files:
        names = ", ".join(sorted(map(str, members))[:5])
        raise UnreadableVector(f"no GeoPackage, shapefile or geodatabase is in the zip, which has {names}; unzip it")
    return [Path(f"/vsizip/{{{path.absolute()}}}/{file}") for file in sorted(files)]


def read_layer_crs(path: Path, layer: str) -> CRS:
    """Read the CRS of a layer.

    Raises:
        UnreadableVector: no such layer, or it has no CRS.
    """
    with using_pyogrio(path) as pyogrio:
        crs = (
            _read_geometry_column(path).get("crs", _DEFAULT_CRS)
            if is_parquet(path)
            else pyogrio.read_info(path, layer=layer)["crs"]
        )
        if not crs:
            raise UnreadableVector(f"layer {layer} has no CRS; assign one (ogr2ogr -a_srs)")
        return CRS.from_user_input(crs)


def read_polygons(path: Path, layer: str, field: str, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read polygons and one field of the features that intersect a box in the layer's CRS, in the file's order.

    Vertices that are no numbers are left out. GeoParquet without a bounding-box column is read completely.

    Raises:
        UnreadableVector: no such layer or field, or unreadable.
    """
    with using_pyogrio(path):
        frame = read_parquet(path, [field], box) if is_parquet(path) else _read_box(path, layer, field, box)
        shapes, values = np.asarray(frame.geometry.array, dtype=object), frame[field].to_numpy(dtype=object)
        if (repaired := drop_invalid_vertices(shapes)).any():
            _warn_of_vertices(path, layer, int(repaired.sum()))
        intersecting = shapely.intersects(shapely.box(*box), shapes) & is_polygon(shapes)
        return shapes[intersecting], values[intersecting]


def _read_box(path: Path, layer: str, field: str, box: Box) -> Any:
    """A data frame of one field and the features in a box; all features where GDAL cannot compare one with the box."""
    import pyogrio
    from pyogrio.errors import FeatureError

    try:
        return pyogrio.read_dataframe(path, layer=layer, columns=[field], bbox=box)
    except FeatureError:  # GEOS, of vertices that are no numbers
        return pyogrio.read_dataframe(path, layer=layer, columns=[field])


def is_polygon(shapes: NDArray[Any]) -> NDArray[np.bool_]:
    """Which geometries are polygons, or collections with one."""
    return np.asarray(shapely.get_dimensions(shapes) == 2)


def drop_invalid_vertices(shapes: NDArray[Any]) -> NDArray[np.bool_]:
    """Leave vertices that are no numbers out of some geometries, in place, and say which had any.

    A geometry becomes None if too few vertices remain.
    """
    coordinates, owners = shapely.get_coordinates(shapes, return_index=True)
    invalid = np.zeros(len(shapes), dtype=bool)
    invalid[owners[~np.isfinite(coordinates).all(axis=1)]] = True
    for index in np.flatnonzero(invalid):
        finite = [_finite_part(part) for part in shapely.get_parts(shapes[index])]
        parts = [part for part in finite if part is not None]
        shapes[index] = shapely.union_all(parts) if parts else None
    return invalid


def _finite_part(part: BaseGeometry) -> BaseGeometry | None:
    """A point, line or polygon from its finite vertices, None if there are too few."""
    if isinstance(part, shapely.Polygon):
        shell, *holes = [_finite_vertices(ring) for ring in (part.exterior, *part.interiors)]
        polygon = shapely.Polygon(shell, [hole for hole in holes if len(hole) > 2]) if len(shell) > 2 else None
        return None if polygon is None else shapely.make_valid(polygon)
    vertices = _finite_vertices(part)
    if isinstance(part, shapely.LineString):
        return shapely.LineString(vertices) if len(vertices) > 1 else None
    return shapely.Point(vertices[0]) if len(vertices) else None


def _finite_vertices(geometry: BaseGeometry) -> NDArray[np.float64]:
    vertices = shapely.get_coordinates(geometry)
    return vertices[np.isfinite(vertices).all(axis=1)]


@lru_cache(maxsize=1024)
def _warn_of_vertices(path: Path, layer: str, count: int) -> None:
    """Once per file and count: neighbouring tasks read the same polygons."""
    log.warning("%s: layer %s: %d polygons have vertices that are no numbers, which are left out", path, layer, count)


@contextmanager
def using_pyogrio(path: Path) -> Iterator[Any]:
    """Import pyogrio to read a file of a known format, and raise the errors of reading with it as `UnreadableVector`.

    Imported here because pyogrio imports pandas, which takes long.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    errors = (OSError, ValueError, KeyError, pa.ArrowException, DataSourceError, DataLayerError, ProjError)
    try:
        with np.errstate(invalid="ignore"):  # of vertices that are no numbers
            if problem := next(filter(None, map(find_vector_problem, zipped_files(path))), None):
                raise UnreadableVector(problem)
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


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet by its name."""
    return path.suffix.lower() in _PARQUET_SUFFIXES


def _read_layer(path: Path, name: str) -> VectorLayer:
    import pyogrio

    info = pyogrio.read_info(path, layer=name, force_total_bounds=True)
    crs, kind, bounds = info["crs"], str(info["geometry_type"]), info["total_bounds"]
    box, content = None if bounds is None else _box(*bounds), ""
    if box is None or kind.startswith(_MIXED):
        box, content = _polygon_bounds(pyogrio.read_dataframe(path, layer=name, columns=[]).geometry.array)
    elif not any(polygon in kind for polygon in _POLYGONS):
        box, content = None, kind
    fields = tuple(map(str, info["fields"]))
    return VectorLayer(path, name, fields, CRS.from_user_input(crs) if crs else None, box, content)


def _box(left: float, bottom: float, right: float, top: float) -> Box | None:
    """Bounds, None if they are no numbers or cross the antimeridian (west > east)."""
    box = float(left), float(bottom), float(right), float(top)
    return box if np.isfinite(box).all() and left <= right else None


def _polygon_bounds(shapes: Any) -> tuple[Box | None, str]:
    """Bounds of the polygons among some geometries; None and what there is instead, if there are none."""
    geometries = np.array(shapes, dtype=object)
    drop_invalid_vertices(geometries)
    geometries = geometries[~(shapely.is_missing(geometries) | shapely.is_empty(geometries))]
    if not len(geometries):
        return None, "no features"
    polygons = geometries[is_polygon(geometries)]
    if not len(polygons):
        return None, ", ".join(sorted({geometry.geom_type for geometry in geometries}))
    return _box(*shapely.total_bounds(polygons)), ""


def _read_parquet_layer(path: Path) -> VectorLayer:
    column = _read_geometry_column(path)
    crs, bounds = column.get("crs", _DEFAULT_CRS), column.get("bbox") or ()
    bounds = () if None in bounds else bounds
    # Four numbers, or six with heights.
    size = len(bounds) // 2
    box, content = _box(*bounds[:2], *bounds[size : size + 2]) if size > 1 else None, ""
    types = column.get("geometry_types") or ("Unknown",)
    if box is None or not all("Polygon" in kind for kind in types):
        box, content = _polygon_bounds(read_parquet(path, []).geometry.array)
    fields = tuple(name for name in pq.read_schema(path).names if name != column["name"])
    return VectorLayer(path, path.stem, fields, CRS.from_user_input(crs) if crs else None, box, content)


def read_parquet(path: Path, fields: list[str] | None = None, box: Box | None = None) -> Any:
    """A data frame with all or some fields and the geometry; of the features in a box, if the file has their boxes."""
    import geopandas

    column = _read_geometry_column(path)
    columns = None if fields is None else [*fields, column["name"]]
    if "encoding" not in column:
        return geopandas.GeoDataFrame.from_arrow(pq.read_table(path, columns=columns))
    return geopandas.read_parquet(path, columns=columns, bbox=box if "covering" in column else None)


def _read_geometry_column(path: Path) -> dict[str, Any]:
    """GeoParquet metadata of the primary geometry column, its name included; of GeoArrow, name and CRS alone."""
    schema = pq.read_schema(path)
    if geo := parse_bounded((schema.metadata or {}).get(b"geo", b"null")):
        return {"name": geo["primary_column"], **geo["columns"][geo["primary_column"]]}
    for field in schema:
        metadata = field.metadata or {}
        if metadata.get(b"ARROW:extension:name") == b"geoarrow.wkb":
            crs = parse_bounded(metadata.get(b"ARROW:extension:metadata") or b"{}").get("crs")
            return {"name": field.name, "crs": crs}
    remedy = "write it as GeoParquet, as geopandas does with `GeoDataFrame(…, crs=…).to_parquet`"
    raise UnreadableVector(f"the Parquet file has no metadata `geo`, thus no CRS; {remedy}")
