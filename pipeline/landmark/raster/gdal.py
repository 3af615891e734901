"""Blocks of a raster as GDAL reads them: whatever is out of the ordinary."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from landmark.raster.block_index import Chips, Strip, scatter
from landmark.raster.source import Source, Unreadable

log = logging.getLogger(__name__)

# A token is not doubted for so long: what fails with it meanwhile fails for another reason.
_FRESH_S = 60


@contextmanager
def in_memory(head: bytes) -> Iterator[Any]:
    """A dataset of a file's first bytes: its header, and no pixels."""
    with MemoryFile(head) as memory:
        with warnings.catch_warnings():
            # Whoever asks for the header sees that it places the raster nowhere.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = memory.open(driver="GTiff")
        with dataset:
            yield dataset


class Gdal:
    """A raster, opened when it is first asked for, and anew where its address lapses meanwhile."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dataset: Any = None
        self._fresh_until_s = 0.0

    @property
    def dataset(self) -> Any:
        """As rasterio has it.

        Raises:
            Unreadable, RasterioError: it cannot be opened.
        """
        if self._dataset is None:
            self._dataset = self._source.dataset()
        return self._dataset

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a block."""
        return tuple(self.dataset.block_shapes[0])

    def read(self, strip: Strip, columns: Sequence[int], chips: Chips) -> Iterator[tuple[int, str]]:
        """Cut some blocks of a strip, neighbouring ones in one call; back come those that cannot be read, and why."""
        for run in _neighbours(columns):
            try:
                self._cut(strip, run, chips)
            except RasterioError:
                for column in run:
                    yield from self._alone(strip, column, chips)

    def _alone(self, strip: Strip, column: int, chips: Chips) -> Iterator[tuple[int, str]]:
        try:
            self._cut(strip, [column], chips)
        except RasterioError as error:
            high, wide = self.shape
            log.warning("%s: %s", self._source.href, self._source.clean(error))
            yield column, f"block at row {strip.number * high}, column {column * wide} unreadable"

    def _cut(self, strip: Strip, run: Sequence[int], chips: Chips) -> None:
        (high, wide), (height, width) = self.shape, self.dataset.shape
        left, top = run[0] * wide, strip.number * high
        window = Window(left, top, min((run[-1] + 1) * wide, width) - left, min(high, height - top))
        pixels = self._again(lambda data: data.read(1, window=window))
        for column in run:
            start = column * wide - left
            scatter(pixels[:, start : start + wide], strip.pieces[column], chips)

    def window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Pixels of a window inside the raster as a masked array (y, x); what the file says is no data is masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        try:
            part = Window(col, row, width, height)
            return self._again(lambda data: data.read(band, window=part, masked=True))
        except RasterioError as error:
            raise Unreadable(self._source.clean(error)) from None

    def _again(self, read: Callable[[Any], Any]) -> Any:
        """What `read` makes of the dataset; GDAL does not say why it failed, so a signed one is tried with a new token.

        Raises:
            RasterioError: unreadable.
            Forbidden: the archive takes no token any more, or none can be had.
        """
        try:
            with self._source.gate:
                return read(self.dataset)
        except RasterioError:
            if not self._source.signed or time.monotonic() < self._fresh_until_s:
                raise
        self._dataset.close()
        self._dataset, self._fresh_until_s = self._source.again(), time.monotonic() + _FRESH_S
        with self._source.gate:
            return read(self._dataset)


def _neighbours(columns: Sequence[int]) -> list[list[int]]:
    """Columns, sorted, in runs without a gap."""
    breaks = np.flatnonzero(np.diff(columns) != 1) + 1
    return [part.tolist() for part in np.split(np.asarray(columns, int), breaks) if len(part)]
