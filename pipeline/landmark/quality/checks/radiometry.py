"""Checks of pixel values: gaps, dead and saturated pixels, cloud, offset, scale, polarisation."""

from collections.abc import Iterator

import numpy as np

from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks import class_levels, registration_groups, scenes
from landmark.quality.checks.drift import drift
from landmark.quality.checks.flagging import by_acquisition, by_sample, columns, samples_with
from landmark.quality.checks.pairs import registration, registration_single
from landmark.quality.checks.spectra import band_order
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import Flag, NotApplicable


def nodata(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The share of pixels with data equals valid_pct, and is the same in all bands."""
    table = samples_with(inputs, "data_pct")
    recorded, measured, partial = columns(table, "valid_pct", "data_pct", "partial_data_pct")
    empty = (measured == 0) & ~(partial > 0)
    yield from by_sample(table, empty, "no pixel has data", lambda row: f"valid_pct {recorded[row]:.1f}")
    wrong = ~empty & ~(abs(recorded - measured) <= limits["tolerance_pct"])
    yield from by_sample(
        table, wrong, "valid_pct differs from the pixels", lambda row: f"{recorded[row]:.1f}, not {measured[row]:.1f}"
    )
    torn = partial > limits["max_partial_pct"]
    yield from by_sample(table, torn, "some bands lack data where others have it", lambda row: f"{partial[row]:.1f} %")


def constant(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No chip is black; no band is constant or has dead or repeated lines or constant blocks.

    Only the most severe of these is reported for a sample.
    """
    table = samples_with(inputs, "constant_bands")
    bands, lines, flat_pct = columns(table, "constant_bands", "bad_lines", "flat_blocks_pct")
    brightest = np.max(columns(table, *(f"{band}_p50_dn" for band in BANDS)), axis=0)
    black = brightest < limits["min_brightest_dn"]
    uniform = ~black & (bands > 0)
    blocks = ~black & ~uniform & (flat_pct > limits["max_flat_pct"])
    dead = ~black & ~uniform & ~blocks & (lines > limits["max_bad_lines"])
    yield from by_sample(table, black, "chip is black", lambda row: f"medians of all bands <= {brightest[row]:.0f}")
    yield from by_sample(table, uniform, "band is constant", lambda row: f"{bands[row]:.0f} bands")
    yield from by_sample(table, blocks, "blocks of a band are constant", lambda row: f"{flat_pct[row]:.1f} % of a band")
    yield from by_sample(table, dead, "dead or repeated rows or columns", lambda row: f"{lines[row]:.0f} of a band")


def saturation(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Few pixels have the highest or lowest value of their band."""
    table = samples_with(inputs, "saturated_pct")
    (share,) = columns(table, "saturated_pct")
    problem = "many pixels have the highest or lowest value of a band"
    yield from by_sample(table, share > limits["max_pct"], problem, lambda row: f"{share[row]:.1f} %")


def clouds(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Cloud and shadow are within the recipe's limit, and the mask covers the clouds and the snow in the pixels."""
    table = samples_with(inputs, "cloudy_pct", sensor="s2")
    cloud, shadow, snow = columns(table, "cloud_pct", "shadow_pct", "snow_pct")
    measured, snowy = columns(table, "cloudy_pct", "snowy_pct")
    if not np.isfinite(cloud).any():
        raise NotApplicable("no image has a cloud mask")
    recipe = inputs.context.recipe
    max_pct = recipe.clouds.max_chip_pct if recipe else 100.0
    # Percentages are stored as float32, but the build compared exact shares.
    over = cloud + np.nan_to_num(shadow) > max_pct + 0.01
    problem = "more cloud and shadow than the recipe allows"
    yield from by_sample(table, over, problem, lambda row: f"{cloud[row] + shadow[row]:.1f} %, not {max_pct:g}")
    unmasked = measured - cloud > limits["max_unmasked_pct"]
    yield from by_acquisition(
        table,
        unmasked,
        "pixels look cloudy, but the mask does not cover them",
        lambda row: f"{measured[row]:.0f} %, mask {cloud[row]:.0f} %",
    )
    # Ice clouds have the colour of snow.
    yield from by_sample(
        table,
        snowy - snow - cloud > limits["max_unmasked_pct"],
        "pixels look like snow, but the mask does not cover them",
        lambda row: f"{snowy[row]:.0f} %, mask {snow[row]:.0f} %",
    )


def s2_offset(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The radiometric offset of 1000 is removed: some pixels are darker than it.

    Assessed where dark surfaces are expected: plants in blue, water and shadow in B12. Chips that are bright everywhere
    (desert, snow, cloud) are not assessable.
    """
    table = samples_with(inputs, "darkest_p1_dn", sensor="s2")
    darkest, b12, plants, snow, cloudy, snowy = columns(
        table, "darkest_p1_dn", "B12_p1_dn", "green_B02_dn", "ndsi_mean", "cloudy_pct", "snowy_pct"
    )
    max_dn = limits["max_darkest_dn"]
    dark_surface = np.isfinite(plants) | (b12 <= limits["max_dark_B12_dn"])
    assessable = dark_surface & ~(snow > limits["max_ndsi"]) & ~(cloudy > limits["max_cloudy_pct"])
    failed = assessable & (darkest >= max_dn) & ((plants >= max_dn) | (b12 <= limits["max_dark_B12_dn"]))
    problem = "radiometric offset of 1000 is not removed"
    yield from by_acquisition(
        table, failed, problem, lambda row: f"darkest 1 % at {darkest[row]:.0f} dn", assessable=assessable
    )
    b01, b02, b8a, b09 = columns(table, *(f"{band}_p50_dn" for band in ("B01", "B02", "B8A", "B09")))
    # Medians at different resolutions can fall on either side of the border between snow and ground.
    ground = ~(snowy > limits["max_snowy_pct"]) & ~(cloudy > limits["max_cloudy_pct"])
    excess, both = b01 - b02, np.minimum(b01 - b02, b09 - b8a)
    yield from by_acquisition(
        table,
        ground & ~failed & ((excess > limits["max_B01_B02_dn"]) | (both > limits["max_coarse_dn"])),
        "radiometric offset of 1000 is not removed in the bands of 60 m",
        lambda row: f"median of B01 {excess[row]:+.0f} dn against B02, of B09 {b09[row] - b8a[row]:+.0f} against B8A",
        assessable=ground,
    )


def s2_double_offset(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No offset was removed from values that had none: plants are not black in blue, and few pixels are clipped."""
    table = samples_with(inputs, "B02_clipped_pct", sensor="s2")
    plants, clipped = columns(table, "green_B02_dn", "B02_clipped_pct")
    failed = (plants < limits["min_green_B02_dn"]) | (clipped > limits["max_clipped_pct"])
    problem = "radiometric offset was removed twice"
    yield from by_acquisition(table, failed, problem, lambda row: f"{clipped[row]:.0f} % of B02 clipped at 1")


def s1_range(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Backscatter is within the physical range of gamma0 over land and water."""
    table = samples_with(inputs, "vv_p50_db", sensor="s1")
    for name in ("vv", "vh"):
        low, median, high = columns(table, f"{name}_p1_db", f"{name}_p50_db", f"{name}_p99_db")
        failed = (low < limits["min_db"]) | (high > limits["max_db"])
        failed |= (median < limits[f"min_{name}_median_db"]) | (median > limits[f"max_{name}_median_db"])
        yield from by_acquisition(
            table,
            failed,
            f"{name} is outside the range of gamma0",
            lambda row, low=low, median=median, high=high: (  # type: ignore[misc]
                f"percentiles 1, 50, 99: {low[row]:.1f}, {median[row]:.1f}, {high[row]:.1f} dB"
            ),
        )


def s1_polarisation(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """VV is stronger than VH, as co-polarised backscatter is."""
    table = samples_with(inputs, "vv_vh_db", sensor="s1")
    (difference,) = columns(table, "vv_vh_db")
    failed = difference < limits["min_vv_vh_db"]
    yield from by_acquisition(
        table, failed, "vh is not weaker than vv", lambda row: f"vv - vh = {difference[row]:.1f} dB"
    )


def s1_scale(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Values are 10 log10 of power: any other scale changes level, speckle and VV - VH in proportion."""
    table = samples_with(inputs, "vv_vh_db", sensor="s1")
    difference, speckle, vv, vh, vv_low, vh_low = columns(
        table, "vv_vh_db", "vv_speckle_db", "vv_p50_db", "vh_p50_db", "vv_p1_db", "vh_p1_db"
    )
    vh_speckle, sharp = columns(table, "vh_speckle_db", "radar_sharpness")
    with np.errstate(divide="ignore", invalid="ignore"):  # images without speckle have no ratio
        ratio = np.fmin(speckle / vh_speckle, vh_speckle / speckle)
    linear = (vv_low >= 0) & (vh_low >= 0)
    compressed = ~linear & (speckle < limits["min_speckle_db"]) & (abs(difference) < limits["min_vv_vh_db"])
    compressed &= ((vh > limits["min_vh_db"]) | (sharp > limits["min_sharpness"])) & (vv < 0)
    stretched = (speckle > limits["max_speckle_db"]) & (abs(difference) > limits["max_vv_vh_db"])
    for failed, problem in (
        (linear, "no value is negative: linear scale, not dB"),
        (compressed, "scale is compressed: dB of amplitude or a natural logarithm, not dB of power"),
        (ratio < limits["min_speckle_ratio"], "scale of one polarisation is not that of the other"),
        (stretched, "scale is stretched: twice the dB of power"),
    ):
        yield from by_acquisition(
            table,
            failed,
            problem,
            lambda row: f"vv {vv[row]:.1f}, vh {vh[row]:.1f}, speckle {speckle[row]:.2f} and {vh_speckle[row]:.2f} dB",
        )


CHECKS: dict[str, Check] = {
    "nodata": nodata,
    "constant": constant,
    "saturation": saturation,
    "clouds": clouds,
    "s2-offset": s2_offset,
    "s2-offset-twice": s2_double_offset,
    "band-order": band_order,
    "s1-range": s1_range,
    "s1-polarisation": s1_polarisation,
    "s1-scale": s1_scale,
    "registration": registration,
    "registration-single": registration_single,
    **registration_groups.CHECKS,
    "drift": drift,
    **scenes.CHECKS,
    **class_levels.CHECKS,
}
