"""The proof: colours are learnt, dealt words are not, and chance is where theory puts it."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import landmark
from landmark.core.errors import InputError, RunMismatch, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import grade, make_queries
from landmark.train.controls import dealt, random, shuffled
from landmark.train.dataset import Texts
from landmark.train.evaluate import evaluate_run
from landmark.train.loop import train_texts
from landmark.train.metrics import judge, mean_figures
from landmark.train.profile import load_model
from landmark.train.validate import ARMS, Validation, _objections, interval, validate
from tests.train.toy import model_file, opened

NAMES = {"trees": "trees", "water": "water", "bare": "bare ground"}


def texts_of(count: int, seed: int = 0) -> Texts:
    chance = np.random.default_rng(seed)
    labels = []
    for _ in range(count):
        taken = [key for key, share in zip(NAMES, (0.7, 0.4, 0.1), strict=True) if chance.random() < share]
        labels.append(frozenset(taken or ["trees"]))
    captions = tuple(". ".join(NAMES[key] for key in sorted(one)) for one in labels)
    return Texts(tuple(f"s2_{n}" for n in range(count)), tuple(labels), captions)


# -- controls ----------------------------------------------------------------------------------------------------------


def test_shuffling_deals_the_same_words_to_other_samples() -> None:
    texts = texts_of(60)
    other = shuffled(texts, NAMES, 1)
    assert other.ids == texts.ids and other.labels != texts.labels
    pairs = [Counter(zip(one.labels, one.captions, strict=True)) for one in (texts, other)]
    assert pairs[0] == pairs[1]
    assert shuffled(texts, NAMES, 1) == other != shuffled(texts, NAMES, 2)


def test_random_labels_keep_the_frequency_of_each_class_and_nothing_else() -> None:
    texts = texts_of(4000)
    other = random(texts, NAMES, 1)
    assert all(other.labels)
    assert all(
        set(text.split(". ")) == {NAMES[key] for key in one}
        for text, one in zip(other.captions, other.labels, strict=True)
    )
    shares = {key: np.mean([key in one for one in texts.labels]) for key in NAMES}
    # Whoever draws none draws again, which lifts each share by what draws none.
    none = np.prod([1 - share for share in shares.values()])
    for key, share in shares.items():
        found = np.mean([key in one for one in other.labels])
        assert found == pytest.approx(share / (1 - none), abs=4 * np.sqrt(0.25 / 4000))
    agree = np.mean([one == two for one, two in zip(texts.labels, other.labels, strict=True)])
    sizes = [Counter(one.labels) for one in (texts, other)]
    by_luck = sum(sizes[0][key] / 4000 * sizes[1][key] / 4000 for key in sizes[0])
    assert agree == pytest.approx(by_luck, abs=0.04)


def test_each_split_sensor_and_seed_is_dealt_by_itself(toy_corpus: Corpus, model_path: Path) -> None:
    model = load_model(str(model_path))
    texts = {split: train_texts(toy_corpus, model, split) for split in ("train", "test")}
    names = {key: key for key in ("trees", "water", "built", "crops")}
    assert dealt("real", texts, names, 0) == texts
    for arm in ARMS[1:]:
        assert dealt(arm, texts, names, 0) == dealt(arm, texts, names, 0) != dealt(arm, texts, names, 1)


def above_chance(order: np.ndarray, labels: tuple[frozenset[str], ...]) -> float:
    queries = make_queries(labels, NAMES)
    grades = np.array([[grade(frozenset(query.labels), one) for one in labels] for query in queries], dtype=np.int8)
    return mean_figures([judge(order, row, k=5) for row in grades], len(labels)).above_chance


@pytest.mark.parametrize("control", [shuffled, random])
def test_a_control_judged_on_its_own_words_is_at_chance_and_on_the_true_ones_is_not(control) -> None:  # type: ignore[no-untyped-def]
    """The order of a net that groups what looks alike, here: all water first, as the true labels have it."""
    texts = texts_of(40)
    order = np.argsort([("water" not in labels) for labels in texts.labels], kind="stable")
    assert above_chance(order, texts.labels) > 0.1
    found = [above_chance(order, control(texts, NAMES, seed).labels) for seed in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


# -- intervals and verdict ---------------------------------------------------------------------------------------------


def test_the_interval_is_student_ts() -> None:
    values = np.array([0.31, 0.36, 0.28, 0.40])
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    ours = interval(values)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((values.mean(), theirs.low, theirs.high))
    assert interval(values[:1]).low is None


def verdict_of(real: list[float], control: list[float], margin: float = 0.05) -> list[str]:
    from landmark.train.metrics import Figures
    from landmark.train.validate import Score

    nothing = Figures(1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    arms = {"real": real, "shuffled": control, "random": [0.001 * (-1) ** n for n in range(len(real))]}
    scores = [Score(arm, n, "s1", nothing, value) for arm, of in arms.items() for n, value in enumerate(of)]
    return _objections(scores, ["s1"], margin)


def test_what_passes_and_what_does_not() -> None:
    flat = [0.01, -0.01, 0.0]
    assert verdict_of([0.3, 0.32, 0.31], flat) == []
    assert "s1: the lead over shuffled words" in verdict_of([0.06, 0.05, 0.04], flat)[0]
    # A great mean whose interval reaches down to the margin is no proof.
    assert len(verdict_of([0.9, 0.0, 0.4], flat)) == 2
    (biased,) = verdict_of([0.9, 0.91, 0.92], [0.2, 0.201, 0.199])
    assert "which is not chance" in biased
    assert verdict_of([0.3], [0.0]) == [] and len(verdict_of([0.04], [0.0])) == 2


# -- the whole ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy with enough to judge by."""
    return opened(tmp_path_factory.mktemp("large") / "corpus", counts={"train": 96, "test": 40})


