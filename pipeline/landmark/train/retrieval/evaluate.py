"""Evaluate the rankings of a run, or of any TREC run file, on the queries of a corpus."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.core.progress import Progress, silent
from landmark.corpus.metrics import (
    MAX_SCORES,
    MeanMetrics,
    QueryMetrics,
    Ranking,
    id_order,
    mean_metrics,
    query_metrics,
    rank_documents,
    score_documents,
)
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query
from landmark.train.retrieval import trec
from landmark.train.retrieval.classification import ClassificationMetrics, Classifier
from landmark.train.retrieval.events import EventFacts, EventReport, join_reports, measure_events, read_event_facts

if TYPE_CHECKING:
    from landmark.train.retrieval.embed import LoadedRun


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Metrics of a split. A class is one query, so that means over classes weigh common and rare ones alike.

    Attributes:
        split: Name of the split.
        overall: Mean over the single classes, all images of both sensors in one ranking.
        sensors: The same for the images of each sensor, ranked among themselves.
        label_sets: Mean over the sets of classes, which are never averaged with single classes: `overall`, and each
            sensor.
        classes: Each class: `overall`, and each sensor.
        events: Event types and events: `overall`, and each sensor; empty where no image has an event's class.
        classification: Zero-shot classification and linear probe by sensor; empty for a TREC run, which has no vectors.
        notes: Limits that a reader of the figures should know.
    """

    split: str
    overall: MeanMetrics
    sensors: dict[str, MeanMetrics]
    label_sets: dict[str, MeanMetrics]
    classes: dict[str, dict[str, MeanMetrics]]
    events: dict[str, EventReport]
    classification: dict[str, ClassificationMetrics] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Queries, documents and relevance judgements of a split.

    Attributes:
        split: Name of the split.
        queries: The corpus's queries.
        ids: Sample ids, in the corpus's order.
        sensors: Names of the sensors that have samples.
        sensor: (sample,) number of the sensor among these.
        judgements: Relevant samples of each query.
        facts: Events of the samples.
    """

    split: str
    queries: Sequence[Query]
    ids: Sequence[str]
    sensors: tuple[str, ...]
    sensor: NDArray[np.int8]
    judgements: trec.Judgements
    facts: EventFacts


def load_evaluation_set(corpus: Corpus, split: str) -> EvaluationSet:
    """Load the queries and judgements of a split; where splits or labels were assigned, labels are judged anew.

    Raises:
        InputError: no such split.
        InsufficientData: no queries, or no sample in the split.
        InvalidCorpus: query files are missing or damaged.
    """
    queries, selection = trec.read_queries(corpus), select_split(corpus, split)
    if {"split", "labels"} & set(corpus.assigned):
        judgements = trec.judge_samples(corpus, split, queries=queries)
    else:
        judgements = trec.read_judgements(corpus, split, queries=queries, ids=selection.ids)
    sensors, numbers = np.unique(selection.columns("sensor")["sensor"].to_numpy().astype(str), return_inverse=True)
    facts = read_event_facts(selection)
    return EvaluationSet(
        split, queries, selection.ids, tuple(sensors.tolist()), numbers.astype(np.int8), judgements, facts
    )


def select_split(corpus: Corpus, split: str) -> Corpus:
    """Select a split that has samples.

    Raises:
        InputError: no such split.
        InsufficientData: it is empty.
    """
    if split not in SPLITS:
        raise InputError("no such split", file="--split", value=split, remedy=f"give {', '.join(SPLITS)}")
    selection = corpus.select(split=split)
    if not len(selection):
        remedy = "choose another with --split"
        raise InsufficientData("the split has no sample", file=corpus.root, key="split", value=split, remedy=remedy)
    return selection


def evaluate_run(
    corpus: Corpus,
    loaded: "LoadedRun",
    *,
    split: str,
    trec_file: Path | None = None,
    progress: Progress = silent,
) -> EvaluationReport:
    """Evaluate a finished run, or a model that was saved without one; with `trec_file` rankings are written too.

    Raises:
        LandmarkError: corpus, split or run cannot be used, or do not belong together.
    """
    from landmark.train.retrieval.embed import embed_split

    notes = (*_check_origin(loaded, corpus), *_list_untrained(loaded, corpus))
    corpus = corpus.select(where=[("sensor", "in", list(loaded.encoder.sensors))])
    evaluation = load_evaluation_set(corpus, split)
    images = embed_split(loaded, corpus, split, progress=progress)
    texts = loaded.encoder.encode_queries([query.text for query in evaluation.queries], corpus.manifest.taxonomy)
    report = compute_report(evaluation, _rank(evaluation, loaded, texts, images, trec_file))
    classes = {query.labels[0]: text for query, text in zip(evaluation.queries, texts, strict=True) if query.is_class}
    classifier = Classifier(corpus, loaded, split, classes, progress=progress)
    return replace(report, classification=classifier.measure(images), notes=(*notes, *loaded.encoder.profile.caveats))


def _rank(
    evaluation: EvaluationSet,
    loaded: "LoadedRun",
    texts: NDArray[np.float32],
    images: NDArray[np.float32],
    trec_file: Path | None,
) -> Iterator[Ranking]:
    """Yield the ranking of each query, and write it too where a file is given."""
    ranked = rank_images(texts, images, evaluation.ids)
    if trec_file is None:
        return (ranking for ranking, _ in ranked)
    tag = "-".join(loaded.folder.name.split()) or "run"
    return trec.write_trec(trec_file, evaluation.queries, evaluation.ids, ranked, tag)


def _check_origin(loaded: "LoadedRun", corpus: Corpus) -> tuple[str, ...]:
    """Notes on the training. Refuse runs of another corpus, whose train split may overlap the evaluated split."""
    if loaded.run is None:
        return ("the model was saved without its run: images that are evaluated may have been trained on",)
    identity = loaded.run.identity
    if identity.content_digest != corpus.content_digest:
        raise RunMismatch(
            f"trained on another corpus, {loaded.run.corpus}, whose train split may hold evaluated samples",
            file=loaded.folder,
            key="content_digest",
            value=identity.content_digest,
            remedy=f"train on {corpus.root}, or evaluate its ranking with --from-trec",
        )
    return tuple(loaded.run.warnings)


def _list_untrained(loaded: "LoadedRun", corpus: Corpus) -> tuple[str, ...]:
    """A note that names the sensors that the model was not trained on; their images are left out."""
    untrained = [sensor for sensor in corpus.manifest.sensors if sensor not in loaded.encoder.sensors]
    return (f"images of {', '.join(untrained)} are left out: the model was not trained on them",) * bool(untrained)


def evaluate_trec(corpus: Corpus, path: Path, *, split: str) -> EvaluationReport:
    """Evaluate a TREC run file.

    Raises:
        LandmarkError: corpus, split or file cannot be used.
    """
    evaluation = load_evaluation_set(corpus, split)
    rankings = trec.read_trec(path, queries=evaluation.queries, ids=evaluation.ids)
    return compute_report(evaluation, rankings)


def rank_images(
    texts: NDArray[np.float32], images: NDArray[np.float32], ids: Sequence[str], *, max_scores: int = MAX_SCORES
) -> Iterator[tuple[Ranking, NDArray[np.float32]]]:
    """Yield ranking and scores (image,) of each query, from unit vectors (query, d) and (image, d).

    At most `max_scores` scores are in memory at once, those of one query at least.
    """
    by_id = id_order(ids)
    for scores in score_documents(texts, images, max_scores=max_scores):
        yield rank_documents(scores, by_id), scores


def compute_report(evaluation: EvaluationSet, rankings: Iterable[Ranking]) -> EvaluationReport:
    """Compute the metrics of rankings, one per query, of which one at a time is in memory."""
    names, counts = ("overall", *evaluation.sensors), np.bincount(evaluation.sensor, minlength=len(evaluation.sensors))
    documents = dict(zip(names, (len(evaluation.ids), *counts.tolist()), strict=True))
    metrics: dict[str, list[QueryMetrics]] = {name: [] for name in names}
    events: dict[str, list[EventReport]] = {}
    event_classes = set(evaluation.facts.label.tolist())
    for number, (query, ranking) in enumerate(zip(evaluation.queries, rankings, strict=True)):
        for name, own in _measure_query(evaluation, number, ranking, documents).items():
            metrics[name].append(own)
        if query.is_class and query.labels[0] in event_classes:
            for name, report in _measure_events(evaluation, number, ranking).items():
                events.setdefault(name, []).append(report)

    def average(queries: Iterable[int]) -> dict[str, MeanMetrics]:
        rows = list(queries)
        return {name: mean_metrics([metrics[name][row] for row in rows], documents[name]) for name in names}

    singles = {query.labels[0]: row for row, query in enumerate(evaluation.queries) if query.is_class}
    means = average(singles.values())
    return EvaluationReport(
        evaluation.split,
        overall=means["overall"],
        sensors={name: means[name] for name in evaluation.sensors},
        label_sets=average(set(range(len(evaluation.queries))) - set(singles.values())),
        classes={key: average([row]) for key, row in singles.items()},
        events={name: join_reports(own) for name, own in events.items()},
    )


def _measure_query(
    evaluation: EvaluationSet, number: int, ranking: Ranking, documents: Mapping[str, int]
) -> dict[str, QueryMetrics]:
    """Metrics of a query: `overall`, and of each sensor's images among themselves."""
    relevant, judged = evaluation.judgements.of(number)
    grades = np.zeros(len(evaluation.ids), dtype=np.int8)
    grades[relevant] = judged
    ranked, sensor = grades[ranking], evaluation.sensor[ranking]
    metrics = {"overall": query_metrics(ranked, judged, documents["overall"])}
    for code, name in enumerate(evaluation.sensors):
        own = judged[evaluation.sensor[relevant] == code]
        metrics[name] = query_metrics(ranked[sensor == code], own, documents[name])
    return metrics


def _measure_events(evaluation: EvaluationSet, number: int, ranking: Ranking) -> dict[str, EventReport]:
    """Metrics of the events of a class: `overall`, and of each sensor's images among themselves."""
    masks = {"overall": np.ones(len(evaluation.ids), dtype=bool)}
    masks |= {name: evaluation.sensor == code for code, name in enumerate(evaluation.sensors)}
    relevant, (label,) = evaluation.judgements.of(number)[0], evaluation.queries[number].labels
    return {name: measure_events(evaluation.facts, label, ranking, relevant, mask) for name, mask in masks.items()}
