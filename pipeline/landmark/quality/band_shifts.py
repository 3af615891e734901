"""Shift of one band of a chip against the others, by the correlation of edges summed along columns and rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from landmark.quality.detail import F

_MAX_SHIFT_PX = 6
_MAX_EDGE = 4.0  # times the mean: single lines must not dominate


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


def band_shift(profiles: F, first: NDArray[np.intp], second: NDArray[np.intp]) -> BandShift:
    """The largest shift between bands, by absolute correlations, as contrasts may be inverted.

    Args:
        profiles: Means of columns or rows (band, place).
        first: Of each pair, the number of a band.
        second: Of each pair, the number of the band that is compared with it.
    """
    near = _correlations(profiles, first, second)
    best = near.argmax(axis=1)
    gains = near[np.arange(len(near)), best] - near[:, _MAX_SHIFT_PX]
    pair = int(gains.argmax())
    return BandShift(float(gains[pair]), abs(int(best[pair]) - _MAX_SHIFT_PX), pair)


def _correlations(levels: F, first: NDArray[np.intp], second: NDArray[np.intp]) -> F:
    """Absolute correlations (pair, shift) of the edges of profiles (band, place)."""
    edges = levels[:, 1:] - levels[:, :-1]
    limit = _MAX_EDGE / edges.shape[1] * abs(edges).sum(axis=1)[:, None]
    edges = np.minimum(np.maximum(edges, -limit), limit)
    edges -= edges.sum(axis=1)[:, None] / np.float32(edges.shape[1])
    edges /= np.sqrt(np.einsum("bi,bi->b", edges, edges) + np.float32(1e-6))[:, None]
    length = fft.next_fast_len(edges.shape[1] + _MAX_SHIFT_PX, real=True)
    lines = fft.rfft(edges, length, axis=1)
    product = fft.irfft(lines[first] * lines[second].conj(), length, axis=1)
    return np.asarray(abs(np.concatenate([product[:, -_MAX_SHIFT_PX:], product[:, : _MAX_SHIFT_PX + 1]], axis=1)))
