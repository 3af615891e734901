"""`metrics.jsonl`: a line for each step of a training, and after each epoch one for the epoch.

The file is replaced at each checkpoint, before `run.json`, and cut to the checkpoint's step on a resume, so that no
line is missing or double. It holds no wall time, so that a resumed training writes the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from landmark.core.atomic import write_bytes
from landmark.core.corpus_paths import readable
from landmark.core.errors import InvalidRun
from landmark.train.checkpoint import EpochRecord

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a training.

    Attributes:
        step: Number from 1 on.
        epoch: Number from 1 on.
        loss: Mean over the step's batches.
        learning_rate: In this step.
        scale: Factor of the cosines after it.
        gradient_norm: Before clipping.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    scale: float
    gradient_norm: float


def read_steps(folder: Path, step: int) -> list[StepRecord]:
    """Read the records of the steps up to a checkpoint's.

    Raises:
        InvalidRun: the file is missing or damaged.
    """
    if step == 0:
        return []
    path = readable(folder, METRICS_FILE)
    try:
        values = [value for value in map(json.loads, path.read_text().splitlines()) if "gradient_norm" in value]
        steps = [StepRecord(**value) for value in values[:step]]
        problem = "steps are missing"
    except (OSError, ValueError, TypeError) as error:
        steps, problem = [], str(error)
    if [record.step for record in steps] != list(range(1, step + 1)):
        remedy = f"delete {folder} to train from the start"
        raise InvalidRun(f"not the metrics of this run: {problem}", file=path, remedy=remedy)
    return steps


def write_metrics(folder: Path, steps: Sequence[StepRecord], history: Sequence[EpochRecord]) -> None:
    """Replace the file."""
    write_bytes(folder / METRICS_FILE, "".join(f"{line}\n" for line in _lines(steps, history)).encode())


def _lines(steps: Sequence[StepRecord], history: Sequence[EpochRecord]) -> Iterator[str]:
    epochs = {record.step: record for record in history}
    for record in steps:
        yield json.dumps(asdict(record))
        if record.step in epochs:
            yield epochs[record.step].model_dump_json()
