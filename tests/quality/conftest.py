"""A sealed corpus over the small world, and copies of it to damage."""

import fcntl
import shutil
from pathlib import Path

import pytest
import yaml

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

RECIPE = {
    "name": "tiny",
    "region": {"bbox": [[11.5, 45.2, 12.5, 45.7], [20.8, -34.1, 21.2, -33.7]]},
    "time": {"start": "2021-06-01", "end": "2022-05-31"},
    "labels": [{"source": "worldcover"}, {"source": "io-lulc"}],
    "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
    "output": {"shard_mb": 2},
}


@pytest.fixture(scope="session")
def sealed(world: Path, shared: Path) -> Path:
    """A sealed corpus, built once for all test processes; read-only."""
    out = shared / "checked" / "tiny"
    with (shared / "checked.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "corpus.json").exists():
            recipe = shared / "tiny-checked.yaml"
            recipe.write_text(yaml.safe_dump({**RECIPE, "catalog": str(world)}))
            build(BuildRequest(load_recipe(str(recipe)), out, ExecutorConfig()))
    return out


@pytest.fixture(scope="session")
def sealed_crisis(world: Path, shared: Path) -> Path:
    """A sealed corpus of events of the small world, built once for all test processes; read-only."""
    out = shared / "checked" / "crisis"
    with (shared / "checked-crisis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "corpus.json").exists():
            text = (Path(__file__).parents[2] / "manifests" / "crisis-demo.yaml").read_text()
            recipe = shared / "crisis-checked.yaml"
            recipe.write_text(
                text.replace("world-easy:", f"{world}/").replace("catalog: world-easy", f"catalog: {world}")
            )
            build(BuildRequest(load_recipe(str(recipe)), out, ExecutorConfig()))
    return out


@pytest.fixture
def corpus(sealed: Path, tmp_path: Path) -> Path:
    """A copy of the sealed corpus, free to be damaged."""
    return Path(shutil.copytree(sealed, tmp_path / "tiny"))
