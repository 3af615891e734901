"""Label maps on disk as `LabelRaster`s: their edition, footprint and digest."""

import datetime as dt
import glob
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.config.label_entries import LabelEntry
from landmark.config.paths import match_files, world_path
from landmark.core.crs import LONLAT
from landmark.core.errors import EmptySearch, InputError
from landmark.core.hashing import digest, file_sha256
from landmark.core.time import parse_utc
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.raster.reader import open_raster
from landmark.raster.source import Unreadable
from landmark.raster.vector import VECTOR_SUFFIXES, UnreadableVector, VectorLayer, list_layers

log = logging.getLogger(__name__)

# A map's frame is cut into this many segments per edge before it is projected, where straight edges bend.
_SEGMENTS = 50
_SHAPEFILE_SUFFIXES = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class LocalLabels:
    """A recipe's label entry with files, and the files on this machine."""

    entry: LabelEntry
    files: tuple[Path, ...]


def local_label_files(entry: LabelEntry, world: Callable[[], Path]) -> LocalLabels:
    """Find the files of an entry; `world` returns the embedded world's folder, for `world:` paths.

    Raises:
        InputError: a pattern matches nothing; an `optional` entry needs one pattern that matches.
    """
    paths = {pattern: match_files(world_path(pattern, world), "labels.files") for pattern in entry.files}
    if not all(paths.values()) and not (entry.optional and any(paths.values())):
        unmatched = next(pattern for pattern, matches in paths.items() if not matches)
        remedy = "correct the path; relative paths start at the recipe's folder"
        problem = f"no file of {entry.name} matches"
        raise InputError(problem, key="labels.files", value=world_path(unmatched, world), remedy=remedy)
    return LocalLabels(entry, tuple(dict.fromkeys(path for matches in paths.values() for path in matches)))


def find_label_files(
    label_files: Mapping[str, LocalLabels], crosswalks: Sequence[Crosswalk], area: BaseGeometry
) -> list[LabelRaster]:
    """Label maps that intersect an area, of all sources that are read from files.

    Raises:
        EmptySearch: no file of a source that is not `optional` intersects the area.
        InputError: as in `local_label_rasters`.
    """
    maps: list[LabelRaster] = []
    for crosswalk in crosswalks:
        if crosswalk.name in label_files:
            labels = label_files[crosswalk.name]
            intersecting = local_label_rasters(labels, crosswalk, area)
            if not intersecting and not labels.entry.optional:
                bounds = [round(edge, 3) for edge in area.bounds]
                raise EmptySearch(f"no file of {crosswalk.name} intersects the region", key="labels", value=bounds)
            if not intersecting:
                log.warning("label source %s skipped: none of its files intersects the region", crosswalk.name)
            maps += intersecting
    return maps


def local_label_rasters(labels: LocalLabels, crosswalk: Crosswalk, area: BaseGeometry) -> list[LabelRaster]:
    """Rasters and polygon layers in the files that intersect an area, sorted by file name.

    Raises:
        InputError: two files have the same name, or a file is unreadable or has no time, CRS or codes.
    """
    maps: dict[str, list[LabelRaster]] = {}
    for path in labels.files:
        if path.name in maps:
            problem = f"two files of {crosswalk.name} have the same name, by which the lock identifies them"
            raise InputError(problem, key="labels.files", value=path.name, remedy="rename one")
        edition = _edition(path, labels.entry, crosswalk)
        is_vector = path.suffix.lower() in VECTOR_SUFFIXES
        candidates = _vector_maps(path, edition, crosswalk) if is_vector else [_raster_map(path, edition)]
        intersecting = [candidate for candidate in candidates if candidate.footprint.intersects(area)]
        sha256 = file_digest(path) if intersecting else ""
        maps[path.name] = [replace(candidate, digest=sha256) for candidate in intersecting]
    return [label for name in sorted(maps) for label in maps[name]]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of a shapefile, a digest of all its parts."""
    if path.suffix.lower() != ".shp":
        return file_sha256(path)
    siblings = path.parent.glob(f"{glob.escape(path.stem)}.*")
    parts = sorted(part for part in siblings if part.suffix.lower() in _SHAPEFILE_SUFFIXES)
    return digest([[part.suffix.lower(), file_sha256(part)] for part in parts])


def _edition(path: Path, entry: LabelEntry, crosswalk: Crosswalk) -> LabelEdition:
    """Edition by, in this order: a date in the file's name, the recipe's `year`, a year in the file's name."""
    matches = (re.search(pattern, path.stem) for pattern in crosswalk.files.dates)
    groups = next((match.groupdict() for match in matches if match), {})
    version = groups.get("version") or crosswalk.files.version
    if text := groups.get("datetime"):
        try:
            time = parse_utc(text, "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")
        except ValueError as error:
            raise InputError("the date in the file's name does not exist", file=path, value=text) from error
        return LabelEdition(crosswalk.name, version, time, time)
    year = entry.year or int(groups.get("year") or 0)
    if not year:
        raise InputError("no year in the file's name", file=path, remedy="give `year` beside `files` in the recipe")
    start, end = dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    return LabelEdition(crosswalk.name, version, start, end)


