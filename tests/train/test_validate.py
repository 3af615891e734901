"""Validation: colours are learned, controls are at chance, and intervals are Student's t."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from landmark.train.controls import Control, apply_control, randomize_annotations, shuffle_annotations
from scipy import stats

from landmark.core.errors import InputError, InsufficientData, RunMismatch
from landmark.corpus.metrics import MeanMetrics, mean_metrics, query_metrics
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import grade, make_queries
from landmark.train.dataset import Annotations, read_split_annotations
from landmark.train.embed import load_run
from landmark.train.evaluate import evaluate_run
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.validate import CONDITIONS, Score, ValidationConfig, find_failures, interval, validate
from tests.train.toy import open_toy, write_profile

NAMES = {"trees": "trees", "water": "water", "bare": "bare ground"}


def draw_annotations(count: int, seed: int = 0) -> Annotations:
    """Samples with independent classes of 70, 40 and 10 %; `trees` where none is drawn."""
    chance = np.random.default_rng(seed)
    labels = []
    for _ in range(count):
        drawn = [name for name, share in zip(NAMES, (0.7, 0.4, 0.1), strict=True) if chance.random() < share]
        labels.append(frozenset(drawn or ["trees"]))
    captions = tuple(". ".join(NAMES[name] for name in sorted(own)) for own in labels)
    return Annotations(tuple(f"s2_{n}" for n in range(count)), tuple(labels), captions)


# -- controls ----------------------------------------------------------------------------------------------------------


def test_shuffling_permutes_labels_with_their_captions() -> None:
    annotations = draw_annotations(60)
    permuted = shuffle_annotations(annotations, NAMES, 1)
    assert permuted.ids == annotations.ids and permuted.labels != annotations.labels
    pairs = [Counter(zip(each.labels, each.captions, strict=True)) for each in (annotations, permuted)]
    assert pairs[0] == pairs[1]
    assert shuffle_annotations(annotations, NAMES, 1) == permuted != shuffle_annotations(annotations, NAMES, 2)


def test_random_labels_keep_the_frequency_of_each_class_only() -> None:
    annotations = draw_annotations(4000)
    drawn = randomize_annotations(annotations, NAMES, 1)
    assert all(drawn.labels)
    for caption, labels in zip(drawn.captions, drawn.labels, strict=True):
        assert set(caption.split(". ")) == {NAMES[name] for name in labels}
    shares = {name: np.mean([name in labels for labels in annotations.labels]) for name in NAMES}
    # Samples without a class are drawn again, which raises each frequency by the probability of no class.
    empty = np.prod([1 - share for share in shares.values()])
    for name, share in shares.items():
        frequency = np.mean([name in labels for labels in drawn.labels])
        assert frequency == pytest.approx(share / (1 - empty), abs=4 * np.sqrt(0.25 / 4000))
    equal = np.mean([before == after for before, after in zip(annotations.labels, drawn.labels, strict=True)])
    counts = [Counter(each.labels) for each in (annotations, drawn)]
    expected = sum(counts[0][labels] / 4000 * counts[1][labels] / 4000 for labels in counts[0])
    assert equal == pytest.approx(expected, abs=0.04)


def test_controls_depend_on_the_seed_and_none_changes_nothing(toy_corpus: Corpus, profile: ModelProfile) -> None:
    annotations = {split: read_split_annotations(toy_corpus, profile, split) for split in ("train", "test")}
    names = {name: name for name in ("trees", "water", "built", "crops")}
    assert apply_control("none", annotations, names, 0) == annotations
    for condition in CONDITIONS[1:]:
        first, second, changed = (apply_control(condition, annotations, names, seed) for seed in (0, 0, 1))
        assert first == second != changed


def above_chance(order: np.ndarray, labels: tuple[frozenset[str], ...]) -> float:
    queries = make_queries(labels, NAMES)
    grades = np.array([[grade(frozenset(query.labels), own) for own in labels] for query in queries], dtype=np.int8)
    return mean_metrics([query_metrics(order, row, k=5) for row in grades], len(labels)).above_chance


@pytest.mark.parametrize("control", [shuffle_annotations, randomize_annotations])
def test_controls_evaluated_on_their_own_labels_are_at_chance(control: Control) -> None:
    """For a net that groups similar images: all water first, as in the true labels."""
    annotations = draw_annotations(40)
    order = np.argsort([("water" not in labels) for labels in annotations.labels], kind="stable")
    assert above_chance(order, annotations.labels) > 0.1
    values = [above_chance(order, control(annotations, NAMES, seed).labels) for seed in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


# -- intervals and result ----------------------------------------------------------------------------------------------


def test_interval_is_student_t() -> None:
    values = np.array([0.31, 0.36, 0.28, 0.40])
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    result = interval(values)
    assert (result.mean, result.low, result.high) == pytest.approx((values.mean(), expected.low, expected.high))
    assert interval(values[:1]).low is None


AT_CHANCE = (0.01, -0.01, 0.0)


@pytest.mark.parametrize(
    ("none", "shuffled", "n_failures"),
    [
        ((0.3, 0.32, 0.31), AT_CHANCE, 0),
        ((0.04, 0.03, 0.02), AT_CHANCE, 2),
        # A high mean whose interval reaches below the margin.
        ((0.9, 0.0, 0.4), AT_CHANCE, 2),
        # A control that is not at chance.
        ((0.9, 0.91, 0.92), (0.2, 0.201, 0.199), 1),
        ((0.3,), (0.0,), 0),
        ((0.04,), (0.0,), 2),
    ],
)
def test_failures(none: tuple[float, ...], shuffled: tuple[float, ...], n_failures: int) -> None:
    metrics = MeanMetrics(1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    values = {"none": none, "shuffled": shuffled, "random": [0.001 * (-1) ** n for n in range(len(none))]}
    scores = [
        Score(condition, seed, "s1", metrics, value)
        for condition, by_seed in values.items()
        for seed, value in enumerate(by_seed)
    ]
    assert len(find_failures(scores, ["s1"], margin=0.05)) == n_failures


# -- validation --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy with enough samples to evaluate."""
    return open_toy(tmp_path_factory.mktemp("large") / "corpus", counts={"train": 96, "test": 40})


