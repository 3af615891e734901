"""Which edition of a label source serves each cell of a period, and what it says there."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from landmark.base.archive import LabelRaster
from landmark.base.labels import Labels
from landmark.base.taxonomy import Crosswalk, LabelVintage
from landmark.cover.codes import NONE
from landmark.cover.sampling import Points, codes_at, probabilities_at
from landmark.io.access import OPEN, Access

# Editions kept at hand: those of two neighbouring periods, and what lies between.
_KEPT = 4
# Bands are float32: a share of exactly the limit is not to be lost.
_ROUNDING = 1e-6

Codes = NDArray[np.int32]


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
        codes: (cell, pixel), -1 where there is none.
        editions: Per cell, None where no edition within the limit has data.
        gaps: Per cell the days to the nearest edition with data, where that is over the limit; else None.
    """

    codes: Codes
    editions: list[LabelVintage | None]
    gaps: list[int | None]


class Editions:
    """The editions of one source over some cells, read as they are asked for."""

    def __init__(
        self,
        source: Source,
        rasters: Sequence[LabelRaster],
        points: Points,
        shape: tuple[int, int],
        access: Access = OPEN,
    ) -> None:
        self._source, self._points, self._shape, self._access = source, points, shape, access
        self._rasters: dict[LabelVintage, list[LabelRaster]] = {}
        for raster in rasters:
            self._rasters.setdefault(raster.vintage, []).append(raster)
        self._codes = lru_cache(maxsize=_KEPT)(self._edition_codes)

    def serve(self, period: Period) -> Served:
        """Per cell the nearest edition with data; exports of one moment inside the period are put together."""
        cells = self._shape[0]
        served = Served(np.full(self._shape, NONE, np.int32), [None] * cells, [None] * cells)
        open_cells = np.ones(cells, dtype=bool)
        for together in self._by_nearness(period):
            if not open_cells.any():
                break
            codes, first, last = self._put_together(together)
            for cell in np.flatnonzero(open_cells & (first >= 0)).tolist():
                one = together[first[cell]]
                edition = LabelVintage(one.name, one.version, one.start, together[last[cell]].end)
                if (gap := period.gap_days(edition)) > self._source.max_gap_days:
                    served.gaps[cell] = gap
                else:
                    served.codes[cell], served.editions[cell] = codes[cell], edition
            open_cells &= first < 0
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

    def _put_together(self, editions: list[LabelVintage]) -> tuple[Codes, NDArray[np.int64], NDArray[np.int64]]:
        """Codes, and per cell the first and last edition with data there, -1 where none has."""
        if self._source.composite == "probability":
            return self._most_probable(editions)
        return self._most_frequent(editions)

    def _most_frequent(self, editions: list[LabelVintage]) -> tuple[Codes, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the code most editions give; of two as frequent the smaller."""
        seen = _Seen(self._shape[0])
        if len(editions) == 1:
            codes = self._codes(editions[0])
            seen.note(0, codes != NONE)
            return codes, seen.first, seen.last
        known = np.array(sorted(self._source.crosswalk.classes), np.int32)
        counts = np.zeros((len(known), *self._shape), np.uint16)
        for number, edition in enumerate(editions):
            codes = self._edition_codes(edition)
            seen.note(number, codes != NONE)
            for row, code in enumerate(known):
                counts[row] += codes == code
        return np.where(counts.any(axis=0), known[counts.argmax(axis=0)], NONE), seen.first, seen.last

    def _most_probable(self, editions: list[LabelVintage]) -> tuple[Codes, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the code of the greatest mean probability; none where that is below the recipe's confidence."""
        known = np.array(sorted(self._source.crosswalk.classes), np.int32)
        sums, dates = np.zeros((len(known), *self._shape)), np.zeros(self._shape, np.uint16)
        seen = _Seen(self._shape[0])
        for number, edition in enumerate(editions):
            shares = self._edition_shares(edition)
            there = ~np.isnan(shares[0])
            seen.note(number, there)
            dates += there
            for row, share in enumerate(shares):
                sums[row] += np.where(there, share, 0)
        best = sums.max(axis=0)
        sure = (dates > 0) & (best >= (self._source.min_confidence - _ROUNDING) * dates)
        return np.where(sure, known[sums.argmax(axis=0)], NONE), seen.first, seen.last

    def _edition_codes(self, edition: LabelVintage) -> Codes:
        """(cell, pixel); the earlier map wins where two of an edition overlap."""
        codes = np.full(len(self._points), NONE, np.int32)
        for raster in self._rasters[edition]:
            codes = np.where(codes == NONE, codes_at(raster, self._source.crosswalk, self._points, self._access), codes)
        return codes.reshape(self._shape)

    def _edition_shares(self, edition: LabelVintage) -> NDArray[np.float32]:
        """(class, cell, pixel); the earlier map wins where two of an edition overlap."""
        shares: NDArray[np.float32] | None = None
        for raster in self._rasters[edition]:
            found = probabilities_at(raster, self._source.crosswalk, self._points, self._access)
            shares = found if shares is None else np.where(np.isnan(shares), found, shares)
        assert shares is not None
        return shares.reshape(-1, *self._shape)


class _Seen:
    """The first and last edition that has data in each cell, -1 where none has."""

    def __init__(self, cells: int) -> None:
        self.first, self.last = np.full(cells, -1), np.full(cells, -1)

    def note(self, number: int, data: NDArray[np.bool_]) -> None:
        """Editions come in the order of time."""
        here = data.any(axis=1)
        self.first[here & (self.first < 0)] = number
        self.last[here] = number
