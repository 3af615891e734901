"""Does a corpus teach what it says? A model trained on it must beat the same model trained on meaningless words."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.config.recipe import SPLITS
from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.core.hashing import digest
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import Query, grade, make_queries
from landmark.train import dataset as feed
from landmark.train.controls import CONTROLS, dealt
from landmark.train.dataset import Progress, Texts
from landmark.train.embed import Opened, embed_block, embed_texts, open_run
from landmark.train.evaluate import Judged, ranking, report, select
from landmark.train.loop import Training, check_trainable, train, train_texts
from landmark.train.metrics import Figures
from landmark.train.net import pick_device
from landmark.train.profile import Model
from landmark.train.trec import read_queries

REAL = "real"
ARMS = (REAL, *CONTROLS)
_LEVEL = 0.95
_FEWEST_SEEDS = 3
_OURS = re.compile(
    rf"\.landmark\.lock|seed\d+-({'|'.join(ARMS)})-[0-9a-f]{{8}}|\.?pixels-[0-9a-f]{{12}}\.npy(\.\d+\.partial)?"
)
_FEWEST_JUDGED = 10

AllTexts = Mapping[str, Mapping[str, Texts]]


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation as a person asks for it.

    Attributes:
        out: Folder of its trainings; those that are finished are not repeated.
        seeds: One training of each arm a seed.
        smoke: One seed will do: a first look, without intervals.
        margin: How far the real arm must lie above each control, in mAP.
        progress: Told stage (seed and arm in front), done, of, and how the loss goes.
    """

    model: Model
    out: Path
    seeds: Sequence[int]
    smoke: bool = False
    split: str = "test"
    margin: float = 0.05
    device: str = "auto"
    progress: Progress = feed.silent


