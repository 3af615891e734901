"""The facts a caption may state of one sample, and how each is said."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from landmark.captions.language import SEASONS, Language
from landmark.captions.markup import Pieces, filled, joined, marked, parsed
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Taxonomy

_TROPIC_DEG = 23.44
_MONTHS_FROM_DAYS = 60
_MONTH_DAYS = 365.25 / 12
_WIND_DEG = 45


@dataclass(frozen=True, slots=True)
class Nearby:
    """The nearest place of a gazetteer: names by language (`""`: the plain one), and the way from it to the image."""

    names: Mapping[str, str]
    km: float
    bearing_deg: float

    def name(self, lang: str) -> str:
        """Its name in a language, or the plain one."""
        return self.names.get(lang) or self.names[""]


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """The facts a caption may state of one sample.

    Attributes:
        sensor: s1 or s2.
        moment: UTC.
        lat: Degrees.
        labels: Class keys, largest first, classes of events last.
        shares: Of the pixels with a class, 0 to 1, per class that any pixel shows.
        finer: Per class its largest finer class and that one's share of the class, 0 to 1.
        events: What the image may say of events.
        place: The nearest place, None where none is near enough.
        absent: Classes that every label map knows and none of its pixels shows.
        looked_for: Classes of events that somebody looked for on all of this ground at such a time, and did not find.
    """

    id: str
    sensor: str
    moment: dt.datetime
    lat: float
    labels: tuple[str, ...]
    shares: Mapping[str, float] = field(default_factory=dict)
    finer: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    events: tuple[EventFact, ...] = ()
    place: Nearby | None = None
    absent: tuple[str, ...] = ()
    looked_for: tuple[str, ...] = ()

    @property
    def season(self) -> str | None:
        """Season of the image, None between the tropics."""
        return season(self.moment, self.lat)

    @property
    def affected(self) -> dict[str, EventFact]:
        """Per class that events give, the largest of them."""
        return {fact.label: fact for fact in reversed(self.events) if fact.label is not None}

    @property
    def mentionable_events(self) -> tuple[EventFact, ...]:
        """The events a caption may name: the largest of each class carried, and the nearest epicentre of the others."""
        named = [fact for fact in self.events if fact.label is not None and self.affected[fact.label] is fact]
        near = [fact for fact in self.events if _felt(fact) and fact not in named]
        return (*named, *sorted(near, key=lambda fact: (fact.distance_km or 0, fact.id))[:1])

    @property
    def dated(self) -> tuple[EventFact, ...]:
        """Those of which a caption says when they were: of one earthquake that two products tell, the epicentre's."""
        felt = [fact for fact in self.mentionable_events if _felt(fact)]
        return tuple(fact for fact in self.mentionable_events if _felt(fact) or not any(_one(fact, other) for other in felt))


