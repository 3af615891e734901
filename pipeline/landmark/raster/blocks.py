"""The blocks of an ordinary GeoTIFF: where each lies in the file, and how its bytes become pixels.

tifffile reads the directory from the first bytes of the file, and GDAL what it means on the ground; whatever is out of
the ordinary is left to GDAL altogether.
"""

import io
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from landmark.raster.ranges import Buffer, Ranges
from landmark.raster.source import Unreadable

# Most headers, with the block table, in one request.
HEAD_BYTES = 2**15
_LONGEST_HEAD_BYTES = 2**22
# No file is larger, and no system counts much further.
_LARGEST_BYTES = 2**62
_TABLES = ("TileOffsets", "TileByteCounts", "StripOffsets", "StripByteCounts")
_CODECS: dict[int, Callable[..., Any] | None] = {
    1: None,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
_ALPHA = frozenset((1, 2))
_mine = threading.local()

log = logging.getLogger(__name__)
# It complains of every half directory, and is asked again with more of it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class _Known(io.BytesIO):
    """The first bytes of a file that goes on: what lies beyond them reads as zeros, as far as is sensible."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_HEAD_BYTES:
            raise EOFError(f"{size} bytes")
        return super().read(size).ljust(size, b"\0")


class Unusual(Exception):
    """The raster is not laid out as most are; the message says how."""


class Undecodable(Exception):
    """A block's bytes are not what the header says."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a raster's first band.

    Attributes:
        head: The file's first bytes, the whole directory among them.
        shape: (rows, columns) of a whole block; `raster` those of the raster.
        decode: None where blocks are not compressed.
        predictor: 1, none; 2, horizontal differences; 3, those of floating-point bytes.
        offsets, sizes: Bytes, block by block from the upper left.
    """

    head: bytes
    shape: tuple[int, int]
    raster: tuple[int, int]
    dtype: np.dtype[Any]
    decode: Callable[..., Any] | None
    predictor: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    def place(self, strip: int, column: int) -> tuple[int, int] | None:
        """(offset, bytes) of a block, None where it has none, lies beyond any file or is larger than a block can be."""
        number = strip * -(-self.raster[1] // self.shape[1]) + column
        offset, size = self.offsets[number], self.sizes[number]
        most = 2 * self.shape[0] * self.shape[1] * self.dtype.itemsize + 2**16
        return (offset, size) if 0 < offset < _LARGEST_BYTES and 0 < size <= most else None

    def decoded(self, content: Buffer, strip: int) -> NDArray[Any]:
        """Pixels (y, x) of a block of a row of blocks; they last until this thread decodes the next.

        The last row of blocks may be as short as the raster.

        Raises:
            Undecodable: they are fewer or more than the header says.
        """
        height, width = self.shape
        memory = _memory("block", height * width * self.dtype.itemsize)
        try:
            found = self.decode(content, out=memory) if self.decode else np.frombuffer(content, np.uint8)
        except RuntimeError as error:
            raise Undecodable(str(error)) from None
        rows, rest = divmod(len(found), width * self.dtype.itemsize)
        if rest or rows not in (height, min(height, self.raster[0] - strip * height)):
            raise Undecodable(f"{len(found)} bytes")
        return self._unpredicted(found.view(self.dtype).reshape(rows, width))

    def _unpredicted(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.decode is None or self.predictor == 1:
            return block
        if self.predictor == 2:
            whole = block.view(f"u{self.dtype.itemsize}")
            imagecodecs.delta_decode(whole, axis=-1, out=whole)
            return block
        return self._unplaned(block.view(np.uint8))

    def _unplaned(self, planes: NDArray[np.uint8]) -> NDArray[Any]:
        """Numbers of a block that holds the first bytes of a row's numbers, then the second ones, as differences.

        A fourth of the time of imagecodecs' own decoder for it.
        """
        rows, size = len(planes), self.dtype.itemsize
        imagecodecs.delta_decode(planes, axis=-1, out=planes)
        numbers = _memory("numbers", planes.size).reshape(rows, -1, size)
        for place, plane in enumerate(np.split(planes, size, axis=1)):
            numbers[..., size - 1 - place] = plane
        return numbers.reshape(rows, -1).view(self.dtype)

    def masked(self) -> bool:
        """True unless every directory of the file is among its first bytes, and none is a mask or has an alpha band."""
        with tifffile.TiffFile(io.BytesIO(self.head)) as file:
            pages, size = [page for page in file.pages if isinstance(page, tifffile.TiffPage)], file.tiff.offsetsize
            end = _directory_end(pages[-1], self.head)
            whole = self.head[end - size : end] == bytes(size)
            return not whole or any(page.is_mask or _ALPHA.intersection(page.extrasamples) for page in pages)


def read_blocks(head: bytes, ranges: Ranges) -> Blocks:
    """The blocks of a GeoTIFF, from its first `HEAD_BYTES` and as many more as its directory takes.

    Raises:
        Unusual: it is another format, or laid out as few are.
        Unreadable, Unranged: as `Ranges.get`; the file ends in its block table.
    """
    if head[:4] not in (b"II*\0", b"II+\0"):
        raise Unusual("not a little-endian TIFF")
    wanted = HEAD_BYTES
    while True:
        whole = len(head) < wanted
        try:
            with tifffile.TiffFile(_Known(head), size=_LARGEST_BYTES) as file:
                page = file.pages.first
                missing = [tag.name for tag in page.tags if tag.valueoffset + tag.valuebytecount > len(head)]
                if _directory_end(page, head) > len(head):
                    missing.append("directory")
                if whole and any(name in _TABLES for name in missing):
                    # GDAL would take them for blocks without pixels.
                    raise Unreadable("the file ends in its header")
                if not missing:
                    return _ordinary(page, head)
        except (Unusual, Unreadable):
            raise
        except Exception as error:  # whatever a parser makes of half a directory, or of nonsense
            log.debug("%s", error)
        if whole or wanted >= _LONGEST_HEAD_BYTES:
            raise Unusual("its directory is not among its first bytes")
        wanted *= 4
        head += bytes(ranges.get(len(head), wanted))


def _directory_end(page: tifffile.TiffPage, head: bytes) -> int:
    """The byte after a directory, whose last ones say where the next lies."""
    tiff = page.parent.tiff
    entries = int.from_bytes(head[page.offset : page.offset + tiff.tagnosize], "little")
    return int(page.offset + tiff.tagnosize + entries * tiff.tagsize + tiff.offsetsize)


def _ordinary(page: tifffile.TiffPage, head: bytes) -> Blocks:
    """A directory's blocks.

    Raises:
        Unusual: GDAL had better read them.
    """
    dtype, separate = f"{_KINDS.get(page.sampleformat, 'V')}{page.bitspersample // 8}", page.planarconfig == 2
    if page.compression not in _CODECS or page.fillorder != 1:
        raise Unusual(f"{getattr(page.compression, 'name', page.compression)} blocks")
    if dtype not in _DTYPES or page.bitspersample % 8:
        raise Unusual(f"pixels of {page.bitspersample} bits")
    if page.samplesperpixel > 1 and not separate:
        raise Unusual("bands lie pixel by pixel")
    if page.predictor not in (1, 2, 3) or (page.predictor == 3 and dtype[0] != "f"):
        raise Unusual(f"predictor {page.predictor}")
    raster = page.imagelength, page.imagewidth
    shape = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, raster[0]), raster[1])
    offsets, sizes = (
        _numbers(page, tables) for tables in (("TileOffsets", "StripOffsets"), ("TileByteCounts", "StripByteCounts"))
    )
    if min(len(offsets), len(sizes)) < -(-raster[0] // shape[0]) * -(-raster[1] // shape[1]):
        raise Unusual("a block table with too few entries")
    return Blocks(head, shape, raster, np.dtype(f"<{dtype}"), _CODECS[page.compression], page.predictor, offsets, sizes)


def _numbers(page: tifffile.TiffPage, names: tuple[str, str]) -> tuple[int, ...]:
    """Values of a tag that goes by one of two names."""
    value = next((page.tags[name].value for name in names if name in page.tags), ())
    return (value,) if isinstance(value, int) else tuple(value)


def _memory(name: str, size: int) -> NDArray[np.uint8]:
    """A buffer of this thread's, to be used again: fresh memory costs as much as decoding into it."""
    held: NDArray[np.uint8] | None = getattr(_mine, name, None)
    if held is None or len(held) < size:
        held = np.empty(size, np.uint8)
        setattr(_mine, name, held)
    return held[:size]
