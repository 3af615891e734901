"""Label maps: an item of the catalogue, or a file on disk, as a `LabelRaster` with its edition and its ground."""

import datetime as dt
import glob
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pystac
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.config.label_entries import WORLD, Labels, matching
from landmark.config.profiles import Mirror, Provider
from landmark.core.crs import LONLAT
from landmark.core.errors import InputError
from landmark.core.hashing import digest, file_sha256
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelVintage
from landmark.raster.reader import opened
from landmark.raster.source import Unreadable
from landmark.raster.vector import SUFFIXES, Layer, NotPolygons, layers
from landmark.stac.catalog import Document
from landmark.stac.item import footprint, href_of, interval, item_digest

# Stretches a map's frame is cut into before it is turned into degrees, where straight edges bend.
_EDGE_STEPS = 50
_SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class Given:
    """What a recipe says of a source that is read from disk, and the files it means on this machine."""

    entry: Labels
    files: tuple[Path, ...]


def given_files(entry: Labels, world: Callable[[], Path]) -> Given:
    """The files of a source; `world` is asked for the embedded world's folder where one lies in it.

    Raises:
        InputError: nothing matches.
    """
    patterns = [
        str(world() / pattern.removeprefix(WORLD)) if pattern.startswith(WORLD) else pattern for pattern in entry.files
    ]
    found = {pattern: matching(pattern) for pattern in patterns}
    if (empty := [pattern for pattern in patterns if not found[pattern]]) and not (
        entry.optional and any(found.values())
    ):
        raise InputError(f"labels: {entry.name}: no file matches {empty[0]}; a path in a recipe starts at the recipe")
    return Given(entry, tuple(dict.fromkeys(path for pattern in patterns for path in found[pattern])))


def label_collection(provider: Provider, crosswalk: Crosswalk) -> str:
    """The collection in which a provider keeps a source's maps.

    Raises:
        InputError: it publishes none.
    """
    if crosswalk.name not in provider.labels:
        known = ", ".join(provider.labels) or "none"
        raise InputError(
            f"labels: provider {provider.name} publishes no {crosswalk.name!r}; it publishes {known};"
            f" give its files with `files` or --labels {crosswalk.name}=PATH; see `landmark labels --help`"
        )
    return provider.labels[crosswalk.name]


def of_item(item: pystac.Item, document: Document, crosswalk: Crosswalk, mirror: Mirror | None = None) -> LabelRaster:
    """The class raster of a STAC item.

    Raises:
        InputError: the item lacks the raster, its ground or its time.
    """
    if crosswalk.asset is None:
        raise InputError(f"taxonomies/{crosswalk.name}.yaml: names no `asset`, so that its STAC items cannot be read")
    if crosswalk.asset not in item.assets:
        raise InputError(f"item {item.id}: has no asset {crosswalk.asset!r}, where {crosswalk.name} keeps its classes")
    start, end = interval(item)
    if crosswalk.exclusive_end and end > start:
        end -= dt.timedelta(microseconds=1)
    version = str(item.properties.get(crosswalk.version_property or "", "")) or crosswalk.files.version
    href = href_of(item, crosswalk.asset, mirror)
    return LabelRaster(
        vintage=LabelVintage(crosswalk.name, version, start, end),
        item=item.id,
        href=href,
        recorded_href=document.relative(href),
        digest=item_digest(item, crosswalk.asset, document),
        footprint=footprint(item),
    )


def of_files(given: Given, crosswalk: Crosswalk, near: BaseGeometry) -> list[LabelRaster]:
    """The maps in files on disk that meet a region, rasters and layers of polygons, sorted by the files' names.

    Raises:
        InputError: a file cannot be read, does not say when or where it is, or holds no codes.
    """
    found: dict[str, list[LabelRaster]] = {}
    for path in given.files:
        if path.name in found:
            raise InputError(f"labels: two files of {crosswalk.name} are called {path.name}, their name in the lock")
        vintage = _vintage(path, given.entry, crosswalk)
        maps = _layers(path, vintage, crosswalk) if path.suffix.lower() in SUFFIXES else [_raster(path, vintage)]
        meeting = [one for one in maps if one.footprint.intersects(near)]
        said = file_digest(path) if meeting else ""
        found[path.name] = [replace(one, digest=said) for one in meeting]
    return [one for name in sorted(found) for one in found[name]]


def file_digest(path: Path) -> str:
    """SHA-256 of a map's bytes; of a shapefile, a digest of all its files'."""
    if path.suffix.lower() != ".shp":
        return file_sha256(path)
    parts = sorted(
        part for part in path.parent.glob(f"{glob.escape(path.stem)}.*") if part.suffix.lower() in _SHAPEFILE
    )
    return digest([[part.suffix.lower(), file_sha256(part)] for part in parts])


