"""Convert stored values: linear power, unit checks and dark percentiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import SensorCollection
from landmark.corpus.stats import first_percentiles

# Values and where they are valid.
MaskedValues = tuple[NDArray[np.float64], NDArray[np.bool_]]


def linear_power(stored: NDArray[Any], collection: SensorCollection) -> MaskedValues:
    """gamma0 as linear power; NaN, infinite and, of digital numbers, values up to 0 are invalid."""
    values = stored.astype(np.float64)
    valid = np.isfinite(values)
    if collection.stored == "gamma0_power":
        return values, valid
    if collection.stored == "gamma0_dn":
        valid &= values > 0
        values = 20 * np.log10(np.where(valid, values, 1)) + (collection.calibration_db or 0)
    return 10 ** (np.where(valid, values, 0) / 10), valid


def unit_mismatch(stored: NDArray[Any], collection: SensorCollection, valid: NDArray[np.bool_]) -> str | None:
    """Describe values that contradict the profile's unit (dB for power, or the reverse); None if they agree."""
    measured, negative = np.count_nonzero(valid), np.count_nonzero((stored < 0) & valid)
    if collection.stored == "gamma0_power" and negative > measured / 2:
        return "most pixels are negative, so probably dB; the profile declares linear power"
    if collection.stored == "gamma0_db" and measured and not negative:
        return "no pixel is negative, so probably linear power or amplitude; the profile declares dB"
    return None


def dark_percentiles(bands: Sequence[NDArray[Any]], n_chips: int) -> list[int | None]:
    """Smallest first percentile of each chip's digital numbers in some bands; None without data. Zero is nodata.

    A value near 1000 indicates a radiometric offset in the numbers, a much smaller one that there is none; scenes of
    snow or bright soil alone are inconclusive.

    Args:
        bands: Arrays (chip, y, x); bands larger than 60 pixels are subsampled by 2.
        n_chips: Number of chips.
    """
    levels = [first_percentiles(band) for band in bands]
    return [
        min((int(level) for band in levels if (level := band[chip]) is not None), default=None)
        for chip in range(n_chips)
    ]
