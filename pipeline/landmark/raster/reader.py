"""Read chips from rasters: every block is read once, copied into all chips that overlap it, and discarded."""

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

from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.block_index import BlockRow, Chips, Corners, find_block_rows
from landmark.raster.blocks import HEADER_BYTES, UnsupportedLayout, read_layout
from landmark.raster.direct import DirectReader, FailedBlock, PendingRow, RangeRead, thread_pool
from landmark.raster.gdal import GdalReader, open_header
from landmark.raster.ranges import Buffer, NoRanges, NoRangeSupport, RangeReader, open_ranges
from landmark.raster.source import GDAL_OPTIONS, RasterSource, Unreadable

log = logging.getLogger(__name__)

# Two rows of blocks are requested ahead, and more while less than this is requested and their chips take less than
# `_MAX_CHIP_BYTES`.
AHEAD_BYTES = 2**25
_MAX_CHIP_BYTES = 2**23


@dataclass(frozen=True, slots=True)
class Header:
    """A raster's metadata.

    Attributes:
        epsg: EPSG code, None where the CRS is missing or has none.
        origin: (left, top) in CRS units.
        pixel_size: Edge of a pixel in CRS units.
        shape: (rows, columns).
        nodata: Value of pixels without data, None where undeclared.
        north_up: Whether the pixels are square and rows run from north to south.
        unit: Unit of the values, "" where undeclared.
        gcp_count: Number of ground control points.
    """

    epsg: int | None
    origin: tuple[float, float]
    pixel_size: float
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    north_up: bool
    unit: str = ""
    gcp_count: int = 0


@dataclass(frozen=True, slots=True)
class FailedChip:
    """A chip that overlaps at least one unreadable block."""

    detail: str


class PendingRaster(NamedTuple):
    """A raster whose header has been requested."""

    source: RasterSource
    ranges: RangeReader
    header: Future[Buffer]


def prefetch(href: str, access: AccessPolicy = PUBLIC_ACCESS, *, by_gdal: bool = False) -> PendingRaster:
    """Request a raster's header without waiting for it, so that several rasters can be opened at once.

    Args:
        href: Path or URL.
        access: Signing and request budget of its provider.
        by_gdal: Read all blocks with GDAL.
    """
    source = RasterSource(href, access)
    ranges = NoRanges("requested by the caller") if by_gdal else open_ranges(source)
    return PendingRaster(source, ranges, thread_pool().submit(ranges.get, 0, HEADER_BYTES))


@contextmanager
def open_raster(href: str | PendingRaster, access: AccessPolicy = PUBLIC_ACCESS) -> Iterator["Raster"]:
    """Open a raster by its href, or one that was prefetched. Expired URLs are renewed.

    Raises:
        Unreadable: missing, refused, or not a raster.
    """
    pending = prefetch(href, access) if isinstance(href, str) else href
    with rasterio.Env(**GDAL_OPTIONS), pending.source as source:
        try:
            with closing(Raster(source, _open_direct(pending))) as raster:
                yield raster
        except RasterioError as error:
            log.warning("%s: %s", source.href, source.redact(error))
            raise Unreadable(type(error).__name__) from None


def _open_direct(pending: PendingRaster) -> DirectReader | str:
    """Return the direct reader of a raster, or the reason to read it with GDAL.

    Raises:
        Unreadable: missing or refused.
    """
    try:
        return DirectReader(pending.ranges, read_layout(bytes(pending.header.result()), pending.ranges))
    except (UnsupportedLayout, NoRangeSupport) as reason:
        return str(reason)


