"""`landmark validate`: whether the corpus teaches what its captions say."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.train import Batch, CorpusFolder, Device, Epochs, ModelName, TextWeights, prepared, progress_shown


def validate(
    corpus: CorpusFolder,
    model: ModelName = "tiny",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, 3 or more; each trains three models.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    split: Annotated[str, typer.Option(help="What is judged: test or val.")] = "test",
    margin: Annotated[float, typer.Option(min=0, help="Lead over both controls that is asked for, in mAP.")] = 0.05,
    smoke: Annotated[bool, typer.Option("--smoke", help="One seed: a first look, without intervals.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the trainings; by default runs/<corpus>-<model>-validation.")
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    text: TextWeights = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train on the corpus, on shuffled captions and on random labels; exit 0 if the first leads both by the margin."""
    profile, opened, folder = prepared(corpus, model, out, epochs=epochs, batch=batch, text=text, ending="-validation")
    from landmark.train.validate import Validation
    from landmark.train.validate import validate as prove

    with progress_shown() as progress:
        wanted = Validation(
            profile,
            folder,
            list(range(seed, seed + (1 if smoke else seeds))),
            smoke=smoke,
            split=split,
            margin=margin,
            device=device,
            progress=progress,
        )
        verdict = prove(opened, wanted)
    told = {**asdict(verdict), "passed": verdict.passed}
    typer.echo(json.dumps(told, indent=1) if as_json else _page(verdict))
    raise typer.Exit(0 if verdict.passed else 1)


def _page(verdict: Any) -> str:
    rows = [line for outcome in verdict.outcomes for line in _sensor(verdict, outcome)]
    ended = "PASSED" if verdict.passed else "NOT PASSED"
    ended += "" if len(verdict.seeds) > 1 else " (one seed: a look, no proof)"
    several = f"mean over {len(verdict.seeds)} seeds [95 % Student-t interval]"
    spread = "one seed, no interval" if len(verdict.seeds) == 1 else several
    head = f"{verdict.split} split, {spread}"
    return "\n".join([head, *rows, *(f"  {line}" for line in verdict.objections), ended])


def _sensor(verdict: Any, outcome: Any) -> list[str]:
    from landmark.train.validate import said

    lines = [f"  {outcome.sensor:10} {'mAP':>7} {'chance':>7} {'R-prec':>7} {'chance':>7}  mAP above chance"]
    for arm, interval in outcome.arms.items():
        mine = [one.figures for one in verdict.scores if (one.arm, one.sensor) == (arm, outcome.sensor)]
        names = ("map", "chance_map", "r_precision", "chance_r_precision")
        means = (sum(getattr(one, name) for one in mine) / len(mine) for name in names)
        lines.append(f"    {arm:8} {' '.join(f'{mean:7.3f}' for mean in means)}  {said(interval)}")
    leads = (f"over {control} {said(interval)}" for control, interval in outcome.lead.items())
    return [*lines, f"    real leads {', '.join(leads)}; asked for: above {verdict.margin:+.3f}"]
