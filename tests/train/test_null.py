"""The block null: equal to naive code, calibrated where labels and scores follow blocks, and powerful where due."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landmark.core.hashing import rank
from landmark.core.salts import BLOCK_NULL
from landmark.train.validation.evaluated import EvaluatedSet
from landmark.train.validation.null import block_null, permute_blocks
from tests.parts import examples


def evaluated_set(relevant: NDArray[np.bool_], block: NDArray[np.int64]) -> EvaluatedSet:
    names = tuple(f"class {number}" for number in range(len(relevant)))
    return EvaluatedSet("s2", tuple(map(str, range(len(block)))), names, names, relevant, block)


def naive_ap(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """Average precision without equal scores, position by position."""
    count, total = 0, 0.0
    for position, image in enumerate(sorted(range(len(scores)), key=lambda image: -scores[image]), start=1):
        if relevant[image]:
            count += 1
            total += count / position
    return total / count


def naive_chance(relevant: NDArray[np.bool_]) -> float:
    n, count = len(relevant), int(relevant.sum())
    return sum((1 + (i - 1) * (count - 1) / (n - 1)) / i for i in range(1, n + 1)) / n


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 100))
@examples(40)
def test_permutations_take_the_label_sets_of_a_block_in_order(sizes, seed):
    block = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    for source in np.concatenate(list(permute_blocks(block, seed=seed, draws=3))):
        targets = []
        for number, n in enumerate(sizes):
            images = np.flatnonzero(block == number)
            (target,) = set(block[source[images]].tolist())
            places = [i * sizes[target] // n for i in range(n)]
            # Images at one place share a source; those at different places do not.
            assert len({*zip(places, source[images].tolist(), strict=True)}) == len(set(places))
            assert len(set(source[images].tolist())) == len(set(places))
            targets.append(target)
        assert sorted(targets) == list(range(len(sizes)))


def test_equals_naive_code():
    chance = np.random.default_rng(1)
    block, relevant = np.repeat(np.arange(8), np.arange(2, 10)), chance.random((3, 44)) < 0.3
    relevant[2] = block == 0
    scores = chance.random((2, 3, 44)) + 0.2 * relevant
    result = block_null(scores, evaluated_set(relevant, block), seed=5, draws=60)
    statistics: list[list[list[float]]] = []
    seed = rank(5, BLOCK_NULL, "s2")
    for source in [np.arange(44), *np.concatenate(list(permute_blocks(block, seed=seed, draws=60)))]:
        above = []
        for number in range(3):
            labels = relevant[number][source]
            if labels.any():
                aps = [naive_ap(own[number], labels) for own in scores]
                above.append([number, float(np.mean(aps)) - naive_chance(labels)])
        statistics.append(above)
    means = [np.mean([value for _, value in above]) for above in statistics]
    assert result.statistic == pytest.approx(means[0], abs=1e-12)
    assert result.expected == pytest.approx(np.mean(means[1:]), abs=1e-12)
    assert result.p == (1 + sum(mean >= means[0] - 1e-12 for mean in means[1:])) / 61
    for number in range(3):
        values = [dict(above).get(number, 0.0) for above in statistics]  # type: ignore[arg-type]
        reached = sum(value >= values[0] - 1e-12 for value in values[1:])
        assert result.class_p[f"class {number}"] == (1 + reached) / 61


def simulate(chance: np.random.Generator, *, effect: float) -> tuple[NDArray[np.float64], EvaluatedSet]:
    """Labels and scores that follow blocks, independently but for `effect`."""
    sizes = chance.integers(4, 16, 24)
    block = np.repeat(np.arange(24), sizes)
    latent = 1.5 * chance.normal(size=(3, 24))[:, block] + chance.normal(size=(3, len(block)))
    relevant = latent > 0.8
    scores = 1.5 * chance.normal(size=(3, 24))[:, block] + chance.normal(size=(3, len(block))) + effect * relevant
    return scores, evaluated_set(relevant, block)


def test_is_calibrated_where_labels_and_scores_follow_blocks():
    chance, p, p_of_images = np.random.default_rng(0), [], []
    for number in range(120):
        scores, evaluated = simulate(chance, effect=0)
        p.append(block_null(scores, evaluated, seed=number, draws=99).p)
        single = evaluated_set(evaluated.relevant, np.arange(len(evaluated.ids)))
        p_of_images.append(block_null(scores, single, seed=number, draws=99).p)
    # Of 120 uniform values, more than 13 are below .05 once in 400 times.
    assert np.sum(np.array(p) <= 0.05) <= 13
    assert abs(np.mean(p) - 0.5) < 0.08
    # Permutations of single images reject far too often.
    assert np.mean(np.array(p_of_images) <= 0.05) > 0.15


def test_finds_a_true_relation():
    chance = np.random.default_rng(0)
    scores, evaluated = simulate(chance, effect=2)
    result = block_null(scores, evaluated, seed=0, draws=199)
    assert result.p == 1 / 200
    assert max(result.class_p.values()) <= 0.05
    assert result.statistic > 0.2
    assert abs(result.expected) < 0.05
