"""Rivals of a trained model: simple scores of images for classes, fitted on the train split.

Each knows less than a model that has learnt to see. What a model is worth is its lead over them.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.hashing import ranks
from landmark.core.progress import Progress, silent
from landmark.core.salts import RIVAL_IMAGES
from landmark.corpus.image_features import ImageFeatures, read_features
from landmark.corpus.kernel_ridge import KernelRidge
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import label_mask
from landmark.train.logistic import score_by_logistic
from landmark.train.validation.evaluated import EvaluatedSet, find_blocks
from landmark.write.nearest_places import score_by_nearest_places

Scores = NDArray[np.float64]

# Train images that `date` takes the labels of: those nearest in time.
NEAREST_IN_TIME = 25
# Train images that `bands` and `handcrafted` are fitted on, if there are more: a kernel of all would not fit in memory.
MAX_BANDS, MAX_HANDCRAFTED = 20_000, 4_000


class RivalInput:
    """What rivals are fitted on and applied to, of one sensor.

    Attributes:
        train: Images of the train split.
        images: The evaluated images.
        evaluated: Their classes.
        prior: (class,) frequency in the train split of all sensors.
        labels: (train image, class), 1 where the image has the class.
    """

    def __init__(self, corpus: Corpus, split: str, evaluated: EvaluatedSet, progress: Progress = silent) -> None:
        train, sensor = corpus.select(split="train"), evaluated.sensor
        self.train, self.evaluated, self._progress = train.select(sensor=sensor), evaluated, progress
        self.images = corpus.select(split=split, sensor=sensor)
        self.prior = _labels(train, evaluated).mean(axis=0)
        self.labels = _labels(self.train, evaluated)

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """Rows of the train images whose pixels are read, in the order of their hash."""
        return np.argsort(ranks(0, RIVAL_IMAGES, self.train.ids), kind="stable")[:MAX_BANDS]

    @cached_property
    def train_features(self) -> ImageFeatures:
        """Features of the drawn train images."""
        chosen = np.sort(self.drawn)
        selection = self.train.select(where=pc.field("id").isin([self.train.ids[row] for row in chosen]))
        features, rows = self._read(selection), np.searchsorted(chosen, self.drawn)
        return ImageFeatures(features.bands[rows], features.handcrafted[rows])

    @cached_property
    def features(self) -> ImageFeatures:
        """Features of the evaluated images."""
        return self._read(self.images)

    def _read(self, selection: Corpus) -> ImageFeatures:
        return read_features(selection, self.evaluated.sensor, progress=self._progress)


def _labels(selection: Corpus, evaluated: EvaluatedSet) -> Scores:
    """(image, class), 1 where the image has the class."""
    return label_mask(selection.columns("labels")["labels"], evaluated.classes).T.astype(np.float64)


Rival = Callable[[RivalInput], Scores]


def fit_rivals(
    corpus: Corpus, split: str, evaluated: Mapping[str, EvaluatedSet], progress: Progress = silent
) -> dict[str, dict[str, Scores]]:
    """Fit each rival on the train split; return sensor → rival → scores (class, image) of the evaluated images.

    Equal on one machine whatever the number of threads.

    Raises:
        InvalidCorpus: index, lock or shards are damaged.
    """
    from threadpoolctl import threadpool_limits

    scores: dict[str, dict[str, Scores]] = {}
    with threadpool_limits(1):
        for sensor, own in evaluated.items():
            known = RivalInput(corpus, split, own, progress)
            scores[sensor] = {name: rival(known) for name, rival in RIVALS.items()}
    return scores


def score_by_prior(known: RivalInput) -> Scores:
    """Frequency of each class in the train split: equal for all images, so that average precision is that of chance."""
    return _repeat(known.prior, known)


def score_by_sensor(known: RivalInput) -> Scores:
    """Frequency of each class among the sensor's train images: equal for all images of a sensor."""
    return _repeat(known.labels.mean(axis=0), known)


def _repeat(frequency: NDArray[np.float64], known: RivalInput) -> Scores:
    return np.repeat(frequency[:, None], len(known.images), axis=1)


def score_by_date(known: RivalInput) -> Scores:
    """Mean labels of the 25 train images of the sensor nearest in time, and of those as near as the last of them."""
    train, images = (_times_us(selection) for selection in (known.train, known.images))
    order = np.argsort(train, kind="stable")
    train, sums = train[order], np.cumsum(np.vstack([np.zeros(len(known.prior)), known.labels[order]]), axis=0)
    count = min(NEAREST_IN_TIME, len(train))
    # The nearest are among as many before and after an image.
    rows = np.searchsorted(train, images)[:, None] + np.arange(-count, count)
    gaps = np.abs(train[np.clip(rows, 0, len(train) - 1)] - images[:, None])
    gaps[(rows < 0) | (rows >= len(train))] = np.iinfo(np.int64).max
    radius = np.sort(gaps, axis=1)[:, count - 1]
    first, end = np.searchsorted(train, images - radius), np.searchsorted(train, images + radius, side="right")
    scores: Scores = ((sums[end] - sums[first]) / (end - first)[:, None]).T
    return scores


def _times_us(selection: Corpus) -> NDArray[np.int64]:
    times: NDArray[np.int64] = selection.columns("datetime")["datetime"].cast(pa.int64()).to_numpy()
    return times


def score_by_nearest(known: RivalInput) -> Scores:
    """Mean labels of the five nearest cells of the train split, see `score_by_nearest_places`."""
    train, images = (selection.columns("cell", "lon", "lat", "labels") for selection in (known.train, known.images))
    return score_by_nearest_places(train, images, known.evaluated.classes)


def score_by_bands(known: RivalInput) -> Scores:
    """Logistic regression of each class on mean and deviation of each band, see `score_by_logistic`."""
    return score_by_logistic(known.train_features.bands, known.labels[known.drawn], known.features.bands)


def score_by_handcrafted(known: RivalInput) -> Scores:
    """Kernel ridge regression of the labels on the handcrafted features, see `KernelRidge`."""
    rows, features = known.drawn[:MAX_HANDCRAFTED], known.train_features.handcrafted[:MAX_HANDCRAFTED]
    blocks = np.array(find_blocks(known.train), dtype=np.str_)[rows]
    model = KernelRidge(features, known.labels[rows], np.unique(blocks, return_inverse=True)[1])
    return model.predict(known.features.handcrafted).T


# In the order in which they are reported.
RIVALS: Mapping[str, Rival] = MappingProxyType(
    {
        "prior": score_by_prior,
        "sensor": score_by_sensor,
        "date": score_by_date,
        "nearest": score_by_nearest,
        "bands": score_by_bands,
        "handcrafted": score_by_handcrafted,
    }
)
