"""Which acquisitions could serve which cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.base.archive import Acquisition
from landmark.base.profiles import Sensor
from landmark.base.recipe import Recipe
from landmark.draw.covering import Squares


@dataclass(frozen=True, slots=True)
class Choices:
    """Every (cell, acquisition) that could give a sample, as parallel arrays of row numbers.

    One of each sensor is chosen per cell and slot: a period of the recipe, or what an event asks for.

    Attributes:
        slot: Number of each choice's slot.
        slots: Their names.
        anchors: Per slot the moment to come near to, in seconds since 1970.
        periods: Per acquisition, and `names` of all of them, sorted.
        moments: Per acquisition, in seconds since 1970.
    """

    cells: pa.Table
    acquisitions: list[Acquisition]
    cell: NDArray[np.int64]
    acquisition: NDArray[np.int64]
    slot: NDArray[np.int64]
    slots: list[str]
    anchors: NDArray[np.int64]
    periods: list[str]
    names: list[str]
    moments: NDArray[np.int64]

    def of(self, sensor: str) -> NDArray[np.int64]:
        """The choices of one sensor."""
        mine = np.array([one.sensor == sensor for one in self.acquisitions], dtype=bool)
        return np.flatnonzero(mine[self.acquisition])

    def keys(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number per cell and slot."""
        return self.cell[rows] * len(self.slots) + self.slot[rows]

    def taken(self, rows: NDArray[np.int64], slot: NDArray[np.int64], slots: Mapping[str, int]) -> "Choices":
        """Some of the choices, for other slots: name → moment to come near to."""
        return replace(
            self,
            cell=self.cell[rows],
            acquisition=self.acquisition[rows],
            slot=slot,
            slots=list(slots),
            anchors=np.array(list(slots.values()), dtype=np.int64),
        )


def choices(
    cells: pa.Table, acquisitions: Sequence[Acquisition], recipe: Recipe, sensors: Mapping[str, Sensor]
) -> Choices:
    """All choices for the cells of a sample, in the order of the acquisitions' ids."""
    ordered = sorted(acquisitions, key=lambda one: one.id)
    # Cells anchored at rasters' own corners are for the rasters that lie on them.
    warped = {name: sensor.warped and recipe.grid == "utm" for name, sensor in sensors.items()}
    squares = Squares.of(cells, recipe.cell_m)
    covered = [squares.covered(one, warped=warped[one.sensor]) for one in ordered]
    periods = [recipe.time.period_of(one.moment) for one in ordered]
    names = sorted(set(periods))
    acquisition = np.repeat(np.arange(len(ordered)), [len(found) for found in covered])
    period = np.searchsorted(names, periods) if names else np.empty(0, np.int64)
    return Choices(
        cells=cells,
        acquisitions=ordered,
        cell=np.concatenate([np.empty(0, np.int64), *covered]),
        acquisition=acquisition,
        slot=period[acquisition],
        slots=names,
        # With nothing to come near to, the earliest.
        anchors=np.zeros(len(names), dtype=np.int64),
        periods=periods,
        names=names,
        moments=np.array([int(one.moment.timestamp()) for one in ordered], dtype=np.int64),
    )
