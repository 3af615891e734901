"""Checks of the fine detail of chips: copied bands, rounding, resampling, filters, stripes, seams, shifted bands."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import acquisitions, by_acquisition, by_sample, columns, samples_with
from landmark.quality.checks.orientation import turned_bands
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import Flag

_MIN_SAMPLES, _MIN_ACQUISITIONS = 3, 4
Values = NDArray[np.float64]


def band_copies(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Every band has noise of its own: none is a copy or a combination of others, whatever its gain and offset."""
    table = samples_with(inputs, "data_pct")
    optical, band, radar = columns(table, "residual_dn", "residual_band", "own_share")
    yield from by_acquisition(
        table,
        optical < limits["min_residual_dn"],
        "a band is a combination of the others",
        lambda row: f"{_band(band, row)}: {optical[row]:.2f} dn of its detail are its own",
        assessable=np.isfinite(optical),
    )
    yield from by_acquisition(
        table,
        radar < limits["min_own_share"],
        "one polarisation is a copy of the other",
        lambda row: f"{100 * radar[row]:.0f} % of its detail are its own",
        assessable=np.isfinite(radar),
    )
    r, coarse, cloudy = columns(table, "coarse_r", "coarse_band", "cloudy_pct")
    # Clouds move between the bands' lines of sight.
    clear = np.isfinite(r) & (cloudy <= limits["max_cloudy_pct"])
    yield from by_acquisition(
        table,
        clear & (r < limits["min_coarse_r"]),
        "a band of 60 m does not show the ground",
        lambda row: f"{_band(coarse, row)}: r = {r[row]:.2f} with the next band",
        assessable=clear,
    )


