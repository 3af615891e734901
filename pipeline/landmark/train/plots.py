"""Figures as PNG files, and the learning curve of a training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landmark.core.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from landmark.train.checkpoint import EpochRecord
    from landmark.train.metrics import StepRecord


def draw_curve(steps: Sequence["StepRecord"], history: Sequence["EpochRecord"], path: Path) -> None:
    """Draw loss, validation loss and learning rate over the steps, as a PNG."""
    # Takes a CPU second, which the start of a command should not.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    numbers, ends = [record.step for record in steps], [record.step for record in history]
    losses.plot(numbers, [record.loss for record in steps], color="0.8", linewidth=0.8, label="step")
    losses.plot(ends, [record.loss for record in history], marker=".", label="mean of the epoch")
    validated = [record for record in history if record.validation_loss is not None]
    if validated:
        points = [record.step for record in validated], [record.validation_loss for record in validated]
        losses.plot(*points, marker=".", label="validation")
    losses.set_ylabel("loss")
    losses.legend()
    rates.plot(numbers, [record.learning_rate for record in steps], color="C2")
    rates.set(xlabel="step", ylabel="learning rate")
    save_figure(figure, path)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG, atomically and with the same bytes each time."""
    with atomic_path(path) as partial:
        # Without the version of matplotlib, which is metadata by default.
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})
