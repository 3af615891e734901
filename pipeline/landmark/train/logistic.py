"""Logistic regression of classes on features of images, with scikit-learn."""

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.kernel_ridge import standardise

# Inverse strength of the L2 penalty, on standardised features.
INVERSE_PENALTY = 1.0


def score_by_logistic(
    train: NDArray[np.float32], labels: NDArray[np.generic], images: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Scores (class, image) of a logistic regression of each class on standardised features, with an L2 penalty.

    A class that all or none of the train images have gets its frequency.

    Args:
        train: (train image, feature).
        labels: (train image, class), 1 where the image has the class.
        images: (image, feature).
    """
    from sklearn.linear_model import LogisticRegression

    features, own = standardise(train, images)
    scores = np.repeat(labels.mean(axis=0)[:, None], len(images), axis=1)
    for number in np.flatnonzero(labels.min(axis=0) < labels.max(axis=0)).tolist():
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=10_000).fit(features, labels[:, number])
        scores[number] = model.decision_function(own)
    return scores