def _raster_map(path: Path, edition: LabelEdition) -> LabelRaster:
    if path.suffix.lower() == ".vrt":
        raise InputError("a VRT refers to files that the lock would not record", file=path, remedy="give those files")
    try:
        with open_raster(str(path)) as raster:
            wkt, transform, (height, width) = raster.crs_wkt, raster.transform, raster.header.shape
    except Unreadable as error:
        raise InputError(f"cannot be read as a raster of {edition.name}: {error}", file=path) from error
    if wkt is None:
        raise InputError("no CRS", file=path, remedy="assign one (gdal_edit -a_srs)")
    frame = shapely.segmentize(shapely.box(0, 0, width, height), max(width, height) / _SEGMENTS)
    frame = shapely.transform(frame, lambda pixel: np.stack(transform @ (pixel[:, 0], pixel[:, 1]), axis=1))
    return _label_raster(path, edition, _footprint(path, frame, CRS.from_wkt(wkt)))


def _vector_maps(path: Path, edition: LabelEdition, crosswalk: Crosswalk) -> list[LabelRaster]:
    """Maps of all layers with a field of codes."""
    try:
        layers = list_layers(path)
    except UnreadableVector as error:
        raise InputError(f"cannot be read as polygons of {edition.name}: {error}", file=path) from error
    fields = [(layer, field) for layer in layers if (field := _code_field(layer, crosswalk)) is not None]
    if not fields:
        present = ", ".join(sorted({field for layer in layers for field in layer.fields})) or "none"
        accepted = ", ".join(crosswalk.files.fields) or "none"
        problem = f"no layer has a field with codes of {edition.name}: accepted are {accepted}; the file has {present}"
        remedy = f"add the field to `files.fields` of taxonomies/{edition.name}.yaml"
        raise InputError(problem, file=path, remedy=remedy)
    return [_vector_map(path, edition, layer, field) for layer, field in fields]


def _vector_map(path: Path, edition: LabelEdition, layer: VectorLayer, field: str) -> LabelRaster:
    if layer.crs is None:
        raise InputError(f"layer {layer.name} has no CRS", file=path, remedy="assign one (ogr2ogr -a_srs)")
    left, bottom, right, top = layer.bounds
    frame = shapely.segmentize(shapely.box(*layer.bounds), max(right - left, top - bottom) / _SEGMENTS)
    label = _label_raster(path, edition, _footprint(path, frame, layer.crs))
    return replace(label, layer=layer.name, field=field)


def _code_field(layer: VectorLayer, crosswalk: Crosswalk) -> str | None:
    """The first of the crosswalk's fields that a layer has, in any case."""
    fields = {field.lower(): field for field in layer.fields}
    return next((fields[name.lower()] for name in crosswalk.files.fields if name.lower() in fields), None)


def _label_raster(path: Path, edition: LabelEdition, footprint: BaseGeometry) -> LabelRaster:
    return LabelRaster(edition, path.stem, str(path.resolve()), path.name, "", footprint, local=True)


def _footprint(path: Path, frame: BaseGeometry, crs: CRS) -> BaseGeometry:
    """A frame in EPSG:4326; all longitudes if it crosses the antimeridian, the Earth if a vertex has no coordinates."""
    try:
        to_lonlat = Transformer.from_crs(crs, LONLAT, always_xy=True)
    except ProjError as error:
        problem = f"the CRS {crs.name} cannot be transformed to longitude and latitude"
        raise InputError(problem, file=path, remedy="assign the right CRS") from error
    lon, lat = to_lonlat.transform(*shapely.get_coordinates(frame).T)
    if not (np.isfinite(lon) & np.isfinite(lat)).all():
        return shapely.box(-180, -90, 180, 90)
    if np.ptp(lon) > 180:
        return shapely.box(-180, lat.min(), 180, lat.max())
    return shapely.Polygon(np.stack([lon, lat], axis=1)).buffer(0)
