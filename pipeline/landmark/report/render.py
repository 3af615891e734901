"""Render samples as RGB pictures with fixed stretches, so that samples are comparable."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from landmark.corpus.sample import Sample

# Reflectance shown as white; gamma0 in dB shown as black and white for VV, VH and VV - VH.
_WHITE = 0.28
_GAMMA = 1 / 1.4
_S1_RANGE_DB = ((-20.0, -2.0), (-26.0, -8.0), (0.0, 16.0))
_RED, _GREEN, _BLUE = 3, 2, 1


def to_rgb(sample: Sample) -> NDArray[np.uint8]:
    """A picture (y, x, 3) of a sample: true colour for Sentinel-2; VV, VH and VV - VH for Sentinel-1."""
    return _radar(sample.s1) if sample.s1 is not None else _true_colour(sample.s2)


def _true_colour(pixels: Any) -> NDArray[np.uint8]:
    """True colour (y, x, 3) of a (12, y, x) Sentinel-2 sample; no data is black."""
    colour = np.stack([pixels[band] for band in (_RED, _GREEN, _BLUE)], axis=-1) / 10_000
    return _bytes(np.clip(colour / _WHITE, 0, 1) ** _GAMMA)


def _radar(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """VV, VH and VV - VH as red, green and blue of (2, y, x) dB, averaged over 3 x 3 pixels to reduce speckle."""
    vv, vh = (10 * np.log10(_average(10 ** (plane / 10))) for plane in pixels)
    scaled = [(plane - low) / (high - low) for plane, (low, high) in zip((vv, vh, vv - vh), _S1_RANGE_DB, strict=True)]
    return _bytes(np.nan_to_num(np.clip(np.stack(scaled, axis=-1), 0, 1)))


def _average(power: NDArray[Any]) -> NDArray[Any]:
    """Mean of the pixels with data in a 3 x 3 window; NaN where there is none."""
    valid = np.isfinite(power)
    total = uniform_filter(np.where(valid, power, 0), 3, mode="nearest")
    share = uniform_filter(valid.astype(power.dtype), 3, mode="nearest")
    return np.where(valid & (share > 0), total / np.maximum(share, 1e-6), np.nan)


def _bytes(colour: NDArray[Any]) -> NDArray[np.uint8]:
    return (255 * colour + 0.5).astype(np.uint8)
