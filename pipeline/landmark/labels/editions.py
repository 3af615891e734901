"""Which edition of a label source serves each cell of a period, and what it says there."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.label_entries import Labels
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelVintage
from landmark.grid.points import Points
from landmark.labels.codes import Ranks, rank_type
from landmark.labels.label_sampling import probabilities_at, ranks_at
from landmark.raster.access import OPEN, Access

# Editions kept at hand: those of two neighbouring periods, and what lies between.
_KEPT = 4
# Bands are float32: a share of exactly the limit is not to be lost.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Period:
    """The part of a year or month that lies in the recipe's time: first and last moment, UTC."""

    name: str
    start: dt.datetime
    end: dt.datetime

    def gap_days(self, vintage: LabelVintage) -> int:
        """The most days any image of the period can lie from an edition."""
        return max(vintage.gap_days(self.start), vintage.gap_days(self.end))

    def holds(self, vintage: LabelVintage) -> bool:
        """True for an export of one moment inside the period."""
        return vintage.start == vintage.end and self.start <= vintage.start <= self.end


@dataclass(frozen=True, slots=True)
class Source:
    """A label source and how the recipe takes it."""

    crosswalk: Crosswalk
    composite: str = "mode"
    min_confidence: float = 0
    max_gap_days: int = 1100

    @classmethod
    def of(cls, entry: Labels, crosswalk: Crosswalk) -> "Source":
        """As a recipe says; where it does not say how old labels may be, the source does."""
        limit = crosswalk.max_gap_days if entry.max_gap_days is None else entry.max_gap_days
        return cls(crosswalk, entry.composite, entry.min_confidence, limit)


@dataclass(frozen=True, slots=True)
class Served:
    """What a source says in a period.

    Attributes:
        ranks: Of the classes (cell, pixel), 0 where there is none.
        editions: Per cell, None where no edition within the limit has data.
        gaps: Per cell the days to the nearest edition with data, where that is over the limit; else None.
    """

    ranks: Ranks
    editions: NDArray[np.object_]
    gaps: NDArray[np.object_]


class Editions:
    """The editions of one source over some cells, read as they are asked for."""

    def __init__(self, source: Source, rasters: Sequence[LabelRaster], points: Points, access: Access = OPEN) -> None:
        self._source, self._points, self._access = source, points, access
        self._shape = points.shape[0], points.shape[1] * points.shape[2]
        self._classes = len(source.crosswalk.classes)
        self._rasters: dict[LabelVintage, list[LabelRaster]] = {}
        for raster in rasters:
            self._rasters.setdefault(raster.vintage, []).append(raster)
        self._ranks = lru_cache(maxsize=_KEPT)(self._edition_ranks)

    def serve(self, period: Period) -> Served:
        """Per cell the nearest edition with data; exports of one moment inside the period are put together."""
        cells = self._shape[0]
        served = Served(self._nothing(), np.full(cells, None), np.full(cells, None))
        left = np.ones(cells, dtype=bool)
        for together in self._by_nearness(period):
            if not left.any():
                break
            ranks, first, last = self._put_together(together)
            for start, end in set(zip(first[left].tolist(), last[left].tolist(), strict=True)) - {(-1, -1)}:
                one, here = together[start], left & (first == start) & (last == end)
                edition = LabelVintage(one.name, one.version, one.start, together[end].end)
                if (gap := period.gap_days(edition)) > self._source.max_gap_days:
                    served.gaps[here] = gap
                else:
                    served.ranks[here], served.editions[here] = ranks[here], edition
            left &= first < 0
        return served

    def _by_nearness(self, period: Period) -> list[list[LabelVintage]]:
        """Editions to try in turn: those that hold the period, the exports inside it as one, the others by their gap.

        Of two that are equally near the earlier comes first.
        """
        inside = sorted((one for one in self._rasters if period.holds(one)), key=lambda one: (one.start, one.version))
        others = [one for one in self._rasters if not period.holds(one)]
        others.sort(key=lambda one: (period.gap_days(one), one.start, one.version))
        covering = [one for one in others if not period.gap_days(one)]
        farther = others[len(covering) :]
        return [[one] for one in covering] + ([inside] if inside else []) + [[one] for one in farther]

    def _put_together(self, editions: list[LabelVintage]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Ranks, and per cell the first and last edition with data there, -1 where none has."""
        if self._source.composite == "probability":
            return self._most_probable(editions)
        return self._most_frequent(editions)

    def _most_frequent(self, editions: list[LabelVintage]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the class most editions give; of two as frequent the one of the smaller code."""
        seen = _Seen(self._shape[0])
        if len(editions) == 1:
            ranks = self._ranks(editions[0])
            seen.note(0, ranks > 0)
            return ranks, seen.first, seen.last
        counts = np.zeros((self._classes, *self._shape), np.uint16)
        for number, edition in enumerate(editions):
            ranks = self._edition_ranks(edition)
            seen.note(number, ranks > 0)
            for row in range(self._classes):
                counts[row] += ranks == row + 1
        return self._first_of_most(counts, counts.max(axis=0) > 0), seen.first, seen.last

    def _most_probable(self, editions: list[LabelVintage]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the class of the greatest mean probability; none where that is below the recipe's confidence."""
        sums, dates = np.zeros((self._classes, *self._shape)), np.zeros(self._shape, np.uint16)
        seen = _Seen(self._shape[0])
        for number, edition in enumerate(editions):
            shares = self._edition_shares(edition)
            there = ~np.isnan(shares[0])
            seen.note(number, there)
            dates += there
            for row, share in enumerate(shares):
                sums[row] += np.where(there, share, 0)
        sure = (dates > 0) & (sums.max(axis=0) >= (self._source.min_confidence - _ROUNDING) * dates)
        return self._first_of_most(sums, sure), seen.first, seen.last

    def _first_of_most(self, said: NDArray[Any], where: NDArray[np.bool_]) -> Ranks:
        """The rank of the class most is said for, (class, cell, pixel) → (cell, pixel), at some pixels."""
        ranks = self._nothing()
        ranks[where] = said.argmax(axis=0)[where] + 1
        return ranks

    def _nothing(self) -> Ranks:
        return np.zeros(self._shape, rank_type(self._source.crosswalk))

    def _edition_ranks(self, edition: LabelVintage) -> Ranks:
        """(cell, pixel); the earlier map wins where two of an edition overlap."""
        crosswalk, points, access = self._source.crosswalk, self._points, self._access
        maps = (ranks_at(raster, crosswalk, points, access) for raster in self._rasters[edition])
        return reduce(lambda ranks, later: np.where(ranks == 0, later, ranks), maps).reshape(self._shape)

    def _edition_shares(self, edition: LabelVintage) -> NDArray[np.float32]:
        """(class, cell, pixel); the earlier map wins where two of an edition overlap."""
        crosswalk, points, access = self._source.crosswalk, self._points, self._access
        maps = (probabilities_at(raster, crosswalk, points, access) for raster in self._rasters[edition])
        return reduce(lambda shares, later: np.where(np.isnan(shares), later, shares), maps).reshape(-1, *self._shape)


class _Seen:
    """The first and last edition that has data in each cell, -1 where none has."""

    def __init__(self, cells: int) -> None:
        self.first, self.last = np.full(cells, -1), np.full(cells, -1)

    def note(self, number: int, data: NDArray[np.bool_]) -> None:
        """Editions come in the order of time."""
        here = data.any(axis=1)
        self.first[here & (self.first < 0)] = number
        self.last[here] = number
