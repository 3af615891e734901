"""Test whether scores follow what images show, or only where they are: permute the labels between blocks.

Images of a block are alike, and so are their labels. Permutations of single images lose this likeness, so that any
scores that tell blocks apart seem to follow the labels. Permutations of blocks keep it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from landmark.core.hashing import rank
from landmark.core.salts import BLOCK_NULL
from landmark.corpus.metrics import average_precisions, chance_average_precisions
from landmark.train.validation.evaluated import EvaluatedSet

# Images whose labels are permuted at once, in all permutations together.
_MAX_PERMUTED = 1_000_000
# Sums of equal labels differ by rounding errors.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class NullResult:
    """Scores under the true labels compared with permutations of the labels between blocks.

    Attributes:
        p: (1 + number of permutations whose statistic is at least that of the true labels) / (1 + permutations).
        statistic: mAP minus its chance, of the true labels; mean over seeds.
        expected: Mean of the statistic over the permutations.
        class_p: Class → `p` of its average precision minus chance.
    """

    p: float
    statistic: float
    expected: float
    class_p: dict[str, float]


def block_null(scores: NDArray[np.floating], evaluated: EvaluatedSet, *, seed: int, draws: int = 1000) -> NullResult:
    """Compare scores with random permutations of the labels between blocks.

    Image i of the n in block b gets the label set at place ⌊i·m/n⌋ of the m in block π(b), shuffled within it.
    Classes that no image has then are left out of the permutation's mAP.

    Args:
        scores: (class, image), or (seed, class, image): then the statistic is the mean over seeds.
        evaluated: The images.
        seed: Of the permutations, which are the same for all classes and seeds of `scores`.
        draws: Number of permutations.
    """
    identity = np.arange(scores.shape[-1])[None]
    permuted = permute_blocks(evaluated.block, seed=rank(seed, BLOCK_NULL, evaluated.sensor), draws=draws)
    by_seed = scores.reshape(-1, *scores.shape[-2:])
    batches = [_above_chance(by_seed, evaluated.relevant, sources) for sources in chain([identity], permuted)]
    above, counted = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    statistics = above.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    class_p = {key: _share_above(above[:, number]) for number, key in enumerate(evaluated.classes)}
    return NullResult(_share_above(statistics), float(statistics[0]), float(statistics[1:].mean()), class_p)


def permute_blocks(block: NDArray[np.int64], *, seed: int, draws: int) -> Iterator[NDArray[np.int64]]:
    """Yield (draw, image): the image whose labels each image gets, for some of the permutations at a time."""
    chance = np.random.default_rng(seed)
    _, block, sizes = np.unique(block, return_inverse=True, return_counts=True)
    order, starts = np.argsort(block, kind="stable"), np.cumsum(sizes) - sizes
    block = block[order]
    position, step = np.arange(len(block)) - starts[block], max(1, _MAX_PERMUTED // len(block))
    for first in range(0, draws, step):
        sources = np.empty((min(step, draws - first), len(block)), dtype=np.int64)
        for row in sources:
            target = chance.permutation(len(sizes))[block]
            shuffled = order[np.argsort(block + chance.random(len(block)))]
            row[order] = shuffled[starts[target] + position * sizes[target] // sizes[block]]
        yield sources


def _above_chance(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], sources: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Average precision minus chance (draw, class), mean over seeds, 0 and not counted where no image has the class."""
    above = np.zeros((len(sources), len(relevant)))
    counted = np.zeros(above.shape, dtype=bool)
    for number, row in enumerate(relevant):
        labels = row[sources]
        precisions = [average_precisions(own[number][None], labels) for own in scores]
        above[:, number] = np.mean(precisions, axis=0) - chance_average_precisions(labels)
        counted[:, number] = labels.any(axis=1)
    return above, counted


def _share_above(statistics: NDArray[np.float64]) -> float:
    """Share of the statistics that are at least the first, which is that of the true labels."""
    return float(np.mean(statistics >= statistics[0] - _ROUNDING))
