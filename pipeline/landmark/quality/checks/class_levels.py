"""Check of a whole corpus against levels that forests have in published measurements."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.core.plural import plural
from landmark.domain.traits import Trait
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import acquisitions, columns
from landmark.quality.findings import Flag, NotApplicable

_LEVELS = {"s1": ("vv_p50_db", "vh_p50_db"), "s2": ("B08_p50_dn",)}
# Months of leaves and thawed ground in the northern hemisphere; half a year later in the southern.
_SUMMER = range(5, 10)
_YEAR = 12


def class_levels(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Forests of the corpus have the levels of forests: else all images have another unit, gain or calibration.

    No other land is bounded so well. A gain that leaves forests in their range is not seen.
    """
    taxonomy, compared = inputs.context.taxonomy, False
    green = taxonomy.classes_only_like(Trait.GREEN)
    for sensor, names in _LEVELS.items():
        table = inputs.samples_of(sensor)
        table = table.filter(pa.array(_is_summer_forest(table, green, limits)))
        for name, values in zip(names, columns(table, *names), strict=True):
            known = np.isfinite(values)
            medians = _medians(values[known], table.filter(pa.array(known)))
            if known.sum() < limits["min_samples"] or len(medians) < limits["min_acquisitions"]:
                continue
            compared, level = True, float(np.median(medians))
            low, high = limits[f"min_{name.replace('_p50', '')}"], limits[f"max_{name.replace('_p50', '')}"]
            if not low <= level <= high:
                basis = f"{plural(int(known.sum()), 'sample')} of {plural(len(medians), 'acquisition')}"
                detail = f"{level:.5g}, not {low:g} to {high:g}, over {basis}"
                yield Flag("forests have another level than published ones", f"{sensor} {name}", detail)
    if not compared:
        raise NotApplicable("too few images of a green season are mostly forest: cannot tell")


def _is_summer_forest(table: pa.Table, green: frozenset[str], limits: Limits) -> NDArray[np.bool_]:
    """Mask of samples that are mostly of green classes, between the tropics' edges or in summer, without cloud."""
    fractions = [sum(share for key, share in row or () if key in green) for row in table["fractions"].to_pylist()]
    lat, cloud = columns(table, "lat", "cloud_pct")
    months = np.array([moment.month for moment in table["datetime"].to_pylist()], dtype=np.int64)
    northern = np.where(lat < 0, (months + _YEAR // 2 - 1) % _YEAR + 1, months)
    warm = (abs(lat) < limits["max_evergreen_lat_deg"]) | np.isin(northern, list(_SUMMER))
    mostly = 100 * np.array(fractions, dtype=np.float64) >= limits["min_labelled_pct"]
    return np.asarray(mostly & warm & ~(cloud > limits["max_cloud_pct"]))


def _medians(values: NDArray[np.float64], table: pa.Table) -> list[float]:
    """Median per acquisition."""
    number = np.unique(acquisitions(table), return_inverse=True)[1] if table.num_rows else np.zeros(0, dtype=np.int64)
    return [float(np.median(values[number == index])) for index in np.unique(number)]


CHECKS: dict[str, Check] = {"class-levels": class_levels}
