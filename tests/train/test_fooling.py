"""No corpus whose words do not follow from its images passes, however well a model learns the words.

Quickly from scores of a model that has learned all there is to learn, and (`long`) with a trained one that memorises.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench.draft import Draft
from bench.fooling import KINDS, fool
from bench.reseal import open_draft
from numpy.typing import NDArray

import landmark
from landmark.corpus.metrics import average_precisions
from landmark.train.comparison import SensorResult, compare
from landmark.train.embed import embed_split, embed_texts, load_run
from landmark.train.evaluated import EvaluatedSet, load_evaluated
from landmark.train.profile import load_profile
from landmark.train.validate import DEFAULT_MARGIN, ValidationConfig, validate
from landmark.train.verdict import decide
from tests.train.regional import build_regional
from tests.train.toy import write_profile

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]

# -- scores of a model that has learned all ----------------------------------------------------------------------------

N_REGIONS, N_BLOCKS, N_IMAGES = 10, 3, 12
REGION = np.repeat(np.arange(N_REGIONS), N_BLOCKS * N_IMAGES)
BLOCK = np.repeat(np.arange(N_REGIONS * N_BLOCKS), N_IMAGES)
MONTH = np.random.default_rng(1).integers(12, size=len(BLOCK))
N_CLASSES = 6


def draw_truth(chance: np.random.Generator) -> Truth:
    """(class, image) classes that images show, each more frequent in some regions."""
    shares = chance.beta(2, 4, (N_CLASSES, N_REGIONS))
    return np.asarray(chance.random((N_CLASSES, len(BLOCK))) < shares[:, REGION])


def permute(labels: Truth, chance: np.random.Generator) -> Truth:
    """Exchange label sets between images."""
    return labels[:, chance.permutation(labels.shape[1])]


def decide_on(words: Truth, model: Scores, near_duplicates: int = 0) -> str:
    """Verdict where rivals know how frequent each word is in general, in each month, and in each region."""
    names = tuple(f"class{number}" for number in range(N_CLASSES))
    ids = tuple(f"s2_{number:03d}" for number in range(len(BLOCK)))
    evaluated = EvaluatedSet("s2", ids, names, names, words, BLOCK)
    general = words.mean(axis=1, keepdims=True).repeat(len(BLOCK), axis=1)
    rivals = {"prior": general, "sensor": general, "date": means_by(MONTH, words), "nearest": means_by(REGION, words)}
    result: SensorResult = compare(evaluated, model[None], rivals)
    return decide([result.evidence], {"s2": near_duplicates}, DEFAULT_MARGIN).state


def means_by(group: NDArray[np.int64], words: Truth) -> Scores:
    """(class, image) frequency of each word in the image's group."""
    return np.stack([words[:, group == number].mean(axis=1) for number in range(group.max() + 1)], axis=1)[:, group]


def region_words(truth: Truth, chance: np.random.Generator) -> tuple[Truth, Scores]:
    sets = draw_truth(chance)[:, :N_REGIONS][:, REGION]
    return sets, sets.astype(np.float64)


def month_words(truth: Truth, chance: np.random.Generator) -> tuple[Truth, Scores]:
    sets = draw_truth(chance)[:, :12][:, MONTH]
    return sets, sets.astype(np.float64)


def right_for_30_percent(truth: Truth, chance: np.random.Generator) -> tuple[Truth, Scores]:
    return np.where(chance.random(len(BLOCK)) < 0.3, truth, permute(truth, chance)), truth.astype(np.float64)


def one_class_right(truth: Truth, chance: np.random.Generator) -> tuple[Truth, Scores]:
    return np.concatenate([truth[:1], permute(truth, chance)[1:]]), truth.astype(np.float64)


def words_of_the_sensor(truth: Truth, chance: np.random.Generator) -> tuple[Truth, Scores]:
    return permute(truth, chance), truth.astype(np.float64)


FOOLING: dict[str, Callable[[Truth, np.random.Generator], tuple[Truth, Scores]]] = {
    "region": region_words,
    "month": month_words,
    "30-percent": right_for_30_percent,
    "one-class": one_class_right,
    "sensor": words_of_the_sensor,
}


@pytest.mark.parametrize("kind", FOOLING)
def test_a_perfect_model_of_fooling_words_does_not_pass(kind: str) -> None:
    chance = np.random.default_rng(0)
    words, model = FOOLING[kind](draw_truth(chance), chance)
    assert decide_on(words, model + 1e-3 * chance.random(model.shape)) != "passed"


def test_sound_words_pass_unless_test_is_copied_from_train() -> None:
    chance = np.random.default_rng(0)
    truth = draw_truth(chance)
    model = truth + chance.normal(0, 0.5, truth.shape)
    assert decide_on(truth, model) == "passed"
    assert decide_on(truth, model, near_duplicates=1) == "refused"


# -- a trained model that memorises ------------------------------------------------------------------------------------

STRONG = {
    "image": {"stem_width": 8, "widths": [16, 32]},
    "text": {"width": 32},
    "dimensions": 64,
    "budget": {"epochs": 30, "batch": 32, "learning_rate": 0.008, "augment": False},
}


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """The sound corpus that the fooling ones are made of."""
    folder = tmp_path_factory.mktemp("fooling")
    return open_draft(build_regional(folder / "sound"), folder / "clean")


def run_validation(corpus: Path, folder: Path) -> tuple[str, float]:
    """Verdict with a strong model, and the least of its mAP on the train split of each sensor."""
    opened = landmark.open(corpus)
    profile = load_profile(str(write_profile(folder, **STRONG)))
    report = validate(opened, ValidationConfig(profile, folder / "runs", [0], smoke=True, device="cpu"))
    (run,) = (folder / "runs").glob("seed0-*")
    loaded, maps = load_run(run, "cpu"), []
    for sensor, own in load_evaluated(opened, "train").items():
        scores = embed_texts(loaded, own.names) @ embed_split(loaded, opened.select(sensor=sensor), "train").T
        maps.append(float(average_precisions(scores, own.relevant).mean()))
    return report.verdict.state, min(maps)


@pytest.mark.long
def test_the_sound_corpus_passes(draft: Draft, tmp_path: Path) -> None:
    state, train_map = run_validation(draft.corpus, tmp_path)
    assert state == "passed" and train_map > 0.95


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_no_fooling_corpus_passes(draft: Draft, tmp_path: Path, kind: str) -> None:
    fool(draft, tmp_path / "corpus", kind)
    state, train_map = run_validation(tmp_path / "corpus", tmp_path)
    assert state != "passed"
    # The model is strong enough to learn such words by heart.
    assert train_map > 0.95
