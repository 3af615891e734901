"""What a training does at a step, in closed form: its state is the number of the step."""

import math

import numpy as np
from numpy.typing import NDArray

from landmark.core.hashing import rank
from landmark.core.salts import AUGMENTATION, EPOCH_ORDER, TORCH

# Of the greatest rate, as in PyTorch's OneCycleLR.
_START = 1 / 25
_END = _START / 10_000


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """OneCycle (arXiv 1708.07120) with cosines: from peak/25 up during the share `warmup`, down to peak/250,000."""
    turn, last = max(1.0, warmup * steps - 1), steps - 1
    if step <= turn:
        return _cosine(peak * _START, peak, step / turn)
    return _cosine(peak, peak * _END, (step - turn) / (last - turn))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def epoch_order(seed: int, epoch: int, sensor: str, *, rows: int) -> NDArray[np.int64]:
    """The order in which an epoch sees the rows of a sensor."""
    return np.random.default_rng(rank(seed, EPOCH_ORDER, sensor, str(epoch))).permutation(rows)


def epoch_turns(seed: int, epoch: int, sensor: str, *, rows: int) -> NDArray[np.int64]:
    """How each row is turned in an epoch: 0..7, quarter turns and whether it is mirrored."""
    return np.random.default_rng(rank(seed, AUGMENTATION, sensor, str(epoch))).integers(0, 8, rows)


def turned(pixels: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """A square image (band, y, x) in one of its eight attitudes."""
    turned = np.rot90(pixels, turn % 4, axes=(1, 2))
    return turned[:, :, ::-1] if turn >= 4 else turned


def torch_seed(seed: int, purpose: str, *, step: int = 0) -> int:
    """The seed of PyTorch's generator for one purpose and step, so that dropout follows from the step too."""
    return rank(seed, TORCH, purpose, str(step)) >> 1
