"""Find vector files in files, folders and (nested) zips."""

import glob
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from landmark.config.event_entries import EventEntry
from landmark.config.paths import is_geodatabase, lexical_path, match_paths, world_path
from landmark.core.archives import ZIP_ERRORS, ZipBudget
from landmark.core.errors import InputError
from landmark.core.limits import ZIP_DEPTH
from landmark.core.temporary import temporary_folder
from landmark.raster.features import Features, layer_names, read_features
from landmark.raster.side_cars import TIFF_SIDE_CARS, find_side_cars
from landmark.raster.vector import UnreadableVector

# In order of preference: a layer that is there in several formats is read once.
SUFFIXES = (".shp", ".gpkg", ".gdb", ".fgb", ".parquet", ".geoparquet", ".geojson", ".json", ".dbf")
RASTER_SUFFIXES = (".tif", ".tiff")
_SIDECARS = (".shx", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class VectorFile:
    """A vector file, a table or a raster.

    Attributes:
        path: Its path; a temporary one, valid inside `unpack_files`, if it was zipped.
        folder: Name of the folder or zip that holds it.
        label: Its name in messages: the path inside of what the user named.
        origin: The file on disk, or the zip that holds it.
    """

    path: Path
    folder: str
    label: str
    origin: Path

    def layer_names(self, *, spatial_only: bool = False) -> list[str]:
        """Names of its layers, optionally without those that have no geometry.

        Raises:
            InputError: it is no vector file.
        """
        with self._errors_as_input():
            return layer_names(self.path, spatial_only=spatial_only)

    def read(self, layer: str) -> Features:
        """Features of a layer.

        Raises:
            InputError: the layer is unreadable, has no CRS, or coordinates that are no degrees.
        """
        with self._errors_as_input():
            return read_features(self.path, layer)

    @contextmanager
    def _errors_as_input(self) -> Iterator[None]:
        try:
            yield
        except UnreadableVector as error:
            raise InputError(f"cannot be read: {error}", file=self.label) from error
        except InputError as error:
            error.file = self.label
            raise


def resolve_event_files(entry: EventEntry, world: Callable[[str], Path]) -> tuple[Path, ...]:
    """Resolve an entry's paths and globs to files and folders.

    Args:
        entry: The recipe's entry.
        world: Returns the folder of an embedded world by its name, called for patterns that start with `world:`.

    Raises:
        InputError: nothing matches a pattern.
    """
    paths: dict[Path, None] = {}
    for pattern in entry.files:
        key = f"events.{entry.name}.files"
        matches = match_paths(world_path(pattern, world), key)
        if not matches:
            remedy = "correct the path; in a recipe, paths are relative to its folder"
            raise InputError("no such file or folder", key=key, value=pattern, remedy=remedy)
        paths |= dict.fromkeys(matches)
    return tuple(paths)


@contextmanager
def unpack_files(paths: Sequence[Path], suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[list[VectorFile]]:
    """List the files in files and folders, without duplicates, sorted by label; unzips into a temporary folder.

    Args:
        paths: Files, folders and zips.
        suffixes: Kinds of files to list.

    Raises:
        InputError: a path is missing, or a zip is damaged, encrypted, nested too deeply or beyond another limit.
    """
    with temporary_folder() as scratch:
        files: dict[Path, VectorFile] = {}
        unpacking = _Unpacking(scratch, suffixes)
        for path in paths:
            for file in _walk(path, path.name, None, unpacking):
                files.setdefault(lexical_path(file.path), file)
        yield sorted(files.values(), key=lambda file: file.label)


def source_files(files: Sequence[VectorFile]) -> tuple[Path, ...]:
    """The files on disk that files are read from, including the side-cars of shapefiles and rasters; sorted."""
    origins = {file.origin for file in files}
    sidecars = {
        sidecar
        for path in origins
        if path.suffix.lower() == ".shp"
        for sidecar in path.parent.glob(f"{glob.escape(path.stem)}.*")
        if sidecar.suffix.lower() in (*_SIDECARS, ".dbf")
    }
    rasters = (path for path in origins if path.suffix.lower() in RASTER_SUFFIXES)
    return tuple(sorted(origins | sidecars | {sidecar for path in rasters for sidecar in find_side_cars(path)}))


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """Where zips are unpacked, which files of them, and what each zip on disk has unpacked to."""

    scratch: Path
    suffixes: tuple[str, ...]
    budgets: dict[Path, ZipBudget] = field(default_factory=dict)


def _walk(path: Path, label: str, origin: Path | None, unpacking: _Unpacking, depth: int = 0) -> Iterator[VectorFile]:
    if path.is_dir() and not is_geodatabase(path):
        for child in sorted(path.iterdir()):
            if not child.name.startswith((".", "__MACOSX")):
                yield from _walk(child, f"{label}/{child.name}", origin, unpacking, depth)
    elif not path.exists():
        raise InputError("no such file or folder", file=label)
    elif path.suffix.lower() == ".zip":
        if depth >= ZIP_DEPTH:
            raise InputError(f"zips are nested more than {ZIP_DEPTH} deep", file=label, remedy="unzip it by hand")
        origin = origin or lexical_path(path)
        folder = _unzip(path, label, origin, unpacking)
        yield from _walk(folder, label, origin, unpacking, depth + 1)
    elif path.suffix.lower() in unpacking.suffixes and not _belongs_to_shapefile(path):
        yield VectorFile(path, path.parent.name, label, origin or lexical_path(path))


def _belongs_to_shapefile(path: Path) -> bool:
    return path.suffix.lower() == ".dbf" and any(path.with_suffix(suffix).exists() for suffix in (".shp", ".SHP"))


def _unzip(package: Path, label: str, origin: Path, unpacking: _Unpacking) -> Path:
    folder = unpacking.scratch / str(len(list(unpacking.scratch.iterdir()))) / package.stem
    folder.mkdir(parents=True)
    suffixes = (*unpacking.suffixes, *_SIDECARS, *TIFF_SIDE_CARS, ".zip")
    try:
        with zipfile.ZipFile(package) as archive:
            named = [(member, member.filename.lower()) for member in archive.infolist()]
            members = [member for member, name in named if name.endswith(suffixes) or ".gdb/" in name]
            budget = unpacking.budgets.setdefault(origin, ZipBudget(origin.stat().st_size))
            budget.admit(archive, members, label, folder)
            archive.extractall(folder, members)
    except (*ZIP_ERRORS, OSError) as error:
        raise InputError(f"cannot be unzipped: {error}", file=label, remedy="download it again") from error
    return folder
