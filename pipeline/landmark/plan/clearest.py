"""Choose the best acquisition of each sensor per cell and slot: the clearest, or the nearest in time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Mask, Sensor
from landmark.config.recipe import Recipe
from landmark.domain.drops import skipped_cells
from landmark.plan.candidates import Candidates, Rows

# Cloud cover assumed of items that declare none.
_UNKNOWN_CLOUD_PCT = 100.0
_DAY_S = 86_400
# Longer than the time between any two acquisitions.
_FAR_S = 2**40
# Candidates ranked at once: a criterion needs ten times the memory of the rows.
_BATCH_SIZE = 2**19

Percent = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CloudCover:
    """Cloud cover of the candidates whose masks were read, in percent.

    Attributes:
        rows: These candidates, ascending.
        cloud_pct: Cloud and shadow.
        masked_pct: Cloud, shadow and pixels without data.
    """

    rows: Rows
    cloud_pct: Percent
    masked_pct: Percent

    @classmethod
    def empty(cls) -> "CloudCover":
        """No mask was read."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    def lookup(self, rows: Rows) -> tuple[Percent, Percent]:
        """(cloud_pct, masked_pct) of some candidates, NaN where the mask was not read."""
        index = np.searchsorted(self.rows, rows)
        known = np.append(self.rows, -1)[index] == rows
        cloud_pct, masked_pct = (
            np.where(known, np.append(values, np.nan)[index], np.nan) for values in (self.cloud_pct, self.masked_pct)
        )
        return cloud_pct, masked_pct


def shortlist(candidates: Candidates, sensor: Sensor, count: int, *, force: bool = False) -> dict[str, Rows]:
    """Shortlist the acquisitions whose masks to read: the clearest few per cell and slot.

    Those whose items declare no cloud cover are all shortlisted, beyond the `count`.

    Args:
        candidates: All candidates.
        sensor: The sensor; without a mask band nothing is shortlisted.
        count: Acquisitions per cell and slot.
        force: Also shortlist where a cell and slot has a single candidate, and with a `count` of 1.

    Returns:
        Acquisition id -> rows of its cells.
    """
    if sensor.mask is None or (count == 1 and not force):
        return {}
    acquisitions, band = candidates.acquisitions, sensor.mask.band
    has_mask = np.array([all(band in item.assets for item in entry.items) for entry in acquisitions], dtype=bool)
    rows = candidates.of_sensor(sensor.name)
    rows = rows[has_mask[candidates.acquisition[rows]]]
    clearest_first = np.lexsort((np.arange(len(acquisitions)), _item_cloud_pct(candidates)))
    rank = np.argsort(clearest_first)
    unknown = np.array([entry.cloud_pct is None for entry in acquisitions], dtype=bool)

    def select(rows: Rows) -> Rows:
        keys = candidates.cell_slot_keys(rows)
        order = np.argsort(keys * len(acquisitions) + rank[candidates.acquisition[rows]])
        rows, keys = rows[order], keys[order]
        start = np.flatnonzero(np.diff(keys, prepend=-1))
        group_size = np.diff(start, append=len(keys))
        listed = (np.arange(len(keys)) - np.repeat(start, group_size) < count) | unknown[candidates.acquisition[rows]]
        return np.asarray(rows[listed & (force | (np.repeat(group_size, group_size) > 1))])

    listed = np.concatenate([select(batch) for batch in _by_cells(candidates, rows, _BATCH_SIZE)])
    # Slots may share an acquisition and cell, whose mask is read once.
    acquisition, cell = candidates.acquisition[listed], candidates.cell[listed]
    pairs = np.unique(acquisition.astype(np.int64) * candidates.cells.num_rows + cell)
    acquisition, cell = np.divmod(pairs, candidates.cells.num_rows)
    numbers, first = np.unique(acquisition, return_index=True)
    cells = np.split(cell, first[1:])
    return {acquisitions[number].id: group for number, group in zip(numbers.tolist(), cells, strict=False)}


