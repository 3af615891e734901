"""Options that several commands share."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landmark.cli.echo import echo
from landmark.core.errors import InputError

if TYPE_CHECKING:
    from landmark.config.recipe import Recipe
    from landmark.core.executor import ExecutorConfig

DEFAULT_RECIPE = "demo"

# Argument of `load_recipe` → the option, and the recipe's key that it overrides.
_OVERRIDES = {
    "region": ("--region", "region"),
    "sensors": ("--sensors", "sensors"),
    "limit": ("--limit", "limit"),
    "formats": ("--format", "output.formats"),
}

RecipeName = Annotated[str | None, typer.Argument(help="A recipe by name or path; by default demo.", metavar="RECIPE")]
Region = Annotated[
    str | None, typer.Option(help="Override the region: west,south,east,north, a GeoJSON file, or a recipe's name.")
]
Sensors = Annotated[str | None, typer.Option(help="Override the sensors, e.g. s1,s2.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SOURCE=PATH",
        help="Files of a label source, e.g. corine=clc2018.gpkg; a glob takes several. Repeatable.",
    ),
]
Catalog = Annotated[str | None, typer.Option(help="STAC catalogue, ItemCollection or Item, by path or URL.")]
AllowPrivate = Annotated[
    bool,
    typer.Option(
        "--allow-private",
        help="Let a catalogue that is opened by URL lead to private, loopback and link-local addresses; implied where"
        " the URL itself has such an address.",
    ),
]
Out = Annotated[Path | None, typer.Option(help="Corpus folder; by default corpora/<recipe>.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Keep only N cells, the first by hash.")]
Format = Annotated[str | None, typer.Option(help="Override the formats: parquet, or parquet,webdataset.")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Worker processes; one per core by default; 0 runs in this process.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a running Dask scheduler; tls:// takes the certificates of Dask's configuration."),
]
WorkerTimeout = Annotated[
    float, typer.Option(min=1, help="Give up after this many seconds in which no worker has answered.")
]
Locked = Annotated[bool, typer.Option("--locked", help="Build from the existing plan and the same files.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def recipe(
    name: str | None,
    region: str | None,
    sensors: str | None,
    limit: int | None,
    *,
    labels: list[str] | None = None,
    formats: str | None = None,
) -> "Recipe":
    """Load the recipe of a command line; the demo where none is named."""
    from landmark.config.recipe import load_recipe

    if name is None:
        echo(f"no recipe given: using {DEFAULT_RECIPE} (the embedded world)", err=True)
    changes: dict[str, Any] = {"region": region, "sensors": sensors, "limit": limit, "formats": formats}
    try:
        loaded = load_recipe(name or DEFAULT_RECIPE, labels=labels or (), **changes)
    except InputError as error:
        _name_options(error, [_OVERRIDES[key] for key, value in changes.items() if value is not None])
        raise
    for source, remedy in loaded.skipped_labels:
        echo(f"warning: label source {source} skipped: {remedy}", err=True)
    return loaded


def _name_options(error: InputError, overrides: Iterable[tuple[str, str]]) -> None:
    """Name an option in place of the recipe's key that it overrides."""
    for problem in error.problems:
        for option, key in overrides:
            if problem.key is not None and f"{problem.key}.".startswith(f"{key}."):
                problem.file, problem.key = option, None


def folder(out: Path | None, recipe: "Recipe") -> Path:
    """Absolute path of the corpus folder; workers may run in another directory."""
    return (out or Path("corpora") / recipe.name).absolute()


def executor(workers: int | None, scheduler: str | None = None, worker_timeout: float = 600) -> "ExecutorConfig":
    """Configuration of the executor; by default a worker process per core available to this process."""
    from landmark.core.executor import ExecutorConfig

    return ExecutorConfig(processes(workers), scheduler, worker_timeout_s=worker_timeout)


def processes(workers: int | None) -> int:
    """Number of worker processes; by default one per core available to this process."""
    from landmark.core.process_share import available_cores

    return available_cores() if workers is None else workers
