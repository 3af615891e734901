"""How well pixels tell each class, and the probability that a sample has it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from landmark.quality.suspects.label_noise import auroc
from landmark.quality.suspects.out_of_fold import F8, LabelledSamples
from landmark.quality.suspects.suspect_report import ClassRanking

_MIN_SAMPLES = 10
_STEPS, _PENALTY = 25, 1e-3


def calibrate(has_label: NDArray[np.bool_], expected: F8) -> F8:
    """Probability (sample,) of a label: logistic function of the expected root (Platt 1999), fitted by Newton steps."""
    spread = expected.std() or 1.0
    design = np.stack([np.ones(len(expected)), (expected - expected.mean()) / spread], axis=1)
    weights = np.zeros(2)
    for _ in range(_STEPS):
        probability = _logistic(design @ weights)
        slope = design.T @ (has_label - probability) - _PENALTY * weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + _PENALTY * np.eye(2)
        # Steps are bounded: classes that are separated have no finite fit.
        weights = weights + np.clip(np.linalg.solve(curvature, slope), -2, 2)
    return _logistic(design @ weights)


def _logistic(values: F8) -> F8:
    result: F8 = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return result


def rank_classes(samples: LabelledSamples, expected: F8, probability: F8, min_auroc: float) -> list[ClassRanking]:
    """Rank the classes by AUROC, the least predictable first; those with too few samples last.

    Samples of the wrong side are those beyond the mean probability of the other (confident learning, Northcutt 2021).
    """
    rankings = list(_rank(samples, expected, probability, min_auroc))
    return sorted(rankings, key=lambda ranking: (ranking.auroc is None, ranking.auroc or 0, ranking.key))


def _rank(samples: LabelledSamples, expected: F8, probability: F8, min_auroc: float) -> Iterator[ClassRanking]:
    for number, key in enumerate(samples.classes):
        has, root, chance = samples.has_label[:, number], expected[:, number], probability[:, number]
        area, unexpected, missing = None, None, None
        if min(has.sum(), (~has).sum()) >= _MIN_SAMPLES:
            area = auroc(root[has], root[~has])
            if area >= min_auroc:
                unexpected = int((chance[has] <= chance[~has].mean()).sum())
                missing = int((chance[~has] >= chance[has].mean()).sum())
        rounded = None if area is None else round(area, 3)
        yield ClassRanking(key=key, samples=int(has.sum()), auroc=rounded, unexpected=unexpected, missing=missing)
