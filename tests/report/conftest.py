"""A small sealed corpus, built once."""

from collections.abc import Callable
from pathlib import Path

import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.corpus.reader import Corpus
from landmark.workflow.build import BuildRequest, build


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "corpus"


@pytest.fixture
def small(folder: Path, recipe: Callable[..., Path]) -> Corpus:
    """A corpus of six cells; tests that change it copy it first."""
    if not folder.exists():
        build(BuildRequest(load_recipe(str(recipe()), limit=6), folder, ExecutorConfig()))
    return landmark.open(folder)
