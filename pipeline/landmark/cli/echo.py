"""Printing of texts that may come from a corpus or a catalogue."""

import typer

from landmark.core.printable import printable


def echo(text: object, *, err: bool = False) -> None:
    """Print a text and a line feed, without control characters, on stdout or stderr."""
    typer.echo(printable(str(text)), err=err)
