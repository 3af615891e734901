"""Turn the windows read for a chip into the chip, or reject it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import gamma0_to_stored, pixels_sha256, remove_offset
from landmark.corpus.stats import block_mean
from landmark.extract.placement import RasterGrid, StoredBand
from landmark.extract.request import Chip, ChipRejected, ExtractRequest
from landmark.extract.resample import Resampler, Warp, interpolate
from landmark.extract.values import MaskedValues, dark_percentile, linear_power, unit_mismatch

# One per grid of the bands; None where the window's pixels are the chip's.
Resamplers = Mapping[RasterGrid, Resampler | None]


def finalize_chip(
    request: ExtractRequest,
    id: str,
    bands: Sequence[StoredBand],
    windows: Sequence[NDArray[Any]],
    resamplers: Resamplers,
) -> Chip:
    """Resample and convert one chip's window of every band.

    Raises:
        ChipRejected: too much nodata, cloud or shadow, or values that contradict the provider's profile.
    """
    read = {band.name: (band, window) for band, window in zip(bands, windows, strict=True)}
    groups = {
        group.column: _stored(request, [read[name] for name in group.bands], resamplers)
        for group in request.sensor.groups
    }
    valid_pct = _valid_pct(request, groups)
    if valid_pct < request.min_valid_pct:
        raise ChipRejected("nodata", f"{valid_pct:.1f} % valid")
    cloud, shadow, snow = _mask_shares(request, read, resamplers)
    dark_dn = dark_percentile([read[name][1] for name in request.sensor.dark_bands])
    return Chip(id, groups, valid_pct, cloud, shadow, snow, dark_dn, pixels_sha256(list(groups.values())))


def _stored(
    request: ExtractRequest, windows: Sequence[tuple[StoredBand, NDArray[Any]]], resamplers: Resamplers
) -> NDArray[Any]:
    """Array (band, y, x) of a group in the encoding of the corpus."""
    if request.collection.stored == "reflectance_dn":
        bands = [_reflectance(request, band, window, resamplers[band.grid]) for band, window in windows]
        return remove_offset(np.stack(bands), request.acquisition.offset_dn)
    powers = [_power(request, band, window, resamplers[band.grid]) for band, window in windows]
    return np.stack([gamma0_to_stored(*power) for power in powers])


def _reflectance(
    request: ExtractRequest, band: StoredBand, window: NDArray[Any], resampler: Resampler | None
) -> NDArray[Any]:
    """Digital numbers at the band's native resolution, offset included."""
    nodata = request.sensor.nodata
    if resampler is not None:
        values, valid = interpolate((window.astype(np.float64), window != nodata), resampler)
        window = np.rint(values).astype(window.dtype)
        np.copyto(window, nodata, where=~valid)
    return block_mean(window, band.oversampling, nodata) if band.oversampling > 1 else window


def _power(
    request: ExtractRequest, band: StoredBand, window: NDArray[Any], resampler: Resampler | None
) -> MaskedValues:
    """Linear power: radar is interpolated before the logarithm."""
    power, valid = linear_power(window, request.collection)
    if (mismatch := unit_mismatch(window, request.collection, valid)) is not None:
        raise ChipRejected("encoding", f"{band.name}: {mismatch}")
    valid &= power > 0
    values = window if valid.all() else window[valid]
    if values.size and values.min() == values.max():
        raise ChipRejected("constant", f"{band.name} is {values.min():g} everywhere")
    return (power, valid) if resampler is None else interpolate((power, valid), resampler)


def _valid_pct(request: ExtractRequest, groups: Mapping[str, NDArray[Any]]) -> float:
    """Share of pixels of the finest grid with data in every band."""
    valid = np.ones((request.patch_px, request.patch_px), dtype=bool)
    for group in request.sensor.groups:
        invalid = groups[group.column] == request.sensor.nodata
        if invalid.any():
            size, factor = len(invalid[0]), group.factor
            valid.reshape(size, factor, size, factor)[:] &= ~invalid.any(axis=0)[:, None, :, None]
    return 100 * np.count_nonzero(valid) / valid.size


def _mask_shares(
    request: ExtractRequest, read: Mapping[str, tuple[StoredBand, NDArray[Any]]], resamplers: Resamplers
) -> tuple[float | None, float | None, float | None]:
    """Percent of cloud, shadow and snow; None without a mask.

    Raises:
        ChipRejected: cloud plus shadow above the limit.
    """
    mask = request.sensor.mask
    if mask is None or mask.band not in read:
        return None, None, None
    band, window = read[mask.band]
    resampler, classes = resamplers[band.grid], mask.classes
    # A shift moves less than a pixel; the mask is counted unshifted.
    codes = resampler.nearest(window) if isinstance(resampler, Warp) else window
    counts = np.bincount(codes.ravel(), minlength=256)
    cloud, shadow, snow = (_share_pct(counts, classes[name], codes.size) for name in ("cloud", "shadow", "snow"))
    if _share_pct(counts, (*classes["cloud"], *classes["shadow"]), codes.size) > request.max_chip_pct:
        raise ChipRejected("cloud", f"{cloud:.1f} % cloud, {shadow:.1f} % shadow")
    return cloud, shadow, snow


def _share_pct(counts: NDArray[np.int64], codes: Sequence[int], n_pixels: int) -> float:
    return 100 * sum(int(counts[code]) for code in set(codes)) / n_pixels
