"""The one raster-read kernel: every block of a raster is read once, every chip in it cut, and the block forgotten."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from landmark.raster.access import OPEN, Access
from landmark.raster.block_index import Chips, Corners, Strip, strips
from landmark.raster.blocks import HEAD_BYTES, Unusual, read_blocks
from landmark.raster.direct import Begun, Direct, Failed, Trip, threads
from landmark.raster.gdal import Gdal, in_memory
from landmark.raster.ranges import Buffer, Nowhere, Ranges, Unranged, ranges_of
from landmark.raster.source import GDAL, Source, Unreadable

log = logging.getLogger(__name__)

# Two strips are on their way, and more of them while they bring less than this and their chips hold less than that.
_AHEAD_BYTES = 2**25
_HELD_BYTES = 2**23


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


class Asked(NamedTuple):
    """A raster whose header is on its way."""

    source: Source
    ranges: Ranges
    head: Future[Buffer]


def ask(href: str, access: Access = OPEN, *, by_gdal: bool = False) -> Asked:
    """Begin to open a raster: ask for several, then open one after the other. `by_gdal` leaves all blocks to GDAL."""
    source = Source(href, access)
    ranges = Nowhere("asked for") if by_gdal else ranges_of(source)
    return Asked(source, ranges, threads().submit(ranges.get, 0, HEAD_BYTES))


@contextmanager
def opened(href: str | Asked, access: Access = OPEN) -> Iterator["Raster"]:
    """A raster open for reading, by its href or once asked for; where its address lapses meanwhile, another is got.

    Raises:
        Unreadable: missing, refused, or not a raster.
    """
    asked = ask(href, access) if isinstance(href, str) else href
    with rasterio.Env(**GDAL), asked.source as source:
        try:
            with closing(Raster(source, _direct(asked))) as raster:
                yield raster
        except RasterioError as error:
            log.warning("%s: %s", source.href, source.clean(error))
            raise Unreadable(type(error).__name__) from None


def _direct(asked: Asked) -> Direct | str:
    """The raster's blocks, or why GDAL is to read them.

    Raises:
        Unreadable: missing or refused.
    """
    try:
        return Direct(asked.ranges, read_blocks(bytes(asked.head.result()), asked.ranges))
    except (Unusual, Unranged) as why:
        return str(why)


class Raster:
    """An open raster.

    Attributes:
        route: How its blocks are read: "direct", by ranges, or "gdal: " and why not.
    """

    def __init__(self, source: Source, direct: Direct | str) -> None:
        self._gdal = Gdal(source)
        self._direct = None if isinstance(direct, str) else direct
        self.route = f"gdal: {direct}" if isinstance(direct, str) else "direct"
        self._held, self._cuttings = ExitStack(), list[_Cutting]()
        # What is said of the pixels; where blocks are read directly, GDAL has no file but its first bytes.
        self._dataset = self._held.enter_context(in_memory(self._direct.head)) if self._direct else self._gdal.dataset
        self._header = _header(self._dataset)

    def close(self) -> None:
        """Give the header back, and ask for nothing more."""
        for cutting in self._cuttings:
            cutting.cancel()
        self._held.close()

    @property
    def trips(self) -> Sequence[Trip]:
        """The requests made so far for blocks; none of GDAL's."""
        return self._direct.trips if self._direct else ()

    def refetch(self) -> list[Future[int]]:
        """Make the same requests again, for what they alone take, and hold nothing: how many bytes came."""
        return [threads().submit(self._direct.refetched, trip) for trip in self.trips] if self._direct else []

    @property
    def header(self) -> Header:
        """Geometry and storage, from the file's own header."""
        return self._header

    def chips(self, corners: Corners, size: int) -> Iterator[NDArray[Any] | Unread]:
        """Squares of `size` pixels with their upper left at (row, column), in the order given.

        The corners are sorted by row. The first blocks are asked for at once, others while chips are taken: strip by
        strip, neighbours of a strip in one request, each once. Held are the chips that touch two strips, or a few more
        where these are small. A block that cannot be read spoils exactly the chips it touches.

        Raises:
            ValueError: a chip does not lie inside the raster.
            Forbidden: while chips are taken, the archive refuses the raster.
        """
        return iter(self._cutting(corners, (size, size)))

    def _cutting(self, corners: Corners, size: tuple[int, int]) -> "_Cutting":
        cut = strips(corners, size, (self._direct or self._gdal).shape, self.header.shape)
        self._cuttings.append(_Cutting(self._direct, self._gdal, cut, np.empty(size, self.header.dtype)))
        return self._cuttings[-1]

    def window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Pixels of a window inside the raster as a masked array (y, x); what the file says is no data is masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        if band > 1 or self._direct is None or self.header.dtype.startswith("float") or self._direct.masked():
            return self._gdal.window(row, col, height, width, band=band)
        (pixels,) = self._cutting([(row, col)], (height, width))
        if isinstance(pixels, Unread):
            raise Unreadable(pixels.detail)
        nodata = self.header.nodata
        return np.ma.array(pixels, mask=np.ma.nomask if nodata is None else pixels == nodata)

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


def _header(data: Any) -> Header:
    transform = data.transform
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


class _Cutting:
    """Chips on their way: of the strip that is taken, and of the next."""

    def __init__(self, direct: Direct | None, gdal: Gdal, cut: Sequence[Strip], like: NDArray[Any]) -> None:
        self._direct, self._gdal, self._like = direct, gdal, like
        self._coming, self._begun = iter(cut), deque[tuple[Strip, Begun]]()
        self._chips: Chips = {}
        self._requests: list[Future[list[Failed]]] = []
        self._go_ahead()

    def __iter__(self) -> Iterator[NDArray[Any] | Unread]:
        spoiled: dict[int, str] = {}
        try:
            while self._begun:
                strip, begun = self._begun.popleft()
                for column, why in self._unread(strip, begun):
                    spoiled |= {number: why for number, _, _ in strip.pieces[column]}
                for number in strip.ended:
                    chip = self._chips.pop(number)
                    yield Unread(spoiled.pop(number)) if number in spoiled else chip
                self._go_ahead()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Ask for nothing more."""
        for request in self._requests:
            request.cancel()

    def _go_ahead(self) -> None:
        while len(self._begun) < 2 or self._more():
            if (strip := next(self._coming, None)) is None:
                return
            self._chips |= {number: np.empty_like(self._like) for number in strip.begun}
            self._begun.append((strip, self._begin(strip)))

    def _more(self) -> bool:
        coming_bytes = sum(begun.bytes for _, begun in self._begun)
        return coming_bytes < _AHEAD_BYTES and len(self._chips) * self._like.nbytes < _HELD_BYTES

    def _begin(self, strip: Strip) -> Begun:
        if self._direct:
            begun = self._direct.begin(strip, self._chips)
            self._requests += begun.requests
            return begun
        return Begun(_AHEAD_BYTES, [], [(column, None) for column in strip.pieces])

    def _unread(self, strip: Strip, begun: Begun) -> Iterator[tuple[int, str]]:
        """Columns of the strip's blocks that cannot be read, and why; GDAL has the last word on what arrived."""
        failed = begun.missing + [one for request in begun.requests for one in request.result()]
        yield from ((column, why) for column, why in failed if why is not None)
        yield from self._gdal.read(strip, sorted(column for column, why in failed if why is None), self._chips)
