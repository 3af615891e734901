"""Choose the label edition of a source for each cell and period, and read it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.label_entries import LabelEntry
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.grid.points import Points
from landmark.labels.codes import Ranks, rank_dtype
from landmark.labels.label_sampling import sample_probabilities, sample_ranks
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy

# Neighbouring periods use the same editions: the few last ones are cached.
_CACHED_EDITIONS = 4
# Probabilities are float32: a mean of exactly the limit must pass.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Period:
    """The part of a year or month inside the recipe's time range: first and last moment, UTC."""

    name: str
    start: dt.datetime
    end: dt.datetime

    def gap_days(self, edition: LabelEdition) -> int:
        """Largest distance in days between an image of the period and the edition."""
        return max(edition.gap_days(self.start), edition.gap_days(self.end))

    def contains(self, edition: LabelEdition) -> bool:
        """Whether the edition describes a single moment inside the period."""
        return edition.start == edition.end and self.start <= edition.start <= self.end


@dataclass(frozen=True, slots=True)
class LabelSource:
    """A label source with the recipe's options.

    Attributes:
        composite: How several editions of one moment each are combined: `mode` or `probability`.
        min_confidence: With `probability`, smallest mean probability of a class, 0 to 1.
        max_gap_days: Largest distance between labels and images.
        scale: Factor from the files' numbers to probabilities; None for that of the files.
    """

    crosswalk: Crosswalk
    composite: str = "mode"
    min_confidence: float = 0
    max_gap_days: int = 1100
    scale: float | None = None

    @classmethod
    def from_entry(cls, entry: LabelEntry, crosswalk: Crosswalk) -> "LabelSource":
        """Options of a recipe's entry; the crosswalk's `max_gap_days` if the entry has none."""
        limit = crosswalk.max_gap_days if entry.max_gap_days is None else entry.max_gap_days
        return cls(crosswalk, entry.composite, entry.min_confidence, limit, entry.scale)


@dataclass(frozen=True, slots=True)
class EditionChoice:
    """Labels of one source in one period.

    Attributes:
        ranks: Ranks of classes (cell, pixel), 0 without data.
        editions: `LabelEdition` per cell; None if no edition within the limit has data.
        gap_days: Per cell, distance of the nearest edition with data if that exceeds the limit; else None.
    """

    ranks: Ranks
    editions: NDArray[np.object_]
    gap_days: NDArray[np.object_]


