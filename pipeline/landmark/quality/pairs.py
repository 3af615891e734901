"""Checks that compare images: registration of optical and radar pairs, and near copies."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.corpus.perceptual_hash import HASH_LENGTH, near_pairs
from landmark.quality.check_input import CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.flagging import acquisitions, columns
from landmark.quality.optical import BANDS
from landmark.quality.registration import Shift, Surface, locate_peak

# Over more water than this an acquisition has too few edges to expect a peak.
_MAX_WATER_PCT = 50


def registration(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Optical and radar images of an acquisition are registered, and on land show the same place."""
    if not inputs.surfaces:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    total = Surface(
        np.sum([surface.total for surface in inputs.surfaces.values()], axis=0),
        sum(surface.chips for surface in inputs.surfaces.values()),
    )
    water_pct = _water_pct(inputs)
    for item, surface in sorted(inputs.surfaces.items()):
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
    """No chip is clearly shifted against its pair; `registration` reports acquisitions shifted as a whole."""
    table = inputs.samples.filter(pc.is_valid(inputs.samples["shift_strength"]))
    if table.num_rows == 0:
        raise NotApplicable("no pair of optical and radar images of at least 48 px was read")
    south, east, strength = columns(table, "shift_y_px", "shift_x_px", "shift_strength")
    shifted = (strength >= limits["min_strength"]) & (np.hypot(south, east) > limits["max_shift_px"])
    items = acquisitions(table)
    totals, failures = Counter(items), Counter(items[row] for row in np.flatnonzero(shifted).tolist())
    for row in np.flatnonzero(shifted).tolist():
        item = items[row]
        if totals[item] < 3 or 2 * failures[item] <= totals[item]:
            detail = f"{south[row]:+.1f} px south, {east[row]:+.1f} px east, peak of {strength[row]:.1f} deviations"
            yield Flag("radar chip is shifted against the optical one", str(table["id"][row]), detail)


def near_duplicates(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No image is a copy of another that differs only by noise, gain or offset."""
    hashed = inputs.samples.filter(pc.is_valid(inputs.samples["perceptual_hash"]))
    if hashed.num_rows == 0:
        raise NotApplicable("no image of at least 16 px was read")
    for sensor in ("s1", "s2"):
        table = hashed.filter(pc.equal(hashed["sensor"], sensor))
        ids, splits = table["id"].to_pylist(), table["split"].to_pylist()
        for row_a, row_b, similarity in _copies(table, sensor, limits):
            where = "the same split" if splits[row_a] == splits[row_b] else "another split"
            for row, copy in ((row_a, row_b), (row_b, row_a)):
                detail = f"similarity {similarity:.4f} to {ids[copy]} ({splits[copy]})"
                yield Flag(f"image is a near copy of one of {where}", str(ids[row]), detail)


def _copies(table: pa.Table, sensor: str, limits: Limits) -> Iterator[tuple[int, int, float]]:
    """Pairs of similar rows, but neither identical ones nor the same cell at two dates; and their similarity."""
    if table.num_rows == 0:
        return
    hashes = np.frombuffer(b"".join(table["perceptual_hash"].to_pylist()), dtype=np.int8).reshape(-1, HASH_LENGTH)
    names = [f"{band}_p50_dn" for band in BANDS] if sensor == "s2" else ["vv_p50_db", "vh_p50_db"]
    levels = np.array(columns(table, *names)).T
    cells, digests = table["cell"].to_pylist(), table["sha256"].to_pylist()
    for row_a, row_b, similarity in near_pairs(hashes, limits["min_similarity"]):
        if digests[row_a] == digests[row_b]:
            continue
        # The texture of a cell can stay the same for years: only equal levels show that one image is a copy.
        level_a, level_b = levels[row_a], levels[row_b]
        change_pct = 100 * float(np.max(abs(level_a - level_b) / np.maximum(abs(level_a), 1)))
        copied = similarity >= limits["min_same_cell_similarity"] and change_pct < limits["max_change_pct"]
        if cells[row_a] != cells[row_b] or copied:
            yield row_a, row_b, similarity
