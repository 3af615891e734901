"""The batch of a step, as a function of seed and step: as many images of each sensor, and what is said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landmark.config.profiles import load_sensor
from landmark.train.dataset import Stored, Texts, inputs
from landmark.train.profile import Model, Stat
from landmark.train.schedule import epoch_order, epoch_turns, turned
from landmark.train.text import Tokenize


@dataclass(frozen=True, slots=True)
class Lesson:
    """The train split of one sensor: stored pixels (n, band, y, x), what is said of each, statistics of each band."""

    pixels: Stored
    texts: Texts
    statistics: Sequence[Stat]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Attributes:
        images: Per sensor, (batch, channel, y, x) float32.
        labels: Per sensor, (batch, class) bool.
        place: Per sensor, (batch,) int64: which of the texts is the image's.
        ids: The different texts, (text, token) int64; `mask` the same, 1 where there is a token.
    """

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    place: dict[str, Tensor]
    ids: Tensor
    mask: Tensor


class Batches:
    """Batches by step; remembers the order of the epoch it is in. The last incomplete batch of an epoch is dropped."""

    def __init__(self, lessons: Mapping[str, Lesson], model: Model, *, seed: int, tokenize: Tokenize) -> None:
        self.per_epoch = steps_per_epoch(lessons, model.budget.batch)
        self._lessons, self._model, self._seed = lessons, model, seed
        captions = sorted({caption for lesson in lessons.values() for caption in lesson.texts.captions})
        self._ids, self._mask = tokenize(captions)
        number = {caption: place for place, caption in enumerate(captions)}
        self._said = {
            name: np.array([number[caption] for caption in one.texts.captions]) for name, one in lessons.items()
        }
        self._labels = {name: torch.from_numpy(multi_hot(one.texts.labels)) for name, one in lessons.items()}
        self._epoch = -1
        self._order: dict[str, np.ndarray] = {}
        self._turn: dict[str, np.ndarray] = {}

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        epoch, place = divmod(step, self.per_epoch)
        self._begin(epoch)
        size = self._model.budget.batch
        rows = {name: order[place * size : (place + 1) * size] for name, order in self._order.items()}
        said = {name: self._said[name][chosen] for name, chosen in rows.items()}
        texts = np.unique(np.concatenate(list(said.values())))
        return Batch(
            images={name: self._images(name, chosen) for name, chosen in rows.items()},
            labels={name: self._labels[name][chosen] for name, chosen in rows.items()},
            place={name: torch.from_numpy(np.searchsorted(texts, one)) for name, one in said.items()},
            ids=self._ids[texts],
            mask=self._mask[texts],
        )

    def _begin(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        counts = {name: len(lesson.pixels) for name, lesson in self._lessons.items()}
        self._epoch = epoch
        self._order = {name: epoch_order(self._seed, epoch, name, rows=count) for name, count in counts.items()}
        self._turn = {name: epoch_turns(self._seed, epoch, name, rows=count) for name, count in counts.items()}

    def _images(self, name: str, rows: np.ndarray) -> Tensor:
        lesson, turns = self._lessons[name], self._turn[name] * self._model.budget.turns
        stored = np.stack([turned(lesson.pixels[row], int(turns[row])) for row in rows])
        sensor = load_sensor(name)
        return torch.from_numpy(inputs(stored, sensor, tower=self._model.image, statistics=lesson.statistics))


def steps_per_epoch(lessons: Mapping[str, Lesson], batch: int) -> int:
    """Whole batches of the sensor with the fewest images; of the other, each epoch sees others."""
    return min(len(lesson.pixels) for lesson in lessons.values()) // batch


def multi_hot(labels: Sequence[frozenset[str]]) -> np.ndarray:
    """Which classes each sample carries, (n, class) bool, classes in alphabetical order."""
    classes = sorted(set().union(*labels))
    return np.array([[key in one for key in classes] for one in labels], dtype=bool)
