"""`landmark plan`: what a build would do, and what it would cost."""

import json
from dataclasses import asdict
from typing import Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting


def plan(
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
    as_json: options.Json = False,
) -> None:
    """Write plan and lock, and print what the build would take."""
    wanted = options.recipe(recipe, region, sensors, limit, labels=labels, formats=format)
    from landmark.core.executor import ExecutorConfig
    from landmark.workflow import build as work

    folder, where = options.folder(out, wanted), ExecutorConfig(options.processes(workers), scheduler)
    with reporting() as progress:
        planned, cost = work.plan_corpus(
            work.BuildRequest(wanted, folder, where, catalog=catalog, locked=locked, progress=progress)
        )
    lock = planned.lock
    told = lock.model_dump(mode="json", include={"considered", "split_proof", "class_balancing", "findings"})
    said = {**told, **asdict(cost)}
    said["folder"] = str(folder)
    typer.echo(json.dumps(said, indent=1) if as_json else _page(said, planned.samples))


def _page(said: dict[str, Any], plan: Any) -> str:
    considered, proof = said["considered"], said["split_proof"]
    fetched_gb, corpus_gb, staging_gb = (said[f"{name}_bytes"] / 1e9 for name in ("fetched", "corpus", "staging"))
    rows = (
        plan.group_by(["sensor", "split"]).aggregate([("id", "count")]).sort_by([("sensor", "ascending")]).to_pylist()
    )
    counts = ", ".join(f"{row['sensor']} {row['split']} {row['id_count']}" for row in rows)
    left = ", ".join(
        f"{count} {reason}" for reason, count in considered.items() if reason not in ("cells", "planned") and count
    )
    gap = (
        "one split only"
        if proof["closest_m"] is None
        else f"cells of two splits at least {proof['closest_m']:g} m apart"
    )
    return "\n".join(
        (
            f"samples       {said['samples']}  ({counts})",
            f"acquisitions  {said['acquisitions']}",
            f"cells         {considered['planned']} of {considered['cells']} under an image"
            + (f"  (not: {left})" if left else ""),
            f"requests      about {said['requests']}",
            f"fetched       about {fetched_gb:.2f} GB, {said['amplification']:.1f} bytes for each byte kept",
            f"corpus        about {corpus_gb:.2f} GB, and {staging_gb:.2f} GB more of disk while building",
            f"splits        {gap}; {proof['shared_blocks']} blocks in two splits,"
            f" {proof['shared_acquisitions']} acquisitions seen by two (reported only)",
            *_meaning(said["class_balancing"]),
            *_events(proof.get("events", {})),
            *(f"look here     {finding}" for finding in said["findings"]),
            f"written       {said['folder']}/plan.parquet, label_counts.parquet, cloud_stats.parquet, lock.json",
        )
    )


def _meaning(told: dict[str, Any] | None) -> list[str]:
    """What choosing by meaning did to the classes: cells that carry each, among the candidates and among the chosen."""
    if not told:
        return []
    skipped = ", ".join(f"{count} {reason}" for reason, count in told["skipped"].items()) or "none"
    lines = [
        f"by meaning    {told['chosen']} of {told['candidates']} candidate cells  (not: {skipped});"
        f" with all of them {told['amplification_of_all']:.1f} bytes for each byte kept"
    ]
    for key, before in told["before"].items():
        after = told["after"].get(key, 0)
        pct, then_pct = 100 * before / max(told["candidates"], 1), 100 * after / max(told["chosen"], 1)
        lines.append(f"              {key:<20} {before:>7} {pct:>4.0f} %  →  {after:>7} {then_pct:>4.0f} %")
    return lines


def _events(told: dict[str, Any]) -> list[str]:
    """How many cells play each role in each event."""
    if not told:
        return []
    wide = max(map(len, told))
    lines = [f"events        {'':<{wide}}  split  affected  before  unaffected  distant"]
    for event, said in told.items():
        counts = f"{said['affected']:>8}  {said['before']:>6}  {said['unaffected']:>10}  {said['distant']:>7}"
        lines.append(f"              {event:<{wide}}  {said['split'] or '-':<5}  {counts}")
    return lines
