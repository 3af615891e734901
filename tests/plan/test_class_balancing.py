"""Class balancing: properties of every set of candidates, and examples."""

from collections import Counter
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from landmark.config.cell_sampling import ClassBalancing
from landmark.core.errors import InputError
from landmark.core.hashing import rank
from landmark.core.salts import CLASS_BALANCING
from landmark.labels.label_rules import CellLabels, load_label_rules
from landmark.plan.class_balancing import balance_classes
from tests.parts import examples, recipe_of

CLASSES = ("trees", "crops", "water", "bare")


def labelled(*labels, **fractions):
    """Labels of a cell, with equal fractions unless given."""
    return CellLabels(tuple(labels), fractions or dict.fromkeys(labels, 1 / max(1, len(labels))), {}, 100.0, {})


def balance(labels, cells=None, *, seed=1, order=None, **options):
    """Names of the chosen cells, and the result."""
    names = list(dict.fromkeys(cell for cell, _ in labels))
    names = [names[index] for index in order] if order is not None else names
    sampling = SimpleNamespace(cells=cells, class_balancing=ClassBalancing(**options))
    result = balance_classes(pa.table({"cell": names}), labels, sampling, seed=seed)
    return {name for name, chosen in zip(names, result.mask.tolist(), strict=True) if chosen}, result


@st.composite
def label_tables(draw):
    """Labels of some cells in a period or two, some of them without a label."""
    label_sets = st.lists(st.sampled_from(CLASSES), unique=True, max_size=3)
    labels = {}
    for number in range(draw(st.integers(0, 30))):
        for period in ("2020", "2021")[: draw(st.integers(1, 2))]:
            labels[f"c{number}", period] = labelled(*draw(label_sets))
    return labels


def classes_by_cell(labels):
    """Cell -> its classes in any period, of cells with a label."""
    classes = {}
    for (cell, _), value in labels.items():
        classes.setdefault(cell, set()).update(value.labels)
    return {cell: keys for cell, keys in classes.items() if keys}


caps = st.one_of(st.floats(1, 100), st.dictionaries(st.sampled_from([*CLASSES, "default"]), st.floats(1, 100)))
rules = st.fixed_dictionaries(
    {
        "guarantee": st.integers(0, 4),
        "cap": caps,
        "repeats": st.one_of(st.none(), st.integers(1, 3)),
        "balance": st.just(True),
    }
)


@given(label_tables(), st.one_of(st.none(), st.integers(1, 40)), rules, st.randoms(use_true_random=False))
@examples(150)
def test_caps_and_number_hold_and_every_candidate_is_counted(labels, cells, options, chance):
    chosen, result = balance(labels, cells, **options)
    classes, balancing = classes_by_cell(labels), ClassBalancing(**options)
    counts = Counter(key for cell in chosen for key in classes[cell])
    assert len(chosen) <= (len(classes) if cells is None else cells) and chosen <= classes.keys()
    for key, count in counts.items():
        assert 100 * count <= balancing.cap_pct(key) * len(chosen) + 1e-6
    assert result.after == dict(counts)
    assert result.before == dict(Counter(key for keys in classes.values() for key in keys))
    candidates = len({cell for cell, _ in labels})
    assert len(chosen) + sum(result.skipped.values()) == candidates
    # The order of cells and labels does not matter.
    order = chance.sample(range(candidates), candidates)
    assert balance(dict(reversed(list(labels.items()))), cells, order=order, **options)[0] == chosen


@given(label_tables(), st.integers(0, 6), st.booleans(), st.one_of(st.none(), st.integers(1, 2)))
@examples(100)
def test_each_class_gets_the_guaranteed_cells_if_available(labels, guarantee, fill_rarest, repeats):
    cells = guarantee * len(CLASSES) or 1
    _, result = balance(labels, cells, guarantee=guarantee, balance=fill_rarest or not guarantee, repeats=repeats)
    for key, available in result.before.items():
        assert result.after.get(key, 0) >= min(guarantee, available)


@given(
    label_tables(), st.integers(1, 30), st.integers(1, 30), st.integers(0, 3), st.one_of(st.none(), st.integers(1, 2))
)
@examples(100)
def test_without_caps_fewer_cells_are_a_subset_of_more(labels, a, b, guarantee, repeats):
    few, many = (balance(labels, cells, guarantee=guarantee, repeats=repeats)[0] for cells in sorted((a, b)))
    assert few <= many and len(many) == min(max(a, b), len(classes_by_cell(labels)))


def by_hash(cells):
    return sorted(cells, key=lambda cell: rank(1, CLASS_BALANCING, cell))


