"""Measure how fast this machine reads a provider's images, by ranges and by GDAL."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InputError, NoCoverage
from landmark.core.process_share import available_cores
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.raster.chip_stream import FailedChip
from landmark.raster.direct import RangeRead
from landmark.raster.reader import Raster, open_raster, prefetch
from landmark.stac.header_probe import HeaderProbe, probe_header
from landmark.stac.search import search
from landmark.workflow.context import BuildContext

# Neighbouring cells are taken in rows of this many.
_ROW_CELLS = 32

Corners = NDArray[np.int64]  # (cell, 2): left and top in metres


@dataclass(frozen=True, slots=True)
class ReadSpeed:
    """Read rate of some cells of an image, all bands each.

    Attributes:
        cells: `neighbouring` or `scattered`.
        patches: Number of cells.
        seconds: From the first header to the last patch.
        gdal_seconds: The same by rasterio, block row by block row.
        routes: Number of rasters by the way they were read.
        requests: Range requests for blocks, without headers.
        fetched_bytes: Bytes of these requests.
        fetch_seconds: The same requests again, without decoding.
        decode_seconds: Decoding and copying on all cores, without waiting.
        unread: Patches with a block that could not be read.
    """

    sensor: str
    acquisition: str
    cells: str
    patches: int
    seconds: float
    gdal_seconds: float
    routes: dict[str, int]
    requests: int
    fetched_bytes: int
    fetch_seconds: float
    decode_seconds: float
    unread: int


def measure_speeds(context: BuildContext, patches: int) -> Iterator[ReadSpeed]:
    """Measure neighbouring and scattered cells of one image of each sensor of a recipe.

    Raises:
        EmptySearch, NoCoverage: there is no image, or none that holds a cell.
        InputError: an image cannot be read.
    """
    result = search(context.catalog, context.recipe, provider=context.provider, crosswalks=())
    for sensor in context.sensors:
        acquisitions = [acquisition for acquisition in result.acquisitions if acquisition.sensor == sensor]
        largest = max(acquisitions, key=lambda acquisition: (acquisition.footprint.area, acquisition.id))
        acquisition = _probe(context, largest)
        cells = _cell_corners(acquisition, context.recipe.cell_m)
        for name, corners in (
            ("neighbouring", _central_cells(cells, patches)),
            ("scattered", _scattered_cells(cells, patches)),
        ):
            try:
                yield _measure(context, acquisition, name, corners)
            except Unreadable as error:
                raise InputError(f"cannot be read: {error}", file=acquisition.id) from error


def _probe(context: BuildContext, acquisition: Acquisition) -> Acquisition:
    """Return the acquisition with the grid of its file."""
    band = context.sensors[acquisition.sensor].groups[0].bands[0]
    result = probe_header(HeaderProbe(acquisition, band, context.catalog.root, context.access))
    if isinstance(result, DropRecord):
        raise InputError(f"cannot be read: {result.detail}", file=acquisition.id)
    return result


def _cell_corners(acquisition: Acquisition, cell_m: float) -> Corners:
    """Left and top of every cell fully inside an image, (row, column, 2), from the north."""
    (left, top), (width, height) = acquisition.origin, acquisition.size_px
    right, bottom = left + width * acquisition.pixel_m, top - height * acquisition.pixel_m
    lefts = np.arange(np.ceil(left / cell_m) * cell_m, right - cell_m + 1, cell_m)
    tops = np.arange(np.floor(top / cell_m) * cell_m, bottom + cell_m - 1, -cell_m)
    if not len(lefts) or not len(tops):
        raise NoCoverage(f"holds no complete cell of {cell_m:g} m", file=acquisition.id)
    return np.stack(np.meshgrid(lefts, tops), axis=-1).astype(np.int64)


def _central_cells(cells: Corners, patches: int) -> Corners:
    rows, columns = cells.shape[:2]
    width = min(columns, _ROW_CELLS, patches)
    height = min(rows, -(-patches // width))
    top, left = (rows - height) // 2, (columns - width) // 2
    return cells[top : top + height, left : left + width].reshape(-1, 2)[:patches]


def _scattered_cells(cells: Corners, patches: int) -> Corners:
    flat = cells.reshape(-1, 2)
    order = np.random.default_rng(0).permutation(len(flat))[:patches]
    return flat[np.sort(order)]


def _measure(context: BuildContext, acquisition: Acquisition, cells: str, corners: Corners) -> ReadSpeed:
    direct, gdal = (_read(context, acquisition, corners, by_gdal=by_gdal) for by_gdal in (False, True))
    return ReadSpeed(
        sensor=acquisition.sensor,
        acquisition=acquisition.id,
        cells=cells,
        patches=len(corners),
        seconds=direct.seconds,
        gdal_seconds=gdal.seconds,
        routes=direct.routes,
        requests=len(direct.reads),
        fetched_bytes=direct.fetched_bytes,
        fetch_seconds=direct.fetch_seconds,
        decode_seconds=sum(read.decode_s for read in direct.reads) / available_cores(),
        unread=direct.unread,
    )


@dataclass(frozen=True, slots=True)
class _Measurement:
    seconds: float
    fetch_seconds: float
    fetched_bytes: int
    routes: dict[str, int]
    reads: list[RangeRead]
    unread: int


def _read(context: BuildContext, acquisition: Acquisition, corners: Corners, *, by_gdal: bool) -> _Measurement:
    """Read all bands of some cells in parallel streams, then repeat the requests without decoding."""
    bands, root = context.sensors[acquisition.sensor].order, context.catalog.root
    start_s = time.perf_counter()
    with ExitStack() as stack:
        pending = [
            prefetch(
                acquisition.items[0].href(band, root),
                context.access,
                band=acquisition.items[0].bands.get(band),
                by_gdal=by_gdal,
            )
            for band in bands
        ]
        rasters = [stack.enter_context(open_raster(raster)) for raster in pending]
        streams = [raster.chips(*_pixel_offsets(raster, corners, context.recipe.cell_m)) for raster in rasters]
        unread = sum(any(isinstance(chip, FailedChip) for chip in chips) for chips in zip(*streams, strict=True))
        seconds = time.perf_counter() - start_s
        start_s = time.perf_counter()
        repeated = [request for raster in rasters for request in raster.repeat_reads()]
        fetched_bytes = sum(request.result() for request in repeated)
        fetch_seconds = time.perf_counter() - start_s
        routes = Counter(raster.route for raster in rasters)
        reads = [read for raster in rasters for read in raster.reads]
    return _Measurement(seconds, fetch_seconds, fetched_bytes, dict(routes), reads, unread)


def _pixel_offsets(raster: Raster, corners: Corners, cell_m: float) -> tuple[Sequence[tuple[int, int]], int]:
    """(row, column) of each cell in a raster, and the cells' size in its pixels."""
    (left, top), pixel_m = raster.header.origin, raster.header.pixel_size
    rows, cols = (top - corners[:, 1]) // pixel_m, (corners[:, 0] - left) // pixel_m
    return list(zip(rows.astype(int).tolist(), cols.astype(int).tolist(), strict=True)), int(cell_m // pixel_m)
