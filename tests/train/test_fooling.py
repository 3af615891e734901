"""No corpus whose words do not follow from its images passes, however well a model learns the words.

Quickly from scores of a model that has learned all there is to learn, and (`long`) with a trained one that memorises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.draft import Draft
from bench.fooling import KINDS, fool
from bench.reseal import open_draft
from numpy.typing import NDArray

import landmark
from landmark.corpus.metrics import average_precisions
from landmark.train.profile import load_profile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.validation.comparison import compare
from landmark.train.validation.evaluated import EvaluatedSet, load_evaluated
from landmark.train.validation.validate import DEFAULT_MARGIN, ValidationConfig, validate
from landmark.train.validation.verdict import decide
from tests.train.regional import build_regional
from tests.train.toy import write_profile

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

# -- scores of a model that has learned all ----------------------------------------------------------------------------

N_REGIONS, N_BLOCKS, N_IMAGES, N_CLASSES = 10, 3, 12, 6
REGION = np.repeat(np.arange(N_REGIONS), N_BLOCKS * N_IMAGES)
BLOCK = np.repeat(np.arange(N_REGIONS * N_BLOCKS), N_IMAGES)
MONTH = np.random.default_rng(1).integers(12, size=len(BLOCK))


@dataclass(frozen=True, slots=True)
class Case:
    """What the images show, their words, and those of as many train images of the same regions and months."""

    shown: Mask
    words: Mask
    train_words: Mask

    def decide(self, model: Scores, near_duplicates: int = 0) -> str:
        """Verdict where rivals know how frequent each word of train is in general, in a month, and in a region."""
        names = tuple(f"class{number}" for number in range(N_CLASSES))
        ids = tuple(f"s2_{number:03d}" for number in range(len(BLOCK)))
        evaluated = EvaluatedSet("s2", ids, names, names, self.words, BLOCK)
        groups = {"prior": 0 * BLOCK, "sensor": 0 * BLOCK, "date": MONTH, "nearest": REGION}
        rivals = {name: _means(self.train_words, group) for name, group in groups.items()}
        result = compare(evaluated, model[None], rivals)
        return decide([result.evidence], {"s2": near_duplicates}, DEFAULT_MARGIN).state


def _means(words: Mask, group: NDArray[np.int64]) -> Scores:
    """(class, image) frequency of each word in the image's group."""
    return np.stack([words[:, group == number].mean(axis=1) for number in range(group.max() + 1)], axis=1)[:, group]


def draw_shown(chance: np.random.Generator) -> Mask:
    """(class, image); each class is in a third of the images, in some regions more often."""
    shares = np.random.default_rng(2).beta(4, 8, (N_CLASSES, N_REGIONS))
    return np.asarray(chance.random((N_CLASSES, len(BLOCK))) < shares[:, REGION])


def permute(words: Mask, chance: np.random.Generator) -> Mask:
    """Exchange label sets between images."""
    return words[:, chance.permutation(words.shape[1])]


# Words of images, from the classes they show.
FOOLING: dict[str, Callable[[Mask, np.random.Generator], Mask]] = {
    "region": lambda shown, chance: draw_shown(np.random.default_rng(3))[:, 5 * REGION],
    "month": lambda shown, chance: draw_shown(np.random.default_rng(3))[:, 5 * MONTH],
    "30-percent": lambda shown, chance: np.where(chance.random(len(BLOCK)) < 0.3, shown, permute(shown, chance)),
    "one-class": lambda shown, chance: np.concatenate([shown[:1], permute(shown, chance)[1:]]),
    "sensor": permute,
}


def make_case(words: Callable[[Mask, np.random.Generator], Mask]) -> Case:
    chance = np.random.default_rng(0)
    shown, train = draw_shown(chance), draw_shown(chance)
    return Case(shown, words(shown, chance), words(train, chance))


@pytest.mark.parametrize(
    ("kind", "knows"), [*((kind, "shown") for kind in FOOLING), ("region", "words"), ("month", "words")]
)
def test_no_model_passes_fooling_words(kind: str, knows: str) -> None:
    """Neither one that ranks by what images show, nor, where words follow region or month, by the words themselves."""
    case = make_case(FOOLING[kind])
    model = getattr(case, knows) + 1e-3 * np.random.default_rng(4).random(case.shown.shape)
    assert case.decide(model) != "passed"


def test_sound_words_pass_unless_test_is_copied_from_train() -> None:
    case = make_case(lambda shown, chance: shown)
    model = case.shown + np.random.default_rng(4).normal(0, 0.5, case.shown.shape)
    assert case.decide(model) == "passed"
    assert case.decide(model, near_duplicates=1) == "refused"


# -- a trained model that memorises ------------------------------------------------------------------------------------

STRONG: dict[str, Any] = {
    "text": {"width": 32},
    "dimensions": 64,
    "budget": {"epochs": 36, "batch": 32, "learning_rate": 0.008, "augment": "none"},
}
# It memorises as well, and its decay lets it learn what images show.
SOUND: dict[str, Any] = {**STRONG, "budget": {**STRONG["budget"], "epochs": 30, "weight_decay": 1.0}}


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """The sound corpus that the fooling ones are made of."""
    folder = tmp_path_factory.mktemp("fooling")
    return open_draft(build_regional(folder / "sound"), folder / "clean")


def run_validation(corpus: Path, folder: Path, model: dict[str, Any]) -> tuple[str, float]:
    """Verdict with a model, and the least of its mAP on the train split of each sensor."""
    opened = landmark.open(corpus)
    profile = load_profile(str(write_profile(folder, **model)))
    report = validate(opened, ValidationConfig(profile, folder / "runs", [0], smoke=True, device="cpu"))
    (run,) = (folder / "runs").glob("seed0-*")
    loaded, maps = load_run(run, "cpu"), []
    for sensor, own in load_evaluated(opened, "train").items():
        scores = loaded.encoder.encode_texts(own.names) @ embed_split(loaded, opened.select(sensor=sensor), "train").T
        maps.append(float(average_precisions(scores, own.relevant).mean()))
    return report.verdict.state, min(maps)


@pytest.mark.long
def test_the_sound_corpus_passes(draft: Draft, tmp_path: Path) -> None:
    state, train_map = run_validation(draft.corpus, tmp_path, SOUND)
    assert state == "passed" and train_map > 0.95


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_no_fooling_corpus_passes(draft: Draft, tmp_path: Path, kind: str) -> None:
    fool(draft, tmp_path / "corpus", kind)
    state, train_map = run_validation(tmp_path / "corpus", tmp_path, STRONG)
    assert state != "passed"
    # The model is strong enough to learn such words by heart.
    assert train_map > 0.95
