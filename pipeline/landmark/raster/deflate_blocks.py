"""Check the deflate blocks of TIFFs that GDAL decodes: GDAL ignores their checksums."""

import io
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import imagecodecs
import tifffile
from rasterio.windows import Window

from landmark.core.ranges.errors import Unreadable
from landmark.core.ranges.range_reader import RangeReader

log = logging.getLogger(__name__)

_DEFLATE = (8, 32946)
_SEPARATE_PLANES = 2
# TIFF tag NewSubfileType, and its bit of overviews.
_SUBFILE_TYPE, _OVERVIEW = 254, 1
# Larger blocks are not checked; no writer makes such.
_MAX_BLOCK_BYTES = 2**30
_MAX_CACHED_BYTES = 2**25


@dataclass(frozen=True, slots=True)
class _Page:
    """Deflate blocks of a directory: the pixels, or a mask of them."""

    shape: tuple[int, int]
    raster: tuple[int, int]
    planes: int
    block_bytes: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    def under(self, window: Window, bands: Collection[int]) -> Iterator[tuple[int, int]]:
        """(offset, size) of the stored blocks under a window."""
        rows, cols = (
            range(int(start) // edge, -(-int(start + size) // edge))
            for start, size, edge in zip(
                (window.row_off, window.col_off), (window.height, window.width), self.shape, strict=True
            )
        )
        across, down = -(-self.raster[1] // self.shape[1]), -(-self.raster[0] // self.shape[0])
        for plane in (band - 1 for band in bands if band <= self.planes) if self.planes > 1 else (0,):
            numbers = (plane * across * down + row * across + col for row in rows for col in cols)
            yield from ((self.offsets[number], self.sizes[number]) for number in numbers if self.sizes[number])


class DeflateBlocks:
    """The deflate blocks of a TIFF, and the content of those that were checked last; of other files there are none."""

    def __init__(self, file: BinaryIO | io.RawIOBase, ranges: RangeReader) -> None:
        self._pages, self._ranges = list(_read_pages(file)), ranges
        self._checked = OrderedDict[int, bytes]()

    def check(self, window: Window, bands: Collection[int]) -> None:
        """Check the blocks that GDAL decodes for a window; one that the codec refuses is fetched once more.

        Raises:
            Unreadable: the codec refuses a block again, or it cannot be fetched.
        """
        for page in self._pages:
            for offset, size in page.under(window, bands):
                if offset not in self._checked:
                    self._checked[offset] = self._fetch(offset, size, page.block_bytes)
        while len(self._checked) > 1 and sum(map(len, self._checked.values())) > _MAX_CACHED_BYTES:
            self._checked.popitem(last=False)

    def find(self, start: int, end: int) -> bytes | None:
        """Bytes `start` to `end` of the file where they are of a block that was checked."""
        for offset, content in self._checked.items():
            if offset <= start and end <= offset + len(content):
                return content[start - offset : end - offset]
        return None

    def _fetch(self, offset: int, size: int, block_bytes: int) -> bytes:
        for _ in range(2):
            content = bytes(self._ranges.get(offset, offset + size))
            try:
                imagecodecs.deflate_decode(content, out=bytearray(block_bytes))
            except RuntimeError as error:
                log.warning("block at byte %d: %s", offset, error)
            else:
                return content
        raise Unreadable("a block's bytes do not decode")


def _read_pages(file: BinaryIO | io.RawIOBase) -> Iterator[_Page]:
    try:
        with tifffile.TiffFile(cast(BinaryIO, file)) as tiff:
            for page in cast(Iterable[tifffile.TiffPage], tiff.pages):
                is_overview = page.tags.valueof(_SUBFILE_TYPE, 0) & _OVERVIEW
                if page.compression in _DEFLATE and not is_overview:
                    yield _parse_page(page)
    except Exception as error:  # a parser may raise any exception; GDAL has the last word on directories
        log.debug("%s", error)


def _parse_page(page: Any) -> _Page:
    """Parse a complete directory.

    Raises:
        ValueError: its block table has too few entries.
    """
    separate = page.planarconfig == _SEPARATE_PLANES
    shape = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    shape = min(shape[0], 2**31), shape[1]
    bits = shape[1] * page.bitspersample * (1 if separate else page.samplesperpixel)
    rows = shape[0] if page.is_tiled else min(shape[0], page.imagelength)
    planes = page.samplesperpixel if separate else 1
    blocks = planes * -(-page.imagelength // shape[0]) * -(-page.imagewidth // shape[1])
    if min(len(page.dataoffsets), len(page.databytecounts)) < blocks:
        raise ValueError(f"{len(page.dataoffsets)} of {blocks} blocks")
    return _Page(
        shape=shape,
        raster=(page.imagelength, page.imagewidth),
        planes=planes,
        block_bytes=min(rows * -(-bits // 8), _MAX_BLOCK_BYTES),
        offsets=page.dataoffsets,
        sizes=page.databytecounts,
    )
