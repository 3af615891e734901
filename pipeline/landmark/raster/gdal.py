"""Read blocks with GDAL: every raster whose layout or server the direct reader does not support."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from landmark.core.ranges.errors import ChangedFile, Forbidden, Unreadable
from landmark.core.ranges.range_reader import LocalFile, RangeReader
from landmark.raster.block_index import BlockRow, Chips, copy_block
from landmark.raster.deflate_blocks import DeflateBlocks
from landmark.raster.grid_problem import is_south_up
from landmark.raster.no_data import Fill, alpha_bands, has_mask, is_invalid
from landmark.raster.range_file import ChunkedFile
from landmark.raster.source import RasterSource
from landmark.raster.truncation import is_damaged

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
    reader, unless that cannot read it. GDAL ignores the checksums of deflate blocks, so they are checked before.
    """

    def __init__(self, source: RasterSource, ranges: RangeReader, band: int = 1) -> None:
        self._source, self._band = source, band
        self._ranges = ranges
        self._file: ChunkedFile | None = None
        self._blocks = list[DeflateBlocks]()
        self._dataset: Any = None
        self._fresh_until_s = 0.0

    @property
    def dataset(self) -> Any:
        """The rasterio dataset.

        Raises:
            Unreadable, RasterioError: it cannot be opened.
        """
        if self._dataset is None:
            self._open()
        return self._dataset

    def _open(self) -> None:
        size = self._ranges.find_size()
        if size is None:
            self._dataset = self._source.open()
            return
        file = ChunkedFile(self._ranges, size)
        with file.checking():
            dataset = self._source.open_file(file.opener) if self._ranges.remote else self._source.open()
            if dataset.driver in ("GTiff", "COG"):
                file.blocks = DeflateBlocks(file.opener(""), self._ranges)
            elif is_damaged(dataset, cast(BinaryIO, file.opener("")), size):
                raise Unreadable("the file is damaged or incomplete")
        self._blocks = [] if file.blocks is None else [file.blocks, *self._mask_blocks()]
        self._file = file if self._ranges.remote else None
        self._dataset = dataset

    def _mask_blocks(self) -> Iterator[DeflateBlocks]:
        """The blocks of mask files beside a local raster."""
        for path in self._source.side_cars:
            if path.suffix.lower() == ".msk":
                with path.open("rb") as file:
                    yield DeflateBlocks(file, LocalFile(str(path)))

    @property
    def block_shape(self) -> tuple[int, int]:
        """(rows, columns) of a block."""
        return tuple(self.dataset.block_shapes[0])

    def read_blocks(
        self, row: BlockRow, columns: Sequence[int], chips: Chips, fill: Fill | None = None
    ) -> Iterator[tuple[int, Unreadable]]:
        """Read blocks of a row into chips, adjacent ones in one call; yield (column, error) of unreadable blocks.

        With `fill`, pixels that a mask or an alpha band marks as without data are replaced.
        """
        breaks = np.flatnonzero(np.diff(columns) != 1) + 1
        for run in np.split(np.asarray(columns, int), breaks):
            try:
                self._read_run(row, run.tolist(), chips, fill)
            except (Forbidden, ChangedFile):
                raise
            except (RasterioError, Unreadable):
                for column in run.tolist():
                    yield from self._read_single(row, column, chips, fill)

    def _read_single(
        self, row: BlockRow, column: int, chips: Chips, fill: Fill | None
    ) -> Iterator[tuple[int, Unreadable]]:
        try:
            self._read_run(row, [column], chips, fill)
        except (Forbidden, ChangedFile):
            raise
        except (RasterioError, Unreadable) as error:
            height, width = self.block_shape
            log.warning("%s: %s", self._source.href, self._source.redact(error))
            yield column, Unreadable(f"block at row {row.number * height}, column {column * width} unreadable")

    def _read_run(self, row: BlockRow, run: Sequence[int], chips: Chips, fill: Fill | None) -> None:
        if not run:
            return
        (block_height, block_width), (height, width) = self.block_shape, self.dataset.shape
        left, top = run[0] * block_width, row.number * block_height
        window = Window(left, top, min((run[-1] + 1) * block_width, width) - left, min(block_height, height - top))
        pixels = self._read(window, self._band, lambda dataset: _read_filled(dataset, self._band, window, fill))
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
            return self._read(window, band, lambda dataset: _read_masked(dataset, band, window))
        except RasterioError as error:
            raise Unreadable(self._source.redact(error)) from None

    def _read(self, window: Window, band: int, read: Callable[[Any], Any]) -> Any:
        """Call `read` with the dataset; a signed raster is tried again with a new token, as GDAL gives no cause.

        Raises:
            RasterioError, Unreadable: unreadable.
            Forbidden: the server refuses the new token too, or none is available.
            ChangedFile: the file was replaced since it was opened.
        """
        dataset = self.dataset
        for blocks in self._blocks:
            blocks.check(_stored_window(dataset, window), (band, *alpha_bands(dataset)))
        if self._file is not None:
            return self._read_file(self._file, read)
        pixels = self._read_by_itself(read)
        if not self._ranges.remote:
            self._ranges.get(0, 1)  # is it the same file?
        return pixels

    def _read_by_itself(self, read: Callable[[Any], Any]) -> Any:
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
