"""Checks of acquisitions against each other: gains, offsets and units of a scene that single chips do not show."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.plural import plural
from landmark.domain.traits import Trait
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.drift import read_land_cover
from landmark.quality.checks.flagging import acquisitions, columns, samples_with
from landmark.quality.checks.scene_effects import common_shift, contrast_revisits, fit_effects, spread
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import Flag, NotApplicable

F8 = NDArray[np.float64]
Levels = Callable[[pa.Table], F8]


class Quantity(NamedTuple):
    """A property of a scene that a fault shifts by the same amount at several levels.

    Attributes:
        name: In the text of flags.
        sensor: `s1` or `s2`.
        levels: Table of samples → (sample, level).
        limit: Suffix of the names of its limits, which ends in its unit.
        skip: Levels that may stay behind the others.
        predictors: Table of samples → (sample, regressor): what predicts it beside the classes.
    """

    name: str
    sensor: str
    levels: Levels
    limit: str
    skip: int = 0
    predictors: Levels | None = None


def _dn(table: pa.Table) -> F8:
    return np.array(columns(table, *(f"{band}_p50_dn" for band in BANDS))).T


def _log_pct(table: pa.Table) -> F8:
    return np.asarray(100 * np.log(np.maximum(_dn(table), 1)))


def _brightness(table: pa.Table) -> F8:
    return np.asarray(_log_pct(table).mean(axis=1, keepdims=True))


def _band_ratios(table: pa.Table) -> F8:
    return np.diff(_log_pct(table), axis=1)


def _band(index: int, table: pa.Table) -> F8:
    return _log_pct(table)[:, [index]]


def _other_bands(index: int, table: pa.Table) -> F8:
    return np.delete(_log_pct(table), index, axis=1)


def _db(table: pa.Table) -> F8:
    return np.array(columns(table, "vv_p50_db", "vv_p99_db", "vh_p50_db", "vh_p99_db")).T


def _polarisation_db(table: pa.Table) -> F8:
    difference, vv, vh = columns(table, "vv_vh_db", "vv_p99_db", "vh_p99_db")
    return np.array([difference, vv - vh]).T


def _floor_db(table: pa.Table) -> F8:
    return np.array(columns(table, "vh_p1_db")).T


def _speckle_db(table: pa.Table) -> F8:
    return np.array(columns(table, "vv_speckle_db")).T


_PLATEAU = ("B06", "B07", "B08", "B8A")  # near infrared of plants and soils, nearly flat
_OF_BANDS = ("infrared_pct", "band_pct")
# Brightness is also compared at equal ratios of bands, which no gain changes and which most of a season's changes show
# in; a band is compared with what the others predict.
QUANTITIES = (
    Quantity("reflectance in all bands", "s2", _log_pct, "pct", skip=1),
    Quantity("reflectance in all bands", "s2", _brightness, "pct", predictors=_band_ratios),
    Quantity("offset of all bands", "s2", _dn, "dn", skip=1),
    *(
        Quantity(
            f"{band} beside the other bands",
            "s2",
            partial(_band, index),
            "infrared_pct" if band in _PLATEAU else "band_pct",
            predictors=partial(_other_bands, index),
        )
        for index, band in enumerate(BANDS)
    ),
    Quantity("backscatter", "s1", _db, "db"),
    Quantity("ratio of VV to VH", "s1", _polarisation_db, "ratio_db"),
    Quantity("speckle", "s1", _speckle_db, "speckle_db"),
    Quantity("darkest VH, near the noise floor", "s1", _floor_db, "floor_db"),
)
_FORMATS = {"pct": "{:+.0f} %", "dn": "{:+.0f} dn", "db": "{:+.2f} dB"}


class _Deviation(NamedTuple):
    """A shift of an acquisition, as a multiple of its limit."""

    ratio: float
    item: str
    problem: str
    detail: str


class _Samples(NamedTuple):
    """Samples of a sensor without much water, snow and cloud, and their (sample, class) fractions."""

    table: pa.Table
    mixture: F8


def scenes(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No acquisition is brighter, darker, noisier or smoother than others over land of the same classes."""
    deviations, compared = list[_Deviation](), False
    for quantity, samples in _stable_samples(inputs, limits):
        table, values = samples.table, quantity.levels(samples.table)
        regressors = (
            np.hstack([samples.mixture, quantity.predictors(table)]) if quantity.predictors else samples.mixture
        )
        effects = fit_effects(values, regressors, acquisitions(table), int(limits["min_samples"]))
        if effects is None or len(effects.items) < limits["min_acquisitions"]:
            continue
        compared = True
        shifts = common_shift(effects.values, quantity.skip)
        least = _limits(quantity, effects.values, effects.errors, limits)
        for index in np.flatnonzero(abs(shifts) > least).tolist():
            problem = f"{quantity.name}: another level than other acquisitions have over the same classes"
            basis = f"{plural(int(effects.samples[index]), 'sample')}, {len(effects.items)} acquisitions"
            limit = _format(np.copysign(least[index], shifts[index]), quantity)
            detail = f"{_format(shifts[index], quantity)}, limit {limit}; {basis}"
            deviations.append(_Deviation(abs(shifts[index]) / least[index], effects.items[index], problem, detail))
    if not compared:
        raise NotApplicable("too few acquisitions have samples of stable land cover")
    yield from _largest(deviations)


