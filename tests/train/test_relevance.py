"""The rule of relevance, and the files a corpus was sealed with, which follow from it."""

import pytest

from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query, grade, make_queries
from landmark.train.evaluate import judged_split
from landmark.train.trec import read_queries


@pytest.mark.parametrize(
    ("wanted", "labels", "expected"),
    [
        ({"a"}, {"a"}, 3),
        ({"a"}, {"a", "b"}, 2),
        ({"a"}, {"a", "b", "c"}, 1),
        ({"a", "b"}, {"a", "b", "c"}, 2),
        ({"a", "b"}, {"a", "c"}, 0),
        ({"a"}, set(), 0),
    ],
)
def test_grades(wanted: set[str], labels: set[str], expected: int) -> None:
    assert grade(frozenset(wanted), frozenset(labels)) == expected


def test_queries_are_single_classes_in_order_then_sets_that_occur_twice_by_frequency() -> None:
    carried = [frozenset(one) for one in ("ab", "ab", "ab", "bc", "bc", "c", "ac")]
    names = {"d": "dunes", "c": "crops", "b": "bare ground", "a": "algae"}
    assert make_queries(carried, names) == [
        Query("c", "crops", ("c",)),
        Query("b", "bare ground", ("b",)),
        Query("a", "algae", ("a",)),
        Query("b+a", "bare ground. algae", ("b", "a")),
        Query("c+b", "crops. bare ground", ("c", "b")),
    ]


def test_a_corpus_is_sealed_with_the_rules_queries_and_grades(toy_corpus: Corpus) -> None:
    carried = [frozenset(labels) for labels in toy_corpus.table["labels"].to_pylist()]
    queries = read_queries(toy_corpus)
    assert queries == make_queries(carried, {one.labels[0]: one.text for one in queries if len(one.labels) == 1})
    judged = judged_split(toy_corpus, "test")
    labels = [frozenset(one) for one in toy_corpus.select(split="test").table["labels"].to_pylist()]
    assert judged.grades.tolist() == [[grade(frozenset(query.labels), one) for one in labels] for query in queries]
