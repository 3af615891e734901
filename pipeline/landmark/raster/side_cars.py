"""Side-car files of local rasters: CRS, nodata, masks and positions that GDAL reads beside a file."""

import os.path
from pathlib import Path

from landmark.core.hashing import digest, file_sha256

# Added to a raster's name, and in place of its suffix. Overviews (.ovr) do not change what is read.
_AFTER_NAME = (".aux.xml", ".msk", ".xml")
_AFTER_STEM = (".aux", ".tab", ".wld", ".hdr", ".prj")
# How the names of a GeoTIFF's side-cars end.
TIFF_SIDE_CARS = (*_AFTER_NAME, *_AFTER_STEM, ".tfw", ".tifw", ".tiffw")


def local_path(href: str) -> Path | None:
    """Path of a file on this machine, None for URLs and for GDAL's virtual file systems."""
    path = href.removeprefix("file://")
    return None if "://" in path or path.startswith("/vsi") else Path(path)


def find_side_cars(path: Path) -> list[Path]:
    """Existing side-cars of a raster, sorted."""
    suffix = path.suffix.removeprefix(".")
    # World files: `.tfw` and `.tifw` beside `.tif`.
    world = (f".{suffix[:1]}{suffix[-1:]}w", f".{suffix}w") if suffix else ()
    base, stem = str(path), str(path.with_suffix(""))
    endings = [(base, ending) for ending in _AFTER_NAME] + [(stem, ending) for ending in (*_AFTER_STEM, *world)]
    names = {start + case for start, ending in endings for case in (ending, ending.upper())}
    # A plan looks for 20 names beside each of its files; a Path of each would take three times as long.
    return [Path(name) for name in sorted(names - {base}) if os.path.isfile(name)]  # noqa: PTH113


def raster_sha256(path: Path) -> str:
    """SHA-256 of a raster; with side-cars, a digest of all its files."""
    side_cars = find_side_cars(path)
    if not side_cars:
        return file_sha256(path)
    return digest([[part.name.removeprefix(path.stem), file_sha256(part)] for part in (path, *side_cars)])
