"""Statistics of the differences between neighbouring pixels: sharpness, independence of bands."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.quality.chips.optical import F

_MIN_ENERGY = 2.0  # mean square of the differences below which a band has no texture


class Detail(NamedTuple):
    """A stack of bands of one size, and its differences between neighbouring pixels.

    Attributes:
        stack: (band, y, x).
        x: (band, y, x - 1), along rows.
        y: (band, y - 1, x), along columns.
    """

    stack: F
    x: F
    y: F

    @classmethod
    def of(cls, stack: F) -> "Detail":
        """Detail of bands (band, y, x)."""
        return cls(stack, stack[:, :, 1:] - stack[:, :, :-1], stack[:, 1:] - stack[:, :-1])

    def of_bands(self, bands: slice) -> "Detail":
        """Detail of some of the bands."""
        return Detail(self.stack[bands], self.x[bands], self.y[bands])

    def profiles(self) -> F:
        """Means of columns, then those of rows, of square bands: (direction and band, place)."""
        weights = np.full(self.stack.shape[1], 1 / self.stack.shape[1], dtype=np.float32)
        return np.concatenate([weights @ self.stack, self.stack @ weights])

    def scaled_steps(self) -> tuple[F, F]:
        """Sizes of the differences, each band's relative to their mean, summed over bands: (y, x - 1), (y - 1, x)."""
        return _scaled_sum(self.x), _scaled_sum(self.y)


def _scaled_sum(steps: F) -> F:
    size = abs(steps).reshape(len(steps), -1)
    scale = size.shape[1] / np.maximum(size.sum(axis=1), np.float32(1e-3))
    return np.asarray((scale @ size).reshape(steps.shape[1:]))


def sharpness(fine: Detail, coarse: Detail) -> F:
    """Fine detail at the scale of pixels relative to twice that scale, per band; NaN for bands without texture.

    At each scale, the root of the energy of second differences over that of central ones, r: sqrt(3) for white noise,
    0 for smooth surfaces. r**2 at the scale of pixels over r of the means of 2 x 2 px is 0.4 to 1.5 for images of any
    ground, and below 0.3 for pixels interpolated from twice their size, whatever the interpolation.

    Args:
        fine: Of the bands.
        coarse: Of their means of 2 x 2 px.
    """
    return np.asarray(_roughness(fine) ** 2 / _roughness(coarse), dtype=np.float32)


def _roughness(detail: Detail) -> NDArray[np.float64]:
    """Ratio r of `sharpness`, per band; steps from the end of a row to the next one add nothing on average."""
    along, down = (steps.reshape(len(steps), -1) for steps in (detail.x, detail.y))
    width = detail.y.shape[2]
    energy = (np.vecdot(along, along) + np.vecdot(down, down)).astype(np.float64)
    product = np.vecdot(along[:, 1:], along[:, :-1]) + np.vecdot(down[:, width:], down[:, :-width])
    floor = _MIN_ENERGY * (along.shape[1] + down.shape[1])
    rough = np.sqrt((energy - product) / np.maximum(energy + product, 1e-6 * np.maximum(energy, floor)))
    return np.where(energy < floor, np.nan, rough)


def residuals(steps: F) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each band's detail is from a linear combination of that of the other bands.

    Bands that were measured separately have separate noise, however similar they are; copies, means and interpolations
    of others leave only the rounding.

    Args:
        steps: Differences between neighbouring pixels (band, y, x).

    Returns:
        Per band, the standard deviations of the residual and of the band's differences, in the band's units.
    """
    flat = steps.reshape(len(steps), -1)
    gram = (flat @ flat.T).astype(np.float64)
    spread = np.sqrt(gram.diagonal() / flat.shape[1]) + 1e-6
    correlations = gram / (flat.shape[1] * spread[:, None] * spread) + 1e-7 * np.eye(len(gram))
    unexplained = 1 / np.linalg.inv(correlations).diagonal()
    return spread * np.sqrt(np.minimum(np.maximum(unexplained, 0), 1)), spread
