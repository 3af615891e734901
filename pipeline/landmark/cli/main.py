"""`landmark`: gathers the commands and turns refusals into one line and an exit code."""

import errno
import os
import signal
import sys
from typing import Annotated

import typer

import landmark
from landmark.cli import (
    bench,
    build,
    check,
    evaluate,
    events,
    explain,
    labels,
    plan,
    recaption,
    sheet,
    taxonomy,
    train,
    validate,
    world,
)
from landmark.cli import preview as trial
from landmark.core.errors import Interrupted, LandmarkError

app = typer.Typer(
    name="landmark",
    help="Builds image-text corpora of Sentinel-1 and Sentinel-2 that people can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("build")(build.build)
app.command("check")(check.check)
app.command("bench")(bench.bench)
app.command("plan")(plan.plan)
app.command("explain")(explain.explain)
app.command("recaption")(recaption.recaption)
app.command("sheet")(sheet.sheet)
app.command("try")(trial.trial)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("validate")(validate.validate)
app.add_typer(events.app, name="events")
app.add_typer(labels.app, name="labels")
app.add_typer(taxonomy.app, name="taxonomy")
app.add_typer(world.app, name="world")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"landmark {landmark.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exit 0 done, 1 started but not sealed, 2 refused, 130 interrupted."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except Interrupted as error:
        _say(str(error))
        # Threads that wait for a silent server would be waited for.
        os._exit(error.exit_code)
    except LandmarkError as error:
        _stop(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _stop("the disk is full; make room and run the same command again to resume", 1)
        _stop(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), 1)


def _interrupt(*_: object) -> None:
    raise Interrupted("interrupted; run the same command again to resume")


def _stop(message: str, code: int) -> None:
    _say(message)
    sys.exit(code)


def _say(message: str) -> None:
    typer.echo("\n".join(f"landmark: {line}" for line in message.splitlines()), err=True)
