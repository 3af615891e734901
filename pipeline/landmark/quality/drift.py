"""Is any platform, processing or split brighter than the ground it saw explains."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence, numbers
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.flagging import acquisitions, looked_at
from landmark.quality.optical import ORDER

F8 = NDArray[np.float64]
FACTORS = ("platform", "baseline", "product", "orbit_direction", "split")
BANDS = {"s2": [f"{band}_p50_dn" for band in ORDER], "s1": ["vv_p50_db", "vh_p50_db"]}
# Their level says nothing of the instrument: wind, glint, ice, or the weather.
_UNSTEADY = ("water", "snow_and_ice", "flooded_vegetation", "flooded_area")
_PLACE_DEG = 5.0


class Contrast(NamedTuple):
    """How far one level of a factor lies above the others on like ground, and the standard error of that, per band."""

    above: F8
    error: F8
    samples: int


class Ground(NamedTuple):
    """What the samples of a sensor saw.

    Attributes:
        rows: Those with labels, little water and little cloud.
        block: Per sample region and month, and for radar the side it is seen from.
        mixture: (sample, class) shares.
    """

    rows: NDArray[np.bool_]
    block: list[tuple[Hashable, ...]]
    mixture: F8


def drift(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Bands of no level of a factor depart from the others' more than shares of classes, month and region explain."""
    compared = False
    for sensor, names in BANDS.items():
        try:
            table = looked_at(evidence, sensor, names[0])
        except NotApplicable:
            continue
        values, ground, items = _values(table, sensor), ground_of(table, limits), acquisitions(table)
        for factor in FACTORS:
            levels = table[factor].to_pylist()
            for level in sorted({level for level in levels if level is not None}):
                # Seen from the other side, like ground is not alike to radar.
                like = (
                    ground._replace(block=[key[:3] for key in ground.block]) if factor == "orbit_direction" else ground
                )
                found = contrast(values, like, levels, items, level=level, limits=limits)
                if found is not None:
                    compared = True
                    where = f"{sensor} {level}" if factor in ("split", "orbit_direction") else str(level)
                    yield from _flags(found, sensor, factor, where, limits)
    if not compared:
        raise NotApplicable("no two platforms, processings or splits saw like ground in one month often enough")


def _values(table: pa.Table, sensor: str) -> F8:
    """(sample, band): dB, or hundred times the natural logarithm of reflectance, so that differences are percent."""
    levels = np.array([numbers(table, name) for name in BANDS[sensor]]).T
    return levels if sensor == "s1" else 100 * np.log(np.maximum(levels, 1))


