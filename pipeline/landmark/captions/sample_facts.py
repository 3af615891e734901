"""Facts of one sample, and their rendering in a language."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from landmark.captions.language import SEASONS, Language
from landmark.captions.markup import Spans, annotate, fill, join, parse_template
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Taxonomy

_TROPIC_DEG = 23.44
_MONTHS_FROM_DAYS = 60
_MONTH_DAYS = 365.25 / 12
_DIRECTION_DEG = 45


@dataclass(frozen=True, slots=True)
class NearestPlace:
    """The nearest place of a gazetteer.

    Attributes:
        names: By language; "" is the default name.
        km: Distance from the cell's centre.
        bearing_deg: From the place to the cell's centre, clockwise from north.
    """

    names: Mapping[str, str]
    km: float
    bearing_deg: float

    def name(self, lang: str) -> str:
        """Name in a language, else the default name."""
        return self.names.get(lang) or self.names[""]


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """Facts that captions of one sample may state.

    Attributes:
        sensor: s1 or s2.
        time: UTC.
        lat: Degrees.
        labels: Class keys, largest fraction first, event classes last.
        fractions: Class → fraction of the pixels with a class, 0 to 1, of all classes that any pixel has.
        subclasses: Class → its largest subclass and that one's share of the class, 0 to 1.
        events: Largest fraction first.
        place: None if no place is near enough.
        absent_classes: Classes that every label map has in its crosswalk and no pixel shows.
        absent_event_classes: Classes of events that were mapped on the entire cell at such a time, without effect.
    """

    id: str
    sensor: str
    time: dt.datetime
    lat: float
    labels: tuple[str, ...]
    fractions: Mapping[str, float] = field(default_factory=dict)
    subclasses: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    events: tuple[EventFact, ...] = ()
    place: NearestPlace | None = None
    absent_classes: tuple[str, ...] = ()
    absent_event_classes: tuple[str, ...] = ()

    @property
    def season(self) -> str | None:
        """Season of the image, None between the tropics."""
        return season_at(self.time, self.lat)

    @property
    def event_by_class(self) -> dict[str, EventFact]:
        """Per event class, the event with the largest fraction."""
        return {fact.label: fact for fact in reversed(self.events) if fact.label is not None}

    @property
    def mentionable_events(self) -> tuple[EventFact, ...]:
        """Events a caption may name: the largest per event class, and of the others the nearest epicentre."""
        largest = [fact for fact in self.events if fact.label is not None and self.event_by_class[fact.label] is fact]
        near = [fact for fact in self.events if _is_shaken(fact) and fact not in largest]
        return (*largest, *sorted(near, key=lambda fact: (fact.distance_km or 0, fact.id))[:1])

    @property
    def events_with_date(self) -> tuple[EventFact, ...]:
        """Mentionable events whose time a caption states; of an earthquake's two products, that with the epicentre."""
        events = self.mentionable_events
        shaken = [fact for fact in events if _is_shaken(fact)]
        return tuple(
            fact for fact in events if _is_shaken(fact) or not any(_same_event(fact, candidate) for candidate in shaken)
        )


