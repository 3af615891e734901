"""Controls of a validation: a split's texts with the relation between image and words destroyed.

A control is trained *and judged* on its own words. Judged on the true labels it would not be at chance: the images
of a place look alike and any net puts them together, so its ranking is arbitrary but clustered, and an arbitrary
ranking that is fixed has one average precision, above or below chance by luck, which no number of queries averages
out. Where the words are dealt again, independently of the pixels, in the judged split too, every place of a ranking
is as likely to be relevant as any other, whatever the net does: the expected average precision is exactly chance.
"""

from collections.abc import Callable, Mapping

import numpy as np

from landmark.core.hashing import rank
from landmark.train.dataset import Texts

# (texts of one sensor and split, class → its words, seed) → the same samples, with other words.
Control = Callable[[Texts, Mapping[str, str], int], Texts]


def shuffled(texts: Texts, names: Mapping[str, str], seed: int) -> Texts:
    """Label sets and captions, each pair as it was, dealt anew among the samples."""
    order = np.random.default_rng(seed).permutation(len(texts.ids)).tolist()
    return Texts(
        texts.ids, tuple(texts.labels[place] for place in order), tuple(texts.captions[place] for place in order)
    )


def random(texts: Texts, names: Mapping[str, str], seed: int) -> Texts:
    """Each class drawn by itself at its frequency in the split; a sample that drew none draws again."""
    chance = np.random.default_rng(seed)
    shares = np.array([np.mean([key in labels for labels in texts.labels]) for key in names])
    drawn = [_draw(chance, list(names), shares) for _ in texts.ids]
    captions = (". ".join(words for key, words in names.items() if key in labels) for labels in drawn)
    return Texts(texts.ids, tuple(drawn), tuple(captions))


def _draw(chance: np.random.Generator, keys: list[str], shares: np.ndarray) -> frozenset[str]:
    while not (taken := chance.random(len(keys)) < shares).any():
        pass
    return frozenset(key for key, take in zip(keys, taken, strict=True) if take)


CONTROLS: Mapping[str, Control] = {"shuffled": shuffled, "random": random}


def _as_they_are(texts: Texts, names: Mapping[str, str], seed: int) -> Texts:
    return texts


def dealt(
    arm: str, texts: Mapping[str, Mapping[str, Texts]], names: Mapping[str, str], seed: int
) -> dict[str, dict[str, Texts]]:
    """The texts (split → sensor → texts) of an arm: the corpus's own for `real`."""
    control = CONTROLS.get(arm, _as_they_are)
    return {
        split: {sensor: control(one, names, rank(seed, arm, split, sensor)) for sensor, one in sensors.items()}
        for split, sensors in texts.items()
    }
