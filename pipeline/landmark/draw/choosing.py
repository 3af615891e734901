"""Which acquisitions could serve which cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.base.archive import Acquisition
from landmark.base.profiles import Sensor
from landmark.base.projection import LONLAT, projected
from landmark.base.recipe import Recipe

_LATTICE_PX = 1e-3


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
    eastwards = _Eastwards(cells)
    covered = [_covered(eastwards, one, recipe.cell_m, warped=warped[one.sensor]) for one in ordered]
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


class _Eastwards:
    """The cells of each zone from west to east: no raster need look at a whole continent."""

    def __init__(self, cells: pa.Table) -> None:
        epsg, x, y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
        order = np.lexsort((x, epsg))
        zones, first = np.unique(epsg[order], return_index=True)
        parts = (np.split(column[order], first[1:]) for column in (x, y, np.arange(len(x))))
        self._zones = dict(zip(zones.tolist(), zip(*parts, strict=True), strict=False))

    def near(self, one: Acquisition) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the cells of its zone whose upper left corner lies in the raster; that corner's x and y."""
        (left, top), (wide, high) = one.origin, (size * one.pixel_m for size in one.size_px)
        x, y, rows = self._zones.get(one.epsg, (np.empty(0), np.empty(0), np.empty(0, np.int64)))
        strip = slice(*np.searchsorted(x, [left - one.pixel_m, left + wide]))
        between = (y[strip] <= top + one.pixel_m) & (y[strip] > top - high)
        return rows[strip][between], x[strip][between], y[strip][between]


def _covered(eastwards: _Eastwards, one: Acquisition, cell_m: float, *, warped: bool) -> NDArray[np.int64]:
    """Rows of the cells inside the raster, on its pixels unless `warped`, with all corners inside the footprint."""
    rows, x, y = eastwards.near(one)
    (left, top), (width, height) = one.origin, one.size_px
    col, row, size = (x - left) / one.pixel_m, (top - y) / one.pixel_m, cell_m / one.pixel_m
    between = ~(_on_lattice(col) & _on_lattice(row))
    inside = warped | ~between
    for place, pixels in ((col, width), (row, height)):
        # Between two pixels, interpolation needs one more.
        first, count = np.where(between, np.floor(place + _LATTICE_PX), place), size + between
        inside &= (first >= -_LATTICE_PX) & (first + count <= pixels + _LATTICE_PX)
    rows, x, y = rows[inside], x[inside], y[inside]
    if not len(rows):
        return rows
    # Publishers turn a raster's corners into degrees: its edges are straight in the raster's own CRS, not between them.
    footprint = projected(one.footprint, LONLAT, one.epsg).buffer(one.pixel_m)
    # A corner is 0.71 cells from the centre: most cells lie so deep inside that one look is enough.
    deep = footprint.buffer(-0.75 * cell_m)
    shapely.prepare([footprint, deep])
    within = shapely.contains_xy(deep, x + cell_m / 2, y - cell_m / 2)
    shallow = np.flatnonzero(~within)
    within[shallow] = True
    for dx, dy in ((0, 0), (cell_m, 0), (0, cell_m), (cell_m, cell_m)):
        within[shallow] &= shapely.contains_xy(footprint, x[shallow] + dx, y[shallow] - dy)
    return np.sort(rows[within])


def _on_lattice(position: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(position - np.rint(position)) < _LATTICE_PX
