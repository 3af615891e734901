"""`landmark validate`: test whether a model learns the classes of a corpus from its pixels."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.cli.train import Batch, CorpusFolder, Device, Epochs, ModelName, TextWeights, load_inputs, run_folder
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.train.validation.comparison import SensorResult
    from landmark.train.validation.validate import ValidationReport


def validate(
    corpus: CorpusFolder,
    model: ModelName = "tiny",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, 3 or more; each trains a model.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    split: Annotated[str, typer.Option(help="Evaluated split: test or val.")] = "test",
    margin: Annotated[float, typer.Option(min=0, max=1, help="Minimum lead over each required rival, in mAP.")] = 0.15,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="One seed: intervals over blocks alone; only `refused` fails.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the trainings; by default runs/<corpus>-<model>-validation.")
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    text: TextWeights = None,
    device: Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train on the corpus; exit 0 if the model clearly leads rivals that do not learn classes from pixels."""
    opened, profile = load_inputs(corpus, model, epochs=epochs, batch=batch, text=text)
    folder = run_folder(out, opened, model, "-validation")
    from landmark.train.validation.validate import ValidationConfig
    from landmark.train.validation.validate import validate as run_validation

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
    document = {**_finite(asdict(report)), "passed": report.verdict.state == "passed"}
    echo(json.dumps(document, indent=1, allow_nan=False) if as_json else "\n".join(_lines(report)))
    accepted = ("passed", "undecided") if smoke else ("passed",)
    raise typer.Exit(0 if report.verdict.state in accepted else 1)


def _finite(value: Any) -> Any:
    """Replace infinite numbers, the ends of an interval over a single block, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(report: "ValidationReport") -> Iterator[str]:
    over = "blocks of images" if len(report.seeds) == 1 else f"blocks of images and {len(report.seeds)} seeds"
    yield f"{report.split} split; mAP over single classes; above chance: (mAP - chance) / (1 - chance)"
    yield f"leads of CLOSP with 95 % intervals over {over}"
    for result in report.results:
        yield from _sensor_lines(result)
        if left_out := report.left_out[result.sensor]:
            yield f"  left out, as all images have them or none: {', '.join(left_out)}"
    caveat = "; one seed, another may differ" if len(report.seeds) == 1 else ""
    yield f"{report.verdict.state.upper()} (margin {report.margin:g} mAP{caveat})"
    for reason in report.verdict.reasons:
        yield f"  {reason.state}: {reason.sensor}: {reason.message}"


def _sensor_lines(result: "SensorResult") -> Iterator[str]:
    from landmark.train.validation.verdict import (
        MIN_POSITIVES,
        REQUIRED_RIVALS,
        compare_lead,
        find_unbeaten,
        format_interval,
    )

    count = f"{plural(result.n_images, 'image')} in {plural(result.n_blocks, 'block')}"
    yield f"{result.sensor}: {count}, {plural(len(result.classes), 'class', 'classes')}"
    yield f"  {'':12}    mAP  above chance  lead of CLOSP"
    for name, rival in result.rivals.items():
        note = "" if name in REQUIRED_RIVALS else f"  {compare_lead(rival.lead)}; not required"
        columns = f"{rival.map:.3f}  {rival.above_chance:z12.2f}"
        yield f"  {name:12}  {columns}  {format_interval(rival.lead)}{note}"
    yield f"  {'CLOSP':12}  {result.map:.3f}  {result.above_chance:z12.2f}"
    counted = result.evidence.class_p
    n_beaten = len(counted) - len(find_unbeaten(counted))
    classes = f"{plural(len(counted), 'class', 'classes')} with {MIN_POSITIVES} positives or more"
    yield f"  block null: p = {result.null_p:.3f}; beaten by {n_beaten} of {classes}"
