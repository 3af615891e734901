"""Metrics against trec_eval, and chance against many shuffles."""

import itertools

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from landmark.corpus.metrics import (
    average_precisions,
    chance_average_precisions,
    id_order,
    mean_metrics,
    query_metrics,
    rank_documents,
    score_documents,
)
from tests.parts import examples

MEASURES = {"map", "Rprec", "ndcg_cut", "recip_rank", "success"}


@st.composite
def cases(draw):
    """Grades and scores with many ties, including scores that are equal in float32 only."""
    ids = [f"s{n}_{draw(st.sampled_from('abz'))}{n}" for n in range(draw(st.integers(1, 14)))]
    queries = [f"q{n}" for n in range(draw(st.integers(1, 4)))]
    score = st.sampled_from([0.0, 0.25, 0.25 + 1e-12, 0.5, -1.0, 0.75])
    grades = np.array([[draw(st.integers(0, 3)) for _ in ids] for _ in queries], dtype=np.int8)
    scores = np.array([[draw(score) for _ in ids] for _ in queries])
    return ids, queries, grades, scores


def trec_eval(ids, queries, grades, scores):
    judged = {q: dict(zip(ids, row.tolist(), strict=True)) for q, row in zip(queries, grades, strict=True)}
    run = {q: dict(zip(ids, row.tolist(), strict=True)) for q, row in zip(queries, scores, strict=True)}
    return pytrec_eval.RelevanceEvaluator(judged, MEASURES).evaluate(run)


def measure(ranking, grades):
    """Metrics of a ranking of documents with these grades."""
    return query_metrics(grades[ranking], grades, len(grades))


@given(cases())
@examples(200)
def test_metrics_equal_trec_eval(case):
    ids, queries, grades, scores = case
    expected, by_id = trec_eval(*case), id_order(ids)
    for query, row, score in zip(queries, grades, scores, strict=True):
        metrics, official = measure(rank_documents(score, by_id), row), expected[query]
        assert metrics.ap == pytest.approx(official["map"], abs=1e-9)
        assert metrics.r_precision == pytest.approx(official["Rprec"], abs=1e-9)
        assert metrics.ndcg_10 == pytest.approx(official["ndcg_cut_10"], abs=1e-9)
        assert metrics.ndcg_1000 == pytest.approx(official["ndcg_cut_1000"], abs=1e-9)
        assert metrics.reciprocal_rank == pytest.approx(official["recip_rank"], abs=1e-9)
        assert metrics.hit_10 == official["success_10"]


def test_means_exclude_queries_without_relevant_documents():
    grades = np.array([[0, 0, 0], [0, 1, 0]], dtype=np.int8)
    metrics = [measure(np.array([1, 0, 2]), row) for row in grades]
    means = mean_metrics(metrics, 3)
    assert (means.queries, means.map, means.hit_10) == (1, 1.0, 1.0)
    nothing = mean_metrics(metrics[:1], 3)
    assert nothing.map is None and np.isnan(nothing.above_chance)


def test_partial_rankings_are_measured_against_all_relevant_documents():
    grades = np.array([3, 0, 1, 2], dtype=np.int8)
    few, none = measure(np.array([2]), grades), measure(np.array([], dtype=np.int64), grades)
    assert few.ap == pytest.approx(1 / 3) and few.r_precision == pytest.approx(1 / 3)
    assert few.ndcg_10 == pytest.approx(1 / (3 + 2 / np.log2(3) + 1 / 2))
    assert (none.ap, none.ndcg_10, none.reciprocal_rank, none.hit_10, none.relevant) == (0, 0, 0, 0, 3)


CHANCES = {"chance_ap": "ap", "chance_r_precision": "r_precision"}
CHANCES |= {"chance_ndcg_10": "ndcg_10", "chance_ndcg_1000": "ndcg_1000"}


@pytest.mark.parametrize("grades", [[1], [1] + [0] * 5, [3, 1, 0, 0, 0, 0], [1, 2, 3, 2, 1, 0], [2] * 6, [0, 1, 3] * 2])
def test_chance_is_the_mean_over_all_orders(grades):
    row = np.array(grades, dtype=np.int8)
    metrics = [measure(np.array(order), row) for order in itertools.permutations(range(len(row)))]
    for chance, metric in CHANCES.items():
        mean = np.mean([getattr(query, metric) for query in metrics])
        assert getattr(metrics[0], chance) == pytest.approx(mean, abs=1e-12)


def test_chance_of_a_long_list_is_the_mean_of_many_shuffles():
    chance, grades = np.random.default_rng(0), np.array([1, 2, 3] * 10 + [0] * 170, dtype=np.int8)
    metrics = [measure(chance.permutation(200), grades) for _ in range(3000)]
    for expected, metric in CHANCES.items():
        values = [getattr(query, metric) for query in metrics]
        assert np.mean(values) == pytest.approx(getattr(metrics[0], expected), abs=4 * np.std(values) / np.sqrt(3000))


def test_scores_rank_by_value_then_by_greater_id():
    scores = np.array([0.0, -0.0, np.inf, -1.5, 1e-30, -np.inf, 2.0, np.nan, -1.5], dtype=np.float32)
    by_id = id_order([f"s{n}" for n in range(len(scores))])
    assert rank_documents(scores, by_id).tolist() == [2, 6, 4, 1, 0, 8, 3, 7, 5]


def test_scores_are_computed_in_bounded_blocks():
    chance = np.random.default_rng(0)
    queries, documents = chance.normal(size=(7, 4)).astype("float32"), chance.normal(size=(10, 4)).astype("float32")
    rows = list(score_documents(queries, documents, max_scores=25))
    assert np.allclose(rows, queries @ documents.T, atol=1e-6)
    assert {len(row.base) for row in rows if row.base is not None} <= {2, 1}


def enumerated_precision(scores, relevant):
    """Mean average precision of all orders of the documents that respect their scores."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    if not any(relevant):
        return 0.0
    return np.mean([measure(np.array(order), np.array(relevant, dtype=np.int8)).ap for order in orders])


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[st.sampled_from("abAB")] * n), min_size=1, max_size=4)))
@examples(60)
def test_average_precision_is_the_mean_over_all_orders_of_equal_scores(rows):
    # The letter of a document is its score, and it is relevant where that is a capital.
    scores = np.array([[ord(mark.lower()) for mark in row] for row in rows], dtype=float)
    relevant = np.array([[mark.isupper() for mark in row] for row in rows])
    expected = [enumerated_precision(*pair) for pair in zip(scores.tolist(), relevant.tolist(), strict=True)]
    assert average_precisions(scores, relevant, max_scores=8) == pytest.approx(expected, abs=1e-12)
    shared = [enumerated_precision(scores[0].tolist(), row) for row in relevant.tolist()]
    assert average_precisions(scores[:1], relevant) == pytest.approx(shared, abs=1e-12)
    equal = average_precisions(np.zeros_like(scores), relevant)
    assert equal == pytest.approx(chance_average_precisions(relevant), abs=1e-12)


def test_average_precision_of_distinct_scores_is_that_of_the_ranking():
    chance = np.random.default_rng(0)
    scores, relevant = chance.normal(size=(9, 300)), chance.random((9, 300)) < 0.2
    rankings = [measure(np.argsort(-row), grades.astype(np.int8)) for row, grades in zip(scores, relevant, strict=True)]
    assert average_precisions(scores, relevant) == pytest.approx([query.ap for query in rankings], abs=1e-12)
    assert chance_average_precisions(relevant) == pytest.approx([query.chance_ap for query in rankings], abs=1e-12)
