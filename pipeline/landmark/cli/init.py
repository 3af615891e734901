"""`landmark init`: a recipe and a provider for one's own images."""

from pathlib import Path
from typing import Annotated

import typer

from landmark.cli.echo import echo


def init(
    source: Annotated[
        str, typer.Argument(help="Folder of COGs, or path or URL of a STAC document.", metavar="FOLDER|STAC")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the recipe; by default that of the source.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
) -> None:
    """Write a recipe and a provider for images of your own, by looking at them. Never overwrites a file."""
    from landmark.workflow.init_recipe import init_recipe

    result = init_recipe(source, out, name)
    for note in result.notes:
        echo(f"warning: {note}", err=True)
    for path in result.files:
        echo(f"written  {path}")
    echo(f"next     landmark plan {result.files[0]}")
