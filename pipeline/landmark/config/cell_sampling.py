"""Options of a recipe for selecting cells: by hash, by classes or around events."""

import math
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from landmark.core.errors import invalid
from landmark.core.yaml_files import StrictModel

Percent = Annotated[float, Field(gt=0, le=100)]
Count = Annotated[int, Field(ge=0)]
_DEFAULT = "default"


class EventSampling(StrictModel):
    """Cells around events in place of cells all over the region. Counts are per event and upper limits."""

    affected: int = Field(
        12, ge=0, description="Cells in which the event's class reaches its threshold, or near an epicentre"
    )
    before: bool = Field(
        True,
        description="Also take, for each affected cell, the latest image before the event by the same sensor and orbit"
        " direction",
    )
    unaffected: int = Field(4, ge=0, description="Cells that were fully mapped and show nothing of the event")
    distant: int = Field(4, ge=0, description="Cells of the same acquisitions away from all events")
    max_distance_km: float = Field(15, gt=0, description="Maximum distance of `distant` cells from the event")
    min_distance_km: float = Field(1.2, ge=0, description="Minimum distance of `distant` cells from all events")
    before_days: int = Field(90, ge=1, description="Maximum age of a `before` image at the event's start")
    after_days: int = Field(60, ge=0, description="Images are taken up to this many days after the event's end")


class ClassBalancing(StrictModel):
    """Cells selected by their label maps, before any image is read."""

    candidates: float = Field(
        4, ge=1, description="Candidate cells as a multiple of `cells`: complete clusters in the order of their hash"
    )
    balance: bool = Field(True, description="Fill up by the class that is rarest so far; false: by hash")
    guarantee: Count | dict[str, Count] = Field(
        0, description="Cells to select first for each class, as far as there are: one number, or one per class"
    )
    cap: Percent | dict[str, Percent] = Field(
        100,
        description="Maximum share of selected cells that show a class, in percent: one number, or one per class, with"
        " `default` for others",
    )
    repeats: int | None = Field(
        None,
        ge=1,
        description="Cells with equal labels and equal shares, rounded to tenths, that are selected before others are"
        " used up",
    )

    @model_validator(mode="after")
    def _check_any_rule(self) -> "ClassBalancing":
        if not self.balance and not self.guarantee and self.cap == 100 and self.repeats is None:
            raise invalid(
                "selects nothing", remedy="give balance, guarantee, cap or repeats, or remove `class_balancing`"
            )
        return self

    def min_cells(self, key: str) -> int:
        """Cells of a class to select first."""
        if isinstance(self.guarantee, int):
            return self.guarantee
        return self.guarantee.get(key, self.guarantee.get(_DEFAULT, 0))

    def cap_pct(self, key: str) -> float:
        """Maximum share of selected cells that show a class, in percent."""
        return self.cap.get(key, self.cap.get(_DEFAULT, 100)) if isinstance(self.cap, dict) else self.cap

    def unknown_keys(self, classes: Iterable[str]) -> list[str]:
        """Keys such as `cap.tree` that name none of the classes."""
        valid = {_DEFAULT, *classes}
        tables = {"guarantee": self.guarantee, "cap": self.cap}
        return [
            f"{name}.{key}"
            for name, table in tables.items()
            if isinstance(table, dict)
            for key in sorted(table.keys() - valid)
        ]


class Sampling(StrictModel):
    """Selection of cells. Complete clusters of cells are sampled, in the order of their hash."""

    fraction: float = Field(1.0, gt=0, le=1, description="Fraction of the region's clusters")
    cells: int | None = Field(None, ge=1, description="Stop after the cluster that reaches this many cells")
    cluster_px: int = Field(
        512, ge=1, description="Edge of a cluster; a multiple of the rasters' block size, so that blocks are shared"
    )
    seed: int = Field(0, ge=0, description="Seed of all random choices of the recipe")
    class_balancing: ClassBalancing | None = Field(
        None, description="Select among the clusters' cells by their label maps"
    )

    @property
    def candidates(self) -> int | None:
        """Candidate cells to sample clusters for; None for all."""
        factor = 1 if self.class_balancing is None else self.class_balancing.candidates
        return None if self.cells is None else math.ceil(self.cells * factor)
