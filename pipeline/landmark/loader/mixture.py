"""Mixtures: how many rows of each pool a batch has, as a function of its position."""

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Shares are multiples of 0.01 %, so that a mixture repeats after at most as many rows.
UNITS = 10_000


class Mixture:
    """Counts of rows of pools with fixed shares.

    Of the first n rows of the mixture, each pool has its share of n rounded up or down, for every n. Such a schedule
    exists for any shares (Tijdeman, 1980, doi 10.1016/0012-365X(80)90269-1); by the earliest deadline it is met.

    Args:
        units: Rows of each pool in `UNITS` rows, which are their sum.
    """

    def __init__(self, units: Sequence[int]) -> None:
        divisor = math.gcd(*units)
        self._units = np.array(units, dtype=np.int64) // divisor
        self._period = UNITS // divisor
        pools = np.array(_schedule(self._units.tolist(), self._period))
        self._counts = np.zeros((self._period + 1, len(units)), dtype=np.int64)
        np.cumsum(pools[:, np.newaxis] == np.arange(len(units)), axis=0, out=self._counts[1:])

    def totals(self, rows: int) -> list[int]:
        """Rows of each pool among the first rows of the mixture."""
        repeats, position = divmod(rows, self._period)
        return [int(total) for total in repeats * self._units + self._counts[position]]


def _schedule(units: Sequence[int], period: int) -> list[int]:
    """Pool of each row of a period.

    The unit i of a pool with u units may come once i < n u / period, and must have come when i + 1 <= n u / period.
    """
    releases = sorted((i * period // share, pool, i) for pool, share in enumerate(units) for i in range(share))
    deadlines: list[tuple[int, int]] = []
    pools, released = [], 0
    for row in range(period):
        while released < period and releases[released][0] <= row:
            _, pool, i = releases[released]
            heapq.heappush(deadlines, (-(-(i + 1) * period // units[pool]), pool))
            released += 1
        pools.append(heapq.heappop(deadlines)[1])
    return pools


def share_units(shares: Sequence[float]) -> list[int]:
    """Shares and what remains of 1, in hundredths of a percent, by largest remainder.

    Args:
        shares: Shares from 0 to 1; their sum is at most 1 (and an error of rounding).
    """
    exact = [UNITS * share for share in (*shares, max(1 - sum(shares), 0))]
    units = [int(value + 1e-6) for value in exact]
    order = sorted(range(len(exact)), key=lambda pool: (round(units[pool] - exact[pool], 6), pool))
    for pool in order[: UNITS - sum(units)]:
        units[pool] += 1
    return units


def assign_pools(members: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pool of each row: the one with the fewest members, of equally large ones the first; -1 for rows without any.

    Args:
        members: (pool, row), true for the rows that may be in a pool.
    """
    pools = np.full(members.shape[1], -1)
    for pool in reversed(np.argsort(members.sum(axis=1), kind="stable")):
        pools[members[pool]] = pool
    return pools
