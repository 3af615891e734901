"""A toy corpus, sealed once, and threads that do not fight over the machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from landmark.corpus.reader import Corpus
from tests.train.toy import model_file, opened


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Other test processes compute too; and with one thread a sum is always added up in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A toy of both sensors and all splits; read only."""
    return opened(tmp_path_factory.mktemp("toy") / "corpus")


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """The test model as a profile on disk."""
    return model_file(tmp_path)