def test_colours_are_learned_and_controls_are_at_chance(large: Corpus, tmp_path: Path) -> None:
    budget = {"epochs": 4, "batch": 16, "learning_rate": 0.02, "augment": False}
    profile = load_profile(str(write_profile(tmp_path, budget=budget)))
    config = ValidationConfig(profile, tmp_path / "runs", [1, 2, 3], device="cpu")
    report = validate(large, config)
    assert report.passed, report.failures
    for result in report.results:
        assert result.above_chance["none"].mean > 0.25
        for control in CONDITIONS[1:]:
            low = result.leads[control].low
            assert abs(result.above_chance[control].mean) < 0.1 and low is not None and low > 0.1
    assert len(report.scores) == 3 * 3 * 2
    (folder,) = config.out.glob("seed1-none-*")
    expected = evaluate_run(large, load_run(folder, "cpu"), split="test", k=10).sensors
    for score in report.scores:
        if (score.condition, score.seed) == ("none", 0):
            assert score.metrics.map == pytest.approx(expected[score.sensor].map, abs=1e-6)
    times = {path: path.stat().st_mtime_ns for path in config.out.rglob("*.safetensors")}
    assert validate(large, config) == report
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*.safetensors")} == times


def test_a_corpus_with_wrong_captions_does_not_pass(tmp_path: Path) -> None:
    corpus = open_toy(tmp_path / "c", counts={"train": 24, "test": 24}, sensors=("s2",), mislabel=True)
    profile = load_profile(str(write_profile(tmp_path, budget={"epochs": 8})))
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True, device="cpu", margin=0.2)
    assert len(validate(corpus, config).failures) == 2


@pytest.mark.parametrize(
    ("changes", "file", "value"),
    [
        ({"seeds": [0, 1], "smoke": False}, "--seeds", 2),
        ({"split": "train"}, "--split", "train"),
        ({"device": "tpu"}, "--device", "tpu"),
    ],
)
def test_invalid_parameters_are_refused(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile, changes: dict[str, Any], file: str, value: object
) -> None:
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True)
    with pytest.raises(InputError) as caught:
        validate(toy_corpus, replace(config, **changes))
    assert (caught.value.file, caught.value.value) == (file, value) and not config.out.exists()


def test_too_few_samples_are_refused(toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile) -> None:
    config = ValidationConfig(profile, tmp_path / "runs", [0], smoke=True, split="val")
    with pytest.raises(InsufficientData) as caught:
        validate(toy_corpus, config)
    assert (caught.value.key, caught.value.value) == ("s1", 8)
    with pytest.raises(InsufficientData) as caught:
        validate(open_toy(tmp_path / "c", counts={"train": 8}), replace(config, split="test"))
    assert (caught.value.key, caught.value.value) == ("split", "test") and not config.out.exists()


def test_a_folder_with_foreign_files_is_refused_and_unchanged(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile
) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RunMismatch) as caught:
        validate(toy_corpus, ValidationConfig(profile, tmp_path, [0], smoke=True))
    assert (caught.value.file, caught.value.value) == (str(tmp_path), "thesis.tex")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
