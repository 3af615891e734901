"""Statistics of stored pixels: block means, percentiles, mean and standard deviation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Images with longer edges, in pixels, are subsampled by 2 for percentiles.
_SUBSAMPLED_FROM_PX = 60


def block_mean(stored: NDArray[Any], factor: int, nodata: int) -> NDArray[Any]:
    """Means of `factor` x `factor` valid integer pixels (..., y, x), rounded half to even; nodata without any."""
    *leading, rows, cols = stored.shape
    blocks = stored.reshape(*leading, rows // factor, factor, cols // factor, factor)
    valid = blocks != nodata
    count = valid.sum(axis=(-3, -1))
    total = np.where(valid, blocks, 0).sum(axis=(-3, -1), dtype=np.int64)
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), nodata).astype(stored.dtype)


def first_percentiles(stored: NDArray[Any]) -> list[float | None]:
    """First percentile of each of some unsigned images (image, y, x), as `percentiles` has it."""
    values = _sample_pixels(stored)
    if not values.min(axis=1).all():
        return [None if (level := percentiles(image, 1)) is None else level[0] for image in stored]
    position = values.shape[1] // 100
    return list(np.partition(values, position, axis=1)[:, position].astype(np.float64).tolist())


def _sample_pixels(stored: NDArray[Any]) -> NDArray[Any]:
    """Pixels (..., pixel) of images (..., y, x), every other row and column of large ones."""
    step = 2 if stored.shape[-2] > _SUBSAMPLED_FROM_PX else 1
    return stored[..., ::step, ::step].reshape(*stored.shape[:-2], -1)


def percentiles(stored: NDArray[Any], *percents: int) -> tuple[float, ...] | None:
    """Percentiles of the non-zero pixels of an unsigned image (y, x), None without any.

    Without interpolation; large images are subsampled.
    """
    values = _sample_pixels(stored)
    if not (size := np.count_nonzero(values)):
        return None
    # The zeros come first.
    positions = [len(values) - size + size * percent // 100 for percent in percents]
    return tuple(np.partition(values, positions)[positions].astype(np.float64).tolist())


def mean_std(count: int, total: int, squares: int, scale: float) -> list[float]:
    """[mean, standard deviation] in physical units, to 6 decimals; [] without values.

    Args:
        count: Number of stored values.
        total: Their sum.
        squares: Sum of their squares.
        scale: Physical units per stored unit.
    """
    if count == 0:
        return []
    variance = max(squares / count - (total / count) ** 2, 0.0)
    return [round(scale * total / count, 6), round(scale * float(np.sqrt(variance)), 6)]
