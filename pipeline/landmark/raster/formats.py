"""Formats that are read: by an explicit list of GDAL's drivers, and none that refers to other files."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

# Of files on this machine, and of others.
LOCAL_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "HFA", "ENVI", "EHdr", "AAIGrid", "netCDF", "GPKG")
REMOTE_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG")
_FIRST_BYTES = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
_FIRST_BYTES_OF_VECTORS = {
    ".gpkg": (b"SQLite format 3\0",),
    ".fgb": (b"fgb",),
    ".shp": (b"\0\0'\n",),
    ".geojson": (b"{", b"["),
    ".json": (b"{", b"["),
    ".dbf": tuple(bytes([version]) for version in (0x02, 0x03, 0x30, 0x31, 0x32, 0x83, 0x8B, 0xF5)),
}
# A file in a zip, as GDAL names it.
_ZIPPED = re.compile(r"/vsizip/\{(.*)\}(?:/(.*))?", re.DOTALL)
HEAD_BYTES = 4096
# How formats begin that hold references to files and servers in place of data.
_REFERENCES = {
    b"<VRTDataset": "a VRT",
    b"<OGRVRT": "an OGR VRT",
    b"gdal_streamed_alg": "a GDALG pipeline",
    b"<GDAL_WMS": "a WMS description",
    b"<WCS_GDAL": "a WCS description",
    b"<GDAL_WMTS": "a WMTS description",
    b"<GDALTileIndexDataset": "a tile index",
    b"<MRF_META": "an MRF",
}


def find_reference(head: bytes, tool: str) -> str | None:
    """What is wrong with a file that begins like a format of references; `tool` makes a file of data of it."""
    names: Sequence[str] = [name for mark, name in _REFERENCES.items() if mark in head[:HEAD_BYTES]]
    return f"{names[0]}, which refers to other files: make a file of them ({tool}), or name them" if names else None


def find_driver(head: bytes) -> str | None:
    """The driver of a remote file by its first bytes."""
    return next((driver for mark, driver in _FIRST_BYTES.items() if head.startswith(mark)), None)


def find_vector_problem(path: Path) -> str | None:
    """Why a vector file, which may be in a zip, is not opened: it refers to others, or is not what its suffix says.

    Raises:
        OSError, KeyError, zipfile.BadZipFile: it cannot be read.
    """
    head = _read_head(path)
    if (problem := find_reference(head, "ogr2ogr")) is not None:
        return f"{path.name}: {problem}"
    if (marks := _FIRST_BYTES_OF_VECTORS.get(path.suffix.lower())) is None:
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e") if b"{" in marks else head
    return None if start.startswith(marks) else f"{path.name}: no {path.suffix} by its first bytes"


def _read_head(path: Path) -> bytes:
    """First bytes of a file, which may be in a zip; none of a folder, as file geodatabases are."""
    if (place := _ZIPPED.fullmatch(str(path))) is None:
        if path.is_dir():
            return b""
        with path.open("rb") as content:
            return content.read(HEAD_BYTES)
    with zipfile.ZipFile(place[1]) as archive:
        if place[2] not in archive.namelist():
            return b""
        with archive.open(place[2]) as content:
            return content.read(HEAD_BYTES)
