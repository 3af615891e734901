"""`landmark plan`: write plan and lock, and estimate the cost of a build."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.corpus.lock import ClassBalancingSummary
    from landmark.corpus.manifest import EventCells
    from landmark.plan.estimate import Estimate
    from landmark.plan.split_classes import SplitClasses
    from landmark.workflow.lock import Plan


def plan(
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
    as_json: options.Json = False,
) -> None:
    """Write plan and lock, and print what a build would fetch and write."""
    loaded = options.recipe(recipe, region, sensors, limit, labels=labels, formats=format)
    from landmark.workflow.build import BuildRequest, plan_corpus
    from landmark.workflow.context import load_offline_context
    from landmark.workflow.planner import describe_splits

    folder, executor = options.folder(out, loaded), options.executor(workers, scheduler, worker_timeout)
    with reporting() as progress:
        request = BuildRequest(
            loaded, folder, executor, catalog=catalog, allow_private=allow_private, locked=locked, progress=progress
        )
        planned, cost = plan_corpus(request)
        classes = describe_splits(planned, load_offline_context(loaded, planned.lock.catalog))
    render = _document if as_json else _page
    echo(render(planned, cost, classes, folder))


def _document(plan: "Plan", cost: "Estimate", classes: "SplitClasses", folder: Path) -> str:
    fields = {"considered", "split_proof", "class_balancing", "findings"}
    lock = plan.lock.model_dump(mode="json", include=fields)
    split_classes = {"split_classes": classes.cells, "split_warnings": classes.warnings}
    return json.dumps({**lock, **asdict(cost), **split_classes, "folder": str(folder)}, indent=1)


def _page(plan: "Plan", cost: "Estimate", classes: "SplitClasses", folder: Path) -> str:
    return "\n".join(_lines(plan, cost, classes, folder))


def _lines(plan: "Plan", cost: "Estimate", classes: "SplitClasses", folder: Path) -> Iterator[str]:
    lock, considered, proof = plan.lock, plan.lock.considered, plan.lock.split_proof
    groups = plan.samples.group_by(["sensor", "split"]).aggregate([("id", "count")])
    rows = groups.sort_by([("sensor", "ascending")]).to_pylist()
    counts = ", ".join(f"{row['sensor']} {row['split']} {row['id_count']}" for row in rows)
    reasons = {reason: count for reason, count in considered.items() if reason not in ("cells", "planned") and count}
    excluded = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    gap = (
        f"cells of two splits at least {proof.closest_m:g} m apart" if proof.closest_m is not None else "one split only"
    )
    yield f"samples       {cost.samples}  ({counts})"
    yield f"acquisitions  {cost.acquisitions}"
    yield (
        f"cells         {considered['planned']} of {considered['cells']} under an image"
        + (f"  (excluded: {excluded})" if excluded else "")
    )
    yield f"requests      about {cost.requests}"
    yield (f"fetched       about {cost.fetched_bytes / 1e9:.2f} GB, {cost.amplification:.1f} bytes for each byte kept")
    yield (
        f"corpus        about {cost.corpus_bytes / 1e9:.2f} GB, and {cost.staging_bytes / 1e9:.2f} GB more of disk"
        " space while building"
    )
    shared = f"{plural(proof.shared_blocks, 'block')} and {plural(proof.shared_acquisitions, 'acquisition')}"
    yield f"splits        {gap}; {shared} in two splits (reported only)"
    if classes.cells:
        yield from _classes(classes.cells)
    if lock.class_balancing is not None:
        yield from _class_balancing(lock.class_balancing)
    if proof.events:
        yield from _events(proof.events)
    yield from (f"warning       {finding}" for finding in [*lock.findings, *classes.warnings])
    yield f"written       {folder}/plan.parquet, label_counts.parquet, cloud_stats.parquet, lock.json"


def _classes(cells: "dict[str, dict[str, int]]") -> Iterator[str]:
    """Planned cells of each class per split."""
    width, splits = max(map(len, cells)), next(iter(cells.values()))
    yield f"classes       {'':<{width}}" + "".join(f"  {split:>6}" for split in splits)
    for key, counts in cells.items():
        yield f"              {key:<{width}}" + "".join(f"  {count:>6}" for count in counts.values())


def _class_balancing(summary: "ClassBalancingSummary") -> Iterator[str]:
    """Cells that have each class, among the candidates and among the chosen."""
    skipped = ", ".join(f"{count} {reason}" for reason, count in summary.skipped.items()) or "none"
    yield (
        f"balancing     {summary.chosen} of {summary.candidates} candidate cells  (excluded: {skipped});"
        f" with all of them {summary.amplification_of_all:.1f} bytes for each byte kept"
    )
    for key, before in summary.before.items():
        after = summary.after.get(key, 0)
        before_pct, after_pct = 100 * before / max(summary.candidates, 1), 100 * after / max(summary.chosen, 1)
        yield f"              {key:<20} {before:>7} {before_pct:>4.0f} %  →  {after:>7} {after_pct:>4.0f} %"


def _events(cells: "dict[str, EventCells]") -> Iterator[str]:
    """Cells of each event by role; without `event_sampling` no cell has one, and the number of events."""
    if not any(row.split for row in cells.values()):
        yield f"events        {len(cells)}; no cells are sampled around them (`event_sampling`)"
        return
    width = max(map(len, cells))
    yield f"events        {'':<{width}}  split  affected  before  unaffected  distant"
    for event, row in cells.items():
        counts = f"{row.affected:>8}  {row.before:>6}  {row.unaffected:>10}  {row.distant:>7}"
        yield f"              {event:<{width}}  {row.split or '-':<5}  {counts}"