def ground_of(table: pa.Table, limits: Limits) -> Ground:
    """What each sample saw, by its labels, date and place."""
    shares: list[Mapping[str, float]] = [dict(row or ()) for row in table["fractions"].to_pylist()]
    classes = sorted({key for row in shares for key in row})
    mixture = np.array([[row.get(key, 0.0) for key in classes] for row in shares]).reshape(len(shares), -1)
    unsteady = mixture[:, [key in _UNSTEADY for key in classes]].sum(axis=1)
    rows = (mixture.sum(axis=1) > 0.5) & (100 * unsteady <= limits["max_water_pct"])
    rows &= ~(numbers(table, "cloud_pct") > limits["max_cloud_pct"])
    names = ("datetime", "lon", "lat", "orbit_direction")
    block: list[tuple[Hashable, ...]] = [
        (when.month, lon // _PLACE_DEG, lat // _PLACE_DEG, side) for when, lon, lat, side in
             zip(*(table[name].to_pylist() for name in names), strict=True)]  # fmt: skip
    return Ground(rows, block, mixture)


def contrast(
    values: F8, ground: Ground, levels: list[Any], items: list[str], *, level: str, limits: Limits
) -> Contrast | None:
    """A level against all others; None where too few samples or acquisitions of like ground tell."""
    blocks: dict[Hashable, list[int]] = defaultdict(list)
    for row in np.flatnonzero(ground.rows).tolist():
        if levels[row] is not None and np.isfinite(values[row]).all():
            blocks[ground.block[row]].append(row)
    parts, sides = [], (set[str](), set[str]())
    for rows in blocks.values():
        mine = np.array([levels[row] == level for row in rows])
        of = np.unique([items[row] for row in rows], return_inverse=True)[1]
        part = _within(values[rows], ground.mixture[rows], mine.astype(np.float64), of, limits)
        if part is not None:
            parts.append(part)
            for row, own in zip(rows, mine.tolist(), strict=True):
                sides[own].add(items[row])
    if not parts or min(map(len, sides)) < limits["least_acquisitions"]:
        return None
    weights = np.array([1 / np.maximum(part.error, 1e-6) ** 2 for part in parts])
    above = (weights * [part.above for part in parts]).sum(axis=0) / weights.sum(axis=0)
    return Contrast(above, 1 / np.sqrt(weights.sum(axis=0)), sum(part.samples for part in parts))


def _within(values: F8, mixture: F8, mine: F8, of: NDArray[np.intp], limits: Limits) -> Contrast | None:
    """Least squares in one block: the mixture of its classes' levels, plus the contrast (Frisch & Waugh 1933).

    Fitted twice, without samples far from the first fit. Samples of one acquisition share haze and moisture: the error
    is the larger of the plain one and the one between acquisitions (Liang & Zeger 1986).

    Of each sample: `values` per band, `mixture` per class, `mine` 1 where it is of the level, `of` its acquisition.
    """
    keep = np.ones(len(mine), dtype=bool)
    found = None
    for _ in range(2):
        own = mine[keep] - _explained(mine[keep][:, None], mixture[keep])[:, 0]
        free = int(keep.sum()) - int(np.linalg.matrix_rank(mixture[keep])) - 1
        # The contrast's own part of the design, as if of so many samples on each side.
        if free < limits["least_samples"] or float(own @ own) < limits["least_samples"] / 2:
            return found
        rest = values[keep] - _explained(values[keep], mixture[keep])
        above = own @ rest / (own @ own)
        left = rest - own[:, None] * above
        plain = (left**2).sum(axis=0) / free / (own @ own)
        shared = np.array([(own[one] @ left[one]) for one in (of[keep] == number for number in np.unique(of[keep]))])
        between = (shared**2).sum(axis=0) * len(shared) / max(len(shared) - 1, 1) / (own @ own) ** 2
        found = Contrast(above, np.sqrt(np.maximum(plain, between)), int(keep.sum()))
        far = (abs(left) > 3 * 1.4826 * np.maximum(np.median(abs(left), axis=0), 1e-9)).mean(axis=1)
        keep[np.flatnonzero(keep)[far > 0.5]] = False
    return found


def _explained(values: F8, mixture: F8) -> F8:
    return np.asarray(mixture @ np.linalg.lstsq(mixture, values, rcond=1e-6)[0])


def _flags(found: Contrast, sensor: str, factor: str, where: str, limits: Limits) -> Iterator[Flag]:
    """All bands together where they move together, else each that moves."""
    most, most_all = (
        (limits["max_band_db"], limits["max_db"]) if sensor == "s1" else
        (limits["max_band_pct"], limits["max_pct"])
    )  # fmt: skip
    ground = f"over {found.samples} samples of like ground"
    sure = abs(found.above) > limits["least_errors"] * found.error
    whole = float(np.median(found.above))
    if (np.sign(found.above) == np.sign(whole)).all() and abs(whole) > most_all and sure.mean() > 0.5:
        seen = f"{_said(whole, sensor)} in the median of all bands, {ground}"
        yield Flag(f"a {factor} departs from the others in all bands", where, seen)
        return
    for name, above, certain in zip(BANDS[sensor], found.above.tolist(), sure.tolist(), strict=True):
        if certain and abs(above) > most:
            band = f"{where} {name.split('_')[0]}"
            yield Flag(f"a {factor} departs from the others in a band", band, f"{_said(above, sensor)} {ground}")


def _said(above: float, sensor: str) -> str:
    return f"{above:+.1f} dB" if sensor == "s1" else f"{100 * np.expm1(above / 100):+.0f} %"