@dataclass(frozen=True, slots=True)
class Score:
    """What one training reached on the images of one sensor."""

    arm: str
    seed: int
    sensor: str
    figures: Figures
    above_chance: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and its Student-t interval; no bounds for one seed."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A sensor's share of the verdict: mAP above chance of each arm, and how far the real one leads each control."""

    sensor: str
    arms: dict[str, Interval]
    lead: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Passed where `objections` is empty."""

    split: str
    margin: float
    seeds: list[int]
    outcomes: list[Outcome]
    objections: list[str]
    scores: list[Score]

    @property
    def passed(self) -> bool:
        """True where nothing is objected."""
        return not self.objections


def validate(corpus: Corpus, wanted: Validation) -> Verdict:
    """Train and judge each arm under each seed, all with the same budget, and compare.

    Passes where for every sensor the real arm's lead over both controls exceeds the margin, by the lower end of the
    95 % interval of the paired difference, and the controls lie at chance.

    Raises:
        InputError: too few seeds, or no such split.
        LandmarkError: the corpus cannot be learnt or judged.
    """
    if len(wanted.seeds) < _FEWEST_SEEDS and not wanted.smoke:
        raise InputError(f"--seeds {len(wanted.seeds)}: an interval needs {_FEWEST_SEEDS} seeds or more (or --smoke)")
    pick_device(wanted.device)
    texts, names = _texts(corpus, wanted), _names(read_queries(corpus))
    check_trainable(corpus, wanted.model, texts["train"])
    with folder_lock(wanted.out):
        if strange := sorted(path.name for path in wanted.out.iterdir() if not _OURS.fullmatch(path.name)):
            raise RunMismatch(f"{wanted.out} is no validation, but holds {strange[0]}; name a new folder with --out")
        remove_partials(wanted.out)
        scores = [
            score
            for seed in wanted.seeds
            for arm in ARMS
            for score in _judge(corpus, wanted, arm, seed=seed, texts=dealt(arm, texts, names, seed), names=names)
        ]
        feed.discard(wanted.out)
    sensors = list(texts[wanted.split])
    return Verdict(
        wanted.split,
        wanted.margin,
        list(wanted.seeds),
        [_outcome(sensor, scores) for sensor in sensors],
        _objections(scores, sensors, wanted.margin),
        scores,
    )


def _texts(corpus: Corpus, wanted: Validation) -> AllTexts:
    """What is said of every split; refuses before anything is trained."""
    if wanted.split not in SPLITS[1:]:
        raise InputError(f"--split {wanted.split}: give val or test; what was learnt by heart proves nothing")
    for sensor, of in corpus.manifest.samples.items():
        if 0 < len(select(corpus, wanted.split).select(sensor=sensor)) < _FEWEST_JUDGED:
            raise InsufficientData(
                f"{corpus.root}: {of[wanted.split]} {sensor} samples in the {wanted.split} split are too few to judge"
                f" by; {_FEWEST_JUDGED} are the least (--split takes another)"
            )
    kept = [split for split in SPLITS if len(corpus.select(split=split))]
    texts = {split: train_texts(corpus, wanted.model, split) for split in kept}
    if lacking := sorted(set(texts[wanted.split]) - set(texts.get("train", {}))):
        raise InsufficientData(f"{corpus.root}: no {lacking[0]} sample in the train split")
    return texts


def _names(queries: Sequence[Query]) -> dict[str, str]:
    """Class → its words, as the one-class queries say them."""
    return {query.labels[0]: query.text for query in queries if len(query.labels) == 1}


def _judge(
    corpus: Corpus, wanted: Validation, arm: str, *, seed: int, texts: AllTexts, names: Mapping[str, str]
) -> Iterator[Score]:
    """Train one arm, and ask it the queries its own words make, one sensor at a time."""
    mark = digest([corpus.manifest.content_digest, wanted.model.model_dump(mode="json")])[:8]
    folder = wanted.out / f"seed{seed}-{arm}-{mark}"
    train(
        corpus,
        Training(
            wanted.model,
            folder,
            seed=seed,
            device=wanted.device,
            arm=arm,
            texts=texts["train"],
            pixels=wanted.out,
            progress=lambda stage, *rest: wanted.progress(f"seed {seed}, {arm}: {stage}", *rest),
        ),
    )
    opened = open_run(folder, wanted.device)
    carried = (labels for sensors in texts.values() for said in sensors.values() for labels in said.labels)
    queries = make_queries(carried, names)
    asked = embed_texts(opened, [query.text for query in queries])
    for sensor, said in texts[wanted.split].items():
        images = _embedded(opened, corpus, wanted, sensor)
        judged = _judged(wanted.split, sensor, queries, said)
        told = report(judged, (order for order, _ in ranking(asked, images, said.ids)), k=10).overall
        if told.map is None:
            raise InsufficientData(f"{corpus.root}: no query is answered by a {sensor} image of the {wanted.split} split")
        yield Score(arm, seed, sensor, told, told.above_chance)


def _judged(split: str, sensor: str, queries: Sequence[Query], said: Texts) -> Judged:
    grades = np.array(
        [[grade(frozenset(query.labels), labels) for labels in said.labels] for query in queries], dtype=np.int8
    )
    return Judged(split, queries, said.ids, np.full(len(said.ids), sensor), grades)


def _embedded(opened: Opened, corpus: Corpus, wanted: Validation, sensor: str) -> NDArray[np.float32]:
    selection = corpus.select(split=wanted.split, sensor=sensor)
    pixels = feed.decoded(selection, wanted.model, sensor=sensor, folder=wanted.out)
    starts = range(0, len(pixels), feed.BLOCK)
    return np.concatenate([embed_block(opened, sensor, pixels[start : start + feed.BLOCK]) for start in starts])


def _outcome(sensor: str, scores: Sequence[Score]) -> Outcome:
    reached = _reached(sensor, scores)
    lead = {arm: interval(reached[REAL] - reached[arm]) for arm in CONTROLS}
    return Outcome(sensor, {arm: interval(values) for arm, values in reached.items()}, lead)


def _reached(sensor: str, scores: Sequence[Score]) -> dict[str, NDArray[np.float64]]:
    """What each arm reached above chance in mAP, a number a seed, seeds in the same order in all."""
    mine = [score for score in scores if score.sensor == sensor]
    return {arm: np.array([score.above_chance for score in mine if score.arm == arm]) for arm in ARMS}


def interval(values: NDArray[np.float64], level: float = _LEVEL) -> Interval:
    """Mean and Student-t interval of a few independent numbers."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def _objections(scores: Sequence[Score], sensors: Sequence[str], margin: float) -> list[str]:
    """Why the corpus does not pass.

    That the controls lie at chance is asked of several intervals at once: so that all of them hold it in 95 % of
    sound validations, each is wider (Bonferroni). The leads need no such care, as every one of them has to hold.
    """
    found, level = [], 1 - (1 - _LEVEL) / (len(sensors) * len(CONTROLS))
    for sensor in sensors:
        reached = _reached(sensor, scores)
        for control in CONTROLS:
            lead = interval(reached[REAL] - reached[control])
            if (lead.mean if lead.low is None else lead.low) <= margin:
                found.append(f"{sensor}: the lead over {control} words, {said(lead)}, is not above {margin:g}")
            at = interval(reached[control], level)
            if at.low is not None and at.high is not None and not at.low <= 0 <= at.high:
                found.append(f"{sensor}: {control} words reach {said(at)}, which is not chance")
    return found


def said(one: Interval) -> str:
    """An interval as people write it."""
    bounds = "" if one.low is None or one.high is None else f" [{one.low:+.3f}, {one.high:+.3f}]"
    return f"{one.mean:+.3f}{bounds}"
