"""`landmark labels`: obtain label maps that no catalogue serves."""

from pathlib import Path
from typing import Annotated

import typer

from landmark.cli.echo import echo
from landmark.core.plural import plural

app = typer.Typer(
    help="Obtain label maps that no catalogue serves: order CORINE, write an export script for Dynamic World.",
    no_args_is_help=True,
)


@app.callback()
def _root() -> None:
    pass


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A map by the name or path of its download profile, e.g. corine.")],
    key: Annotated[
        Path | None,
        typer.Option(help="Your key for the service, JSON; without one the command explains how to get it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the map and its SHA-256.")] = Path("labels"),
    year: Annotated[int, typer.Option(help="Edition.")] = 2018,
    wait: Annotated[float, typer.Option(min=0, help="Minutes to wait for the service to prepare the map.")] = 60,
) -> None:
    """Order a label map with your own account, wait for it, download and unpack it; run again to resume."""
    from landmark.core.yaml_files import load_model
    from landmark.labels.download_profile import DownloadProfile, read_key
    from landmark.labels.order import fetch_map

    profile = load_model(DownloadProfile, "profiles/downloads", source)
    path = fetch_map(profile, read_key(key, profile), out, year=year, wait_s=60 * wait, progress=_print)
    echo(path)
    _print(f"build with --labels {profile.name}={path}")


@app.command()
def script(
    corpus: Annotated[Path, typer.Argument(help="A corpus folder with a plan.")],
    out: Annotated[Path, typer.Option(help="The script, Python.")] = Path("export_dynamic_world.py"),
) -> None:
    """Write a script that exports Dynamic World for a plan's cells and periods with your Earth Engine account."""
    from landmark.core.errors import InvalidCorpus
    from landmark.labels.earth_engine import write_export_script
    from landmark.workflow.lock import read_plan

    planned = read_plan(corpus)
    if planned is None:
        raise InvalidCorpus("no plan", file=corpus, remedy="make one with `landmark plan`")
    recipe = planned.lock.recipe
    exports = write_export_script(
        out,
        name=recipe.name,
        cells=planned.samples,
        cell_m=recipe.cell_m,
        time=recipe.time,
    )
    echo(out)
    _print(f"exports {plural(exports, 'file')}; its first lines explain how to run it")


def _print(line: str) -> None:
    echo(line, err=True)
