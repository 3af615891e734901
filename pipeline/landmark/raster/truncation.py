"""Find damaged files of formats whose missing pixels GDAL replaces without an error."""

import zlib
from itertools import repeat
from typing import Any, BinaryIO

import numpy as np

_PNG_HEAD_BYTES = 8
_PART_BYTES = 2**20
# Where the end mark of a JPEG is looked for: some writers pad files.
_JPEG_TAIL_BYTES = 4096
_GZIP = b"\x1f\x8b"


def is_damaged(dataset: Any, file: BinaryIO, size: int) -> bool:
    """Whether a PNG fails its checksums, a JPEG has no end, or an ENVI file lacks pixels; other formats do not.

    Args:
        dataset: The rasterio dataset.
        file: The file.
        size: Bytes of the file.
    """
    match dataset.driver:
        case "PNG":
            return not _is_intact_png(file, size)
        case "JPEG":
            file.seek(max(0, size - _JPEG_TAIL_BYTES))
            return b"\xff\xd9" not in file.read(_JPEG_TAIL_BYTES)
        case "ENVI":
            offset = int(dataset.tags(ns="ENVI").get("header_offset", 0))
            pixels = dataset.count * dataset.height * dataset.width
            return size < offset + pixels * np.dtype(dataset.dtypes[0]).itemsize and file.read(2) != _GZIP
    return False


def _is_intact_png(file: BinaryIO, size: int) -> bool:
    """Whether all chunks of a PNG, up to the last one, match their checksums."""
    position = _PNG_HEAD_BYTES
    while position + 12 <= size:
        file.seek(position)
        length, kind = int.from_bytes(file.read(4)), file.read(4)
        position += 12 + length
        if position > size:
            return False
        checksum, parts = zlib.crc32(kind), [*repeat(_PART_BYTES, length // _PART_BYTES), length % _PART_BYTES]
        for part in parts:
            checksum = zlib.crc32(file.read(part), checksum)
        if int.from_bytes(file.read(4)) != checksum:
            return False
        if kind == b"IEND":
            return True
    return False
