"""The best acquisition of each sensor per cell and slot: the clearest, or the nearest in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Mask, Sensor
from landmark.config.recipe import Recipe
from landmark.domain.drops import left_out
from landmark.plan.candidates import Choices

_UNSAID_CLOUD_PCT = 100.0
_DAY_S = 86_400
# More than the seconds between any two images.
_FAR_S = 2**40
_AT_ONCE = 2**20

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the masks of some choices show, in percent: cloud and shadow; these and no data.

    Attributes:
        rows: The choices whose masks were looked at, ascending.
    """

    rows: Rows
    veiled_pct: NDArray[np.float64]
    hidden_pct: NDArray[np.float64]

    @classmethod
    def nothing(cls) -> "Seen":
        """No mask was looked at."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    def of(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both of some choices, NaN where not looked at."""
        at = np.searchsorted(self.rows, rows)
        known = np.append(self.rows, -1)[at] == rows
        veiled, hidden = (
            np.where(known, np.append(part, np.nan)[at], np.nan) for part in (self.veiled_pct, self.hidden_pct)
        )
        return veiled, hidden


def shortlist(of: Choices, sensor: Sensor, best_of: int, *, lone: bool = False) -> dict[str, Rows]:
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
    if mask is None or clear.num_rows == 0:
        return Seen.nothing()
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
    at = at[known]
    return Seen(mine[known], 100 * veiled[at] / total[at], 100 * hidden[at] / total[at])


def _pairs(cell: Rows, acquisition: Rows, of: Choices) -> Rows:
    """One number per cell and acquisition."""
    return cell.astype(np.int64) * len(of.acquisitions) + acquisition


def choose(
    of: Choices,
    sensor: str,
    looked: Seen,
    beside: Rows,
    recipe: Recipe,
    *,
    among: NDArray[np.bool_] | None = None,
    nearest: bool = False,
) -> Rows:
    """The best choice of a sensor per cell and slot: the clearest, then the nearest in time to what is `beside`.

    Or the `nearest`, then the clearest. Among images near enough for a pair, those of the cell's own zone come before
    others, which must be warped.

    Images whose mask was looked at and keeps the recipe's limits come first, then those that were not looked at, by
    what their items say of cloud (unsaid is all cloud), and those that break a limit last. With nothing beside, the
    nearest to the slot's anchor; then the smaller id. Only choices `among` some are looked at, where that is given.
    """
    mine = of.of(sensor) if among is None else np.intersect1d(of.of(sensor), np.flatnonzero(among))
    said, anchor = _said_cloud(of), _anchors(of, beside)

    def tier(rows: Rows) -> NDArray[Any]:
        veiled, hidden = looked.of(rows)
        fails = (veiled > recipe.clouds.max_chip_pct) | (hidden - veiled > 100 - recipe.min_valid_pct)
        return np.asarray(np.isnan(hidden) + 2 * fails)

    def cloud(rows: Rows) -> NDArray[Any]:
        _, hidden = looked.of(rows)
        return np.where(np.isnan(hidden), said[of.acquisition[rows]], hidden)

    def away(rows: Rows) -> NDArray[Any]:
        away_s = np.abs(of.moments[of.acquisition[rows]] - anchor(rows))
        far = away_s > recipe.max_pair_gap_days * _DAY_S
        return np.asarray(away_s + _FAR_S * (_foreign(of, rows) + 2 * far))

    then = (away, cloud) if nearest else (cloud, away)
    return np.sort(_least(mine, of.keys(mine), tier, *then, lambda rows: of.acquisition[rows]))


def _least(rows: Rows, keys: Rows, *criteria: Callable[[Rows], NDArray[Any]]) -> Rows:
    """Of the rows that share a key the one that comes first by some criteria, the first of them counting most.

    Only those that are level go on to the next criterion: to sort by all of them takes a continent's choices minutes.
    """
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    # A million at a time, those of a key together: what a criterion needs is ten times as large as the rows.
    cuts = np.searchsorted(keys, keys[_AT_ONCE::_AT_ONCE])
    parts = zip(np.split(rows, cuts), np.split(keys, cuts), strict=True)
    return np.concatenate([_level(*part, criteria) for part in parts])


def _level(rows: Rows, keys: Rows, criteria: Sequence[Callable[[Rows], NDArray[Any]]]) -> Rows:
    """Of rows that stand by their key those that no criterion sets behind another."""
    for criterion in criteria:
        starts, values = np.flatnonzero(np.diff(keys, prepend=-1)), criterion(rows)
        level = values == np.repeat(np.minimum.reduceat(values, starts), np.diff(starts, append=len(rows)))
        rows, keys = rows[level], keys[level]
    return rows


def _anchors(of: Choices, beside: Rows) -> Callable[[Rows], Rows]:
    """Tells of choices the moment to come near to: that of what is beside them, else their slot's."""
    others, first = np.unique(of.keys(beside), return_index=True)
    then = of.moments[of.acquisition[beside[first]]]

    def anchor(rows: Rows) -> Rows:
        at = np.searchsorted(others, of.keys(rows))
        known = np.append(others, -1)[at] == of.keys(rows)
        return np.where(known, np.append(then, 0)[at], of.anchors[of.slot[rows]])

    return anchor


def _foreign(of: Choices, rows: Rows) -> NDArray[np.bool_]:
    """Whether an image lies in another zone than the cell."""
    images = np.array([one.epsg for one in of.acquisitions], dtype=np.int64)
    return np.asarray(images[of.acquisition[rows]] != of.cells["epsg"].to_numpy()[of.cell[rows]])


def kept_clear(looked: Seen, chosen: Rows, recipe: Recipe) -> NDArray[np.bool_]:
    """Which of the chosen keep the limit, as far as their mask was looked at."""
    veiled, _ = looked.of(chosen)
    return np.asarray(~(veiled > recipe.clouds.max_chip_pct))


def clouded(of: Choices, looked: Seen, rows: Rows) -> pa.Table:
    """What the ledger says of choices that were the best of their slot, and under clouds."""
    veiled, _ = looked.of(rows)
    told = [
        f"{of.slots[slot]}: at best {share:.1f} % hidden"
        for slot, share in zip(of.slot[rows].tolist(), veiled.tolist(), strict=True)
    ]
    return left_out(of.cells["cell"].take(pa.array(of.cell[rows])), "cloud", pa.array(told, pa.string()))


def _said_cloud(of: Choices) -> NDArray[np.float64]:
    said: list[Any] = [_UNSAID_CLOUD_PCT if one.cloud_pct is None else one.cloud_pct for one in of.acquisitions]
    return np.array(said, dtype=np.float64)
