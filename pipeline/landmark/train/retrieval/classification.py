"""Classification of images by a model that was trained for retrieval: zero-shot, and by a linear probe.

Both rank images for classes, as retrieval does. Zero-shot classification also ranks and chooses classes of an image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.hashing import ranks
from landmark.core.progress import Progress, silent
from landmark.core.salts import PROBE_IMAGES
from landmark.corpus.metrics import above_chance, average_precisions, chance_average_precisions
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import label_mask
from landmark.train.logistic import score_by_logistic

if TYPE_CHECKING:
    from landmark.train.retrieval.embed import LoadedRun


@dataclass(frozen=True, slots=True)
class ClassificationMetrics:
    """Classification of the images of one sensor, by classes that some of them have and others have not.

    Attributes:
        images: Number of images.
        classes: Number of classes.
        chance_map: Expected mAP of a random order, which is that of the label prior.
        zero_shot_map: MAP of the cosines of images and class names.
        zero_shot_above_chance: (zero_shot_map - chance_map) / (1 - chance_map).
        probe_map: MAP of a logistic regression on embeddings of the train split; None if that is evaluated or empty.
        probe_above_chance: (probe_map - chance_map) / (1 - chance_map).
        label_ranking_ap: Mean over images of the average precision of their classes, ranked by cosine; None where
            each image has all classes or none.
        prior_label_ranking_ap: The same, ranked by frequency in the train split; None if that is empty.
        f1: Mean over classes of F1, with the threshold of the cosine that has the highest F1 on the val split; None if
            that is evaluated, or empty.
        prior_f1: The same of the label prior, which gives all images every class.
        f1_classes: Number of classes with a threshold: those that the val split has.
    """

    images: int
    classes: int
    chance_map: float
    zero_shot_map: float
    zero_shot_above_chance: float
    probe_map: float | None
    probe_above_chance: float | None
    label_ranking_ap: float | None
    prior_label_ranking_ap: float | None
    f1: float | None
    prior_f1: float | None
    f1_classes: int


@dataclass(frozen=True, slots=True)
class EmbeddedImages:
    """Unit vectors (image, d), and labels (image, class), of images of one sensor."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.bool_]


