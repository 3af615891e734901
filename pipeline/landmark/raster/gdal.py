"""Read blocks with GDAL: every raster whose layout or server the direct reader does not support."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from landmark.raster.block_index import BlockRow, Chips, copy_block
from landmark.raster.grid_problem import is_south_up
from landmark.raster.no_data import Fill, has_mask, is_invalid
from landmark.raster.range_file import ChunkedFile
from landmark.raster.ranges import RangeReader
from landmark.raster.source import Forbidden, RasterSource, Unreadable

log = logging.getLogger(__name__)

# For so long after a renewal, a read that fails is not blamed on the token.
_FRESH_S = 60


@contextmanager
def open_header(header: bytes) -> Iterator[Any]:
    """Open a dataset from a GeoTIFF's first bytes: its metadata without pixels."""
    with MemoryFile(header) as memory:
        with warnings.catch_warnings():
            # A missing georeference shows in the header.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = memory.open(driver="GTiff")
        with dataset:
            yield dataset


class GdalReader:
    """Reader of a raster with GDAL, always from north to south.

    Opens the dataset at the first read, and again where its URL expires. The bytes of a remote file come from the range
    reader, unless that cannot read it.
    """

    def __init__(self, source: RasterSource, ranges: RangeReader, band: int = 1) -> None:
        self._source, self._band = source, band
        self._file = None if ranges.size is None else ChunkedFile(ranges, ranges.size)
        self._dataset: Any = None
        self._fresh_until_s = 0.0

    @property
    def dataset(self) -> Any:
        """The rasterio dataset.

        Raises:
            Unreadable, RasterioError: it cannot be opened.
        """
        if self._dataset is None:
            if self._file is None:
                self._dataset = self._source.open()
            else:
                with self._file.checking():
                    self._dataset = self._source.open_file(self._file.opener)
        return self._dataset

    @property
    def block_shape(self) -> tuple[int, int]:
        """(rows, columns) of a block."""
        return tuple(self.dataset.block_shapes[0])

    def read_blocks(
        self, row: BlockRow, columns: Sequence[int], chips: Chips, fill: Fill | None = None
    ) -> Iterator[tuple[int, str]]:
        """Read blocks of a row into chips, adjacent ones in one call; yield (column, problem) of unreadable blocks.

        With `fill`, pixels that a mask or an alpha band marks as without data are replaced.
        """
        breaks = np.flatnonzero(np.diff(columns) != 1) + 1
        for run in np.split(np.asarray(columns, int), breaks):
            try:
                self._read_run(row, run.tolist(), chips, fill)
            except Forbidden:
                raise
            except (RasterioError, Unreadable):
                for column in run.tolist():
                    yield from self._read_single(row, column, chips, fill)

    def _read_single(self, row: BlockRow, column: int, chips: Chips, fill: Fill | None) -> Iterator[tuple[int, str]]:
        try:
            self._read_run(row, [column], chips, fill)
        except Forbidden:
            raise
        except (RasterioError, Unreadable) as error:
            height, width = self.block_shape
            log.warning("%s: %s", self._source.href, self._source.redact(error))
            yield column, f"block at row {row.number * height}, column {column * width} unreadable"

    def _read_run(self, row: BlockRow, run: Sequence[int], chips: Chips, fill: Fill | None) -> None:
        if not run:
            return
        (block_height, block_width), (height, width) = self.block_shape, self.dataset.shape
        left, top = run[0] * block_width, row.number * block_height
        window = Window(left, top, min((run[-1] + 1) * block_width, width) - left, min(block_height, height - top))
        pixels = self._read(lambda dataset: _read_filled(dataset, self._band, window, fill))
        for column in run:
            start = column * block_width - left
            copy_block(pixels[:, start : start + block_width], row.copies[column], chips)

    def read_window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Read a window inside the raster as a masked array (y, x); pixels without data are masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        try:
            window = Window(col, row, width, height)
            return self._read(lambda dataset: _read_masked(dataset, band, window))
        except RasterioError as error:
            raise Unreadable(self._source.redact(error)) from None

    def _read(self, read: Callable[[Any], Any]) -> Any:
        """Call `read` with the dataset; a signed raster is tried again with a new token, as GDAL gives no cause.

        Raises:
            RasterioError: unreadable.
            Forbidden: the server refuses the new token too, or none is available.
        """
        if self._file is not None:
            return self._read_file(self._file, read)
        try:
            with self._source.rate_limiter:
                return read(self.dataset)
        except RasterioError:
            if not self._source.signed or time.monotonic() < self._fresh_until_s:
                raise
        self._dataset.close()
        self._dataset, self._fresh_until_s = self._source.reopen(), time.monotonic() + _FRESH_S
        with self._source.rate_limiter:
            return read(self._dataset)

    def _read_file(self, file: ChunkedFile, read: Callable[[Any], Any]) -> Any:
        """Call `read` with the dataset; after an error it is closed, as GDAL may have cached wrong blocks.

        Raises:
            RasterioError, Unreadable: as `_read`.
        """
        try:
            dataset = self.dataset
            with file.checking():
                return read(dataset)
        except (RasterioError, Unreadable):
            if self._dataset is not None:
                self._dataset.close()
                self._dataset = None
            raise


def _read_filled(dataset: Any, band: int, window: Window, fill: Fill | None) -> NDArray[Any]:
    """Read a window of the rows from north to south; pixels without data by a mask are filled."""
    stored = _stored_window(dataset, window)
    pixels = dataset.read(band, window=stored)
    if fill is not None and has_mask(dataset, band):
        pixels[is_invalid(dataset, band, stored)] = fill.value
    return np.asarray(pixels[::-1] if is_south_up(dataset) else pixels)


def _read_masked(dataset: Any, band: int, window: Window) -> Any:
    """Read a window of the rows from north to south as a masked array."""
    stored = _stored_window(dataset, window)
    pixels = dataset.read(band, window=stored, masked=True)
    if has_mask(dataset, band):
        pixels[is_invalid(dataset, band, stored)] = np.ma.masked
    return pixels[::-1] if is_south_up(dataset) else pixels


def _stored_window(dataset: Any, window: Window) -> Window:
    """Where the file stores a window of the rows from north to south."""
    if not is_south_up(dataset):
        return window
    top = dataset.height - window.row_off - window.height
    return Window(window.col_off, top, window.width, window.height)