def test_colours_are_proven_learnable(large: Corpus, tmp_path: Path) -> None:
    model = load_model(str(model_file(tmp_path, budget={"epochs": 4})))
    wanted = Validation(model, tmp_path / "runs", [0, 1, 2], device="cpu")
    verdict = validate(large, wanted)
    assert verdict.passed, verdict.objections
    for outcome in verdict.outcomes:
        assert outcome.arms["real"].mean > 0.25
        for control in ARMS[1:]:
            low = outcome.lead[control].low
            assert abs(outcome.arms[control].mean) < 0.1 and low is not None and low > 0.1
    (first,) = (tmp_path / "runs").glob("seed0-real-*")
    own = evaluate_run(large, first, split="test", k=10, device="cpu").sensors
    for score in verdict.scores:
        if (score.arm, score.seed) == ("real", 0):
            assert score.figures.map == pytest.approx(own[score.sensor].map, abs=1e-6)
    assert len(verdict.scores) == 3 * 3 * 2 and not list((tmp_path / "runs").glob("*.npy"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert validate(large, wanted) == verdict
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")} == before


def test_a_corpus_whose_captions_lie_does_not_pass(tmp_path: Path) -> None:
    """Every sample carries words that another sample's pixels would deserve."""
    corpus = opened(tmp_path / "lies", counts={"train": 24, "test": 24}, sensors=("s2",), lie=True)
    model = load_model(str(model_file(tmp_path, budget={"epochs": 8})))
    verdict = validate(corpus, Validation(model, tmp_path / "runs", [0], smoke=True, device="cpu", margin=0.2))
    assert not verdict.passed and all("s2: the lead over" in line for line in verdict.objections)


def test_what_cannot_be_validated_is_refused(toy_corpus: Corpus, tmp_path: Path, model_path: Path) -> None:
    model, out = load_model(str(model_path)), tmp_path / "runs"
    with pytest.raises(InputError, match="--seeds 2: an interval needs 3"):
        validate(toy_corpus, Validation(model, out, [0, 1]))
    with pytest.raises(InputError, match="--split train: give val or test"):
        validate(toy_corpus, Validation(model, out, [0], smoke=True, split="train"))
    with pytest.raises(InsufficientData, match="no sample in its test split"):
        validate(opened(tmp_path / "c", counts={"train": 8}), Validation(model, out, [0], smoke=True))
    with pytest.raises(InsufficientData, match="8 s1 samples in the val split are too few"):
        validate(toy_corpus, Validation(model, out, [0], smoke=True, split="val"))
    with pytest.raises(InputError, match="--device tpu"):
        validate(toy_corpus, Validation(model, out, [0], smoke=True, device="tpu"))
    assert not out.exists()
    corpus = landmark.open(shutil.copytree(toy_corpus.root, tmp_path / "copy"))
    before = sorted(path.name for path in corpus.root.iterdir())
    with pytest.raises(RunMismatch, match="is no validation, but holds"):
        validate(corpus, Validation(model, corpus.root, [0], smoke=True))
    assert sorted(path.name for path in corpus.root.iterdir()) == before
