"""Validate a corpus: a model trained on it must outperform the same model trained on shuffled or random labels."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.core.hashing import digest
from landmark.core.progress import Progress, silent
from landmark.corpus.metrics import MeanMetrics
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import grade, make_queries
from landmark.train.controls import CONTROLS, apply_control
from landmark.train.dataset import Annotations, read_split_annotations
from landmark.train.embed import embed_split, embed_texts, load_run
from landmark.train.evaluate import EvaluationSet, compute_report, rank_images, select_split
from landmark.train.loop import TrainingConfig, check_trainable, train
from landmark.train.net import pick_device
from landmark.train.profile import ModelProfile
from landmark.train.trec import read_queries

CONDITIONS = ("none", *CONTROLS)
_LEVEL = 0.95
_MIN_SEEDS = 3
_MIN_EVALUATED = 10
_OWN_FILE = re.compile(rf"\.landmark\.lock|seed\d+-({'|'.join(CONDITIONS)})-[0-9a-f]{{8}}")

SplitAnnotations = Mapping[str, Mapping[str, Annotations]]


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """Parameters of a validation.

    Attributes:
        profile: The model.
        out: Folder of the trainings; finished ones are not repeated.
        seeds: Each seed trains once per condition.
        smoke: Allow fewer than three seeds, without intervals.
        split: Evaluated split.
        margin: Minimum lead over each control, in mAP.
        device: auto, cpu or cuda.
        progress: Receives stages that name seed and condition.
    """

    profile: ModelProfile
    out: Path
    seeds: Sequence[int]
    smoke: bool = False
    split: str = "test"
    margin: float = 0.05
    device: str = "auto"
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one training on the images of one sensor."""

    condition: str
    seed: int
    sensor: str
    metrics: MeanMetrics
    above_chance: float


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over seeds with its Student-t interval; no bounds for a single seed."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class SensorResult:
    """Results of a sensor.

    Attributes:
        sensor: Name.
        above_chance: mAP above chance, by condition.
        leads: Lead of condition `none` over each control, in mAP above chance.
    """

    sensor: str
    above_chance: dict[str, Interval]
    leads: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Result of a validation; it passed where `failures` is empty."""

    split: str
    margin: float
    seeds: list[int]
    results: list[SensorResult]
    failures: list[str]
    scores: list[Score]

    @property
    def passed(self) -> bool:
        """True without failures."""
        return not self.failures


def validate(corpus: Corpus, config: ValidationConfig) -> ValidationReport:
    """Train and evaluate each condition with each seed under the same budget, and compare.

    Passes where for every sensor the lead over both controls exceeds the margin (lower end of the 95 % interval of the
    paired difference) and the controls are at chance.

    Raises:
        InputError: too few seeds, or no such split.
        LandmarkError: the corpus cannot be trained or evaluated on.
    """
    if len(config.seeds) < _MIN_SEEDS and not config.smoke:
        problem = f"an interval needs {_MIN_SEEDS} seeds or more"
        raise InputError(problem, file="--seeds", value=len(config.seeds), remedy="give more, or use --smoke")
    pick_device(config.device)
    annotations = _read_all_annotations(corpus, config)
    names = {query.labels[0]: query.text for query in read_queries(corpus) if len(query.labels) == 1}
    check_trainable(corpus, config.profile, annotations["train"])
    with folder_lock(config.out):
        if foreign := sorted(path.name for path in config.out.iterdir() if not _OWN_FILE.fullmatch(path.name)):
            problem = "not a validation folder: it holds other files"
            raise RunMismatch(problem, file=config.out, value=foreign[0], remedy="name a new folder with --out")
        refuse_links(config.out)
        remove_partials(config.out)
        runs = ((seed, condition) for seed in config.seeds for condition in CONDITIONS)
        scores = [
            score
            for seed, condition in runs
            for score in _ConditionRun(
                corpus, config, condition, seed, apply_control(condition, annotations, names, seed)
            ).scores(names)
        ]
    sensors = list(annotations[config.split])
    return ValidationReport(
        config.split,
        config.margin,
        list(config.seeds),
        [_sensor_result(sensor, scores) for sensor in sensors],
        find_failures(scores, sensors, config.margin),
        scores,
    )


def _read_all_annotations(corpus: Corpus, config: ValidationConfig) -> dict[str, dict[str, Annotations]]:
    """Annotations of all splits; refuses what cannot be evaluated before anything is trained."""
    if config.split not in SPLITS[1:]:
        problem = "cannot be validated on: give a split that is not trained on"
        raise InputError(problem, file="--split", value=config.split, remedy="give val or test")
    evaluated = select_split(corpus, config.split)
    for sensor, counts in corpus.manifest.samples.items():
        if 0 < len(evaluated.select(sensor=sensor)) < _MIN_EVALUATED:
            raise InsufficientData(
                f"too few {sensor} samples in the {config.split} split; {_MIN_EVALUATED} are the minimum",
                file=corpus.root,
                key=sensor,
                value=counts[config.split],
                remedy="choose another with --split",
            )
    splits = [split for split in SPLITS if len(corpus.select(split=split))]
    annotations = {split: read_split_annotations(corpus, config.profile, split) for split in splits}
    if untrained := sorted(set(annotations[config.split]) - set(annotations.get("train", {}))):
        raise InsufficientData("no sample of this sensor in the train split", file=corpus.root, value=untrained[0])
    return annotations


@dataclass(frozen=True, slots=True)
class _ConditionRun:
    """One training of a validation: a condition under a seed."""

    corpus: Corpus
    config: ValidationConfig
    condition: str
    seed: int
    annotations: SplitAnnotations

    def scores(self, names: Mapping[str, str]) -> Iterator[Score]:
        """Train, then evaluate each sensor on the queries that the condition's own labels make.

        Args:
            names: Class → its name in queries.
        """
        config = self.config
        loaded = load_run(self._train(), config.device)
        splits = self.annotations.values()
        label_sets = (labels for sensors in splits for own in sensors.values() for labels in own.labels)
        queries = make_queries(label_sets, names)
        texts = embed_texts(loaded, [query.text for query in queries])
        for sensor, own in self.annotations[config.split].items():
            images = embed_split(loaded, self.corpus.select(sensor=sensor), config.split)
            grades = np.array(
                [[grade(frozenset(query.labels), labels) for labels in own.labels] for query in queries], dtype=np.int8
            )
            evaluation = EvaluationSet(config.split, queries, own.ids, np.full(len(own.ids), sensor), grades)
            rankings = (ranking for ranking, _ in rank_images(texts, images, own.ids))
            metrics = compute_report(evaluation, rankings, k=10).overall
            if metrics.map is None:
                problem = f"no query has a relevant {sensor} image in the {config.split} split"
                raise InsufficientData(problem, file=self.corpus.root, key=sensor)
            yield Score(self.condition, self.seed, sensor, metrics, metrics.above_chance)

    def _train(self) -> Path:
        """Train unless the run is finished already; return its folder."""
        config = self.config
        mark = digest([self.corpus.manifest.content_digest, config.profile.model_dump(mode="json")])[:8]
        folder, stage_prefix = config.out / f"seed{self.seed}-{self.condition}-{mark}", f"seed {self.seed}"

        def progress(stage: str, done: int, total: int, detail: str = "", /) -> None:
            config.progress(f"{stage_prefix}, {self.condition}: {stage}", done, total, detail)

        training = TrainingConfig(
            config.profile,
            folder,
            seed=self.seed,
            device=config.device,
            condition=self.condition,
            annotations=self.annotations["train"],
            progress=progress,
        )
        train(self.corpus, training)
        return folder


def _sensor_result(sensor: str, scores: Sequence[Score]) -> SensorResult:
    values = _values_by_condition(sensor, scores)
    leads = {control: interval(values["none"] - values[control]) for control in CONTROLS}
    return SensorResult(sensor, {condition: interval(by_seed) for condition, by_seed in values.items()}, leads)


def _values_by_condition(sensor: str, scores: Sequence[Score]) -> dict[str, NDArray[np.float64]]:
    """Values (seed,) of mAP above chance of each condition, seeds in the same order in all."""
    return {
        condition: np.array(
            [score.above_chance for score in scores if (score.sensor, score.condition) == (sensor, condition)]
        )
        for condition in CONDITIONS
    }


def interval(values: NDArray[np.float64], level: float = _LEVEL) -> Interval:
    """Mean and Student-t confidence interval of independent values."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None)
    half_width = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half_width, mean + half_width)


def find_failures(scores: Sequence[Score], sensors: Sequence[str], margin: float) -> list[str]:
    """Reasons why a corpus does not pass.

    The test that controls are at chance holds for several intervals at once: they are widened by Bonferroni's
    correction, so that all of them hold in 95 % of sound validations. The leads need no correction, as every one of
    them has to hold.
    """
    failures, level = [], 1 - (1 - _LEVEL) / (len(sensors) * len(CONTROLS))
    for sensor in sensors:
        values = _values_by_condition(sensor, scores)
        for control in CONTROLS:
            lead = interval(values["none"] - values[control])
            if (lead.mean if lead.low is None else lead.low) <= margin:
                failures.append(
                    f"{sensor}: lead over {control} labels is {format_interval(lead)}, not above {margin:g}"
                )
            reached = interval(values[control], level)
            low, high = reached.low, reached.high
            if low is not None and high is not None and not low <= 0 <= high:
                failures.append(f"{sensor}: {control} labels are at {format_interval(reached)}, not at chance")
    return failures


def format_interval(interval: Interval) -> str:
    """Format an interval as `+0.123 [+0.100, +0.146]`."""
    bounds = "" if interval.low is None or interval.high is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.mean:+.3f}{bounds}"
