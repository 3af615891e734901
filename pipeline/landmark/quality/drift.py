"""Is any platform, processing or split brighter than the ground it saw explains."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.quality.evidence import Evidence, numbers
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.optical import ORDER
from landmark.quality.rules import Limits
from landmark.quality.telling import acquisitions, looked_at

FACTORS = ("platform", "baseline", "product", "orbit_direction", "split")
# No mean of these says anything of the instrument: wind, glint and sea ice, or the weather.
_UNSTEADY = {"water", "snow_and_ice", "flooded_vegetation", "flooded_area"}
_PLACE_DEG = 5.0


class Contrast(NamedTuple):
    """A level of a factor against the others on like ground: median difference, how steady its sign, from how much."""

    difference: float
    steady_pct: float
    strata: int
    acquisitions: int


def drift(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Bands of no level of a factor depart from the others' on ground of one label, month and region."""
    compared = False
    for sensor, names in (("s2", [f"{band}_p50_dn" for band in ORDER]), ("s1", ["vv_p50_db", "vh_p50_db"])):
        try:
            table = looked_at(evidence, sensor, names[0])
        except NotApplicable:
            continue
        values, ground, items = _values(table, names, sensor), _ground(table, sensor), acquisitions(table)
        for factor in FACTORS:
            levels = table[factor].to_pylist()
            for level in sorted({level for level in levels if level is not None}):
                where = f"{sensor} {level}" if factor in ("split", "orbit_direction") else str(level)
                found = contrasts(values, ground, levels, items, level=level, limits=limits)
                compared |= bool(found)
                yield from _flags(found, names, sensor, factor, where, limits)
    if not compared:
        raise NotApplicable("no two platforms, processings or splits saw like ground in one month often enough")


def _values(table: pa.Table, names: list[str], sensor: str) -> NDArray[np.float64]:
    """(sample, band): dB, or hundred times the natural logarithm of reflectance, so that differences are percent."""
    levels = np.array([numbers(table, name) for name in names]).T
    return levels if sensor == "s1" else 100 * np.log(np.maximum(levels, 1))


def _ground(table: pa.Table, sensor: str) -> list[Hashable | None]:
    """What like ground is: first label, month, region, and for radar the side it is seen from; None for the unsteady."""
    names = ("labels", "datetime", "lon", "lat", "orbit_direction", "cloud_pct")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [_kind(*row, radar=sensor == "s1") for row in rows]


def _kind(
    labels: list[str], when: datetime, lon: float, lat: float, side: str | None, cloud_pct: float | None, *, radar: bool
) -> Hashable | None:
    if not labels or _UNSTEADY & set(labels) or (cloud_pct or 0) > 5:
        return None
    return labels[0], when.month, lon // _PLACE_DEG, lat // _PLACE_DEG, side if radar else None


def contrasts(
    values: NDArray[np.float64],
    ground: list[Hashable | None],
    levels: list[Any],
    items: list[str],
    *,
    level: str,
    limits: Limits,
) -> list[Contrast]:
    """Per band the contrast of a level with all others; empty where too few like samples or acquisitions tell.

    Strata are compared by medians, and their differences by the weighted median, so that no single field, date or
    cloud decides.
    """
    strata: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row, kind in enumerate(ground):
        if kind is not None and levels[row] is not None:
            strata[kind][levels[row] != level].append(row)
    least = int(limits["least_samples"])
    both = [(mine, others) for mine, others in strata.values() if min(len(mine), len(others)) >= least]
    sides = [{items[row] for pair in both for row in pair[side]} for side in (0, 1)]
    if len(both) < limits["least_strata"] or min(map(len, sides)) < limits["least_acquisitions"]:
        return []
    weights = np.array([min(len(mine), len(others)) for mine, others in both], dtype=np.float64)
    differences = np.array([np.median(values[mine], axis=0) - np.median(values[others], axis=0) for mine, others in both])
    found = []
    for band in differences.T:
        middle = _weighted_median(band, weights)
        agree = float(weights[np.sign(band) == np.sign(middle)].sum() / weights.sum())
        found.append(Contrast(middle, 100 * agree, len(both), len(sides[0])))
    return found


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    heap = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(heap, heap[-1] / 2))])


def _flags(
    found: list[Contrast], names: list[str], sensor: str, factor: str, where: str, limits: Limits
) -> Iterator[Flag]:
    """All bands together where they move together, else each that moves."""
    if not found:
        return
    unit, most, most_all = (
        ("dB", limits["max_band_db"], limits["max_db"]) if sensor == "s1" else
        ("%", limits["max_band_pct"], limits["max_pct"])
    )  # fmt: skip
    steady = limits["least_steady_pct"]
    whole = float(np.median([one.difference for one in found]))
    same_way = Counter(float(np.sign(one.difference)) for one in found).most_common(1)[0][1] == len(found)
    share = float(np.median([one.steady_pct for one in found]))
    if same_way and abs(whole) > most_all and share >= steady:
        seen = f"{whole:+.1f} {unit} in the median of all bands, over {found[0].strata} kinds of like ground"
        yield Flag(f"a {factor} departs from the others in all bands", where, seen)
        return
    for name, one in zip(names, found, strict=True):
        if abs(one.difference) > most and one.steady_pct >= steady:
            seen = f"{one.difference:+.1f} {unit} over {one.strata} kinds of like ground"
            yield Flag(f"a {factor} departs from the others in a band", f"{where} {name.split('_')[0]}", seen)
