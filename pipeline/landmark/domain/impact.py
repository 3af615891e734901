"""Effects of events on a cell, derived from the cell's label counts.

A pixel's *event combination* is the set of (event, part) that contain it; its number is the last code in a row of label
counts, if the recipe has events. So the flooded fraction without permanent water, or the fraction of one grade of
damage, is computed without reading geometries again.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landmark.core.crs import distance_km
from landmark.domain.event import AOI, NEAR, Event, EventFact, EventType, phase_of
from landmark.domain.traits import Trait

# (event id, part name) of all parts that contain a pixel.
EventCombination = tuple[tuple[str, str], ...]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class EventImpact:
    """Effect of one event on one cell.

    Attributes:
        fraction: Fraction of the cell's pixels that it affected, without those of an excluded land cover, 0 to 1.
        in_aoi: Whether all pixels were mapped.
        near: Whether some pixels are within the radius of the epicentre.
        grade: The worst damage.
    """

    fraction: float
    in_aoi: bool
    near: bool = False
    grade: str | None = None

    def reaches(self, threshold_pct: float) -> bool:
        """Whether the affected fraction is at least the threshold (despite rounding errors), and not zero."""
        return self.fraction > 0 and 100 * self.fraction >= threshold_pct - _ROUNDING


@dataclass(frozen=True, slots=True)
class EventIndex:
    """The events of a recipe by id, their types, and the event combinations of its label counts by number."""

    events: Mapping[str, Event]
    types: Mapping[str, EventType]
    combinations: tuple[EventCombination, ...]

    def impacts(
        self, numbers: NDArray[np.int32], land_cover: Sequence[frozenset[Trait]], pixels: NDArray[np.int64]
    ) -> dict[str, EventImpact]:
        """Effects on a cell of all events that touch it, from the cell's rows of label counts.

        Args:
            numbers: Number of the event combination, -1 for none (row).
            land_cover: Traits of the land-cover class (row).
            pixels: Pixel count (row).
        """
        combinations = [
            frozenset(self.combinations[number]) if number >= 0 else frozenset() for number in numbers.tolist()
        ]
        ids = sorted({event for combination in combinations for event, _ in combination})
        return {id: self._impact(self.events[id], combinations, land_cover, pixels) for id in ids}

    def _impact(
        self,
        event: Event,
        combinations: Sequence[frozenset[tuple[str, str]]],
        land_cover: Sequence[frozenset[Trait]],
        pixels: NDArray[np.int64],
    ) -> EventImpact:
        grades = [part.name for part in event.affected_parts]
        excluded, total = frozenset(self.types[event.type].excluded_land_cover), int(pixels.sum())
        n_by_grade = dict.fromkeys(grades, 0)
        n_affected = n_mapped = n_near = 0
        for combination, traits, count in zip(combinations, land_cover, pixels.tolist(), strict=True):
            n_mapped += count * ((event.id, AOI) in combination)
            n_near += count * ((event.id, NEAR) in combination)
            present = [grade for grade in grades if (event.id, grade) in combination]
            if present and not (traits and traits <= excluded):
                n_affected += count
                n_by_grade[present[0]] += count
        worst = next((grade for grade in grades if n_by_grade[grade] and grade != "observed"), None)
        return EventImpact(n_affected / total, n_mapped == total, n_near > 0, worst)

    def facts(
        self,
        impacts: Mapping[str, EventImpact],
        time: dt.datetime,
        centre: tuple[float, float] | None,
        thresholds: Mapping[str, float],
        *,
        distant_from: str | None = None,
    ) -> tuple[EventFact, ...]:
        """Facts of events for an image of a cell, largest fraction first.

        Args:
            impacts: Effects on the cell by event id.
            time: Time of the image.
            centre: (lon, lat) of the cell, None if no distance is needed.
            thresholds: By target class, in percent of the cell's pixels.
            distant_from: Id of an event that does not touch the cell, to add as `unrelated`.
        """
        facts = [self._fact(self.events[id], impact, time, centre, thresholds) for id, impact in impacts.items()]
        if distant_from is not None and distant_from not in impacts:
            none = EventImpact(0.0, in_aoi=False)
            fact = self._fact(self.events[distant_from], none, time, centre, thresholds)
            facts.append(replace(fact, phase="unrelated"))
        return tuple(sorted(facts, key=lambda fact: (-fact.fraction, fact.id)))

    def _fact(
        self,
        event: Event,
        impact: EventImpact,
        time: dt.datetime,
        centre: tuple[float, float] | None,
        thresholds: Mapping[str, float],
    ) -> EventFact:
        type_, phase = self.types[event.type], phase_of(event, time, self.types)
        labelled = phase in type_.mentionable_phases and impact.reaches(thresholds[type_.to])
        distance = distance_km(event.epicentre, centre) if event.epicentre and centre and impact.near else None
        return EventFact(
            id=event.id,
            type=event.type,
            phase=phase,
            fraction=impact.fraction,
            in_aoi=impact.in_aoi,
            product=event.product,
            days=(time - event.start) / dt.timedelta(days=1),
            label=type_.to if labelled else None,
            grade=impact.grade,
            distance_km=distance,
            magnitude=event.magnitude,
        )
