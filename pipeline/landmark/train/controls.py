"""Conditions of a validation: annotations as they are (`none`), or with their relation to the images destroyed.

A control is trained *and evaluated* on its own labels. Evaluated on the true labels it would not be at chance: images
of a place look alike and any net groups them, so its ranking is arbitrary but clustered, and a fixed arbitrary ranking
has one average precision, randomly above or below chance, which more queries do not average out. Where the labels of
the evaluated split are also drawn independently of the pixels, every position of a ranking is equally likely to be
relevant, for any net: the expected average precision is exactly chance.
"""

from collections.abc import Callable, Mapping

import numpy as np

from landmark.core.hashing import rank
from landmark.core.salts import CONDITIONS
from landmark.train.dataset import Annotations

# (annotations of one sensor and split, class → its name in captions, seed) → annotations of the same samples.
Control = Callable[[Annotations, Mapping[str, str], int], Annotations]


def shuffle_annotations(annotations: Annotations, names: Mapping[str, str], seed: int) -> Annotations:
    """Permute label sets together with their captions among the samples."""
    order = np.random.default_rng(seed).permutation(len(annotations.ids)).tolist()
    return Annotations(
        annotations.ids,
        tuple(annotations.labels[row] for row in order),
        tuple(annotations.captions[row] for row in order),
    )


def randomize_annotations(annotations: Annotations, names: Mapping[str, str], seed: int) -> Annotations:
    """Draw each class independently at its frequency in the split; samples without a class are drawn again."""
    generator = np.random.default_rng(seed)
    frequencies = np.array([np.mean([name in labels for labels in annotations.labels]) for name in names])
    labels = [_draw_labels(generator, list(names), frequencies) for _ in annotations.ids]
    captions = (". ".join(text for name, text in names.items() if name in drawn) for drawn in labels)
    return Annotations(annotations.ids, tuple(labels), tuple(captions))


def _draw_labels(generator: np.random.Generator, classes: list[str], frequencies: np.ndarray) -> frozenset[str]:
    while not (drawn := generator.random(len(classes)) < frequencies).any():
        pass
    return frozenset(name for name, is_drawn in zip(classes, drawn, strict=True) if is_drawn)


CONTROLS: Mapping[str, Control] = {"shuffled": shuffle_annotations, "random": randomize_annotations}


def apply_control(
    condition: str, annotations: Mapping[str, Mapping[str, Annotations]], names: Mapping[str, str], seed: int
) -> dict[str, dict[str, Annotations]]:
    """Annotations (split → sensor → annotations) under a condition; unchanged for `none`."""
    if condition not in CONTROLS:
        return {split: dict(sensors) for split, sensors in annotations.items()}
    control, salt = CONTROLS[condition], CONDITIONS[condition]
    return {
        split: {sensor: control(own, names, rank(seed, salt, split, sensor)) for sensor, own in sensors.items()}
        for split, sensors in annotations.items()
    }
