"""Learning rate, augmentation and seeds as functions of seed and step, so that a training can resume."""

import math

import numpy as np
from numpy.typing import NDArray

from landmark.core.hashing import rank
from landmark.core.salts import AUGMENTATION, TORCH

# Factors of the peak learning rate, the defaults of PyTorch's OneCycleLR.
_START = 1 / 25
_END = _START / 10_000
# Quarter turns of an image and of its mirror image.
ORIENTATIONS = 8


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """OneCycle schedule with cosine annealing (arXiv 1708.07120): peak/25 to peak, then down to peak/250,000.

    Args:
        step: 0 .. steps - 1.
        steps: Length of the training.
        peak: Highest learning rate.
        warmup: Fraction of the steps in which the rate rises.
    """
    peak_step, last_step = max(1.0, warmup * steps - 1), steps - 1
    if step <= peak_step:
        return _cosine(peak * _START, peak, step / peak_step)
    return _cosine(peak, peak * _END, (step - peak_step) / (last_step - peak_step))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def epoch_orientations(seed: int, epoch: int, sensor: str, *, rows: int) -> NDArray[np.int64]:
    """Orientation (rows,) of each sample in an epoch, below `ORIENTATIONS`, for `augment`."""
    return np.random.default_rng(rank(seed, AUGMENTATION, sensor, str(epoch))).integers(0, ORIENTATIONS, rows)


def augment(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Rotate a square image (band, y, x) by `orientation % 4` quarter turns and mirror it from 4 on."""
    rotated = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return rotated[:, :, ::-1] if orientation >= 4 else rotated


def torch_seed(seed: int, purpose: str, *, step: int = 0) -> int:
    """Seed of PyTorch's generator for a purpose and step, so that dropout is reproducible after a resume."""
    return rank(seed, TORCH, purpose, str(step)) >> 1
