"""The README and the docs pages: Python blocks run, the recipe loads, commands and options exist."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from landmark.cli.main import app
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

ROOT = Path(__file__).parents[1]
PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
README = PAGES["README.md"]
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """A folder with corpora/demo, built from the easy demo's recipe over the small world."""
    folder = tmp_path_factory.mktemp("readme")
    recipe = load_recipe("demo-easy")
    splits = recipe.splits.model_copy(update={"block_m": 1200, "buffer_m": 0.0})
    output = recipe.output.model_copy(update={"shard_mb": 2.5, "formats": ("parquet", "webdataset")})
    # `world:` would lead to its own world, which takes a minute to make.
    labels = tuple(entry for entry in recipe.labels if not entry.files)
    changes = {"catalog": str(world), "splits": splits, "output": output, "labels": labels}
    small = recipe.model_copy(update=changes)
    build(BuildRequest(small, folder / "corpora" / "demo", ExecutorConfig()))
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=["landmark", "pyarrow", "datasets", "webdataset", "torch"])
def test_python_blocks_of_the_readme_run(block: str, demo: Path) -> None:
    # `datasets` caches in the test's folder and does not look for its hub.
    environment = os.environ | {"HF_HOME": str(demo / "huggingface"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", block], cwd=demo, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_reading_takes_five_lines_with_landmark_and_ten_with_pyarrow_and_training_fifteen() -> None:
    lines = [len([line for line in block.splitlines() if line.strip()]) for block in BLOCKS]
    assert lines[0] <= 5 and lines[1] <= 10 and lines[4] <= 15


def test_recipe_of_the_readme_loads(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "veneto.yaml").write_text(recipe)
    assert load_recipe(str(tmp_path / "veneto.yaml")).name == "veneto"


# -- The command line --------------------------------------------------------------------------------------------------

# Options of docker compose, of benchmarks, and of torchrun.
FOREIGN_OPTIONS = {
    "--rm",
    "--standalone",
    "--nproc-per-node",
    "--quick",
    "--busy",
    "--rates",
    "--seeds",
    "--corpora",
    "--corpus",
    "--short",
    "--jobs",
    "--geo-model",
}


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words start with, and its arguments."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words:
        assert words[0] in command.commands, f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def commands_below(command: Any) -> Iterator[Any]:
    yield command
    if isinstance(command, TyperGroup):
        for name in command.commands:
            yield from commands_below(command.commands[name])


COMMANDS = list(commands_below(typer.main.get_command(app)))
OPTIONS = {option for command in COMMANDS for parameter in command.params for option in parameter.opts} | {"--help"}


def test_shell_lines_of_the_documentation_parse() -> None:
    fences = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = [block for page in PAGES.values() for block in fences.findall(page)]
    texts = [*blocks, *(command.epilog or "" for command in COMMANDS)]
    lines = [
        line for text in texts for line in re.findall(r"^(?:Example: | *- run: )?landmark (.*)", text, re.MULTILINE)
    ]
    assert len(lines) > 30
    for line in lines:
        command, arguments = find_command(shlex.split(re.split(r" [#>|] ", line)[0]))
        command.make_context("landmark", arguments)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_of_a_page_exist(page: str) -> None:
    for words in re.findall(r"`landmark ([a-z]+(?: [a-z]+)?)", PAGES[page]):
        find_command(words.split())
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGES[page])) <= OPTIONS | FOREIGN_OPTIONS
