"""Extract all chips of one acquisition. Every block of a band is read once for all chips of a UTM zone."""

import math
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.core.background import batches, map_ahead
from landmark.core.ranges.answers import Validators
from landmark.core.ranges.errors import Unreadable
from landmark.domain.acquisition import Item
from landmark.domain.drops import DropRecord
from landmark.extract.finalize import finalize_chips
from landmark.extract.placement import Placement, RasterGrid, StoredBand, place_in_other_zone, place_in_own_zone
from landmark.extract.request import Chip, ChipRejected, ExtractRequest
from landmark.extract.resample import ControlPoints
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import PendingRaster, Raster, describe_bands, open_raster, prefetch

_DTYPES = {
    "reflectance_dn": ("uint16",),
    "gamma0_power": ("float32", "float64"),
    "gamma0_db": ("float32", "float64"),
    "gamma0_dn": ("uint16",),
}
_UNITS = {"db": "gamma0_db", "decibel": "gamma0_db", "decibels": "gamma0_db"}

# Bytes read of chips that are finished together, by a thread, while the next ones are assembled.
_BATCH_BYTES = 3 * 2**19


def extract_chips(
    request: ExtractRequest, routes: Counter[str] | None = None
) -> Generator[Chip | DropRecord, None, None]:
    """Yield a chip or a drop record for every requested id, in reading order.

    Chips in the acquisition's own UTM zone come first; within a zone they are ordered from north to south. `routes` is
    updated with the number of rasters per read route.
    """
    done: set[str] = set()
    try:
        for result in _extract(request, Counter() if routes is None else routes):
            done.add(result.id)
            yield result
    except (ChipRejected, Unreadable) as error:
        detail = error.detail if isinstance(error, ChipRejected) else str(error)
        for id in request.ids:
            if id not in done:
                yield _drop_record(request, id, error.reason, detail)


def _extract(request: ExtractRequest, routes: Counter[str]) -> Iterator[Chip | DropRecord]:
    sensor, own = request.sensor, request.acquisition.epsg
    factors = {band: group.factor for group in sensor.groups for band in group.bands}
    if sensor.mask is not None and all(sensor.mask.band in item.assets for item in request.acquisition.items):
        factors[sensor.mask.band] = sensor.mask.factor
    with ExitStack() as stack:
        rasters = _open_rasters(stack, request, list(factors))
        routes.update(raster.route for item_rasters in rasters.values() for raster in item_rasters)
        with _verified_headers(rasters):
            bands = [_stored_band(request, band, factor, rasters[band]) for band, factor in factors.items()]
        zones = np.array(request.epsgs or (own,) * len(request.ids))
        for epsg in sorted(set(zones.tolist()), key=lambda zone: (zone != own, zone)):
            ids, placements = _place(request, bands, np.flatnonzero(zones == epsg), epsg)
            yield from _extract_placed(request, rasters, bands, ids, placements)


def _open_rasters(stack: ExitStack, request: ExtractRequest, bands: Sequence[str]) -> dict[str, list[Raster]]:
    """Open the rasters of each band, one per item; all headers are requested before the first is awaited."""
    pending = {
        band: [
            (item, prefetch(item.href(band, request.root), request.access, band=item.bands.get(band)))
            for item in request.acquisition.items
        ]
        for band in bands
    }
    rasters = {band: [_open(stack, band, *pair) for pair in pairs] for band, pairs in pending.items()}
    for band, pairs in pending.items():
        for raster, (item, _) in zip(rasters[band], pairs, strict=True):
            _check_version(raster, band, item, request.expected.get(item.assets[band], ()))
    return rasters


def _open(stack: ExitStack, band: str, item: Item, pending: PendingRaster) -> Raster:
    try:
        return stack.enter_context(open_raster(pending))
    except Unreadable as error:
        raise type(error)(f"{band} of {item.id}: {error}") from error


