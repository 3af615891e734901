"""Label maps on disk as `LabelRaster`s: their edition, footprint and digest."""

import glob
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
import shapely.affinity
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from landmark.config.label_entries import LabelEntry
from landmark.config.paths import match_files, world_path
from landmark.core.crs import LONLAT, lonlat_problem, normalize_lonlat
from landmark.core.errors import EmptySearch, InputError
from landmark.core.hashing import digest, file_sha256, path_sha256
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.labels.file_editions import CodedLayer, LocalFile, coded_layers, file_edition, holds_changes
from landmark.raster.reader import open_raster
from landmark.raster.side_cars import raster_sha256
from landmark.raster.vector import VECTOR_SUFFIXES

log = logging.getLogger(__name__)

# A map's frame is cut into this many segments per edge before it is projected, where straight edges bend.
_SEGMENTS = 50
# Share of the smaller frame by which neighbouring layers may overlap.
_BORDER = 1e-3
_SHAPEFILE_SUFFIXES = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class LocalLabels:
    """A recipe's label entry with files, and the files on this machine."""

    entry: LabelEntry
    files: tuple[LocalFile, ...]


def local_label_files(entry: LabelEntry, world: Callable[[str], Path]) -> LocalLabels:
    """Find the files of an entry; `world` returns the folder of an embedded world by its name.

    A file that one pattern gives with a layer or year is not read by another that gives neither.

    Raises:
        InputError: a pattern matches nothing; an `optional` entry needs one pattern that matches.
    """
    paths = {file: match_files(world_path(file.path, world), "labels.files") for file in entry.files}
    if not all(paths.values()) and not (entry.optional and any(paths.values())):
        unmatched = next(file.path for file, matches in paths.items() if not matches)
        remedy = "correct the path; relative paths start at the recipe's folder"
        problem = f"no file of {entry.name} matches"
        raise InputError(problem, key="labels.files", value=world_path(unmatched, world), remedy=remedy)
    specified = {path for file, matches in paths.items() if file.layer or file.year for path in matches}
    files = [
        LocalFile(path, file.layer, file.year, entry.year)
        for file, matches in paths.items()
        for path in matches
        if file.layer or file.year or path not in specified
    ]
    return LocalLabels(entry, tuple(dict.fromkeys(files)))


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
        InputError: two files have the same name, a file is unreadable, or its time, CRS or codes are missing or
            ambiguous.
    """
    paths: dict[str, Path] = {}
    maps: dict[tuple[Path, str | None, str | None], LabelRaster] = {}
    for file in labels.files:
        if paths.setdefault(file.path.name, file.path) != file.path:
            problem = f"two files of {crosswalk.name} have the same name, by which the lock identifies them"
            raise InputError(problem, key="labels.files", value=file.path.name, remedy="rename one")
        for label in _file_maps(file, crosswalk):
            first = maps.setdefault((file.path, label.layer, label.field), label)
            if first.edition != label.edition:
                value = [first.edition.start.year, label.edition.start.year]
                problem, remedy = "given several times with different years", "keep one of them"
                raise InputError(problem, file=file.path, key="labels.files", value=value, remedy=remedy)
    if labels.files and not maps:
        problem = f"all files of {crosswalk.name} hold changes between two editions"
        remedy = "give a map of one year, or the layer to read as `{path: …, layer: …, year: …}`"
        raise InputError(problem, file=labels.files[0].path, key="labels.files", value=sorted(paths), remedy=remedy)
    intersecting = [(path, label) for (path, *_), label in maps.items() if label.footprint.intersects(area)]
    digests = {path: file_digest(path) for path in dict.fromkeys(path for path, _ in intersecting)}
    return [replace(label, digest=digests[path]) for path, label in sorted(intersecting, key=lambda pair: pair[0].name)]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of a shapefile, a folder and a raster with side-cars, a digest of all its parts."""
    if path.suffix.lower() != ".shp":
        return path_sha256(path) if path.suffix.lower() in VECTOR_SUFFIXES else raster_sha256(path)
    siblings = path.parent.glob(f"{glob.escape(path.stem)}.*")
    parts = sorted(part for part in siblings if part.suffix.lower() in _SHAPEFILE_SUFFIXES)
    return digest([[part.suffix.lower(), file_sha256(part)] for part in parts])


def _file_maps(file: LocalFile, crosswalk: Crosswalk) -> list[LabelRaster]:
    """Maps of a file; none if it holds changes between two editions."""
    if file.path.suffix.lower() in VECTOR_SUFFIXES:
        maps = [_vector_map(file.path, coded) for coded in coded_layers(file, crosswalk)]
        if file.layer is None:
            _check_overlaps(file.path, maps)
        return maps
    if file.layer is not None:
        remedy = "remove `layer`"
        raise InputError("a raster has no layers", file=file.path, key="labels.files", value=file.layer, remedy=remedy)
    if holds_changes(file.path.stem, crosswalk) and not file.year:
        log.warning("%s: left out, as it holds changes between two editions by its name", file.path)
        return []
    return [_raster_map(file.path, file_edition(file, crosswalk))]