def revisits(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Images of the same cells at two dates do not differ by a gain, an offset, a unit or a filter."""
    deviations, compared = list[_Deviation](), False
    for quantity, samples in _stable_samples(inputs, limits):
        if quantity.predictors:
            continue
        cells, times = (samples.table[name].to_pylist() for name in ("cell", "datetime"))
        values, items = quantity.levels(samples.table), acquisitions(samples.table)
        contrasts = list(contrast_revisits(values, cells, items, times, int(limits["min_cells"])))
        if len(contrasts) < limits["min_contrasts"]:
            continue
        compared = True
        differences = np.array([contrast.values for contrast in contrasts])
        errors = np.array([contrast.errors for contrast in contrasts])
        shifts, least = common_shift(differences, quantity.skip), _limits(quantity, differences, errors, limits)
        failed = np.flatnonzero(abs(shifts) > least).tolist()
        failures = Counter(item for index in failed for item in contrasts[index][:2])
        for index in failed:
            earlier, later, number, *_ = contrasts[index]
            item, base, sign = (earlier, later, -1) if failures[earlier] > failures[later] else (later, earlier, 1)
            problem = f"{quantity.name}: another level than in an image of the same cells at another date"
            detail = f"{_format(sign * shifts[index], quantity)} against {base}; {plural(number, 'cell')}"
            deviations.append(_Deviation(abs(shifts[index]) / least[index], item, problem, detail))
    if not compared:
        raise NotApplicable("too few cells have images of stable land cover at several dates")
    yield from _largest(deviations)


def _stable_samples(inputs: CheckInput, limits: Limits) -> Iterator[tuple[Quantity, _Samples]]:
    """Each quantity with the samples of its sensor that have all its measures; none without such samples."""
    taxonomy = inputs.context.taxonomy
    if not taxonomy.has_traits:
        raise NotApplicable(f"no class of taxonomy {taxonomy.name} has a trait that marks water and snow")
    unstable = frozenset[str]().union(
        *(taxonomy.classes_like(Trait.WATER, Trait.SNOW, event=event) for event in (True, False))
    )
    for sensor, measure in (("s2", "B02_p50_dn"), ("s1", "vv_speckle_db")):
        try:
            table = samples_with(inputs, measure, sensor=sensor)
        except NotApplicable:
            continue
        cover, (snow,) = read_land_cover(table, unstable, limits), columns(table, "ndsi_mean")
        rows = cover.usable & ~(snow > limits["max_ndsi"])
        if rows.any():
            samples = _Samples(table.filter(pa.array(rows)), cover.mixture[rows])
            yield from ((quantity, samples) for quantity in QUANTITIES if quantity.sensor == sensor)


def _limits(quantity: Quantity, shifts: F8, errors: F8, limits: Limits) -> F8:
    """Per acquisition or pair, the least shift to report: a physical one, and one that n draws hardly reach.

    A shift that all levels share is at most that of the level that varies least.

    Args:
        quantity: The quantity.
        shifts: (n, level).
        errors: Their standard errors.
        limits: Those of the check.
    """
    deviations = limits[f"max_{'band_' if quantity.limit in _OF_BANDS else ''}deviations"] + np.log10(len(shifts) / 5)
    statistical = deviations * np.hypot(spread(shifts), errors).min(axis=1)
    return np.asarray(np.maximum(limits[f"max_{quantity.limit}"], statistical))


def _format(shift: float, quantity: Quantity) -> str:
    unit = quantity.limit.rsplit("_", 1)[-1]
    return _FORMATS[unit].format(100 * np.expm1(shift / 100) if unit == "pct" else shift)


def _largest(deviations: list[_Deviation]) -> Iterator[Flag]:
    """One flag per acquisition: a fault that shifts several quantities is reported as the one it shifts most."""
    largest = {deviation.item: deviation for deviation in sorted(deviations)}
    for item, deviation in sorted(largest.items()):
        yield Flag(deviation.problem, item, deviation.detail)


CHECKS: dict[str, Check] = {"scenes": scenes, "revisits": revisits}
