"""Sampling by meaning: what it promises of every set of candidates, and by hand."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from landmark.config.cell_sampling import Meaningful
from landmark.core.errors import InputError
from landmark.core.hashing import rank
from landmark.labels.label_rules import Fractions, load_meaning
from landmark.plan.class_balancing import select
from tests.parts import examples, recipe_of

CLASSES = ("trees", "crops", "water", "bare")


def said(*labels, **shares):
    """What the labels of a cell say: equal shares unless given."""
    return Fractions(tuple(labels), shares or dict.fromkeys(labels, 1 / max(1, len(labels))), {}, 100.0, {})


def chosen(facts, cells=None, *, seed=1, order=None, **wanted):
    """Names of the cells that are kept, and the selection."""
    names = list(dict.fromkeys(cell for cell, _ in facts))
    names = [names[place] for place in order] if order is not None else names
    sampling = SimpleNamespace(cells=cells, by_meaning=Meaningful(**wanted))
    found = select(pa.table({"cell": names}), facts, sampling, seed=seed)
    return {name for name, kept in zip(names, found.keep.tolist(), strict=True) if kept}, found


@st.composite
def candidates(draw):
    """Facts of some cells in a period or two, some of them without a label."""
    sets = st.lists(st.sampled_from(CLASSES), unique=True, max_size=3)
    facts = {}
    for number in range(draw(st.integers(0, 30))):
        for period in ("2020", "2021")[: draw(st.integers(1, 2))]:
            facts[f"c{number}", period] = said(*draw(sets))
    return facts


def labels_of(facts):
    """Cell → its classes in any period, of those that have some."""
    held = {}
    for (cell, _), one in facts.items():
        held.setdefault(cell, set()).update(one.labels)
    return {cell: labels for cell, labels in held.items() if labels}


caps = st.one_of(st.floats(1, 100), st.dictionaries(st.sampled_from([*CLASSES, "default"]), st.floats(1, 100)))
rules = st.fixed_dictionaries(
    {
        "guarantee": st.integers(0, 4),
        "cap": caps,
        "repeats": st.one_of(st.none(), st.integers(1, 3)),
        "balance": st.just(True),
    }
)


@given(candidates(), st.one_of(st.none(), st.integers(1, 40)), rules, st.randoms(use_true_random=False))
@examples(150)
def test_no_cap_is_exceeded_nor_the_number_and_every_candidate_is_accounted_for(facts, cells, wanted, chance):
    kept, found = chosen(facts, cells, **wanted)
    held, rule = labels_of(facts), Meaningful(**wanted)
    counts = Counter(label for cell in kept for label in held[cell])
    assert len(kept) <= (len(held) if cells is None else cells) and kept <= held.keys()
    for key, count in counts.items():
        assert 100 * count <= rule.cap_pct(key) * len(kept) + 1e-6
    assert found.after == dict(counts) and found.before == dict(Counter(k for one in held.values() for k in one))
    assert len(kept) + sum(found.skipped.values()) == len({cell for cell, _ in facts})
    # Neither the order of the cells nor that of the facts matters.
    order = chance.sample(range(len({cell for cell, _ in facts})), len({cell for cell, _ in facts}))
    assert chosen(dict(reversed(list(facts.items()))), cells, order=order, **wanted)[0] == kept


@given(candidates(), st.integers(0, 6), st.booleans(), st.one_of(st.none(), st.integers(1, 2)))
@examples(100)
def test_each_class_gets_what_it_is_guaranteed_as_far_as_there_is(facts, number, balance, repeats):
    enough = number * len(CLASSES) or 1
    _, found = chosen(facts, enough, guarantee=number, balance=balance or not number, repeats=repeats)
    for key, there in found.before.items():
        assert found.after.get(key, 0) >= min(number, there)


@given(candidates(), st.integers(1, 30), st.integers(1, 30), st.integers(0, 3), st.one_of(st.none(), st.integers(1, 2)))
@examples(100)
def test_without_caps_fewer_cells_are_part_of_more(facts, one, other, guarantee, repeats):
    few, many = (chosen(facts, n, guarantee=guarantee, repeats=repeats)[0] for n in sorted((one, other)))
    assert few <= many and len(many) == min(max(one, other), len(labels_of(facts)))


@given(candidates(), st.integers(1, 30))
@examples(100)
def test_balance_is_always_a_step_for_the_rarest_class(facts, cells):
    """By the definition, one cell after the other: the rarest class that has candidates left gets its first by hash."""
    left, kept, counts = labels_of(facts), set(), dict.fromkeys(sorted(CLASSES), 0)
    while left and len(kept) < cells:
        rarest = min((key for key in counts if any(key in one for one in left.values())), key=counts.get)
        cell = min((cell for cell, one in left.items() if rarest in one), key=lambda cell: rank(1, "meaning", cell))
        for key in left.pop(cell):
            counts[key] += 1
        kept.add(cell)
    assert chosen(facts, cells)[0] == kept


@given(candidates(), st.integers(1, 3))
@examples(60)
def test_near_repeats_come_only_when_nothing_else_is_left(facts, repeats):
    held = {}
    for (cell, period), one in sorted(facts.items()):
        held.setdefault(cell, []).append((period, frozenset(one.labels)))
    kinds = {cell: tuple(one) for cell, one in held.items() if cell in labels_of(facts)}
    fresh = sum(min(repeats, count) for count in Counter(kinds.values()).values())
    kept, found = chosen(facts, repeats=repeats)
    assert len(kept) == fresh and found.skipped.get("repeat", 0) == len(kinds) - fresh
    for cells in (max(1, fresh), fresh + 2):
        kept, _ = chosen(facts, cells, repeats=repeats)
        over = sum(max(0, count - repeats) for count in Counter(kinds[cell] for cell in kept).values())
        assert over == max(0, len(kept) - fresh)


@given(candidates(), st.integers(1, 30))
@examples(40)
def test_without_balance_the_hash_decides(facts, cells):
    kept, _ = chosen(facts, cells, balance=False, repeats=99)
    assert kept == set(sorted(labels_of(facts), key=lambda cell: rank(1, "meaning", cell))[:cells])


# -- by hand -----------------------------------------------------------------------------------------------------------


def woods(trees, water):
    return {(f"t{n}", "2021"): said("trees") for n in range(trees)} | {
        (f"w{n}", "2021"): said("water") for n in range(water)
    }


def test_the_rare_comes_whole_and_the_common_fills_up():
    _, found = chosen(woods(990, 10), 40)
    assert found.before == {"trees": 990, "water": 10} and found.after == {"trees": 30, "water": 10}
    assert found.skipped == {"enough": 960}


def test_a_cap_is_a_share_of_what_is_chosen_not_of_what_was_asked_for():
    _, found = chosen(woods(990, 10), 40, cap={"trees": 50})
    assert found.after == {"trees": 10, "water": 10} and found.skipped == {"cap": 980}
    _, found = chosen(woods(990, 10), 40, cap={"default": 80})
    assert found.after == {"trees": 30, "water": 10}


def test_a_cap_nobody_can_keep_leaves_nothing():
    kept, found = chosen(woods(20, 0), 10, cap=50)
    assert kept == set() and found.skipped == {"cap": 20}


def test_a_guarantee_of_one_class_comes_before_the_balance():
    _, found = chosen(woods(50, 50), 20, guarantee={"water": 15})
    assert found.after == {"water": 15, "trees": 5}


def test_a_tenth_is_the_nearest_one():
    facts = {("a", "1"): said("trees", trees=0.96, water=0.04), ("b", "1"): said("trees", trees=1.0, water=0.0),
             ("c", "1"): said("trees", trees=0.94, water=0.06)}  # fmt: skip
    facts["b", "1"].fractions.pop("water")
    assert len(chosen(facts, repeats=1)[0]) == 2


def test_a_recipe_without_the_key_keeps_every_cell():
    cells = pa.table({"cell": ["a", "b"]})
    found = select(cells, {}, SimpleNamespace(cells=1, by_meaning=None), seed=0)
    assert found.keep.tolist() == [True, True] and recipe_of().sampling.by_meaning is None


def test_another_seed_chooses_others():
    assert chosen(woods(500, 0), 10, seed=1)[0] != chosen(woods(500, 0), 10, seed=2)[0]
    assert isinstance(chosen(woods(3, 0), 2)[1].keep, np.ndarray)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [({"guarantee": {"treees": 3}}, "guarantee.treees"), ({"cap": {"default": 50, "woods": 3}}, "cap.woods")],
)
def test_a_class_nobody_defined_is_refused_with_the_known_ones(wanted, words):
    recipe = recipe_of(labels=[{"source": "worldcover"}], sampling={"by_meaning": wanted})
    with pytest.raises(InputError, match=rf"sampling\.by_meaning\.{words}: no such class; landmark has trees, crops"):
        load_meaning(recipe)


@pytest.mark.parametrize(
    "wanted", [{"balance": False}, {"cap": 0}, {"candidates": 0.5}, {"guarantee": -1}, {"repeats": 0}]
)
def test_a_wish_that_makes_no_sense_is_refused(wanted):
    with pytest.raises(ValidationError):
        Meaningful(**wanted)
