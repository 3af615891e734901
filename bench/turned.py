"""Defects of geometry and of lines: turned chips and bands, polarisations out of register, interference, stripes."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.chip_detail import change_bands
from bench.draft import Bands, Draft, Planted
from bench.optical import each_band, edit_acquisition, edit_samples
from bench.registry import planting

_pixels = partial(planting, "pixels")
_MIDDLE = ("B05", "B06", "B07", "B8A", "B11", "B12")


# -- Turned ----------------------------------------------------------------------------------------------------------


@_pixels("registration-single", "optical chips are turned by 90 degrees")
def turned_by_90(draft: Draft) -> Planted:
    return edit_samples(draft, "turned-by-90", each_band(np.rot90))


@_pixels("registration-single", "radar chips are turned by 180 degrees")
def radar_turned_by_180(draft: Draft) -> Planted:
    return edit_samples(draft, "radar-turned-by-180", each_band(lambda band: np.rot90(band, 2)), sensor="s1")


@_pixels("registration-single", "an acquisition is stored from south to north")
def acquisition_upside_down(draft: Draft) -> Planted:
    return edit_acquisition(draft, each_band(np.flipud))


@_pixels("band-shift", "20 m bands are mirrored east to west")
def middle_bands_mirrored(draft: Draft) -> Planted:
    return edit_samples(draft, "middle-bands-mirrored", change_bands(*_MIDDLE, change=np.fliplr))


@_pixels("band-shift", "VH is transposed")
def vh_transposed(draft: Draft) -> Planted:
    return edit_samples(draft, "vh-transposed", lambda bands: {**bands, "vh": bands["vh"].T}, sensor="s1")


# -- Shifted ---------------------------------------------------------------------------------------------------------


@_pixels("band-shift", "VV is three rows to the south of VH")
def vv_shifted(draft: Draft) -> Planted:
    return edit_samples(
        draft, "vv-shifted", lambda bands: {**bands, "vv": np.roll(bands["vv"], 3, axis=0)}, sensor="s1"
    )


# -- Lines -----------------------------------------------------------------------------------------------------------


def _line(place: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def each(band: np.ndarray) -> np.ndarray:
        result = band.astype(np.float64)
        result[:, place] = change(result[:, place])
        return result

    return each


@_pixels("stripes", "a column of both polarisations is 4 dB lower")
def dark_column(draft: Draft) -> Planted:
    def change(bands: Bands) -> Bands:
        return {name: _line(len(band) // 3, lambda values: values - 400)(band) for name, band in bands.items()}

    return edit_samples(draft, "dark-column", change, sensor="s1")


@_pixels("stripes", "every seventh row of B04 is 3 % darker")
def every_seventh_row_dark(draft: Draft) -> Planted:
    def change(band: np.ndarray) -> np.ndarray:
        return np.asarray(band * np.where(np.arange(len(band)) % 7 == 3, 0.97, 1)[:, None])

    return edit_samples(draft, "every-seventh-row-dark", change_bands("B04", change=change))


@_pixels("stripes", "every ninth column of VH is 1 dB higher")
def radar_columns_bright(draft: Draft) -> Planted:
    def change(bands: Bands) -> Bands:
        return {**bands, "vh": bands["vh"] + 100 * (np.arange(len(bands["vh"])) % 9 == 0)}

    return edit_samples(draft, "radar-columns-bright", change, sensor="s1")
