"""`landmark train`: train CLOSP or GeoCLOSP on a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.cli.echo import echo
from landmark.core.plural import plural

if TYPE_CHECKING:
    from landmark.corpus.reader import Corpus
    from landmark.train.checkpoint import Run
    from landmark.train.profile import ModelProfile

CorpusFolder = Annotated[Path, typer.Argument(help="A sealed corpus.", metavar="CORPUS")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", help="A model by name or path: tiny, tiny-texture, closp, closp-paper, geoclosp, geoclosp-tiny."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Override the model's length, in epochs.")]
Batch = Annotated[int | None, typer.Option(min=8, help="Override the model's images of each sensor per step: 8, 16, …")]
TextWeights = Annotated[
    str | None, typer.Option(help="Weights of the text tower: a local folder or a Hugging Face hub name.")
]


def train(
    corpus: CorpusFolder,
    model: ModelName = "tiny",
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/<corpus>-<model>.")] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of initialisation, order and augmentation.")] = 0,
    sensors: Annotated[str | None, typer.Option(help="Sensors to train on, as s1,s2; by default all.")] = None,
    text: TextWeights = None,
    device: Device = "auto",
    save_every: Annotated[
        int, typer.Option(min=0, help="Steps between checkpoints inside an epoch; 0 saves at its end only.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Train CLOSP or GeoCLOSP on a corpus; the same command resumes an interrupted training.

    Several GPUs: torchrun --standalone --nproc-per-node 4 -m landmark train CORPUS. Each has a part of every
    batch.
    """
    opened, profile = load_inputs(corpus, model, epochs=epochs, batch=batch, text=text)
    folder = run_folder(out, opened, model)
    from landmark.train.distributed import is_main
    from landmark.train.loop import TrainingConfig
    from landmark.train.loop import train as run_training

    chosen = None if sensors is None else [name.strip() for name in sensors.split(",")]
    with reporting() as progress:
        config = TrainingConfig(
            profile, folder, seed=seed, sensors=chosen, device=device, save_every=save_every, progress=progress
        )
        run = run_training(opened, config)
    if is_main():
        echo(run.model_dump_json(indent=1) if as_json else _format(run, corpus, folder))


def _format(run: "Run", corpus: Path, folder: Path) -> str:
    """Losses of the first and the selected epoch, and the next command."""
    first, selected = run.history[0], run.selected_epoch
    length = f"{plural(run.step, 'step')}, {plural(len(run.history), 'epoch')}"
    lines = [
        f"trained: {folder}: {length}, mean loss {first.loss:.3f} → {selected.loss:.3f}, scale {selected.scale:.3g}"
    ]
    if selected.validation_loss is not None:
        change = f"{first.validation_loss:.3f} → {selected.validation_loss:.3f}"
        lines.append(f"  validation loss {change}; weights of epoch {selected.epoch}")
    return "\n".join([*lines, f"  landmark evaluate {corpus} {folder}"])


def load_inputs(
    corpus: Path, model: str, *, epochs: int | None, batch: int | None, text: str | None
) -> tuple["Corpus", "ModelProfile"]:
    """Open the corpus and load the model profile of a command line."""
    import landmark
    from landmark.train import require_libraries

    require_libraries()
    from landmark.train.profile import load_profile

    profile = load_profile(model, epochs=epochs, batch=batch, text=text)
    return landmark.open(corpus), profile


def run_folder(out: Path | None, corpus: "Corpus", model: str, suffix: str = "") -> Path:
    """Absolute path of the output folder; by default `runs/<corpus>-<model><suffix>`."""
    return (out or Path("runs") / f"{corpus.manifest.name}-{Path(model).stem}{suffix}").absolute()