def _check_version(raster: Raster, band: str, item: Item, expected: Sequence[Validators]) -> None:
    """Compare a raster with the versions that it may have.

    Raises:
        ChipRejected: it has another.
    """
    version = raster.version
    if expected and version is not None and not any(version.matches(each) for each in expected):
        raise ChipRejected("changed", f"{band} of {item.id} was {expected[-1]}; is {version}")


@contextmanager
def _verified_headers(rasters: Mapping[str, Sequence[Raster]]) -> Iterator[None]:
    """Believe a rejection by the headers only if they arrive equal twice.

    Raises:
        Unreadable: a header differs.
    """
    try:
        yield
    except ChipRejected:
        _verify_headers(rasters)
        raise


def _verify_headers(rasters: Mapping[str, Sequence[Raster]]) -> None:
    for raster in chain.from_iterable(rasters.values()):
        raster.verify_header()


def _stored_band(request: ExtractRequest, band: str, factor: int, rasters: Sequence[Raster]) -> StoredBand:
    """Describe how a band is stored in the rasters of all items.

    Raises:
        ChipRejected: the rasters contradict each other, the sensor's profile or the provider's.
    """
    header, native_m, epsg = rasters[0].header, factor * request.resolution_m, request.acquisition.epsg
    for raster, item in zip(rasters, request.acquisition.items, strict=True):
        if problem := raster.grid_problem:
            raise ChipRejected("encoding", f"{band} has {problem}")
        if raster.header.n_bands > 1 and band not in item.bands:
            raise ChipRejected("encoding", f"{band} has {describe_bands(raster.header.n_bands)}")
    if any(raster.header != header for raster in rasters[1:]):
        raise ChipRejected("encoding", f"the items of {band} have different grids")
    if header.epsg != epsg:
        raise ChipRejected("encoding", f"{band} is in EPSG:{header.epsg}, not in EPSG:{epsg}")
    oversampling = round(native_m / header.pixel_size)
    fits = oversampling >= 1 and abs(oversampling * header.pixel_size - native_m) <= 1e-6 * native_m
    if not fits or (oversampling > 1 and request.sensor.warped):
        raise ChipRejected("resolution", f"{band} has {header.pixel_size:g} m pixels, not {native_m:g}")
    stored, is_mask = request.collection.stored, band not in request.sensor.order
    mask_dtypes = ("uint8", "uint16") if header.n_bands > 1 else ("uint8",)  # a file of several bands has one type
    dtypes = mask_dtypes if is_mask else _DTYPES[stored]
    if header.dtype not in dtypes:
        raise ChipRejected("encoding", f"{band} is {header.dtype}, not {dtypes[0]}")
    if not is_mask and _UNITS.get(header.unit.lower(), stored) != stored:
        raise ChipRejected("encoding", f"{band} has the unit {header.unit}, but the provider's profile {stored}")
    grid = RasterGrid(header.origin, header.pixel_size, header.shape, request.patch_px // factor * oversampling)
    return StoredBand(band, header, grid, oversampling)


def _place(
    request: ExtractRequest, bands: Sequence[StoredBand], rows: NDArray[np.int64], epsg: int
) -> tuple[list[str], dict[RasterGrid, Placement]]:
    """Ids of one zone's chips (`rows` of the request) in reading order, and their placements by grid."""
    corners, own = np.array(request.corners)[rows], request.acquisition.epsg
    if epsg == own:
        order = np.lexsort((corners[:, 0], -corners[:, 1]))
        place = partial(place_in_own_zone, corners=corners[order], warped=request.sensor.warped)
    else:
        points = ControlPoints.project(corners, request.patch_px * request.resolution_m, epsg, own)
        order, points = points.sorted_from_north()
        place = partial(place_in_other_zone, points=points)
    grids = dict.fromkeys(band.grid for band in bands)
    return [request.ids[row] for row in rows[order].tolist()], {grid: place(grid) for grid in grids}


def _extract_placed(
    request: ExtractRequest,
    rasters: Mapping[str, Sequence[Raster]],
    bands: Sequence[StoredBand],
    ids: Sequence[str],
    placements: Mapping[RasterGrid, Placement],
) -> Iterator[Chip | DropRecord]:
    inside = []
    for chip, id in enumerate(ids):
        rejected = next((each.rejected[chip] for each in placements.values() if chip in each.rejected), None)
        if rejected is None:
            inside.append(chip)
        else:
            _verify_headers(rasters)
            yield _drop_record(request, id, *rejected)
    streams = [
        _read_windows(request, rasters[band.name], placements[band.grid], inside, _fill_value(request, band.name))
        for band in bands
    ]
    read = zip(inside, zip(*streams, strict=True), strict=True)
    finalize = partial(_finalize, request, bands, ids, placements)
    chip_bytes = sum(placements[band.grid].window_px ** 2 * np.dtype(band.header.dtype).itemsize for band in bands)
    yield from chain.from_iterable(map_ahead(finalize, batches(read, max(1, _BATCH_BYTES // chip_bytes))))


def _finalize(
    request: ExtractRequest,
    bands: Sequence[StoredBand],
    ids: Sequence[str],
    placements: Mapping[RasterGrid, Placement],
    batch: Sequence[tuple[int, Sequence[NDArray[Any] | FailedChip]]],
) -> list[Chip | DropRecord]:
    """Finish some chips, given the number of each and its windows."""
    results, read = dict[int, Chip | ChipRejected](), dict[int, Sequence[Any]]()
    for number, windows in batch:
        failed = next((window for window in windows if isinstance(window, FailedChip)), None)
        if failed is None:
            read[number] = windows
        else:
            results[number] = ChipRejected("read_error", failed.detail)
    resamplers = [{grid: placement.resampler(number) for grid, placement in placements.items()} for number in read]
    finished = finalize_chips(request, [ids[number] for number in read], bands, list(read.values()), resamplers)
    results |= zip(read, finished, strict=True)
    return [_or_drop_record(request, ids[number], results[number]) for number, _ in batch]


def _or_drop_record(request: ExtractRequest, id: str, result: Chip | ChipRejected) -> Chip | DropRecord:
    return result if isinstance(result, Chip) else _drop_record(request, id, result.reason, result.detail)


def _read_windows(
    request: ExtractRequest, rasters: Sequence[Raster], placement: Placement, chips: Sequence[int], fill: float
) -> Iterator[NDArray[Any] | FailedChip]:
    """One band's window of every chip; nodata of an item is filled from the acquisition's next item."""
    windows = [placement.windows[chip] for chip in chips]
    nodata = [request.collection.nodata]
    streams = [raster.chips(windows, placement.window_px, fill=raster.fill(fill, nodata)) for raster in rasters]
    return (_mosaic(parts, fill) for parts in zip(*streams, strict=True))


def _fill_value(request: ExtractRequest, band: str) -> float:
    """What pixels without data become: the mask's code of no data, NaN of radar as numbers with a fraction, else 0."""
    mask = request.sensor.mask
    if mask is not None and band == mask.band:
        return mask.fill
    return math.nan if request.collection.stored in ("gamma0_power", "gamma0_db") else 0


def _mosaic(parts: Sequence[NDArray[Any] | FailedChip], nodata: float) -> NDArray[Any] | FailedChip:
    """Combine the items' windows of one chip; the first item with data takes precedence."""
    mosaic = parts[0]
    for part in parts[1:]:
        if isinstance(mosaic, FailedChip) or isinstance(part, FailedChip):
            return mosaic if isinstance(mosaic, FailedChip) else part
        mosaic = np.where(mosaic == nodata, part, mosaic)
    return mosaic


def _drop_record(request: ExtractRequest, id: str, reason: str, detail: str) -> DropRecord:
    return DropRecord(id, request.acquisition.id, "extract", reason, detail)
