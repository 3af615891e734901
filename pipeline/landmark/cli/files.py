"""`landmark files`: the files of a corpus's current generation."""

import json
from pathlib import Path
from typing import Annotated

import typer

from landmark.cli import options
from landmark.cli.echo import echo
from landmark.core.errors import InputError


def files(
    corpus: Annotated[Path, typer.Argument(help="A sealed corpus.")],
    split: Annotated[str | None, typer.Option(help="Only files of this split: train, val or test.")] = None,
    sensor: Annotated[str | None, typer.Option(help="Only files of this sensor: s1 or s2.")] = None,
    format: Annotated[str, typer.Option(help="parquet, or webdataset for the .tar files.")] = "parquet",
    as_json: options.Json = False,
) -> None:
    """List the files of the current generation, one path per line; those of kept generations are not among them."""
    from landmark.corpus.files import list_files
    from landmark.corpus.manifest import Manifest, read_document

    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    try:
        paths = list_files(corpus, manifest, split=split, sensor=sensor, format=format)
    except InputError as error:
        raise InputError(error.problem, file=f"--{error.key}", value=error.value, remedy=error.remedy) from error
    if not paths:
        echo("warning: the corpus has no sample of this split and sensor", err=True)
    if as_json:
        echo(json.dumps([str(path) for path in paths], indent=1))
    else:
        for path in paths:
            echo(path)