def season(moment: dt.datetime, lat: float) -> str | None:
    """Meteorological season (December to February is the northern winter).

    None between the tropics, which have none.
    """
    if abs(lat) <= _TROPIC_DEG:
        return None
    return SEASONS[(moment.month % 12 // 3 + (0 if lat > 0 else 2)) % 4]


@dataclass(frozen=True)
class Renderer:
    """A scene in a language.

    Attributes:
        style: `structured` names classes; others say them.
        turn: A list begins with another of its items; 0 is the order of shares.
        claims: What hard negatives claim in place of a fact: the season, the share of a class, the phase of an event.
    """

    scene: SampleFacts
    language: Language
    taxonomy: Taxonomy
    style: str
    turn: int = 0
    claims: Mapping[str, str] = field(default_factory=dict)

    def facts(self, slots: frozenset[str]) -> dict[str, Pieces]:
        """The pieces of those of the slots that have facts."""
        found = {name: _SAYS[name](self) for name in sorted(slots)}
        return {name: pieces for name, pieces in found.items() if pieces}

    def sensor(self) -> Pieces:
        """Which instrument."""
        return [(self.language.sensors[self.scene.sensor], f"sensor:{self.scene.sensor}")]

    def season(self) -> Pieces:
        """Which season, outside the tropics."""
        when = self.claims.get("season") or self.scene.season
        return [(self.language.seasons[when], f"season:{when}")] if when else []  # type: ignore[index]

    def date(self) -> Pieces:
        """Month and year."""
        moment = self.scene.moment
        words = filled(self.language.date, month=self.language.months[moment.month - 1], year=str(moment.year))
        return [(words, f"date:{moment:%Y-%m}")]

    def place(self) -> Pieces:
        """Near what, or how far from it."""
        place, words = self.scene.place, self.language.places
        if place is None:
            return []
        name = place.name(self.language.lang)
        if place.km < words.near_km:
            return [(words.near_to(name), f"place:{name}")]
        wind = round(place.bearing_deg / _WIND_DEG)
        return [(words.away_from(name, str(round(place.km)), wind), f"place:{name}")]

    def labels(self) -> Pieces:
        """The classes, one after the other."""
        if self.style == "structured":
            spoken = [
                [(self.language.class_name(key, self.taxonomy).lower(), f"label:{key}")] for key in self.scene.labels
            ]
            return joined(spoken, ". ", ". ") if spoken else []
        return self._list([self._phrase(key) for key in self._turned(self.scene.labels)])

    def shares(self) -> Pieces:
        """The land cover, each class with its share in words."""
        land = self._turned(tuple(key for key in self.scene.labels if key not in self._affected))
        groups = [self._share(list(keys)) for _, keys in groupby(land, self._together)]
        return joined(groups, self.language.and_shares) if groups else []

    def events(self) -> Pieces:
        """What had happened, and when."""
        return self._list([[(self._clause(fact), f"event:{fact.id}")] for fact in self.scene.dated])

    def effects(self) -> Pieces:
        """How much of the ground events affected."""
        if any(claim.startswith("event:") for claim in self.claims):
            return []  # What had not happened yet affected nothing.
        largest = self.scene.affected.values()
        return self._list([self._effect(fact) for fact in self.scene.mentionable_events if any(fact is one for one in largest)])

    @cached_property
    def _affected(self) -> set[str | None]:
        return {fact.label for fact in self.scene.mentionable_events}

    def _list(self, items: list[Pieces]) -> Pieces:
        return joined(items, self.language.and_) if items else []

    def _turned(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        start = self.turn % len(keys) if keys else 0
        return keys[start:] + keys[:start]

    def _phrase(self, key: str) -> Pieces:
        return [(self.language.phrase(key, self.taxonomy), f"label:{key}")]

    def _words(self, key: str) -> str | None:
        """Key of the words for a class's share."""
        share = self.scene.shares.get(key)
        return self.claims.get(f"share:{key}") or (None if share is None else self.language.share(share))

    def _together(self, key: str) -> str:
        """The same for classes that are said in one breath."""
        words = self._words(key)
        return words if words and self.language.shares[words].several else key

    def _share(self, keys: list[str]) -> Pieces:
        words, details = self._words(keys[0]), self._list([self._detail(key) for key in keys])
        if words is None:
            return details
        said = self.language.shares[words]
        text = said.several if len(keys) > 1 and said.several else said.of_class
        return marked(text, {"class": details}, f"share:{','.join(keys)}:{words}")

    def _detail(self, key: str) -> Pieces:
        finer, share = self.scene.finer.get(key, ("", 0.0))
        within = self.language.within
        if finer not in self.language.finer or 100 * share < within.from_pct:
            return self._phrase(key)
        words = {"class": self._phrase(key), "finer": [(self.language.finer[finer], f"finer:{finer}")]}
        return parsed(within.text).filled(words)

    def _clause(self, fact: EventFact) -> str:
        words, claimed = self.language.events[fact.type], self.claims.get(f"event:{fact.id}")
        phase = claimed or fact.phase
        text = words.before if phase == "before" else words.during if phase == "during" else words.after
        facts = {"span": self._span(abs(fact.days))}
        if fact.magnitude is not None:
            facts["magnitude"] = f"{fact.magnitude:.1f}".replace(".", self.language.decimal)
        if _felt(fact) and words.near and phase != "before":
            text, facts["km"] = words.near, self._km(fact.distance_km or 0.0)
        return filled(text, **facts)

    def _km(self, km: float) -> str:
        return str(round(km)) if km >= 1 else self.language.under_one

    def _effect(self, fact: EventFact) -> Pieces:
        assert fact.label is not None
        words = self.language.share(fact.fraction)
        part = [(self.language.shares[words].part, f"share:{fact.label}:{words}")]
        word = [(self.language.word(fact.label, self.taxonomy), f"label:{fact.label}")]
        return parsed(self.language.events[fact.type].effect).filled({"part": part, "word": word})

    def _span(self, days: float) -> str:
        words, whole = self.language.spans, int(days)
        if whole < 2:
            return words.day if whole else words.hours
        if whole < _MONTHS_FROM_DAYS:
            return filled(words.days, n=self.language.number(whole))
        return filled(words.months, n=self.language.number(round(days / _MONTH_DAYS)))


_SAYS: dict[str, Callable[[Renderer], Pieces]] = {
    "sensor": Renderer.sensor,
    "season": Renderer.season,
    "date": Renderer.date,
    "place": Renderer.place,
    "labels": Renderer.labels,
    "shares": Renderer.shares,
    "events": Renderer.events,
    "effects": Renderer.effects,
}


def _one(fact: EventFact, other: EventFact) -> bool:
    """Two products that tell one event."""
    return fact.type == other.type and abs(fact.days - other.days) < 1


def _felt(fact: EventFact) -> bool:
    """An epicentre is near, and the earth had moved."""
    return fact.distance_km is not None and fact.phase in ("during", "after")
