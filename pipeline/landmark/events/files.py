"""The vector files in what a person points at: files, folders, and zips however deep."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory

from landmark.config.label_entries import WORLD
from landmark.core.errors import InputError
from landmark.domain.event import Events

# Best first: of one layer in several formats one is read.
SUFFIXES = (".shp", ".gpkg", ".fgb", ".geojson", ".json", ".dbf")
_SIDECARS = (".shx", ".prj", ".cpg")
_DEEPEST = 4
# What unzipping raises: a cut or corrupt archive, a corrupt stream in it, a password, an unknown compression.
_DAMAGED = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Found:
    """A vector file or a bare table.

    Attributes:
        path: Where it can be read, as long as `unpacked` lasts.
        folder: Name of the folder or zip it lies in.
        label: What a person calls it: the name of what was given, and the way into it.
        origin: The file on disk it is, or lies in.
    """

    path: Path
    folder: str
    label: str
    origin: Path


def event_files(entry: Events, world: Callable[[], Path]) -> tuple[Path, ...]:
    """What an entry's patterns mean: files and folders; `world` is asked where one lies in the embedded world.

    Raises:
        InputError: nothing matches a pattern.
    """
    found: dict[Path, None] = {}
    for pattern in entry.files:
        place = str(world() / pattern.removeprefix(WORLD)) if pattern.startswith(WORLD) else pattern
        if not (matching := _matching(place)):
            raise InputError(
                f"events: {entry.name}: files: nothing matches {pattern}; a path in a recipe starts at the recipe"
            )
        found |= dict.fromkeys(matching)
    return tuple(found)


def _matching(pattern: str) -> list[Path]:
    whole = Path(pattern).resolve()
    if whole.exists():
        return [whole]
    try:
        return sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
    except (ValueError, IndexError) as error:
        raise InputError(f"events: files: {pattern!r} is no path and no pattern of files: {error}") from error


@contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[list[Found]]:
    """The vector files in paths, each once, sorted by where they lie; what is zipped is readable inside the block.

    Raises:
        InputError: a path is gone, or a zip is damaged, locked or holds zips too deep.
    """
    with TemporaryDirectory(prefix="landmark-events-") as scratch:
        seen: dict[Path, Found] = {}
        for path in paths:
            for one in _walk(path, path.name, None, Path(scratch), 0):
                seen.setdefault(one.path.resolve(), one)
        yield sorted(seen.values(), key=lambda one: one.label)


def origins(found: Sequence[Found]) -> tuple[Path, ...]:
    """The files on disk that what was found relies on, with the parts of shapefiles; sorted."""
    whole = {one.origin for one in found}
    parts = {
        side
        for path in whole
        if path.suffix.lower() == ".shp"
        for side in path.parent.glob(f"{path.stem}.*")
        if side.suffix.lower() in (*_SIDECARS, ".dbf")
    }
    return tuple(sorted(whole | parts))


def _walk(path: Path, label: str, origin: Path | None, scratch: Path, depth: int) -> Iterator[Found]:
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if not inner.name.startswith((".", "__MACOSX")):
                yield from _walk(inner, f"{label}/{inner.name}", origin, scratch, depth)
    elif not path.is_file():
        raise InputError(f"events: {label}: no such file or folder")
    elif path.suffix.lower() == ".zip":
        folder = _extracted(path, label, scratch, depth)
        yield from _walk(folder, label, origin or path.resolve(), scratch, depth + 1)
    elif path.suffix.lower() in SUFFIXES and not (path.suffix.lower() == ".dbf" and _of_shapefile(path)):
        yield Found(path, path.parent.name, label, origin or path.resolve())


def _of_shapefile(table: Path) -> bool:
    return any(table.with_suffix(suffix).exists() for suffix in (".shp", ".SHP"))


def _extracted(package: Path, label: str, scratch: Path, depth: int) -> Path:
    if depth >= _DEEPEST:
        raise InputError(f"events: {label}: zips lie {depth} deep in each other; unpack it by hand")
    folder = scratch / str(len(list(scratch.iterdir()))) / package.stem
    folder.mkdir(parents=True)
    wanted = (*SUFFIXES, *_SIDECARS, ".zip")
    try:
        with zipfile.ZipFile(package) as archive:
            for member in archive.infolist():
                if member.filename.lower().endswith(wanted):
                    archive.extract(member, folder)  # never outside the folder: it cuts `..` and roots away
    except _DAMAGED as error:
        raise InputError(f"events: {label}: cannot be unzipped: {error}; download it again") from error
    return folder
