"""An interrupted and resumed training gives the same bytes as an uninterrupted one."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landmark.core.errors import Diverged, InvalidRun, RunMismatch, StateMismatch
from landmark.core.progress import Progress
from landmark.corpus.reader import Corpus
from landmark.train.checkpoint import read_run
from landmark.train.dataset import model_input
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ModelProfile, load_profile
from tests.parts import raises
from tests.train.toy import PROFILE, write_profile

STEPS = 9


class Stop(Exception):
    pass


def stop_at(step: int) -> Progress:
    def progress(stage: str, done: int, total: int, detail: str = "", /) -> None:
        if (stage, done) == ("train", step):
            raise Stop

    return progress


def file_names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


@pytest.fixture
def config(tmp_path: Path, profile: ModelProfile) -> TrainingConfig:
    return TrainingConfig(profile, tmp_path / "run", device="cpu")


@pytest.fixture(scope="module")
def uninterrupted(toy_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an uninterrupted training; read only."""
    out = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(toy_corpus, TrainingConfig(ModelProfile.model_validate(PROFILE), out, device="cpu"))
    return out


VARIANTS: dict[str, dict[str, Any]] = {
    "stopped": {"budget": {"select": "best", "patience": 1, "epochs": 9, "learning_rate": 0.3}},
    "steps": {"budget": {"steps": 8, "freeze": "first-epoch", "select": "best"}},
    "texture": {
        "image": {"architecture": "texture", "scaling": "logarithmic"},
        "objective": {"targets": "subset"},
        "budget": {"chunk": 5},
    },
    "chunks": {"budget": {"accumulate": 2, "chunk": 3}},
    "published": {
        "budget": {
            "batch": 16,
            "alternate_sensors": True,
            "last_batch": "keep",
            "freeze": "first-epoch",
            "cycle_beta1": True,
            "select": "best",
        }
    },
    "geoclosp": {"location": {"width": 8, "features": 8, "dropout": 0.5}},
}


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("name", VARIANTS)
def test_repeatedly_interrupted_trainings_equal_uninterrupted(
    toy_corpus: Corpus, config: TrainingConfig, tmp_path: Path, name: str
) -> None:
    """At the end of an epoch, in its middle with and without a checkpoint there, and at the last checkpoint."""
    changes = {key: {**PROFILE.get(key, {}), **own} for key, own in VARIANTS[name].items()}
    profile = ModelProfile.model_validate({**PROFILE, **changes})
    expected = train(toy_corpus, replace(config, profile=profile, out=tmp_path / "uninterrupted"))
    for at in sorted({1, 2, 3, expected.step - 1}):
        with pytest.raises(Stop):
            train(toy_corpus, replace(config, profile=profile, save_every=2, progress=stop_at(at)))
    assert train(toy_corpus, replace(config, profile=profile)) == expected
    assert contents(config.out) == contents(tmp_path / "uninterrupted")


def test_resume_repeats_no_saved_step(toy_corpus: Corpus, config: TrainingConfig) -> None:
    steps: list[int] = []

    def record(stage: str, done: int, total: int, detail: str = "", /) -> None:
        steps.extend([done] if stage == "train" else [])

    with pytest.raises(Stop):
        train(toy_corpus, replace(config, progress=stop_at(8)))
    train(toy_corpus, replace(config, progress=record))
    assert steps == [7, 8, 9]
    train(toy_corpus, replace(config, progress=stop_at(1)))


SCRIPT = """
import sys, torch, landmark
from pathlib import Path
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ModelProfile, load_profile
torch.set_num_threads(1)
corpus, model, out = sys.argv[1:]
report = lambda stage, step, *_: print(stage, step, flush=True)
config = TrainingConfig(load_profile(model), Path(out), device="cpu", save_every=1, progress=report)
train(landmark.open(corpus), config)
"""


