"""Cuts all chips of one acquisition, reading every block of every band once."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.base.archive import Acquisition, Item
from landmark.base.outcomes import Outcome
from landmark.base.pixels import gamma0_to_stored, pixels_sha256, remove_offset
from landmark.base.profiles import Imagery, Sensor
from landmark.imagery.values import Power, block_mean, darkest, implausible, interpolated, linear_power
from landmark.io.access import OPEN, Access
from landmark.io.raster import Asked, Header, Raster, Unread, ask, opened
from landmark.io.source import Unreadable

log = logging.getLogger(__name__)

_LATTICE_PX = 1e-3
_DTYPES = {
    "reflectance_dn": ("uint16",),
    "gamma0_power": ("float32", "float64"),
    "gamma0_db": ("float32", "float64"),
    "gamma0_dn": ("uint16",),
}
_UNITS = {"db": "gamma0_db", "decibel": "gamma0_db", "decibels": "gamma0_db"}


@dataclass(frozen=True, slots=True)
class Cut:
    """What to cut from one acquisition.

    Attributes:
        ids: Sample ids.
        corners: (left, top) of each chip in metres of the acquisition's CRS.
        root: Prefix of relative hrefs; access: How others are read.
        max_chip_pct: Limit of cloud plus shadow; min_valid_pct: of pixels with data in every band.
    """

    acquisition: Acquisition
    ids: tuple[str, ...]
    corners: tuple[tuple[float, float], ...]
    root: str
    sensor: Sensor
    imagery: Imagery
    patch_px: int
    resolution_m: float
    max_chip_pct: float
    min_valid_pct: float
    access: Access = OPEN


@dataclass(frozen=True, slots=True)
class Chip:
    """The pixels of one sample.

    Attributes:
        groups: Per column the stored array (band, y, x).
        valid_pct: Share of pixels with data in every band; cloud, shadow, snow: of the chip, by its mask; None
            without one.
        dark_dn: Smallest first percentile of the digital numbers of the bands that betray an offset, None without such.
        sha256: Of the stored arrays.
    """

    id: str
    groups: dict[str, NDArray[Any]]
    valid_pct: float
    cloud_pct: float | None
    shadow_pct: float | None
    snow_pct: float | None
    dark_dn: int | None
    sha256: str


class _Refused(Exception):
    """A chip (or all of them) that cannot be: reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def cut(what: Cut) -> Iterator[Chip | Outcome]:
    """Every chip asked for, or the outcome in its place, in the order the blocks are read (north to south)."""
    order = sorted(range(len(what.ids)), key=lambda place: (-what.corners[place][1], what.corners[place][0]))
    pending = [(what.ids[place], what.corners[place]) for place in order]
    told: set[str] = set()
    try:
        for result in _cut(what, pending):
            told.add(result.id)
            yield result
    except (_Refused, Unreadable) as error:
        reason, detail = error.reason, error.detail if isinstance(error, _Refused) else str(error)
        for id, _ in pending:
            if id not in told:
                yield _outcome(what, id, reason, detail)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A band as its files store it.

    Attributes:
        times: Stored pixels along the edge of one of the band's own; 1 but where a provider resampled it.
        shift: (row, column) of the chips' pixels from the raster's, 0 to 1 px; (0, 0) on the lattice.
    """

    band: str
    factor: int
    header: Header
    times: int
    shift: tuple[float, float] = (0.0, 0.0)

    def size(self, patch_px: int) -> int:
        """Edge of what is read for a chip, in stored pixels."""
        return patch_px // self.factor * self.times + (self.shift != (0.0, 0.0))


def _cut(what: Cut, pending: list[tuple[str, tuple[float, float]]]) -> Iterator[Chip | Outcome]:
    bands = [(band, group.factor) for group in what.sensor.groups for band in group.bands]
    if what.sensor.mask is not None and all(what.sensor.mask.band in item.assets for item in what.acquisition.items):
        bands.append((what.sensor.mask.band, what.sensor.mask.factor))
    with ExitStack() as stack:
        rasters = _rasters(stack, what, [band for band, _ in bands])
        layers = [_layer(what, band, factor, rasters[band], pending[0][1]) for band, factor in bands]
        inside: list[tuple[str, tuple[float, float]]] = []
        for id, corner in pending:
            try:
                for layer in layers:
                    _place(what, layer, corner)
            except _Refused as refused:
                yield _outcome(what, id, refused.reason, refused.detail)
            else:
                inside.append((id, corner))
        streams = [_stream(what, rasters[layer.band], layer, inside) for layer in layers]
        for (id, _), *chips in zip(inside, *streams, strict=True):
            unread = next((chip for chip in chips if isinstance(chip, Unread)), None)
            if unread:
                yield _outcome(what, id, "read_error", unread.detail)
                continue
            try:
                yield _judged(what, id, layers, chips)
            except _Refused as refused:
                yield _outcome(what, id, refused.reason, refused.detail)


def _rasters(stack: ExitStack, what: Cut, bands: Sequence[str]) -> dict[str, list[Raster]]:
    """The rasters of each band, one an item; all their headers are asked for before the first is waited for."""
    asked = {
        band: [(item, ask(item.href(band, what.root), what.access)) for item in what.acquisition.items]
        for band in bands
    }
    rasters = {band: [_open(stack, band, item, one) for item, one in several] for band, several in asked.items()}
    routes = Counter(raster.route for several in rasters.values() for raster in several)
    log.info("%s: %s", what.acquisition.id, ", ".join(f"{count} {route}" for route, count in routes.items()))
    return rasters


def _open(stack: ExitStack, band: str, item: Item, asked: Asked) -> Raster:
    try:
        return stack.enter_context(opened(asked))
    except Unreadable as error:
        raise type(error)(f"{band} of {item.id}: {error}") from error


def _layer(what: Cut, band: str, factor: int, rasters: Sequence[Raster], corner: tuple[float, float]) -> _Layer:
    """How the rasters of a band, which share a header, lie under the chips.

    Raises:
        _Refused: the raster is not what sensor and provider profiles say.
    """
    header, edge_m = rasters[0].header, factor * what.resolution_m
    if any(raster.header != header for raster in rasters[1:]):
        raise _Refused("encoding", f"the items of {band} lie on different grids")
    if not header.north_up or header.epsg != what.acquisition.epsg:
        raise _Refused("encoding", f"{band} is not north up in EPSG:{what.acquisition.epsg}")
    times = round(edge_m / header.pixel)
    if times < 1 or abs(times * header.pixel - edge_m) > 1e-6 * edge_m or (times > 1 and what.sensor.warped):
        raise _Refused("resolution", f"{band} has {header.pixel:g} m pixels, not {edge_m:g}")
    wanted = _DTYPES[what.imagery.stored] if band in what.sensor.order else ("uint8",)
    if header.dtype not in wanted:
        raise _Refused("encoding", f"{band} is {header.dtype}, not {wanted[0]}")
    if _UNITS.get(header.unit.lower(), what.imagery.stored) != what.imagery.stored and band in what.sensor.order:
        raise _Refused("encoding", f"{band} says its unit is {header.unit}, the profile says {what.imagery.stored}")
    layer = _Layer(band, factor, header, times)
    return replace(layer, shift=_shift(layer, corner)) if what.sensor.warped else layer


def _shift(layer: _Layer, corner: tuple[float, float]) -> tuple[float, float]:
    """How far the chips' pixels lie from the raster's; all chips of a grid lie equally far."""
    row, col = (0.0 if abs(axis - round(axis)) <= _LATTICE_PX else axis % 1 for axis in _position(layer, corner))
    return row, col


def _position(layer: _Layer, corner: tuple[float, float]) -> tuple[float, float]:
    """(row, column) of a corner in pixels of the raster."""
    left, top = layer.header.origin
    return (top - corner[1]) / layer.header.pixel, (corner[0] - left) / layer.header.pixel


def _place(what: Cut, layer: _Layer, corner: tuple[float, float]) -> tuple[int, int]:
    """(row, column) of a chip's upper left pixel.

    Raises:
        _Refused: between two pixels, or not wholly inside the raster.
    """
    row, col = (axis - moved for axis, moved in zip(_position(layer, corner), layer.shift, strict=True))
    off, (height, width) = (abs(col - round(col)), abs(row - round(row))), layer.header.shape
    if max(off) > _LATTICE_PX:
        raise _Refused("off_lattice", f"off by {off[0]:.3f}, {off[1]:.3f} px of {layer.header.pixel:g} m")
    size = layer.size(what.patch_px)
    if not (0 <= round(row) <= height - size and 0 <= round(col) <= width - size):
        raise _Refused("outside", f"row {round(row)}, column {round(col)} of {height} x {width}")
    return round(row), round(col)


def _stream(
    what: Cut, rasters: Sequence[Raster], layer: _Layer, inside: list[tuple[str, tuple[float, float]]]
) -> Iterator[NDArray[Any] | Unread]:
    """One band of every chip, asked for at once; where an item has no data, the next of the acquisition fills in."""
    places = [_place(what, layer, corner) for _, corner in inside]
    streams = [raster.chips(places, layer.size(what.patch_px)) for raster in rasters]
    return (_together(parts, what.sensor.nodata) for parts in zip(*streams, strict=True))


def _together(parts: Sequence[NDArray[Any] | Unread], nodata: int) -> NDArray[Any] | Unread:
    """One chip of the parts that several items hold of it."""
    whole = parts[0]
    for part in parts[1:]:
        if isinstance(whole, Unread) or isinstance(part, Unread):
            return whole if isinstance(whole, Unread) else part
        whole = np.where(whole == nodata, part, whole)
    return whole


def _judged(what: Cut, id: str, layers: list[_Layer], chips: list[Any]) -> Chip:
    """The chip of all its bands.

    Raises:
        _Refused: it is too empty, too cloudy, or not what the profile says.
    """
    raw = {layer.band: chip for layer, chip in zip(layers, chips, strict=True)}
    of = {layer.band: layer for layer in layers}
    groups = {
        group.column: _stored(what, [(of[band], raw[band]) for band in group.bands]) for group in what.sensor.groups
    }
    valid = _valid(what, groups)
    valid_pct = 100 * int(valid.sum()) / valid.size
    if valid_pct < what.min_valid_pct:
        raise _Refused("nodata", f"{valid_pct:.1f} % valid")
    cloud_pct, shadow_pct, snow_pct = _shares(what, raw)
    return Chip(
        id,
        groups,
        valid_pct,
        cloud_pct,
        shadow_pct,
        snow_pct,
        darkest([raw[band] for band in what.sensor.dark_bands]),
        pixels_sha256(list(groups.values())),
    )


def _shares(what: Cut, raw: dict[str, NDArray[Any]]) -> tuple[float | None, float | None, float | None]:
    """Percent of cloud, shadow and snow, None without a mask."""
    mask = what.sensor.mask
    if mask is None or mask.band not in raw:
        return None, None, None
    codes = mask.classes
    cloud, shadow, snow = (_share_pct(raw[mask.band], codes[name]) for name in ("cloud", "shadow", "snow"))
    if _share_pct(raw[mask.band], (*codes["cloud"], *codes["shadow"])) > what.max_chip_pct:
        raise _Refused("cloud", f"{cloud:.1f} % cloud, {shadow:.1f} % shadow")
    return cloud, shadow, snow


def _stored(what: Cut, bands: list[tuple[_Layer, NDArray[Any]]]) -> NDArray[Any]:
    """A group's bands as a chip holds them, (band, y, x)."""
    if what.imagery.stored == "reflectance_dn":
        nodata = what.sensor.nodata
        native = [block_mean(raw, layer.times, nodata) if layer.times > 1 else raw for layer, raw in bands]
        return remove_offset(np.stack(native), what.acquisition.offset_dn)
    power, known = zip(*(_power(what, layer, raw) for layer, raw in bands), strict=True)
    return gamma0_to_stored(np.stack(power), np.stack(known))


