"""Mirrored and turned images, as a function of seed, epoch and sample.

Sentinel-2 may have all eight orientations of a square. Sentinel-1 looks east when ascending and west when descending,
which relief, walls and water show: mirrored from left to right an image has the look of the other pass, and mirrored
from top to bottom one some 25° off; turned by a quarter it looks along its track, as no image of the mission does.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landmark.core.hashing import rank
from landmark.core.salts import AUGMENTATION
from landmark.train.profile import Augmentation

# Quarter turns of an image and of its mirror image.
ORIENTATIONS = 8


def epoch_orientations(
    seed: int, epoch: int, sensor: str, *, rows: int, augmentation: Augmentation
) -> NDArray[np.int64]:
    """Orientation (rows,) of each sample in an epoch, for `orient`; all 0 without augmentation."""
    generator = np.random.default_rng(rank(seed, AUGMENTATION, sensor, str(epoch)))
    if augmentation == "none":
        return np.zeros(rows, dtype=np.int64)
    if augmentation == "flips" or sensor == "s1":
        # Half turns of an image and of its mirror image.
        return 2 * generator.integers(0, ORIENTATIONS // 2, rows)
    return generator.integers(0, ORIENTATIONS, rows)


def orient(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """A view of a square image (band, y, x), turned by `orientation % 4` quarters and mirrored from 4 on."""
    turned = np.rot90(image, orientation % 4, axes=(1, 2))
    return turned[:, :, ::-1] if orientation >= 4 else turned


def orient_images(images: Tensor, orientations: NDArray[np.int64]) -> Tensor:
    """Square images (n, channel, y, x), each turned and mirrored as by `orient`; all of an orientation at once."""
    if not orientations.any():
        return images
    oriented = torch.empty_like(images)
    for orientation in np.unique(orientations).tolist():
        rows = torch.from_numpy(np.flatnonzero(orientations == orientation)).to(images.device)
        turned = torch.rot90(images[rows], orientation % 4, dims=(2, 3))
        oriented[rows] = turned.flip(3) if orientation >= 4 else turned
    return oriented