class EditionReader:
    """Reads the editions of one source over some cells on demand."""

    def __init__(
        self,
        source: LabelSource,
        rasters: Sequence[LabelRaster],
        points: Points,
        access: AccessPolicy = PUBLIC_ACCESS,
    ) -> None:
        self._source, self._points, self._access = source, points, access
        self._shape = points.shape[0], points.shape[1] * points.shape[2]
        self._n_classes = len(source.crosswalk.classes)
        self._rasters: dict[LabelEdition, list[LabelRaster]] = {}
        for raster in rasters:
            self._rasters.setdefault(raster.edition, []).append(raster)
        self._cached_ranks = lru_cache(maxsize=_CACHED_EDITIONS)(self._edition_ranks)

    def choose(self, period: Period) -> EditionChoice:
        """Choose the nearest edition with data for each cell; single-moment editions inside the period are combined."""
        n_cells = self._shape[0]
        choice = EditionChoice(self._empty_ranks(), np.full(n_cells, None), np.full(n_cells, None))
        unassigned = np.ones(n_cells, dtype=bool)
        for candidates in self._candidates(period):
            if not unassigned.any():
                break
            ranks, first, last = self._combine(candidates)
            for start, end in set(zip(first[unassigned].tolist(), last[unassigned].tolist(), strict=True)) - {(-1, -1)}:
                cells = unassigned & (first == start) & (last == end)
                earliest, latest = candidates[start], candidates[end]
                edition = LabelEdition(earliest.name, earliest.version, earliest.start, latest.end)
                if (gap_days := period.gap_days(edition)) > self._source.max_gap_days:
                    choice.gap_days[cells] = gap_days
                else:
                    choice.ranks[cells], choice.editions[cells] = ranks[cells], edition
            unassigned &= first < 0
        return choice

    def _candidates(self, period: Period) -> list[list[LabelEdition]]:
        """Editions in order of preference: those that cover the period, those to combine, then others by distance.

        Of two at the same distance, the earlier comes first.
        """
        inside = sorted(
            (edition for edition in self._rasters if period.contains(edition)),
            key=lambda edition: (edition.start, edition.version),
        )
        outside = [edition for edition in self._rasters if not period.contains(edition)]
        outside.sort(key=lambda edition: (period.gap_days(edition), edition.start, edition.version))
        covering = [edition for edition in outside if not period.gap_days(edition)]
        distant = outside[len(covering) :]
        return [[edition] for edition in covering] + ([inside] if inside else []) + [[edition] for edition in distant]

    def _combine(self, editions: list[LabelEdition]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Ranks, and the first and last edition with data in each cell, -1 without data."""
        if self._source.composite == "probability":
            return self._most_probable(editions)
        return self._most_frequent(editions)

    def _most_frequent(self, editions: list[LabelEdition]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the most frequent class; the smaller code in a tie."""
        span = _EditionSpan(self._shape[0])
        if len(editions) == 1:
            ranks = self._cached_ranks(editions[0])
            span.add(0, ranks > 0)
            return ranks, span.first, span.last
        counts = np.zeros((self._n_classes, *self._shape), np.uint16)
        for number, edition in enumerate(editions):
            ranks = self._edition_ranks(edition)
            span.add(number, ranks > 0)
            for row in range(self._n_classes):
                counts[row] += ranks == row + 1
        return self._argmax_ranks(counts, counts.max(axis=0) > 0), span.first, span.last

    def _most_probable(self, editions: list[LabelEdition]) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
        """Per pixel the class with the largest mean probability; none if that is below the source's limit."""
        sums, n_editions = np.zeros((self._n_classes, *self._shape)), np.zeros(self._shape, np.uint16)
        span = _EditionSpan(self._shape[0])
        for number, edition in enumerate(editions):
            probabilities = self._edition_probabilities(edition)
            valid = ~np.isnan(probabilities[0])
            span.add(number, valid)
            n_editions += valid
            for row, probability in enumerate(probabilities):
                sums[row] += np.where(valid, probability, 0)
        confident = sums.max(axis=0) >= (self._source.min_confidence - _ROUNDING) * n_editions
        return self._argmax_ranks(sums, (n_editions > 0) & confident), span.first, span.last

    def _argmax_ranks(self, scores: NDArray[Any], mask: NDArray[np.bool_]) -> Ranks:
        """Rank (cell, pixel) of the first class with the largest score (class, cell, pixel); 0 outside the mask."""
        ranks = self._empty_ranks()
        ranks[mask] = scores.argmax(axis=0)[mask] + 1
        return ranks

    def _empty_ranks(self) -> Ranks:
        return np.zeros(self._shape, rank_dtype(self._source.crosswalk))

    def _edition_ranks(self, edition: LabelEdition) -> Ranks:
        """(cell, pixel); the first raster with data wins where several overlap."""
        crosswalk, points, access = self._source.crosswalk, self._points, self._access
        parts = (sample_ranks(raster, crosswalk, points, access) for raster in self._rasters[edition])
        return reduce(lambda ranks, part: np.where(ranks == 0, part, ranks), parts).reshape(self._shape)

    def _edition_probabilities(self, edition: LabelEdition) -> NDArray[np.float32]:
        """(class, cell, pixel); the first raster with data wins where several overlap."""
        crosswalk, points, access = self._source.crosswalk, self._points, self._access
        scale, rasters = self._source.scale, self._rasters[edition]
        parts = (sample_probabilities(raster, crosswalk, points, access, scale=scale) for raster in rasters)
        merged = reduce(lambda probabilities, part: np.where(np.isnan(probabilities), part, probabilities), parts)
        return merged.reshape(-1, *self._shape)


class _EditionSpan:
    """First and last edition with data in each cell, -1 without data. Editions are added in order of time."""

    def __init__(self, n_cells: int) -> None:
        self.first, self.last = np.full(n_cells, -1), np.full(n_cells, -1)

    def add(self, number: int, valid: NDArray[np.bool_]) -> None:
        """Add an edition's valid pixels (cell, pixel)."""
        cells = valid.any(axis=1)
        self.first[cells & (self.first < 0)] = number
        self.last[cells] = number