def _power(what: Cut, layer: _Layer, raw: NDArray[Any]) -> Power:
    power, known = linear_power(raw, what.imagery, layer.header.nodata)
    if (why := implausible(raw, what.imagery, known)) is not None:
        raise _Refused("encoding", f"{layer.band}: {why}")
    known &= power > 0
    if known.any() and np.ptp(raw[known]) == 0:
        raise _Refused("constant", f"{layer.band} is {raw[known][0]:g} everywhere")
    return (power, known) if layer.shift == (0.0, 0.0) else interpolated((power, known), *layer.shift)


def _valid(what: Cut, groups: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """(y, x) true where every band has data, on the finest grid."""
    valid = np.ones((what.patch_px, what.patch_px), dtype=bool)
    for group in what.sensor.groups:
        known = (groups[group.column] != what.sensor.nodata).all(axis=0)
        valid &= known.repeat(group.factor, axis=0).repeat(group.factor, axis=1)
    return valid


def _share_pct(mask: NDArray[np.uint8], codes: tuple[int, ...]) -> float:
    return 100 * int(np.isin(mask, codes).sum()) / mask.size


def _outcome(what: Cut, id: str, reason: str, detail: str) -> Outcome:
    return Outcome(id, what.acquisition.id, "imagery", reason, detail)
