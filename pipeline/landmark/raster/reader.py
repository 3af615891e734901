"""Read chips from rasters: every block is read once, copied into all chips that overlap it, and discarded."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from landmark.core.ranges.answers import Buffer, FileVersion, Validators
from landmark.core.ranges.errors import NoRangeSupport, Unreadable
from landmark.core.ranges.range_reader import NoRanges, RangeReader
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.block_index import Corners, find_block_rows
from landmark.raster.blocks import HEADER_BYTES, UnsupportedLayout, read_layout
from landmark.raster.chip_stream import AHEAD_BYTES, ChipStream, FailedChip
from landmark.raster.direct import DirectReader, RangeRead, thread_pool
from landmark.raster.formats import find_reference
from landmark.raster.gdal import GdalReader, open_header
from landmark.raster.grid_problem import find_grid_problem, is_south_up, north_up_transform
from landmark.raster.no_data import Fill, count_data_bands, has_mask, typed_nodata
from landmark.raster.ranges import open_ranges
from landmark.raster.source import GDAL_OPTIONS, MissingBand, RasterSource
from landmark.raster.versions import record_version

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Header:
    """A raster's metadata.

    Attributes:
        epsg: EPSG code, None where the CRS is missing or has none.
        origin: (left, top) in CRS units.
        pixel_size: Edge of a pixel in CRS units.
        shape: (rows, columns).
        nodata: Value of pixels without data, None where undeclared.
        north_up: Whether the pixels are square and neither rotated nor mirrored; rows from south to north are reversed.
        unit: Unit of the values, "" where undeclared.
        n_bands: Number of bands in the file, alpha bands not counted.
    """

    epsg: int | None
    origin: tuple[float, float]
    pixel_size: float
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    north_up: bool
    unit: str = ""
    n_bands: int = 1


def describe_bands(n_bands: int) -> str:
    """Text on a file of several bands that nothing chooses from."""
    return f"{n_bands} bands; list them under `bands` in the provider's profile"


class PendingRaster(NamedTuple):
    """A raster whose header has been requested, and the band to read."""

    source: RasterSource
    ranges: RangeReader
    header: Future[Buffer]
    band: int = 1


def prefetch(
    href: str, access: AccessPolicy = PUBLIC_ACCESS, *, band: int | None = None, by_gdal: bool = False
) -> PendingRaster:
    """Request a raster's header without waiting for it, so that several rasters can be opened at once.

    Args:
        href: Path or URL.
        access: Signing and request budget of its provider.
        band: Number of the band to read, from 1; None for the first.
        by_gdal: Read all blocks with GDAL.
    """
    source = RasterSource(href, access)
    ranges = NoRanges("requested by the caller") if by_gdal else open_ranges(source)
    return PendingRaster(source, ranges, thread_pool().submit(ranges.get, 0, HEADER_BYTES), band or 1)


@contextmanager
def open_raster(
    href: str | PendingRaster, access: AccessPolicy = PUBLIC_ACCESS, *, band: int | None = None
) -> Iterator["Raster"]:
    """Open a raster by its href, or one that was prefetched. Expired URLs are renewed.

    Raises:
        Unreadable: missing, refused, or not a raster.
    """
    pending = prefetch(href, access, band=band) if isinstance(href, str) else href
    with rasterio.Env(**GDAL_OPTIONS), record_version(pending.source.href), pending.source as source:
        direct: DirectReader | str = ""
        try:
            direct = _open_direct(pending)
            with closing(Raster(source, pending.ranges, direct, pending.band)) as raster:
                yield raster
        except (RasterioError, CPLE_BaseError) as error:  # metadata that GDAL reads late raise the latter
            log.warning("%s: %s", source.href, source.redact(error))
            reason = f"{direct}, and " if isinstance(direct, str) and direct else ""
            raise Unreadable(f"{reason}GDAL cannot read it ({type(error).__name__})") from None
        finally:
            for name in (source.href, *map(str, source.side_cars)):
                FileVersion.forget(name)


def _open_direct(pending: PendingRaster) -> DirectReader | str:
    """Return the direct reader of a raster, or the reason to read it with GDAL.

    Raises:
        Unreadable: missing or refused, or a file of references to others.
    """
    try:
        header = bytes(pending.header.result())
        if (problem := find_reference(header, "gdal_translate")) is not None:
            raise Unreadable(problem)
        layout = read_layout(header, pending.ranges, pending.band)
        return DirectReader(pending.ranges, layout)
    except (UnsupportedLayout, NoRangeSupport) as reason:
        return str(reason)


class Raster:
    """An open raster.

    Attributes:
        header: Geometry and storage, from the file's own header.
        route: How its blocks are read: "direct", or "gdal: " and the reason.
    """

    def __init__(self, source: RasterSource, ranges: RangeReader, direct: DirectReader | str, band: int = 1) -> None:
        self._gdal, self._band = GdalReader(source, ranges, band), band
        self._version = FileVersion.of(source.href)
        self._resources, self._streams = ExitStack(), list[ChipStream]()
        # On the direct route, GDAL parses the metadata from the header bytes and does not open the file.
        self._dataset = (
            self._resources.enter_context(open_header(direct.layout.header))
            if isinstance(direct, DirectReader) and not source.side_cars
            else self._gdal.dataset
        )
        self._unverified = direct if isinstance(direct, DirectReader) else None
        if band > self._dataset.count:
            self.verify_header()
            raise MissingBand(f"the file has {self._dataset.count} bands and no band {band}")
        reason = direct if isinstance(direct, str) else self._gdal_reason(direct, source)
        self._direct = direct if isinstance(direct, DirectReader) and reason is None else None
        self.route = "direct" if reason is None else f"gdal: {reason}"
        self.header = _read_header(self._dataset, band)

    def _gdal_reason(self, direct: DirectReader, source: RasterSource) -> str | None:
        """Why blocks have to be read with GDAL although their layout is supported; None if they need not."""
        if is_south_up(self._dataset):
            return "rows from south to north"
        may_have_mask = bool(source.side_cars) or direct.layout.may_have_mask() or has_mask(self._dataset, self._band)
        return "a mask" if may_have_mask and has_mask(self._gdal.dataset, self._band) else None

    def verify_header(self) -> None:
        """Fetch the header once more and compare: it has no checksum, and what it says may be final.

        Raises:
            Unreadable: it differs, or cannot be fetched.
        """
        if self._unverified is not None:
            header = self._unverified.layout.header
            if self._unverified.ranges.get(0, len(header)) != header:
                raise Unreadable("its header arrived damaged")
            self._unverified = None

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
        self, corners: Corners, size: int, *, fill: Fill | None = None, ahead_bytes: int = AHEAD_BYTES
    ) -> Iterator[NDArray[Any] | FailedChip]:
        """Yield square chips in the order of their corners.

        The first blocks are requested at once, later ones as chips are consumed: row by row of blocks, adjacent blocks
        in one request, each block once. In memory are the chips that overlap the next two rows of blocks, or a few
        more rows where these are small.

        Args:
            corners: (row, column) of each chip's upper-left pixel, sorted by row.
            size: Edge of a chip in pixels.
            fill: Replaces pixels without data, also those under a mask or an alpha band; by default none are replaced.
            ahead_bytes: Request more than two rows of blocks ahead while less than this is requested.

        Raises:
            ValueError: a chip extends beyond the raster.
            Forbidden: while iterating, if the server refuses access to the raster.
            ChangedFile: while iterating, if the file was replaced since it was opened.
        """
        return iter(self._stream(corners, (size, size), ahead_bytes, fill))

    def fill(self, value: float, nodata: Iterable[float | None] = ()) -> Fill:
        """Fill for the header's nodata value and others."""
        return Fill.of(value, self.header.dtype, [self.header.nodata, *nodata])

    def _stream(
        self, corners: Corners, size: tuple[int, int], ahead_bytes: int, fill: Fill | None = None
    ) -> "ChipStream":
        block = self._direct.layout.shape if self._direct else self._gdal.block_shape
        rows = find_block_rows(corners, size, block, self.header.shape)
        template = np.empty(size, self.header.dtype)
        self._streams.append(ChipStream(self._direct, self._gdal, rows, template, ahead_bytes, fill))
        return self._streams[-1]

    def read_window(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """Read a window inside the raster as a masked array (y, x); pixels without data are masked.

        Raises:
            Unreadable: a block cannot be read.
        """
        is_float = self.header.dtype.startswith("float")
        if band != self._band or self._direct is None or is_float:
            return self._gdal.read_window(row, col, height, width, band=band)
        (pixels,) = self._stream([(row, col)], (height, width), AHEAD_BYTES)
        if isinstance(pixels, FailedChip):
            raise Unreadable(pixels.detail)
        nodata = typed_nodata(self.header.dtype, [self.header.nodata])
        return np.ma.array(pixels, mask=pixels == nodata[0] if nodata else np.ma.nomask)

    @property
    def version(self) -> Validators | None:
        """What the answers say of the file's version; None of local files, and of those that GDAL requests."""
        return self._version.first

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
        """Affine from (column, row) to CRS coordinates; rows from south to north are reversed."""
        return north_up_transform(self._dataset)

    @property
    def grid_problem(self) -> str | None:
        """What the file has in place of a grid in metres, north up, with square pixels; None if it has one."""
        return find_grid_problem(self._dataset)


def _read_header(dataset: Any, band: int) -> Header:
    transform = north_up_transform(dataset)
    return Header(
        epsg=dataset.crs.to_epsg() if dataset.crs else None,
        origin=(transform.c, transform.f),
        pixel_size=transform.a,
        shape=(dataset.height, dataset.width),
        dtype=dataset.dtypes[band - 1],
        nodata=dataset.nodatavals[band - 1],
        north_up=transform.b == transform.d == 0 and transform.a == -transform.e and transform.a > 0,
        unit=dataset.units[band - 1] or "",
        n_bands=count_data_bands(dataset),
    )
