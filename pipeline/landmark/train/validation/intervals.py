"""Confidence intervals of differences of mAP, over blocks of images and seeds of trainings; and Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# More blocks are merged into this many groups of neighbours.
MAX_GROUPS = 200
# Counts held at once, of each block and group of equal scores, with about ten arrays of their size.
_MAX_COUNTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval, which is infinite for a single block.

    Attributes:
        mean: Mean over blocks and seeds.
        low: Lower end.
        high: Upper end.
        dof: Degrees of freedom of Student's t.
        standard_error: Of the mean.
        block_error: Standard error that would be left with ever more seeds.
        seed_error: Standard error that would be left with ever more blocks; 0 for one seed, as it is unknown.
    """

    mean: float
    low: float
    high: float
    dof: float
    standard_error: float
    block_error: float
    seed_error: float


def lead_interval(
    model: NDArray[np.floating],
    rival: NDArray[np.floating],
    relevant: NDArray[np.bool_],
    block: NDArray[np.int64],
    level: float = 0.95,
) -> Interval:
    """Interval of the lead in mAP of a model, trained with several seeds, over a rival on the same images.

    Args:
        model: Scores (seed, class, image).
        rival: Scores (class, image).
        relevant: (class, image).
        block: (image,) number of the image's block; images of different blocks are independent.
        level: Confidence level.
    """
    return jackknife_interval(
        delete_block_maps(model, relevant, block) - delete_block_maps(rival[None], relevant, block)
    )


def delete_block_maps(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], block: NDArray[np.int64]
) -> NDArray[np.float64]:
    """MAP of all images, then without each block: (seed, 1 + block).

    More than 200 blocks are merged into 200 groups of neighbouring numbers. A class without relevant or without
    irrelevant images is left out of a mean; NaN where no class is left.

    Args:
        scores: (seed, class, image).
        relevant: (class, image).
        block: (image,).
    """
    group = merge_blocks(block)
    return np.array([_mean_average_precisions(own, relevant, group) for own in scores])


def merge_blocks(block: NDArray[np.int64], max_groups: int = MAX_GROUPS) -> NDArray[np.int64]:
    """Number the blocks of images (image,) from 0 on, and merge neighbouring numbers into at most `max_groups`."""
    number = np.unique(block, return_inverse=True)[1].astype(np.int64)
    n_blocks = int(number.max()) + 1
    return number * max_groups // n_blocks if n_blocks > max_groups else number


def _mean_average_precisions(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], block: NDArray[np.int64]
) -> NDArray[np.float64]:
    values = np.array([block_average_precisions(*rows, block) for rows in zip(scores, relevant, strict=True)])
    counted = np.isfinite(values)
    sums, numbers = np.where(counted, values, 0).sum(axis=0), counted.sum(axis=0)
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan)


def block_average_precisions(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], block: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average precision of a ranking, then without each block, (1 + block,), expected over orders of equal scores.

    Each value equals `corpus.metrics.average_precisions` of the images that are left; they are sorted once.

    Args:
        scores: (image,).
        relevant: (image,).
        block: (image,) numbers from 0 on, none left out.

    Returns:
        NaN where no image that is left is relevant, or all are.
    """
    bins, n_bins, n_blocks = _bin_scores(scores, relevant), 2 * len(np.unique(scores[relevant])) + 1, block.max() + 1
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, len(scores) + 1))])
    documents, hits = np.bincount(bins, minlength=n_bins), np.bincount(bins[relevant], minlength=n_bins)
    values = [_expected_precisions(documents[None], hits[None], harmonic)]
    step = max(1, _MAX_COUNTS // n_bins)
    for start in range(0, n_blocks, step):
        rows = (block >= start) & (block < start + step)
        count = min(step, n_blocks - start)
        keys = (block - start) * n_bins + bins
        lost, lost_hits = (
            np.bincount(keys[chosen], minlength=count * n_bins).reshape(count, n_bins)
            for chosen in (rows, rows & relevant)
        )
        values.append(_expected_precisions(documents - lost, hits - lost_hits, harmonic))
    return np.concatenate(values)


def _bin_scores(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bin (image,) of each score: 2g + 1 for the g-th best score of a relevant image, 2g for those above it."""
    ends = np.unique(-scores[relevant])
    place = np.searchsorted(ends, -scores)
    equal = np.zeros(len(scores), dtype=np.int64)
    inner = place < len(ends)
    equal[inner] = ends[place[inner]] == -scores[inner]
    return 2 * place + equal