def grey_values(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Values are as dense as they were measured, neither on a coarser scale nor multiplied and rounded again."""
    table = samples_with(inputs, "neighbour_share")
    neighbours, strength, step = columns(table, "neighbour_share", "comb_strength", "comb_step")
    coarse = neighbours < limits["min_neighbour_share"]
    yield from by_acquisition(
        table,
        coarse,
        "values are on a coarse scale: of bytes, or rounded",
        lambda row: f"pairs of neighbouring values / pairs of equal ones = {neighbours[row]:.2f}",
    )
    yield from by_acquisition(
        table,
        ~coarse & (strength > limits["max_comb_strength"]),
        "values were multiplied and rounded again",
        lambda row: f"counts of values repeat every {step[row]:.2f} dn (strength {strength[row]:.0f}; chance 2)",
        assessable=np.isfinite(strength),
    )
    least, most = columns(table, "even_pct_min", "even_pct_max")
    yield from by_acquisition(
        table,
        ~coarse & (least > limits["min_even_pct"]) & (most < limits["max_even_pct"]),
        "values were halved and rounded again",
        lambda row: f"{least[row]:.0f} to {most[row]:.0f} % of the values are even in all bands of 20 m; chance 50 %",
        assessable=np.isfinite(least),
    )


def sharpness(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Images have the detail of their pixel size: neither enlarged from larger pixels nor smoothed."""
    table = samples_with(inputs, "data_pct")
    ratio, band_value, band = columns(table, "blur_ratio", "blur_sharpness", "blur_band")
    for name, about in (("sharpness_10", "10 m bands"), ("sharpness_20", "20 m bands"), ("radar_sharpness", "images")):
        (value,) = columns(table, name)
        kind = "radar" if name == "radar_sharpness" else "optical"
        typical = _typical(table, value)
        low = (value < limits[f"min_{kind}"]) | (typical < limits[f"min_{kind}_typical"])
        lower = typical < limits[f"min_{kind}_ratio"] * _median_of_acquisitions(table, typical)
        for failed, problem in (
            (low, f"{about} are enlarged or smoothed"),
            (~low & lower, f"{about} are less sharp than in other acquisitions"),
        ):
            yield from by_acquisition(
                table, failed, problem, partial(_describe, "sharpness", value), assessable=np.isfinite(value)
            )
    blurred = (ratio < limits["min_band_ratio"]) | (
        (_typical(table, ratio) < limits["min_typical_ratio"]) & (ratio < limits["min_typical_ratio"])
    )
    blurred &= band_value < limits["max_blurred_band"]
    yield from by_acquisition(
        table,
        blurred,
        "a band is enlarged or smoothed",
        lambda row: f"{_band(band, row)}: sharpness {band_value[row]:.2f}, {ratio[row]:.2f} of the others",
        assessable=np.isfinite(ratio),
    )


def _median_of_acquisitions(table: pa.Table, typical: Values) -> float:
    """Median of the acquisitions' medians; NaN for few acquisitions."""
    per_item = dict(zip(acquisitions(table), typical.tolist(), strict=True))
    known = [value for value in per_item.values() if np.isfinite(value)]
    return float(np.median(known)) if len(known) >= _MIN_ACQUISITIONS else np.nan


def s1_looks(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Homogeneous ground has the speckle of a ground-range product: no filter was applied, and no looks are missing."""
    table = samples_with(inputs, "vv_speckle_db", sensor="s1")
    both = columns(table, "vv_speckle_db", "vh_speckle_db")
    speckle, strongest = np.fmin(*both), np.fmax(*both)
    filtered = speckle < limits["min_speckle_db"]
    filtered |= _typical(table, speckle) < limits["min_typical_db"]
    (sharp,) = columns(table, "radar_sharpness")
    # Speckle that was interpolated is weaker and less sharp; means of dates are only weaker.
    full = speckle / np.sqrt(np.clip(sharp, 0.1, 1))
    yield from by_acquisition(
        table,
        filtered,
        "speckle was filtered",
        lambda row: f"{speckle[row]:.2f} dB: {(4.343 / max(speckle[row], 0.01)) ** 2:.0f} equivalent looks",
        assessable=np.isfinite(speckle),
    )
    yield from by_acquisition(
        table,
        ~filtered & (full < limits["min_sharp_speckle_db"]),
        "speckle was averaged over several images",
        lambda row: f"{speckle[row]:.2f} dB at a sharpness of {sharp[row]:.2f}",
        assessable=np.isfinite(full),
    )
    yield from by_acquisition(
        table,
        strongest > limits["max_speckle_db"],
        "speckle is too strong: of fewer looks, or noise was added",
        lambda row: f"{strongest[row]:.2f} dB: {(4.343 / strongest[row]) ** 2:.1f} equivalent looks",
        assessable=np.isfinite(strongest),
    )


def stripes(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No line is brighter or darker than those beside it, alone or every n-th, and no pixels are repeated."""
    table = samples_with(inputs, "data_pct")
    for name, about in (("stripe_z_10", "10 m"), ("stripe_z_20", "20 m"), ("radar_stripe_z", "s1")):
        (value,) = columns(table, name)
        yield from by_acquisition(
            table,
            value > limits["max_z" if about == "10 m" else f"max_z_{about.removesuffix(' m')}"],
            f"every n-th line has another level ({about})",
            partial(_describe, "standard errors", value),
            assessable=np.isfinite(value),
        )
    for name, about in (("line_pct", "percent"), ("radar_line_db", "dB")):
        (value,) = columns(table, name)
        problem = "a line is brighter or darker than those beside it in all its quarters"
        yield from by_sample(table, value > limits[f"max_{name}"], problem, partial(_describe, about, value))
    (repeated,) = columns(table, "repeated_pct")
    yield from by_acquisition(
        table,
        repeated > limits["max_repeated_pct"],
        "pixels are repeated in all bands: nearest-neighbour resampling",
        lambda row: f"{repeated[row]:.2f} % equal a neighbour",
        assessable=np.isfinite(repeated),
    )


def seams(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No two images or strips of noise meet along a straight line inside a chip."""
    table = samples_with(inputs, "data_pct")
    share, step_pct, step = columns(table, "seam_share", "seam_step_pct", "radar_step_db")
    joined = (share >= limits["min_share"]) & (step_pct > limits["max_step_pct"])
    stepped = (step > limits["max_step_db"]) | (_typical(table, step) > limits["max_typical_step_db"])
    problem = "two images meet along a straight line"
    yield from by_sample(
        table,
        joined | (share > limits["max_share"]),
        problem,
        lambda row: f"{100 * share[row]:.0f} % of each quarter of a line is an edge; a step of {step_pct[row]:.0f} %",
    )
    yield from by_acquisition(
        table,
        stepped,
        "the level steps along a straight line",
        lambda row: f"{step[row]:.1f} dB or more all along it",
        assessable=np.isfinite(step),
    )


def band_shift(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The bands of a chip are registered with each other, and none is turned."""
    table = samples_with(inputs, "data_pct")
    gain, shift, first, second = columns(
        table, "band_shift_gain", "band_shift_px", "band_shift_first", "band_shift_second"
    )
    systematic = (_typical(table, gain) > limits["max_typical_gain"]) & (gain > 0.5 * limits["max_typical_gain"])
    yield from by_acquisition(
        table,
        systematic | (gain > limits["max_gain"]),
        "bands are shifted against each other",
        lambda row: f"{_band(first, row)} and {_band(second, row)} fit after {shift[row]:.0f} px: r + {gain[row]:.2f}",
        assessable=np.isfinite(gain),
    )
    fit, shift_of_vh = columns(table, "polarisation_shift_gain", "polarisation_shift_px")
    yield from by_acquisition(
        table,
        fit > limits["max_radar_gain"],
        "VV and VH are shifted against each other",
        lambda row: f"they fit after {shift_of_vh[row]:.0f} px: {fit[row]:.3f} nats",
        assessable=np.isfinite(fit),
    )
    yield from turned_bands(inputs, limits)


def _typical(table: pa.Table, values: Values) -> Values:
    """Per row, the median over its acquisition; NaN in acquisitions of few samples."""
    items, result = np.array(acquisitions(table)), np.full_like(values, np.nan)
    for item in np.unique(items[np.isfinite(values)]):
        rows = (items == item) & np.isfinite(values)
        if rows.sum() >= _MIN_SAMPLES:
            result[rows] = np.median(values[rows])
    return result


def _describe(about: str, values: Values, row: int) -> str:
    return f"{about} {values[row]:.2f}"


def _band(numbers: Values, row: int) -> str:
    return BANDS[int(numbers[row])]


def s2_scale(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Plants reflect the infrared as plants do, and no ground is brighter than any on Earth."""
    table = samples_with(inputs, "B11_p50_dn", sensor="s2")
    plants, ground = columns(table, "vegetation_dn", "B11_p50_dn")
    for failed, problem, values, about in (
        (plants < limits["min_plants_dn"], "reflectances are too low", plants, "plants in B8A"),
        (plants > limits["max_plants_dn"], "reflectances are too high", plants, "plants in B8A"),
        (ground > limits["max_B11_dn"], "reflectances are too high", ground, "median of B11"),
    ):
        yield from by_acquisition(
            table, failed, problem, partial(_describe, about, values), assessable=np.isfinite(values)
        )


CHECKS: dict[str, Check] = {
    "band-copies": band_copies,
    "grey-values": grey_values,
    "sharpness": sharpness,
    "s1-looks": s1_looks,
    "s2-scale": s2_scale,
    "stripes": stripes,
    "seams": seams,
    "band-shift": band_shift,
}
