"""Figures of the experiment: mAP of arms and rivals, and differences of arms with intervals over blocks and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from bench.experiment.arms import COMPARISONS, REFERENCE
from bench.experiment.runs import Scores
from landmark.corpus.metrics import chance_average_precisions
from landmark.train.validation.evaluated import EvaluatedSet
from landmark.train.validation.intervals import Interval, adjust_p, delete_block_maps, jackknife_interval, merge_blocks

# Of the rivals, those that a model should beat: what place alone tells, and what simple statistics of pixels tell.
RIVALS = ("nearest", "bands", "handcrafted")
LEVEL = 0.05
# Of differences, and of the p-values that follow from them.
_interval = partial(jackknife_interval, conservative=True)

Maps = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a mAP is the mean over: classes and sensors.

    Attributes:
        sensors: The mean of their mAPs is taken.
        events: Classes that images have because of events, or all others.
    """

    sensors: tuple[str, ...]
    events: bool


def list_measures(evaluated: Mapping[str, EvaluatedSet], event_classes: set[str]) -> dict[str, Measure]:
    """Measures by name: general classes of each sensor, event classes of each and of all."""
    general = [sensor for sensor, own in evaluated.items() if set(own.classes) - event_classes]
    crises = [sensor for sensor, own in evaluated.items() if set(own.classes) & event_classes]
    measures = {sensor: Measure((sensor,), events=False) for sensor in general}
    # Those of one sensor alone are those of all.
    measures |= {f"{sensor} events": Measure((sensor,), events=True) for sensor in crises if len(crises) > 1}
    return measures | ({"events": Measure(tuple(crises), events=True)} if crises else {})


class Analysis:
    """mAPs of scores on one division of a corpus.

    Attributes:
        measures: By name.
    """

    def __init__(self, evaluated: Mapping[str, EvaluatedSet], event_classes: set[str], blocks: Mapping[str, Any]):
        """Prepare the analysis.

        Args:
            evaluated: Images of each sensor.
            event_classes: Classes that are of events.
            blocks: Sensor → (image,) names of blocks, the same for both sensors.
        """
        self.measures = list_measures(evaluated, event_classes)
        self._evaluated, self._event_classes = evaluated, event_classes
        names = np.unique(np.concatenate([np.array(own, dtype=np.str_) for own in blocks.values()]))
        number = merge_blocks(np.arange(len(names)))
        self.n_blocks = int(number.max()) + 1
        self._block = {sensor: number[np.searchsorted(names, own)] for sensor, own in blocks.items()}

    def maps(self, scores: Sequence[Mapping[str, NDArray[np.floating]]], measure: str) -> Maps | None:
        """(seed, 1 + block): mAP of all images, then without each block; None if a sensor has no scores.

        Args:
            scores: Of each seed, sensor → (class, image).
            measure: Name of the measure.
        """
        sensors = self.measures[measure].sensors
        if not all(sensor in own for own in scores for sensor in sensors):
            return None
        means: Maps = np.mean([self._sensor_maps(scores, sensor, measure) for sensor in sensors], axis=0)
        return means

    def _sensor_maps(self, scores: Sequence[Mapping[str, NDArray[np.floating]]], sensor: str, measure: str) -> Maps:
        own, rows = self._evaluated[sensor], self._rows(sensor, measure)
        present, dense = np.unique(self._block[sensor], return_inverse=True)
        values = delete_block_maps(np.stack([part[sensor][rows] for part in scores]), own.relevant[rows], dense)
        # Without a block of other sensors' images nothing changes.
        maps = np.repeat(values[:, :1], 1 + self.n_blocks, axis=1)
        maps[:, 1 + present] = values[:, 1:]
        return maps

    def _rows(self, sensor: str, measure: str) -> list[int]:
        events = self.measures[measure].events
        classes = self._evaluated[sensor].classes
        return [row for row, key in enumerate(classes) if (key in self._event_classes) == events]

    def chance(self, measure: str) -> float:
        """Expected mAP of a random order."""
        sensors = self.measures[measure].sensors
        values = [
            chance_average_precisions(self._evaluated[sensor].relevant[self._rows(sensor, measure)]).mean()
            for sensor in sensors
        ]
        return float(np.mean(values))


def analyse(
    analysis: Analysis, arms: Mapping[str, Sequence[Mapping[str, Scores]]], rivals: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Figures of a division by measure, as a JSON document.

    Args:
        analysis: Of the division.
        arms: Arm → scores of each seed.
        rivals: Rival → sensor → scores (class, image).
    """
    document: dict[str, Any] = {}
    for measure in analysis.measures:
        maps = {name: own for name, scores in arms.items() if (own := analysis.maps(scores, measure)) is not None}
        ranked = {name: own for name in RIVALS if (own := analysis.maps([rivals[name]], measure)) is not None}
        document[measure] = {
            "classes": sum(len(analysis._rows(sensor, measure)) for sensor in analysis.measures[measure].sensors),
            "chance": round(analysis.chance(measure), 4),
            "rivals": {name: _round(own[0, 0]) for name, own in ranked.items()},
            "arms": {
                name: {
                    "maps": [_round(value) for value in own[:, 0]],
                    "lead": {rival: _bounds(_interval(own - simple)) for rival, simple in ranked.items()},
                    "difference": None if name == REFERENCE else _bounds(_interval(own - maps[REFERENCE])),
                }
                for name, own in maps.items()
            },
            "comparisons": _compare(maps),
        }
    return document


def _compare(maps: Mapping[str, Maps]) -> list[dict[str, Any]]:
    """Differences of the pairs of arms that have figures."""
    differences = []
    for own in COMPARISONS:
        if own.first in maps and own.second in maps:
            difference = _interval(maps[own.first] - maps[own.second])
            differences.append({**asdict(own), **_bounds(difference), "p": p_value(difference)})
    return differences


def p_value(difference: Interval) -> float:
    """Two-sided p-value of a difference of zero."""
    if not np.isfinite(difference.standard_error):
        return 1.0
    if difference.standard_error == 0:
        return 1.0 if difference.mean == 0 else 0.0
    return float(2 * t.sf(abs(difference.mean) / difference.standard_error, difference.dof))


def adjust(comparisons: Sequence[dict[str, Any]]) -> None:
    """Add `adjusted_p` to comparisons: Holm's correction (1979) over those of the same question."""
    for question in {own["question"] for own in comparisons}:
        family = [own for own in comparisons if own["question"] == question]
        for own, value in zip(family, adjust_p([own["p"] for own in family]), strict=True):
            own["adjusted_p"] = _round(value)


def _bounds(interval: Interval) -> dict[str, float | None]:
    return {"mean": _round(interval.mean), "low": _round(interval.low), "high": _round(interval.high)}


def _round(value: float) -> float | None:
    """Rounded; None for an end of an interval that is unknown."""
    return round(float(value), 4) if np.isfinite(value) else None
