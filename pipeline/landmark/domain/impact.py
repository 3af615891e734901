"""What events did to a cell: folds over the joint histogram of land cover and event marks.

A mark is the set of (event, part) that holds at a pixel; the cover table's last code, where a recipe has events, is the
number of a mark. So a flood's share without permanent water, or of one grade of damage, reads no polygon again.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landmark.core.crs import distance_km
from landmark.domain.event import AOI, NEAR, Event, EventFact, EventType, phase_of

# (event id, part) of all that holds at a pixel.
Mark = tuple[tuple[str, str], ...]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Ground:
    """What one event did to one cell.

    Attributes:
        fraction: Share of the cell's pixels that it affected, without those whose land cover was so before.
        in_aoi: Whether every pixel was looked at.
        near: Whether a part of it lies within the radius of an epicentre.
        grade: The worst damage seen.
    """

    fraction: float
    in_aoi: bool
    near: bool = False
    grade: str | None = None

    def reaches(self, threshold_pct: float) -> bool:
        """Whether it affected that share of the cell, and anything at all; an exact share is not lost to rounding."""
        return self.fraction > 0 and 100 * self.fraction >= threshold_pct - _ROUNDING


@dataclass(frozen=True, slots=True)
class Happenings:
    """The events of a recipe, their kinds, and the marks of its cover table."""

    events: Mapping[str, Event]
    types: Mapping[str, EventType]
    marks: tuple[Mark, ...]

    def grounds(
        self, mark: NDArray[np.int32], land: Sequence[str | None], pixels: NDArray[np.int64]
    ) -> dict[str, Ground]:
        """Per event that meets a cell what it did there, from the cell's rows of the cover table.

        Args:
            mark: Number of the mark, -1 where none (row).
            land: Key of the land-cover class, None where there is none (row).
            pixels: Count (row).
        """
        held = [frozenset(self.marks[number]) if number >= 0 else frozenset() for number in mark.tolist()]
        met = sorted({event for marked in held for event, _ in marked})
        return {event: self._ground(self.events[event], held, land, pixels) for event in met}

    def _ground(
        self,
        event: Event,
        held: Sequence[frozenset[tuple[str, str]]],
        land: Sequence[str | None],
        pixels: NDArray[np.int64],
    ) -> Ground:
        grades = [part.name for part in event.affected]
        minus, total = self.types[event.type].minus, int(pixels.sum())
        counts = dict.fromkeys(grades, 0)
        affected = looked = near = 0
        for marked, cover, count in zip(held, land, pixels.tolist(), strict=True):
            looked += count * ((event.id, AOI) in marked)
            near += count * ((event.id, NEAR) in marked)
            seen = [grade for grade in grades if (event.id, grade) in marked]
            if seen and cover not in minus:
                affected += count
                counts[seen[0]] += count
        worst = next((grade for grade in grades if counts[grade] and grade != "observed"), None)
        return Ground(affected / total, looked == total, near > 0, worst)

    def facts(
        self,
        grounds: Mapping[str, Ground],
        moment: dt.datetime,
        centre: tuple[float, float] | None,
        thresholds: Mapping[str, float],
        *,
        far_from: str | None = None,
    ) -> tuple[EventFact, ...]:
        """What an image of a moment may say of the events of its cell, the largest share first.

        Args:
            grounds: Of the cell.
            moment: When the image was taken.
            centre: (lon, lat) of the cell, None where no distance is asked for.
            thresholds: Per target class, in percent of the cell's pixels.
            far_from: An event that does not meet the cell, and is `unrelated` to it.
        """
        facts = [self._fact(self.events[name], ground, moment, centre, thresholds) for name, ground in grounds.items()]
        if far_from is not None and far_from not in grounds:
            event, nothing = self.events[far_from], Ground(0.0, in_aoi=False)
            facts.append(replace(self._fact(event, nothing, moment, centre, thresholds), phase="unrelated"))
        return tuple(sorted(facts, key=lambda fact: (-fact.fraction, fact.id)))

    def _fact(
        self,
        event: Event,
        ground: Ground,
        moment: dt.datetime,
        centre: tuple[float, float] | None,
        thresholds: Mapping[str, float],
    ) -> EventFact:
        kind, phase = self.types[event.type], phase_of(event, moment, self.types)
        said = phase in kind.says and ground.reaches(thresholds[kind.to])
        away = distance_km(event.epicentre, centre) if event.epicentre and centre and ground.near else None
        return EventFact(
            id=event.id,
            type=event.type,
            phase=phase,
            fraction=ground.fraction,
            in_aoi=ground.in_aoi,
            product=event.product,
            days=(moment - event.start) / dt.timedelta(days=1),
            label=kind.to if said else None,
            grade=ground.grade,
            distance_km=away,
            magnitude=event.magnitude,
        )