@pytest.mark.long
def test_killed_and_restarted_training_equals_uninterrupted(
    toy_corpus: Corpus, config: TrainingConfig, uninterrupted: Path, model_path: Path
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(toy_corpus.root), str(model_path), str(config.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "train 4":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not read_run(config.out).finished
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert (config.out / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def test_a_kill_between_files_of_a_checkpoint_keeps_the_previous(
    toy_corpus: Corpus, config: TrainingConfig, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of step 6 are on disk, but `run.json` names those of step 3."""
    from landmark.train import checkpoint

    written: list[Path] = []
    original = checkpoint.write_bytes

    def write(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            raise Stop
        original(path, data)

    monkeypatch.setattr(checkpoint, "write_bytes", write)
    with pytest.raises(Stop):
        train(toy_corpus, config)
    monkeypatch.undo()
    assert read_run(config.out).step == 3 and (config.out / "model-00000006.safetensors").exists()
    train(toy_corpus, config)
    assert (config.out / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def test_the_folder_of_another_training_is_refused(
    toy_corpus: Corpus, config: TrainingConfig, uninterrupted: Path, tmp_path: Path
) -> None:
    """The error names the keys that differ."""
    slower = load_profile(str(write_profile(tmp_path, budget={"learning_rate": 0.001})))
    located = load_profile(str(write_profile(tmp_path, location={})))
    before = contents(uninterrupted)
    for key, changed in {
        "seed": replace(config, seed=1),
        "model.budget.learning_rate": replace(config, profile=slower),
        "model.location, sensors": replace(config, profile=located, sensors=["s1"]),
    }.items():
        with raises(RunMismatch, file=str(uninterrupted), key=key):
            train(toy_corpus, replace(changed, out=uninterrupted))
    assert contents(uninterrupted) == before


@pytest.mark.parametrize("name", ["thesis.tex", "model-mine.safetensors", ".important.partial"])
def test_a_folder_with_foreign_files_is_refused_and_unchanged(
    toy_corpus: Corpus, config: TrainingConfig, name: str
) -> None:
    config.out.mkdir()
    (config.out / name).write_text("x")
    with pytest.raises(RunMismatch) as caught:
        train(toy_corpus, config)
    assert (caught.value.file, caught.value.value) == (str(config.out), name)
    assert file_names(config.out) == [name]


def interrupted(corpus: Corpus, config: TrainingConfig) -> Path:
    with pytest.raises(Stop):
        train(corpus, replace(config, progress=stop_at(4)))
    return config.out


@pytest.mark.parametrize("name", ["model-00000003.safetensors", "state-00000003.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_refused(toy_corpus: Corpus, config: TrainingConfig, name: str, damage: str) -> None:
    path = interrupted(toy_corpus, config) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[:-7] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InvalidRun) as caught:
        train(toy_corpus, config)
    assert caught.value.file == str(path) and caught.value.remedy


def test_a_checkpoint_of_another_order_is_refused(toy_corpus: Corpus, config: TrainingConfig) -> None:
    path = interrupted(toy_corpus, config) / "run.json"
    document = json.loads(path.read_text())
    document["loader"]["version"] = 0
    path.write_text(json.dumps(document))
    with raises(StateMismatch, file=str(path), key="version", value=0):
        train(toy_corpus, config)
    assert json.loads(path.read_text()) == document


def test_a_model_of_another_training_is_refused(toy_corpus: Corpus, config: TrainingConfig) -> None:
    """`config.json` of another profile, whose weights have the same shapes."""
    path = interrupted(toy_corpus, config) / "config.json"
    document = json.loads(path.read_text())
    document["profile"]["text"]["pooling"] = "cls"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidRun) as caught:
        train(toy_corpus, config)
    assert caught.value.file == str(path) and caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]"])
def test_a_damaged_run_document_is_refused(toy_corpus: Corpus, config: TrainingConfig, text: str) -> None:
    path = interrupted(toy_corpus, config) / "run.json"
    path.write_text(text)
    with pytest.raises(InvalidRun) as caught:
        train(toy_corpus, config)
    assert caught.value.file == str(path) and caught.value.remedy


def test_a_nan_loss_stops_the_training_and_keeps_the_last_checkpoint(
    toy_corpus: Corpus, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def corrupt_input(*arguments: object, **options: object) -> np.ndarray:
        calls.append(1)
        values = model_input(*arguments, **options)  # type: ignore[arg-type]
        return values * np.float32("nan") if len(calls) > 2 * 4 else values

    monkeypatch.setattr("landmark.train.batches.model_input", corrupt_input)
    with pytest.raises(Diverged) as caught:
        train(toy_corpus, config)
    assert (caught.value.file, caught.value.key) == (str(config.out), "budget.learning_rate")
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    assert read_run(config.out).step == 3
    assert train(toy_corpus, config).finished


def test_a_learning_rate_that_diverges_is_reported(toy_corpus: Corpus, config: TrainingConfig, tmp_path: Path) -> None:
    budget = {"learning_rate": 1e30, "max_grad_norm": None, "epochs": 20}
    diverging = load_profile(str(write_profile(tmp_path, budget=budget)))
    with pytest.raises(Diverged) as caught:
        train(toy_corpus, replace(config, profile=diverging))
    assert caught.value.value == 1e30


def test_a_validation_loss_that_is_no_number_stops_the_training(
    toy_corpus: Corpus, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no minimum, by which epochs could be selected, and `run.json` no number for it."""
    monkeypatch.setattr("landmark.train.loop.Trainer._validate", lambda _: float("nan"))
    with raises(Diverged, file=str(config.out), key="budget.learning_rate"):
        train(toy_corpus, config)
    monkeypatch.undo()
    assert read_run(config.out).step == 0
    assert train(toy_corpus, config).finished


def test_training_neither_uses_nor_changes_the_callers_generator(
    toy_corpus: Corpus, config: TrainingConfig, uninterrupted: Path
) -> None:
    torch.manual_seed(int(time.time()))
    expected = torch.get_rng_state()
    train(toy_corpus, config)
    assert torch.equal(torch.get_rng_state(), expected)
    assert (config.out / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def test_seeds_give_different_weights(toy_corpus: Corpus, config: TrainingConfig, uninterrupted: Path) -> None:
    train(toy_corpus, replace(config, seed=1))
    assert (config.out / "model.safetensors").read_bytes() != (uninterrupted / "model.safetensors").read_bytes()
    assert json.loads((config.out / "run.json").read_text())["identity"]["seed"] == 1
