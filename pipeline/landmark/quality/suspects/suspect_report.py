"""Result types of `landmark check --suspects`."""

from typing import Literal

from pydantic import Field

from landmark.core.yaml_files import StrictModel


class ClassRanking(StrictModel):
    """How well the pixels tell samples with a label from those without."""

    key: str
    samples: int = Field(description="Samples with the label")
    auroc: float | None = Field(description="Of out-of-fold predictions; null with too few samples with or without it")
    unexpected: int | None = Field(description="Labelled samples that look as others do; null: cannot tell")
    missing: int | None = Field(description="Samples without the label that look as those with it")


class LabelSuspect(StrictModel):
    """A sample with labels that the pixels of its cell, or the labels of its other samples, do not support."""

    id: str
    log_odds: float = Field(description="Of labels of another place")
    labels: list[str]
    expected: dict[str, float] = Field(description="Class → out-of-fold probability of the label, the largest first")


class EventSuspect(StrictModel):
    """A sample with an event label without change of its pixels, or with a change without label."""

    id: str
    reference: str = Field(description="Sample of the same cell and sensor that it is compared with")
    problem: Literal["label without change", "change without label"]
    type: str
    event: str
    fraction: float = Field(description="Fraction of the cell that the label covers")
    changed: float = Field(description="Share of the pixels that changed")


class LabelNoise(StrictModel):
    """Estimated share of samples with labels of another place."""

    samples: int = Field(description="Samples with labels")
    auroc: float = Field(description="Of the score, between the samples and samples with exchanged labels")
    rate_pct: float
    low_pct: float = Field(description="Lower end of the 95 % interval")
    high_pct: float


class Suspects(StrictModel):
    """Result of `landmark check --suspects`."""

    noise: LabelNoise | None = None
    cannot_tell: str | None = Field(None, description="Why labels are not ranked")
    classes: list[ClassRanking] = Field([], description="The least predictable first")
    labels: list[LabelSuspect] = Field([], description="The worst 100, or all that a finding names; worst first")
    named: int = Field(0, description="Number of the first of `labels` that findings name")
    events: list[EventSuspect] = Field([], description="Worst first")
    events_compared: int = Field(0, description="Samples whose pixels were compared for an event")
    events_cannot_tell: str | None = Field(None, description="Why events are not compared")
