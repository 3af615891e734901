"""Mistakes of labels: a score for each sample, the odds that its labels are of another place, and how many there are.

A sample's score is the logarithm of the likelihood of its labels among labels of all places, over that given the
model's expectation for its cell, both Gaussian. Scores of known mistakes are those of samples with the labels of
others; where these are, the share of all samples is that of mistakes (mixture proportion, Blanchard et al. 2010).
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from landmark.core.hashing import rank, ranks
from landmark.core.salts import BOOTSTRAP_BLOCKS, EXCHANGED_LABELS
from landmark.quality.suspects.out_of_fold import F8, I8, LabelledSamples

# Share of known mistakes above the threshold of the estimate: above it are hardly any scores of right labels. A larger
# share counts some of these; a smaller one leaves few mistakes to count.
TAIL = 0.65
# Pairs of a sample and another's labels, per sample.
_PARTNERS = 10
_PARTS = 10
# Prior share of mistakes in the odds of a sample.
_PRIOR = 0.05
# Fraction of a cell that differs between labels of the same editions of their sources, and that changes between others.
_MAX_ROUNDING, _MAX_CHANGE = 0.02, 0.25
_MIN_VARIANCE = 1e-3
_BOOTSTRAPS, _INTERVAL = 500, (2.5, 97.5)


class Rate(NamedTuple):
    """Estimated share of samples with labels of another place, with a 95 % interval."""

    rate: float
    low: float
    high: float


class NoiseScore:
    """Logarithm of the likelihood ratio of a mistake, of the labels that it is given."""

    def __init__(self, roots: F8, expected: F8) -> None:
        least = _MIN_VARIANCE * np.eye(roots.shape[1])
        residual, marginal = (np.cov(values.T).reshape(least.shape) + least for values in (roots - expected, roots))
        self._mean, self._residual, self._marginal = (
            roots.mean(axis=0),
            np.linalg.inv(residual),
            np.linalg.inv(marginal),
        )
        self._offset = np.linalg.slogdet(residual)[1] - np.linalg.slogdet(marginal)[1]

    def __call__(self, roots: F8, expected: F8) -> F8:
        """Scores (sample,) of labels (sample, class), given expected ones."""
        pairs = ((roots - expected, self._residual), (roots - self._mean, self._marginal))
        conditional, overall = (np.einsum("ij,jk,ik->i", values, inverse, values) for values, inverse in pairs)
        scores: F8 = (conditional - overall + self._offset) / 2
        return scores


def score_mistakes(samples: LabelledSamples, roots: F8, expected: F8) -> tuple[F8, F8]:
    """Scores of the samples, and of pairs of a sample and the labels of another cell.

    A tenth of the cells is scored with the spread of the others: mistakes do not hide in a spread that they cause.
    """
    number = len(roots)
    order = np.argsort(ranks(0, EXCHANGED_LABELS, samples.ids), kind="stable")
    partners = np.empty((_PARTNERS, number), dtype=np.int64)
    for step in range(_PARTNERS):
        partners[step, order] = np.roll(order, step + 1)
    scores, exchanged = np.empty(number), np.empty(partners.shape)
    for part in range(_PARTS):
        own = np.flatnonzero(samples.cell % _PARTS == part)
        score = NoiseScore(*(np.delete(values, own, axis=0) for values in (roots, expected)))
        scores[own] = score(roots[own], expected[own])
        for step in range(_PARTNERS):
            exchanged[step, own] = score(roots[partners[step, own]], expected[own])
    return scores, exchanged[samples.cell[partners] != samples.cell]


def auroc(positive: F8, negative: F8) -> float:
    """Probability that a positive score exceeds a negative one; 0.5 without any."""
    if not len(positive) or not len(negative):
        return 0.5
    total = float(rankdata(np.concatenate([positive, negative]))[: len(positive)].sum())
    return (total / len(positive) - (len(positive) + 1) / 2) / len(negative)


def estimate_rate(samples: LabelledSamples, scores: F8, exchanged: F8) -> Rate:
    """Estimate the share of mistakes from the scores of samples, and those of exchanged labels.

    The interval is the wider of that of a bootstrap over blocks and that of as many independent draws as cells.
    """
    excess = (scores > np.quantile(exchanged, 1 - TAIL)) / TAIL
    share, cells = float(excess.mean()), int(samples.cell.max()) + 1
    low, high = np.percentile(_resample_blocks(excess, samples.block), _INTERVAL).tolist()
    least, most = (bound / TAIL for bound in _wilson(share * TAIL, cells))
    return Rate(*(min(max(value, 0.0), 1.0) for value in (share, min(low, least), max(high, most))))


def _resample_blocks(values: F8, block: I8) -> F8:
    """Means of samples of blocks drawn with replacement."""
    sums, sizes = np.bincount(block, values), np.bincount(block)
    chance = np.random.default_rng(rank(0, BOOTSTRAP_BLOCKS))
    draws = chance.integers(len(sums), size=(_BOOTSTRAPS, len(sums)))
    means: F8 = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    return means


def _wilson(share: float, number: int) -> tuple[float, float]:
    """95 % interval of a share of independent draws (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)) / (1 + z**2 / number)
    return float(middle - half), float(middle + half)


def log_odds(samples: LabelledSamples, scores: F8) -> F8:
    """Logarithm of the odds that a sample's labels are of another place.

    The true labels of a cell are those of one of its samples, or of none. Others that differ from these are wrong. Each
    wrong sample has the prior probability; without any right one, each set of labels has.
    """
    odds = np.empty(len(scores))
    order = np.argsort(samples.cell, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(samples.cell[order])) + 1):
        fractions, edition = samples.roots[own] ** 2, samples.edition[own]
        limit = np.where(edition[:, None] == edition, _MAX_ROUNDING, _MAX_CHANGE)
        same = np.abs(fractions[:, None] - fractions).sum(axis=2) / 2 <= limit
        alike = same.sum(axis=1)
        weight = (len(own) - alike) * np.log(_PRIOR) + alike * np.log1p(-_PRIOR) - scores[own] - np.log(alike)
        none = np.log(_PRIOR) * (1 / alike).sum()
        right = np.logaddexp.reduce(np.where(same, weight, -np.inf), axis=1)
        wrong = np.logaddexp.reduce(np.where(same, -np.inf, weight), axis=1)
        odds[own] = np.logaddexp(wrong, none) - right
    return odds
