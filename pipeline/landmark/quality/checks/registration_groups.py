"""Check of small shifts that groups of acquisitions share: a platform, an orbit, a processing baseline, a UTM zone."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.chips.registration import MAX_SHIFT_PX, Surface, locate_peak
from landmark.quality.findings import Flag, NotApplicable

F8 = NDArray[np.float64]
Facts = Mapping[str, Any]
_COLUMNS = ("sensor", "platform", "orbit_direction", "relative_orbit", "baseline", "epsg")
_PIXEL_M = 10
# Pixels times strength: the standard error of a peak of a strength.
_PEAK_ERROR_PX = 1.2
_MAX_FLAGS = 20


class Pairs(NamedTuple):
    """Pairs of an optical and a radar acquisition.

    Attributes:
        totals: (pair, shift) correlations summed over chips.
        chips: (pair,) number of chips.
        shifts: (pair, 2) pixels to the south and east; NaN where the peak is uncertain.
        groups: Names of groups with the same members → their pairs.
    """

    totals: F8
    chips: NDArray[np.int64]
    shifts: F8
    groups: dict[tuple[str, ...], NDArray[np.intp]]

    def surface(self, members: NDArray[np.intp]) -> Surface:
        """Sum over some pairs."""
        size = 2 * MAX_SHIFT_PX + 1
        total = self.totals[members].sum(axis=0).reshape(size, size)
        return Surface(total.astype(np.int64), int(self.chips[members].sum()))


class Deviation(NamedTuple):
    """A group's strength and chips, its shift less that of all other pairs (south, east) in pixels, and the limit."""

    strength: float
    chips: int
    difference: F8
    limit: float

    @property
    def certainty(self) -> float:
        """The difference as a multiple of the precision of the peak."""
        return float(np.hypot(*self.difference)) * self.strength


