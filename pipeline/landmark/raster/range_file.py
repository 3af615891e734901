"""A remote file as GDAL reads it: its bytes come from a `RangeReader`, and are held to what that one checks."""

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import RasterioError

from landmark.core.ranges.range_reader import RangeReader
from landmark.raster.deflate_blocks import DeflateBlocks

_CHUNK_BYTES = 2**16
# Requested at once where a file is read on from the end of the last request.
_MAX_CHUNKS_AHEAD = 16
_MAX_CACHED_CHUNKS = 128


class ChunkedFile:
    """The bytes of a remote file, in chunks of which the latest are cached; thread-safe.

    Attributes:
        size: Bytes of the file.
        blocks: Blocks that were checked: GDAL reads those bytes and no others.
    """

    def __init__(self, ranges: RangeReader, size: int) -> None:
        self.size, self._ranges = size, ranges
        self.blocks: DeflateBlocks | None = None
        self._chunks = OrderedDict[int, bytes]()
        self._ahead, self._next = 1, -1
        self._error: Exception | None = None
        self._failed = False
        self._lock = threading.Lock()

    def read(self, start: int, end: int) -> bytes:
        """Return bytes `start` to `end`, fewer where the file ends; none where unreadable, and keep the error."""
        end = min(end, self.size)
        if start >= end:
            return b""
        if self.blocks is not None and (content := self.blocks.find(start, end)) is not None:
            return content
        first, last = start // _CHUNK_BYTES, (end - 1) // _CHUNK_BYTES
        try:
            content = b"".join(self._chunk(number, last) for number in range(first, last + 1))
        except Exception as error:  # rasterio cannot pass any exception on through GDAL
            self._error = error
            return b""
        return content[start - first * _CHUNK_BYTES : end - first * _CHUNK_BYTES]

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Raise the error of a request in place of GDAL's, and also where GDAL reports none.

        Raises:
            Unreadable: a request failed.
        """
        self._error = None
        try:
            yield
        except RasterioError:
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error from None

    def opener(self, path: str, mode: str = "rb", **_: object) -> io.RawIOBase:
        """Open the file, as an `opener` of rasterio does whatever the path."""
        return _RangeFile(self)

    def _chunk(self, number: int, last: int) -> bytes:
        with self._lock:
            if number in self._chunks:
                self._chunks.move_to_end(number)
                return self._chunks[number]
            self._ahead = min(2 * self._ahead, _MAX_CHUNKS_AHEAD) if number == self._next else 1
            count = max(self._ahead, min(last - number + 1, _MAX_CHUNKS_AHEAD))
            self._next = number + count
        start = number * _CHUNK_BYTES
        # After a failure in spite of retries, none are made until a request succeeds.
        retry, self._failed = not self._failed, True
        content = bytes(self._ranges.get(start, min(start + count * _CHUNK_BYTES, self.size), retry=retry))
        self._failed = False
        with self._lock:
            for offset in range(0, len(content), _CHUNK_BYTES):
                self._chunks[number + offset // _CHUNK_BYTES] = content[offset : offset + _CHUNK_BYTES]
            while len(self._chunks) > _MAX_CACHED_CHUNKS:
                self._chunks.popitem(last=False)
        return content[:_CHUNK_BYTES]


class _RangeFile(io.RawIOBase):
    """A position in a `ChunkedFile`."""

    def __init__(self, chunks: ChunkedFile) -> None:
        self._chunks, self._position = chunks, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._chunks.size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        end = self._chunks.size if size < 0 else self._position + size
        content = self._chunks.read(self._position, end)
        self._position += len(content)
        return content
