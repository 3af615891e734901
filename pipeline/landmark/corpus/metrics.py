"""Retrieval metrics with graded relevance, as `trec_eval` computes them. NumPy only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Depths of nDCG: a page of results, and about all relevant images of a small corpus.
DEPTHS = (10, 1000)
_HIT_DEPTH = 10
# Scores held at once: 100,000 documents are ranked for a hundred queries at a time.
MAX_SCORES = 10_000_000
# Documents evaluated at once: arrays of their size fit in a processor's cache.
_MAX_RANKED = 100_000

# Row numbers of documents, best first.
Ranking = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueryMetrics:
    """Metrics of one query, each in [0, 1]; all 0 where no document is relevant, as in trec_eval.

    Attributes:
        relevant: Number of documents of grade 1 or more.
        ap: Average precision.
        chance_ap: Expected average precision of a random order.
        r_precision: Precision among the first `relevant` documents.
        chance_r_precision: Fraction of relevant documents.
        ndcg_10: nDCG of the first 10, with linear gains.
        chance_ndcg_10: Expected `ndcg_10` of a random order.
        ndcg_1000: nDCG of the first 1000.
        chance_ndcg_1000: Expected `ndcg_1000` of a random order.
        reciprocal_rank: Of the first relevant document.
        hit_10: 1 where one of the first 10 documents is relevant.
    """

    relevant: int
    ap: float = 0.0
    chance_ap: float = 0.0
    r_precision: float = 0.0
    chance_r_precision: float = 0.0
    ndcg_10: float = 0.0
    chance_ndcg_10: float = 0.0
    ndcg_1000: float = 0.0
    chance_ndcg_1000: float = 0.0
    reciprocal_rank: float = 0.0
    hit_10: float = 0.0


@dataclass(frozen=True, slots=True)
class MeanMetrics:
    """Means over the queries that have a relevant document; None where no query has.

    Attributes:
        queries: Number of these queries.
        documents: Number of documents that each query ranks.
        relevant: Relevant documents, mean over the queries.
    """

    queries: int
    documents: int
    relevant: float | None
    map: float | None
    chance_map: float | None
    r_precision: float | None
    chance_r_precision: float | None
    ndcg_10: float | None
    chance_ndcg_10: float | None
    ndcg_1000: float | None
    chance_ndcg_1000: float | None
    mrr: float | None
    hit_10: float | None

    @property
    def above_chance(self) -> float:
        """`above_chance` of the mAP; NaN without a query."""
        return float("nan") if self.map is None or self.chance_map is None else above_chance(self.map, self.chance_map)


def above_chance(precision: float, chance: float) -> float:
    """Share of the way from chance to 1 that a mAP goes, (mAP - chance) / (1 - chance); 0 where chance is 1."""
    return (precision - chance) / (1 - chance) if chance < 1 else 0.0


def mean_metrics(metrics: Iterable[QueryMetrics], documents: int) -> MeanMetrics:
    """Average the metrics of queries over the same documents; queries without a relevant document are left out."""
    counted = [query for query in metrics if query.relevant]
    names = [field.name for field in fields(QueryMetrics)]
    means = [float(np.mean([getattr(query, name) for query in counted])) if counted else None for name in names]
    return MeanMetrics(len(counted), documents, *means)


def id_order(ids: Sequence[str]) -> NDArray[np.int64]:
    """Row numbers in ascending order of the ids, for `rank_documents`."""
    return np.argsort(np.array(ids, dtype=np.str_))


def rank_documents(scores: NDArray[np.floating], by_id: NDArray[np.int64]) -> Ranking:
    """Rank documents by score; of scores equal in float32 the greater id first, as in trec_eval; NaN is the least.

    Score and place in the order of ids make integers of 64 bits, whose sort takes a tenth of the time of two keys.

    Args:
        scores: (document,).
        by_id: Row numbers in ascending order of the documents' ids.
    """
    # Adding 0 makes -0 equal to it. The bits of positive floats ascend with them, those of negative ones descend.
    bits = (np.fmax(scores[by_id].astype(np.float32), np.float32(-np.inf)) + np.float32(0)).view(np.uint32)
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    ranking: Ranking = by_id[(keys & np.uint64(2**32 - 1)).astype(np.int64)[::-1]]
    return ranking


def score_documents(
    queries: NDArray[np.float32], documents: NDArray[np.float32], *, max_scores: int = MAX_SCORES
) -> Iterator[NDArray[np.float32]]:
    """Yield the scores (document,) of each query: dot products of (query, d) and (document, d).

    At most `max_scores` scores are held at once, those of one query at least.
    """
    step = max(1, max_scores // max(1, len(documents)))
    for start in range(0, len(queries), step):
        yield from queries[start : start + step] @ documents.T


def query_metrics(ranked: NDArray[np.int8], judged: NDArray[np.int8], documents: int) -> QueryMetrics:
    """Compute the metrics of one query.

    Args:
        ranked: Grades of the ranked documents, best first; documents may be missing.
        judged: Grades of all relevant documents, in any order; zeros may be left out.
        documents: Number of all documents.
    """
    ideal = np.sort(judged[judged > 0])[::-1]
    relevant = len(ideal)
    if not relevant:
        return QueryMetrics(0)
    positions = np.flatnonzero(ranked > 0) + 1
    mean_grade = float(ideal.sum(dtype=np.int64)) / documents
    (ndcg_10, chance_ndcg_10), (ndcg_1000, chance_ndcg_1000) = (
        _ndcg(ranked, ideal, mean_grade, min(depth, documents)) for depth in DEPTHS
    )
    return QueryMetrics(
        relevant,
        ap=float((np.arange(1, len(positions) + 1) / positions).sum() / relevant),
        chance_ap=chance_ap(relevant, documents),
        r_precision=float((positions <= relevant).sum() / relevant),
        chance_r_precision=relevant / documents,
        ndcg_10=ndcg_10,
        chance_ndcg_10=chance_ndcg_10,
        ndcg_1000=ndcg_1000,
        chance_ndcg_1000=chance_ndcg_1000,
        reciprocal_rank=1 / int(positions[0]) if len(positions) else 0.0,
        hit_10=float(len(positions) > 0 and positions[0] <= _HIT_DEPTH),
    )


def _ndcg(ranked: NDArray[np.int8], ideal: NDArray[np.int8], mean_grade: float, depth: int) -> tuple[float, float]:
    """NDCG of the first `depth` of ranked documents, and its expectation for a random order of all.

    In a random order the expected grade is the mean grade at each position.
    """
    discounts = 1 / np.log2(np.arange(depth) + 2)
    best, gain = (float((grades[:depth] * discounts[: len(grades)]).sum()) for grades in (ideal, ranked))
    return gain / best, mean_grade * float(discounts.sum()) / best


def chance_ap(relevant: int, documents: int) -> float:
    """Expected average precision of a random order of N documents, R of them relevant (R >= 1).

    A relevant document is at position i with probability 1/N, and each of the i - 1 before it is relevant with
    probability (R - 1)/(N - 1): E[AP] = 1/N · Σ (1 + (i - 1)(R - 1)/(N - 1)) / i.
    """
    if documents == 1:
        return 1.0
    harmonic = _mean_reciprocal(documents)
    return (relevant - 1) / (documents - 1) * (1 - harmonic) + harmonic


@lru_cache(maxsize=1024)
def _mean_reciprocal(count: int) -> float:
    """Mean of 1, 1/2, ... 1/count."""
    return float((1 / np.arange(1, count + 1)).sum()) / count


def chance_average_precisions(relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return `chance_ap` of each query (query,), of its relevant documents (query, document); 0 where none is."""
    counts, documents = relevant.sum(axis=1).tolist(), relevant.shape[1]
    values = {count: chance_ap(count, documents) if count else 0.0 for count in set(counts)}
    return np.array([values[count] for count in counts])


