"""Shift of one band of a chip against the others, by the correlation of edges summed along columns and rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from landmark.quality.optical import F

_MAX_SHIFT_PX = 6
_MAX_EDGE = np.float32(4)  # times the mean: single lines must not dominate


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
