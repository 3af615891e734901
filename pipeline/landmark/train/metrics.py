"""How well rankings answer queries with graded relevance, as `trec_eval` measures it. NumPy only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

# Scores held at once; 100,000 documents are ranked a hundred queries at a time.
_BLOCK_SCORES = 10_000_000

Order = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One query's figures, each in [0, 1]; all 0 where no document is relevant, as trec_eval has it.

    Attributes:
        relevant: Documents of grade 1 or more.
        ap: Average precision.
        chance_ap: What a random order is expected to reach.
        r_precision: Precision among as many documents as are relevant.
        chance_r_precision: The share of relevant documents.
        ndcg: nDCG of the first k, with linear gains.
        reciprocal_rank: Of the first relevant document.
        hit: 1 where one of the first k is relevant.
    """

    relevant: int
    ap: float = 0.0
    chance_ap: float = 0.0
    r_precision: float = 0.0
    chance_r_precision: float = 0.0
    ndcg: float = 0.0
    reciprocal_rank: float = 0.0
    hit: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the queries that have a relevant document; None where none has."""

    queries: int
    documents: int
    map: float | None
    chance_map: float | None
    r_precision: float | None
    chance_r_precision: float | None
    ndcg: float | None
    mrr: float | None
    hit: float | None

    @property
    def above_chance(self) -> float:
        """How far mAP lies above its expectation for a random order; NaN where no query can be judged."""
        return float("nan") if self.map is None or self.chance_map is None else self.map - self.chance_map


def mean_figures(judged: Iterable[Judgement], documents: int) -> Figures:
    """The means of queries over the same documents; a query nothing is relevant to says nothing and is left out."""
    told = [one for one in judged if one.relevant]
    names = [field.name for field in fields(Judgement)][1:]
    means = [float(np.mean([getattr(one, name) for one in told])) if told else None for name in names]
    return Figures(len(told), documents, *means)


def tie_ranks(ids: Sequence[str]) -> Order:
    """The place of each id in ascending order, by which `orders` breaks ties."""
    places = np.empty(len(ids), dtype=np.int64)
    places[np.argsort(np.array(ids, dtype=np.str_))] = np.arange(len(ids))
    return places


def order_of(scores: NDArray[np.floating], ties: Order) -> Order:
    """Documents best first; of equal scores, in float32 as in trec_eval, the greater id first."""
    return np.lexsort((-ties, -scores.astype(np.float32)))


def score_blocks(queries: NDArray[np.float32], documents: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The scores (document,) of each query: dot products of (query, d) and (document, d), a bounded block at a time."""
    step = max(1, _BLOCK_SCORES // max(1, len(documents)))
    for start in range(0, len(queries), step):
        yield from queries[start : start + step] @ documents.T


def judge(order: Order, grades: NDArray[np.int8], *, k: int) -> Judgement:
    """The figures of one query.

    Args:
        order: Documents (places in `grades`) best first; it need not name them all.
        grades: (document,), 0 = not relevant.
        k: Depth of nDCG and hit.
    """
    relevant = int((grades > 0).sum())
    if not relevant:
        return Judgement(0)
    ranked = grades[order]
    places = np.flatnonzero(ranked > 0) + 1
    ideal = -np.sort(-grades[grades > 0])
    return Judgement(
        relevant,
        ap=float((np.arange(1, len(places) + 1) / places).sum() / relevant),
        chance_ap=chance_ap(relevant, len(grades)),
        r_precision=float((places <= relevant).sum() / relevant),
        chance_r_precision=relevant / len(grades),
        ndcg=_gain(ranked[:k]) / _gain(ideal[:k]),
        reciprocal_rank=1 / int(places[0]) if len(places) else 0.0,
        hit=float(len(places) > 0 and places[0] <= k),
    )


def chance_ap(relevant: int, documents: int) -> float:
    """Expected average precision of a random order of `documents`, `relevant` (1 or more) of them relevant.

    A relevant document stands at place i with probability 1/N, and each of the i - 1 before it is relevant with
    probability (R - 1)/(N - 1): E[AP] = 1/N · Σ (1 + (i - 1)(R - 1)/(N - 1)) / i.
    """
    if documents == 1:
        return 1.0
    harmonic = float((1 / np.arange(1, documents + 1)).sum()) / documents
    return (relevant - 1) / (documents - 1) * (1 - harmonic) + harmonic


def _gain(grades: NDArray[np.int8]) -> float:
    return float((grades / np.log2(np.arange(len(grades)) + 2)).sum())
