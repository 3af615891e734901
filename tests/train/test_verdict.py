"""Verdicts from leads, nulls, classes, blocks and near-duplicates; and how often a sound corpus is refused."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark.train.validation.comparison import compare
from landmark.train.validation.evaluated import EvaluatedSet
from landmark.train.validation.intervals import Interval
from landmark.train.validation.verdict import REQUIRED_RIVALS, Evidence, compare_lead, decide, needed

MARGIN = 0.15


def lead(mean: float, half_width: float) -> Interval:
    """An interval over 24 blocks of one seed."""
    error = half_width / 2.07
    return Interval(mean, mean - half_width, mean + half_width, 23, error, error, 0.0)


ABOVE, BELOW, AROUND = lead(0.3, 0.1), lead(0.02, 0.1), lead(0.2, 0.1)
# Nine p-values of which six are the smallest possible.
CLASS_P = {f"class {n}": 0.001 if n < 6 else 0.5 for n in range(9)}


def evidence(**changes: Any) -> Evidence:
    """A sensor that passes, changed by keyword; `leads` replaces some of them."""
    leads = {**dict.fromkeys(REQUIRED_RIVALS, ABOVE), "bands": BELOW, "handcrafted": BELOW, **changes.pop("leads", {})}
    return replace(Evidence("s2", 24, 1, leads, 0.001, CLASS_P), **changes)


@pytest.mark.parametrize(
    ("changes", "state", "requirement"),
    [
        ({}, "passed", None),
        ({"leads": {"prior": BELOW}}, "refused", "lead"),
        ({"leads": {"nearest": AROUND}}, "undecided", "lead"),
        # A lower end at the margin is not above it, and an upper end at the margin not below.
        ({"leads": {"date": Interval(0.2, MARGIN, 0.25, 23, 0.02, 0.02, 0.0)}}, "undecided", "lead"),
        ({"leads": {"date": Interval(0.1, 0.05, MARGIN, 23, 0.02, 0.02, 0.0)}}, "undecided", "lead"),
        ({"null_p": 0.05}, "passed", None),
        ({"null_p": 0.051}, "refused", "null"),
        # Six of nine are two thirds; five are not.
        ({"class_p": {**CLASS_P, "class 0": 0.2}}, "refused", "classes"),
        # Without Holm's correction, six of nine beat their null.
        ({"class_p": {**CLASS_P, "class 0": 0.04}}, "undecided", "classes"),
        # A class of a single block may have been learned all the same.
        ({"class_p": {**CLASS_P, "class 0": 0.06}, "single_block": frozenset({"class 0"})}, "undecided", "classes"),
        ({"class_p": {}}, "undecided", "classes"),
        ({"n_blocks": 20}, "passed", None),
        ({"n_blocks": 19}, "undecided", "blocks"),
        # Of few blocks nothing else is told.
        ({"n_blocks": 19, "null_p": 1.0, "leads": {"prior": BELOW}, "class_p": {}}, "undecided", "blocks"),
    ],
)
def test_verdict_on_a_sensor(changes: Mapping[str, Any], state: str, requirement: str | None) -> None:
    verdict = decide([replace(evidence(), sensor="s1"), evidence(**changes)], {"s1": 0, "s2": 0}, MARGIN)
    assert verdict.state == state
    assert [(reason.sensor, reason.requirement) for reason in verdict.reasons] == [("s2", requirement)] * (
        requirement is not None
    )


def test_classes_of_single_blocks_are_not_refused_to_a_perfect_model() -> None:
    """Of 20 blocks, one permutation in 20 leaves a class where it is: its p-value is about .05 at best."""
    block, classes = np.repeat(np.arange(20), 12), np.arange(9)
    relevant, names = block == classes[:, None], tuple(f"class {n}" for n in classes)
    evaluated = EvaluatedSet("s2", tuple(map(str, range(len(block)))), names, names, relevant, block)
    scores = relevant.astype(float)
    result = compare(evaluated, scores[None], dict.fromkeys(REQUIRED_RIVALS, 0 * scores))
    assert result.map == 1 and {own.blocks for own in result.classes.values()} == {1}
    verdict = decide([result.evidence], {}, MARGIN)
    assert (verdict.state, [reason.requirement for reason in verdict.reasons]) == ("undecided", ["classes"])


def test_near_duplicates_refuse_whatever_the_number_of_blocks() -> None:
    verdict = decide([evidence(n_blocks=3)], {"s1": 0, "s2": 2}, MARGIN)
    assert verdict.state == "refused"
    assert [(reason.state, reason.requirement) for reason in verdict.reasons] == [
        ("refused", "near-duplicates"),
        ("undecided", "blocks"),
    ]


def test_an_undecided_lead_needs_more_blocks_or_seeds() -> None:
    """Half of the width of now takes four times the blocks; what seeds leave, no blocks take away."""
    assert needed(lead(0.2, 0.1), 0.05, 24, fixed_error=0) == 4 * 24
    (reason,) = decide([evidence(leads={"nearest": AROUND})], {}, MARGIN).reasons
    assert (reason.rival, reason.blocks, reason.seeds) == ("nearest", 4 * 24, None)
    at_margin = evidence(leads={"nearest": lead(MARGIN, 0.1)})
    assert decide([at_margin], {}, MARGIN).reasons[0].blocks is None
    by_seeds = evidence(n_seeds=3, leads={"nearest": Interval(0.2, 0.1, 0.3, 4, 0.04, 0.005, 0.039)})
    (reason,) = decide([by_seeds], {}, MARGIN).reasons
    assert reason.blocks is None and reason.seeds is not None and 12 <= reason.seeds <= 14


@pytest.mark.parametrize(("mean", "expected"), [(0.2, "leads"), (0.05, "difference"), (-0.2, "trails")])
def test_leads_that_are_not_required_are_described(mean: float, expected: str) -> None:
    assert expected in compare_lead(lead(mean, 0.1))


# -- simulation --------------------------------------------------------------------------------------------------------

SEEDS, BLOCKS, PER_BLOCK, CLASSES = 1, 28, 17, 10
Scores = NDArray[np.float64]


def simulate(chance: np.random.Generator, strength: float) -> tuple[EvaluatedSet, Scores, Scores]:
    """Images whose labels are alike in a block; scores of a model that sees classes and blocks, and of a rival.

    The rival scores blocks alone.
    """
    block = np.repeat(np.arange(BLOCKS), PER_BLOCK)
    frequency = np.linspace(-2, 0, CLASSES)[:, None]
    relevant = (
        frequency + chance.normal(size=(CLASSES, BLOCKS))[:, block] + chance.normal(size=(CLASSES, len(block))) > 0
    )
    seen = 0.6 * chance.normal(size=(CLASSES, BLOCKS))[:, block] + 0.6 * chance.normal(size=(CLASSES, len(block)))
    rival = chance.normal(size=(CLASSES, BLOCKS))[:, block]
    names = tuple(f"class {n}" for n in range(CLASSES))
    ids = tuple(f"s2_{n}" for n in range(len(block)))
    model = strength * relevant + seen + 0.6 * chance.normal(size=(SEEDS, CLASSES, len(block)))
    return EvaluatedSet("s2", ids, names, names, relevant, block), model, rival


@pytest.mark.long
def test_a_sound_corpus_is_hardly_ever_refused() -> None:
    """Of 150 corpora with a true lead of the margin and 4.3 standard errors, at most one is refused."""
    chance = np.random.default_rng(3)
    results = []
    for seed in range(150):
        evaluated, model, rival = simulate(chance, strength=1.3)
        rivals = {**dict.fromkeys(REQUIRED_RIVALS, np.zeros_like(rival)), "nearest": rival}
        results.append(compare(evaluated, model, rivals, seed=seed))
    leads = np.array([result.rivals["nearest"].lead.mean for result in results])
    margin = float(leads.mean() - 4.3 * leads.std())
    assert margin > 0.02
    states = Counter(decide([result.evidence], {}, margin).state for result in results)
    assert states["refused"] <= 1 and states["passed"] >= 140
    inside = [result.rivals["nearest"].lead for result in results]
    assert np.mean([lead.low <= leads.mean() <= lead.high for lead in inside]) >= 0.9
