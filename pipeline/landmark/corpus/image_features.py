"""Statistics of images: what can be told of them without training an encoder.

`bands`: mean and deviation of each band over its valid pixels.

`handcrafted`, at the resolution of each band, missing pixels replaced by the band's mean:

- quantiles of each band (`QUANTILES`);
- quantiles of differences of two bands (`DIFFERENCES`): normalised ones of Sentinel-2, in dB of Sentinel-1;
- gradients of each band between pixels, and between means of 4 x 4 pixels: logarithm of their mean square, and their
  coherence, from 0 without a main direction to 1 where all have the same (Bigün & Granlund 1987);
- logarithm of the variance within windows of 4 x 4 pixels of each band: quantiles over windows (`WINDOW_QUANTILES`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import Sensor, load_sensor
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus

# Images read at a time: their arrays fit in a processor's cache.
_BLOCK = 16
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
WINDOW_QUANTILES = (0.1, 0.5, 0.9)
# First minus second band. Sentinel-2: NDVI (Rouse et al. 1974), NDWI (McFeeters 1996), MNDWI (Xu 2006), NDBI (Zha et
# al. 2003), NBR (Key & Benson 2006), NDTI (van Deventer et al. 1997), NDRE (Gitelson & Merzlyak 1994), redness.
DIFFERENCES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "s1": (("vh", "vv"),),
        "s2": (
            ("B08", "B04"),
            ("B03", "B08"),
            ("B03", "B11"),
            ("B11", "B08"),
            ("B08", "B12"),
            ("B11", "B12"),
            ("B8A", "B05"),
            ("B04", "B02"),
        ),
    }
)
_WINDOW_PX = 4

# Values (image, band, y, x), or statistics (image, feature).
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of images of one sensor.

    Attributes:
        bands: (image, 2 x band).
        handcrafted: (image, feature).
    """

    bands: Values
    handcrafted: Values


def read_features(selection: Corpus, sensor: str, *, progress: Progress = silent) -> ImageFeatures:
    """Compute the features of a selection of one sensor, in its order; few images are in memory at a time."""
    profile, parts, done = load_sensor(sensor), list[ImageFeatures](), 0
    for groups in _read_groups(selection):
        parts.append(compute_features(groups, profile))
        done += len(parts[-1].bands)
        progress(f"features {sensor}", done, len(selection))
    return ImageFeatures(*(np.concatenate([getattr(part, name) for part in parts]) for name in ImageFeatures.__slots__))


def _read_groups(selection: Corpus) -> Iterator[Mapping[str, NDArray[Any]]]:
    for batch in selection.loader(batch=_BLOCK, shuffle=False, cache_bytes=0):
        for pixels in batch.pixels.values():
            yield pixels.groups


def compute_features(groups: Mapping[str, NDArray[Any]], sensor: Sensor) -> ImageFeatures:
    """Compute the features of images.

    Args:
        groups: Pixel column → stored values (image, band, y, x).
        sensor: Their sensor.
    """
    bands: list[Values] = []
    parts: list[Values] = []
    layers: dict[str, tuple[int, Values]] = {}
    for group in sensor.groups:
        mean, deviation, centred = _centre(groups[group.column], sensor.nodata)
        bands += [mean, deviation]
        values = centred + mean[:, :, None, None]
        layers |= {name: (group.factor, values[:, number]) for number, name in enumerate(group.bands)}
        windows = _window_means(centred)
        variances = np.maximum(_window_means(centred * centred) - windows * windows, 0)
        parts += [
            _quantiles(values, QUANTILES),
            _gradients(centred),
            _gradients(windows),
            _quantiles(np.log(variances + 1), WINDOW_QUANTILES),
        ]
    for first, second in DIFFERENCES[sensor.name]:
        difference = _difference(layers[first], layers[second], normalise=sensor.name == "s2")
        parts.append(_quantiles(difference[:, None], QUANTILES))
    return ImageFeatures(np.concatenate(bands, axis=1), np.concatenate(parts, axis=1))


def _centre(stored: NDArray[Any], nodata: int) -> tuple[Values, Values, Values]:
    """Mean and deviation (image, band) of valid pixels, 0 without any, and values minus the mean, 0 where missing."""
    valid = stored != nodata
    count = np.maximum(valid.sum(axis=(2, 3)), 1)
    mean = (np.where(valid, stored, 0).sum(axis=(2, 3), dtype=np.int64) / count).astype(np.float32)
    centred = np.where(valid, stored - mean[:, :, None, None], np.float32(0))
    deviation = np.sqrt(np.einsum("nbyx,nbyx->nb", centred, centred) / count).astype(np.float32)
    return mean, deviation, centred


def _window_means(values: Values) -> Values:
    """Means of windows of 4 x 4 pixels; incomplete ones at the edges are left out."""
    height, width = (size // _WINDOW_PX * _WINDOW_PX for size in values.shape[2:])
    rows: Values = reduce(np.add, (values[:, :, start:height:_WINDOW_PX, :width] for start in range(_WINDOW_PX)))
    sums: Values = reduce(np.add, (rows[..., start::_WINDOW_PX] for start in range(_WINDOW_PX)))
    return sums / np.float32(_WINDOW_PX**2)


def _quantiles(values: Values, levels: tuple[float, ...]) -> Values:
    """Quantiles (image, band x level), each a value; 0 without values."""
    ordered = np.sort(values.reshape(*values.shape[:2], -1), axis=2)
    if not ordered.shape[2]:
        return np.zeros((len(values), values.shape[1] * len(levels)), np.float32)
    places = np.rint(np.array(levels) * (ordered.shape[2] - 1)).astype(np.int64)
    return ordered[:, :, places].reshape(len(values), -1)


def _gradients(values: Values) -> Values:
    """Logarithm of the mean square of the gradients, and their coherence: (image, 2 x band)."""
    corner = values[:, :, :-1, :-1]
    right, down = values[:, :, :-1, 1:] - corner, values[:, :, 1:, :-1] - corner
    count = max(1, right.shape[2] * right.shape[3])
    xx, yy, xy = (np.einsum("nbyx,nbyx->nb", a, b) / count for a, b in ((right, right), (down, down), (right, down)))
    coherence = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1)
    return np.concatenate([np.log(xx + yy + 1), coherence], axis=1, dtype=np.float32)


def _difference(first: tuple[int, Values], second: tuple[int, Values], *, normalise: bool) -> Values:
    """Difference (image, y, x) of two bands, given with their factors, at pixels of the coarser."""
    factor = max(first[0], second[0])
    a, b = (values[:, :: factor // own, :: factor // own] for own, values in (first, second))
    return (a - b) / np.maximum(a + b, 1) if normalise else a - b
