"""`landmark taxonomy`: check, show and compare the files of taxonomies/."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.echo import echo

if TYPE_CHECKING:
    from landmark.lint.tables import Table

app = typer.Typer(
    help="Target classes and crosswalks: check files, show mappings, compare two files.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="A file of taxonomies/ by name, or a path of your own.")]


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Files of taxonomies/ by name, or paths; by default all.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Report every mistake in the files; exit code 2 if there are any."""
    from landmark.lint.check import lint

    results = lint(names or ())
    if as_json:
        echo(json.dumps([result.to_json() for result in results], ensure_ascii=False, indent=1))
    else:
        for result in results:
            echo("\n".join(map(str, result.problems)) or f"{result.file}: {result.summary}")
            for warning in result.warnings:
                echo(f"warning: {result.file}: {warning}", err=True)
    if any(result.problems for result in results):
        raise typer.Exit(2)


@app.command()
def show(
    source: Name,
    target: Annotated[str | None, typer.Argument(help="The taxonomy, or the coarser source, that it maps to.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a file, or the class that each code of a source maps to."""
    from landmark.lint import tables

    _print(tables.show(source, target), as_json)


@app.command()
def diff(first: Name, second: Name, as_json: options.Json = False) -> None:
    """Show the differences of two files."""
    from landmark.lint import tables

    _print(tables.diff(first, second), as_json)


def _print(table: "Table", as_json: bool) -> None:
    if as_json:
        echo(json.dumps(list(table.rows), ensure_ascii=False, indent=1))
    elif sys.stdout.isatty():
        _drawn(table)
    else:
        echo("\n".join(_lines(table)))


def _lines(table: "Table") -> list[str]:
    """Columns padded to their widest value."""
    rows = [table.columns, *([_text(row[name]) for name in table.columns] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _drawn(table: "Table") -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(*table.columns, title=table.title)
    for row in table.rows:
        colours = {name: f"on {row[name]}" for name in table.columns if name == "colour" and row[name]}
        drawn.add_row(*(Text(_text(row[name]), style=colours.get(name, "")) for name in table.columns))
    Console().print(drawn)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
