"""How fast this machine reads a provider's images: by ranges, by GDAL, and what they wait for."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InputError, NoCoverage
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord
from landmark.raster.direct import Trip
from landmark.raster.rate_limit import cores
from landmark.raster.reader import Raster, Unread, ask, opened
from landmark.raster.source import Unreadable
from landmark.stac.header_probe import Look, look
from landmark.stac.search import search
from landmark.workflow.context import Setting

# Neighbouring cells in rows of so many.
_ACROSS = 32

Corners = NDArray[np.int64]  # (cell, 2): left and top in metres


@dataclass(frozen=True, slots=True)
class Speed:
    """How some cells of an image were read.

    Attributes:
        cells: `neighbouring` or `scattered`; patches: how many, all bands each.
        seconds: From the first header to the last patch; gdal_seconds: the same by rasterio, block row by block row.
        routes: How the rasters were read → how many.
        requests, fetched_bytes: For blocks; headers are not counted.
        fetch_seconds: The same ranges once more, and nothing done with them.
        decode_seconds: All cores decoding and copying, nobody waiting.
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


def speeds(setting: Setting, patches: int) -> Iterator[Speed]:
    """Neighbouring and scattered cells of one image of each sensor of a recipe.

    Raises:
        EmptySearch, NoCoverage: there is no image, or none that holds a cell.
        InputError: an image cannot be read.
    """
    found = search(setting.document, setting.recipe, provider=setting.provider, crosswalks=())
    for sensor in setting.sensors:
        ours = [one for one in found.acquisitions if one.sensor == sensor]
        one = _looked(setting, max(ours, key=lambda one: (one.footprint.area, one.id)))
        cells = _cells(one, setting.recipe.cell_m)
        for name, some in (("neighbouring", _middle(cells, patches)), ("scattered", _scattered(cells, patches))):
            try:
                yield _measured(setting, one, name, some)
            except Unreadable as error:
                raise InputError(f"{one.id} cannot be read: {error}") from error


def _looked(setting: Setting, one: Acquisition) -> Acquisition:
    """The image on the grid of its own file."""
    band = setting.sensors[one.sensor].groups[0].bands[0]
    found = look(Look(one, band, setting.document.root, setting.access))
    if isinstance(found, DropRecord):
        raise InputError(f"{one.id} cannot be read: {found.detail}")
    return found


def _cells(one: Acquisition, cell_m: float) -> Corners:
    """Left and top of every whole cell inside an image, (row, column, 2), from the north."""
    (left, top), (width, height) = one.origin, one.size_px
    right, bottom = left + width * one.pixel_m, top - height * one.pixel_m
    lefts = np.arange(np.ceil(left / cell_m) * cell_m, right - cell_m + 1, cell_m)
    tops = np.arange(np.floor(top / cell_m) * cell_m, bottom + cell_m - 1, -cell_m)
    if not len(lefts) or not len(tops):
        raise NoCoverage(f"{one.id} holds no whole cell of {cell_m:g} m")
    return np.stack(np.meshgrid(lefts, tops), axis=-1).astype(np.int64)


def _middle(cells: Corners, patches: int) -> Corners:
    rows, columns = cells.shape[:2]
    across = min(columns, _ACROSS, patches)
    down = min(rows, -(-patches // across))
    top, left = (rows - down) // 2, (columns - across) // 2
    return cells[top : top + down, left : left + across].reshape(-1, 2)[:patches]


def _scattered(cells: Corners, patches: int) -> Corners:
    everywhere = cells.reshape(-1, 2)
    order = np.random.default_rng(0).permutation(len(everywhere))[:patches]
    return everywhere[np.sort(order)]


def _measured(setting: Setting, one: Acquisition, cells: str, corners: Corners) -> Speed:
    direct, gdal = (_read(setting, one, corners, by_gdal=by_gdal) for by_gdal in (False, True))
    return Speed(
        sensor=one.sensor,
        acquisition=one.id,
        cells=cells,
        patches=len(corners),
        seconds=direct.seconds,
        gdal_seconds=gdal.seconds,
        routes=direct.routes,
        requests=len(direct.trips),
        fetched_bytes=direct.fetched_bytes,
        fetch_seconds=direct.fetch_seconds,
        decode_seconds=sum(trip.cut_s for trip in direct.trips) / cores(),
        unread=direct.unread,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    seconds: float
    fetch_seconds: float
    fetched_bytes: int
    routes: dict[str, int]
    trips: list[Trip]
    unread: int


def _read(setting: Setting, one: Acquisition, corners: Corners, *, by_gdal: bool) -> _Read:
    """All bands of some cells, in step."""
    bands = setting.sensors[one.sensor].order
    start_s = time.perf_counter()
    with ExitStack() as stack:
        asked = [ask(one.items[0].href(band, setting.document.root), setting.access, by_gdal=by_gdal) for band in bands]
        rasters = [stack.enter_context(opened(each)) for each in asked]
        streams = [raster.chips(*_places(raster, corners, setting.recipe.cell_m)) for raster in rasters]
        unread = sum(any(isinstance(chip, Unread) for chip in chips) for chips in zip(*streams, strict=True))
        seconds = time.perf_counter() - start_s
        start_s = time.perf_counter()
        again = [request for raster in rasters for request in raster.refetch()]
        fetched_bytes = sum(request.result() for request in again)
        fetch_seconds = time.perf_counter() - start_s
        routes = Counter(raster.route for raster in rasters)
        trips = [trip for raster in rasters for trip in raster.trips]
    return _Read(seconds, fetch_seconds, fetched_bytes, dict(routes), trips, unread)


def _places(raster: Raster, corners: Corners, cell_m: float) -> tuple[Sequence[tuple[int, int]], int]:
    """(row, column) of each cell in a raster, and the cells' size in its pixels."""
    (left, top), pixel_m = raster.header.origin, raster.header.pixel
    rows, cols = (top - corners[:, 1]) // pixel_m, (corners[:, 0] - left) // pixel_m
    return list(zip(rows.astype(int).tolist(), cols.astype(int).tolist(), strict=True)), int(cell_m // pixel_m)
