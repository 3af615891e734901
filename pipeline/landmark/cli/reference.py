"""References in docs/reference, generated from code and YAML: `python -m landmark.cli.reference DIR`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from landmark.cli.main import app
from landmark.config.reference import recipe_reference
from landmark.loader.normalise import normalisation_reference
from landmark.quality.reference import checks_reference
from landmark.train.profile import profile_reference


def cli_reference() -> str:
    """Render the reference of all commands and options."""
    command = get_command(app)
    context = typer.Context(command)
    return get_docs_for_click(obj=command, ctx=context, name="landmark", title="Command line") + "\n"


# File in docs/reference → its text.
REFERENCES: Mapping[str, Callable[[], str]] = {
    "cli.md": cli_reference,
    "recipe.md": recipe_reference,
    "checks.md": checks_reference,
    "normalisation.md": normalisation_reference,
    "model.md": profile_reference,
}


if __name__ == "__main__":
    for name, render in REFERENCES.items():
        (Path(sys.argv[1]) / name).write_text(render(), encoding="utf-8")
