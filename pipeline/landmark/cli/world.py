"""`landmark world`: the embedded synthetic planet."""

import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.core.signals import cleaned_up

Edition = Literal["planet", "easy"]

app = typer.Typer(
    help="The embedded world: a synthetic planet in the layout of the Planetary Computer.", no_args_is_help=True
)


@app.callback()
def _root() -> None:
    pass


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="DIR")],
    edition: Annotated[Edition, typer.Option(help="planet: many small places; easy: two larger ones.")] = "planet",
    tile_px: Annotated[int | None, typer.Option(min=120, help="Edge of a Sentinel-2 tile at 10 m.")] = None,
    block_px: Annotated[int | None, typer.Option(min=16, help="Block of the GeoTIFFs, a multiple of 16.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: options.Workers = None,
) -> None:
    """Write the world as a static STAC catalogue of GeoTIFFs."""
    from landmark import world

    with reporting(), _unfinished_removed(folder):
        size = {"tile_px": tile_px, "block_px": block_px}
        typer.echo(world.make(folder, edition=edition, **size, seed=seed, workers=options.processes(workers)))


@contextmanager
def _unfinished_removed(folder: Path) -> Iterator[None]:
    """Remove what a signal leaves of a world: it is made in a hidden folder beside its own."""

    def unfinished() -> set[Path]:
        return set(folder.parent.glob(f".{glob.escape(folder.name)}-*"))

    def remove() -> None:
        for path in unfinished() - before:
            shutil.rmtree(path, ignore_errors=True)

    before = unfinished()
    with cleaned_up(remove):
        yield
