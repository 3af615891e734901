"""Check for radiometric drift: brightness of a platform, processing or split that its land cover does not explain."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.plural import plural
from landmark.domain.traits import Trait
from landmark.quality.check_input import CheckInput, float_column
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import acquisitions, samples_with
from landmark.quality.chips.optical import BANDS
from landmark.quality.findings import Flag, NotApplicable

F8 = NDArray[np.float64]
FACTORS = ("platform", "baseline", "product", "orbit_direction", "split")
MEASURES = {"s2": [f"{band}_p50_dn" for band in BANDS], "s1": ["vv_p50_db", "vh_p50_db"]}
_REGION_DEG = 5.0


class Contrast(NamedTuple):
    """Brightness of one level of a factor above all others, and its standard error, per band."""

    difference: F8
    error: F8
    samples: int


class LandCover(NamedTuple):
    """Land cover of the samples of a sensor.

    Attributes:
        usable: Mask of the samples with labels and with little water and cloud.
        block: Per sample (month, 5-degree column and row, orbit direction): only samples of one block are compared.
        mixture: (sample, class) fractions.
    """

    usable: NDArray[np.bool_]
    block: list[tuple[Hashable, ...]]
    mixture: F8


def drift(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No level of a factor differs from the others by more than land cover, month and region explain."""
    taxonomy, compared = inputs.context.taxonomy, False
    if not taxonomy.has_traits:
        raise NotApplicable(f"no class of taxonomy {taxonomy.name} has a trait that marks water and snow")
    # Their brightness depends on wind, glint, ice or weather.
    unstable = frozenset[str]().union(
        *(taxonomy.classes_like(Trait.WATER, Trait.SNOW, event=event) for event in (True, False))
    )
    for sensor, names in MEASURES.items():
        try:
            table = samples_with(inputs, names[0], sensor=sensor)
        except NotApplicable:
            continue
        values, items = _levels(table, sensor), acquisitions(table)
        land_cover = read_land_cover(table, unstable, limits)
        # Backscatter of the same land depends on the orbit direction, except in this comparison of directions.
        any_direction = land_cover._replace(block=[key[:3] for key in land_cover.block])
        for factor in FACTORS:
            cover, column = any_direction if factor == "orbit_direction" else land_cover, table[factor].to_pylist()
            for level in sorted({level for level in column if level is not None}):
                contrast = fit_contrast(values, cover, column, items, level=level, limits=limits)
                if contrast is not None:
                    compared = True
                    subject = f"{sensor} {level}" if factor in ("split", "orbit_direction") else str(level)
                    yield from _contrast_flags(contrast, sensor, factor, subject, limits)
    if not compared:
        raise NotApplicable("too few samples of similar land cover, month and region differ in platform or processing")


def _levels(table: pa.Table, sensor: str) -> F8:
    """(sample, band): dB, or 100 times the natural logarithm of reflectance, so that differences are percentages."""
    levels = np.array([float_column(table, name) for name in MEASURES[sensor]]).T
    return levels if sensor == "s1" else 100 * np.log(np.maximum(levels, 1))


