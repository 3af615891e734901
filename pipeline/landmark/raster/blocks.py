"""Block layout of ordinary GeoTIFFs: the byte range of each block, and how its bytes are decoded.

tifffile parses the TIFF directory, GDAL the georeference; any less common layout is left to GDAL altogether.
"""

import io
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from landmark.core.ranges.answers import Buffer
from landmark.core.ranges.errors import Unreadable
from landmark.core.ranges.range_reader import RangeReader

# Enough for most headers with their block tables, in one request.
HEADER_BYTES = 2**15
_MAX_HEADER_BYTES = 2**22
# Larger than any file; offsets beyond it overflow in some systems.
_MAX_FILE_BYTES = 2**62
# Version number in the header of a BigTIFF.
_BIG_TIFF = 43
_BLOCK_TABLES = ("TileOffsets", "TileByteCounts", "StripOffsets", "StripByteCounts")
_CODECS: dict[int, Callable[..., Any] | None] = {
    1: None,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
# TIFF tag NewSubfileType, and its bit of masks.
_SUBFILE_TYPE, _MASK = 254, 4
# More than any file has; a chain of directories may be a circle.
_MAX_DIRECTORIES = 1000
_ALPHA = frozenset((1, 2))
_buffers = threading.local()

log = logging.getLogger(__name__)
# tifffile logs an error for each incomplete directory; such a directory is parsed again with more bytes.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class _PartialFile(io.BytesIO):
    """The first bytes of a longer file: reads beyond them are filled with zeros."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise EOFError(f"{size} bytes")
        return super().read(size).ljust(size, b"\0")


class UnsupportedLayout(Exception):
    """The raster's layout is left to GDAL; the message names the unsupported part."""


class DecodeError(Exception):
    """A block's bytes do not decode to the size given in the header."""


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """Block layout of a band of a raster.

    Attributes:
        header: The file's first bytes, with the complete directory.
        alpha: Whether one of the file's bands is an alpha band.
        shape: (rows, columns) of a block.
        raster: (rows, columns) of the raster.
        codec: Decompression function, None for uncompressed blocks.
        predictor: TIFF predictor: 1 none, 2 horizontal differences, 3 floating point.
        offsets: Byte offset of each block, row by row.
        sizes: Bytes of each block, row by row.
    """

    header: bytes
    alpha: bool
    shape: tuple[int, int]
    raster: tuple[int, int]
    dtype: np.dtype[Any]
    codec: Callable[..., Any] | None
    predictor: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    def locate(self, row: int, column: int) -> tuple[int, int] | None:
        """Return (offset, bytes) of a block, None for a sparse block, which is not stored.

        Raises:
            DecodeError: an implausible place.
        """
        number = row * -(-self.raster[1] // self.shape[1]) + column
        offset, size = self.offsets[number], self.sizes[number]
        if offset == size == 0:
            return None
        max_size = 2 * self.shape[0] * self.shape[1] * self.dtype.itemsize + 2**16
        if not (0 < offset < _MAX_FILE_BYTES and 0 < size <= max_size):
            raise DecodeError(f"{size} bytes at {offset}")
        return offset, size

    def decode(self, content: Buffer, row: int) -> NDArray[Any]:
        """Decode a block of a row of blocks to pixels (y, x), in a buffer that this thread's next call overwrites.

        A block of the last row may be as short as the raster.

        Raises:
            DecodeError: the size differs from the one in the header.
        """
        height, width = self.shape
        buffer = _thread_buffer("block", height * width * self.dtype.itemsize)
        try:
            decoded = self.codec(content, out=buffer) if self.codec else np.frombuffer(content, np.uint8)
        except RuntimeError as error:
            raise DecodeError(str(error)) from None
        rows, rest = divmod(len(decoded), width * self.dtype.itemsize)
        if rest or rows not in (height, min(height, self.raster[0] - row * height)):
            raise DecodeError(f"{len(decoded)} bytes")
        return self._undo_predictor(decoded.view(self.dtype).reshape(rows, width))

    def _undo_predictor(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.codec is None or self.predictor == 1:
            return block
        if self.predictor == 2:
            integers = block.view(f"u{self.dtype.itemsize}")
            imagecodecs.delta_decode(integers, axis=-1, out=integers)
            return block
        return self._undo_float_predictor(block.view(np.uint8))

    def _undo_float_predictor(self, planes: NDArray[np.uint8]) -> NDArray[Any]:
        """Undo predictor 3: each row holds its numbers' most significant bytes, then the next ones, as differences.

        Takes a quarter of the time of `imagecodecs.floatpred_decode`.
        """
        rows, itemsize = len(planes), self.dtype.itemsize
        imagecodecs.delta_decode(planes, axis=-1, out=planes)
        numbers = _thread_buffer("numbers", planes.size).reshape(rows, -1, itemsize)
        for index, plane in enumerate(np.split(planes, itemsize, axis=1)):
            numbers[..., itemsize - 1 - index] = plane
        return numbers.reshape(rows, -1).view(self.dtype)

    def may_have_mask(self) -> bool:
        """False only if the header holds every directory, none of them is a mask and none has an alpha band."""
        return self.alpha or any(kind is None or kind & _MASK for kind in _directory_kinds(self.header))


def _directory_kinds(header: bytes) -> Iterator[int | None]:
    """Subfile type of each TIFF directory; None for the rest of the chain where the header does not hold it."""
    first, count_size, entry_size, pointer_size = (8, 8, 20, 8) if header[2] == _BIG_TIFF else (4, 2, 12, 4)

    def number(start: int, size: int) -> int:
        return int.from_bytes(header[start : start + size], "little")

    start = number(first, pointer_size)
    for _ in range(_MAX_DIRECTORIES):
        entries = start + count_size
        end = entries + entry_size * number(start, count_size)
        if end + pointer_size > len(header):
            break
        tags = {
            number(entry, 2): number(entry + entry_size - pointer_size, 4) for entry in range(entries, end, entry_size)
        }
        yield tags.get(_SUBFILE_TYPE, 0)
        if (start := number(end, pointer_size)) == 0:
            return
    yield None


def read_layout(header: bytes, ranges: RangeReader, band: int = 1) -> BlockLayout:
    """Parse the block layout of a band of a GeoTIFF, reading on where its directory exceeds the first `HEADER_BYTES`.

    Raises:
        UnsupportedLayout: another format, or a layout that is left to GDAL.
        Unreadable: as `RangeReader.get`; or the file ends within its block table.
        NoRangeSupport: as `RangeReader.get`.
    """
    if header[:4] not in (b"II*\0", b"II+\0"):
        raise UnsupportedLayout("not a little-endian TIFF")
    requested = HEADER_BYTES
    while True:
        at_end = len(header) < requested
        try:
            with tifffile.TiffFile(_PartialFile(header), size=_MAX_FILE_BYTES) as file:
                page = file.pages.first
                missing = [tag.name for tag in page.tags if tag.valueoffset + tag.valuebytecount > len(header)]
                if _directory_end(page, header) > len(header):
                    missing.append("directory")
                if at_end and any(name in _BLOCK_TABLES for name in missing):
                    # GDAL would read the blocks as empty.
                    raise Unreadable("the file ends in its header")
                if not missing:
                    return _parse_layout(page, header, band)
        except (UnsupportedLayout, Unreadable):
            raise
        except Exception as error:  # a parser may raise any exception on an incomplete or garbled directory
            log.debug("%s", error)
        if at_end or requested >= _MAX_HEADER_BYTES:
            raise UnsupportedLayout("its directory is not among its first bytes")
        requested *= 4
        header += bytes(ranges.get(len(header), requested))


def _directory_end(page: tifffile.TiffPage, header: bytes) -> int:
    """Offset of the byte after a directory, the pointer to the next directory included."""
    tiff = page.parent.tiff
    entries = int.from_bytes(header[page.offset : page.offset + tiff.tagnosize], "little")
    return int(page.offset + tiff.tagnosize + entries * tiff.tagsize + tiff.offsetsize)


def _parse_layout(page: tifffile.TiffPage, header: bytes, band: int) -> BlockLayout:
    """Parse a complete directory.

    Raises:
        UnsupportedLayout: the layout is left to GDAL.
    """
    dtype = f"{_KINDS.get(page.sampleformat, 'V')}{page.bitspersample // 8}"
    if page.compression not in _CODECS or page.fillorder != 1:
        raise UnsupportedLayout(f"{getattr(page.compression, 'name', page.compression)} blocks")
    if dtype not in _DTYPES or page.bitspersample % 8:
        raise UnsupportedLayout(f"pixels of {page.bitspersample} bits")
    if page.samplesperpixel > 1 and page.planarconfig != 2:
        raise UnsupportedLayout("pixel-interleaved bands")
    if page.predictor not in (1, 2, 3) or (page.predictor == 3 and dtype[0] != "f"):
        raise UnsupportedLayout(f"predictor {page.predictor}")
    raster = page.imagelength, page.imagewidth
    shape = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, raster[0]), raster[1])
    offsets = _tag_values(page, ("TileOffsets", "StripOffsets"))
    sizes = _tag_values(page, ("TileByteCounts", "StripByteCounts"))
    n_blocks = -(-raster[0] // shape[0]) * -(-raster[1] // shape[1])
    if min(len(offsets), len(sizes)) < n_blocks * band:
        raise UnsupportedLayout("a block table with too few entries")
    of_band = slice(n_blocks * (band - 1), n_blocks * band)
    return BlockLayout(
        header=header,
        alpha=bool(_ALPHA.intersection(page.extrasamples)),
        shape=shape,
        raster=raster,
        dtype=np.dtype(f"<{dtype}"),
        codec=_CODECS[page.compression],
        predictor=page.predictor,
        offsets=offsets[of_band],
        sizes=sizes[of_band],
    )


def _tag_values(page: tifffile.TiffPage, names: tuple[str, str]) -> tuple[int, ...]:
    """Values of the first of two tags that the page has."""
    value = next((page.tags[name].value for name in names if name in page.tags), ())
    return (value,) if isinstance(value, int) else tuple(value)


def _thread_buffer(name: str, size: int) -> NDArray[np.uint8]:
    """Return a buffer that this thread reuses: allocating fresh memory costs as much as decoding into it."""
    buffer: NDArray[np.uint8] | None = getattr(_buffers, name, None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(size, np.uint8)
        setattr(_buffers, name, buffer)
    return buffer[:size]
