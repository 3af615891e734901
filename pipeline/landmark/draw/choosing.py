"""Which acquisitions could serve which cells, and the best one of each sensor per cell and slot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.base.archive import Acquisition
from landmark.base.outcomes import left_out
from landmark.base.profiles import Mask, Sensor
from landmark.base.projection import LONLAT, projected
from landmark.base.recipe import Recipe

_UNSAID_CLOUD_PCT = 100.0
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


@dataclass(frozen=True, slots=True)
class Seen:
    """What the masks of some choices show, in percent: cloud and shadow; these and no data. NaN where not looked at."""

    veiled_pct: NDArray[np.float64]
    hidden_pct: NDArray[np.float64]


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
        epsg, self._x, self._y = (cells[name].to_numpy() for name in ("epsg", "x", "y"))
        order = np.lexsort((self._x, epsg))
        zones, first = np.unique(epsg[order], return_index=True)
        self._rows = dict(zip(zones.tolist(), np.split(order, first[1:]), strict=False))
        self._edges = {zone: self._x[rows] for zone, rows in self._rows.items()}

    def near(self, one: Acquisition) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the cells of its zone that begin between its left and right edge, and their left and top edges."""
        if one.epsg not in self._rows:
            return np.empty(0, np.int64), np.empty(0), np.empty(0)
        left, right = one.origin[0], one.origin[0] + one.size_px[0] * one.pixel_m
        west, east = np.searchsorted(self._edges[one.epsg], [left - one.pixel_m, right])
        rows = self._rows[one.epsg][west:east]
        return rows, self._x[rows], self._y[rows]


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
    shapely.prepare(footprint)
    within = np.ones(len(rows), dtype=bool)
    for dx, dy in ((0, 0), (cell_m, 0), (0, cell_m), (cell_m, cell_m)):
        within &= shapely.contains_xy(footprint, x + dx, y - dy)
    return np.sort(rows[within])