def read_land_cover(table: pa.Table, unstable: Collection[str], limits: Limits) -> LandCover:
    """Land cover of each sample from its fractions, date and position.

    Args:
        table: One row per sample of a sensor.
        unstable: Classes whose brightness depends on wind, glint, ice or weather.
        limits: `max_water_pct` of unstable classes, `max_cloud_pct`.
    """
    fractions: list[Mapping[str, float]] = [dict(row or ()) for row in table["fractions"].to_pylist()]
    classes = sorted({key for row in fractions for key in row})
    mixture = np.array([[row.get(key, 0.0) for key in classes] for row in fractions]).reshape(len(fractions), -1)
    unstable_share = mixture[:, [key in unstable for key in classes]].sum(axis=1)
    usable = (mixture.sum(axis=1) > 0.5) & (100 * unstable_share <= limits["max_water_pct"])
    usable &= ~(float_column(table, "cloud_pct") > limits["max_cloud_pct"])
    names = ("datetime", "lon", "lat", "orbit_direction")
    block: list[tuple[Hashable, ...]] = [
        (moment.month, lon // _REGION_DEG, lat // _REGION_DEG, direction)
        for moment, lon, lat, direction in zip(*(table[name].to_pylist() for name in names), strict=True)
    ]
    return LandCover(usable, block, mixture)


def fit_contrast(
    values: F8, cover: LandCover, levels: list[Any], items: list[str], *, level: str, limits: Limits
) -> Contrast | None:
    """Contrast of one level with all others; None for too few samples or acquisitions of similar land cover.

    Args:
        values: (sample, band).
        cover: Land cover of the samples.
        levels: Level of the factor per sample.
        items: Acquisition per sample.
        level: The level to compare.
        limits: `min_samples`, `min_acquisitions`.
    """
    blocks: dict[Hashable, list[int]] = defaultdict(list)
    for row in np.flatnonzero(cover.usable & np.isfinite(values).all(axis=1)).tolist():
        if levels[row] is not None:
            blocks[cover.block[row]].append(row)
    parts, sides = [], (set[str](), set[str]())
    for rows in blocks.values():
        in_level = np.array([levels[row] == level for row in rows])
        # The energy of the contrast is at most the samples of either side, as fractions sum to one.
        if min(in_level.sum(), (~in_level).sum()) < limits["min_samples"] / 2:
            continue
        acquisition = np.unique([items[row] for row in rows], return_inverse=True)[1]
        part = _fit_block(values[rows], cover.mixture[rows], in_level.astype(np.float64), acquisition, limits)
        if part is not None:
            parts.append(part)
            for row, inside in zip(rows, in_level.tolist(), strict=True):
                sides[inside].add(items[row])
    if not parts or min(map(len, sides)) < limits["min_acquisitions"]:
        return None
    weights = np.array([1 / np.maximum(part.error, 1e-6) ** 2 for part in parts])
    difference = (weights * [part.difference for part in parts]).sum(axis=0) / weights.sum(axis=0)
    return Contrast(difference, 1 / np.sqrt(weights.sum(axis=0)), sum(part.samples for part in parts))


def _fit_block(values: F8, mixture: F8, in_level: F8, acquisition: NDArray[np.intp], limits: Limits) -> Contrast | None:
    """Least squares in one block: class mixture plus contrast (Frisch & Waugh 1933).

    Fitted twice, the second time without outliers of the first fit. Samples of one acquisition share haze and moisture:
    the error is the larger of the plain one and the one clustered by acquisition (Liang & Zeger 1986).

    Args:
        values: (sample, band).
        mixture: (sample, class).
        in_level: 1 for samples of the level, else 0.
        acquisition: Number of each sample's acquisition.
        limits: `min_samples`.
    """
    keep = np.ones(len(in_level), dtype=bool)
    contrast = None
    for _ in range(2):
        # Of both, the part that is not linear in the mixture.
        parts, rank = _remove(mixture[keep], np.column_stack([in_level, values])[keep])
        regressor, target = parts[:, 0], parts[:, 1:]
        energy = float(regressor @ regressor)
        degrees = int(keep.sum()) - rank - 1
        # With n samples in the level and n outside, and no effect of the mixture, the energy is n / 2.
        if degrees < limits["min_samples"] or energy < limits["min_samples"] / 2:
            return contrast
        difference = regressor @ target / energy
        residual = target - regressor[:, None] * difference
        plain = (residual**2).sum(axis=0) / degrees / energy
        members = [acquisition[keep] == number for number in np.unique(acquisition[keep])]
        scores = np.array([regressor[member] @ residual[member] for member in members])
        clustered = (scores**2).sum(axis=0) * len(scores) / max(len(scores) - 1, 1) / energy**2
        contrast = Contrast(difference, np.sqrt(np.maximum(plain, clustered)), int(keep.sum()))
        spread = 1.4826 * np.maximum(np.median(abs(residual), axis=0), 1e-9)
        outlying = (abs(residual) > 3 * spread).mean(axis=1)
        keep[np.flatnonzero(keep)[outlying > 0.5]] = False
    return contrast


def _remove(mixture: F8, values: F8) -> tuple[F8, int]:
    """The part of the values that is not linear in the mixture, and the rank of the mixture."""
    coefficients, _, rank, _ = np.linalg.lstsq(mixture, values, rcond=1e-6)
    return np.asarray(values - mixture @ coefficients), int(rank)


def _contrast_flags(contrast: Contrast, sensor: str, factor: str, subject: str, limits: Limits) -> Iterator[Flag]:
    """One flag if all bands differ in the same direction, else one per band that differs."""
    unit = "db" if sensor == "s1" else "pct"
    max_difference, max_band_difference = limits[f"max_{unit}"], limits[f"max_band_{unit}"]
    basis = f"over {plural(contrast.samples, 'sample')} of similar land cover"
    significant = abs(contrast.difference) > limits["min_standard_errors"] * contrast.error
    median = float(np.median(contrast.difference))
    same_sign = (np.sign(contrast.difference) == np.sign(median)).all()
    if same_sign and abs(median) > max_difference and significant.mean() > 0.5:
        detail = f"{_format(median, sensor)} in the median of all bands, {basis}"
        yield Flag(f"{factor} differs from the others in all bands", subject, detail)
        return
    for name, difference, certain in zip(
        MEASURES[sensor], contrast.difference.tolist(), significant.tolist(), strict=True
    ):
        if certain and abs(difference) > max_band_difference:
            band = f"{subject} {name.split('_')[0]}"
            yield Flag(f"{factor} differs from the others in a band", band, f"{_format(difference, sensor)} {basis}")


def _format(difference: float, sensor: str) -> str:
    return f"{difference:+.1f} dB" if sensor == "s1" else f"{100 * np.expm1(difference / 100):+.0f} %"
