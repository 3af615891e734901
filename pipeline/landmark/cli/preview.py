"""`landmark preview`: a few samples of a recipe and a page that shows them."""

from typing import Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo


def preview(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    catalog: options.Catalog = None,
    allow_private: options.AllowPrivate = False,
    labels: options.Labels = None,
    out: options.Out = None,
    workers: options.Workers = None,
    worker_timeout: options.WorkerTimeout = 600,
    samples: Annotated[int, typer.Option(min=1, help="Approximate number of samples.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed takes other places.")] = 0,
) -> None:
    """Build a few samples in corpora/<recipe>-preview and write sheet.html, which shows them."""
    full = options.recipe(recipe, region, sensors, None, labels=labels)
    from landmark.workflow.build import BuildRequest
    from landmark.workflow.finalize import require_coverage
    from landmark.workflow.preview import preview_recipe, write_preview

    small = preview_recipe(full, samples=samples, seed=seed, narrow=catalog is None and full.catalog is None)
    notes = []
    if small.region != full.region:
        notes.append(
            f"The search was limited to a few boxes of the region of {full.name}, chosen by hash (seed {seed}): another"
            " --seed takes other boxes, and `landmark build` takes the whole region."
        )
    for line in notes:
        echo(line, err=True)
    with reporting() as progress:
        request = BuildRequest(
            small,
            options.folder(out, small),
            options.executor(workers, worker_timeout=worker_timeout),
            catalog=catalog,
            progress=progress,
        )
        echo(write_preview(request, notes=notes, skipped=full.skipped_labels))
    require_coverage(request.out, limited=True)
