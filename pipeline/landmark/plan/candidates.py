"""Find which acquisitions could serve which cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.config.profiles import Sensor
from landmark.config.recipe import Recipe
from landmark.domain.acquisition import Acquisition
from landmark.plan.coverage import CellSquares

Rows = NDArray[np.int64]
# A continent has millions of candidates.
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every (cell, acquisition, slot) that could become a sample, as parallel arrays `cell`, `acquisition`, `slot`.

    Per cell and slot, at most one candidate of each sensor is chosen. A slot is a period of the recipe, or a role in
    an event.

    Attributes:
        cells: CELLS columns and `split`.
        acquisitions: Sorted by id.
        cell: Row in `cells` of each candidate.
        acquisition: Index in `acquisitions` of each candidate.
        slot: Index in `slot_names` of each candidate.
        slot_names: Name of each slot.
        target_times: Time that the chosen acquisition should be near to, per slot, in seconds since 1970.
        acquisition_periods: Period of each acquisition.
        period_names: The distinct periods, sorted.
        acquisition_times: Time of each acquisition, in seconds since 1970.
    """

    cells: pa.Table
    acquisitions: list[Acquisition]
    cell: Numbers
    acquisition: Numbers
    slot: Numbers
    slot_names: list[str]
    target_times: Rows
    acquisition_periods: list[str]
    period_names: list[str]
    acquisition_times: Rows

    def of_sensor(self, sensor: str) -> Rows:
        """Candidates of a sensor, as rows."""
        matching = np.array([acquisition.sensor == sensor for acquisition in self.acquisitions], dtype=bool)
        return np.flatnonzero(matching[self.acquisition])

    def cell_slot_keys(self, rows: Rows) -> Rows:
        """One number per cell and slot, for each of some candidates."""
        return self.cell[rows].astype(np.int64) * len(self.slot_names) + self.slot[rows]

    def pair_keys(self, rows: Rows) -> Rows:
        """One number per cell and acquisition, for each of some candidates."""
        return self.cell[rows].astype(np.int64) * len(self.acquisitions) + self.acquisition[rows]

    def cell_names(self, rows: Rows) -> pa.ChunkedArray:
        """Cell ids of some candidates."""
        return self.cells["cell"].take(pa.array(self.cell[rows]))

    def with_slots(self, rows: Rows, slot: Rows, slots: Mapping[str, int]) -> "Candidates":
        """Select candidates and assign them to other slots, given as name -> target time."""
        return replace(
            self,
            cell=self.cell[rows],
            acquisition=self.acquisition[rows],
            slot=slot.astype(np.int32),
            slot_names=list(slots),
            target_times=np.array(list(slots.values()), dtype=np.int64),
        )


def find_candidates(
    cells: pa.Table,
    acquisitions: Sequence[Acquisition],
    recipe: Recipe,
    sensors: Mapping[str, Sensor],
    *,
    batch_size: int = 256,
) -> Candidates:
    """Find all candidates of the cells, with the recipe's periods as slots.

    Args:
        cells: CELLS columns and `split`.
        acquisitions: In any order.
        recipe: Cell size, grid and periods.
        sensors: Profiles by name.
        batch_size: Acquisitions tested at once; memory grows with their pairs with cells.
    """
    ordered = sorted(acquisitions, key=lambda acquisition: acquisition.id)
    # With cells anchored at the rasters' own corners, only acquisitions on the same pixel lattice count.
    warped = np.array([sensors[item.sensor].warped and recipe.grid == "utm" for item in ordered], dtype=bool)
    squares = CellSquares.of(cells, recipe.cell_m)
    acquisition, cell = _find_covered(squares, ordered, warped, batch_size)
    periods = [recipe.time.period_of(item.datetime) for item in ordered]
    names = sorted(set(periods))
    period = np.array([names.index(name) for name in periods], dtype=np.int32)
    return Candidates(
        cells=cells,
        acquisitions=ordered,
        cell=cell,
        acquisition=acquisition,
        slot=period[acquisition],
        slot_names=names,
        # Periods have no target time: 0 prefers the earliest.
        target_times=np.zeros(len(names), dtype=np.int64),
        acquisition_periods=periods,
        period_names=names,
        acquisition_times=np.array([int(item.datetime.timestamp()) for item in ordered], dtype=np.int64),
    )


def _find_covered(
    squares: CellSquares, ordered: Sequence[Acquisition], warped: NDArray[np.bool_], batch_size: int
) -> tuple[Numbers, Numbers]:
    """(acquisition, cell) of all candidates, sorted by acquisition and cell."""
    epsg = np.array([item.epsg for item in ordered], dtype=np.int64)
    # A batch has one CRS. Ids begin with sensor and tile or zone, so acquisitions of one CRS are adjacent.
    edges = np.union1d(np.flatnonzero(np.diff(epsg, prepend=0)), np.arange(0, len(ordered), batch_size))
    parts = [(np.empty(0, np.int32), np.empty(0, np.int32))]
    for start, end in pairwise([*edges.tolist(), len(ordered)]):
        number, cell = squares.find_covered(ordered[start:end], warped=warped[start:end])
        parts.append(((number + start).astype(np.int32), cell.astype(np.int32)))
    numbers, cells = zip(*parts, strict=True)
    return np.concatenate(numbers), np.concatenate(cells)