def _check_overlaps(path: Path, maps: Sequence[LabelRaster]) -> None:
    """Refuse layers of one year whose frames overlap by more than a border."""
    for first, second in itertools.combinations(maps, 2):
        limit = _BORDER * min(first.footprint.area, second.footprint.area)
        if first.edition.start != second.edition.start or first.footprint.disjoint(second.footprint):
            continue
        if first.footprint.intersection(second.footprint).area > limit:
            raise InputError(
                f"two layers of {first.edition.start.year} overlap",
                file=path,
                key="labels.files",
                value=[first.layer, second.layer],
                remedy="give those to read as `{path: …, layer: …, year: …}`: the first one wins at a pixel",
            )


def _raster_map(path: Path, edition: LabelEdition) -> LabelRaster:
    try:
        with open_raster(str(path)) as raster:
            wkt, transform, (height, width) = raster.crs_wkt, raster.transform, raster.header.shape
    except Unreadable as error:
        remedy = (
            f"polygons are read from {', '.join(VECTOR_SUFFIXES)}: convert other formats (ogr2ogr out.gpkg {path.name})"
        )
        raise InputError(f"cannot be read as a raster of {edition.name}: {error}", file=path, remedy=remedy) from error
    if wkt is None:
        raise InputError("no CRS", file=path, remedy="assign one (gdal_edit -a_srs)")
    frame = shapely.segmentize(shapely.box(0, 0, width, height), max(width, height) / _SEGMENTS)
    frame = shapely.transform(frame, lambda pixel: np.stack(transform @ (pixel[:, 0], pixel[:, 1]), axis=1))
    return _label_raster(path, edition, _footprint(path, frame, CRS.from_wkt(wkt)))


def _vector_map(path: Path, coded: CodedLayer) -> LabelRaster:
    layer = coded.layer
    if layer.crs is None:
        raise InputError(f"layer {layer.name} has no CRS", file=path, remedy="assign one (ogr2ogr -a_srs)")
    assert layer.bounds is not None
    left, bottom, right, top = layer.bounds
    try:
        frame = shapely.segmentize(shapely.box(*layer.bounds), max(right - left, top - bottom) / _SEGMENTS)
    except shapely.errors.GEOSException as error:
        raise InputError(f"layer {layer.name} has no area: {error}", file=path, value=list(layer.bounds)) from error
    label = _label_raster(path, coded.edition, _footprint(path, frame, layer.crs))
    beyond = {360: right > 180, -360: left < -180} if layer.crs.is_geographic else {}
    offsets = (0, *(offset for offset, is_used in beyond.items() if is_used))
    return replace(label, href=str(layer.path), layer=layer.name, field=coded.field, lon_offsets=offsets)


def _label_raster(path: Path, edition: LabelEdition, footprint: BaseGeometry) -> LabelRaster:
    return LabelRaster(edition, path.stem, str(path), path.name, "", footprint, local=True)


@lru_cache(maxsize=64)
def _to_lonlat(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, LONLAT, always_xy=True)


def _footprint(path: Path, frame: BaseGeometry, crs: CRS) -> BaseGeometry:
    """A frame in EPSG:4326; all longitudes if it crosses the antimeridian, the Earth if a vertex has no coordinates."""
    try:
        to_lonlat = _to_lonlat(crs)
    except ProjError as error:
        problem = f"the CRS {crs.name} cannot be transformed to longitude and latitude"
        raise InputError(problem, file=path, remedy="assign the right CRS") from error
    # Smaller, as the outermost pixels may be centred on a pole.
    inner = shapely.affinity.scale(frame, 0.99, 0.99).bounds
    if crs.axis_info[0].unit_name == "degree" and (refusal := lonlat_problem(inner)) is not None:
        raise InputError(refusal[0], file=path, value=list(frame.bounds), remedy=refusal[1])
    lon, lat = to_lonlat.transform(*shapely.get_coordinates(frame).T)
    if not (np.isfinite(lon) & np.isfinite(lat)).all():
        return shapely.box(-180, -90, 180, 90)
    if np.ptp(lon) > 180:
        return shapely.box(-180, lat.min(), 180, lat.max())
    return normalize_lonlat(shapely.Polygon(np.stack([lon, np.clip(lat, -90, 90)], axis=1)).buffer(0), file=path)