def average_precisions(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], *, max_scores: int = _MAX_RANKED
) -> NDArray[np.float64]:
    """Return the average precision (query,) of each query, exactly expected over all orders of equal scores.

    Without equal scores it is the average precision of the ranking; of scores that are all equal, that of chance.

    Args:
        scores: (query, document), or (1, document) for the same ranking in all queries, which is sorted once.
        relevant: (query, document).
        max_scores: Documents of a ranking that are evaluated at once, those of one query at least.

    Returns:
        0 where no document is relevant, as in trec_eval.
    """
    if len(scores) == 1:
        precisions = _expected_precisions(scores[0], relevant, max_scores)
    else:
        pairs = zip(scores, relevant, strict=True)
        precisions = np.array([_expected_precisions(own, row[None], max_scores)[0] for own, row in pairs])
    values: NDArray[np.float64] = precisions / np.maximum(relevant.sum(axis=1), 1)
    return values


def _expected_precisions(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], max_scores: int
) -> NDArray[np.float64]:
    """Expected sum (query,) of the precisions at the relevant documents of a ranking.

    Of t documents of equal score, r of them relevant, after n documents, R of them relevant, the j-th is relevant with
    probability r/t, and each of the j - 1 before it then with (r - 1)/(t - 1):
    r/t · Σ (R + 1 + (j - 1)(r - 1)/(t - 1)) / (n + j).
    """
    ranking = np.argsort(-scores, kind="stable")
    ranked, documents = scores[ranking], len(scores)
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    tied = np.diff(np.append(starts, documents))
    reciprocals, places = 1 / np.arange(1, documents + 1), np.arange(documents) - np.repeat(starts, tied)
    first = np.add.reduceat(reciprocals, starts) / tied
    preceding = np.add.reduceat(places * reciprocals, starts) / tied / np.maximum(tied - 1, 1)
    sums, step = np.zeros(len(relevant)), max(1, max_scores // documents)
    for start in range(0, len(relevant), step):
        relevants = relevant[start : start + step][:, ranking].astype(np.float64)
        if len(starts) < documents:
            relevants = np.add.reduceat(relevants, starts, axis=1)
        # In place, as new arrays would take most of the time.
        products = np.cumsum(relevants, axis=1)
        products *= first
        if len(starts) < documents:
            products -= (relevants - 1) * (first - preceding)
        products *= relevants
        sums[start : start + step] = products.sum(axis=1)
    return sums
