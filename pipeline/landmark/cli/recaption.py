"""`landmark recaption`: new labels and captions over the same pixels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.core.errors import InputError
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.corpus.manifest import Manifest
    from landmark.workflow.recaption import RecaptionResult

Corpus = Annotated[Path, typer.Argument(help="A sealed corpus.")]
RecipePath = Annotated[
    str | None, typer.Option("--recipe", help="The recipe to recaption by; by default the corpus's own.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the recipe, e.g. thresholds.default=10. Repeatable."
    ),
]
KeepGenerations = Annotated[
    bool,
    typer.Option("--keep-generations", help="Keep the files of the generation before; otherwise they are deleted."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report how the labels would change.")]


def recaption(
    corpus: Corpus,
    recipe: RecipePath = None,
    set_: Set = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    labels: options.Labels = None,
    limit: options.Limit = None,
    keep_generations: KeepGenerations = False,
    dry_run: DryRun = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    worker_timeout: options.WorkerTimeout = 600,
    as_json: options.Json = False,
) -> None:
    """Replace labels and captions of a sealed corpus by a new generation; no pixel is fetched or changed."""
    from landmark.workflow.recaption import recaption as recaption_corpus
    from landmark.workflow.recaption import recipe_of

    if recipe is not None and set_:
        raise InputError("exclude each other", file="--recipe and --set", remedy="write the changes into the recipe")
    if recipe is None:
        overrides = {"--region": region, "--sensors": sensors, "--labels": labels, "--limit": limit}
        if ignored := [name for name, value in overrides.items() if value is not None]:
            raise InputError("needs --recipe; the cells of a sealed corpus are fixed", file=ignored[0])
        loaded = recipe_of(corpus, dict(_key_value(text) for text in set_ or ()))
    else:
        loaded = options.recipe(recipe, region, sensors, limit, labels=labels)
    executor = options.executor(workers, scheduler, worker_timeout)
    with reporting() as progress:
        result = recaption_corpus(
            corpus.absolute(),
            loaded,
            executor,
            keep_generations=keep_generations,
            dry_run=dry_run,
            progress=progress,
        )
    echo(_document(result, corpus) if as_json else "\n".join(_page(result, dry_run=dry_run)))


def _key_value(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(
            "must be KEY=VALUE", file="--set", value=text, remedy="write for example thresholds.default=10"
        )
    from landmark.core.yaml_text import parse_yaml

    return key.strip(), parse_yaml(value, f"--set {text}")


def _document(result: "RecaptionResult", corpus: Path) -> str:
    manifest = result.manifest
    document = {
        "corpus": str(corpus),
        "changed": result.changed,
        "before": result.before,
        "after": result.after,
        "generation": max(shard.generation for shard in manifest.shards),
        "retained": _retained(manifest),
        "content": manifest.content_digest,
    }
    return json.dumps(document, indent=1)


def _retained(manifest: "Manifest") -> list[int]:
    """Numbers of the superseded generations that were kept on request."""
    return [generation.shards[0].generation for generation in manifest.superseded if generation.retained]


def _page(result: "RecaptionResult", *, dry_run: bool) -> Iterator[str]:
    if not result.changed:
        yield "nothing to change: the corpus already has these labels and captions"
        return
    labels = dict.fromkeys([*result.before, *result.after])
    width = max(len(label) for label in [*labels, "no label"])
    for label in labels:
        before, after = result.before.get(label, 0), result.after.get(label, 0)
        change = f"  {after - before:+}" if after != before else ""
        yield f"{label or 'no label':<{width}}  {before:>7} → {after:>7}{change}"
    if dry_run:
        yield "nothing was written"
        return
    shards = result.manifest.shards
    yield f"generation {shards[0].generation}: {plural(len(shards), 'shard')}, content {result.manifest.content_digest}"
    if retained := _retained(result.manifest):
        yield f"kept: generation {', '.join(map(str, retained))}; `landmark files` lists only the current one"
