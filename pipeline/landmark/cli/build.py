"""`landmark build`: the corpus."""

import sys
import time
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting


def build(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    labels: options.Labels = None,
    catalog: options.Catalog = None,
    out: options.Out = None,
    limit: options.Limit = None,
    format: options.Format = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    locked: options.Locked = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try samples again that failed before.")] = False,
    seal_anyway: Annotated[
        bool, typer.Option("--seal-anyway", help="Count failed samples as drops, and say so.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start a large build unasked.")] = False,
    as_json: options.Json = False,
) -> None:
    """Build a corpus, or resume one; a sealed corpus of the same recipe only gains the formats it lacks."""
    wanted = options.recipe(recipe, region, sensors, limit, labels=labels, formats=format)
    from landmark.core.executor import Where
    from landmark.workflow import build as work

    folder, where, start = options.folder(out, wanted), Where(options.processes(workers), scheduler), time.monotonic()
    with reporting() as progress:
        request = work.Request(
            wanted,
            folder,
            where,
            catalog=catalog,
            locked=locked,
            retry=retry,
            seal_anyway=seal_anyway,
            consent=lambda cost: yes or _agreed(cost),
            progress=progress,
        )
        manifest = work.build(request)
    typer.echo(manifest.model_dump_json(indent=1) if as_json else _page(manifest, folder, time.monotonic() - start))


def _agreed(cost: Any) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(
        f"Fetch {cost.fetched_bytes / 1e9:.0f} GB and write {cost.corpus_bytes / 1e9:.0f} GB?", err=True
    )


def _page(manifest: Any, folder: Any, seconds: float) -> str:
    counts = manifest.counts
    dropped = ", ".join(f"{reason} {count}" for reason, count in manifest.dropped.items())
    lines = [
        f"{folder} is sealed: {counts['written']} samples in {len(manifest.shards)} shards,"
        f" {sum(shard.size_bytes for shard in manifest.shards) / 1e6:.0f} MB, {seconds:.0f} s",
        f"  planned {counts['planned']} = written {counts['written']} + dropped {counts['dropped']}"
        + (f" ({dropped})" if dropped else "")
        + f" + failed {counts['failed']}",
    ]
    if manifest.projections:
        size_mb = sum(one.size_bytes for one in manifest.projections) / 1e6
        lines.append(f"  webdataset: {len(manifest.projections)} .tar files, {size_mb:.0f} MB")
    for sensor, splits in manifest.samples.items():
        lines.append(f"  {sensor}: " + ", ".join(f"{split} {count}" for split, count in splits.items()))
    lines.append("  labels: " + (", ".join(f"{label} {count}" for label, count in manifest.labels.items()) or "none"))
    lines += [f"  look here: {finding}" for finding in manifest.findings]
    lines.append(f"  content {manifest.content}  lock {manifest.lock_digest}")
    return "\n".join(lines)
