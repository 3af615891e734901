"""Train every arm on every division of a corpus, and compare them."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import landmark
from bench.experiment.analysis import Analysis, adjust, analyse
from bench.experiment.arms import SINGLE, list_arms
from bench.experiment.divisions import divide, measure_leakage
from bench.experiment.runs import SPLIT, Job, Scores, open_division, read_evaluated, read_scores, run_all
from landmark.corpus.reader import Corpus
from landmark.train.profile import ModelProfile
from landmark.train.retrieval.events import read_event_facts
from landmark.train.validation.evaluated import find_blocks
from landmark.train.validation.rivals import fit_rivals


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """Parameters of an experiment.

    Attributes:
        corpus: Folder of the corpus.
        out: Folder of the trainings; finished ones are not repeated.
        closp: The reference; its batch is made smaller where a sensor does not fill it.
        geoclosp: Model with a location tower.
        divisions: Names of divisions; those that the corpus has not are left out.
        seeds: Of the trainings.
        workers: Trainings at a time.
        device: auto, cpu or cuda.
    """

    corpus: Path
    out: Path
    closp: ModelProfile
    geoclosp: ModelProfile
    divisions: Sequence[str]
    seeds: Sequence[int]
    workers: int = 1
    device: str = "cpu"


def experiment(config: ExperimentConfig) -> dict[str, Any]:
    """Do the trainings that are missing; return the figures as a JSON document."""
    start, corpus = time.monotonic(), landmark.open(config.corpus)
    views = {name: view for name in config.divisions if (view := divide(corpus, name)) is not None}
    closp = _fit_batch(config.closp, views.values())
    steps = count_steps(closp, corpus)
    arms = list_arms(corpus, closp, config.geoclosp, steps)
    for name in views:
        # What cannot be evaluated is refused before the first training.
        read_evaluated(config.corpus, name)
    jobs = {
        (division, name, seed): Job(config.corpus, division, name, arm, seed, config.out, config.device)
        for seed in config.seeds
        for division in views
        for name, arm in arms.items()
    }
    run_all(list(jobs.values()), config.workers)
    results = {
        division: _analyse(
            config.corpus, division, {name: [jobs[division, name, seed] for seed in config.seeds] for name in arms}
        )
        for division in views
    }
    measures = [measure for result in results.values() for measure in result["measures"].values()]
    adjust([own for measure in measures for own in measure["comparisons"]])
    return {
        "corpus": corpus.manifest.name,
        "samples": len(corpus),
        "seeds": len(config.seeds),
        "steps": steps,
        "batch": closp.budget.batch,
        "model": closp.title,
        "left_out": [name for name in config.divisions if name not in views],
        "arms": {name: arm.title for name, arm in arms.items()},
        "minutes": round((time.monotonic() - start) / 60, 1),
        "divisions": results,
    }


def _analyse(corpus: Path, division: str, jobs: Mapping[str, Sequence[Job]]) -> dict[str, Any]:
    """Figures of a division from the jobs of each arm."""
    view, evaluated = open_division(corpus, division), read_evaluated(corpus, division)
    facts = read_event_facts(view)
    analysis = Analysis(evaluated, set(facts.label[facts.label != ""].tolist()), blocks_by_sensor(view))
    rivals = fit_rivals(view, SPLIT, evaluated)
    by_rival = {name: {sensor: own[name] for sensor, own in rivals.items()} for name in next(iter(rivals.values()))}
    splits = view.columns("split")["split"].to_pylist()
    leakage = asdict(measure_leakage(view))
    return {
        "images": {name: splits.count(name) for name in ("train", "val", "test")},
        "blocks": analysis.n_blocks,
        "leakage": {key: None if value is None else round(value, 3) for key, value in leakage.items()},
        "measures": analyse(analysis, _join_single(jobs), by_rival),
    }


def blocks_by_sensor(view: Corpus) -> dict[str, NDArray[np.str_]]:
    """Blocks of each sensor's evaluated images: an event joins those that it touches in images of any sensor."""
    selection = view.select(split=SPLIT)
    blocks = np.array(find_blocks(selection), dtype=np.str_)
    sensors = np.array(selection.columns("sensor")["sensor"].to_pylist(), dtype=np.str_)
    return {sensor: blocks[sensors == sensor] for sensor in np.unique(sensors).tolist()}


def _join_single(jobs: Mapping[str, Sequence[Job]]) -> dict[str, list[dict[str, Scores]]]:
    """Arm → scores of each seed; arms of one sensor are joined, each with its own sensor."""
    scores = {name: [read_scores(job) for job in own] for name, own in jobs.items()}
    single = [scores.pop(name) for name in jobs if name.startswith(SINGLE)]
    joined = [{key: own for part in parts for key, own in part.items()} for parts in zip(*single, strict=True)]
    return scores | ({SINGLE: joined} if joined else {})


def _fit_batch(profile: ModelProfile, views: Iterable[Corpus]) -> ModelProfile:
    """Make the batch as small as the smallest train split of a sensor, but for 8, the least that a profile allows."""
    sensors = [view.select(split="train").columns("sensor")["sensor"].to_pylist() for view in views]
    count = min(int(np.unique(own, return_counts=True)[1].min(initial=profile.budget.batch)) for own in sensors)
    budget = {"batch": min(profile.budget.batch, max(8, count // 8 * 8))}
    return profile.model_copy(update={"budget": profile.budget.model_copy(update=budget)})


def count_steps(profile: ModelProfile, corpus: Corpus) -> int:
    """Steps of a training of the reference on the corpus's own train split."""
    counts = [len(corpus.select(split="train", sensor=sensor)) for sensor in corpus.manifest.sensors]
    batches = max(1, max(counts) // profile.budget.batch)
    return profile.budget.count_steps(math.ceil(batches / profile.budget.accumulate))
