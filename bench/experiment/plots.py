"""Figures of the experiment, as PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.experiment.arms import REFERENCE
from bench.experiment.table import DIVISIONS, MEASURES, RIVALS, arm_titles
from landmark.train.plots import save_figure

# Of Okabe and Ito, which colour-blind readers tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MEASURES = ("s1", "s2", "events")
_ROW_INCHES, _PANEL_INCHES = 0.42, 3.4

Result = Mapping[str, Any]


def draw_differences(result: Result, path: Path) -> None:
    """Draw the difference of each arm from CLOSP with its interval: a panel for a measure, a colour for a division."""
    titles = arm_titles(result)
    figure, panels = _new_figure(result, list(titles.values()))
    for axes, measure in panels:
        axes.axvline(0, color="0.6", linewidth=1)
        for number, (division, document) in enumerate(result["divisions"].items()):
            arms = document["measures"].get(measure, {"arms": {}})["arms"]
            rows = [row for row, name in enumerate(titles) if name in arms]
            own = [arms[list(titles)[row]]["difference"] for row in rows]
            means = [difference["mean"] for difference in own]
            errors = [[_length(part, end) for part in own] for end in ("low", "high")]
            places = [row + _offset(number, len(result["divisions"])) for row in rows]
            label, colour = DIVISIONS[division], _COLOURS[number]
            axes.errorbar(means, places, xerr=errors, fmt="o", markersize=4, color=colour, label=label)
        axes.set_xlabel("difference in mAP from CLOSP")
        axes.locator_params(axis="x", nbins=5)
    _finish(figure, panels[0][0])
    save_figure(figure, path)


def draw_maps(result: Result, path: Path) -> None:
    """Draw the mAP of rivals and arms, small marks for seeds: a panel for a measure, a colour for a division."""
    titles = {REFERENCE: "CLOSP", **arm_titles(result)}
    figure, panels = _new_figure(result, ["chance", *RIVALS.values(), *titles.values()])
    for axes, measure in panels:
        axes.axhline(len(RIVALS) + 0.5, color="0.8", linewidth=1)
        for number, document in enumerate(result["divisions"].values()):
            if measure not in document["measures"]:
                continue
            own, shift = document["measures"][measure], _offset(number, len(result["divisions"]))
            simple = [own["chance"], *(own["rivals"][name] for name in RIVALS)]
            axes.plot(simple, [row + shift for row in range(len(simple))], "D", color=_COLOURS[number], markersize=4)
            for row, name in enumerate(titles, start=len(simple)):
                maps = own["arms"].get(name, {"maps": []})["maps"]
                axes.plot(maps, [row + shift] * len(maps), ".", color=_COLOURS[number], markersize=4, alpha=0.6)
                if maps:
                    mean = sum(maps) / len(maps)
                    axes.plot(mean, row + shift, "o", color=_COLOURS[number], markersize=5)
        axes.set(xlabel="mAP", xlim=(0, 1))
    for number, division in enumerate(result["divisions"]):
        panels[0][0].plot([], [], "o", color=_COLOURS[number], label=DIVISIONS[division])
    _finish(figure, panels[0][0])
    save_figure(figure, path)


def _new_figure(result: Result, rows: list[str]) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with a panel for each measure that a division has, and its measures."""
    known = [name for name in _MEASURES if any(name in own["measures"] for own in result["divisions"].values())]
    figure = Figure(figsize=(_PANEL_INCHES * len(known) + 2, _ROW_INCHES * len(rows) + 1.6), layout="constrained")
    panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].invert_yaxis()
    for axes, measure in zip(panels, known, strict=True):
        axes.set_title(MEASURES[measure])
        axes.grid(axis="x", color="0.9")
    return figure, list(zip(panels, known, strict=True))


def _length(difference: Mapping[str, float | None], end: str) -> float:
    """Length of an interval from its mean to an end; an unknown end is drawn as none."""
    mean, value = difference["mean"], difference[end]
    return 0.0 if mean is None or value is None else abs(value - mean)


def _offset(number: int, count: int) -> float:
    """Shift of a division's marks within a row."""
    return 0.5 * ((number + 0.5) / count - 0.5)


def _finish(figure: Figure, axes: Axes) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(_COLOURS), frameon=False)
