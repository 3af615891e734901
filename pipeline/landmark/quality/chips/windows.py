"""Hashed windows of a chip at places that its content determines, so that shifted copies of a chip share them.

The places are extrema of a band-passed image (difference of two means: Lowe 2004). A window's hash holds which of
two pixels is brighter for 64 pairs around the place (BRIEF: Calonder et al. 2010): it does not change with gain and
offset, and little with noise.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# `y`, `x`: pixels of the finest bands.
WINDOW = np.dtype([("hash", "<u8"), ("y", "<u2"), ("x", "<u2")])
WINDOW_BANDS = {"s1": ("vv", "vh"), "s2": ("B03", "B08")}

_MAX_WINDOWS = 64  # per band
_REACH_PX, _FINE_PX, _COARSE_PX, _APART_PX = 7, 3, 13, 9
_MARGIN_PX = _REACH_PX + _FINE_PX - 1
_PAIRS, _MIN_BRIGHTER = 64, 10


def content_windows(sensor: str, bands: Mapping[str, NDArray[Any]]) -> bytes:
    """WINDOW items of a chip, of the strongest extrema of each of two bands.

    Args:
        sensor: `s1` or `s2`.
        bands: Band → (y, x) stored values; those of WINDOW_BANDS have the finest pixels.
    """
    parts = [_windows(bands[name].astype(np.float32), number) for number, name in enumerate(WINDOW_BANDS[sensor])]
    return np.concatenate(parts).tobytes()


def _windows(band: NDArray[np.float32], number: int) -> NDArray[np.void]:
    if min(band.shape) <= 2 * _MARGIN_PX:
        return np.empty(0, WINDOW)
    # Two means in a row weight pixels as a triangle does, so that a place does not depend on single pixels.
    fine = ndimage.uniform_filter(ndimage.uniform_filter(band, _FINE_PX), _FINE_PX)
    passed = fine - ndimage.uniform_filter(fine, _COARSE_PX)
    inner = slice(_MARGIN_PX, -_MARGIN_PX), slice(_MARGIN_PX, -_MARGIN_PX)
    extreme = passed == ndimage.maximum_filter(passed, _APART_PX)
    extreme |= passed == ndimage.minimum_filter(passed, _APART_PX)
    y, x = np.nonzero(extreme[inner] & (passed[inner] != 0))
    y, x = y + _MARGIN_PX, x + _MARGIN_PX
    strongest = np.argsort(-abs(passed[y, x]), kind="stable")[:_MAX_WINDOWS]
    y, x = y[strongest], x[strongest]
    first, second = _pixel_pairs(number)
    brighter = fine[y[:, None] + first[0], x[:, None] + first[1]] < fine[y[:, None] + second[0], x[:, None] + second[1]]
    n_brighter = brighter.sum(axis=1)
    windows = np.empty(len(y), WINDOW)
    windows["hash"], windows["y"], windows["x"] = np.packbits(brighter, axis=1).view("<u8").ravel(), y, x
    # Around a lone bright pixel nearly all pairs are equal.
    usable: NDArray[np.void] = windows[(n_brighter >= _MIN_BRIGHTER) & (n_brighter <= _PAIRS - _MIN_BRIGHTER)]
    return usable


@cache
def _pixel_pairs(number: int) -> NDArray[np.int64]:
    """(pixel of the pair, axis, pair): offsets within reach, most of it apart; other pairs for each number."""
    random = np.random.default_rng(number)
    offsets = random.integers(-_REACH_PX, _REACH_PX + 1, (2, 2, 10 * _PAIRS))
    apart = np.hypot(*(offsets[0] - offsets[1])) >= _REACH_PX * 0.8
    return np.asarray(offsets[:, :, apart][:, :, :_PAIRS])
