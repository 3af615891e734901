"""A training that was interrupted ends with the bytes of one that was not."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landmark.core.errors import Diverged, InvalidRun, RunMismatch
from landmark.corpus.reader import Corpus
from landmark.train import dataset as feed
from landmark.train.checkpoint import read_run
from landmark.train.loop import Training, train
from landmark.train.profile import load_model
from tests.train.toy import model_file

STEPS = 9


class Stop(Exception):
    pass


def stop_at(step: int) -> Callable[[str, int, int, str], None]:
    def progress(stage: str, done: int, of: int, remark: str) -> None:
        if (stage, done) == ("train", step):
            raise Stop

    return progress


def leavings(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


@pytest.fixture
def asked(tmp_path: Path, model_path: Path) -> Training:
    return Training(load_model(str(model_path)), tmp_path / "run", device="cpu")


@pytest.fixture
def whole(toy_corpus: Corpus, asked: Training, tmp_path: Path) -> Path:
    """The folder of a training nobody disturbed."""
    train(toy_corpus, replace(asked, out=tmp_path / "whole"))
    return tmp_path / "whole"


@pytest.mark.parametrize(("save_every", "at"), [(0, 1), (0, 3), (0, 5), (2, 2), (2, 5), (1, 8)])
def test_interrupted_at_any_step_and_resumed_is_uninterrupted(
    toy_corpus: Corpus, asked: Training, whole: Path, save_every: int, at: int
) -> None:
    wanted = replace(asked, save_every=save_every)
    with pytest.raises(Stop):
        train(toy_corpus, replace(wanted, progress=stop_at(at)))
    run = train(toy_corpus, wanted)
    assert run.finished and run.steps == STEPS
    assert (wanted.out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert run.history == read_run(whole).history
    assert leavings(wanted.out) == leavings(whole) == ["model.safetensors", "run.json"]


def test_a_resumed_training_repeats_no_step_that_is_saved(toy_corpus: Corpus, asked: Training) -> None:
    seen: list[int] = []

    def note(stage: str, done: int, of: int, remark: str) -> None:
        seen.extend([done] if stage == "train" else [])

    with pytest.raises(Stop):
        train(toy_corpus, replace(asked, progress=stop_at(8)))
    train(toy_corpus, replace(asked, progress=note))
    assert seen == [7, 8, 9]
    train(toy_corpus, replace(asked, progress=stop_at(1)))


SCRIPT = """
import sys, torch, landmark
from pathlib import Path
from landmark.train.loop import Training, train
from landmark.train.profile import load_model
torch.set_num_threads(1)
corpus, model, out = sys.argv[1:]
say = lambda stage, step, *_: print(stage, step, flush=True)
train(landmark.open(corpus), Training(load_model(model), Path(out), device="cpu", save_every=1, progress=say))
"""


@pytest.mark.long
def test_killed_and_started_again_is_uninterrupted(
    toy_corpus: Corpus, asked: Training, whole: Path, model_path: Path
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(toy_corpus.root), str(model_path), str(asked.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "train 4":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not read_run(asked.out).finished
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert (asked.out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_killed_between_the_files_of_a_checkpoint_the_one_before_stands(
    toy_corpus: Corpus, asked: Training, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of step 6 are on disk, `run.json` still names those of step 3."""
    from landmark.train import checkpoint

    written: list[Path] = []
    true_write = checkpoint.write_bytes

    def write(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise Stop
        true_write(path, data)

    monkeypatch.setattr(checkpoint, "write_bytes", write)
    with pytest.raises(Stop):
        train(toy_corpus, asked)
    monkeypatch.undo()
    assert read_run(asked.out).step == 3 and (asked.out / "model-00000006.safetensors").exists()
    train(toy_corpus, asked)
    assert (asked.out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("change", ["seed", "model", "arm"])
def test_the_folder_of_another_training_is_refused(
    toy_corpus: Corpus, asked: Training, tmp_path: Path, change: str
) -> None:
    train(toy_corpus, asked)
    before = {path.name: path.read_bytes() for path in asked.out.iterdir()}
    slower = load_model(str(model_file(tmp_path, budget={"rate": 0.001})))
    other = {"seed": {"seed": 1}, "model": {"model": slower}, "arm": {"arm": "shuffled"}}[change]
    with pytest.raises(RunMismatch, match=f"other .*{change}.*--out"):
        train(toy_corpus, replace(asked, **other))  # type: ignore[arg-type]
    assert {path.name: path.read_bytes() for path in asked.out.iterdir()} == before


def test_a_folder_of_other_things_is_refused(toy_corpus: Corpus, asked: Training) -> None:
    asked.out.mkdir()
    (asked.out / "thesis.tex").write_text("x")
    with pytest.raises(RunMismatch, match=r"thesis\.tex"):
        train(toy_corpus, asked)
    assert leavings(asked.out) == ["thesis.tex"]


def test_what_only_looks_like_a_checkpoint_is_refused_and_stays(toy_corpus: Corpus, asked: Training) -> None:
    asked.out.mkdir()
    names = ["model-mine.safetensors", "pixels-mine.npy", ".important.partial"]
    for name in names:
        (asked.out / name).write_text("x")
    with pytest.raises(RunMismatch, match="is no training, but holds"):
        train(toy_corpus, asked)
    assert leavings(asked.out) == sorted(names)


def interrupted(corpus: Corpus, asked: Training) -> Path:
    with pytest.raises(Stop):
        train(corpus, replace(asked, progress=stop_at(4)))
    return asked.out


@pytest.mark.parametrize("name", ["model-00000003.safetensors", "state-00000003.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_refused(toy_corpus: Corpus, asked: Training, name: str, damage: str) -> None:
    path = interrupted(toy_corpus, asked) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[:-7] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InvalidRun, match=f"{name}: damaged checkpoint.*delete"):
        train(toy_corpus, asked)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]"])
def test_a_damaged_document_is_refused(toy_corpus: Corpus, asked: Training, text: str) -> None:
    (interrupted(toy_corpus, asked) / "run.json").write_text(text)
    with pytest.raises(InvalidRun, match=r"run\.json: not a training's document.*delete"):
        train(toy_corpus, asked)


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_checkpoint(
    toy_corpus: Corpus, asked: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = feed.inputs
    calls: list[int] = []

    def poisoned(*arguments: object, **options: object) -> np.ndarray:
        calls.append(1)
        values = true(*arguments, **options)  # type: ignore[arg-type]
        return values * np.float32("nan") if len(calls) > 2 * 4 else values

    monkeypatch.setattr("landmark.train.batches.inputs", poisoned)
    with pytest.raises(Diverged, match=r"step 5 of 9, learning rate 0\.0\d+, the loss is nan") as caught:
        train(toy_corpus, asked)
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    assert read_run(asked.out).step == 3
    assert train(toy_corpus, asked).finished


def test_a_rate_that_blows_up_is_caught(toy_corpus: Corpus, asked: Training, tmp_path: Path) -> None:
    wild = load_model(str(model_file(tmp_path, budget={"rate": 1e30, "max_norm": None, "epochs": 20})))
    with pytest.raises(Diverged, match="learning rate"):
        train(toy_corpus, replace(asked, model=wild))


def test_weights_do_not_depend_on_the_callers_random_numbers_nor_change_them(
    toy_corpus: Corpus, asked: Training, whole: Path
) -> None:
    import torch

    torch.manual_seed(int(time.time()))
    expected = torch.get_rng_state()
    train(toy_corpus, asked)
    assert torch.equal(torch.get_rng_state(), expected)
    assert (asked.out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_another_seed_gives_other_weights(toy_corpus: Corpus, asked: Training, whole: Path) -> None:
    train(toy_corpus, replace(asked, seed=1))
    assert (asked.out / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes()
    assert json.loads((asked.out / "run.json").read_text())["identity"]["seed"] == 1
