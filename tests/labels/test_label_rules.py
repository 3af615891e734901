"""Labels, fractions and agreement of cells from label counts, against a loop over pixels."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.errors import InputError, UnknownName
from landmark.core.yaml_files import load_model
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.labels.label_rules import LabelRules, load_label_rules
from tests.parts import examples, raises, recipe_of, text

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
WORLDCOVER = load_model(Crosswalk, "taxonomies", "worldcover")
TARGETS = ("trees", "crops", "water", None)


def crosswalk(name, targets):
    """Codes 1, 2, ... → the given target classes; None drops the code."""
    classes = {
        code: {"key": f"c{code}", "name": f"{code}"} | ({"to": target} if target else {"drop": "no such class"})
        for code, target in enumerate(targets, start=1)
    }
    texts = dict.fromkeys(("title", "asset", "licence", "attribution"), "x")
    return Crosswalk.model_validate({**texts, "name": name, "target": "landmark", "classes": classes})


def rules_of(*crosswalks, default=5.0, **thresholds):
    return LabelRules(TAXONOMY, crosswalks, {key: thresholds.get(key, default) for key in TAXONOMY.classes})


def counts_of(rows, sources):
    """(cell, period, codes, pixels) → label counts with one edition per source."""
    columns = zip(*((*row, [0] * len(sources)) for row in rows), strict=True)
    names = ("cell", "period", "codes", "pixels", "editions")
    return pa.table(
        {name: list(column) for name, column in zip(names, columns, strict=True)}, schema=label_counts_schema(sources)
    )


def labels_of(rules, rows):
    """Labels of the only cell."""
    (labels,) = rules.apply(counts_of(rows, rules.sources)).values()
    return labels


@st.composite
def label_counts(draw):
    """(rules, rows): one to three sources, a few cells and periods."""
    count = draw(st.integers(1, 3))
    targets = st.lists(st.sampled_from(TARGETS), min_size=4, max_size=4)
    sources = [crosswalk(f"s{number}", draw(targets)) for number in range(count)]
    codes = st.tuples(*[st.integers(-1, 4).filter(bool)] * count)
    rows = []
    for cell in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        for period in ("2020", "2021")[: draw(st.integers(1, 2))]:
            histogram = draw(st.dictionaries(codes, st.integers(1, 5000), min_size=1, max_size=8))
            rows += [(cell, period, list(key), pixels) for key, pixels in sorted(histogram.items())]
    return rules_of(*sources), rows


def naive_class_agreement(rules, rows):
    """(cell, period) → class → (confirmed, confirmable) pixels."""
    result = {}
    for cell, period, codes, pixels in rows:
        agreement = result.setdefault((cell, period), {})
        targets = [
            source.classes[code].to if code > 0 else None for source, code in zip(rules.crosswalks, codes, strict=True)
        ]
        first = next((number for number, target in enumerate(targets) if target), None)
        if first is None:
            continue
        witnesses = [
            target
            for source, target in list(zip(rules.crosswalks, targets, strict=True))[first + 1 :]
            if target and targets[first] in {entry.to for entry in source.classes.values()}
        ]
        if witnesses:
            confirmed, confirmable = agreement.get(targets[first], (0, 0))
            confirmed += pixels * (targets[first] == witnesses[0])
            agreement[targets[first]] = confirmed, confirmable + pixels
    return result


def naive(rules, rows):
    """(cell, period) → (classes, subclasses, all pixels, agreement), by a loop over pixels."""
    result = {}
    for cell, period, codes, pixels in rows:
        classes, subclasses, total, agreement = result.setdefault((cell, period), (Counter(), Counter(), [0], {}))
        for _ in range(pixels):
            entries = []
            for source, code in zip(rules.crosswalks, codes, strict=True):
                entry = source.classes.get(code)
                entries.append((source.name, entry) if entry is not None and entry.to else None)
            total[0] += 1
            if winner := next((entry for entry in entries if entry), None):
                classes[winner[1].to] += 1
                subclasses[f"{winner[0]}/{winner[1].key}"] += 1
            for number, entry in enumerate(entries):
                rivals = [rival for place, rival in enumerate(entries) if place != number and rival]
                if entry and rivals:
                    pair = agreement.setdefault(entry[0], [0, 0])
                    pair[0] += entry[1].to == rivals[0][1].to
                    pair[1] += 1
    return result


@given(label_counts())
@examples(60)
def test_labels_equal_a_loop_over_pixels(case):
    rules, rows = case
    table = rules.apply(counts_of(rows, rules.sources))
    expected = naive(rules, rows)
    assert table.keys() == expected.keys()
    for key, (classes, subclasses, total, agreement) in expected.items():
        classified, cell = classes.total(), table[key]
        assert cell.fractions == {name: count / classified for name, count in classes.items()}
        assert cell.subclasses == {name: count / classified for name, count in subclasses.items()}
        assert cell.label_valid_pct == pytest.approx(100 * classified / total[0])
        for source in rules.sources:
            share = agreement[source][0] / agreement[source][1] if source in agreement else None
            assert cell.agreement[source] == pytest.approx(share)
        for fractions in (cell.fractions, cell.subclasses):
            assert sum(fractions.values()) == pytest.approx(1 if classified else 0)
            assert list(fractions.values()) == sorted(fractions.values(), reverse=True)


@given(label_counts(), st.integers(0, 100))
@examples(60)
def test_class_agreement_equals_a_loop_and_limits_labels(case, percent):
    rules, rows = case
    limited = replace(rules, min_agreement_pct=percent)
    unlimited, limited = (variant.apply(counts_of(rows, rules.sources)) for variant in (rules, limited))
    for key, expected in naive_class_agreement(rules, rows).items():
        assert unlimited[key].class_agreement == {name: part / total for name, (part, total) in expected.items()}
        removed = {name for name, (part, total) in expected.items() if 100 * part < percent * total}
        assert limited[key].labels == tuple(name for name in unlimited[key].labels if name not in removed)
        assert limited[key].fractions == unlimited[key].fractions


def test_class_agreement_counts_only_sources_that_have_the_class():
    """Of 100 pixels of trees, 55 have a class of a source with trees, 40 of them trees; no other source has crops."""
    sources = [
        crosswalk("one", ["trees", "water"]),
        crosswalk("two", ["trees", "crops"]),
        crosswalk("three", ["water"]),
    ]
    rows = [
        ("a", "2021", [1, 1, 1], 40),
        ("a", "2021", [1, 2, -1], 15),
        ("a", "2021", [1, -1, 1], 5),
        ("a", "2021", [1, -1, -1], 40),
        ("a", "2021", [2, -1, -1], 10),
        ("a", "2021", [-1, 2, 1], 20),
    ]
    assert labels_of(rules_of(*sources), rows).class_agreement == {"trees": 40 / 55}
    for percent, labels in (
        (0, ("trees", "crops", "water")),
        (72, ("trees", "crops", "water")),
        (73, ("crops", "water")),
    ):
        assert labels_of(replace(rules_of(*sources), min_agreement_pct=percent), rows).labels == labels


def test_sources_without_data_in_a_cell_have_no_edition():
    rules = rules_of(crosswalk("one", ["trees"]), crosswalk("two", ["water"]))
    columns = {"cell": ["a"], "period": ["2021"], "codes": [[-1, 1]], "pixels": [9], "editions": [[-1, 3]]}
    (cell,) = rules.apply(pa.table(columns, schema=label_counts_schema(["one", "two"]))).values()
    assert cell.editions == {"two": 3}


@given(label_counts(), st.floats(0.5, 100))
@examples(60)
def test_labels_are_the_classes_that_reach_the_threshold(case, threshold):
    rules, rows = case
    table = rules_of(*rules.crosswalks, default=threshold).apply(counts_of(rows, rules.sources))
    for cell in table.values():
        near = {name for name, share in cell.fractions.items() if abs(100 * share - threshold) < 1e-9}
        above = {name for name, share in cell.fractions.items() if 100 * share > threshold}
        assert set(cell.labels) - near == above - near
        assert list(cell.labels) == [name for name in cell.fractions if name in cell.labels]
    keys = [*table, *reversed(list(table))]
    classified, labelled = table.class_and_label_masks(keys)
    assert classified.tolist() == [table[key].label_valid_pct > 0 for key in keys]
    assert labelled.tolist() == [bool(table[key].labels) for key in keys]


def test_an_empty_table_has_no_labels():
    assert rules_of(WORLDCOVER).apply(label_counts_schema(["worldcover"]).empty_table()) == {}


def test_the_first_source_with_a_class_wins():
    rules = rules_of(crosswalk("one", ["trees", None]), crosswalk("two", ["water"]))
    cell = labels_of(rules, [("a", "2021", codes, 100) for codes in ([1, 1], [2, 1], [-1, 1], [-1, -1])])
    assert cell.fractions == {"water": 200 / 300, "trees": 100 / 300}
    assert cell.subclasses == {"two/c1": 200 / 300, "one/c1": 100 / 300}
    assert cell.label_valid_pct == 75


def test_dropped_codes_have_no_class():
    rows = [("a", "2021", [1], 1), ("a", "2021", [2], 99)]
    cell = labels_of(rules_of(crosswalk("one", ["trees", None])), rows)
    assert (cell.fractions, cell.label_valid_pct, cell.labels) == ({"trees": 1.0}, 1.0, ("trees",))


def test_cells_without_a_class_have_no_labels_and_fractions():
    cell = labels_of(rules_of(crosswalk("one", ["trees"])), [("a", "2021", [-1], 14_400)])
    assert (cell.labels, cell.fractions, cell.subclasses, cell.label_valid_pct) == ((), {}, {}, 0)


def test_codes_of_a_class_are_added():
    cell = labels_of(rules_of(WORLDCOVER), [("a", "2021", [code], n) for code, n in ((90, 60), (95, 40), (10, 100))])
    assert cell.fractions == {"flooded_vegetation": 0.5, "trees": 0.5}
    assert cell.subclasses == {
        "worldcover/tree_cover": 0.5,
        "worldcover/herbaceous_wetland": 0.3,
        "worldcover/mangroves": 0.2,
    }


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
@examples(20)
def test_the_order_of_rows_in_a_cell_does_not_matter(count, seed):
    generator = np.random.default_rng(seed)
    rows = [("a", "2021", [code], int(generator.integers(1, count + 1))) for code in WORLDCOVER.classes]
    shuffled = [rows[row] for row in generator.permutation(len(rows))]
    assert labels_of(rules_of(WORLDCOVER), shuffled) == labels_of(rules_of(WORLDCOVER), rows)


# -- thresholds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", range(1, 101))
def test_thresholds_are_exact_to_the_pixel(percent):
    rules = rules_of(WORLDCOVER, default=100, trees=percent)
    for pixels, labels in ((144 * percent, ("trees",)), (144 * percent - 1, ())):
        rows = [("a", "2021", [10], pixels), ("a", "2021", [80], 14_400 - pixels)]
        assert labels_of(rules, [row for row in rows if row[3]]).labels == labels


def test_classes_without_a_threshold_have_the_default():
    thresholds = {"default": 7, "classes": {"water": 30}}
    rules = load_label_rules(recipe_of(labels=[{"source": "worldcover"}], thresholds=thresholds))
    assert rules.thresholds == {key: 30 if key == "water" else 7 for key in TAXONOMY.classes}


def test_thresholds_of_unknown_classes_are_refused():
    with pytest.raises(InputError) as caught:
        load_label_rules(recipe_of(labels=[{"source": "worldcover"}], thresholds={"classes": {"treees": 3}}))
    assert caught.value.key == "thresholds.classes.treees"


def test_unknown_sources_are_refused_with_a_similar_name():
    with pytest.raises(UnknownName) as caught:
        load_label_rules(recipe_of(labels=[{"source": "worldcovr"}]))
    assert caught.value.value == "worldcovr" and "'worldcover'" in caught.value.remedy


def test_a_single_class_of_all_sources_is_refused(tmp_path):
    """A flood mask given as labels: 0 is no data, so that every cell would be flooded alone."""
    path = text(
        tmp_path / "masks.yaml",
        """
        name: masks
        title: Masks
        target: landmark
        undated: true
        licence: x
        attribution: x
        classes: {1: {key: flooded, name: Flooded, to: flooded_area}}
        """,
    )
    mask, worldcover = {"source": str(path)}, {"source": "worldcover"}
    with raises(InputError, file="tiny", key="labels", value="flooded_area"):
        load_label_rules(recipe_of(labels=[mask]))
    assert load_label_rules(recipe_of(labels=[mask, worldcover])).sources == ("masks", "worldcover")