def season_at(time: dt.datetime, lat: float) -> str | None:
    """Meteorological season (December to February is the northern winter); None between the tropics."""
    if abs(lat) <= _TROPIC_DEG:
        return None
    return SEASONS[(time.month % 12 // 3 + (0 if lat > 0 else 2)) % 4]


@dataclass(frozen=True)
class Renderer:
    """Renders the facts of a sample in one language and style.

    Attributes:
        style: `structured` lists class names; others use phrases.
        rotation: Index of the first item of lists; 0 keeps the order of fractions.
        overrides: False facts of hard negatives: the season, the share of a class, or the phase of an event.
    """

    sample: SampleFacts
    language: Language
    taxonomy: Taxonomy
    style: str
    rotation: int = 0
    overrides: Mapping[str, str] = field(default_factory=dict)

    def facts(self, slots: frozenset[str]) -> dict[str, Spans]:
        """Spans of the slots that have facts."""
        for name in slots - self._rendered.keys():
            self._rendered[name] = _SLOT_RENDERERS[name](self)
        return {name: spans for name in slots if (spans := self._rendered[name])}

    @cached_property
    def _rendered(self) -> dict[str, Spans]:
        """Spans by slot: a template is chosen by the facts that fill it."""
        return {}

    def sensor(self) -> Spans:
        """The instrument."""
        return [(self.language.sensors[self.sample.sensor], f"sensor:{self.sample.sensor}")]

    def season(self) -> Spans:
        """The season, outside the tropics."""
        season = self.overrides.get("season") or self.sample.season
        return [(self.language.seasons[season], f"season:{season}")] if season else []  # type: ignore[index]

    def date(self) -> Spans:
        """Month and year."""
        time = self.sample.time
        words = fill(self.language.date, month=self.language.months[time.month - 1], year=str(time.year))
        return [(words, f"date:{time:%Y-%m}")]

    def place(self) -> Spans:
        """The nearest place, with distance and direction unless it is very near."""
        place, words = self.sample.place, self.language.places
        if place is None:
            return []
        name = place.name(self.language.lang)
        if place.km < words.near_km:
            return [(words.render_near(name), f"place:{name}")]
        direction = round(place.bearing_deg / _DIRECTION_DEG)
        return [(words.render_distance(name, str(round(place.km)), direction), f"place:{name}")]

    def labels(self) -> Spans:
        """The classes."""
        if self.style == "structured":
            names = [
                [(self.language.class_name(key, self.taxonomy).lower(), f"label:{key}")] for key in self.sample.labels
            ]
            return join(names, ". ", ". ") if names else []
        return self._list([self._phrase(key) for key in self._rotate(self.sample.labels)])

    def shares(self) -> Spans:
        """The land-cover classes, each with its share in words."""
        land = self._rotate(tuple(key for key in self.sample.labels if key not in self._event_classes))
        groups = [self._share(list(keys)) for _, keys in groupby(land, self._group_key)]
        return join(groups, self.language.and_shares) if groups else []

    def events(self) -> Spans:
        """The events and the time since they began."""
        return self._list([[(self._clause(fact), f"event:{fact.id}")] for fact in self.sample.events_with_date])

    def effects(self) -> Spans:
        """The share of the cell that events affected; nothing if a phase is overridden by `before`."""
        if any(key.startswith("event:") for key in self.overrides):
            return []
        largest = self.sample.event_by_class
        affecting = [fact for fact in self.sample.mentionable_events if fact.label and largest[fact.label] is fact]
        return self._list([self._effect(fact) for fact in affecting])

    @cached_property
    def _event_classes(self) -> set[str | None]:
        return {fact.label for fact in self.sample.mentionable_events}

    def _list(self, items: list[Spans]) -> Spans:
        return join(items, self.language.and_) if items else []

    def _rotate(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        start = self.rotation % len(keys) if keys else 0
        return keys[start:] + keys[:start]

    def _phrase(self, key: str) -> Spans:
        return [(self.language.phrase(key, self.taxonomy), f"label:{key}")]

    def _share_key(self, key: str) -> str | None:
        """Key of the words for a class's share, None if its fraction is unknown."""
        fraction = self.sample.fractions.get(key)
        return self.overrides.get(f"share:{key}") or (None if fraction is None else self.language.share_key(fraction))

    def _group_key(self, key: str) -> str:
        """Equal for adjacent classes that share the words for their shares."""
        share_key = self._share_key(key)
        return share_key if share_key and self.language.shares[share_key].several else key

    def _share(self, keys: list[str]) -> Spans:
        share_key, classes = self._share_key(keys[0]), self._list([self._class(key) for key in keys])
        if share_key is None:
            return classes
        words = self.language.shares[share_key]
        text = words.several if len(keys) > 1 and words.several else words.of_class
        return annotate(text, {"class": classes}, f"share:{','.join(keys)}:{share_key}")

    def _class(self, key: str) -> Spans:
        """A class, with its subclass if that dominates it."""
        subclass, share = self.sample.subclasses.get(key, ("", 0.0))
        template = self.language.dominant_subclass
        if subclass not in self.language.subclasses or 100 * share < template.from_pct:
            return self._phrase(key)
        subclass_span = (self.language.subclasses[subclass], f"finer:{subclass}")
        return parse_template(template.text).fill({"class": self._phrase(key), "finer": [subclass_span]})

    def _clause(self, fact: EventFact) -> str:
        words = self.language.events[fact.type]
        phase = self.overrides.get(f"event:{fact.id}") or fact.phase
        text = words.before if phase == "before" else words.during if phase == "during" else words.after
        slots = {"span": self._time_span(abs(fact.days))}
        if fact.magnitude is not None:
            slots["magnitude"] = f"{fact.magnitude:.1f}".replace(".", self.language.decimal)
        if _is_shaken(fact) and words.near and phase != "before":
            km = fact.distance_km or 0.0
            text, slots["km"] = words.near, str(round(km)) if km >= 1 else self.language.below_1_km
        return fill(text, **slots)

    def _effect(self, fact: EventFact) -> Spans:
        assert fact.label is not None
        share_key = self.language.share_key(fact.fraction)
        part = [(self.language.shares[share_key].part, f"share:{fact.label}:{share_key}")]
        word = [(self.language.event_word(fact.label, self.taxonomy), f"label:{fact.label}")]
        return parse_template(self.language.events[fact.type].effect).fill({"part": part, "word": word})

    def _time_span(self, days: float) -> str:
        words, full_days = self.language.spans, int(days)
        if full_days < 2:
            return words.day if full_days else words.hours
        if full_days < _MONTHS_FROM_DAYS:
            return fill(words.days, n=self.language.spell_number(full_days))
        return fill(words.months, n=self.language.spell_number(round(days / _MONTH_DAYS)))


_SLOT_RENDERERS: dict[str, Callable[[Renderer], Spans]] = {
    "sensor": Renderer.sensor,
    "season": Renderer.season,
    "date": Renderer.date,
    "place": Renderer.place,
    "labels": Renderer.labels,
    "shares": Renderer.shares,
    "events": Renderer.events,
    "effects": Renderer.effects,
}


def _same_event(first: EventFact, second: EventFact) -> bool:
    """Whether two facts, of different products, are about the same event."""
    return first.type == second.type and abs(first.days - second.days) < 1


def _is_shaken(fact: EventFact) -> bool:
    """Whether the sample is near an epicentre and the earthquake has begun."""
    return fact.distance_km is not None and fact.phase in ("during", "after")
