"""Kernel ridge regression on standardised features, with predictions that leave out a block."""

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]
Features = NDArray[np.float32]

# Ridges of which the held-out blocks choose one; the kernel is 1 on its diagonal.
RIDGES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
# Images whose distances give the bandwidth of the kernel; and rows of a kernel in memory at once.
_BANDWIDTH_IMAGES, _KERNEL_ROWS = 1_000, 4_096


def standardise(train: Features, images: Features) -> tuple[F8, F8]:
    """Subtract the mean of the train images and divide by their deviation."""
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-9] = 1
    return (train - mean) / deviation, (images - mean) / deviation


class KernelRidge:
    """Ridge regression with the kernel exp(-d²/m), where m is the median of d² between train images.

    The ridge is that of the least squared error on blocks that are left out, one at a time.

    Args:
        features: (train image, feature).
        targets: (train image, target).
        block: (train image,) number of its block.
    """

    def __init__(self, features: Features, targets: F8, block: NDArray[np.int64]) -> None:
        self._features, self._block = features, block
        train = standardise(features, features)[0]
        first = train[:_BANDWIDTH_IMAGES]
        self._scale = max(float(np.median(_squared_distances(first, first))), 1e-9)
        self._mean = targets.mean(axis=0)
        self._weights, self._inverse = fit_ridge(self._kernel(train, train), targets - self._mean, block)

    def predict(self, features: Features) -> F8:
        """Predictions (image, target)."""
        return self._apply(features, self._weights)

    def predict_without(self, block: int, features: Features) -> F8:
        """Predictions (image, target) of the fit with the same ridge, but without a block's train images.

        Without block g the weights of the others are w - A⁻¹g (A⁻¹gg)⁻¹ wg, where A is the kernel plus the ridge.
        """
        own = np.flatnonzero(self._block == block)
        inner = np.linalg.solve(self._inverse[np.ix_(own, own)], self._weights[own])
        return self._apply(features, self._weights - self._inverse[:, own] @ inner)

    def _apply(self, features: Features, weights: F8) -> F8:
        train, images = standardise(self._features, features)
        parts = (images[start : start + _KERNEL_ROWS] for start in range(0, len(images), _KERNEL_ROWS))
        scores = [self._kernel(part, train) @ weights + self._mean for part in parts]
        return np.concatenate([np.empty((0, weights.shape[1])), *scores])

    def _kernel(self, images: F8, train: F8) -> F8:
        kernel: F8 = np.exp(-_squared_distances(images, train) / self._scale)
        return kernel


def _squared_distances(a: F8, b: F8) -> F8:
    """(row of a, row of b)."""
    distances: F8 = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)
    return distances


def fit_ridge(kernel: F8, targets: F8, block: NDArray[np.int64]) -> tuple[F8, F8]:
    """Fit the ridge with the least error on blocks that are left out.

    Without block g the error on it is (A⁻¹)gg⁻¹ (A⁻¹y)g, where A is the kernel plus the ridge (Rifkin & Lippert 2007).

    Returns:
        Weights (train image, target), and the inverse of A.
    """
    best: tuple[float, F8, F8] = (np.inf, targets, kernel)
    rows = [np.flatnonzero(block == number) for number in np.unique(block).tolist()]
    for ridge in RIDGES:
        inverse: F8 = np.asarray(np.linalg.inv(kernel + ridge * np.eye(len(kernel))))
        weights = inverse @ targets
        errors = [np.linalg.solve(inverse[np.ix_(own, own)], weights[own]) for own in rows]
        fit = float(sum((error**2).sum() for error in errors)), weights, inverse
        best = min(best, fit, key=lambda fit: fit[0])
    return best[1], best[2]
