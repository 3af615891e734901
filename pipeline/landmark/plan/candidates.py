"""Which acquisitions could serve which cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.profiles import Sensor
from landmark.config.recipe import Recipe
from landmark.domain.acquisition import Acquisition
from landmark.plan.coverage import Squares

Rows = NDArray[np.int64]

# Images looked at together: enough for few steps of Python, and few million pairs of image and cell.
_AT_ONCE = 256


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
    cell: Rows
    acquisition: Rows
    slot: Rows
    slots: list[str]
    anchors: Rows
    periods: list[str]
    names: list[str]
    moments: Rows

    def of(self, sensor: str) -> Rows:
        """The choices of one sensor."""
        mine = np.array([one.sensor == sensor for one in self.acquisitions], dtype=bool)
        return np.flatnonzero(mine[self.acquisition])

    def keys(self, rows: Rows) -> Rows:
        """One number per cell and slot."""
        return self.cell[rows] * len(self.slots) + self.slot[rows]

    def taken(self, rows: Rows, slot: Rows, slots: Mapping[str, int]) -> "Choices":
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
    warped = [sensors[one.sensor].warped and recipe.grid == "utm" for one in ordered]
    acquisition, cell = _covered(Squares.of(cells, recipe.cell_m), ordered, warped)
    periods = [recipe.time.period_of(one.moment) for one in ordered]
    names = sorted(set(periods))
    period = np.searchsorted(names, periods) if names else np.empty(0, np.int64)
    return Choices(
        cells=cells,
        acquisitions=ordered,
        cell=cell,
        acquisition=acquisition,
        slot=period[acquisition],
        slots=names,
        # With nothing to come near to, the earliest.
        anchors=np.zeros(len(names), dtype=np.int64),
        periods=periods,
        names=names,
        moments=np.array([int(one.moment.timestamp()) for one in ordered], dtype=np.int64),
    )


def _covered(squares: Squares, ordered: Sequence[Acquisition], warped: Sequence[bool]) -> tuple[Rows, Rows]:
    """(acquisition, cell) of all choices, by acquisition and cell."""
    epsg = np.array([one.epsg for one in ordered], dtype=np.int64)
    # Ids begin with sensor and tile or zone, so that those of one CRS stand together.
    edges = np.union1d(np.flatnonzero(np.diff(epsg, prepend=0)), np.arange(0, len(ordered), _AT_ONCE))
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for start, end in pairwise([*edges.tolist(), len(ordered)]):
        image, cell = squares.covered(ordered[start:end], warped=np.array(warped[start:end]))
        found.append((image + start, cell))
    acquisition, cell = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return acquisition, cell
