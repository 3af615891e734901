"""Options several commands share, and the request they add up to."""

from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.config.recipe import Recipe, load_recipe

DEFAULT_RECIPE = "demo"

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
Out = Annotated[Path | None, typer.Option(help="Corpus folder; by default corpora/<recipe>.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Keep the first N cells of the hash ranking.")]
Format = Annotated[str | None, typer.Option(help="Override the formats: parquet, or parquet,webdataset.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes, by default one a core; 0 works in this one.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a running Dask scheduler, tcp://…")]
Locked = Annotated[bool, typer.Option("--locked", help="Never search: build from the plan that stands.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def recipe(
    name: str | None,
    region: str | None,
    sensors: str | None,
    limit: int | None,
    *,
    labels: list[str] | None = None,
    formats: str | None = None,
) -> Recipe:
    """The recipe of a command line; without a name the demo, and it says so."""
    if name is None:
        typer.echo(f"No recipe given: taking {DEFAULT_RECIPE!r} (the embedded world).", err=True)
    changes: dict[str, Any] = {"region": region, "sensors": sensors, "limit": limit, "formats": formats}
    wanted = load_recipe(name or DEFAULT_RECIPE, labels=labels or (), **changes)
    for source, remedy in wanted.left_out:
        typer.echo(f"NO {source.upper()}: {remedy}", err=True)
    return wanted


def folder(out: Path | None, of: Recipe) -> Path:
    """Where the corpus goes; absolute, because workers may stand elsewhere."""
    return (out or Path("corpora") / of.name).resolve()


def processes(workers: int | None) -> int:
    """Processes asked for, by default one a core this process may use."""
    from landmark.raster.rate_limit import cores

    return cores() if workers is None else workers
