"""`landmark recaption`: the same pixels, told anew."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.core.errors import InputError
from landmark.core.yaml_files import read_text
from landmark.domain.drops import Tally

Corpus = Annotated[Path, typer.Argument(help="A sealed corpus.")]
RecipePath = Annotated[
    str | None, typer.Option("--recipe", help="The recipe to tell it by; by default the corpus's own.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the recipe, e.g. thresholds.default=10. Repeatable."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how the labels would change.")]


def recaption(
    corpus: Corpus,
    recipe: RecipePath = None,
    set_: Set = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    labels: options.Labels = None,
    limit: options.Limit = None,
    dry_run: DryRun = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    as_json: options.Json = False,
) -> None:
    """Write a sealed corpus's labels and words anew, as one more generation: no pixel is fetched, none changes."""
    from landmark.core.executor import Where
    from landmark.workflow import recaption as work

    if recipe is not None and set_:
        raise InputError("--recipe and --set: say one of them; write what is to change into the recipe")
    if recipe is None:
        given = {"--region": region, "--sensors": sensors, "--labels": labels, "--limit": limit}
        if ignored := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{ignored[0]}: needs --recipe, the recipe it changes; a corpus has the cells it has")
        wanted = work.recipe_of(corpus, dict(_pair(text) for text in set_ or ()))
    else:
        wanted = options.recipe(recipe, region, sensors, limit, labels=labels)
    where = Where(options.processes(workers), scheduler)
    with reporting() as progress:
        told = work.recaption(
            corpus.resolve(),
            wanted,
            where,
            dry_run=dry_run,
            progress=lambda stage, done, of: progress(stage, done, of, Tally.zero()),
        )
    typer.echo(_document(told, corpus) if as_json else "\n".join(_page(told, dry_run=dry_run)))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"--set {text}: give a key and a value, as in thresholds.default=10")
    return key.strip(), read_text(value, f"--set {text}")


def _document(told: Any, corpus: Path) -> str:
    said = {"corpus": str(corpus), "changed": told.changed, "before": told.before, "after": told.after}
    said["generation"] = max(shard.generation for shard in told.manifest.shards)
    return json.dumps(said | {"content": told.manifest.content}, indent=1)


def _page(told: Any, *, dry_run: bool) -> Iterator[str]:
    if not told.changed:
        yield "nothing to change: the corpus says all this already"
        return
    width = max(len(key) for key in [*told.before, *told.after, "no label"])
    for key in dict.fromkeys([*told.before, *told.after]):
        before, after = told.before.get(key, 0), told.after.get(key, 0)
        yield f"{key or 'no label':<{width}}  {before:>7} → {after:>7}" + (
            f"  {after - before:+}" if after != before else ""
        )
    if dry_run:
        yield "nothing was written"
        return
    shards = told.manifest.shards
    yield f"generation {shards[0].generation}: {len(shards)} shards, content {told.manifest.content}"