@given(label_tables(), st.integers(1, 30))
@examples(100)
def test_balance_always_chooses_for_the_rarest_class(labels, cells):
    """By definition, one cell after the other: the rarest class with candidates gets its first one by hash."""
    remaining, expected, counts = classes_by_cell(labels), set(), dict.fromkeys(sorted(CLASSES), 0)
    while remaining and len(expected) < cells:
        rarest = min((key for key in counts if any(key in keys for keys in remaining.values())), key=counts.get)
        cell = by_hash(cell for cell, keys in remaining.items() if rarest in keys)[0]
        for key in remaining.pop(cell):
            counts[key] += 1
        expected.add(cell)
    assert balance(labels, cells)[0] == expected


@given(label_tables(), st.integers(1, 3))
@examples(60)
def test_near_repeats_are_chosen_only_when_nothing_else_is_left(labels, repeats):
    by_cell = {}
    for (cell, period), value in sorted(labels.items()):
        by_cell.setdefault(cell, []).append((period, frozenset(value.labels)))
    kinds = {cell: tuple(value) for cell, value in by_cell.items() if cell in classes_by_cell(labels)}
    first_cells = sum(min(repeats, count) for count in Counter(kinds.values()).values())
    chosen, result = balance(labels, repeats=repeats)
    assert len(chosen) == first_cells and result.skipped.get("repeat", 0) == len(kinds) - first_cells
    for cells in (max(1, first_cells), first_cells + 2):
        chosen, _ = balance(labels, cells, repeats=repeats)
        repeated = sum(max(0, count - repeats) for count in Counter(kinds[cell] for cell in chosen).values())
        assert repeated == max(0, len(chosen) - first_cells)


@given(label_tables(), st.integers(1, 30))
@examples(40)
def test_without_balance_the_hash_decides(labels, cells):
    chosen, _ = balance(labels, cells, balance=False, repeats=99)
    assert chosen == set(by_hash(classes_by_cell(labels))[:cells])


# -- examples ----------------------------------------------------------------------------------------------------------


def woods(trees, water):
    return {(f"t{n}", "2021"): labelled("trees") for n in range(trees)} | {
        (f"w{n}", "2021"): labelled("water") for n in range(water)
    }


def test_rare_classes_are_chosen_completely_and_common_classes_fill_up():
    _, result = balance(woods(990, 10), 40)
    assert result.before == {"trees": 990, "water": 10} and result.after == {"trees": 30, "water": 10}
    assert result.skipped == {"enough": 960}


def test_a_cap_is_a_share_of_the_chosen_cells():
    _, result = balance(woods(990, 10), 40, cap={"trees": 50})
    assert result.after == {"trees": 10, "water": 10} and result.skipped == {"cap": 980}
    _, result = balance(woods(990, 10), 40, cap={"default": 80})
    assert result.after == {"trees": 30, "water": 10}


def test_a_cap_that_cannot_hold_leaves_no_cell():
    chosen, result = balance(woods(20, 0), 10, cap=50)
    assert chosen == set() and result.skipped == {"cap": 20}


def test_a_guarantee_of_a_class_precedes_balancing():
    _, result = balance(woods(50, 50), 20, guarantee={"water": 15})
    assert result.after == {"water": 15, "trees": 5}


def test_near_repeats_are_compared_to_the_nearest_tenth():
    fractions = {"a": {"trees": 0.96, "water": 0.04}, "b": {"trees": 1.0}, "c": {"trees": 0.94, "water": 0.06}}
    labels = {(cell, "1"): labelled("trees", **shares) for cell, shares in fractions.items()}
    assert len(balance(labels, repeats=1)[0]) == 2


def test_a_recipe_without_class_balancing_keeps_every_cell():
    result = balance_classes(pa.table({"cell": ["a", "b"]}), {}, recipe_of().sampling, seed=0)
    assert result.mask.tolist() == [True, True]


def test_another_seed_chooses_other_cells():
    assert balance(woods(500, 0), 10, seed=1)[0] != balance(woods(500, 0), 10, seed=2)[0]


@pytest.mark.parametrize("options", [{"guarantee": {"treees": 3}}, {"cap": {"default": 50, "woods": 3}}])
def test_an_unknown_class_is_an_error(options):
    recipe = recipe_of(labels=[{"source": "worldcover"}], sampling={"class_balancing": options})
    with pytest.raises(InputError):
        load_label_rules(recipe)


@pytest.mark.parametrize(
    "options", [{"balance": False}, {"cap": 0}, {"candidates": 0.5}, {"guarantee": -1}, {"repeats": 0}]
)
def test_invalid_options_are_errors(options):
    with pytest.raises(ValidationError):
        ClassBalancing(**options)
