"""The `landmark` command: registers all commands; prints errors on one line each and exits with their code."""

import io
import logging
import os
import sys
import traceback
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
    files,
    init,
    labels,
    plan,
    preview,
    recaption,
    sheet,
    taxonomy,
    train,
    validate,
    world,
)
from landmark.cli.blas_buffer import reserve_blas_buffers
from landmark.cli.echo import echo
from landmark.cli.failures import describe_failure, log_thread_failures
from landmark.core.resources import available
from landmark.core.signals import ended_by_signals

# Environment variable that requests the traceback of a fault.
_TRACEBACK = "LANDMARK_TRACEBACK"

app = typer.Typer(
    name="landmark",
    help="Builds image-text corpora of Sentinel-1 and Sentinel-2 from satellite archives.",
    epilog=f"Recipes: {', '.join(available('manifests'))}; or the path of a YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _name, _command, _example in (
    ("init", init.init, "landmark init folder-of-cogs"),
    ("build", build.build, "landmark build europe --workers 8"),
    ("plan", plan.plan, "landmark plan europe"),
    ("preview", preview.preview, "landmark preview europe"),
    ("check", check.check, "landmark check corpora/demo"),
    ("explain", explain.explain, "landmark explain corpora/demo SAMPLE_ID"),
    ("sheet", sheet.sheet, "landmark sheet corpora/demo --out sheet.html"),
    ("files", files.files, "landmark files corpora/demo --split train --sensor s2"),
    ("recaption", recaption.recaption, "landmark recaption corpora/demo --set thresholds.default=10"),
    ("train", train.train, "landmark train corpora/demo --out runs/demo --model tiny"),
    ("evaluate", evaluate.evaluate, "landmark evaluate corpora/demo runs/demo"),
    ("validate", validate.validate, "landmark validate corpora/demo --smoke"),
    ("bench", bench.bench, "landmark bench europe"),
):
    app.command(_name, epilog=f"Example: {_example}")(_command)
app.add_typer(events.app, name="events")
app.add_typer(labels.app, name="labels")
app.add_typer(taxonomy.app, name="taxonomy")
app.add_typer(world.app, name="world")


def _version(show: bool) -> None:
    if show:
        echo(f"landmark {landmark.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@ended_by_signals()
def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 started but not finished, 2 refused, 70 a fault of landmark, 130
    interrupted, 143 terminated.
    """
    _prepare_output()
    log_thread_failures()
    try:
        try:
            reserve_blas_buffers()
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    except Exception as error:
        _close_stdout()
        message, code = describe_failure(error)
        if code == os.EX_SOFTWARE and os.environ.get(_TRACEBACK):
            traceback.print_exception(error)
        _print_error(message)
        sys.exit(code)


def _prepare_output() -> None:
    """Let no text fail to be printed: lone surrogates, and what the terminal's encoding lacks, are escaped."""
    logging.raiseExceptions = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _close_stdout() -> None:
    """Discard what cannot be printed on stdout, so that the interpreter's exit does not try again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(message: str) -> None:
    echo("\n".join(f"error: {line}" for line in message.splitlines()), err=True)
