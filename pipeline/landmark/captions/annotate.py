"""What is said of a sample: its labels, shares, events and captions, from the cover of its cell and no pixel.

A build and a recaptioning say the same by the same function.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from landmark.captions.gazetteer import Gazetteer
from landmark.captions.grammar import Grammar
from landmark.captions.negatives import render_hard_negatives
from landmark.captions.questions import render_questions
from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import NearestPlace, SampleFacts
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.labels.label_rules import CellLabels, LabelRules

_NO_LABELS = CellLabels((), {}, {}, 0.0, {})
# What no map shows is absent only where the maps leave (but for rounding) no pixel open.
_WHOLE_PCT = 99.995


@dataclass(frozen=True, slots=True)
class Annotator:
    """What a sample's words follow from.

    Attributes:
        editions: Of the label sources, by the numbers the cover gives them.
        licences: Of imagery and labels, per sensor.
        wanted: Which captions, and how many.
    """

    label_rules: LabelRules
    grammar: Grammar
    config: CaptionConfig
    editions: tuple[LabelEdition, ...]
    licences: Mapping[str, tuple[str, ...]]
    gazetteer: Gazetteer | None = None

    def fold_counts(self, cover: pa.Table) -> "CellFacts":
        """What the labels and events say, per cell and period of a cover table."""
        return CellFacts(self.label_rules.apply(cover))


@dataclass(frozen=True, slots=True)
class CellFacts:
    """What the labels and events say, per (cell, period)."""

    by_cell: Mapping[tuple[str, str], CellLabels]

    def of(self, cell: str, period: str) -> CellLabels:
        """Nothing, where there is no cover."""
        return self.by_cell.get((cell, period), _NO_LABELS)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Which image is spoken of: `lon` and `lat` of the cell's centre in degrees, `moment` UTC.

    `place` is the nearest one where it is known already; else the gazetteer is asked.
    """

    id: str
    sensor: str
    time: dt.datetime
    lon: float
    lat: float
    distant_from: str | None = None
    place: NearestPlace | None = None


def annotate_sample(image: ImageInfo, facts: CellLabels, wording: Annotator) -> dict[str, Any]:
    """The columns of a sample that say what its image shows; land cover first, then what events did to it."""
    events = _events(image, facts, wording.label_rules)
    scene, taxonomy = _scene(image, facts, events, wording), wording.label_rules.taxonomy
    return {
        "labels": scene.labels,
        "fractions": list(facts.fractions.items()),
        "label_valid_pct": facts.label_valid_pct,
        "subclasses": list(facts.subclasses.items()),
        "agreement": list(facts.class_agreement.items()),
        "sources": [_source(wording.editions[number], image.time, facts) for number in facts.editions.values()],
        "events": [asdict(fact) for fact in events],
        "place": _place(scene.place),
        "captions": render_captions(scene, wording.grammar, taxonomy, wording.config),
        "questions": render_questions(scene, wording.grammar, taxonomy, wording.config),
        "hard_negatives": render_hard_negatives(scene, wording.grammar, taxonomy, wording.config),
        "licences": wording.licences[image.sensor],
    }


def derive_labels(image: ImageInfo, facts: CellLabels, wording: Annotator) -> tuple[str, ...]:
    """The labels alone."""
    return _scene(image, facts, _events(image, facts, wording.label_rules), wording).labels


def _scene(image: ImageInfo, facts: CellLabels, events: tuple[EventFact, ...], wording: Annotator) -> SampleFacts:
    meaning = wording.label_rules
    return SampleFacts(
        id=image.id,
        sensor=image.sensor,
        time=image.time,
        lat=image.lat,
        labels=tuple(dict.fromkeys([*facts.labels, *(fact.label for fact in events if fact.label is not None)])),
        fractions=facts.fractions,
        subclasses=_largest_finer(facts, meaning.crosswalks),
        events=events,
        place=image.place or (wording.gazetteer.nearest(image.lon, image.lat) if wording.gazetteer else None),
        absent_classes=_absent(facts, events, meaning),
        absent_event_classes=_looked_for(events, meaning),
    )


def _place(place: NearestPlace | None) -> dict[str, Any] | None:
    if place is None:
        return None
    others = [{"lang": lang, "name": name} for lang, name in place.names.items() if lang]
    return {"name": place.names[""], "names": others, "km": place.km, "bearing_deg": place.bearing_deg}


def _largest_finer(facts: CellLabels, crosswalks: tuple[Crosswalk, ...]) -> dict[str, tuple[str, float]]:
    """Per class its largest finer class, and that one's share of the class."""
    target = {f"{one.name}/{entry.key}": entry.to for one in crosswalks for entry in one.classes.values()}
    largest: dict[str, tuple[str, float]] = {}
    for finer, share in facts.subclasses.items():
        key = target[finer]
        if key is not None and key not in largest:
            largest[key] = finer, share / facts.fractions[key]
    return largest


def _absent(facts: CellLabels, events: tuple[EventFact, ...], meaning: LabelRules) -> tuple[str, ...]:
    """The classes that every map of the cell could have shown, and none of its pixels carries or may look like."""
    if facts.label_valid_pct < _WHOLE_PCT:
        return ()
    here = [one for one in meaning.crosswalks if one.name in facts.editions]
    could = [{entry.to for entry in one.classes.values()} for one in here]
    known = (set.intersection(*could) if could else set()) - _seeming(events, meaning)
    return tuple(
        key
        for key, one in meaning.taxonomy.classes.items()
        if key in known and key not in facts.fractions and not one.event
    )


def _seeming(events: tuple[EventFact, ...], meaning: LabelRules) -> set[str]:
    """What the ground of events that have begun may look like, though the maps show none: a flood is water."""
    begun = {fact.type for fact in events if fact.fraction > 0 and fact.phase in ("during", "after")}
    return {key for kind in begun if meaning.event_index for key in meaning.event_index.types[kind].looks_like}


def _looked_for(events: tuple[EventFact, ...], meaning: LabelRules) -> tuple[str, ...]:
    """The classes of events somebody looked for on all of the cell, at such a time, and that left no trace in it."""
    if meaning.event_index is None:
        return ()
    kinds = {fact.id: meaning.event_index.types[fact.type] for fact in events}
    looked = [
        kinds[fact.id].to for fact in events if fact.in_aoi and fact.fraction == 0 and fact.phase in kinds[fact.id].mentionable_phases
    ]
    found = {kinds[fact.id].to for fact in events if fact.fraction > 0}
    return tuple(dict.fromkeys(key for key in looked if key not in found))


def _events(image: ImageInfo, facts: CellLabels, meaning: LabelRules) -> tuple[EventFact, ...]:
    if meaning.event_index is None:
        return ()
    return meaning.event_index.facts(
        facts.impacts, image.time, (image.lon, image.lat), meaning.thresholds, distant_from=image.distant_from
    )


def _source(vintage: LabelEdition, moment: dt.datetime, facts: CellLabels) -> dict[str, Any]:
    return {
        "name": vintage.name,
        "version": vintage.version,
        "year": vintage.start.year,
        "gap_days": vintage.gap_days(moment),
        "agreement": facts.agreement.get(vintage.name),
    }