def _vintage(path: Path, entry: Labels, crosswalk: Crosswalk) -> LabelVintage:
    """A moment in the name counts, then the recipe's year, then a year in the name."""
    matches = (re.search(pattern, path.stem) for pattern in crosswalk.files.dates)
    said = next((match.groupdict() for match in matches if match), {})
    version = said.get("version") or crosswalk.files.version
    if said.get("moment"):
        moment = _moment(path, said["moment"])
        return LabelVintage(crosswalk.name, version, moment, moment)
    year = entry.year or int(said.get("year") or 0)
    if not year:
        raise InputError(
            f"{path}: its name does not say what year it describes; give `year` beside `files` in the recipe"
        )
    first, last = dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    return LabelVintage(crosswalk.name, version, first, last)


def _moment(path: Path, text: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(text, "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise InputError(f"{path}: {text} in its name is no moment of the calendar") from error


def _raster(path: Path, vintage: LabelVintage) -> LabelRaster:
    if path.suffix.lower() == ".vrt":
        raise InputError(f"{path}: a VRT only points at other files, which the lock would not know; name those files")
    try:
        with opened(str(path)) as raster:
            wkt, transform, (height, width) = raster.crs_wkt, raster.transform, raster.header.shape
    except Unreadable as error:
        raise InputError(f"{path}: cannot be read as a raster of {vintage.name}: {error}") from error
    if wkt is None:
        raise InputError(f"{path}: has no CRS; assign one (gdal_edit -a_srs)")
    frame = shapely.segmentize(shapely.box(0, 0, width, height), max(width, height) / _EDGE_STEPS)
    corners = shapely.transform(frame, lambda pixel: np.stack(transform @ (pixel[:, 0], pixel[:, 1]), axis=1))
    return _local(path, vintage, _in_degrees(path, corners, CRS.from_wkt(wkt)))


def _layers(path: Path, vintage: LabelVintage, crosswalk: Crosswalk) -> list[LabelRaster]:
    try:
        there = layers(path)
    except NotPolygons as error:
        raise InputError(f"{path}: cannot be read as polygons of {vintage.name}: {error}") from error
    held = {layer: field for layer in there if (field := _field(layer, crosswalk)) is not None}
    if not held:
        fields = sorted({field for layer in there for field in layer.fields})
        raise InputError(
            f"{path}: no layer has a code of {vintage.name}; `files.fields` in taxonomies/{vintage.name}.yaml knows"
            f" {', '.join(crosswalk.files.fields) or 'none'}, and the file has {', '.join(fields) or 'none'}"
        )
    return [_layer(path, vintage, layer, field) for layer, field in held.items()]


def _layer(path: Path, vintage: LabelVintage, layer: Layer, field: str) -> LabelRaster:
    if layer.crs is None:
        raise InputError(f"{path}: layer {layer.name} has no CRS; assign one (ogr2ogr -a_srs)")
    left, bottom, right, top = layer.bounds
    frame = shapely.segmentize(shapely.box(*layer.bounds), max(right - left, top - bottom) / _EDGE_STEPS)
    return replace(_local(path, vintage, _in_degrees(path, frame, layer.crs)), layer=layer.name, field=field)


def _field(layer: Layer, crosswalk: Crosswalk) -> str | None:
    """The attribute of a layer that holds the codes, None where it has none of the known ones."""
    there = {field.lower(): field for field in layer.fields}
    return next((there[name.lower()] for name in crosswalk.files.fields if name.lower() in there), None)


def _local(path: Path, vintage: LabelVintage, footprint: BaseGeometry) -> LabelRaster:
    return LabelRaster(vintage, path.stem, str(path.resolve()), path.name, "", footprint, local=True)


def _in_degrees(path: Path, frame: BaseGeometry, crs: CRS) -> BaseGeometry:
    """A frame in EPSG:4326, made wider where it meets the antimeridian or has edges no longitude and latitude has."""
    try:
        to_degrees = Transformer.from_crs(crs, LONLAT, always_xy=True)
    except ProjError as error:
        raise InputError(f"{path}: its CRS, {crs.name}, is not tied to the Earth; assign the right one") from error
    lon, lat = to_degrees.transform(*shapely.get_coordinates(frame).T)
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.all():
        return shapely.box(-180, -90, 180, 90)
    if np.ptp(lon) > 180:
        return shapely.box(-180, lat.min(), 180, lat.max())
    return shapely.Polygon(np.stack([lon, lat], axis=1)).buffer(0)
