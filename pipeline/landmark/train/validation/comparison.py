"""Compare a model with its rivals and nulls on the images of one sensor, from scores alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.metrics import above_chance, average_precisions, chance_average_precisions
from landmark.train.validation.evaluated import EvaluatedSet
from landmark.train.validation.intervals import Interval, delete_block_maps, jackknife_interval
from landmark.train.validation.null import block_null
from landmark.train.validation.verdict import MIN_POSITIVES, Evidence

# Draws of the null; more where Holm's correction of so many classes would need a smaller p-value than 1/1001.
_DRAWS, _DRAWS_PER_CLASS = 1000, 40


@dataclass(frozen=True, slots=True)
class RivalResult:
    """Result of a rival.

    Attributes:
        map: Its mAP.
        above_chance: (mAP - chance) / (1 - chance).
        lead: The model's mAP minus that of the rival.
    """

    map: float
    above_chance: float
    lead: Interval


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Result of a class.

    Attributes:
        positives: Relevant images.
        blocks: Blocks that have any.
        ap: Average precision of the model, mean over seeds.
        chance_ap: Expected average precision of a random order.
        p: P-value of the class's own null.
    """

    positives: int
    blocks: int
    ap: float
    chance_ap: float
    p: float


@dataclass(frozen=True, slots=True)
class SensorResult:
    """Results of a sensor.

    Attributes:
        sensor: Name.
        n_images: Evaluated images.
        n_blocks: Their blocks.
        maps: MAP of the model, by seed.
        map: Mean over seeds.
        chance_map: Expected mAP of a random order.
        above_chance: (mAP - chance) / (1 - chance).
        rivals: Results by rival.
        null_p: P-value of the block null.
        null_map: Expected mAP above chance under the null.
        classes: Results by class.
    """

    sensor: str
    n_images: int
    n_blocks: int
    maps: list[float]
    map: float
    chance_map: float
    above_chance: float
    rivals: dict[str, RivalResult]
    null_p: float
    null_map: float
    classes: dict[str, ClassResult]

    @property
    def evidence(self) -> Evidence:
        """What the verdict is decided on."""
        leads = {name: rival.lead for name, rival in self.rivals.items()}
        class_p = {name: own.p for name, own in self.classes.items() if own.positives >= MIN_POSITIVES}
        single_block = frozenset(name for name in class_p if self.classes[name].blocks == 1)
        return Evidence(self.sensor, self.n_blocks, len(self.maps), leads, self.null_p, class_p, single_block)


def compare(
    evaluated: EvaluatedSet, scores: NDArray[np.floating], rivals: Mapping[str, NDArray[np.floating]], *, seed: int = 0
) -> SensorResult:
    """Compare the scores of a model (seed, class, image) with those of rivals (class, image).

    Args:
        evaluated: Images and classes.
        scores: Of the model.
        rivals: Rival → its scores.
        seed: Of the null's draws.
    """
    relevant, block = evaluated.relevant, evaluated.block
    chance = chance_average_precisions(relevant)
    model = delete_block_maps(scores, relevant, block)
    draws = max(_DRAWS, _DRAWS_PER_CLASS * len(evaluated.classes))
    null = block_null(scores, evaluated, seed=seed, draws=draws)
    precisions = np.mean([average_precisions(own, relevant) for own in scores], axis=0)
    chance_map, mean = float(chance.mean()), float(model[:, 0].mean())
    return SensorResult(
        sensor=evaluated.sensor,
        n_images=len(evaluated.ids),
        n_blocks=evaluated.n_blocks,
        maps=model[:, 0].tolist(),
        map=mean,
        chance_map=chance_map,
        above_chance=above_chance(mean, chance_map),
        rivals={
            name: _rival_result(model, delete_block_maps(own[None], relevant, block), chance_map)
            for name, own in rivals.items()
        },
        null_p=null.p,
        null_map=null.expected,
        classes={
            key: ClassResult(
                positives=int(own.sum()),
                blocks=len(np.unique(block[own])),
                ap=float(precisions[row]),
                chance_ap=float(chance[row]),
                p=null.class_p[key],
            )
            for row, (key, own) in enumerate(zip(evaluated.classes, relevant, strict=True))
        },
    )


def _rival_result(model: NDArray[np.float64], rival: NDArray[np.float64], chance_map: float) -> RivalResult:
    mean = float(rival[0, 0])
    return RivalResult(mean, above_chance(mean, chance_map), jackknife_interval(model - rival))
