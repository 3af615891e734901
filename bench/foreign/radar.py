"""Single radar chips: filtered, rescaled, quantised, noisy, mixed or turned."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row
from bench.foreign.rows import Array, by_cell, decibels, generator, independent, moved, power, repainted
from bench.registry import Unsuited

NODATA = -32768


def _chips(draft: Draft, salt: str, *, pct: float = 4) -> list[Row]:
    return draft.pick(salt, draft.rows(sensor="s1"), pct=pct)


def lee(linear: Array, size: int = 7, looks: float = 4.4) -> Array:
    """Lee's filter of multiplicative noise on linear power.

    Source: Lee (1980), Digital image enhancement and noise filtering by use of local statistics.
    """
    mean = ndimage.uniform_filter(linear, size)
    variance = np.maximum(ndimage.uniform_filter(linear**2, size) - mean**2, 0)
    noise = 1 / looks
    signal = np.maximum((variance - mean**2 * noise) / (1 + noise), 0)
    filtered: Array = mean + signal / np.maximum(variance, 1e-12) * (linear - mean)
    return filtered


def _linear(bands: Bands, change: object) -> Bands:
    assert callable(change)
    return {name: decibels(change(power(band))) for name, band in bands.items()}


@independent("pixels", "s1-looks", "speckle filtered on some chips: Lee, 7 by 7")
def lee_filtered(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "lee"), lambda bands: _linear(bands, lee))


@independent("pixels", "s1-looks", "speckle filtered on some chips: median of 5 by 5 dB values")
def median_filtered(draft: Draft) -> Planted:
    return repainted(
        draft,
        _chips(draft, "median"),
        lambda bands: {name: ndimage.median_filter(band, 5) for name, band in bands.items()},
    )


@independent("pixels", "s1-looks", "multilooked by 2 by 2 and magnified to 10 m again")
def multilooked(draft: Draft) -> Planted:
    def looked(linear: Array) -> Array:
        size = len(linear) // 2
        small = linear.reshape(size, 2, size, 2).mean(axis=(1, 3))
        magnified: Array = ndimage.zoom(small, 2, order=1, grid_mode=True, mode="nearest")
        return magnified

    return repainted(draft, _chips(draft, "looks"), lambda bands: _linear(bands, looked))


@independent("pixels", "s1-looks", "mean of three dates instead of one image")
def mean_of_dates(draft: Draft) -> Planted:
    dates = {cell: rows for cell, rows in by_cell(draft, sensor="s1").items() if len(rows) > 1}
    if not dates:
        raise Unsuited("one date per cell")
    edits = {}
    for row in draft.pick("dates", [rows[0] for rows in dates.values()], pct=6):
        images = [draft.bands(date["id"]) for date in dates[row["cell"]][:3]]
        edits[row["id"]] = {
            "bands": {name: decibels(np.mean([power(image[name]) for image in images], axis=0)) for name in images[0]}
        }
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s1")), edits)


@independent("pixels", "s1-polarisation", "VV and VH exchanged on some chips")
def polarisations_exchanged(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "polarisations"), lambda bands: {"vv": bands["vh"], "vh": bands["vv"]})


@independent("pixels", "band-copies", "a missing VH made from VV: 7 dB lower")
def vh_from_vv(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "vh"), lambda bands: {"vh": bands["vv"] - np.int16(700)})


@independent("pixels", "s1-polarisation", "VH holds the ratio VV / VH in dB")
def ratio_for_vh(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "ratio"), lambda bands: {"vh": bands["vv"] - bands["vh"]})


@independent("pixels", "", "VH of another date of the cell")
def vh_of_another_date(draft: Draft) -> Planted:
    edits = {}
    dates = {cell: rows for cell, rows in by_cell(draft, sensor="s1").items() if len(rows) > 1}
    for row in draft.pick("vh-date", [rows[0] for rows in dates.values()], pct=7):
        second = draft.bands(dates[row["cell"]][1]["id"])
        edits[row["id"]] = {"bands": draft.bands(row["id"]) | {"vh": second["vh"]}}
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s1")), edits)


@independent("pixels", "s1-scale", "decibels of amplitude: half of the values")
def decibels_of_amplitude(draft: Draft) -> Planted:
    return repainted(
        draft,
        _chips(draft, "amplitude"),
        lambda bands: {name: (band / 2).astype(np.int16) for name, band in bands.items()},
    )


@independent("pixels", "s1-scale", "decibels of amplitude in VH alone")
def decibels_of_amplitude_in_vh(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "amplitude-vh"), lambda bands: {"vh": (bands["vh"] / 2).astype(np.int16)})


@independent("pixels", "s1-scale", "log10 of amplitude as 10 log10, then a fixed offset to look right")
def amplitude_with_offset(draft: Draft) -> Planted:
    return repainted(
        draft,
        _chips(draft, "amplitude-offset"),
        lambda bands: {name: (band / 2 - 600).astype(np.int16) for name, band in bands.items()},
    )


@independent("pixels", "saturation", "clipped between -20 and -5 dB and kept")
def clipped_to_a_range(draft: Draft) -> Planted:
    return repainted(
        draft,
        _chips(draft, "clipped"),
        lambda bands: {name: np.clip(band, -2000, -500) for name, band in bands.items()},
    )


@independent("pixels", "grey-values", "bytes of -25 to 0 dB, and back: steps of 0.1 dB")
def bytes_of_decibels(draft: Draft) -> Planted:
    def quantised(bands: Bands) -> Bands:
        return {
            name: np.rint(np.rint(np.clip(band / 2500 + 1, 0, 1) * 255) / 255 * 2500 - 2500).astype(np.int16)
            for name, band in bands.items()
        }

    return repainted(draft, _chips(draft, "bytes"), quantised)


@independent("pixels", "grey-values", "whole decibels")
def rounded_decibels(draft: Draft) -> Planted:
    return repainted(
        draft,
        _chips(draft, "whole"),
        lambda bands: {name: (np.rint(band / 100) * 100).astype(np.int16) for name, band in bands.items()},
    )


@independent("pixels", "grey-values", "a JPEG of quality 90 of both polarisations, -30 to 5 dB")
def jpeg_of_decibels(draft: Draft) -> Planted:
    def compressed(bands: Bands) -> Bands:
        result = {}
        for name, band in bands.items():
            image, buffer = np.clip(np.rint((band / 100 + 30) / 35 * 255), 0, 255).astype(np.uint8), io.BytesIO()
            Image.fromarray(image).save(buffer, "JPEG", quality=90)
            decoded = np.asarray(Image.open(buffer)).astype(np.float64)
            result[name] = np.rint((decoded / 255 * 35 - 30) * 100).astype(np.int16)
        return result

    return repainted(draft, _chips(draft, "jpeg"), compressed)


@independent("pixels", "nodata", "border noise: a strip of very low values at the edge of a swath")
def border_noise(draft: Draft) -> Planted:
    def noisy(bands: Bands) -> Bands:
        rng = generator(bands["vv"])
        for band in bands.values():
            band[:, :14] = rng.normal(-3300, 120, (len(band), 14)).astype(np.int16)
        return bands

    return repainted(draft, _chips(draft, "border"), noisy)


@independent("pixels", "constant", "a corner without data stored as -30 dB, valid share 100 %")
def nodata_as_low_decibels(draft: Draft) -> Planted:
    def filled(bands: Bands) -> Bands:
        for band in bands.values():
            row, column = np.indices(band.shape)
            band[row + column < 45] = -3000
        return bands

    return repainted(draft, _chips(draft, "corner"), filled)


@independent("pixels", "constant", "a corner without data stored as 0 dB")
def nodata_as_zero_decibels(draft: Draft) -> Planted:
    def filled(bands: Bands) -> Bands:
        for band in bands.values():
            row, column = np.indices(band.shape)
            band[row + column < 30] = 0
        return bands

    return repainted(draft, _chips(draft, "zero-corner"), filled)


@independent("pixels", "stripes", "interference: bright lines across the chip")
def interference_lines(draft: Draft) -> Planted:
    def bright(bands: Bands) -> Bands:
        rng = generator(bands["vv"])
        for band in bands.values():
            lines = rng.choice(len(band), 6, replace=False)
            band[lines] += rng.integers(400, 900, (6, 1)).astype(np.int16)
        return bands

    return repainted(draft, _chips(draft, "interference"), bright)


@independent("pixels", "s1-looks", "speckle of a single look: noise added by a wrong multilook")
def speckle_of_a_single_look(draft: Draft) -> Planted:
    def noisy(linear: Array) -> Array:
        noise: Array = generator(np.rint(1e4 * linear)).gamma(1.5, 1 / 1.5, linear.shape)
        return linear * noise

    return repainted(draft, _chips(draft, "one-look"), lambda bands: _linear(bands, noisy))


@independent("pixels", "revisits", "thermal noise not removed: a floor of -22 dB added in VH")
def thermal_noise(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "thermal"), lambda bands: {"vh": decibels(power(bands["vh"]) + 10**-2.2)})


@independent("pixels", "band-shift", "VH two pixels off VV")
def vh_shifted(draft: Draft) -> Planted:
    return repainted(draft, _chips(draft, "vh-shift"), lambda bands: {"vh": moved(bands["vh"], right=2)})


@independent("pixels", "registration-single", "chips in the order of the radar: mirrored east to west")
def mirrored(draft: Draft) -> Planted:
    return repainted(
        draft, _chips(draft, "mirrored"), lambda bands: {name: band[:, ::-1].copy() for name, band in bands.items()}
    )


@independent("pixels", "sharpness", "interpolated bilinearly from a grid half a pixel off, in decibels")
def interpolated_in_decibels(draft: Draft) -> Planted:
    def shifted(bands: Bands) -> Bands:
        return {
            name: np.rint(ndimage.shift(band.astype(np.float64), 0.5, order=1, mode="nearest")).astype(np.int16)
            for name, band in bands.items()
        }

    return repainted(draft, _chips(draft, "interpolated"), shifted)


@independent("pixels", "seams", "half of the chip from another date of the cell")
def seam_of_dates(draft: Draft) -> Planted:
    edits = {}
    dates = {cell: rows for cell, rows in by_cell(draft, sensor="s1").items() if len(rows) > 1}
    for row in draft.pick("seam", [rows[0] for rows in dates.values()], pct=7):
        bands, second = draft.bands(row["id"]), draft.bands(dates[row["cell"]][1]["id"])
        for name, band in bands.items():
            band[:50] = second[name][:50]
        edits[row["id"]] = {"bands": bands}
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s1")), edits)
