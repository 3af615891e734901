"""Samples that belong together, or must not be alike: optical and radar of a place, and copies."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.flagging import acquisitions, columns
from landmark.quality.optical import ORDER
from landmark.quality.perceptual_hash import LENGTH, alike
from landmark.quality.registration import Shift, Surface, peak

_MOST_WET_PCT = 50


def registration(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Optical and radar images of an acquisition lie on each other, and on land show the same place."""
    if not evidence.surfaces:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    whole = Surface(
        np.sum([surface.total for surface in evidence.surfaces.values()], axis=0),
        sum(surface.chips for surface in evidence.surfaces.values()),
    )
    wet = _water_pct(evidence)
    for item, surface in sorted(evidence.surfaces.items()):
        shift = peak(surface)
        others = Surface(whole.total - surface.total, whole.chips - surface.chips)
        if _moved(shift, surface, limits):
            yield Flag("radar and optical images do not lie on each other", item, _said(shift, surface))
        elif wet.get(item, 0) < _MOST_WET_PCT and _strange(shift, surface, others, limits):
            yield Flag("radar and optical images do not show the same place", item, _said(shift, surface))


def _water_pct(evidence: Evidence) -> dict[str, float]:
    """Per optical acquisition the median share of water: over it there are no edges to see."""
    table = evidence.of("s2")
    (water,) = columns(table, "water_pct")
    of: dict[str, list[float]] = {}
    for item, share in zip(acquisitions(table), water.tolist(), strict=True):
        of.setdefault(item, []).append(share)
    return {item: float(np.nanmedian(shares)) for item, shares in of.items() if np.isfinite(shares).any()}


def _moved(shift: Shift, surface: Surface, limits: Limits) -> bool:
    certain = shift.strength >= limits["least_strength"] and surface.chips >= limits["least_chips"]
    return certain and float(np.hypot(shift.y_px, shift.x_px)) > limits["max_shift_px"]


def _strange(shift: Shift, surface: Surface, others: Surface, limits: Limits) -> bool:
    """Nothing stands out, where as many chips of the other acquisitions together would make a clear peak."""
    if shift.strength >= limits["most_strange_strength"] or others.chips == 0:
        return False
    expected = peak(others).strength * (surface.chips / others.chips) ** 0.5
    return bool(expected >= limits["least_expected_strength"])


def _said(shift: Shift, surface: Surface) -> str:
    place = f"radar {shift.y_px:+.1f} px south, {shift.x_px:+.1f} px east"
    return f"{place}, peak of {shift.strength:.1f} deviations over {surface.chips} chips"


def registration_single(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No chip lies clearly off its pair; an acquisition that is off as a whole is told by `registration`."""
    table = evidence.samples.filter(pc.is_valid(evidence.samples["shift_strength"]))
    if table.num_rows == 0:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    rows, cols, strength = columns(table, "shift_y_px", "shift_x_px", "shift_strength")
    bad = (strength >= limits["least_strength"]) & (np.hypot(rows, cols) > limits["max_shift_px"])
    items = acquisitions(table)
    number, worse = Counter(items), Counter(items[row] for row in np.flatnonzero(bad).tolist())
    for row in np.flatnonzero(bad).tolist():
        if 2 * worse[items[row]] <= number[items[row]] or number[items[row]] < 3:
            seen = f"{rows[row]:+.1f} px south, {cols[row]:+.1f} px east, peak of {strength[row]:.1f} deviations"
            yield Flag("the radar image lies off the optical one", str(table["id"][row]), seen)


def near_duplicates(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No image looks like another but for noise, gain or offset."""
    printed = evidence.samples.filter(pc.is_valid(evidence.samples["print"]))
    if printed.num_rows == 0:
        raise NotApplicable("no image of at least 16 px was read")
    for sensor in ("s1", "s2"):
        table = printed.filter(pc.equal(printed["sensor"], sensor))
        ids, splits = table["id"].to_pylist(), table["split"].to_pylist()
        for one, other, likeness in _near(table, sensor, limits):
            what = f"an image is a near copy of one of {'its own' if splits[one] == splits[other] else 'another'} split"
            for mine, its in ((one, other), (other, one)):
                yield Flag(what, str(ids[mine]), f"{likeness:.4f} like {ids[its]} ({splits[its]})")


def _near(table: pa.Table, sensor: str, limits: Limits) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows that are alike, but neither the same file nor a place that looks like itself at another date."""
    if table.num_rows == 0:
        return
    prints = np.frombuffer(b"".join(table["print"].to_pylist()), dtype=np.int8).reshape(-1, LENGTH)
    names = [f"{band}_p50_dn" for band in ORDER] if sensor == "s2" else ["vv_p50_db", "vh_p50_db"]
    levels = np.array(columns(table, *names)).T
    cells, digests = table["cell"].to_pylist(), table["sha256"].to_pylist()
    for one, other, likeness in alike(prints, limits["least_likeness"]):
        if digests[one] == digests[other]:
            continue
        # Texture stays where nothing grows; only levels then tell a copy from the next image of the place.
        change_pct = 100 * float(np.max(abs(levels[one] - levels[other]) / np.maximum(abs(levels[one]), 1)))
        own = likeness >= limits["least_own_likeness"] and change_pct < limits["max_change_pct"]
        if cells[one] != cells[other] or own:
            yield one, other, likeness
