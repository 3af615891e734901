"""Two corpora of one plan, whose archive has been deleted."""

import shutil

import pytest
import yaml

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

SERIAL = ExecutorConfig()
MORE = {
    "captions": ["structured", "sentence", "detailed"],
    "languages": ["en", "fr", "es"],
    "captions_per_style": 2,
    "questions": 3,
    "hard_negatives": 2,
}
PLAIN = {
    "name": "tiny",
    "region": {"bbox": [[11.5, 45.2, 12.5, 45.7]]},
    "time": {"start": "2021-06-01", "end": "2022-05-31"},
    "labels": [{"source": "worldcover"}, {"source": "io-lulc"}],
    "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
    "output": {"shard_mb": 2},
    "limit": 16,
}


def written(folder, **changes):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(PLAIN | changes))
    return path


@pytest.fixture(scope="session")
def sealed(tmp_path_factory, world):
    """Two corpora of one plan, `plain` and with `MORE` captions; their archive has been deleted."""
    folder = tmp_path_factory.mktemp("sealed")
    shutil.copytree(world, folder / "world")
    for name, changes in (("plain", {}), ("more", MORE)):
        recipe = written(folder, catalog="world/catalog.json", **changes)
        build(BuildRequest(load_recipe(str(recipe)), folder / name, SERIAL))
    shutil.rmtree(folder / "world")
    return folder


@pytest.fixture
def corpus(sealed, tmp_path):
    shutil.copytree(sealed / "plain", tmp_path / "corpus")
    return tmp_path / "corpus"
