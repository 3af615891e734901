"""Cuts all chips of one acquisition, reading every block of every band once for the chips of a zone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.domain.acquisition import Item
from landmark.domain.drops import DropRecord
from landmark.extract.finalize import judged
from landmark.extract.placement import Grid, Layer, Places, in_other_zone, in_own_zone
from landmark.extract.request import Chip, Cut, Refused
from landmark.extract.resample import Nodes
from landmark.raster.reader import Asked, Raster, Unread, ask, opened
from landmark.raster.source import Unreadable

_DTYPES = {
    "reflectance_dn": ("uint16",),
    "gamma0_power": ("float32", "float64"),
    "gamma0_db": ("float32", "float64"),
    "gamma0_dn": ("uint16",),
}
_UNITS = {"db": "gamma0_db", "decibel": "gamma0_db", "decibels": "gamma0_db"}


def cut(what: Cut, routes: Counter[str] | None = None) -> Iterator[Chip | DropRecord]:
    """Every chip asked for, or the outcome in its place, in the order the blocks are read.

    From north to south; those of the acquisition's own zone first. `routes` counts the rasters by how they are read.
    """
    told: set[str] = set()
    try:
        for result in _cut(what, Counter() if routes is None else routes):
            told.add(result.id)
            yield result
    except (Refused, Unreadable) as error:
        reason, detail = error.reason, error.detail if isinstance(error, Refused) else str(error)
        for id in what.ids:
            if id not in told:
                yield _outcome(what, id, reason, detail)


def _cut(what: Cut, routes: Counter[str]) -> Iterator[Chip | DropRecord]:
    bands = [(band, group.factor) for group in what.sensor.groups for band in group.bands]
    if what.sensor.mask is not None and all(what.sensor.mask.band in item.assets for item in what.acquisition.items):
        bands.append((what.sensor.mask.band, what.sensor.mask.factor))
    with ExitStack() as stack:
        rasters = _rasters(stack, what, [band for band, _ in bands])
        routes.update(raster.route for several in rasters.values() for raster in several)
        layers = [_layer(what, band, factor, rasters[band]) for band, factor in bands]
        own, zones = what.acquisition.epsg, np.array(what.epsgs or (what.acquisition.epsg,) * len(what.ids))
        for epsg in sorted(set(zones.tolist()), key=lambda zone: (zone != own, zone)):
            yield from _zone(what, rasters, layers, np.flatnonzero(zones == epsg), epsg)


def _rasters(stack: ExitStack, what: Cut, bands: Sequence[str]) -> dict[str, list[Raster]]:
    """The rasters of each band, one an item; all their headers are asked for before the first is waited for."""
    asked = {
        band: [(item, ask(item.href(band, what.root), what.access)) for item in what.acquisition.items]
        for band in bands
    }
    return {band: [_open(stack, band, item, one) for item, one in several] for band, several in asked.items()}


def _open(stack: ExitStack, band: str, item: Item, asked: Asked) -> Raster:
    try:
        return stack.enter_context(opened(asked))
    except Unreadable as error:
        raise type(error)(f"{band} of {item.id}: {error}") from error


def _layer(what: Cut, band: str, factor: int, rasters: Sequence[Raster]) -> Layer:
    """How the rasters of a band, which share a header, store it.

    Raises:
        Refused: the raster is not what sensor and provider profiles say.
    """
    header, edge_m = rasters[0].header, factor * what.resolution_m
    if any(raster.header != header for raster in rasters[1:]):
        raise Refused("encoding", f"the items of {band} lie on different grids")
    if not header.north_up or header.epsg != what.acquisition.epsg:
        raise Refused("encoding", f"{band} is not north up in EPSG:{what.acquisition.epsg}")
    times = round(edge_m / header.pixel)
    if times < 1 or abs(times * header.pixel - edge_m) > 1e-6 * edge_m or (times > 1 and what.sensor.warped):
        raise Refused("resolution", f"{band} has {header.pixel:g} m pixels, not {edge_m:g}")
    wanted = _DTYPES[what.imagery.stored] if band in what.sensor.order else ("uint8",)
    if header.dtype not in wanted:
        raise Refused("encoding", f"{band} is {header.dtype}, not {wanted[0]}")
    if _UNITS.get(header.unit.lower(), what.imagery.stored) != what.imagery.stored and band in what.sensor.order:
        raise Refused("encoding", f"{band} says its unit is {header.unit}, the profile says {what.imagery.stored}")
    grid = Grid(header.origin, header.pixel, header.shape, what.patch_px // factor * times)
    return Layer(band, header, grid, times)


def _zone(
    what: Cut, rasters: dict[str, list[Raster]], layers: list[Layer], rows: NDArray[np.int64], epsg: int
) -> Iterator[Chip | DropRecord]:
    """The chips of one zone, by their rows in what is asked for."""
    ids, places = _placed(what, layers, rows, epsg)
    inside = []
    for chip, id in enumerate(ids):
        why = next((one.refused[chip] for one in places.values() if chip in one.refused), None)
        if why is None:
            inside.append(chip)
        else:
            yield _outcome(what, id, *why)
    streams = [_stream(what, rasters[layer.band], places[layer.grid], inside) for layer in layers]
    for chip, *windows in zip(inside, *streams, strict=True):
        unread = next((window for window in windows if isinstance(window, Unread)), None)
        if unread:
            yield _outcome(what, ids[chip], "read_error", unread.detail)
            continue
        try:
            yield judged(what, ids[chip], layers, windows, {grid: one.onto(chip) for grid, one in places.items()})
        except Refused as refused:
            yield _outcome(what, ids[chip], refused.reason, refused.detail)


def _placed(what: Cut, layers: list[Layer], rows: NDArray[np.int64], epsg: int) -> tuple[list[str], dict[Grid, Places]]:
    """Ids of a zone's chips in the order they are read, from north to south, and their places on each grid."""
    corners, own = np.array(what.corners)[rows], what.acquisition.epsg
    if epsg == own:
        order = np.lexsort((corners[:, 0], -corners[:, 1]))
        place = partial(in_own_zone, corners=corners[order], warped=what.sensor.warped)
    else:
        order, nodes = Nodes.of(corners, what.patch_px * what.resolution_m, epsg, own).from_north()
        place = partial(in_other_zone, nodes=nodes)
    grids = dict.fromkeys(layer.grid for layer in layers)
    return [what.ids[row] for row in rows[order].tolist()], {grid: place(grid) for grid in grids}


def _stream(what: Cut, rasters: Sequence[Raster], places: Places, inside: list[int]) -> Iterator[NDArray[Any] | Unread]:
    """One band of every chip, asked for at once; where an item has no data, the next of the acquisition fills in."""
    windows = [places.windows[chip] for chip in inside]
    streams = [raster.chips(windows, places.size) for raster in rasters]
    return (_together(parts, what.sensor.nodata) for parts in zip(*streams, strict=True))


def _together(parts: Sequence[NDArray[Any] | Unread], nodata: int) -> NDArray[Any] | Unread:
    """One chip of the parts that several items hold of it."""
    whole = parts[0]
    for part in parts[1:]:
        if isinstance(whole, Unread) or isinstance(part, Unread):
            return whole if isinstance(whole, Unread) else part
        whole = np.where(whole == nodata, part, whole)
    return whole


def _outcome(what: Cut, id: str, reason: str, detail: str) -> DropRecord:
    return DropRecord(id, what.acquisition.id, "imagery", reason, detail)
