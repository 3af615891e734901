"""`landmark labels`: maps no catalogue serves."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Label maps no catalogue serves: order CORINE, write an export script for Dynamic World.", no_args_is_help=True
)


@app.callback()
def _root() -> None:
    pass


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A map by the name or path of its download profile, e.g. corine.")],
    key: Annotated[
        Path | None, typer.Option(help="Your service key, JSON; without one, how to get it is said.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the map and its SHA-256.")] = Path("labels"),
    year: Annotated[int, typer.Option(help="Edition.")] = 2018,
    wait: Annotated[float, typer.Option(min=0, help="Minutes to wait for the service to pack the map.")] = 60,
) -> None:
    """Order a label map with your own account, wait for it, download and unpack it; run again to go on."""
    from landmark.core.yaml_files import load
    from landmark.labels.download_profile import Download, read_key
    from landmark.labels.order import fetch as order

    download = load(Download, "profiles/downloads", source)
    path = order(download, read_key(key, download), out, year=year, wait_s=60 * wait, progress=_say)
    typer.echo(path)
    _say(f"build with --labels {download.name}={path}")


@app.command()
def script(
    corpus: Annotated[Path, typer.Argument(help="A corpus folder with a plan.")],
    out: Annotated[Path, typer.Option(help="The script, Python.")] = Path("export_dynamic_world.py"),
) -> None:
    """Write a script that exports Dynamic World for a plan's cells and periods from your Earth Engine account."""
    from landmark.labels.earth_engine import export_script

    exports = export_script(corpus, out)
    typer.echo(out)
    _say(f"it exports {exports} files; its first lines tell how to run it")


def _say(line: str) -> None:
    typer.echo(line, err=True)
