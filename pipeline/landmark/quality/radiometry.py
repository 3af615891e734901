"""Are the numbers what they are said to be: gaps, dead and saturated pixels, cloud, offset, scale, polarisation."""

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from landmark.quality.check_profile import Limits
from landmark.quality.drift import drift
from landmark.quality.evidence import Evidence, Judge
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.flagging import columns, each, looked_at, together
from landmark.quality.optical import ORDER
from landmark.quality.pairs import near_duplicates, registration, registration_single
from landmark.quality.spectra import band_order


def nodata(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Gaps are where valid_pct says, and in all bands at once."""
    table = evidence.samples.filter(pc.is_valid(evidence.samples["data_pct"]))
    if table.num_rows == 0:
        raise NotApplicable("no pixels were read")
    said, found, apart = columns(table, "valid_pct", "data_pct", "masked_apart_pct")
    empty = (found == 0) & ~(apart > 0)
    yield from each(table, empty, "no pixel has data", lambda row: f"valid_pct {said[row]:.1f}")
    wrong = ~empty & ~(abs(said - found) <= limits["tolerance_pct"])
    yield from each(
        table, wrong, "valid_pct is not what the pixels show", lambda row: f"{said[row]:.1f}, seen {found[row]:.1f}"
    )
    torn = apart > limits["max_apart_pct"]
    yield from each(table, torn, "some bands have data where others have none", lambda row: f"{apart[row]:.1f} %")


def constant(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No chip or band is of one value, black, or has dead or repeated lines and flat blocks; the worst is told."""
    table = evidence.samples.filter(pc.is_valid(evidence.samples["constant_bands"]))
    if table.num_rows == 0:
        raise NotApplicable("no pixels were read")
    bands, lines, flat = columns(table, "constant_bands", "equal_lines", "flat_blocks_pct")
    brightest = np.max(columns(table, *(f"{band}_p50_dn" for band in ORDER)), axis=0)
    black = brightest < limits["least_brightest_dn"]
    one = ~black & (bands > 0)
    blocks = ~black & ~one & (flat > limits["max_flat_pct"])
    dead = ~black & ~one & ~blocks & (lines >= limits["least_lines"])
    yield from each(table, black, "the chip is black", lambda row: f"medians of all bands <= {brightest[row]:.0f}")
    yield from each(table, one, "a band is of one value", lambda row: f"{bands[row]:.0f} bands")
    yield from each(table, blocks, "blocks are of one value", lambda row: f"{flat[row]:.1f} % of a band")
    yield from each(table, dead, "rows or columns are dead or repeated", lambda row: f"{lines[row]:.0f} of a band")


def saturation(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Few pixels stand at the end of their band's range."""
    table = evidence.samples.filter(pc.is_valid(evidence.samples["saturated_pct"]))
    if table.num_rows == 0:
        raise NotApplicable("no pixels were read")
    (share,) = columns(table, "saturated_pct")
    what = "many pixels share the highest or lowest value of a band"
    yield from each(table, share > limits["max_pct"], what, lambda row: f"{share[row]:.1f} %")


def clouds(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No more cloud and shadow than the recipe allows, and no chip that looks cloudy though its mask says clear."""
    table = looked_at(evidence, "s2", "cloudy_pct")
    cloud, shadow, looks = columns(table, "cloud_pct", "shadow_pct", "cloudy_pct")
    if not np.isfinite(cloud).any():
        raise NotApplicable("no image came with a mask of clouds")
    most = float(evidence.known.recipe.get("clouds", {}).get("max_chip_pct", 100))
    # Percentages are float32, and the build compared the exact share.
    over = cloud + np.nan_to_num(shadow) > most + 0.01
    what = "more cloud and shadow than the recipe allows"
    yield from each(table, over, what, lambda row: f"{cloud[row] + shadow[row]:.1f} %, not {most:g}")
    veiled = looks - cloud > limits["max_unseen_pct"]
    yield from together(
        table, veiled, "looks cloudy, but the mask says clear", lambda row: f"{looks[row]:.0f} %, said {cloud[row]:.0f}"
    )


def s2_offset(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The offset of 1000 is out: something in an image is darker, above all plants in blue, or water and shadow in B12.

    Where all is bright (desert, snow, cloud) the darkest pixels tell nothing, and nothing is said.
    """
    table = looked_at(evidence, "s2", "darkest_p1_dn")
    darkest, short, plants, snow, cloudy = columns(
        table, "darkest_p1_dn", "B12_p1_dn", "green_B02_dn", "ndsi_mean", "cloudy_pct"
    )
    floor = limits["least_dn"]
    dark_ground = np.isfinite(plants) | (short <= limits["most_dark_B12_dn"])
    telling = dark_ground & ~(snow > limits["max_ndsi"]) & ~(cloudy > limits["max_cloudy_pct"])
    bad = telling & (darkest >= floor) & ((plants >= floor) | (short <= limits["most_dark_B12_dn"]))
    what = "the offset of 1000 is still in the numbers"
    yield from together(table, bad, what, lambda row: f"darkest 1 % at {darkest[row]:.0f} dn", telling=telling)


def s2_offset_twice(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The offset was not removed from numbers that had none: plants are not black in blue, and few pixels clipped."""
    table = looked_at(evidence, "s2", "B02_clipped_pct")
    plants, clipped = columns(table, "green_B02_dn", "B02_clipped_pct")
    bad = (plants < limits["least_green_B02_dn"]) | (clipped > limits["max_clipped_pct"])
    what = "an offset was removed twice"
    yield from together(table, bad, what, lambda row: f"{clipped[row]:.0f} % of B02 clipped at 1")


def s1_range(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """gamma0 lies where the ground's can."""
    table = looked_at(evidence, "s1", "vv_p50_db")
    for name in ("vv", "vh"):
        low, middle, high = columns(table, f"{name}_p1_db", f"{name}_p50_db", f"{name}_p99_db")
        bad = (low < limits["least_db"]) | (high > limits["most_db"])
        bad |= (middle < limits[f"least_{name}_median_db"]) | (middle > limits[f"most_{name}_median_db"])
        yield from together(
            table,
            bad,
            f"{name} is outside what gamma0 can be",
            lambda row, low=low, middle=middle, high=high: (  # type: ignore[misc]
                f"1, 50, 99 % at {low[row]:.1f}, {middle[row]:.1f}, {high[row]:.1f} dB"
            ),
        )


def s1_polarisation(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """VV is the stronger one: what turns the polarisation returns less than what keeps it."""
    table = looked_at(evidence, "s1", "vv_vh_db")
    (above,) = columns(table, "vv_vh_db")
    bad = above < limits["least_vv_over_vh_db"]
    yield from together(table, bad, "vh is stronger than vv", lambda row: f"vv - vh = {above[row]:.1f} dB")


def s1_scale(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Numbers are 10 log10 of power: any other scale squeezes or stretches level, speckle and polarisations at once."""
    table = looked_at(evidence, "s1", "vv_vh_db")
    above, speckle, vv, vh, vv_low, vh_low = columns(
        table, "vv_vh_db", "vv_speckle_db", "vv_p50_db", "vh_p50_db", "vv_p1_db", "vh_p1_db"
    )
    linear = (vv_low >= 0) & (vh_low >= 0)
    squeezed = ~linear & (speckle < limits["least_speckle_db"]) & (abs(above) < limits["least_vv_vh_db"])
    squeezed &= (vh > limits["least_vh_db"]) & (vv < 0)
    stretched = (speckle > limits["most_speckle_db"]) & (abs(above) > limits["most_vv_vh_db"])
    for bad, what in (
        (linear, "no pixel is negative: linear numbers, not dB"),
        (squeezed, "squeezed: dB of amplitude or a natural logarithm, not dB of power"),
        (stretched, "stretched: twice the dB of power"),
    ):
        yield from together(
            table,
            bad,
            what,
            lambda row: f"vv {vv[row]:.1f}, vh {vh[row]:.1f}, speckle {speckle[row]:.2f} dB",
        )


JUDGES: dict[str, Judge] = {
    "nodata": nodata,
    "constant": constant,
    "saturation": saturation,
    "clouds": clouds,
    "s2-offset": s2_offset,
    "s2-offset-twice": s2_offset_twice,
    "band-order": band_order,
    "s1-range": s1_range,
    "s1-polarisation": s1_polarisation,
    "s1-scale": s1_scale,
    "registration": registration,
    "registration-single": registration_single,
    "drift": drift,
    "near-duplicates": near_duplicates,
}
