"""Fixtures: a toy corpus shared by all tests, and single-threaded PyTorch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import landmark
from landmark.corpus.reader import Corpus
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ModelProfile, load_profile
from tests.services.client import once
from tests.train.toy import build_toy, write_profile


@pytest.fixture(autouse=True, scope="session")
def _single_thread() -> Iterator[None]:
    """Limit PyTorch to one thread: sums are always added in the same order, and test processes do not compete."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_corpus(shared: Path) -> Corpus:
    """A toy corpus of both sensors and all splits, built once for all test processes; read only."""
    once(shared, "toy", lambda folder: build_toy(folder / "corpus"))
    return landmark.open(shared / "toy" / "corpus")


@pytest.fixture(scope="session")
def trained_toy(shared: Path, toy_corpus: Corpus) -> Path:
    """Run folder of a toy model, trained long enough to learn the colours; read only."""

    def fit(folder: Path) -> None:
        model = load_profile(str(write_profile(folder, budget={"epochs": 14, "learning_rate": 0.02})))
        train(toy_corpus, TrainingConfig(model, folder / "run", device="cpu"))

    once(shared, "trained-toy", fit)
    return shared / "trained-toy" / "run"


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """Path of the test model's profile."""
    return write_profile(tmp_path)


@pytest.fixture
def profile(model_path: Path) -> ModelProfile:
    """The test model."""
    return load_profile(str(model_path))
