"""From the pixels read for a chip to the chip, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import gamma0_to_stored, pixels_sha256, remove_offset
from landmark.extract.placement import Grid, Layer
from landmark.extract.request import Chip, Cut, Refused
from landmark.extract.resample import Shift, Warp, interpolated
from landmark.extract.values import Power, block_mean, darkest, implausible, linear_power

Onto = Mapping[Grid, Shift | Warp | None]


def judged(what: Cut, id: str, layers: Sequence[Layer], windows: Sequence[NDArray[Any]], onto: Onto) -> Chip:
    """The chip of all its bands.

    Raises:
        Refused: it is too empty, too cloudy, or not what the profile says.
    """
    read = {layer.band: (layer, window) for layer, window in zip(layers, windows, strict=True)}
    groups = {group.column: _stored(what, [read[band] for band in group.bands], onto) for group in what.sensor.groups}
    valid_pct = _valid_pct(what, groups)
    if valid_pct < what.min_valid_pct:
        raise Refused("nodata", f"{valid_pct:.1f} % valid")
    cloud, shadow, snow = _shares(what, read, onto)
    dark_dn = darkest([read[band][1] for band in what.sensor.dark_bands])
    return Chip(id, groups, valid_pct, cloud, shadow, snow, dark_dn, pixels_sha256(list(groups.values())))


def _stored(what: Cut, bands: Sequence[tuple[Layer, NDArray[Any]]], onto: Onto) -> NDArray[Any]:
    """A group's bands as a chip holds them, (band, y, x)."""
    if what.imagery.stored == "reflectance_dn":
        native = np.stack([_reflectance(what, layer, window, onto[layer.grid]) for layer, window in bands])
        return remove_offset(native, what.acquisition.offset_dn)
    return np.stack([gamma0_to_stored(*_power(what, layer, window, onto[layer.grid])) for layer, window in bands])


def _reflectance(what: Cut, layer: Layer, window: NDArray[Any], onto: Shift | Warp | None) -> NDArray[Any]:
    """Digital numbers of a band's own pixels."""
    nodata = what.sensor.nodata
    if onto is not None:
        numbers, known = interpolated((window.astype(np.float64), window != nodata), onto)
        window = np.rint(numbers).astype(window.dtype)
        np.copyto(window, nodata, where=~known)
    return block_mean(window, layer.times, nodata) if layer.times > 1 else window


def _power(what: Cut, layer: Layer, window: NDArray[Any], onto: Shift | Warp | None) -> Power:
    """Linear power, in which radar is interpolated."""
    power, known = linear_power(window, what.imagery, layer.header.nodata)
    if (why := implausible(window, what.imagery, known)) is not None:
        raise Refused("encoding", f"{layer.band}: {why}")
    known &= power > 0
    values = window if known.all() else window[known]
    if values.size and values.min() == values.max():
        raise Refused("constant", f"{layer.band} is {values.min():g} everywhere")
    return (power, known) if onto is None else interpolated((power, known), onto)


def _valid_pct(what: Cut, groups: Mapping[str, NDArray[Any]]) -> float:
    """Share of the finest pixels where every band has data."""
    valid = np.ones((what.patch_px, what.patch_px), dtype=bool)
    for group in what.sensor.groups:
        known = (groups[group.column] != what.sensor.nodata).all(axis=0)
        if not known.all():
            size, factor = len(known), group.factor
            valid.reshape(size, factor, size, factor)[:] &= known[:, None, :, None]
    return 100 * np.count_nonzero(valid) / valid.size


def _shares(
    what: Cut, read: Mapping[str, tuple[Layer, NDArray[Any]]], onto: Onto
) -> tuple[float | None, float | None, float | None]:
    """Percent of cloud, shadow and snow, None without a mask.

    Raises:
        Refused: too much of cloud and shadow.
    """
    mask = what.sensor.mask
    if mask is None or mask.band not in read:
        return None, None, None
    layer, window = read[mask.band]
    warp, classes = onto[layer.grid], mask.classes
    codes = warp.nearest(window) if isinstance(warp, Warp) else window
    counts = np.bincount(codes.ravel(), minlength=256).tolist()
    cloud, shadow, snow = (_share_pct(counts, classes[name]) for name in ("cloud", "shadow", "snow"))
    if _share_pct(counts, (*classes["cloud"], *classes["shadow"])) > what.max_chip_pct:
        raise Refused("cloud", f"{cloud:.1f} % cloud, {shadow:.1f} % shadow")
    return cloud, shadow, snow


def _share_pct(counts: Sequence[int], codes: Sequence[int]) -> float:
    return 100 * sum(counts[code] for code in set(codes)) / sum(counts)
