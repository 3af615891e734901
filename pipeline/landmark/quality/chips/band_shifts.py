"""Shift of one band of a chip against the others, by the correlation of edges along columns and rows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from landmark.quality.chips.optical import F

_MAX_SHIFT_PX = 6
_MAX_EDGE = np.float32(4)  # times the mean: single lines must not dominate
_RADAR_STEP_PX = 4  # so that speckle averages out
_MAX_RADAR_SHIFT_PX = 4
_MIN_UNEXPLAINED = 0.01  # keeps logarithms finite


class BandShift(NamedTuple):
    """The pair of bands that fits much better after a shift than in place.

    Attributes:
        gain: Correlation after the shift less that in place; 0 where all bands fit in place.
        shift_px: Pixels of these bands.
        pair: Number of the pair.
    """

    gain: float
    shift_px: int
    pair: int


def band_shift(profiles: Sequence[F], first: NDArray[np.intp], second: NDArray[np.intp]) -> BandShift:
    """The largest shift between bands, by absolute correlations, as contrasts may be inverted.

    Args:
        profiles: Means of columns or rows (band, place), for each size of pixels.
        first: Of each pair, the number of a band in all profiles.
        second: Of each pair, the number of the band that is compared with it.
    """
    near = _correlations(_edges(profiles), first, second)
    best = near.argmax(axis=1)
    gains = near[np.arange(len(near)), best] - near[:, _MAX_SHIFT_PX]
    pair = int(gains.argmax())
    return BandShift(float(gains[pair]), abs(int(best[pair]) - _MAX_SHIFT_PX), pair)


def _edges(profiles: Sequence[F]) -> F:
    """Differences of profiles, relative to their mean size and clipped, with zeros behind those of shorter ones."""
    edges = np.zeros((sum(map(len, profiles)), max(part.shape[1] for part in profiles) - 1), dtype=np.float32)
    start = 0
    for part in profiles:
        steps = part[:, 1:] - part[:, :-1]
        steps *= (steps.shape[1] / (abs(steps).sum(axis=1) + np.float32(1e-3)))[:, None]
        edges[start : start + len(part), : steps.shape[1]] = steps
        start += len(part)
    return np.minimum(np.maximum(edges, -_MAX_EDGE), _MAX_EDGE)


def _correlations(edges: F, first: NDArray[np.intp], second: NDArray[np.intp]) -> F:
    """Absolute correlations (pair, shift) of edges (band, place)."""
    norm = np.sqrt(np.vecdot(edges, edges)) + np.float32(1e-6)
    length = fft.next_fast_len(edges.shape[1] + _MAX_SHIFT_PX, real=True)
    lines = fft.rfft(edges / norm[:, None], length, axis=1)
    product = fft.irfft(lines[first] * lines[second].conj(), length, axis=1)
    return np.asarray(abs(np.concatenate([product[:, -_MAX_SHIFT_PX:], product[:, : _MAX_SHIFT_PX + 1]], axis=1)))


class PolarisationShift(NamedTuple):
    """The shift after which VH fits VV best.

    Attributes:
        gain: Half the logarithm of the ratio of what VV does not explain of VH in place and after the shift, in nats.
        shift_px: Pixels, in either direction.
    """

    gain: float
    shift_px: int


def polarisation_shift(levels: F) -> PolarisationShift:
    """The shift of VH against VV along rows or columns, by the edges in many short parts of lines.

    Args:
        levels: Means of parts of columns, then of rows (direction, polarisation, part, line).
    """
    most, best = _MAX_RADAR_SHIFT_PX, PolarisationShift(0.0, 0)
    steps = levels[..., _RADAR_STEP_PX:] - levels[..., :-_RADAR_STEP_PX]
    # Without the ends of lines in VV, those of other lines never meet.
    steps[:, 0, :, :most] = steps[:, 0, :, -most:] = 0
    compared = 1 - 2 * most / steps.shape[3]
    for vv, vh in steps.reshape(2, 2, -1):
        products = np.correlate(vh, vv[most:-most])
        place = int(products.argmax())
        power = max(float(vv @ vv) * float(vh @ vh) * compared, 1e-12)
        in_place, shifted = (_unexplained(float(products[shift]), power) for shift in (most, place))
        gain = math.log(in_place / shifted) / 2
        best = max(best, PolarisationShift(gain, abs(place - most)))
    return best


def _unexplained(product: float, power: float) -> float:
    """Share that a positive correlation does not explain."""
    return max(1 - max(product, 0.0) ** 2 / power, _MIN_UNEXPLAINED)
