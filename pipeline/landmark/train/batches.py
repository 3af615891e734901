"""The batch of a training step as a function of seed and step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landmark.config.profiles import load_sensor
from landmark.train.dataset import Annotations, StoredPixels, model_input
from landmark.train.profile import BandStatistics, ModelProfile
from landmark.train.schedule import augment, epoch_order, epoch_orientations
from landmark.train.text import Tokenize


@dataclass(frozen=True, slots=True)
class SensorData:
    """The train split of one sensor: stored pixels (n, band, y, x), annotations, and statistics of each band."""

    pixels: StoredPixels
    annotations: Annotations
    statistics: Sequence[BandStatistics]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step.

    Attributes:
        images: Per sensor, (batch, channel, y, x) float32.
        labels: Per sensor, (batch, class) bool.
        text_index: Per sensor, (batch,) int64: row of `token_ids` of each image.
        token_ids: Distinct texts of the batch, (text, token) int64.
        attention_mask: (text, token) int64, 1 where there is a token.
    """

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    text_index: dict[str, Tensor]
    token_ids: Tensor
    attention_mask: Tensor


class Batches:
    """Batches by step; caches the order of the current epoch and drops an epoch's last incomplete batch."""

    def __init__(self, data: Mapping[str, SensorData], profile: ModelProfile, *, seed: int, tokenize: Tokenize) -> None:
        self.per_epoch = steps_per_epoch(data, profile.budget.batch)
        self._data, self._profile, self._seed = data, profile, seed
        captions = sorted({caption for sensor in data.values() for caption in sensor.annotations.captions})
        self._token_ids, self._attention_mask = tokenize(captions)
        row_of = {caption: row for row, caption in enumerate(captions)}
        self._text_rows = {
            name: np.array([row_of[caption] for caption in sensor.annotations.captions])
            for name, sensor in data.items()
        }
        self._labels = {name: torch.from_numpy(multi_hot(sensor.annotations.labels)) for name, sensor in data.items()}
        self._epoch = -1
        self._order: dict[str, np.ndarray] = {}
        self._orientations: dict[str, np.ndarray] = {}

    def at(self, step: int) -> Batch:
        """Assemble the batch of a step."""
        epoch, index = divmod(step, self.per_epoch)
        self._start_epoch(epoch)
        size = self._profile.budget.batch
        rows = {name: order[index * size : (index + 1) * size] for name, order in self._order.items()}
        text_rows = {name: self._text_rows[name][selected] for name, selected in rows.items()}
        texts = np.unique(np.concatenate(list(text_rows.values())))
        return Batch(
            images={name: self._images(name, selected) for name, selected in rows.items()},
            labels={name: self._labels[name][selected] for name, selected in rows.items()},
            text_index={
                name: torch.from_numpy(np.searchsorted(texts, selected)) for name, selected in text_rows.items()
            },
            token_ids=self._token_ids[texts],
            attention_mask=self._attention_mask[texts],
        )

    def _start_epoch(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        counts = {name: len(sensor.pixels) for name, sensor in self._data.items()}
        self._epoch = epoch
        self._order = {name: epoch_order(self._seed, epoch, name, rows=count) for name, count in counts.items()}
        self._orientations = {
            name: epoch_orientations(self._seed, epoch, name, rows=count) for name, count in counts.items()
        }

    def _images(self, name: str, rows: np.ndarray) -> Tensor:
        data, orientations = self._data[name], self._orientations[name] * self._profile.budget.augment
        stored = np.stack([augment(data.pixels[row], int(orientations[row])) for row in rows])
        sensor = load_sensor(name)
        return torch.from_numpy(model_input(stored, sensor, tower=self._profile.image, statistics=data.statistics))


def steps_per_epoch(data: Mapping[str, SensorData], batch: int) -> int:
    """Number of complete batches of the sensor with the fewest images.

    An epoch has only a part of the other sensor's images, another part each time.
    """
    return min(len(sensor.pixels) for sensor in data.values()) // batch


def multi_hot(labels: Sequence[frozenset[str]]) -> np.ndarray:
    """Encode label sets as (n, class) bool, classes in alphabetical order."""
    classes = sorted(set().union(*labels))
    return np.array([[name in sample_labels for name in classes] for sample_labels in labels], dtype=bool)
