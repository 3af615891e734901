"""Validate a corpus: a model trained on it must lead what can be predicted without learning classes from pixels."""

import re
from collections.abc import Mapping, Sequence
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
from landmark.corpus.reader import Corpus
from landmark.train.loop import TrainingConfig, train
from landmark.train.net import pick_device
from landmark.train.preparation import read_train_annotations
from landmark.train.profile import ModelProfile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.retrieval.evaluate import select_split
from landmark.train.retrieval.trec import read_queries
from landmark.train.validation.comparison import SensorResult, compare
from landmark.train.validation.evaluated import EvaluatedSet, load_evaluated
from landmark.train.validation.near_duplicates import NearDuplicate, find_near_duplicates
from landmark.train.validation.rivals import fit_rivals
from landmark.train.validation.verdict import Verdict, decide

# Labels that are right for 30 % of the images give even a perfect ranking a lead of .14 at most.
DEFAULT_MARGIN = 0.15
_MIN_SEEDS = 3
_MIN_EVALUATED = 10
_OWN_FILE = re.compile(r"\.landmark\.lock|seed\d+-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """Parameters of a validation.

    Attributes:
        profile: The model.
        out: Folder of the trainings; finished ones are not repeated.
        seeds: Each trains a model.
        smoke: Allow fewer than three seeds; with one, intervals are over blocks alone.
        split: Evaluated split.
        margin: Minimum lead over each required rival, in mAP.
        device: auto, cpu or cuda.
        progress: Receives stages; those of a training name the seed.
    """

    profile: ModelProfile
    out: Path
    seeds: Sequence[int]
    smoke: bool = False
    split: str = "test"
    margin: float = DEFAULT_MARGIN
    device: str = "auto"
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Result of a validation.

    Attributes:
        verdict: State, and what is missing.
        split: Evaluated split.
        margin: Minimum lead in mAP.
        seeds: Seeds of the trainings.
        results: Of each sensor.
        left_out: Sensor → classes that all of its evaluated images have, or none.
        near_duplicates: Sensor → pairs across splits.
    """

    verdict: Verdict
    split: str
    margin: float
    seeds: list[int]
    results: list[SensorResult]
    left_out: dict[str, list[str]]
    near_duplicates: dict[str, list[NearDuplicate]]


def validate(corpus: Corpus, config: ValidationConfig) -> ValidationReport:
    """Train a model with each seed, and compare it with rivals and nulls on the evaluated split.

    Raises:
        InputError: too few seeds, or no such split.
        LandmarkError: the corpus cannot be trained or evaluated on.
    """
    if len(config.seeds) < _MIN_SEEDS and not config.smoke:
        problem = f"a validation needs {_MIN_SEEDS} seeds or more"
        raise InputError(problem, file="--seeds", value=len(config.seeds), remedy="give more, or use --smoke")
    pick_device(config.device)
    evaluated = _read_evaluated(corpus, config)
    with folder_lock(config.out):
        if foreign := sorted(path.name for path in config.out.iterdir() if not _OWN_FILE.fullmatch(path.name)):
            problem = "not a validation folder: it holds other files"
            raise RunMismatch(problem, file=config.out, value=foreign[0], remedy="name a new folder with --out")
        refuse_links(config.out)
        remove_partials(config.out)
        near_duplicates = find_near_duplicates(corpus, progress=config.progress)
        rivals = fit_rivals(corpus, config.split, evaluated, config.progress)
        scores = _train_and_score(corpus, config, evaluated)
        results = [compare(own, scores[sensor], rivals[sensor]) for sensor, own in evaluated.items()]
    pairs = {sensor: len(own) for sensor, own in near_duplicates.items()}
    queries = [query.labels[0] for query in read_queries(corpus) if query.is_class]
    return ValidationReport(
        verdict=decide([result.evidence for result in results], pairs, config.margin),
        split=config.split,
        margin=config.margin,
        seeds=list(config.seeds),
        results=results,
        left_out={sensor: [key for key in queries if key not in own.classes] for sensor, own in evaluated.items()},
        near_duplicates=near_duplicates,
    )


def _read_evaluated(corpus: Corpus, config: ValidationConfig) -> dict[str, EvaluatedSet]:
    """Evaluated images of each sensor; refuses what cannot be trained or evaluated on before anything is done."""
    if config.split not in SPLITS[1:]:
        problem = "cannot be validated on: give a split that is not trained on"
        raise InputError(problem, file="--split", value=config.split, remedy="give val or test")
    selection = select_split(corpus, config.split)
    counts = {sensor: len(selection.select(sensor=sensor)) for sensor in corpus.manifest.sensors}
    for sensor, count in counts.items():
        if 0 < count < _MIN_EVALUATED:
            raise InsufficientData(
                f"too few {sensor} samples in the {config.split} split; {_MIN_EVALUATED} are the minimum",
                file=corpus.root,
                key=sensor,
                value=count,
                remedy="choose another with --split",
            )
    annotations = read_train_annotations(corpus, config.profile)
    if untrained := [sensor for sensor, count in counts.items() if count and sensor not in annotations]:
        problem, remedy = "no sample of this sensor in the train split", "build it with some, or without the sensor"
        raise InsufficientData(problem, file=corpus.root, key=untrained[0], remedy=remedy)
    return load_evaluated(corpus, config.split)


def _train_and_score(
    corpus: Corpus, config: ValidationConfig, evaluated: Mapping[str, EvaluatedSet]
) -> dict[str, NDArray[np.float32]]:
    """Sensor → cosines (seed, class, image) of the classes' names and the evaluated images."""
    scores: dict[str, list[NDArray[np.float32]]] = {sensor: [] for sensor in evaluated}
    for seed in config.seeds:
        loaded = load_run(_train(corpus, config, seed), config.device)
        for sensor, own in evaluated.items():
            images = embed_split(loaded, corpus.select(sensor=sensor), config.split, progress=config.progress)
            texts = loaded.encoder.encode_queries(own.names, corpus.manifest.taxonomy)
            scores[sensor].append(texts @ images.T)
    return {sensor: np.stack(own) for sensor, own in scores.items()}


def _train(corpus: Corpus, config: ValidationConfig, seed: int) -> Path:
    """Train unless the run is finished already; return its folder."""
    mark = digest([corpus.content_digest, config.profile.model_dump(mode="json")])[:8]
    folder = config.out / f"seed{seed}-{mark}"

    def progress(stage: str, done: int, total: int, detail: str = "", /) -> None:
        config.progress(f"seed {seed}: {stage}", done, total, detail)

    training = TrainingConfig(config.profile, folder, seed=seed, device=config.device, progress=progress)
    train(corpus, training)
    return folder
