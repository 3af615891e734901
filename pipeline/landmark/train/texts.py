"""The texts of a training: captions, or names of some of each image's classes, drawn anew in each epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landmark.core.hashing import rank
from landmark.core.salts import LABEL_SUBSET
from landmark.train.text import Tokenize

# Texts of one class, as most queries are; the others have each number of an image's classes equally often.
_SINGLE = 0.5


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a split's images.

    Attributes:
        token_ids: Distinct texts, (text, token) int64.
        attention_mask: (text, token) int64, 1 where there is a token.
        rows: Sensor → (image,) row of the text of each image.
        labels: Sensor → (image, class) bool, classes that the text of each image names; None for captions.
    """

    token_ids: Tensor
    attention_mask: Tensor
    rows: dict[str, NDArray[np.int64]]
    labels: dict[str, Tensor] | None = None


def tokenize_captions(captions: Mapping[str, Sequence[str]], tokenize: Tokenize) -> Texts:
    """Texts of a caption for each image, by sensor."""
    distinct = sorted({caption for own in captions.values() for caption in own})
    row_of = {caption: row for row, caption in enumerate(distinct)}
    rows = {sensor: np.array([row_of[caption] for caption in own]) for sensor, own in captions.items()}
    return Texts(*tokenize(distinct), rows)


def tokenize_subsets(
    labels: Mapping[str, NDArray[np.bool_]],
    names: Mapping[str, Sequence[str]],
    tokenize: Tokenize,
    *,
    seed: int,
    epoch: int,
) -> Texts:
    """Texts of the names of some of each image's classes, as a structured caption lists them.

    Args:
        labels: Sensor → (image, class).
        names: Sensor → names of the classes.
        tokenize: Tokenizer of the text tower.
        seed: Seed of the draw.
        epoch: Number of the epoch, from 0 on.
    """
    drawn = {sensor: draw_subsets(own, seed, epoch, sensor) for sensor, own in labels.items()}
    captions = {
        sensor: [". ".join(names[sensor][place] for place in subset) for subset in own] for sensor, own in drawn.items()
    }
    texts = tokenize_captions(captions, tokenize)
    chosen = {sensor: torch.zeros(own.shape, dtype=torch.bool) for sensor, own in labels.items()}
    for sensor, own in drawn.items():
        for row, subset in zip(chosen[sensor], own, strict=True):
            row[subset] = True
    return Texts(texts.token_ids, texts.attention_mask, texts.rows, chosen)


def draw_subsets(labels: NDArray[np.bool_], seed: int, epoch: int, sensor: str) -> list[list[int]]:
    """Draw some of the classes of each image (image, class), in random order: one, or with probability 0.5 any number.

    An image without classes has none.
    """
    generator = np.random.default_rng(rank(seed, LABEL_SUBSET, sensor, str(epoch)))
    order = np.argsort(np.where(labels, generator.random(labels.shape), 2), axis=1)
    single, share, n_labels = generator.random(len(labels)), generator.random(len(labels)), labels.sum(axis=1)
    counts = np.minimum(n_labels, np.where(single < _SINGLE, 1, 1 + (share * n_labels).astype(np.int64)))
    return [own[:count].tolist() for own, count in zip(order, counts, strict=True)]
