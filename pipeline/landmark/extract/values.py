"""From what a file stores to what a chip holds: block means, linear power, and the darkest pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import Imagery

Power = tuple[NDArray[np.float64], NDArray[np.bool_]]


def block_mean(numbers: NDArray[Any], times: int, nodata: int) -> NDArray[Any]:
    """Native pixels of a band stored finer than it is: means of `times` x `times` pixels, those without data left out.

    Rounded half to even; no data where a block has none.
    """
    rows, cols = (size // times for size in numbers.shape)
    blocks = numbers.reshape(rows, times, cols, times).astype(np.int64)
    known = blocks != nodata
    count = known.sum(axis=(1, 3))
    mean = np.rint((blocks * known).sum(axis=(1, 3)) / np.maximum(count, 1))
    return np.where(count > 0, mean, nodata).astype(numbers.dtype)


def linear_power(stored: NDArray[Any], imagery: Imagery, declared_nodata: float | None) -> Power:
    """gamma0 as linear power, and where it was measured; no data by the file's header and by the provider's profile."""
    numbers = stored.astype(np.float64)
    known = np.isfinite(numbers)
    for nodata in {declared_nodata, imagery.nodata} - {None}:
        known &= numbers != nodata
    if imagery.stored == "gamma0_power":
        return numbers, known
    if imagery.stored == "gamma0_dn":
        known &= numbers > 0
        numbers = 20 * np.log10(np.where(known, numbers, 1)) + (imagery.calibration_db or 0)
    return 10 ** (np.where(known, numbers, 0) / 10), known


def implausible(stored: NDArray[Any], imagery: Imagery, known: NDArray[np.bool_]) -> str | None:
    """Why the pixels cannot be what the profile says (dB taken for power, or the reverse), None where they can."""
    measured, negative = np.count_nonzero(known), np.count_nonzero((stored < 0) & known)
    if imagery.stored == "gamma0_power" and negative > measured / 2:
        return "most pixels are negative: dB, where the profile says linear power"
    if imagery.stored == "gamma0_db" and measured and not negative:
        return "no pixel is negative: linear power or amplitude, where the profile says dB"
    return None


def darkest(bands: list[NDArray[Any]]) -> int | None:
    """The smallest first percentile of several bands' digital numbers, every second row and column of large ones.

    Near 1000 where a radiometric offset is in the numbers, far below where it is not; over snow and bright soil alone
    it says nothing. None without data.
    """
    found = []
    for numbers in bands:
        step = 2 if numbers.shape[0] > 60 else 1
        values = numbers[::step, ::step].ravel()
        if (values := values if values.all() else values[values != 0]).size:
            found.append(int(np.partition(values, place := values.size // 100)[place]))
    return min(found, default=None)
