"""The batches of a training, from the loader: a function of seed and position."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landmark.config.profiles import load_sensor
from landmark.corpus.reader import Corpus
from landmark.loader.batch import SensorPixels
from landmark.train.augmentation import epoch_orientations, orient, orient_images
from landmark.train.closp import SensorInputs
from landmark.train.dataset import Annotations, StoredPixels, input_size, loader_threads, model_input
from landmark.train.locations import Locations
from landmark.train.loss import SensorTargets
from landmark.train.profile import BandStatistics, ModelProfile
from landmark.train.text import Tokenize
from landmark.train.texts import Texts, tokenize_captions, tokenize_subsets

Part = TypeVar("Part", SensorInputs, SensorTargets)


@dataclass(frozen=True, slots=True)
class SensorData:
    """Annotations of the train split of one sensor, and statistics of each band."""

    annotations: Annotations
    statistics: Sequence[BandStatistics]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step.

    Attributes:
        inputs: Sensor → images and what belongs to them.
        targets: Sensor → what makes its images positives of each other.
        token_ids: Distinct texts of the batch, (text, token) int64.
        attention_mask: (text, token) int64, 1 where there is a token.
    """

    inputs: dict[str, SensorInputs]
    targets: dict[str, SensorTargets]
    token_ids: Tensor
    attention_mask: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch, each of its tensors changed."""
        return Batch(
            {sensor: map_tensors(own, change) for sensor, own in self.inputs.items()},
            {sensor: map_tensors(own, change) for sensor, own in self.targets.items()},
            change(self.token_ids),
            change(self.attention_mask),
        )

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return self.map(lambda tensor: tensor.to(device))


def map_tensors(part: Part, change: Callable[[Tensor], Tensor]) -> Part:
    """A copy of a part of a batch, each of its tensors changed."""
    tensors = {field.name: getattr(part, field.name) for field in fields(part)}
    return replace(part, **{name: change(tensor) for name, tensor in tensors.items() if tensor is not None})


class Batches:
    """Endless batches of a split, epoch after epoch.

    Attributes:
        loader: Its state is the position behind the last batch.
        device: Where images are made.
        per_epoch: Batches of an epoch, which the sensor with the most images ends, while images of the other recur; the
            last is incomplete with `last_batch: keep` only, which leaves out one of a single image.
    """

    def __init__(
        self,
        corpus: Corpus,
        data: Mapping[str, SensorData],
        profile: ModelProfile,
        *,
        seed: int,
        tokenize: Tokenize,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """Open the loader.

        Args:
            corpus: The split.
            data: One sensor, or all of the split.
            profile: The model.
            seed: Seed of order and augmentation.
            tokenize: Tokenizer of the text tower.
            share: Number of this rank and number of ranks, which share `budget.batch`.
        """
        self._data, self._profile, self._seed, self.device = data, profile, seed, torch.device("cpu")
        self._locations = Locations(corpus, profile)
        together: Literal["together", "paired"] = "paired" if self._locations.has_pairs else "together"
        self.loader = corpus.select(sensor=next(iter(data)) if len(data) == 1 else None).loader(
            batch=profile.budget.batch,
            seed=seed,
            sensors=together if len(data) > 1 else None,
            size=input_size(corpus, profile.image),
            threads=loader_threads(),
            rank=share[0],
            ranks=share[1],
        )
        complete, rest = divmod(self.loader.samples, profile.budget.batch)
        # A batch of one image has nothing to be compared with, and BatchNorm no deviation.
        self.per_epoch = max(1, complete + (profile.budget.last_batch == "keep" and rest > 1))
        self._start = self.loader.state_dict()
        self._rows = {name: {id: row for row, id in enumerate(own.annotations.ids)} for name, own in data.items()}
        self._labels = {name: torch.from_numpy(multi_hot(sensor.annotations.labels)) for name, sensor in data.items()}
        self._tokenize = tokenize
        self._taxonomy = corpus.manifest.taxonomy
        self._texts = tokenize_captions({name: own.annotations.captions for name, own in data.items()}, tokenize)
        self._epoch = -1
        self._orientations: dict[str, NDArray[np.int64]] = {}

    def to(self, device: torch.device) -> "Batches":
        """Make images on a device from now on; `Batch.to` brings the rest of a batch there."""
        self.device = device
        return self

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from the loader's position on."""
        while True:
            for loaded in self.loader:
                if self.loader.position <= self.per_epoch:
                    self._start_epoch(self.loader.epoch)
                    pixels = loaded.pixels
                    ids = {name: [loaded.ids[place] for place in own.places] for name, own in pixels.items()}
                    yield self._assemble(pixels, ids)

    def first_epoch(self) -> Iterator[Batch]:
        """Yield the batches of the first epoch, the same in each call."""
        self.loader.load_state_dict(self._start)
        return islice(self, self.per_epoch)

    def _assemble(self, pixels: Mapping[str, SensorPixels], ids: Mapping[str, Sequence[str]]) -> Batch:
        rows = {name: np.array([self._rows[name][id] for id in own]) for name, own in ids.items()}
        text_rows = {name: self._texts.rows[name][selected] for name, selected in rows.items()}
        text_labels = self._texts.labels
        texts = np.flatnonzero(np.bincount(np.concatenate(list(text_rows.values()))))
        return Batch(
            inputs={
                name: SensorInputs(
                    self._images(name, pixels[name].stored, selected),
                    torch.from_numpy(np.searchsorted(texts, text_rows[name])),
                    self._locations.harmonics(name, selected),
                )
                for name, selected in rows.items()
            },
            targets={
                name: SensorTargets(
                    self._labels[name][selected],
                    self._locations.coordinates(name, selected),
                    self._locations.pair(name, selected),
                    None if text_labels is None else text_labels[name][selected],
                )
                for name, selected in rows.items()
            },
            token_ids=self._texts.token_ids[texts],
            attention_mask=self._texts.attention_mask[texts],
        )

    def _start_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._orientations = {
                name: epoch_orientations(
                    self._seed, epoch, name, rows=len(own), augmentation=self._profile.budget.augment
                )
                for name, own in self._rows.items()
            }
            if self._profile.objective.targets == "subset":
                self._texts = self._draw_texts(epoch)

    def _draw_texts(self, epoch: int) -> Texts:
        labels = {name: own.numpy() for name, own in self._labels.items()}
        classes = {name: class_keys(own.annotations.labels) for name, own in self._data.items()}
        names = {
            sensor: [self._taxonomy.classes[key].name[self._profile.lang].lower() for key in own]
            for sensor, own in classes.items()
        }
        return tokenize_subsets(labels, names, self._tokenize, seed=self._seed, epoch=epoch)

    def _images(self, name: str, stored: StoredPixels, rows: NDArray[np.int64]) -> Tensor:
        orientations, on_cuda = self._orientations[name][rows], self.device.type == "cuda"
        # A CPU copies integers faster than floats; a GPU turns the images itself, so that steps need not wait for it.
        if not on_cuda and self._profile.budget.augment != "none":
            upright, stored = stored, np.empty_like(stored)
            for image, out, orientation in zip(upright, stored, orientations.tolist(), strict=True):
                out[...] = orient(image, orientation)
        tower, statistics = self._profile.image, self._data[name].statistics
        images = model_input(stored, load_sensor(name), tower=tower, statistics=statistics, device=self.device)
        return orient_images(images, orientations) if on_cuda else images


def multi_hot(labels: Sequence[frozenset[str]]) -> np.ndarray:
    """Encode label sets as (n, class) bool, classes in alphabetical order."""
    classes = class_keys(labels)
    return np.array([[name in sample_labels for name in classes] for sample_labels in labels], dtype=bool)


def class_keys(labels: Sequence[frozenset[str]]) -> list[str]:
    """Classes of some label sets, in alphabetical order."""
    return sorted(set().union(*labels))
