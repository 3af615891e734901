"""Turn the windows read for some chips into the chips, or reject them."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import gamma0_to_stored, pixels_sha256, remove_offset
from landmark.corpus.stats import block_mean
from landmark.extract.placement import RasterGrid, StoredBand
from landmark.extract.request import Chip, ChipRejected, ExtractRequest
from landmark.extract.resample import Resampler, Warp, interpolate
from landmark.extract.values import MaskedValues, dark_percentiles, linear_power, unit_mismatch

# One per grid of the bands; None where the window's pixels are the chip's.
Resamplers = Mapping[RasterGrid, Resampler | None]
# Percent of cloud, shadow and snow of a chip; None without a mask.
_Shares = tuple[float, float, float] | tuple[None, None, None]
# A band, and the window and resampler of each chip.
_Read = tuple[StoredBand, Sequence[NDArray[Any]], Sequence[Resampler | None]]


def finalize_chips(
    request: ExtractRequest,
    ids: Sequence[str],
    bands: Sequence[StoredBand],
    windows: Sequence[Sequence[NDArray[Any]]],
    resamplers: Sequence[Resamplers],
) -> list[Chip | ChipRejected]:
    """Resample and convert some chips, given each one's window of every band and its resamplers.

    All chips of a band are converted together: calls for single chips cost more than the work on their pixels.

    Returns:
        Each chip, or why it is rejected: too much nodata, cloud or shadow, or values that contradict the provider's
        profile.
    """
    if not ids:
        return []
    read = {
        band.name: (band, [chip[number] for chip in windows], [chip[band.grid] for chip in resamplers])
        for number, band in enumerate(bands)
    }
    rejected, groups = dict[int, ChipRejected](), dict[str, NDArray[Any]]()
    for group in request.sensor.groups:
        bands_of_group = [read[name] for name in group.bands]
        if request.collection.stored == "reflectance_dn":
            groups[group.column] = _reflectance(request, bands_of_group)
        else:
            groups[group.column] = _gamma0(request, bands_of_group, rejected)
    valid_pcts = _valid_pcts(request, groups)
    for chip, valid_pct in enumerate(valid_pcts):
        if valid_pct < request.min_valid_pct:
            rejected.setdefault(chip, ChipRejected("nodata", f"{valid_pct:.1f} % valid"))
    shares = _mask_shares(request, read, rejected, len(ids))
    dark_dns = dark_percentiles([_stack(read[name][1]) for name in request.sensor.dark_bands], len(ids))
    results = list[Chip | ChipRejected]()
    for chip, (id, (cloud, shadow, snow)) in enumerate(zip(ids, shares, strict=True)):
        if chip in rejected:
            results.append(rejected[chip])
            continue
        pixels = {column: group[chip] for column, group in groups.items()}
        sha256 = pixels_sha256(list(pixels.values()))
        results.append(Chip(id, pixels, valid_pcts[chip], cloud, shadow, snow, dark_dns[chip], sha256))
    return results


def _stack(windows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack equal arrays. Joins bytes: NumPy would release the interpreter and wait for it again at each array."""
    joined = b"".join(np.ascontiguousarray(window).data for window in windows)
    return np.frombuffer(joined, windows[0].dtype).reshape(len(windows), *windows[0].shape)


def _reflectance(request: ExtractRequest, bands: Sequence[_Read]) -> NDArray[np.uint16]:
    """Array (chip, band, y, x) of a group in the encoding of the corpus."""
    numbers = [
        _stack([_resample(request, band, *chip) for chip in zip(windows, resamplers, strict=True)])
        for band, windows, resamplers in bands
    ]
    stored = np.empty((len(numbers[0]), len(numbers), *numbers[0].shape[1:]), "<u2")
    for place, values in enumerate(numbers):
        remove_offset(values, request.acquisition.offset_dn, out=stored[:, place])
    return stored


