"""Defects of the fine detail of pixels: copied bands, rounding, gains, resampling, filters, stripes, seams."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage

from bench.draft import Bands, Draft, Planted
from bench.optical import each_band, edit_acquisition, edit_samples
from bench.radar import change_db
from bench.registry import planting

_pixels = partial(planting, "pixels")
_FINE = ("B02", "B03", "B04", "B08")
Change = Callable[[np.ndarray], np.ndarray]


def change_bands(*names: str, change: Change) -> Callable[[Bands], Bands]:
    """Lift a change of values to some bands; values are rounded and stay data."""

    def each(bands: Bands) -> Bands:
        changed = {name: np.clip(np.rint(change(bands[name].astype(np.float64))), 1, 65535) for name in names}
        return {**bands, **{name: np.where(bands[name] == 0, 0, band) for name, band in changed.items()}}

    return each


def block_mean(band: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of blocks of pixels."""
    size = len(band) // factor
    return np.asarray(band.reshape(size, factor, size, factor).mean(axis=(1, 3)))


def enlarge(band: np.ndarray, factor: int, order: int) -> np.ndarray:
    """Interpolate means of blocks back to the size of the band."""
    return np.asarray(ndimage.zoom(block_mean(band, factor), factor, order=order, grid_mode=True, mode="nearest"))


# -- Copies ----------------------------------------------------------------------------------------------------------


@_pixels("band-copies", "B05 is stored as B06, with another gain")
def red_edge_copied(draft: Draft) -> Planted:
    return edit_acquisition(draft, lambda bands: {**bands, "B06": np.rint(1.1 * bands["B05"] + 30)})


@_pixels("band-copies", "B01 is the mean of B02 over 60 m")
def coastal_from_blue(draft: Draft) -> Planted:
    return edit_samples(
        draft, "coastal-from-blue", lambda bands: {**bands, "B01": np.rint(block_mean(bands["B02"], 6))}
    )


@_pixels("band-copies", "VH is VV less 7 dB")
def polarisation_derived(draft: Draft) -> Planted:
    change = change_db(lambda db: db - 7)
    return edit_acquisition(draft, lambda bands: {"vv": bands["vv"], "vh": change(bands)["vv"]}, sensor="s1")


@_pixels("band-copies", "B09 is noise around its mean")
def water_vapour_filled(draft: Draft) -> Planted:
    random = np.random.default_rng(0)
    return edit_samples(
        draft,
        "water-vapour-filled",
        change_bands("B09", change=lambda band: band.mean() + 30 * random.standard_normal(band.shape)),
    )


# -- Grey values and scale -------------------------------------------------------------------------------------------


@_pixels("grey-values", "reflectances were stored as bytes and stretched back")
def bytes_stretched(draft: Draft) -> Planted:
    return edit_acquisition(
        draft, each_band(lambda band: np.maximum(np.rint(np.rint(np.minimum(band / 6000, 1) * 255) / 255 * 6000), 1))
    )


@_pixels("grey-values", "reflectances are a fifth too high")
def gain_applied(draft: Draft) -> Planted:
    return edit_samples(draft, "gain-applied", each_band(lambda band: np.rint(1.2 * band)))


@_pixels("grey-values", "reflectances are halved in some chips")
def halved(draft: Draft) -> Planted:
    return edit_samples(draft, "halved", each_band(lambda band: np.maximum(np.rint(0.5 * band), 1)))


@_pixels("s2-offset", "the offset of 1000 is left in the bands of 60 m")
def offset_of_60_m_bands(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_bands("B01", "B09", change=lambda band: band + 1000))


@_pixels("s1-scale", "VH is in dB of amplitude, VV of power")
def amplitude_of_vh(draft: Draft) -> Planted:
    change = change_db(lambda db: db / 2)
    return edit_samples(draft, "amplitude-of-vh", lambda bands: {**bands, "vh": change(bands)["vh"]}, sensor="s1")


@_pixels("grey-values", "backscatter is rounded to 0.1 dB")
def tenths_of_db(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: np.rint(10 * db) / 10), sensor="s1")


@_pixels("s2-scale", "reflectances are stored times 1000")
def tenth(draft: Draft) -> Planted:
    return edit_acquisition(draft, each_band(lambda band: np.where(band == 0, 0, np.maximum(np.rint(band / 10), 1))))


# -- Resampling and filters ------------------------------------------------------------------------------------------


@_pixels("sharpness", "10 m bands are interpolated from 20 m")
def interpolated_from_20m(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_bands(*_FINE, change=lambda band: enlarge(band, 2, 3)))


@_pixels("sharpness", "B04 is smoothed")
def red_smoothed(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_bands("B04", change=lambda band: ndimage.gaussian_filter(band, 1)))


@_pixels("sharpness", "radar images are interpolated from 20 m")
def radar_interpolated(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: enlarge(db, 2, 1)), sensor="s1")


@_pixels("s1-looks", "speckle is filtered by the median of 5 x 5 px")
def speckle_filtered(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_db(lambda db: ndimage.median_filter(db, 5)), sensor="s1")


# -- Lines -----------------------------------------------------------------------------------------------------------


@_pixels("stripes", "odd rows are 3 % brighter in the 10 m bands")
def odd_rows_bright(draft: Draft) -> Planted:
    return edit_samples(
        draft,
        "odd-rows-bright",
        change_bands(*_FINE, change=lambda band: band * (1 + 0.03 * (np.arange(len(band)) % 2))[:, None]),
    )


@_pixels("stripes", "pixels are repeated by a rotation with the nearest pixel")
def rotated_nearest(draft: Draft) -> Planted:
    return edit_samples(
        draft, "rotated-nearest", each_band(lambda band: ndimage.rotate(band, 4, reshape=False, order=0, mode="mirror"))
    )


@_pixels("seams", "the lower right halves of chips are of another gain")
def diagonal_seam(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        beyond = np.add.outer(np.arange(len(band)), np.arange(len(band))) > len(band)
        return np.where(beyond & (band > 0), np.rint(0.6 * band), band)

    return edit_samples(draft, "diagonal-seam", each_band(change))


@_pixels("band-shift", "B03 is shifted by 3 pixels in one acquisition")
def green_shifted(draft: Draft) -> Planted:
    return edit_acquisition(draft, change_bands("B03", change=lambda band: np.roll(band, 3, axis=1)))
