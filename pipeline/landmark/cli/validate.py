"""`landmark validate`: test whether a model learns from a corpus's captions."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.cli.train import Batch, CorpusFolder, Device, Epochs, ModelName, TextWeights, load_inputs, run_folder

if TYPE_CHECKING:
    from landmark.train.validate import SensorResult, ValidationReport


def validate(
    corpus: CorpusFolder,
    model: ModelName = "tiny",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, 3 or more; each trains three models.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    split: Annotated[str, typer.Option(help="Evaluated split: test or val.")] = "test",
    margin: Annotated[float, typer.Option(min=0, help="Minimum lead over both controls, in mAP.")] = 0.05,
    smoke: Annotated[bool, typer.Option("--smoke", help="One seed: a quick check without intervals.")] = False,
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
    opened, profile = load_inputs(corpus, model, epochs=epochs, batch=batch, text=text)
    folder = run_folder(out, opened, model, "-validation")
    from landmark.train.validate import ValidationConfig
    from landmark.train.validate import validate as run_validation

    with reporting() as progress:
        config = ValidationConfig(
            profile,
            folder,
            list(range(seed, seed + (1 if smoke else seeds))),
            smoke=smoke,
            split=split,
            margin=margin,
            device=device,
            progress=progress,
        )
        report = run_validation(opened, config)
    document = {**asdict(report), "passed": report.passed}
    echo(json.dumps(document, indent=1) if as_json else _format(report))
    raise typer.Exit(0 if report.passed else 1)


def _format(report: "ValidationReport") -> str:
    single = len(report.seeds) == 1
    intervals = "one seed, no interval" if single else f"mean over {len(report.seeds)} seeds [95 % Student-t interval]"
    rows = [line for result in report.results for line in _format_sensor(report, result)]
    verdict = ("PASSED" if report.passed else "NOT PASSED") + (" (one seed: a quick check, no proof)" if single else "")
    return "\n".join(
        [f"{report.split} split, {intervals}", *rows, *(f"  {failure}" for failure in report.failures), verdict]
    )


def _format_sensor(report: "ValidationReport", result: "SensorResult") -> list[str]:
    from landmark.train.validate import format_interval

    lines = [f"  {result.sensor:10} {'mAP':>7} {'chance':>7} {'R-prec':>7} {'chance':>7}  mAP above chance"]
    for condition, interval in result.above_chance.items():
        metrics = [
            score.metrics for score in report.scores if (score.condition, score.sensor) == (condition, result.sensor)
        ]
        names = ("map", "chance_map", "r_precision", "chance_r_precision")
        means = (sum(getattr(run, name) for run in metrics) / len(metrics) for name in names)
        lines.append(f"    {condition:8} {' '.join(f'{mean:7.3f}' for mean in means)}  {format_interval(interval)}")
    leads = (f"over {control} {format_interval(interval)}" for control, interval in result.leads.items())
    return [*lines, f"    lead {', '.join(leads)}; required: above {report.margin:+.3f}"]
