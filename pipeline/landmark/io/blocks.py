"""The blocks of an ordinary GeoTIFF: where each lies in the file, and how its bytes become pixels.

GDAL reads the header, from the first bytes of the file; whatever is out of the ordinary is left to it.
"""

import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from landmark.io.ranges import Buffer, Ranges
from landmark.io.source import Unreadable

# Most headers, with the block table, in one request.
HEAD_BYTES = 2**15
_LONGEST_HEAD_BYTES = 2**22
_MAGIC = (b"II*\0", b"II+\0")
_CODECS: dict[str, Callable[..., Any]] = {
    "DEFLATE": imagecodecs.deflate_decode,
    "ZSTD": imagecodecs.zstd_decode,
    "LZW": imagecodecs.lzw_decode,
}
_mine = threading.local()


class Unusual(Exception):
    """The raster is not laid out as most are; the message says how."""


class Undecodable(Exception):
    """A block's bytes are not what the header says."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How the bytes of a block become its pixels.

    Attributes:
        shape: (rows, columns) of a whole block; `raster` those of the raster.
        codec: None where blocks are not compressed.
        predictor: 1, none; 2, horizontal differences; 3, those of floating-point bytes.
    """

    shape: tuple[int, int]
    raster: tuple[int, int]
    dtype: np.dtype[Any]
    codec: str | None
    predictor: int

    @property
    def most_bytes(self) -> int:
        """No coding makes a block much larger than its pixels."""
        return 2 * self.shape[0] * self.shape[1] * self.dtype.itemsize + 2**16

    def decoded(self, content: Buffer, strip: int) -> NDArray[Any]:
        """Pixels (y, x) of a block of a row of blocks; they last until this thread decodes the next.

        The last row of blocks may be as short as the raster.

        Raises:
            Undecodable: they are fewer or more than the header says.
        """
        height, width = self.shape
        memory = _memory("block", height * width * self.dtype.itemsize)
        try:
            found = _CODECS[self.codec](content, out=memory) if self.codec else np.frombuffer(content, np.uint8)
        except RuntimeError as error:
            raise Undecodable(str(error)) from None
        rows, rest = divmod(len(found), width * self.dtype.itemsize)
        if rest or rows not in (height, min(height, self.raster[0] - strip * height)):
            raise Undecodable(f"{len(found)} bytes")
        return self._unpredicted(found.view(self.dtype).reshape(rows, width))

    def _unpredicted(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.codec is None or self.predictor == 1:
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


class Table:
    """Where the blocks of a raster's first band lie; `dataset` tells all else of its header."""

    def __init__(self, head: bytes) -> None:
        self._held = ExitStack()
        memory = self._held.enter_context(MemoryFile(head))
        with warnings.catch_warnings():
            # Whoever asks for the header sees that it places the raster nowhere.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self.dataset = self._held.enter_context(memory.open(driver="GTiff"))

    def close(self) -> None:
        """Give the header back."""
        self._held.close()

    def place(self, strip: int, column: int) -> tuple[int, int] | None:
        """(offset, bytes) of a block, None where the head does not hold its entry or the file not the block."""
        said = [
            self.dataset.get_tag_item(f"BLOCK_{what}_{column}_{strip}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")
        ]
        offset, size = (int(number or 0) for number in said)
        return (offset, size) if offset and size else None

    @property
    def whole(self) -> bool:
        """True where the entry of the last block is there."""
        (height, width), (high, wide) = self.dataset.shape, self.dataset.block_shapes[0]
        return self.place((height - 1) // high, (width - 1) // wide) is not None

    def coding(self) -> Coding:
        """How blocks are coded.

        Raises:
            Unusual: as few are.
        """
        data = self.dataset
        said = data.tags(ns="IMAGE_STRUCTURE")
        dtype, codec, predictor = np.dtype(data.dtypes[0]), said.get("COMPRESSION"), int(said.get("PREDICTOR", 1))
        if data.count > 1 and said.get("INTERLEAVE") != "BAND":
            raise Unusual("bands lie pixel by pixel")
        if codec not in (None, *_CODECS):
            raise Unusual(f"{codec} blocks")
        if "NBITS" in data.tags(1, ns="IMAGE_STRUCTURE") or dtype.kind not in "uif":
            raise Unusual("pixels of odd size")
        if predictor not in (1, 2, 3) or (predictor == 3 and dtype.kind != "f"):
            raise Unusual(f"predictor {predictor}")
        return Coding(tuple(data.block_shapes[0]), data.shape, dtype, codec, predictor)


def read_table(head: bytes, ranges: Ranges) -> Table:
    """The header of a GeoTIFF, from its first `HEAD_BYTES` and as many more as it takes.

    Raises:
        Unusual: it is another format, or the table lies far from the file's start.
        Unreadable, Unranged: as `Ranges.get`.
    """
    if head[:4] not in _MAGIC:
        raise Unusual("not a little-endian TIFF")
    wanted = HEAD_BYTES
    while (table := _table(head)) is None or not table.whole:
        if table is not None:
            table.close()
        if len(head) < wanted and _ends_early(head):
            raise Unreadable("the file ends in its header")
        if len(head) < wanted or wanted >= _LONGEST_HEAD_BYTES:
            raise Unusual("no block table among its first bytes")
        wanted *= 4
        head += bytes(ranges.get(len(head), wanted))
    return table


def _ends_early(content: bytes) -> bool:
    """True where a file ends before its block table does: GDAL takes what is missing for blocks without pixels."""
    table = _table(content + b"\xff" * _LONGEST_HEAD_BYTES)
    if table is None:
        return False
    with closing(table):
        return table.whole


def _table(head: bytes) -> Table | None:
    try:
        return Table(head)
    except RasterioError:
        return None


def _memory(name: str, size: int) -> NDArray[np.uint8]:
    """A buffer of this thread's, to be used again: fresh memory costs as much as decoding into it."""
    held: NDArray[np.uint8] | None = getattr(_mine, name, None)
    if held is None or len(held) < size:
        held = np.empty(size, np.uint8)
        setattr(_mine, name, held)
    return held[:size]