def _expected_precisions(
    documents: NDArray[np.int64], hits: NDArray[np.int64], harmonic: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Expected average precision (row,) from the numbers of all and of relevant images, both (row, bin).

    Of n equal scores, r of them relevant, after N better ones, R of those relevant, the j-th image is relevant with
    probability r/n, and each of the j - 1 before it then with (r - 1)/(n - 1). The sum of their precisions is
    r/n · ((R + 1) h + (r - 1)/(n - 1) · (n - (N + 1) h)), where h = 1/(N + 1) + ... + 1/(N + n).
    """
    n_before = np.cumsum(documents, axis=1)[:, :-1:2]
    n, r = documents[:, 1::2], hits[:, 1::2]
    r_total = r.sum(axis=1)
    r_before = np.cumsum(r, axis=1) - r
    sums = harmonic[n_before + n] - harmonic[n_before]
    tied = (r - 1) / np.maximum(n - 1, 1) * (n - (n_before + 1) * sums)
    precisions = (r / np.maximum(n, 1) * ((r_before + 1) * sums + tied)).sum(axis=1)
    counted = (r_total > 0) & (r_total < documents.sum(axis=1))
    return np.where(counted, precisions / np.maximum(r_total, 1), np.nan)


def jackknife_interval(maps: NDArray[np.float64], level: float = 0.95, *, conservative: bool = False) -> Interval:
    """Interval of a mAP, or of a difference of mAPs, from its values without each block.

    The pseudo-values B · mAP - (B - 1) · mAP without a block (Tukey 1958) are a two-way layout, blocks and seeds both
    random. The variance of their mean is (MS_B + MS_S - MS_BS) / (B S), at least MS_BS / (B S), with the degrees of
    freedom of Satterthwaite (1946), not fewer than those of the smaller factor; for one seed that of the blocks alone.
    The centre is the mAP itself, not its bias-corrected mean: figures agree with those of a table of mAPs.

    Args:
        maps: (seed, 1 + block), the values of all images first.
        level: Confidence level.
        conservative: Take MS_S for MS_BS, its least expectation, where it is smaller. Otherwise few seeds, which agree
            by chance too often, make the small p-values wrong that a correction for many comparisons asks for.
    """
    from scipy.stats import t

    n_blocks, mean = maps.shape[1] - 1, float(maps[:, 0].mean())
    values = n_blocks * maps[:, :1] - (n_blocks - 1) * maps[:, 1:]
    if n_blocks < 2 or not np.isfinite(values).all():
        return Interval(mean, -math.inf, math.inf, 0.0, math.inf, math.inf, 0.0)
    blocks, seeds, rest = _mean_squares(values)
    seeds = max(seeds, rest) if conservative else seeds
    variance, dof = _satterthwaite(values.shape, blocks, seeds, rest)
    half_width = float(t.ppf((1 + level) / 2, dof)) * math.sqrt(variance)
    errors = (math.sqrt(max(0.0, own - rest) / values.size) for own in (blocks, seeds))
    return Interval(mean, mean - half_width, mean + half_width, dof, math.sqrt(variance), *errors)


def _mean_squares(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean squares of blocks, seeds and interaction, of values (seed, block); for one seed the last two are 0."""
    n_seeds, n_blocks = values.shape
    by_block, by_seed = values.mean(axis=0), values.mean(axis=1)
    rest = values - by_block - by_seed[:, None] + values.mean()
    blocks, n_others = n_seeds * float(by_block.var(ddof=1)), n_seeds - 1
    if not n_others:
        return blocks, 0.0, 0.0
    return blocks, n_blocks * float(by_seed.var(ddof=1)), float((rest**2).sum()) / (n_others * (n_blocks - 1))


def _satterthwaite(shape: tuple[int, ...], blocks: float, seeds: float, rest: float) -> tuple[float, float]:
    """Variance of the mean of (seed, block) values, and its degrees of freedom, from the mean squares."""
    n_seeds, n_blocks = shape
    dof = np.array([n_blocks - 1, n_seeds - 1, (n_blocks - 1) * (n_seeds - 1)])
    if n_seeds == 1:
        return blocks / n_blocks, float(dof[0])
    combined = blocks + seeds - rest
    if combined <= rest:
        return rest / (n_seeds * n_blocks), float(dof[2])
    own = combined**2 / float((np.array([blocks, seeds, rest]) ** 2 / dof).sum())
    return combined / (n_seeds * n_blocks), max(own, float(dof.min()))


def adjust_p(values: Sequence[float]) -> list[float]:
    """P-values of several tests adjusted for their number by the procedure of Holm (1979), in the order given."""
    order = np.argsort(values, kind="stable")
    scaled = np.array(values)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in adjusted]