def _resample(
    request: ExtractRequest, band: StoredBand, window: NDArray[Any], resampler: Resampler | None
) -> NDArray[Any]:
    """Digital numbers at the band's native resolution, offset included."""
    nodata = request.sensor.nodata
    if resampler is not None:
        values, valid = interpolate((window.astype(np.float64), window != nodata), resampler)
        window = np.rint(values).astype(window.dtype)
        np.copyto(window, nodata, where=~valid)
    return block_mean(window, band.oversampling, nodata) if band.oversampling > 1 else window


def _gamma0(request: ExtractRequest, bands: Sequence[_Read], rejected: dict[int, ChipRejected]) -> NDArray[np.int16]:
    """Array (chip, band, y, x) of a group in the encoding of the corpus; chips with wrong values are rejected."""
    edge_px = bands[0][0].grid.chip_px
    stored = np.full((len(bands[0][1]), len(bands), edge_px, edge_px), request.sensor.nodata, "<i2")
    for place, (band, windows, resamplers) in enumerate(bands):
        for chip, (window, resampler) in enumerate(zip(windows, resamplers, strict=True)):
            try:
                stored[chip, place] = gamma0_to_stored(*_power(request, band, window, resampler))
            except ChipRejected as error:
                # With its traceback it would keep the pixels of the batch in memory.
                rejected.setdefault(chip, error.with_traceback(None))
    return stored


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


def _valid_pcts(request: ExtractRequest, groups: Mapping[str, NDArray[Any]]) -> list[float]:
    """Each chip's share of pixels of the finest grid with data in every band."""
    n_chips, edge_px = len(next(iter(groups.values()))), request.patch_px
    valid = np.ones((n_chips, edge_px, edge_px), dtype=bool)
    for group in request.sensor.groups:
        invalid = groups[group.column] == request.sensor.nodata
        if invalid.any():
            size, factor = invalid.shape[-1], group.factor
            valid.reshape(n_chips, size, factor, size, factor)[:] &= ~invalid.any(axis=1)[:, :, None, :, None]
    return [100 * count / edge_px**2 for count in np.count_nonzero(valid, axis=(1, 2)).tolist()]


def _mask_shares(
    request: ExtractRequest, read: Mapping[str, _Read], rejected: dict[int, ChipRejected], n_chips: int
) -> Sequence[_Shares]:
    """Percent of cloud, shadow and snow of each chip; those with too much are rejected."""
    mask = request.sensor.mask
    if mask is None or mask.band not in read:
        return [(None, None, None)] * n_chips
    _, windows, resamplers = read[mask.band]
    # A shift moves less than a pixel; the mask is counted unshifted.
    codes = [
        resampler.nearest(window) if isinstance(resampler, Warp) else window
        for window, resampler in zip(windows, resamplers, strict=True)
    ]
    n_codes = 1 + max(chain(*mask.classes.values()), default=0)
    counts = _count_codes(_stack(codes).reshape(n_chips, -1), n_codes)
    cloud, shadow, snow, either = (
        (100 * counts[:, sorted(set(chosen))].sum(axis=1) / codes[0].size).tolist()
        for chosen in (
            *(mask.classes[name] for name in ("cloud", "shadow", "snow")),
            mask.classes["cloud"] + mask.classes["shadow"],
        )
    )
    for chip in np.flatnonzero(np.array(either) > request.max_chip_pct).tolist():
        rejected.setdefault(chip, ChipRejected("cloud", f"{cloud[chip]:.1f} % cloud, {shadow[chip]:.1f} % shadow"))
    return list(zip(cloud, shadow, snow, strict=True))


def _count_codes(codes: NDArray[Any], n_codes: int) -> NDArray[np.int64]:
    """Number of pixels of each code (chip, code) in codes (chip, pixel); at least `n_codes` codes."""
    n_codes = max(n_codes, int(codes.max()) + 1)
    numbered = codes + n_codes * np.arange(len(codes))[:, None]
    return np.bincount(numbered.ravel(), minlength=n_codes * len(codes)).reshape(len(codes), n_codes)
