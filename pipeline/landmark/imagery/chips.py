"""Cuts all chips of one acquisition, reading every block of every band once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.base.archive import Acquisition, Item
from landmark.base.outcomes import Outcome
from landmark.base.pixels import S1_NODATA, gamma0_to_stored, pixels_sha256, remove_offset
from landmark.base.profiles import Imagery, Sensor
from landmark.io.access import OPEN, Access
from landmark.io.raster import Header, Raster, Unread, Unreadable, opened

_LATTICE_PX = 1e-3
_DTYPES = {"reflectance_dn": ("uint16",), "gamma0_power": ("float32", "float64")}


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
        sha256: Of the stored arrays.
    """

    id: str
    groups: dict[str, NDArray[Any]]
    valid_pct: float
    cloud_pct: float | None
    shadow_pct: float | None
    snow_pct: float | None
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


def _cut(what: Cut, pending: list[tuple[str, tuple[float, float]]]) -> Iterator[Chip | Outcome]:
    layers = [(band, group.factor) for group in what.sensor.groups for band in group.bands]
    if what.sensor.mask is not None and all(what.sensor.mask.band in item.assets for item in what.acquisition.items):
        layers.append((what.sensor.mask.band, what.sensor.mask.factor))
    with ExitStack() as stack:
        inside: list[tuple[str, tuple[float, float]]] = []
        rasters = {band: [_open(stack, what, item, band) for item in what.acquisition.items] for band, _ in layers}
        headers = {band: _agreed(what, band, factor, rasters[band]) for band, factor in layers}
        for id, corner in pending:
            try:
                for band, factor in layers:
                    _place(what, headers[band], corner, factor)
            except _Refused as refused:
                yield _outcome(what, id, refused.reason, refused.detail)
            else:
                inside.append((id, corner))
        streams = [_stream(what, rasters[band], headers[band], inside, factor) for band, factor in layers]
        for (id, _), *bands in zip(inside, *streams, strict=True):
            unread = next((band for band in bands if isinstance(band, Unread)), None)
            yield _outcome(what, id, "read_error", unread.detail) if unread else _judged(what, id, bands)


def _open(stack: ExitStack, what: Cut, item: Item, band: str) -> Raster:
    href = item.assets[band]
    try:
        return stack.enter_context(opened(href if "://" in href else what.root + href, what.access))
    except Unreadable as error:
        raise type(error)(f"{band} of {item.id}: {error}") from error


def _agreed(what: Cut, band: str, factor: int, rasters: Sequence[Raster]) -> Header:
    """The header the rasters of a band share.

    Raises:
        _Refused: the raster is not what sensor and provider profiles say.
    """
    header = rasters[0].header
    if any(raster.header != header for raster in rasters[1:]):
        raise _Refused("encoding", f"the items of {band} lie on different grids")
    if not header.north_up or header.epsg != what.acquisition.epsg:
        raise _Refused("encoding", f"{band} is not north up in EPSG:{what.acquisition.epsg}")
    if header.pixel != factor * what.resolution_m:
        raise _Refused("resolution", f"{band} has {header.pixel:g} m pixels, not {factor * what.resolution_m:g}")
    wanted = _DTYPES[what.imagery.stored] if band in what.sensor.order else ("uint8",)
    if header.dtype not in wanted:
        raise _Refused("encoding", f"{band} is {header.dtype}, not {wanted[0]}")
    return header


def _place(what: Cut, header: Header, corner: tuple[float, float], factor: int) -> tuple[int, int]:
    """(row, column) of a chip's upper left pixel.

    Raises:
        _Refused: between two pixels, or not wholly inside the raster.
    """
    col, row = (corner[0] - header.origin[0]) / header.pixel, (header.origin[1] - corner[1]) / header.pixel
    if max(abs(col - round(col)), abs(row - round(row))) > _LATTICE_PX:
        raise _Refused(
            "off_lattice", f"off by {abs(col - round(col)):.3f}, {abs(row - round(row)):.3f} px of {header.pixel:g} m"
        )
    size = what.patch_px // factor
    if not (0 <= round(row) <= header.shape[0] - size and 0 <= round(col) <= header.shape[1] - size):
        raise _Refused("outside", f"row {round(row)}, column {round(col)} of {header.shape[0]} x {header.shape[1]}")
    return round(row), round(col)


def _stream(
    what: Cut, rasters: Sequence[Raster], header: Header, inside: list[tuple[str, tuple[float, float]]], factor: int
) -> Iterator[NDArray[Any] | Unread]:
    """One band of every chip; where an item has no data, the next item of the acquisition fills in."""
    places = [_place(what, header, corner, factor) for _, corner in inside]
    for parts in zip(*(raster.chips(places, what.patch_px // factor) for raster in rasters), strict=True):
        whole = parts[0]
        for part in parts[1:]:
            if isinstance(whole, Unread) or isinstance(part, Unread):
                whole = whole if isinstance(whole, Unread) else part
                break
            whole = np.where(whole == what.sensor.nodata, part, whole)
        yield whole


def _judged(what: Cut, id: str, bands: list[Any]) -> Chip | Outcome:
    groups, rest = {}, list(bands)
    for group in what.sensor.groups:
        groups[group.column] = _stored(what, np.stack(rest[: len(group.bands)]))
        del rest[: len(group.bands)]
    valid = _valid(what, groups)
    valid_pct = 100 * int(valid.sum()) / valid.size
    if valid_pct < what.min_valid_pct:
        return _outcome(what, id, "nodata", f"{valid_pct:.1f} % valid")
    shares: dict[str, float | None] = dict.fromkeys(("cloud", "shadow", "snow"))
    if rest and what.sensor.mask is not None:
        codes = what.sensor.mask.classes
        shares = {name: _share_pct(rest[0], codes[name]) for name in shares}
        hidden_pct = _share_pct(rest[0], (*codes["cloud"], *codes["shadow"]))
        if hidden_pct > what.max_chip_pct:
            return _outcome(what, id, "cloud", f"{shares['cloud']:.1f} % cloud, {shares['shadow']:.1f} % shadow")
    return Chip(
        id, groups, valid_pct, shares["cloud"], shares["shadow"], shares["snow"], pixels_sha256(list(groups.values()))
    )


def _stored(what: Cut, group: NDArray[Any]) -> NDArray[Any]:
    if what.imagery.stored == "gamma0_power":
        return gamma0_to_stored(group, group != S1_NODATA)
    return remove_offset(group, what.acquisition.offset_dn)


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
