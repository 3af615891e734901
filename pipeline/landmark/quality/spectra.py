"""Do the bands bear their own names: what plants, soil and neighbours in the spectrum say of their order."""

from collections.abc import Iterator

import numpy as np

from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence
from landmark.quality.findings import Flag
from landmark.quality.flagging import Rows, columns, looked_at, together
from landmark.quality.optical import GREEN


def band_order(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No spectrum is one that only exchanged bands can show.

    Laws of spectra that hold for any land: B08 and B8A see the same infrared; over plants red < red edge < infrared,
    green is a peak and water in leaves darkens B12 more than B11; dry soil brightens from blue to red; a band goes
    with its neighbour in the spectrum rather than with one farther off.
    """
    table = looked_at(evidence, "s2", "B8A_p50_dn")
    ratio, alike = columns(table, "B8A_B08", "B08_B8A_r")
    apart = (ratio < limits["least_B8A_B08"]) | (ratio > limits["most_B8A_B08"]) | (alike < limits["least_B08_B8A_r"])
    yield from together(
        table,
        apart,
        "B08 and B8A do not see the same infrared",
        lambda row: f"B8A / B08 = {ratio[row]:.2f}, r = {alike[row]:.2f}",
        telling=np.isfinite(ratio),
    )
    yield from _plants(evidence, limits)
    yield from _blue_and_red(evidence, limits)


def _plants(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    table = looked_at(evidence, "s2", "B8A_p50_dn")
    spectrum = columns(table, *(f"green_{name}_dn" for name in GREEN))
    blue, green, red, edge, steep, near, short, longer = spectrum
    telling = np.isfinite(red)
    flat_edge = (red > edge) | (green > edge) | (edge > steep) | (steep > near)
    no_peak = (green < limits["least_green_blue"] * blue) | (green < limits["least_green_red"] * red)
    laws: tuple[tuple[Rows, str], ...] = (
        (flat_edge, "the red edge of plants does not rise from B04 to B07"),
        (no_peak, "plants are darker in green (B03) than in blue or red"),
        (longer > limits["most_B12_B11"] * short, "plants are brighter in B12 than in B11"),
    )
    for bad, what in laws:
        yield from together(
            table,
            bad,
            what,
            lambda row: " ".join(f"{name} {value[row]:.0f}" for name, value in zip(GREEN, spectrum, strict=True)),
            telling=telling,
        )


def _blue_and_red(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    table = looked_at(evidence, "s2", "B8A_p50_dn")
    soil, blue, edge, lit = columns(table, "soil_red_blue", "blue_z", "edge_z", "B8A_B08")
    land = np.isfinite(lit)
    strangers = land & (blue < -limits["least_z"]) & (edge < -limits["least_z"])
    yield from together(
        table,
        strangers | (soil < limits["least_soil_red_blue"]),
        "B02 and B04 are exchanged",
        lambda row: f"soil: B04 / B02 = {soil[row]:.2f}; z to B01 {blue[row]:+.2f}, to B05 {edge[row]:+.2f}",
        telling=land | np.isfinite(soil),
    )
