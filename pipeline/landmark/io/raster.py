"""The one raster-read kernel: every block of a raster is read once, every chip in it cut, and the block forgotten."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from landmark.io.access import OPEN, Access
from landmark.io.source import GDAL, Source, Unreadable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Header:
    """What a raster says of itself.

    `origin` is (left, top) in CRS units; `pixel` is the square pixel's edge; `unit` is that of the values, "" where
    unsaid; `ground_points` counts ground control points.
    """

    epsg: int | None
    origin: tuple[float, float]
    pixel: float
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    north_up: bool
    unit: str = ""
    ground_points: int = 0


@dataclass(frozen=True, slots=True)
class Unread:
    """A chip of which at least one block could not be read."""

    detail: str


@contextmanager
def opened(href: str, access: Access = OPEN) -> Iterator["Raster"]:
    """A raster open for reading; where its address lapses meanwhile, it is opened anew.

    Raises:
        Unreadable: missing, refused, or not a raster.
    """
    with rasterio.Env(**GDAL), Source(href, access) as source:
        try:
            yield Raster(source.open(), source)
        except RasterioError as error:
            log.warning("%s: %s", href, source.clean(error))
            raise Unreadable(type(error).__name__) from None


class Raster:
    """An open raster."""

    def __init__(self, dataset: Any, source: Source | None = None) -> None:
        self._dataset, self._source = dataset, source or Source(dataset.name, OPEN)

    @property
    def header(self) -> Header:
        """Geometry and storage, from the file's own header."""
        data, transform = self._dataset, self._dataset.transform
        return Header(
            epsg=data.crs.to_epsg() if data.crs else None,
            origin=(transform.c, transform.f),
            pixel=transform.a,
            shape=(data.height, data.width),
            dtype=data.dtypes[0],
            nodata=data.nodata,
            north_up=transform.b == transform.d == 0 and transform.a == -transform.e and transform.a > 0,
            unit=data.units[0] or "",
            ground_points=len(data.gcps[0]),
        )

    def chips(self, corners: Sequence[tuple[int, int]], size: int) -> Iterator[NDArray[Any] | Unread]:
        """Squares of `size` pixels with their upper left at (row, column), in the order given.

        The corners lie inside the raster and are sorted by row. Blocks are read strip by strip, neighbouring ones in
        one call, each once; no more than the chips that touch one strip are held. A block that cannot be read spoils
        exactly the chips it touches.
        """
        pending: dict[int, NDArray[Any]] = {}
        spoiled: dict[int, str] = {}
        first, done = 0, 0
        block_h, _ = self._dataset.block_shapes[0]
        for strip in _strips(corners, size, block_h):
            while first < len(corners) and corners[first][0] < (strip + 1) * block_h:
                pending[first] = np.empty((size, size), self._dataset.dtypes[0])
                first += 1
            self._fill(strip, {number: corners[number] for number in pending}, size, pending, spoiled)
            while done in pending and corners[done][0] + size <= (strip + 1) * block_h:
                chip = pending.pop(done)
                yield Unread(spoiled.pop(done)) if done in spoiled else chip
                done += 1

    def _fill(
        self,
        strip: int,
        corners: dict[int, tuple[int, int]],
        size: int,
        chips: dict[int, NDArray[Any]],
        spoiled: dict[int, str],
    ) -> None:
        for window in self._runs(strip, corners, size):
            for part, pixels in self._read(window):
                for number, corner in corners.items():
                    if (cut := _overlap(part, corner, size)) is None:
                        continue
                    if isinstance(pixels, str):
                        spoiled[number] = pixels
                    else:
                        target, source = cut
                        chips[number][target] = pixels[source]

    def _runs(self, strip: int, corners: dict[int, tuple[int, int]], size: int) -> Iterator[Window]:
        """Windows of neighbouring blocks of one strip that the chips touch."""
        block_h, block_w = self._dataset.block_shapes[0]
        columns = sorted(
            {block for _, col in corners.values() for block in range(col // block_w, (col + size - 1) // block_w + 1)}
        )
        top, height = strip * block_h, min(block_h, self._dataset.height - strip * block_h)
        start = 0
        for end in range(1, len(columns) + 1):
            if end == len(columns) or columns[end] != columns[end - 1] + 1:
                left, right = columns[start] * block_w, min((columns[end - 1] + 1) * block_w, self._dataset.width)
                yield Window(left, top, right - left, height)
                start = end

    def _read(self, window: Window) -> Iterator[tuple[Window, NDArray[Any] | str]]:
        """The window's pixels; block by block where the whole cannot be read, with a reason in place of a bad block."""
        try:
            yield window, self._read_again(lambda data: data.read(1, window=window))
        except RasterioError:
            block_w = self._dataset.block_shapes[0][1]
            for left in range(window.col_off, window.col_off + window.width, block_w):
                part = Window(left, window.row_off, min(block_w, window.col_off + window.width - left), window.height)
                try:
                    yield part, self._dataset.read(1, window=part)
                except RasterioError as error:
                    log.warning("%s: %s: %s", self._source.href, part, self._source.clean(error))
                    yield part, f"block at row {part.row_off}, column {part.col_off} unreadable"

    def _read_again(self, read: Callable[[Any], Any]) -> Any:
        """What `read` makes of the dataset; GDAL does not say why it failed, so a signed one is tried with a new token.

        Raises:
            RasterioError: unreadable.
            Forbidden: the archive takes no token any more, or none can be had.
        """
        try:
            return read(self._dataset)
        except RasterioError:
            if not self._source.signed:
                raise
        self._dataset = self._source.again()
        return read(self._dataset)

    def window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Pixels of a window inside the raster as a masked array (y, x); what the file says is no data is masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        try:
            part = Window(col, row, width, height)
            return self._read_again(lambda data: data.read(band, window=part, masked=True))
        except RasterioError as error:
            raise Unreadable(self._source.clean(error)) from None

    @property
    def bands(self) -> tuple[str | None, ...]:
        """What each band is called."""
        return tuple(self._dataset.descriptions)

    @property
    def crs_wkt(self) -> str | None:
        """The CRS as WKT, None where the file has none."""
        return self._dataset.crs.to_wkt() if self._dataset.crs else None

    @property
    def transform(self) -> Any:
        """Affine from (column, row) to CRS coordinates."""
        return self._dataset.transform


def _strips(corners: Sequence[tuple[int, int]], size: int, block_h: int) -> list[int]:
    return sorted({strip for row, _ in corners for strip in range(row // block_h, (row + size - 1) // block_h + 1)})


def _overlap(
    part: Window, corner: tuple[int, int], size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where a chip and a window meet: the slices into the chip and into the window."""
    top, left = max(part.row_off, corner[0]), max(part.col_off, corner[1])
    bottom, right = min(part.row_off + part.height, corner[0] + size), min(part.col_off + part.width, corner[1] + size)
    if top >= bottom or left >= right:
        return None
    target = slice(top - corner[0], bottom - corner[0]), slice(left - corner[1], right - corner[1])
    return target, (slice(top - part.row_off, bottom - part.row_off), slice(left - part.col_off, right - part.col_off))
