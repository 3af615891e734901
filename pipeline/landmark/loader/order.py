"""The order of samples: which rows of a selection are in a batch, as a function of seed, epoch and step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.core.errors import InsufficientData
from landmark.loader.mixture import Mixture, assign_pools, share_units
from landmark.loader.permutation import Shuffle
from landmark.loader.pool import Pool, pool_edges

# A new number for each change of the order; states of other versions are refused.
ORDER_VERSION = 1


class Part:
    """A part of each batch: rows of pools in fixed shares, over and over.

    Args:
        n_rows: Number of rows that are drawn in an epoch of the part.
        pools: The pools.
        units: Share of each pool in hundredths of a percent.
    """

    def __init__(self, n_rows: int, pools: Sequence[Pool], units: Sequence[int]) -> None:
        self.n_rows = n_rows
        self._pools, self._mixture = pools, Mixture(units) if len(units) > 1 else None

    def draw(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows of the selection at the positions start to stop of the sequence, sorted by stream."""
        draws = [pool.draw(*edges) for pool, edges in zip(self._pools, self._edges(start, stop), strict=True)]
        rows, streams = (np.concatenate(arrays) for arrays in zip(*draws, strict=True))
        return rows[np.argsort(streams, kind="stable")]

    def _edges(self, start: int, stop: int) -> Iterable[tuple[int, int]]:
        """Positions of the sequence in the sequences of the pools."""
        if self._mixture is None:
            return [(start, stop)]
        return zip(self._mixture.totals(start), self._mixture.totals(stop), strict=True)


@dataclass(frozen=True)
class Epoch:
    """The batches of an epoch on some ranks.

    Attributes:
        number: Number of the epoch.
        steps: Number of batches, the same for all ranks.
        order: The order.
    """

    number: int
    steps: int
    order: "Order"

    def rows(self, step: int) -> tuple[NDArray[np.int64], ...]:
        """Rows of the selection in the batch of all ranks: an array per part, in the order of slots.

        Not to be called by several threads at once.
        """
        order = self.order
        start, end = (self.number * order.n_rows + min(at * order.batch, order.n_rows) for at in (step, step + 1))
        parts = tuple(part.draw(start, end) for part in order.parts)
        if order.partners is None:
            return parts
        pair = (parts[0], order.partners[parts[0]])
        return pair if order.anchor_first else pair[::-1]


@dataclass(frozen=True)
class Order:
    """The order of all epochs.

    The batches of all epochs are one sequence, in which an epoch has as many rows as its longest part. The batch of a
    step does not depend on the number of ranks.

    Attributes:
        batch: Rows of each part in a batch of all ranks.
        parts: What is drawn independently: one part, or one per sensor.
        partners: Row of the other sensor for each row of the selection, which is added to each batch as another part;
            None without pairs.
        anchor_first: Whether the drawn rows of pairs come before their partners.
    """

    batch: int
    parts: tuple[Part, ...]
    partners: NDArray[np.int64] | None = None
    anchor_first: bool = True

    @property
    def n_rows(self) -> int:
        """Rows of an epoch: those of the longest part."""
        return max(part.n_rows for part in self.parts)

    def epoch(self, number: int, *, ranks: int = 1) -> Epoch:
        """Return an epoch.

        One rank gets the last, shorter batch; several ranks get full batches only.

        Raises:
            InsufficientData: there is no batch for several ranks.
        """
        steps = -(-self.n_rows // self.batch) if ranks == 1 else self.n_rows // self.batch
        if not steps:
            raise InsufficientData(
                f"{self.n_rows} samples are fewer than a batch of {ranks} ranks",
                key="batch",
                value=self.batch,
                remedy="choose a smaller batch, or select more samples",
            )
        return Epoch(number, steps, self)


def rank_slots(n_rows: int, rank: int, ranks: int) -> slice:
    """Slots of a rank in a part of a batch with so many rows."""
    return slice(n_rows * rank // ranks, n_rows * (rank + 1) // ranks)


def group_edges(
    shard_rows: NDArray[np.int64], group_rows: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Edges of the row groups of a selection.

    Args:
        shard_rows: Number of rows of each shard.
        group_rows: Of each shard, rows of its row groups; the last may have fewer.
        rows: Rows of the corpus that are selected, ascending.

    Returns:
        First row of each row group with selected rows, in rows of the selection, and the number of rows.
    """
    groups = -(-shard_rows // group_rows)
    number = np.arange(groups.sum()) - np.repeat(np.cumsum(groups) - groups, groups)
    starts = np.repeat(np.cumsum(shard_rows) - shard_rows, groups) + number * np.repeat(group_rows, groups)
    return pool_edges(np.append(starts, shard_rows.sum()), rows)


def make_part(
    name: str,
    edges: NDArray[np.int64],
    rows: NDArray[np.int64] | None,
    quotas: Mapping[str, tuple[float, NDArray[np.bool_]]],
    shuffle: Shuffle | None,
) -> Part:
    """Make a part of some rows of a selection.

    Args:
        name: Name of the part.
        edges: Edges of the row groups of the selection.
        rows: The rows, ascending; None for all.
        quotas: Name of a pool → its share, and whether each row of the selection may be in it.
        shuffle: How to shuffle, None if rows are not.

    Raises:
        InsufficientData: no row is in a pool that has a share.
    """
    count = int(edges[-1]) if rows is None else len(rows)
    if not quotas:
        return Part(count, [Pool(name, edges if rows is None else pool_edges(edges, rows), rows, shuffle)], [1])
    selected = np.arange(count) if rows is None else rows
    keys = sorted(quotas)
    pool_of = assign_pools(np.array([quotas[key][1][selected] for key in keys]))
    pools, units = [], []
    for number, share in zip([*range(len(keys)), -1], share_units([quotas[key][0] for key in keys]), strict=True):
        if share:
            pool_rows = selected[pool_of == number]
            _require_rows(pool_rows, keys[number] if number >= 0 else None)
            key = f"{name}/{keys[number]}" if number >= 0 else name
            pools.append(Pool(key, pool_edges(edges, pool_rows), pool_rows, shuffle))
            units.append(share)
    return Part(count, pools, units)


def _require_rows(rows: NDArray[np.int64], key: str | None) -> None:
    if not len(rows):
        problem = "no sample is in this pool" if key else "no sample is left for what remains of 1"
        remedy = "leave the quota out" if key else "choose shares whose sum is 1"
        raise InsufficientData(problem, key="quotas", value=key, remedy=remedy)
