"""Kernel ridge regression against scikit-learn."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge as SklearnRidge

from landmark.corpus.kernel_ridge import RIDGES, KernelRidge, fit_ridge

BLOCK = np.repeat(np.arange(8), 5)


def problem(seed):
    """Standardised features, targets, and the kernel of the features."""
    chance = np.random.default_rng(seed)
    points = chance.normal(size=(40, 3)).astype(np.float32).astype(np.float64)
    points = ((points - points.mean(axis=0)) / points.std(axis=0)).astype(np.float32)
    distances = ((points[:, None].astype(np.float64) - points) ** 2).sum(axis=2)
    targets = points[:, :2] + 0.5 * chance.normal(size=(40, 2))
    return points, targets - targets.mean(axis=0), np.exp(-distances / np.median(distances))


def left_out(kernel, targets, ridge, number):
    """Predictions for a block of a fit to the others."""
    rest, own = number != BLOCK, number == BLOCK
    model = SklearnRidge(alpha=ridge, kernel="precomputed").fit(kernel[np.ix_(rest, rest)], targets[rest])
    return model.predict(kernel[np.ix_(own, rest)])


def best_ridge(kernel, targets):
    def error(ridge):
        return sum(((left_out(kernel, targets, ridge, g) - targets[g == BLOCK]) ** 2).sum() for g in range(8))

    best = min(RIDGES, key=error)
    assert best not in (RIDGES[0], RIDGES[-1])
    return best


def test_ridge_is_chosen_by_blocks_that_are_left_out():
    _, targets, kernel = problem(0)
    expected = SklearnRidge(alpha=best_ridge(kernel, targets), kernel="precomputed").fit(kernel, targets).dual_coef_
    assert fit_ridge(kernel, targets, BLOCK)[0] == pytest.approx(expected)


def test_predicts_with_all_blocks_and_without_a_block():
    features, targets, kernel = problem(0)
    model, ridge = KernelRidge(features, targets, BLOCK), best_ridge(kernel, targets)
    fitted = SklearnRidge(alpha=ridge, kernel="precomputed").fit(kernel, targets)
    assert model.predict(features) == pytest.approx(fitted.predict(kernel), abs=1e-5)
    for number in range(8):
        own = model.predict_without(number, features[number == BLOCK])
        assert own == pytest.approx(left_out(kernel, targets, ridge, number), abs=1e-5)
