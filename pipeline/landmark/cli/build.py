"""`landmark build`: recipe → corpus."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.corpus.manifest import Manifest
    from landmark.plan.estimate import Estimate


def build(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    labels: options.Labels = None,
    catalog: options.Catalog = None,
    allow_private: options.AllowPrivate = False,
    out: options.Out = None,
    limit: options.Limit = None,
    format: options.Format = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    worker_timeout: options.WorkerTimeout = 600,
    locked: options.Locked = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try samples again that failed before.")] = False,
    allow_failures: Annotated[
        bool, typer.Option("--allow-failures", help="Seal although samples failed; the ledger lists them as drops.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start a large build without confirmation.")] = False,
    as_json: options.Json = False,
) -> None:
    """Build or resume a corpus. A sealed corpus of the same recipe only gains the formats it lacks."""
    loaded = options.recipe(recipe, region, sensors, limit, labels=labels, formats=format)
    from landmark.workflow.build import BuildRequest
    from landmark.workflow.build import build as build_corpus
    from landmark.workflow.finalize import require_coverage

    folder, start = options.folder(out, loaded), time.monotonic()
    with reporting() as progress:
        manifest = build_corpus(
            BuildRequest(
                loaded,
                folder,
                options.executor(workers, scheduler, worker_timeout),
                catalog=catalog,
                allow_private=allow_private,
                locked=locked,
                retry=retry,
                allow_failures=allow_failures,
                consent=lambda cost: yes or _confirm(cost),
                progress=progress,
            )
        )
    echo(manifest.model_dump_json(indent=1) if as_json else _page(manifest, folder, time.monotonic() - start))
    require_coverage(folder, limited=loaded.limit is not None)


def _confirm(cost: "Estimate") -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(
        f"Fetch {cost.fetched_bytes / 1e9:.0f} GB and write {cost.corpus_bytes / 1e9:.0f} GB?", err=True
    )


def _page(manifest: "Manifest", folder: Path, seconds: float) -> str:
    counts = manifest.counts
    dropped = ", ".join(f"{reason} {count}" for reason, count in manifest.dropped.items())
    size_mb = sum(shard.size_bytes for shard in manifest.shards) / 1e6
    lines = [
        f"{folder} is sealed: {plural(counts['written'], 'sample')} in {plural(len(manifest.shards), 'shard')},"
        f" {size_mb:.0f} MB, {seconds:.0f} s",
        f"  planned {counts['planned']} = written {counts['written']} + dropped {counts['dropped']}"
        + (f" ({dropped})" if dropped else "")
        + f" + failed {counts['failed']}",
    ]
    if manifest.exports:
        size_mb = sum(export.size_bytes for export in manifest.exports) / 1e6
        lines.append(f"  webdataset: {plural(len(manifest.exports), '.tar file')}, {size_mb:.0f} MB")
    for sensor, splits in manifest.samples.items():
        lines.append(f"  {sensor}: " + ", ".join(f"{split} {count}" for split, count in splits.items()))
    lines.append("  labels: " + (", ".join(f"{label} {count}" for label, count in manifest.labels.items()) or "none"))
    lines += [f"  warning: {finding}" for finding in manifest.findings]
    lines.append(f"  content {manifest.content_digest}  lock {manifest.lock_digest}")
    return "\n".join(lines)
