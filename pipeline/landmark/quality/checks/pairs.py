"""Checks of the registration of optical and radar pairs."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from landmark.quality.check_input import CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import acquisitions, columns
from landmark.quality.checks.orientation import turned_images
from landmark.quality.chips.registration import Shift, Surface, group_surfaces, locate_peak, sum_surfaces
from landmark.quality.findings import Flag, NotApplicable

# Over more water than this an acquisition has too few edges to expect a peak.
_MAX_WATER_PCT = 50


def registration(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Optical and radar images of an acquisition are registered, and on land show the same place."""
    if not inputs.surfaces:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    total, water_pct = sum_surfaces(inputs.surfaces.values()), _water_pct(inputs)
    for item, surface in sorted(group_surfaces(inputs.surfaces, lambda optical, radar: optical).items()):
        shift = locate_peak(surface)
        rest = Surface(total.total - surface.total, total.chips - surface.chips)
        detail = (
            f"radar {shift.y_px:+.1f} px south, {shift.x_px:+.1f} px east,"
            f" peak of {shift.strength:.1f} deviations over {surface.chips} chips"
        )
        if _is_shifted(shift, surface, limits):
            yield Flag("radar and optical images are not registered", item, detail)
        elif water_pct.get(item, 0) < _MAX_WATER_PCT and _is_unrelated(shift, surface, rest, limits):
            yield Flag("radar and optical images do not show the same place", item, detail)


def _water_pct(inputs: CheckInput) -> dict[str, float]:
    """Per optical acquisition, the median share of water."""
    table = inputs.samples_of("s2")
    (water,) = columns(table, "water_pct")
    shares: dict[str, list[float]] = {}
    for item, share in zip(acquisitions(table), water.tolist(), strict=True):
        shares.setdefault(item, []).append(share)
    return {item: float(np.nanmedian(values)) for item, values in shares.items() if np.isfinite(values).any()}


def _is_shifted(shift: Shift, surface: Surface, limits: Limits) -> bool:
    certain = shift.strength >= limits["min_strength"] and surface.chips >= limits["min_chips"]
    return certain and float(np.hypot(shift.y_px, shift.x_px)) > limits["max_shift_px"]


def _is_unrelated(shift: Shift, surface: Surface, rest: Surface, limits: Limits) -> bool:
    """No peak, where as many chips of the other acquisitions would give a clear one."""
    if shift.strength >= limits["max_unrelated_strength"] or rest.chips == 0:
        return False
    expected = locate_peak(rest).strength * (surface.chips / rest.chips) ** 0.5
    return bool(expected >= limits["min_expected_strength"])


def registration_single(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No chip is clearly shifted against its pair, nor turned against the images of its cell.

    `registration` reports acquisitions shifted as a whole.
    """
    n_compared = yield from turned_images(inputs, limits)
    table = inputs.samples.filter(pc.is_valid(inputs.samples["shift_strength"]))
    if table.num_rows == 0 and n_compared == 0:
        raise NotApplicable("no cell has two images that were read, nor a pair of at least 48 px")
    south, east, strength = columns(table, "shift_y_px", "shift_x_px", "shift_strength")
    shifted = (strength >= limits["min_strength"]) & (np.hypot(south, east) > limits["max_shift_px"])
    items = acquisitions(table)
    totals, failures = Counter(items), Counter(items[row] for row in np.flatnonzero(shifted).tolist())
    for row in np.flatnonzero(shifted).tolist():
        item = items[row]
        if totals[item] < 3 or 2 * failures[item] <= totals[item]:
            detail = f"{south[row]:+.1f} px south, {east[row]:+.1f} px east, peak of {strength[row]:.1f} deviations"
            yield Flag("radar chip is shifted against the optical one", str(table["id"][row]), detail)