def match_cloud_stats(candidates: Candidates, cloud_stats: pa.Table, mask: Mask | None) -> CloudCover:
    """Look up the cloud cover of each candidate in a CLOUD_STATS table."""
    if mask is None or cloud_stats.num_rows == 0:
        return CloudCover.empty()
    ids = pa.array([item.id for item in candidates.acquisitions])
    cell = _numbers(cloud_stats["cell"], candidates.cells["cell"].combine_chunks())
    acquisition = _numbers(cloud_stats["acquisition"], ids)
    measured, inverse = np.unique(cell.astype(np.int64) * len(ids) + acquisition, return_inverse=True)
    code, pixels = cloud_stats["code"].to_numpy(), cloud_stats["pixels"].to_numpy()
    is_cloud = np.isin(code, (*mask.classes["cloud"], *mask.classes["shadow"]))
    is_masked = is_cloud | np.isin(code, mask.classes["nodata"])
    total, cloud, masked = (
        np.bincount(inverse, weights=pixels * counted, minlength=len(measured))
        for counted in (np.ones_like(is_cloud), is_cloud, is_masked)
    )
    rows = np.flatnonzero(np.isin(np.arange(len(ids)), acquisition)[candidates.acquisition])
    keys = candidates.pair_keys(rows)
    index = np.minimum(np.searchsorted(measured, keys), len(measured) - 1)
    known = measured[index] == keys
    index = index[known]
    return CloudCover(rows[known], 100 * cloud[index] / total[index], 100 * masked[index] / total[index])


def _numbers(column: pa.ChunkedArray, names: pa.Array) -> NDArray[Any]:
    """Index of each value of a column among some names."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(pc.index_in(encoded.dictionary, names).to_numpy()[encoded.indices])


@dataclass(frozen=True, slots=True)
class AcquisitionRanking:
    """Ranks the candidates of each cell and slot.

    Attributes:
        candidates: The candidates.
        cloud_cover: From the masks that were read.
        recipe: Its sensors, its limits of clouds and valid pixels, and its longest gap of a pair.
        batch_size: Candidates ranked at once.
    """

    candidates: Candidates
    cloud_cover: CloudCover
    recipe: Recipe
    batch_size: int = _BATCH_SIZE

    def choose_all(self, *, mask: NDArray[np.bool_] | None = None, nearest: bool = False) -> tuple[Rows, pa.Table]:
        """Choose per cell and slot an acquisition of each sensor, as `choose` does.

        Sentinel-2 is chosen first, by its clouds; Sentinel-1, which clouds do not affect, is paired with it.

        Returns:
            Chosen candidates within the cloud limit, and ledger rows of the others.
        """
        chosen = np.empty(0, dtype=np.int64)
        for sensor in sorted(self.recipe.sensors, reverse=True):
            chosen = np.concatenate([chosen, self.choose(sensor, chosen, mask=mask, nearest=nearest)])
        cloud_pct, _ = self.cloud_cover.lookup(chosen)
        cloudy = cloud_pct > self.recipe.clouds.max_chip_pct
        return chosen[~cloudy], self._cloud_drops(chosen[cloudy])

    def choose(
        self, sensor: str, paired_with: Rows, *, mask: NDArray[np.bool_] | None = None, nearest: bool = False
    ) -> Rows:
        """Choose the best candidate of a sensor per cell and slot.

        First come acquisitions whose mask was read and is within the recipe's limits, then those whose mask was not
        read, by the cloud cover of their items, and last those that break a limit. Among these, the clearest comes
        first, then the nearest in time; with `nearest`, the other way round. Among acquisitions near enough for a
        pair, those of the cell's own zone come before those that must be warped. Ties go to the smaller id.

        Args:
            sensor: Name of the sensor.
            paired_with: Chosen candidates of the other sensor; where a cell and slot has one, its time is the target,
                else the slot's target time.
            mask: Restricts the choice to some candidates.
            nearest: Whether the time counts more than the cloud cover.
        """
        candidates, recipe = self.candidates, self.recipe
        rows = candidates.of_sensor(sensor)
        if mask is not None:
            rows = np.intersect1d(rows, np.flatnonzero(mask))
        item_cloud_pct, target_time = _item_cloud_pct(candidates), self._target_time(paired_with)

        def tier(rows: Rows) -> NDArray[Any]:
            cloud_pct, masked_pct = self.cloud_cover.lookup(rows)
            invalid = (cloud_pct > recipe.clouds.max_chip_pct) | (masked_pct - cloud_pct > 100 - recipe.min_valid_pct)
            return np.asarray(np.isnan(masked_pct) + 2 * invalid)

        def cloud(rows: Rows) -> NDArray[Any]:
            _, masked_pct = self.cloud_cover.lookup(rows)
            return np.where(np.isnan(masked_pct), item_cloud_pct[candidates.acquisition[rows]], masked_pct)

        def time_gap(rows: Rows) -> NDArray[Any]:
            gap_s = np.abs(candidates.acquisition_times[candidates.acquisition[rows]] - target_time(rows))
            too_far = gap_s > recipe.max_pair_gap_days * _DAY_S
            return np.asarray(gap_s + _FAR_S * (self._in_other_zone(rows) + 2 * too_far))

        criteria = (
            tier,
            *((time_gap, cloud) if nearest else (cloud, time_gap)),
            lambda rows: candidates.acquisition[rows],
        )
        batches = _by_cells(candidates, rows, self.batch_size)
        return np.sort(np.concatenate([_minimize(candidates, batch, criteria) for batch in batches]))

    def _target_time(self, paired_with: Rows) -> Callable[[Rows], Rows]:
        """A function from candidates to the times they should be near to."""
        candidates = self.candidates
        keys, first = np.unique(candidates.cell_slot_keys(paired_with), return_index=True)
        times = candidates.acquisition_times[candidates.acquisition[paired_with[first]]]

        def target_time(rows: Rows) -> Rows:
            row_keys = candidates.cell_slot_keys(rows)
            index = np.searchsorted(keys, row_keys)
            paired = np.append(keys, -1)[index] == row_keys
            return np.where(paired, np.append(times, 0)[index], candidates.target_times[candidates.slot[rows]])

        return target_time

    def _in_other_zone(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether the acquisition's CRS differs from the cell's."""
        candidates = self.candidates
        epsg = np.array([item.epsg for item in candidates.acquisitions], dtype=np.int64)
        return np.asarray(
            epsg[candidates.acquisition[rows]] != candidates.cells["epsg"].to_numpy()[candidates.cell[rows]]
        )

    def _cloud_drops(self, rows: Rows) -> pa.Table:
        """Ledger rows of candidates that are the best of their cell and slot, but too cloudy."""
        slots, (cloud_pct, _) = self.candidates.slot[rows].tolist(), self.cloud_cover.lookup(rows)
        details = [
            f"{self.candidates.slot_names[slot]}: at best {pct:.1f} % hidden"
            for slot, pct in zip(slots, cloud_pct.tolist(), strict=True)
        ]
        return skipped_cells(self.candidates.cell_names(rows), "cloud", pa.array(details, pa.string()))


