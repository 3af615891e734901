"""Learning rate and seeds as functions of seed and step, so that a training can resume."""

import math

from landmark.core.hashing import rank
from landmark.core.salts import TORCH


def cosine_cycle(step: int, steps: int, values: tuple[float, float, float], *, warmup: float) -> float:
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


def torch_seed(seed: int, purpose: str, *numbers: int) -> int:
    """Seed of PyTorch's generator for a purpose and numbers such as the step; a resumed training has the same."""
    return rank(seed, TORCH, purpose, *map(str, numbers)) >> 1
