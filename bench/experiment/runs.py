"""The trainings of the experiment, a folder each: finished ones are found again, interrupted ones resumed."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

import landmark
from bench.experiment.arms import Arm, Coordinates
from bench.experiment.divisions import divide
from landmark.core.atomic import atomic_path
from landmark.core.hashing import digest
from landmark.core.plural import plural
from landmark.core.signals import children_without_interrupts
from landmark.corpus.reader import Corpus
from landmark.train.loop import TrainingConfig, train
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.validation.evaluated import EvaluatedSet, load_evaluated

_SCORES = "scores.npz"
SPLIT = "test"

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Job:
    """A training and its evaluation.

    Attributes:
        corpus: Folder of the corpus.
        division: Name of its division.
        name: Name of the arm.
        arm: The model.
        seed: Of the training, and of permuted coordinates.
        out: Folder of all runs.
        device: auto, cpu or cuda.
    """

    corpus: Path
    division: str
    name: str
    arm: Arm
    seed: int
    out: Path
    device: str

    @property
    def folder(self) -> Path:
        """Folder of this training, whose name changes with all that it depends on."""
        arm, view = self.arm, open_division(self.corpus, self.division)
        profile = arm.profile.model_dump(mode="json", exclude_defaults=True)
        inputs = [view.content_digest, profile, arm.sensors, arm.coordinates]
        return self.out / self.division / f"{self.name}-seed{self.seed}-{digest(inputs)[:8]}"

    @property
    def scores(self) -> Path:
        """File of the scores (class, image) of each sensor, which is written last."""
        return self.folder / _SCORES


@cache
def open_division(corpus: Path, division: str) -> Corpus:
    """Open a corpus with the splits of a division that it has."""
    view = divide(landmark.open(corpus), division)
    assert view is not None, "such divisions have no jobs"
    return view


@cache
def read_evaluated(corpus: Path, division: str) -> dict[str, EvaluatedSet]:
    """Evaluated images of each sensor."""
    return load_evaluated(open_division(corpus, division), SPLIT)


def run_all(jobs: Sequence[Job], workers: int) -> None:
    """Do the jobs that are not done: several at a time in processes of one thread each, or one in this process."""
    missing = [job for job in jobs if not job.scores.is_file()]
    print(f"{plural(len(jobs), 'training')}, {len(jobs) - len(missing)} of them done", file=sys.stderr)
    start = perf_counter()
    for number, (job, seconds) in enumerate(_run(missing, workers), start=1):
        left = (perf_counter() - start) / number * (len(missing) - number) / 60
        print(
            f"{number} of {len(missing)}: {job.division}, {job.name}, seed {job.seed}: {seconds:.0f} s; about"
            f" {left:.0f} min left",
            file=sys.stderr,
        )


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, float]]:
    if workers == 1:
        for job in jobs:
            yield job, run(job)
        return
    # Threads of OpenMP do not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_limit_threads) as pool:
        with children_without_interrupts():
            futures = {pool.submit(run, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # Trainings resume at their last epoch: nothing is gained by waiting for them.
            for process in active_children():
                process.terminate()
            raise


def _limit_threads() -> None:
    torch.set_num_threads(1)
    # Of libraries that are loaded later.
    os.environ["OMP_NUM_THREADS"] = "1"


def run(job: Job) -> float:
    """Train, and score the evaluated images; returns seconds."""
    start, corpus, model = perf_counter(), open_division(job.corpus, job.division), job.folder / "model"
    training = TrainingConfig(job.arm.profile, model, job.seed, job.arm.sensors, device=job.device)
    train(permute_coordinates(corpus, job.arm.coordinates, job.seed), training)
    loaded, scores = load_run(model, job.device), dict[str, Scores]()
    for sensor, evaluated in read_evaluated(job.corpus, job.division).items():
        if sensor in job.arm.sensors:
            images = embed_split(loaded, corpus.select(sensor=sensor), SPLIT)
            scores[sensor] = loaded.encoder.encode_queries(evaluated.names, corpus.manifest.taxonomy) @ images.T
    with atomic_path(job.scores) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **scores)
    return perf_counter() - start


def read_scores(job: Job) -> dict[str, Scores]:
    """Sensor → scores (class, image) of a job that is done."""
    with np.load(job.scores) as scores:
        return {sensor: scores[sensor] for sensor in scores.files}


def permute_coordinates(corpus: Corpus, coordinates: Coordinates, seed: int) -> Corpus:
    """View of a corpus whose coordinates are exchanged at random between cells or images of each split."""
    if coordinates == "true":
        return corpus
    table = corpus.columns("split", "cell", "lon", "lat")
    lon, lat = (table[name].to_numpy().copy() for name in ("lon", "lat"))
    split = np.array(table["split"].to_pylist(), dtype=np.str_)
    unit = np.arange(len(split))
    if coordinates == "by cell":
        unit = np.unique(np.array(table["cell"].to_pylist(), dtype=np.str_), return_inverse=True)[1]
    chance = np.random.default_rng(seed)
    for name in np.unique(split):
        rows = np.flatnonzero(split == name)
        units, first, own = np.unique(unit[rows], return_index=True, return_inverse=True)
        source = rows[first][chance.permutation(len(units))][own]
        lon[rows], lat[rows] = table["lon"].to_numpy()[source], table["lat"].to_numpy()[source]
    return corpus.assign(lon=lon, lat=lat)
