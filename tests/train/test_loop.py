"""Validation, early stop, and the records of a training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from landmark.core.errors import InputError, InsufficientData
from landmark.corpus.reader import Corpus
from landmark.train.batches import multi_hot
from landmark.train.checkpoint import EpochRecord, out_of_patience
from landmark.train.closp import Embeddings
from landmark.train.dataset import read_split_annotations
from landmark.train.loop import TrainingConfig, train
from landmark.train.loss import SensorTargets, closp_loss
from landmark.train.metrics import read_steps
from landmark.train.optimizer import learning_rate
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.retrieval.embed import embed_split, load_run
from tests.parts import raises
from tests.train.toy import PROFILE, open_toy, write_profile


@pytest.fixture
def config(tmp_path: Path, profile: ModelProfile) -> TrainingConfig:
    return TrainingConfig(profile, tmp_path / "run", device="cpu")


def with_budget(**changes: object) -> ModelProfile:
    return ModelProfile.model_validate({**PROFILE, "budget": {**PROFILE["budget"], **changes}})


def test_metrics_have_a_line_for_each_step_and_epoch(toy_corpus: Corpus, config: TrainingConfig) -> None:
    run = train(toy_corpus, config)
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "validation_loss" in line]
    steps = [line for line in lines if line not in epochs]
    assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]
    assert [EpochRecord(**line) for line in epochs] == run.history
    for epoch, own in enumerate((steps[:3], steps[3:6], steps[6:]), 1):
        assert [line["epoch"] for line in own] == [epoch] * 3
        assert sum(line["loss"] for line in own) / 3 == pytest.approx(run.history[epoch - 1].loss)
        assert own[-1]["learning_rate"] == run.history[epoch - 1].learning_rate
    assert all(line["gradient_norm"] > 0 for line in steps)
    assert (config.out / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("threads", "expected"), [(1, {1}), (None, {2}), (8, {2})])
def test_a_budget_limits_the_threads_of_steps(
    toy_corpus: Corpus, config: TrainingConfig, threads: int | None, expected: set[int]
) -> None:
    counts, before = [], torch.get_num_threads()
    profile = with_budget(threads=threads, steps=2)
    torch.set_num_threads(2)
    try:
        train(toy_corpus, replace(config, profile=profile, progress=lambda *_: counts.append(torch.get_num_threads())))
        assert set(counts[-2:]) == expected and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_budget_of_steps_replaces_epochs(toy_corpus: Corpus, config: TrainingConfig) -> None:
    """Of three steps an epoch; the last epoch is of one step, and counts as any other."""
    run = train(toy_corpus, replace(config, profile=with_budget(steps=7, epochs=1)))
    steps = read_steps(config.out, run.step)
    assert [(record.epoch, record.step) for record in run.history] == [(1, 3), (2, 6), (3, 7)]
    assert run.history[-1].loss == steps[-1].loss and run.history[-1].validation_loss is not None
    assert [step.learning_rate for step in steps] == [
        learning_rate(config.profile.budget, step, 7) for step in range(7)
    ]


def test_epochs_of_the_command_line_replace_steps(tmp_path: Path) -> None:
    path = str(write_profile(tmp_path, budget={"steps": 7}))
    assert load_profile(path).budget.count_steps(3) == 7
    assert load_profile(path, epochs=2).budget.count_steps(3) == 6


@pytest.mark.parametrize("location", [None, {"degrees": 3, "width": 8, "features": 8}])
def test_validation_loss_is_that_of_the_val_split(
    toy_corpus: Corpus, config: TrainingConfig, location: dict[str, int] | None
) -> None:
    """Its 8 images of each sensor are one batch, whose order does not matter. Places play no part."""
    profile = ModelProfile.model_validate({**PROFILE, "location": location})
    run = train(toy_corpus, replace(config, profile=profile))
    loaded, sensors = load_run(config.out, "cpu"), ("s1", "s2")
    annotations = read_split_annotations(toy_corpus, config.profile, "val")
    embeddings = {
        sensor: Embeddings(
            torch.from_numpy(embed_split(loaded, toy_corpus.select(sensor=sensor), "val")),
            torch.from_numpy(loaded.encoder.encode_texts(annotations[sensor].captions)),
        )
        for sensor in sensors
    }
    targets = {sensor: SensorTargets(torch.from_numpy(multi_hot(annotations[sensor].labels))) for sensor in sensors}
    loss = closp_loss(embeddings, targets, torch.tensor(run.history[-1].scale), config.profile.objective)
    assert run.history[-1].validation_loss == pytest.approx(float(loss), rel=1e-5)


def test_a_training_stops_early_and_keeps_the_best_epoch(toy_corpus: Corpus, config: TrainingConfig) -> None:
    def copy_weights(stage: str, done: int, total: int, detail: str = "", /) -> None:
        for path in config.out.glob("model-*.safetensors"):
            shutil.copy(path, config.out.parent)

    profile = with_budget(select="best", patience=1, epochs=9, learning_rate=0.3)
    run = train(toy_corpus, replace(config, profile=profile, progress=copy_weights))
    losses = [record.validation_loss for record in run.history]
    best = run.history[-2]
    assert 1 < len(losses) < 9 and min(losses) == best.validation_loss and run.finished
    expected = load_file(config.out.parent / f"model-{best.step:08d}.safetensors")
    weights = load_file(config.out / "model.safetensors")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([], 1, False),
        ([None, None, None], 1, False),
        ([3, 2, 2], 1, True),
        ([3, 2, 2.5], 2, False),
        ([3, 2, 2.5, 2], 2, True),
        ([1, 2, 3, 4], None, False),
    ],
)
def test_patience_counts_epochs_since_the_first_minimum(
    losses: list[float | None], patience: int | None, expected: bool
) -> None:
    records = [
        EpochRecord(epoch=n, step=n, loss=1, validation_loss=loss, learning_rate=1, scale=1)
        for n, loss in enumerate(losses, 1)
    ]
    assert out_of_patience(records, patience) is expected


@pytest.mark.parametrize("needed", [{"patience": 2}, {"select": "best"}, {}])
def test_budgets_that_need_a_val_split_are_refused_without(
    config: TrainingConfig, tmp_path: Path, needed: dict[str, object]
) -> None:
    corpus = open_toy(tmp_path / "corpus", counts={"train": 8, "test": 2}, sensors=("s2",))
    config = replace(config, profile=with_budget(epochs=1, **needed))
    if needed:
        with raises(InsufficientData, key="split", value="val"):
            train(corpus, config)
        assert not config.out.exists()
    else:
        assert [record.validation_loss for record in train(corpus, config).history] == [None]


def test_a_val_split_of_a_single_image_is_not_used(config: TrainingConfig, tmp_path: Path) -> None:
    """Its loss is 0 in every epoch."""
    corpus = open_toy(tmp_path / "corpus", counts={"train": 8, "val": 1}, sensors=("s2",))
    with raises(InsufficientData, key="split", value="val"):
        train(corpus, replace(config, profile=with_budget(epochs=1, select="best")))
    run = train(corpus, replace(config, profile=with_budget(epochs=1)))
    assert [record.validation_loss for record in run.history] == [None]


def test_batchnorm_of_a_single_feature_is_refused(toy_corpus: Corpus, config: TrainingConfig) -> None:
    """Images of 12 px have one feature at the end; of several images at a time, it can be normalised."""
    with raises(InputError, key="budget.chunk"):
        train(toy_corpus, replace(config, profile=with_budget(epochs=1, chunk=1)))
    pairs = replace(config, profile=with_budget(epochs=1, chunk=2), out=config.out.with_name("pairs"))
    assert train(toy_corpus, pairs).finished


def test_training_of_a_single_sensor(toy_corpus: Corpus, config: TrainingConfig) -> None:
    config = replace(config, sensors=["s2"], profile=with_budget(epochs=1))
    run = train(toy_corpus, config)
    loaded = load_run(config.out, "cpu")
    assert run.sensors == ["s2"] == list(loaded.encoder.sensors) and list(run.statistics) == ["s2"]
    with raises(InputError, file="--sensors", value="s3"):
        train(toy_corpus, replace(config, sensors=["s2", "s3"]))
