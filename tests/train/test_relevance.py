"""Relevance grades, and the query files of a corpus, which follow from them."""

import pytest

from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query, grade, make_queries
from landmark.train.retrieval.evaluate import load_evaluation_set
from landmark.train.retrieval.trec import read_queries
from tests.train.toy import dense_grades


@pytest.mark.parametrize(
    ("query", "labels", "expected"),
    [
        ({"a"}, {"a"}, 3),
        ({"a"}, {"a", "b"}, 2),
        ({"a"}, {"a", "b", "c"}, 1),
        ({"a", "b"}, {"a", "b", "c"}, 2),
        ({"a", "b"}, {"a", "c"}, 0),
        ({"a"}, set(), 0),
    ],
)
def test_grades(query: set[str], labels: set[str], expected: int) -> None:
    assert grade(frozenset(query), frozenset(labels)) == expected


def test_queries_are_classes_in_order_then_repeated_sets_by_frequency() -> None:
    label_sets = [frozenset(labels) for labels in ("ab", "ab", "ab", "bc", "bc", "c", "ac")]
    names = {"d": "dunes", "c": "crops", "b": "bare ground", "a": "algae"}
    assert make_queries(label_sets, names) == [
        Query("c", "crops", ("c",)),
        Query("b", "bare ground", ("b",)),
        Query("a", "algae", ("a",)),
        Query("b+a", "bare ground. algae", ("b", "a")),
        Query("c+b", "crops. bare ground", ("c", "b")),
    ]


def test_corpus_files_hold_the_queries_and_grades_of_the_rules(toy_corpus: Corpus) -> None:
    label_sets = [frozenset(labels) for labels in toy_corpus.table["labels"].to_pylist()]
    queries = read_queries(toy_corpus)
    names = {query.labels[0]: query.text for query in queries if len(query.labels) == 1}
    assert queries == make_queries(label_sets, names)
    evaluation = load_evaluation_set(toy_corpus, "test")
    labels = [frozenset(names) for names in toy_corpus.select(split="test").table["labels"].to_pylist()]
    expected = [[grade(frozenset(query.labels), own) for own in labels] for query in queries]
    assert dense_grades(evaluation).tolist() == expected
