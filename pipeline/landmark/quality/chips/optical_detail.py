"""Measures of the fine detail of a Sentinel-2 chip, which shows what its pixels went through."""

import numpy as np
from numpy.typing import NDArray

from landmark.quality.chips.band_shifts import band_shift
from landmark.quality.chips.detail import Detail, residuals, sharpness
from landmark.quality.chips.grey_values import comb, count_values, neighbour_share
from landmark.quality.chips.lines import line_excess, line_step, stripe_z
from landmark.quality.chips.optical import (
    BANDS,
    COARSE_BANDS,
    FINE_BANDS,
    MIDDLE_BANDS,
    BandArrays,
    F,
    OpticalImage,
    float_block_mean,
)
from landmark.quality.chips.seams import quarter_levels, seam_share, seam_step

# `_10`, `_20`: of the bands of 10 m, of 20 m; `_band`, `_first`, `_second`: number in BANDS.
OPTICAL_DETAIL = (
    *("residual_dn", "residual_band"),  # of the band that is nearest to a combination of the others
    *("sharpness_10", "sharpness_20"),  # medians of the bands
    *("blur_ratio", "blur_sharpness", "blur_band"),  # of the band that is the least sharp relative to that median
    *("coarse_r", "coarse_band"),  # correlation of B01 with B02 or of B09 with B8A, the lower one
    *("even_pct_min", "even_pct_max"),  # even values of the bands of 20 m
    *("comb_strength", "comb_step", "neighbour_share", "stripe_z_10", "stripe_z_20", "repeated_pct"),
    *("seam_share", "seam_step_pct", "line_pct"),  # the latter in all bands of 10 m
    *("band_shift_gain", "band_shift_px", "band_shift_first", "band_shift_second"),
    "vegetation_dn",  # B8A where NDVI exceeds 0.5
)
_COMB_ROWS = [0, 3, 5]  # B05, B8A and B12, of the bands of 20 m
_FINE, _MIDDLE = slice(len(FINE_BANDS)), slice(len(FINE_BANDS), None)  # of the bands at 20 m
_EVERY_ROWS = 3  # of the rows whose values are counted at 10 m
_RED_NEAR_SHORT = [2, 7, 8]  # B04, B8A and B11, of the bands at 20 m
_MIN_VEGETATION_DN = 80  # NDVI of darker pixels is noise
_NEAR = FINE_BANDS.index("B08")
_COARSE_PAIRS = (("B01", "B02"), ("B09", "B8A"))
_COARSE_ROWS = [(*FINE_BANDS, *MIDDLE_BANDS, *COARSE_BANDS).index(band) for pair in _COARSE_PAIRS for band in pair]
_MIN_CONTRAST_DN = 100  # standard deviation at 60 m
_MIN_SPREAD_DN = 6  # standard deviation of the differences of a band that can be compared with others

# Pairs of bands that see much the same edges, first those of 10 m.
_PAIRS = (
    *(("B02", "B03"), ("B03", "B04"), ("B02", "B04"), ("B04", "B08"), ("B03", "B08")),
    *(("B08", "B8A"), ("B07", "B8A"), ("B06", "B07"), ("B05", "B06"), ("B05", "B12"), ("B11", "B12")),
)


def _profile_rows() -> NDArray[np.intp]:
    """Rows of the bands of pairs among all profiles: (first or second band, pair and direction)."""
    names = (*FINE_BANDS * 2, "B08 at 20 m", "B08 at 20 m", *MIDDLE_BANDS * 2)
    places = {name: [row for row, band in enumerate(names) if band == name] for name in names}
    pairs = [("B08 at 20 m" if pair == ("B08", "B8A") else pair[0], pair[1]) for pair in _PAIRS]
    return np.array([[place for pair in pairs for place in places[pair[end]]] for end in (0, 1)])


_ROWS = _profile_rows()