class Raster:
    """An open raster.

    Attributes:
        header: Geometry and storage, from the file's own header.
        route: How its blocks are read: "direct", or "gdal: " and the reason.
    """

    def __init__(self, source: RasterSource, direct: DirectReader | str) -> None:
        self._gdal = GdalReader(source)
        self._direct = None if isinstance(direct, str) else direct
        self.route = f"gdal: {direct}" if isinstance(direct, str) else "direct"
        self._resources, self._streams = ExitStack(), list[_ChipStream]()
        # On the direct route, GDAL parses the metadata from the header bytes and does not open the file.
        self._dataset = (
            self._resources.enter_context(open_header(self._direct.layout.header))
            if self._direct
            else self._gdal.dataset
        )
        self.header = _read_header(self._dataset)

    def close(self) -> None:
        """Cancel pending requests and release the header."""
        for stream in self._streams:
            stream.cancel()
        self._resources.close()

    @property
    def reads(self) -> Sequence[RangeRead]:
        """The completed requests for blocks; none on the GDAL route."""
        return self._direct.reads if self._direct else ()

    def repeat_reads(self) -> list[Future[int]]:
        """Repeat the completed requests without decoding, to time them alone; each returns its number of bytes."""
        return [thread_pool().submit(self._direct.repeat_read, read) for read in self.reads] if self._direct else []

    def chips(
        self, corners: Corners, size: int, *, ahead_bytes: int = AHEAD_BYTES
    ) -> Iterator[NDArray[Any] | FailedChip]:
        """Yield square chips in the order of their corners.

        The first blocks are requested at once, later ones as chips are consumed: row by row of blocks, adjacent blocks
        in one request, each block once. In memory are the chips that overlap the next two rows of blocks, or a few
        more rows where these are small.

        Args:
            corners: (row, column) of each chip's upper-left pixel, sorted by row.
            size: Edge of a chip in pixels.
            ahead_bytes: Request more than two rows of blocks ahead while less than this is requested.

        Raises:
            ValueError: a chip extends beyond the raster.
            Forbidden: while iterating, if the server refuses access to the raster.
        """
        return iter(self._stream(corners, (size, size), ahead_bytes))

    def _stream(self, corners: Corners, size: tuple[int, int], ahead_bytes: int) -> "_ChipStream":
        block = self._direct.layout.shape if self._direct else self._gdal.block_shape
        rows = find_block_rows(corners, size, block, self.header.shape)
        template = np.empty(size, self.header.dtype)
        self._streams.append(_ChipStream(self._direct, self._gdal, rows, template, ahead_bytes))
        return self._streams[-1]

    def read_window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Read a window inside the raster as a masked array (y, x); pixels without data are masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        is_float = self.header.dtype.startswith("float")
        if band > 1 or self._direct is None or is_float or self._direct.layout.may_have_mask():
            return self._gdal.read_window(row, col, height, width, band=band)
        (pixels,) = self._stream([(row, col)], (height, width), AHEAD_BYTES)
        if isinstance(pixels, FailedChip):
            raise Unreadable(pixels.detail)
        nodata = self.header.nodata
        return np.ma.array(pixels, mask=np.ma.nomask if nodata is None else pixels == nodata)

    @property
    def band_names(self) -> tuple[str | None, ...]:
        """Description of each band."""
        return tuple(self._dataset.descriptions)

    @property
    def band_scales(self) -> tuple[tuple[float, float], ...]:
        """(scale, offset) of each band, by which its pixels become values; (1, 0) where undeclared."""
        return tuple(zip(self._dataset.scales, self._dataset.offsets, strict=True))

    @property
    def crs_wkt(self) -> str | None:
        """The CRS as WKT, None where the file has none."""
        return self._dataset.crs.to_wkt() if self._dataset.crs else None

    @property
    def transform(self) -> Any:
        """Affine from (column, row) to CRS coordinates."""
        return self._dataset.transform


def _read_header(dataset: Any) -> Header:
    transform = dataset.transform
    return Header(
        epsg=dataset.crs.to_epsg() if dataset.crs else None,
        origin=(transform.c, transform.f),
        pixel_size=transform.a,
        shape=(dataset.height, dataset.width),
        dtype=dataset.dtypes[0],
        nodata=dataset.nodata,
        north_up=transform.b == transform.d == 0 and transform.a == -transform.e and transform.a > 0,
        unit=dataset.units[0] or "",
        gcp_count=len(dataset.gcps[0]),
    )


class _ChipStream:
    """Iterator over chips that requests rows of blocks ahead of the one whose chips are yielded."""

    def __init__(
        self,
        direct: DirectReader | None,
        gdal: GdalReader,
        rows: Sequence[BlockRow],
        template: NDArray[Any],
        ahead_bytes: int,
    ) -> None:
        self._direct, self._gdal, self._template, self._ahead_bytes = direct, gdal, template, ahead_bytes
        self._rows, self._pending = iter(rows), deque[tuple[BlockRow, PendingRow]]()
        self._chips: Chips = {}
        self._requests: list[Future[list[FailedBlock]]] = []
        self._request_ahead()

    def __iter__(self) -> Iterator[NDArray[Any] | FailedChip]:
        problems: dict[int, str] = {}
        try:
            while self._pending:
                row, pending = self._pending.popleft()
                for column, problem in self._wait(row, pending):
                    problems |= {copy.chip: problem for copy in row.copies[column]}
                for number in row.ending:
                    chip = self._chips.pop(number)
                    yield FailedChip(problems.pop(number)) if number in problems else chip
                self._request_ahead()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Cancel the requests that have not started."""
        for request in self._requests:
            request.cancel()

    def _request_ahead(self) -> None:
        while len(self._pending) < 2 or self._has_room():
            if (row := next(self._rows, None)) is None:
                return
            self._chips |= {number: np.empty_like(self._template) for number in row.starting}
            self._pending.append((row, self._request(row)))

    def _has_room(self) -> bool:
        requested_bytes = sum(pending.byte_count for _, pending in self._pending)
        return requested_bytes < self._ahead_bytes and len(self._chips) * self._template.nbytes < _MAX_CHIP_BYTES

    def _request(self, row: BlockRow) -> PendingRow:
        if self._direct:
            pending = self._direct.request(row, self._chips)
            self._requests += pending.requests
            return pending
        return PendingRow(self._ahead_bytes, [], [(column, None) for column in row.copies])

    def _wait(self, row: BlockRow, pending: PendingRow) -> Iterator[tuple[int, str]]:
        """Wait for a row of blocks; yield (column, problem) of blocks that GDAL cannot read either."""
        failed = pending.missing + [block for request in pending.requests for block in request.result()]
        yield from ((column, problem) for column, problem in failed if problem is not None)
        columns = sorted(column for column, problem in failed if problem is None)
        yield from self._gdal.read_blocks(row, columns, self._chips)
