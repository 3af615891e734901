"""Check of the order of Sentinel-2 bands by the spectra of plants and soil and the correlation of neighbours."""

from collections.abc import Iterator

import numpy as np

from landmark.quality.check_input import CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import RowMask, by_acquisition, columns, samples_with
from landmark.quality.chips.optical import GREEN_BANDS
from landmark.quality.findings import Flag


def band_order(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Every band holds the wavelengths of its name.

    Relations that hold for any land: B08 and B8A measure the same infrared; over plants red < red edge < infrared,
    green is a local maximum and water in leaves darkens B12 more than B11; dry soil brightens from blue to red; a band
    correlates best with its spectral neighbour.
    """
    yield from _near_infrared(inputs, limits)
    yield from _plants(inputs, limits)
    yield from _blue_and_red(inputs, limits)


def _near_infrared(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    table = samples_with(inputs, "B8A_p50_dn", sensor="s2")
    ratio, r = columns(table, "B8A_B08", "B08_B8A_r")
    failed = (ratio < limits["min_B8A_B08"]) | (ratio > limits["max_B8A_B08"]) | (r < limits["min_B08_B8A_r"])
    yield from by_acquisition(
        table,
        failed,
        "B08 and B8A do not measure the same infrared",
        lambda row: f"B8A / B08 = {ratio[row]:.2f}, r = {r[row]:.2f}",
        assessable=np.isfinite(ratio),
    )


def _plants(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    table = samples_with(inputs, "B8A_p50_dn", sensor="s2")
    spectrum = columns(table, *(f"green_{name}_dn" for name in GREEN_BANDS))
    b02, b03, b04, b05, b06, b07, b11, b12 = spectrum
    flat_edge = (b04 > b05) | (b03 > b05) | (b05 > b06) | (b06 > b07)
    no_peak = (b03 < limits["min_green_blue"] * b02) | (b03 < limits["min_green_red"] * b04)
    relations: tuple[tuple[RowMask, str], ...] = (
        (flat_edge, "the red edge of plants does not rise from B04 to B07"),
        (no_peak, "plants are darker in green (B03) than in blue or red"),
        (b12 > limits["max_B12_B11"] * b11, "plants are brighter in B12 than in B11"),
    )
    for failed, problem in relations:
        yield from by_acquisition(
            table,
            failed,
            problem,
            lambda row: " ".join(f"{name} {value[row]:.0f}" for name, value in zip(GREEN_BANDS, spectrum, strict=True)),
            assessable=np.isfinite(b04),
        )


def _blue_and_red(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    table = samples_with(inputs, "B8A_p50_dn", sensor="s2")
    soil, blue_z, edge_z, lit = columns(table, "soil_red_blue", "blue_z", "edge_z", "B8A_B08")
    land = np.isfinite(lit)
    unlike_neighbours = land & (blue_z < -limits["min_z"]) & (edge_z < -limits["min_z"])
    yield from by_acquisition(
        table,
        unlike_neighbours | (soil < limits["min_soil_red_blue"]),
        "B02 and B04 are exchanged",
        lambda row: f"soil: B04 / B02 = {soil[row]:.2f}; z to B01 {blue_z[row]:+.2f}, to B05 {edge_z[row]:+.2f}",
        assessable=land | np.isfinite(soil),
    )
