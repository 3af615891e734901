"""Traces of scaling and rounding in the values of a chip: missing values, and values more frequent than others."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_FOLD = 4096  # values are counted modulo this number
_FIRST = 160  # frequency in 1 / 4096 of a cycle per value; the distribution of a band itself is below
_NEIGHBOURHOOD = 32  # frequencies on either side that a line must exceed
_COMPRESSION_STEPS = (1, 2, 4, 8, 16)


class Comb(NamedTuple):
    """Periodic pattern in the numbers of pixels per value.

    Attributes:
        strength: Power of the strongest period, in units of that of chance.
        step: Its period in values; or, as periods below 2 cannot be told from these, step / (step - 1).
    """

    strength: float
    step: float


def count_values(stack: NDArray[np.integer]) -> NDArray[np.float32]:
    """Numbers of pixels (band, value modulo 4096) of bands (band, y, x); clipped ones, of 0 or 1, are left out."""
    places = (stack.reshape(len(stack), -1) & (_FOLD - 1)) + _offsets(len(stack))
    counts = np.bincount(places.ravel(), minlength=len(stack) * _FOLD).reshape(len(stack), -1)
    counts[:, :2] = 0
    return counts.astype(np.float32)


@cache
def _offsets(bands: int) -> NDArray[np.intp]:
    return np.arange(bands, dtype=np.intp)[:, None] * _FOLD


def comb(counts: NDArray[np.float32]) -> Comb:
    """The strongest periodic pattern that bands have in common.

    Integers that are multiplied by g and rounded again leave gaps, or values with twice the pixels, with period g: the
    Fourier transform of the histogram has a line at 1 / g (as in Stamm & Liu 2010). Periods of 16 / k are left out:
    the lossy compression of JPEG 2000 leaves them.
    """
    lines = fft.rfft(counts, axis=1)[:, _FIRST - _NEIGHBOURHOOD :]
    weights = 1 / (len(counts) * np.maximum(counts.sum(axis=1), 1))
    power = (weights @ (lines.real**2 + lines.imag**2)) * _is_counted()
    sums = np.cumsum(power, dtype=np.float64)
    around = (sums[2 * _NEIGHBOURHOOD :] - sums[: -2 * _NEIGHBOURHOOD]) / (2 * _NEIGHBOURHOOD)
    excess = power[_NEIGHBOURHOOD:-_NEIGHBOURHOOD] - 2 * around
    place = int(excess.argmax())
    return Comb(float(excess[place]), _FOLD / (place + _FIRST))


@cache
def _is_counted() -> NDArray[np.float32]:
    """1, and 0 at the frequencies from `_FIRST` - `_NEIGHBOURHOOD` on that are multiples of 1 / 16."""
    distance = (np.arange(_FIRST - _NEIGHBOURHOOD, _FOLD // 2 + 1) + 2) % (_FOLD // 16)
    return (distance > 4).astype(np.float32)


def neighbour_share(counts: NDArray[np.float32]) -> float:
    """Pairs of pixels whose values differ by 1, 2, 4, 8 or 16 relative to pairs of equal ones, of the lowest band.

    About 1 at the best of these distances, also after lossy compression; 0 for values on a coarser or uneven scale.
    """
    equal = np.vecdot(counts, counts) - counts.sum(axis=1)
    near = [np.vecdot(counts[:, step:], counts[:, :-step]) for step in _COMPRESSION_STEPS]
    shares = np.maximum.reduce(near)[equal > 0] / equal[equal > 0]
    return float(shares.min(initial=np.inf))
