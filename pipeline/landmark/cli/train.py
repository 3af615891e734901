"""`landmark train`: a CLOSP of a corpus."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.console import reporting
from landmark.domain.drops import TaskCounts

_REMARK_EVERY_S = 10.0

CorpusFolder = Annotated[Path, typer.Argument(help="A sealed corpus.", metavar="CORPUS")]
ModelName = Annotated[str, typer.Option("--model", help="A model by name or path: tiny, closp, closp-paper.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Override the model's epochs.")]
Batch = Annotated[int | None, typer.Option(min=2, help="Override the model's images of each sensor in a step.")]
TextWeights = Annotated[
    str | None, typer.Option(help="Weights of the text tower: a local folder, or a name on the Hugging Face hub.")
]


def train(
    corpus: CorpusFolder,
    model: ModelName = "tiny",
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/<corpus>-<model>.")] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    text: TextWeights = None,
    device: Device = "auto",
    save_every: Annotated[
        int, typer.Option(min=0, help="Steps between checkpoints inside an epoch; 0: only at its end.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Train CLOSP on a corpus, or resume: the same command goes on where it was interrupted."""
    profile, opened, folder = prepared(corpus, model, out, epochs=epochs, batch=batch, text=text)
    from landmark.train.loop import Training
    from landmark.train.loop import train as learn

    with progress_shown() as progress:
        wanted = Training(profile, folder, seed=seed, device=device, save_every=save_every, progress=progress)
        run = learn(opened, wanted)
    last = run.history[-1]
    typer.echo(
        run.model_dump_json(indent=1)
        if as_json
        else f"{folder} is trained: {run.steps} steps, {len(run.history)} epochs, mean loss {run.history[0].loss:.3f}"
        f" → {last.loss:.3f}, scale {last.scale:.3g}\n  landmark evaluate {corpus} {folder}"
    )


def prepared(
    corpus: Path,
    model: str,
    out: Path | None,
    *,
    epochs: int | None,
    batch: int | None,
    text: str | None,
    ending: str = "",
) -> tuple[Any, Any, Path]:
    """The profile, the corpus, and the folder of what is trained: by default one named after both in `runs`."""
    import landmark
    from landmark.train import require_libraries

    require_libraries()
    from landmark.train.profile import load_model

    profile, opened = load_model(model, epochs=epochs, batch=batch, text=text), landmark.open(corpus)
    folder = out or Path("runs") / f"{opened.manifest.name}-{Path(model).stem}{ending}"
    return profile, opened, folder.resolve()


@contextmanager
def progress_shown() -> Iterator[Callable[[str, int, int, str], None]]:
    """A progress callback for (stage, done, of, remark): a bar or lines, and now and then the remark."""
    log = logging.getLogger(__name__)
    last: dict[str, float] = {}
    with reporting() as report:

        def progress(stage: str, done: int, of: int, remark: str) -> None:
            report(stage, done, of, TaskCounts.zero())
            if remark and (done == of or time.monotonic() - last.get(stage, float("-inf")) >= _REMARK_EVERY_S):
                last[stage] = time.monotonic()
                log.info("%s: step %d of %d: %s", stage, done, of, remark)

        yield progress
