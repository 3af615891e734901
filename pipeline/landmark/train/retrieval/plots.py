"""Figures of an evaluation, as PNG files."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landmark.train.plots import save_figure
from landmark.train.retrieval.evaluate import EvaluationReport
from landmark.train.retrieval.events import EventReport

# Of Okabe and Ito, which colour-blind readers tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73")
_ROW_INCHES = 0.3


def draw_classes(report: EvaluationReport, path: Path) -> None:
    """Draw the mAP above chance of each class by sensor, the best class at the top."""
    classes = {key: own for key, own in report.classes.items() if own["overall"].map is not None}
    keys = sorted(classes, key=lambda key: classes[key]["overall"].above_chance)
    figure, axes = _new_figure(len(keys) + 1, 1)
    for number, sensor in enumerate(report.sensors):
        metrics = [classes[key][sensor] for key in keys]
        rows = [row for row, own in enumerate(metrics) if own.map is not None]
        label = f"{sensor}, mean {report.sensors[sensor].above_chance:.2f}"
        _dots(axes[0], [metrics[row].above_chance for row in rows], rows, number, label=label)
    ticks = [f"{key} ({classes[key]['overall'].relevant:.0f})" for key in keys]
    _finish(axes[0], ticks, f"mAP above chance: 0 chance, 1 perfect ({report.split}; images in brackets)", chance=0.0)
    axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False)
    save_figure(figure, path)


def draw_events(report: EvaluationReport, path: Path) -> None:
    """Draw the average precision of single events by type, and the ranks of images by phase."""
    sensors = {name: report.events[name] for name in report.sensors if name in report.events}
    types = [(own.type, own.label) for own in report.events["overall"].types][::-1]
    phases = [(own, phase.phase) for own in report.events["overall"].types[::-1] for phase in own.phases[::-1]]
    figure, (upper, lower) = _new_figure(len(types) + len(phases) + 5, 2, (len(types) + 1, len(phases) + 1))
    for number, (sensor, own) in enumerate(sensors.items()):
        _draw_types(upper, own, types, number, sensor)
        _draw_phases(lower, own, [(kind.type, phase) for kind, phase in phases], number, sensor)
    _finish(
        upper,
        [f"{name} ({label})" for name, label in types],
        "AP above chance of single events (small) and their mean",
        chance=0.0,
    )
    _finish(
        lower,
        [f"{kind.type}, {phase}" for kind, phase in phases],
        "Mean rank in the ranking of the class: 0 last, 1 first; dashed: chance",
        chance=0.5,
    )
    lower.set_xlim(0, 1)
    lower.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, frameon=False, fontsize=8)
    save_figure(figure, path)


def _draw_types(axes: Axes, report: EventReport, types: list[tuple[str, str]], number: int, sensor: str) -> None:
    singles = [own for own in report.events if (own.type, own.label) in types]
    rows = [types.index((own.type, own.label)) for own in singles]
    _dots(axes, [own.above_chance for own in singles], rows, number, s=10, alpha=0.5, linewidth=0)
    means = [types.index((own.type, own.label)) for own in report.types]
    _dots(axes, [own.above_chance for own in report.types], means, number, label=sensor)


def _draw_phases(axes: Axes, report: EventReport, phases: list[tuple[str, str]], number: int, sensor: str) -> None:
    metrics = {(own.type, phase.phase): phase for own in report.types for phase in own.phases}
    rows = [row for row, key in enumerate(phases) if key in metrics]
    _dots(
        axes,
        [metrics[phases[row]].percentile for row in rows],
        rows,
        number,
        label=f"{sensor}, all images",
        facecolor="white",
    )
    labelled = [row for row in rows if metrics[phases[row]].labelled_percentile is not None]
    values = [metrics[phases[row]].labelled_percentile for row in labelled]
    _dots(axes, values, labelled, number, label=f"{sensor}, labelled")


def _new_figure(rows: int, panels: int, heights: tuple[int, ...] = (1,)) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.5, 1 + _ROW_INCHES * rows), layout="constrained")
    return figure, figure.subplots(panels, 1, squeeze=False, height_ratios=heights)[:, 0]


def _dots(axes: Axes, values: list[Any], rows: list[int], number: int, **style: Any) -> None:
    """Draw values in the colour of a sensor, those of several sensors in a row a little apart."""
    colour = _COLOURS[number % len(_COLOURS)]
    places = [row + 0.13 * (1 - 2 * number) for row in rows]
    axes.scatter(values, places, **{"s": 36, "facecolor": colour, "edgecolor": colour, "zorder": 3, **style})


def _finish(axes: Axes, ticks: list[str], title: str, *, chance: float) -> None:
    axes.set_yticks(range(len(ticks)), ticks)
    axes.set_ylim(-0.6, len(ticks) - 0.4)
    axes.set_title(title, loc="left", fontsize=10)
    axes.axvline(chance, color="0.3", linewidth=1, linestyle="--")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