def measure_optical_detail(bands: BandArrays, image: OpticalImage) -> dict[str, float | None]:
    """OPTICAL_DETAIL of one chip without gaps; those of bands without texture are missing.

    Args:
        bands: Band → (y, x) uint16 at its own resolution, reflectance x 10000. 10 m bands are a multiple of 6 pixels
            wide, and at least 48.
        image: Of these bands.
    """
    fine, at_20 = Detail.of(image.at_10), Detail.of(image.at_20)
    middle = at_20.of_bands(_MIDDLE)
    even_px = middle.stack.shape[1] // 2 * 2
    middle_at_40 = Detail.of(float_block_mean(middle.stack[:, :even_px, :even_px], 2))
    profiles, scaled = (fine.profiles(), middle.profiles()), fine.scaled_steps()
    levels = np.log(quarter_levels(fine.stack))
    excess = line_excess(levels)
    counts = count_values(np.stack([bands[name] for name in MIDDLE_BANDS]))
    strength, step = comb(counts[_COMB_ROWS])
    rows = np.stack([bands[name][::_EVERY_ROWS] for name in FINE_BANDS])
    even = [100 - 100 * np.count_nonzero(bands[name] & 1) / bands[name].size for name in MIDDLE_BANDS]
    return {
        "even_pct_min": min(even),
        "even_pct_max": max(even),
        **_dependence(at_20.x, image.at_60),
        **_coarse_correlation(image.at_60),
        **_blur(sharpness(fine, at_20.of_bands(_FINE)), sharpness(middle, middle_at_40)),
        **_shift(*profiles),
        "vegetation_dn": _vegetation_dn(*image.at_20[_RED_NEAR_SHORT]),
        "comb_strength": strength,
        "comb_step": step,
        "neighbour_share": min(neighbour_share(count_values(rows)), neighbour_share(counts)),
        "stripe_z_10": stripe_z(excess.sum(axis=1)),
        "stripe_z_20": stripe_z(line_excess(profiles[1])),
        "seam_share": seam_share(*scaled),
        "seam_step_pct": 100 * np.expm1(seam_step(levels, 1)),
        "line_pct": 100 * np.expm1(line_step(excess.reshape(2, -1, excess.shape[2]))),
        "repeated_pct": repeated_pct(scaled),
    }


def _vegetation_dn(red: F, near: F, short: F) -> float | None:
    """Mean of B8A where NDVI exceeds 0.5, however dark, but not over water; None for less than 5 % of a chip."""
    plants = (near > 3 * red) & (near > _MIN_VEGETATION_DN) & (4 * short > near)
    count = np.count_nonzero(plants)
    return None if 20 * count < plants.size else float(near[plants].sum()) / count


def repeated_pct(scaled: tuple[F, F]) -> float:
    """Percentage of the pixels that equal a neighbour in all bands, in the worse direction."""
    return 100 * max(1 - float(np.count_nonzero(steps)) / steps.size for steps in scaled)


def _dependence(steps_at_20: F, at_60: F) -> dict[str, float]:
    """The band with the smallest residual at 20 m, or at 60 m for the coarse bands, of those with texture."""
    smallest = (np.inf, "")
    steps_at_60 = at_60[:, :, 1:] - at_60[:, :, :-1]
    for names, steps in (((*FINE_BANDS, *MIDDLE_BANDS), steps_at_20), (COARSE_BANDS, steps_at_60)):
        residual, spread = (values[-len(names) :] for values in residuals(steps))
        residual = np.where(spread < _MIN_SPREAD_DN, np.inf, residual)
        smallest = min(smallest, (float(residual.min()), names[int(residual.argmin())]))
    return {"residual_dn": smallest[0], "residual_band": BANDS.index(smallest[1])} if smallest[1] else {}


def _coarse_correlation(at_60: F) -> dict[str, float]:
    """The lower correlation of a band of 60 m with the one next to it in wavelength, if that one has contrast."""
    values = at_60[_COARSE_ROWS].reshape(2 * len(_COARSE_PAIRS), -1)
    centred = values - values.sum(axis=1, keepdims=True) / np.float32(values.shape[1])
    own, neighbours = centred[::2], centred[1::2]
    own_power, power = np.vecdot(own, own), np.vecdot(neighbours, neighbours)
    is_known = (power > values.shape[1] * _MIN_CONTRAST_DN**2) & (own_power > 0)
    if not is_known.any():
        return {}
    r = np.where(is_known, np.vecdot(own, neighbours) / np.sqrt(np.maximum(own_power * power, 1)), np.inf)
    lowest = int(r.argmin())
    return {"coarse_r": float(r[lowest]), "coarse_band": BANDS.index(_COARSE_PAIRS[lowest][0])}


def _blur(fine: F, middle: F) -> dict[str, float]:
    """Median sharpness per size, and the band that is the least sharp for its size."""
    measures = {"blur_ratio": np.inf}
    for name, names, values in (("10", FINE_BANDS, fine), ("20", MIDDLE_BANDS, middle)):
        if np.isnan(values.sum()):
            continue
        ranked = sorted(zip(values.tolist(), names, strict=True))
        least, median = ranked[0], ranked[len(ranked) // 2][0]
        measures[f"sharpness_{name}"] = median
        if (ratio := least[0] / median) < measures["blur_ratio"]:
            measures |= {"blur_ratio": ratio, "blur_sharpness": least[0], "blur_band": BANDS.index(least[1])}
    return measures if "blur_band" in measures else {}


def _shift(fine: F, middle: F) -> dict[str, float]:
    """The largest shift of those between bands of 10 m, and between bands of 20 m and B08."""
    near = fine[_NEAR :: len(FINE_BANDS)]
    shift = band_shift([fine, (near[:, ::2] + near[:, 1::2]) * np.float32(0.5), middle], *_ROWS)
    first, second = _PAIRS[shift.pair // 2]
    return {
        "band_shift_gain": shift.gain,
        "band_shift_px": shift.shift_px,
        "band_shift_first": BANDS.index(first),
        "band_shift_second": BANDS.index(second),
    }
