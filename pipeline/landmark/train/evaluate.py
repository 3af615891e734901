"""A trained run, or anybody's ranking, asked the corpus's own queries."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query
from landmark.train import trec
from landmark.train.dataset import Progress, silent
from landmark.train.metrics import Figures, Judgement, Order, judge, mean_figures, order_of, score_blocks, tie_ranks

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from landmark.train.checkpoint import Run


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of a split: of all its images in one list, of each sensor's alone, of the one-class queries."""

    split: str
    k: int
    overall: Figures
    sensors: dict[str, Figures]
    classes: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Judged:
    """A split with its queries and judgements.

    Attributes:
        ids: Samples, in the corpus's order; `sensors` names the sensor of each.
        grades: (query, sample), 0 = not relevant.
    """

    split: str
    queries: Sequence[Query]
    ids: Sequence[str]
    sensors: NDArray[np.str_]
    grades: NDArray[np.int8]


def judged_split(corpus: Corpus, split: str) -> Judged:
    """A split as the corpus judges it.

    Raises:
        InsufficientData: no queries, or no sample in the split.
        InvalidCorpus: files of queries are missing or damaged.
    """
    queries, selection = trec.read_queries(corpus), select(corpus, split)
    grades = trec.read_grades(corpus, split, queries=queries, ids=selection.ids)
    return Judged(split, queries, selection.ids, np.array(selection.table["sensor"].to_pylist()), grades)


def select(corpus: Corpus, split: str) -> Corpus:
    """A split that has samples.

    Raises:
        InputError: no such split.
        InsufficientData: it is empty.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: give {', '.join(SPLITS)}")
    selection = corpus.select(split=split)
    if not len(selection):
        raise InsufficientData(f"{corpus.root} has no sample in its {split} split; --split takes another")
    return selection


def evaluate_run(
    corpus: Corpus,
    folder: Path,
    *,
    split: str,
    k: int,
    device: str = "auto",
    trec_file: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """The figures of a finished run; with `trec_file` its rankings are written too.

    Raises:
        LandmarkError: the corpus, the split, the run or one of its sensors cannot be judged.
    """
    from landmark.train.embed import embed_split, embed_texts, open_run

    judged, run = judged_split(corpus, split), open_run(folder, device)
    _refuse_foreign(run.run, corpus, folder)
    images = embed_split(run, corpus, split, progress)
    texts = embed_texts(run, [query.text for query in judged.queries])
    ranked = ranking(texts, images, judged.ids)
    if trec_file is None:
        return report(judged, (order for order, _ in ranked), k=k)
    tag = "-".join(folder.name.split()) or "run"
    return report(judged, trec.write_trec(trec_file, judged.queries, judged.ids, ranked, tag), k=k)


def _refuse_foreign(run: "Run", corpus: Corpus, folder: Path) -> None:
    """Refuse a run of another corpus, whose train split may hold what is judged here, and a control's."""
    learnt = run.identity
    if learnt.content != corpus.manifest.content_digest:
        raise RunMismatch(
            f"{folder} was trained on another corpus ({run.corpus}, content {learnt.content[:12]}), whose train split"
            f" may hold what is judged here; train on {corpus.root}, or judge its ranking with --from-trec"
        )
    if learnt.arm != "real":
        raise RunMismatch(f"{folder} learnt {learnt.arm} words, as a control of `landmark validate`; name another run")


def evaluate_trec(corpus: Corpus, path: Path, *, split: str, k: int) -> Report:
    """The figures of a TREC run of anybody's.

    Raises:
        LandmarkError: the corpus, the split or the file cannot be judged.
    """
    judged = judged_split(corpus, split)
    return report(judged, trec.read_trec(path, queries=judged.queries, ids=judged.ids), k=k)


def ranking(
    texts: NDArray[np.float32], images: NDArray[np.float32], ids: Sequence[str]
) -> Iterator[tuple[Order, NDArray[np.float32]]]:
    """Each query's order of the images, and its scores: (query, d) against (image, d)."""
    ties = tie_ranks(ids)
    for scores in score_blocks(texts, images):
        yield order_of(scores, ties), scores


def report(judged: Judged, orders: Iterable[Order], *, k: int) -> Report:
    """The figures of rankings, one a query; a sensor's are those of its images alone, in the same order."""
    names = sorted(set(judged.sensors.tolist()))
    masks = [np.ones(len(judged.ids), dtype=bool), *(judged.sensors == name for name in names)]
    told: list[list[Judgement]] = [[] for _ in masks]
    for order, grades in zip(orders, judged.grades, strict=True):
        for part, mask in zip(told, masks, strict=True):
            part.append(judge(_within(order, mask), grades[mask], k=k))
    overall, *sensors = (mean_figures(part, int(mask.sum())) for part, mask in zip(told, masks, strict=True))
    classes = {
        query.labels[0]: mean_figures([one], len(judged.ids))
        for query, one in zip(judged.queries, told[0], strict=True)
        if len(query.labels) == 1
    }
    return Report(judged.split, k, overall, dict(zip(names, sensors, strict=True)), classes)


def _within(order: Order, mask: NDArray[np.bool_]) -> Order:
    """An order without the documents outside a mask, whose places close up."""
    places: Order = (np.cumsum(mask) - 1)[order[mask[order]]]
    return places