def _on_lattice(position: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(position - np.rint(position)) < _LATTICE_PX


def shortlist(of: Choices, sensor: Sensor, best_of: int, *, lone: bool = False) -> dict[str, NDArray[np.int64]]:
    """Acquisition id → rows of the cells whose mask is worth a look: the clearest few, where there is a choice.

    `lone`: also where there is none, for there is one of cells.
    """
    if sensor.mask is None or (best_of == 1 and not lone):
        return {}
    mask = sensor.mask.band
    masked = np.array([all(mask in item.assets for item in one.items) for one in of.acquisitions], dtype=bool)
    mine = of.of(sensor.name)
    mine = mine[masked[of.acquisition[mine]]]
    clearest_first = np.lexsort((np.arange(len(of.acquisitions)), _said_cloud(of)))
    standing = np.argsort(clearest_first)
    keys = of.keys(mine)
    order = np.argsort(keys * len(of.acquisitions) + standing[of.acquisition[mine]])
    mine, keys = mine[order], keys[order]
    start = np.flatnonzero(np.diff(keys, prepend=-1))
    count = np.diff(start, append=len(keys))
    place = np.arange(len(keys)) - np.repeat(start, count)
    looked = mine[(place < best_of) & (lone | (np.repeat(count, count) > 1))]
    # A mask is read once, however many slots ask for it.
    pairs = np.unique(of.acquisition[looked] * of.cells.num_rows + of.cell[looked])
    acquisition, cell = np.divmod(pairs, of.cells.num_rows)
    numbers, first = np.unique(acquisition, return_index=True)
    rows = np.split(cell, first[1:])
    return {of.acquisitions[number].id: cells for number, cells in zip(numbers.tolist(), rows, strict=False)}


def seen(of: Choices, clear: pa.Table, mask: Mask | None) -> Seen:
    """What a CLEAR table says of each choice."""
    veiled_pct, hidden_pct = np.full((2, len(of.cell)), np.nan)
    if mask is None or clear.num_rows == 0:
        return Seen(veiled_pct, hidden_pct)
    cell = pc.index_in(clear["cell"], of.cells["cell"].combine_chunks()).to_numpy()
    acquisition = pc.index_in(clear["acquisition"], pa.array([one.id for one in of.acquisitions])).to_numpy()
    looked, place = np.unique(_pairs(cell, acquisition, of), return_inverse=True)
    code, pixels = clear["code"].to_numpy(), clear["pixels"].to_numpy()
    veil = np.isin(code, (*mask.classes["cloud"], *mask.classes["shadow"]))
    total, veiled, hidden = (
        np.bincount(place, weights=pixels * counted, minlength=len(looked))
        for counted in (np.ones_like(veil), veil, veil | np.isin(code, mask.classes["nodata"]))
    )
    mine = np.flatnonzero(np.isin(np.arange(len(of.acquisitions)), acquisition)[of.acquisition])
    pairs = _pairs(of.cell[mine], of.acquisition[mine], of)
    at = np.minimum(np.searchsorted(looked, pairs), len(looked) - 1)
    known = looked[at] == pairs
    mine, at = mine[known], at[known]
    veiled_pct[mine], hidden_pct[mine] = 100 * veiled[at] / total[at], 100 * hidden[at] / total[at]
    return Seen(veiled_pct, hidden_pct)


def _pairs(cell: NDArray[np.int64], acquisition: NDArray[np.int64], of: Choices) -> NDArray[np.int64]:
    """One number per cell and acquisition."""
    return cell.astype(np.int64) * len(of.acquisitions) + acquisition


def choose(
    of: Choices,
    sensor: str,
    looked: Seen,
    beside: NDArray[np.int64],
    recipe: Recipe,
    *,
    among: NDArray[np.bool_] | None = None,
    nearest: bool = False,
) -> NDArray[np.int64]:
    """The best choice of a sensor per cell and slot: the clearest, then the nearest in time to what is `beside`.

    Or the `nearest`, then the clearest.

    Images whose mask was looked at and keeps the recipe's limits come first, then those that were not looked at, by
    what their items say of cloud (unsaid is all cloud), and those that break a limit last. With nothing beside, the
    nearest to the slot's anchor; then the smaller id. Only choices `among` some are looked at, where that is given.
    """
    mine = of.of(sensor) if among is None else np.intersect1d(of.of(sensor), np.flatnonzero(among))
    keys = of.keys(mine)
    away = np.abs(of.moments[of.acquisition[mine]] - _anchors(of, keys, mine, beside))
    hidden, veiled = looked.hidden_pct[mine], looked.veiled_pct[mine]
    unseen = np.isnan(hidden)
    fails = (veiled > recipe.clouds.max_chip_pct) | (hidden - veiled > 100 - recipe.min_valid_pct)
    cloud = np.where(unseen, _said_cloud(of)[of.acquisition[mine]], hidden)
    then = (away, cloud) if nearest else (cloud, away)
    return np.sort(mine[_least(keys, unseen + 2 * fails, *then, of.acquisition[mine])])


def _least(keys: NDArray[np.int64], *criteria: NDArray[Any]) -> NDArray[np.int64]:
    """Of the places that share a key the one that comes first by some criteria, the first of them counting most.

    Only those that are level go on to the next criterion: a sort by all of them takes a continent's choices minutes.
    """
    places = np.argsort(keys, kind="stable")
    for values in criteria:
        starts = np.flatnonzero(np.diff(keys[places], prepend=-1))
        level = np.repeat(np.minimum.reduceat(values[places], starts), np.diff(starts, append=len(places)))
        places = places[values[places] == level]
    return places


def _anchors(
    of: Choices, keys: NDArray[np.int64], mine: NDArray[np.int64], beside: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Per choice the moment to come near to: that of what is beside it, else its slot's."""
    anchors = of.anchors[of.slot[mine]]
    if len(beside):
        others, first = np.unique(of.keys(beside), return_index=True)
        at = np.minimum(np.searchsorted(others, keys), len(others) - 1)
        anchors = np.where(others[at] == keys, of.moments[of.acquisition[beside[first[at]]]], anchors)
    return anchors


def kept_clear(looked: Seen, chosen: NDArray[np.int64], recipe: Recipe) -> NDArray[np.bool_]:
    """Which of the chosen keep the limit, as far as their mask was looked at."""
    return np.asarray(~(looked.veiled_pct[chosen] > recipe.clouds.max_chip_pct))


def clouded(of: Choices, looked: Seen, rows: NDArray[np.int64]) -> pa.Table:
    """What the ledger says of choices that were the best of their slot, and under clouds."""
    told = [
        f"{of.slots[slot]}: at best {share:.1f} % hidden"
        for slot, share in zip(of.slot[rows].tolist(), looked.veiled_pct[rows].tolist(), strict=True)
    ]
    return left_out(of.cells["cell"].take(pa.array(of.cell[rows])), "cloud", pa.array(told, pa.string()))


def _said_cloud(of: Choices) -> NDArray[np.float64]:
    said: list[Any] = [_UNSAID_CLOUD_PCT if one.cloud_pct is None else one.cloud_pct for one in of.acquisitions]
    return np.array(said, dtype=np.float64)