def registration_groups(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No group of acquisitions is shifted against the others, nor all together.

    The group with the most certain difference is reported and left out, until no other differs.
    """
    if not inputs.surfaces:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    pairs = _pairs(inputs, limits)
    active = np.ones(len(pairs.chips), dtype=bool)
    if np.isfinite(pairs.shifts[:, 0]).sum() < limits["min_pairs"]:
        raise NotApplicable("too few pairs of acquisitions have an optical and a radar image with a clear shift")
    for _ in range(_MAX_FLAGS):
        total = pairs.surface(np.flatnonzero(active))
        deviations = [
            (deviation, names)
            for names, members in pairs.groups.items()
            if (deviation := _deviation(pairs, members[active[members]], active, total, limits)) is not None
        ]
        if not deviations:
            break
        deviation, names = max(deviations, key=lambda entry: (entry[0].certainty, entry[1]))
        yield _flag(names, deviation)
        active[pairs.groups[names]] = False
    yield from _common_flags(pairs, np.flatnonzero(active), limits)


def _pairs(inputs: CheckInput, limits: Limits) -> Pairs:
    keys = sorted(inputs.surfaces)
    surfaces = [inputs.surfaces[key] for key in keys]
    shifts = np.full((len(keys), 2), np.nan)
    for index, surface in enumerate(surfaces):
        shift = locate_peak(surface)
        if surface.chips >= limits["min_chips"] and shift.strength >= limits["min_strength"]:
            shifts[index] = shift.y_px, shift.x_px
    rows = inputs.samples.select(["items", *_COLUMNS]).to_pylist()
    facts = {str(row["items"][0]): row for row in rows if row["items"]}
    totals = np.array([surface.total.ravel() for surface in surfaces], dtype=np.float64)
    return Pairs(totals, np.array([surface.chips for surface in surfaces]), shifts, _groups(keys, facts))


def _groups(keys: list[tuple[str, str]], facts: Mapping[str, Facts]) -> dict[tuple[str, ...], NDArray[np.intp]]:
    """Pairs by columns of either acquisition, and by acquisition; groups of the same pairs are one."""
    members: dict[str, list[int]] = {}
    for number, (optical, radar) in enumerate(keys):
        for name in dict.fromkeys([optical, radar, *_names(facts[optical], facts[radar])]):
            members.setdefault(name, []).append(number)
    merged: dict[tuple[int, ...], list[str]] = {}
    for name, numbers in members.items():
        merged.setdefault(tuple(numbers), []).append(name)
    return {tuple(names): np.array(numbers) for numbers, names in merged.items()}


def _names(optical: Facts, radar: Facts) -> Iterator[str]:
    """Names of the groups of a pair beside its acquisitions, the smaller groups first."""
    for row in (optical, radar):
        platform, direction, orbit = row["platform"], row["orbit_direction"], row["relative_orbit"]
        yield from (f"{platform} {direction} {orbit}", f"{row['sensor']} {direction} {orbit}")
        yield from (f"{platform} {direction}", f"{row['sensor']} {direction}", str(platform))
    yield from (f"baseline {optical['baseline']}", f"EPSG:{optical['epsg']}")


def _deviation(
    pairs: Pairs, inside: NDArray[np.intp], active: NDArray[np.bool_], total: Surface, limits: Limits
) -> Deviation | None:
    """A group that differs from all others, and is farther from no shift than they; None for any other group.

    Args:
        pairs: All pairs.
        inside: Active members of the group.
        active: Mask of the pairs in the comparison.
        total: Sum of the active pairs.
        limits: `min_chips`, `min_strength`, `max_difference_px`, `min_standard_errors`.
    """
    group = pairs.surface(inside)
    rest = Surface(total.total - group.total, total.chips - group.chips)
    if min(group.chips, rest.chips) < limits["min_chips"]:
        return None
    shift, rest_shift = locate_peak(group), locate_peak(rest)
    difference = np.array([shift.y_px - rest_shift.y_px, shift.x_px - rest_shift.x_px])
    farther = np.hypot(shift.y_px, shift.x_px) >= np.hypot(rest_shift.y_px, rest_shift.x_px)
    certain = min(shift.strength, rest_shift.strength) >= limits["min_strength"]
    if not farther or not certain or np.hypot(*difference) <= limits["max_difference_px"]:
        return None
    outside = np.setdiff1d(np.flatnonzero(active), inside)
    error = np.hypot(_standard_error(pairs, inside, outside), _PEAK_ERROR_PX / shift.strength)
    limit = max(limits["max_difference_px"], limits["min_standard_errors"] * float(error))
    return Deviation(shift.strength, group.chips, difference, limit) if np.hypot(*difference) > limit else None


def _standard_error(pairs: Pairs, *sides: NDArray[np.intp]) -> float:
    """Standard error of the difference of the shifts of two sides, or of one, from the spread of pairs within them."""
    shifts = [pairs.shifts[side][np.isfinite(pairs.shifts[side, 0])] for side in sides]
    residuals = np.concatenate([abs(part - np.median(part, axis=0)) for part in shifts if len(part)])
    spread = 1.4826 * float(np.median(residuals, axis=0).max())
    return spread * float(np.sqrt(sum(1 / max(len(part), 1) for part in shifts)))


def _flag(names: tuple[str, ...], deviation: Deviation) -> Flag:
    south, east = deviation.difference
    same_pairs = f"; the same pairs as {', '.join(names[1:])}" if len(names) > 1 else ""
    limit = f"limit {_PIXEL_M * deviation.limit:.1f} m"
    detail = f"radar {_metres(-south, east)} from others over {deviation.chips} chips, {limit}{same_pairs}"
    return Flag("optical and radar images are shifted differently than those of others", names[0], detail)


def _common_flags(pairs: Pairs, active: NDArray[np.intp], limits: Limits) -> Iterator[Flag]:
    if np.isfinite(pairs.shifts[active, 0]).sum() < limits["min_pairs"]:
        return
    total = pairs.surface(active)
    shift = locate_peak(total)
    limit = max(limits["max_common_px"], limits["min_standard_errors"] * _standard_error(pairs, active))
    if np.hypot(shift.y_px, shift.x_px) > limit:
        detail = f"radar {_metres(-shift.y_px, shift.x_px)} over {total.chips} chips, limit {_PIXEL_M * limit:.1f} m"
        yield Flag("optical and radar images of the whole corpus are shifted", "all pairs", detail)


def _metres(north: float, east: float) -> str:
    return f"{_PIXEL_M * north:+.1f} m north, {_PIXEL_M * east:+.1f} m east"


CHECKS: dict[str, Check] = {"registration-groups": registration_groups}
