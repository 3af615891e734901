"""Digest of a band's values whatever their positions: equal for exact copies, also rotated, mirrored or rolled."""

from collections.abc import Iterable

import numpy as np

from landmark.quality.check_input import Moments

# Bands of fewer pixels, or with a smaller standard deviation in stored values, can have equal moments by chance. Those
# of 3,600 values that spread by 20 or more agree in sum and sum of squares by one chance in 10^12.
_MIN_PX, _MIN_DEVIATION = 1000, 20
_FACTORS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def band_digests(moments: Iterable[Moments]) -> bytes:
    """Eight bytes per band, of its moments; zero where a band can equal another by chance."""
    return np.array([_digest(band) for band in moments], dtype="<u8").tobytes()


def _digest(band: Moments) -> int:
    deviation = band.number * band.squares - band.total**2
    if band.number < _MIN_PX or deviation < (_MIN_DEVIATION * band.number) ** 2:
        return 0
    return sum(factor * value for factor, value in zip(_FACTORS, band, strict=True)) % 2**64
