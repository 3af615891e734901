"""Learning rate, augmentation and seeds as functions of seed and step, so that a training can resume."""

import math

import numpy as np
from numpy.typing import NDArray

from landmark.core.hashing import rank
from landmark.core.salts import AUGMENTATION, TORCH

# Quarter turns of an image and of its mirror image.
ORIENTATIONS = 8


def one_cycle(step: int, steps: int, values: tuple[float, float, float], *, warmup: float) -> float:
    """Value of a step with OneCycle's cosine annealing (arXiv 1708.07120), as PyTorch's OneCycleLR.

    Args:
        step: 0 .. steps - 1.
        steps: Length of the training.
        values: Start, peak and end.
        warmup: Fraction of the steps until the peak.
    """
    start, peak, end = values
    peak_step, last_step = warmup * steps - 1, steps - 1
    if 0 < peak_step >= step:
        return _cosine(start, peak, step / peak_step)
    return _cosine(peak, end, (step - peak_step) / (last_step - peak_step))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def epoch_orientations(seed: int, epoch: int, sensor: str, *, rows: int) -> NDArray[np.int64]:
    """Orientation (rows,) of each sample in an epoch, below `ORIENTATIONS`, for `augment`."""
    return np.random.default_rng(rank(seed, AUGMENTATION, sensor, str(epoch))).integers(0, ORIENTATIONS, rows)


def augment(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Rotate a square image (band, y, x) by `orientation % 4` quarter turns and mirror it from 4 on."""
    rotated = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return rotated[:, :, ::-1] if orientation >= 4 else rotated


def torch_seed(seed: int, purpose: str, *numbers: int) -> int:
    """Seed of PyTorch's generator for a purpose and numbers such as the step; a resumed training has the same."""
    return rank(seed, TORCH, purpose, *map(str, numbers)) >> 1