class Classifier:
    """Classifies the images of a split by their embeddings.

    Args:
        corpus: The corpus.
        loaded: The run.
        split: The evaluated split.
        classes: Class key → unit vector (d,) of its query.
        max_fitted: Images of a sensor that thresholds or a probe are fitted on, if there are more.
    """

    def __init__(
        self,
        corpus: Corpus,
        loaded: "LoadedRun",
        split: str,
        classes: Mapping[str, NDArray[np.float32]],
        *,
        max_fitted: int = 20_000,
        progress: Progress = silent,
    ) -> None:
        self._corpus, self._loaded, self._split, self._progress = corpus, loaded, split, progress
        self._max_fitted = max_fitted
        self._keys, self._texts = list(classes), np.stack(list(classes.values()))

    def measure(self, vectors: NDArray[np.float32]) -> dict[str, ClassificationMetrics]:
        """Sensor → metrics, of the unit vectors (image, d) of the split; no sensor whose images have equal classes."""
        selection = self._corpus.select(split=self._split)
        sensors, labels = selection.columns("sensor")["sensor"].to_numpy(), self._labels(selection)
        metrics: dict[str, ClassificationMetrics] = {}
        for sensor in self._corpus.manifest.sensors:
            own = EmbeddedImages(vectors[sensors == sensor], labels[sensors == sensor])
            mixed = own.labels.any(axis=0) & ~own.labels.all(axis=0)
            if mixed.any():
                metrics[sensor] = self._measure_sensor(sensor, own, np.flatnonzero(mixed))
        return metrics

    def _measure_sensor(self, sensor: str, images: EmbeddedImages, classes: NDArray[np.int64]) -> ClassificationMetrics:
        texts, labels = self._texts[classes], images.labels[:, classes]
        scores = images.vectors @ texts.T
        chance = float(chance_average_precisions(labels.T).mean())
        zero_shot = float(average_precisions(scores.T, labels.T).mean())
        val, train = (None if split == self._split else self.embed(sensor, split) for split in ("val", "train"))
        probe = None if train is None else _probe_map(train.vectors, train.labels[:, classes], images.vectors, labels)
        prior = self._labels(self._corpus.select(split="train", sensor=sensor))[:, classes]
        thresholds = {} if val is None else fit_thresholds(val.vectors @ texts.T, val.labels[:, classes])
        f1, prior_f1 = _mean_f1(scores, labels, thresholds)
        return ClassificationMetrics(
            images=len(labels),
            classes=len(classes),
            chance_map=chance,
            zero_shot_map=zero_shot,
            zero_shot_above_chance=above_chance(zero_shot, chance),
            probe_map=probe,
            probe_above_chance=None if probe is None else above_chance(probe, chance),
            label_ranking_ap=label_ranking_ap(scores, labels),
            prior_label_ranking_ap=label_ranking_ap(prior.mean(axis=0)[None], labels) if len(prior) else None,
            f1=f1,
            prior_f1=prior_f1,
            f1_classes=len(thresholds),
        )

    def embed(self, sensor: str, split: str) -> EmbeddedImages | None:
        """Embed images of another split, drawn by hash if there are many; None without any."""
        from landmark.train.retrieval.embed import embed_split

        selection = self._corpus.select(split=split, sensor=sensor)
        if len(selection) > self._max_fitted:
            order = np.argsort(ranks(0, PROBE_IMAGES, selection.ids), kind="stable")[: self._max_fitted]
            selection = selection.select(where=pc.field("id").isin([selection.ids[row] for row in order]))
        if not len(selection):
            return None
        vectors = embed_split(self._loaded, selection, split, progress=self._progress)
        return EmbeddedImages(vectors, self._labels(selection))

    def _labels(self, selection: Corpus) -> NDArray[np.bool_]:
        """(image, class)."""
        return label_mask(selection.columns("labels")["labels"], self._keys).T


def _probe_map(
    train: NDArray[np.float32],
    train_labels: NDArray[np.bool_],
    vectors: NDArray[np.float32],
    labels: NDArray[np.bool_],
) -> float:
    """MAP of a logistic regression; equal on one machine whatever the number of threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        scores = score_by_logistic(train, train_labels, vectors)
    return float(average_precisions(scores, labels.T).mean())


def label_ranking_ap(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float | None:
    """Mean over images of the average precision of their classes, as scikit-learn's label ranking average precision.

    Images that have all classes, or none, do not count, as every ranking of classes is right for them; None without
    others.

    Args:
        scores: (image, class), or (1, class) for the same scores of all images.
        labels: (image, class).
    """
    from sklearn.metrics import label_ranking_average_precision_score

    own = np.broadcast_to(scores, labels.shape)
    counted = labels.any(axis=1) & ~labels.all(axis=1)
    return float(label_ranking_average_precision_score(labels[counted], own[counted])) if counted.any() else None


def best_threshold(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Lowest score (image,) to accept for the highest F1; of several the greatest. Some image has the class."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + hits[-1])
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    return float(ranked[np.argmax(np.where(is_last, f1, -1))])


def fit_thresholds(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> dict[int, float]:
    """Column of each class that some image has → its `best_threshold`; scores and labels are (image, class)."""
    classes = np.flatnonzero(labels.any(axis=0)).tolist()
    return {column: best_threshold(scores[:, column], labels[:, column]) for column in classes}


def _mean_f1(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], thresholds: Mapping[int, float]
) -> tuple[float | None, float | None]:
    """Mean F1 over the classes with a threshold, and the same of accepting all images; None without one."""
    if not thresholds:
        return None, None
    columns = list(thresholds)
    accepted, own = scores[:, columns] >= np.array(list(thresholds.values()), scores.dtype), labels[:, columns]
    positives = own.sum(axis=0)
    f1 = 2 * (accepted & own).sum(axis=0) / (accepted.sum(axis=0) + positives)
    return float(f1.mean()), float((2 * positives / (len(own) + positives)).mean())