def _by_cells(candidates: Candidates, rows: Rows, batch_size: int) -> Iterator[Rows]:
    """Some candidates in batches of about `batch_size`, each with all those of its cells."""
    cell = candidates.cell[rows]
    total = np.cumsum(np.bincount(cell))
    edges = np.unique(np.searchsorted(total, np.arange(batch_size, len(rows), batch_size)) + 1)
    for first, end in pairwise([0, *edges.tolist(), len(total)]):
        yield rows[(cell >= first) & (cell < end)]


def _minimize(candidates: Candidates, rows: Rows, criteria: Sequence[Callable[[Rows], NDArray[Any]]]) -> Rows:
    """Select per cell and slot the candidate that minimizes the criteria, the first criterion counting most.

    The next criterion is applied to ties only: sorting by all criteria takes minutes for a continent.
    """
    keys = candidates.cell_slot_keys(rows)
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    for criterion in criteria:
        starts, values = np.flatnonzero(np.diff(keys, prepend=-1)), criterion(rows)
        least = np.repeat(np.minimum.reduceat(values, starts), np.diff(starts, append=len(rows)))
        rows, keys = rows[values == least], keys[values == least]
    return rows


def _item_cloud_pct(candidates: Candidates) -> Percent:
    """Cloud cover that the items of each acquisition declare."""
    declared = (item.cloud_pct for item in candidates.acquisitions)
    return np.array([_UNKNOWN_CLOUD_PCT if pct is None else pct for pct in declared], dtype=np.float64)
