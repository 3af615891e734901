"""`landmark try`: a few samples of a recipe, to look at before a build."""

from typing import Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting


def trial(
    recipe: options.RecipeName = None,
    region: options.Region = None,
    sensors: options.Sensors = None,
    catalog: options.Catalog = None,
    labels: options.Labels = None,
    out: options.Out = None,
    workers: options.Workers = None,
    samples: Annotated[int, typer.Option(min=1, help="About how many samples.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed looks at other places.")] = 0,
) -> None:
    """Build a few samples in corpora/<recipe>-try and write sheet.html, a page to look at."""
    whole = options.recipe(recipe, region, sensors, None, labels=labels)
    from landmark.core.executor import Where
    from landmark.workflow.build import Request
    from landmark.workflow.preview import trial_recipe, try_out

    wanted = trial_recipe(whole, samples=samples, seed=seed, narrow=catalog is None and whole.catalog is None)
    notes = []
    if wanted.region != whole.region:
        notes.append(
            f"The search was narrowed to a few boxes of {whole.name}'s region, chosen by hash (seed {seed}): another"
            " --seed looks elsewhere, and `landmark build` takes the whole region."
        )
    for line in notes:
        typer.echo(line, err=True)
    with reporting() as progress:
        request = Request(
            wanted,
            options.folder(out, wanted),
            Where(options.processes(workers)),
            catalog=catalog,
            progress=progress,
        )
        typer.echo(try_out(request, notes=notes, left_out=whole.left_out))
