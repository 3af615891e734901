"""The README's promises: its code runs as printed, and is as short as it says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from landmark.config.recipe import Recipe, load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """A folder with corpora/demo, built from the demo's own recipe over the small world."""
    folder = tmp_path_factory.mktemp("readme")
    recipe = load_recipe("demo")
    splits = recipe.splits.model_copy(update={"block_m": 1200, "buffer_m": 0.0})
    output = recipe.output.model_copy(update={"shard_mb": 2.5, "formats": ("parquet", "webdataset")})
    # `world:` would lead to the demo's own world, which takes a minute to make.
    labels = tuple(entry for entry in recipe.labels if not entry.files)
    changes = {"catalog": str(world), "splits": splits, "output": output, "labels": labels}
    small = recipe.model_copy(update=changes)
    build(BuildRequest(small, folder / "corpora" / "demo", ExecutorConfig()))
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=["landmark", "pyarrow", "datasets", "webdataset"])
def test_the_code_of_the_readme_runs(block: str, demo: Path) -> None:
    shard = sorted((demo / "corpora/demo/shards/g0000").glob("s2-train-00000-*"))[0].name
    code = re.sub(r"s2-train-00000-of-\d+\.parquet", shard, block)
    # The cache of `datasets` in the test's folder, and no look for its hub.
    alone = os.environ | {"HF_HOME": str(demo / "huggingface"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=demo, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_reading_takes_five_lines_with_landmark_and_ten_with_pyarrow() -> None:
    lines = [len([line for line in block.splitlines() if line.strip()]) for block in BLOCKS]
    assert lines[0] <= 5
    assert lines[1] <= 10


def test_the_recipe_of_the_readme_is_a_recipe(tmp_path: Path) -> None:
    text = re.search(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert text is not None
    (tmp_path / "veneto.yaml").write_text(text[1])
    recipe: Recipe = load_recipe(str(tmp_path / "veneto.yaml"))
    assert recipe.name == "veneto"


def test_every_command_and_option_of_the_readme_exists() -> None:
    options = set(re.findall(r"`(--[a-z-]+)", README))
    from landmark.cli.main import app

    rooms = [app, *(group.typer_instance for group in app.registered_groups if group.typer_instance)]
    commands: list[Callable[..., object]] = [
        command.callback for room in rooms for command in room.registered_commands if command.callback
    ]
    known = {
        f"--{name.replace('_', '-').replace('as-json', 'json')}" for call in commands for name in call.__annotations__
    }
    assert options <= known, options - known
