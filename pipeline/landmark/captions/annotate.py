"""Derive a sample's labels, class fractions, events and captions from its cell's label counts. Reads no pixels."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
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

_EVENT_COLUMNS = [field.name for field in fields(EventFact)]
_NO_LABELS = CellLabels((), {}, {}, 0.0, {})
# A class is absent only if all pixels have a class; the rest of 100 % allows for rounding.
_ALL_CLASSIFIED_PCT = 99.995


@dataclass(frozen=True, slots=True)
class Annotator:
    """Inputs of annotation besides the samples' label counts.

    Attributes:
        editions: Of the label sources, by their number in label counts.
        licences: Sensor → licences of imagery and labels.
    """

    label_rules: LabelRules
    grammar: Grammar
    config: CaptionConfig
    editions: tuple[LabelEdition, ...]
    licences: Mapping[str, tuple[str, ...]]
    gazetteer: Gazetteer | None = None

    def fold_counts(self, label_counts: pa.Table) -> "CellFacts":
        """Labels and event impacts per cell and period of a label-count table."""
        return CellFacts(self.label_rules.apply(label_counts))


@dataclass(frozen=True, slots=True)
class CellFacts:
    """Labels and event impacts by (cell, period)."""

    by_cell: Mapping[tuple[str, str], CellLabels]

    def get(self, cell: str, period: str) -> CellLabels:
        """Labels of a cell; no labels if it has no label counts."""
        return self.by_cell.get((cell, period), _NO_LABELS)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The image of a sample.

    Attributes:
        time: UTC.
        lon: Of the cell's centre, degrees.
        lat: Of the cell's centre, degrees.
        distant_from: Id of an event that the sample was chosen far away from.
        place: The nearest place, if known; otherwise the annotator's gazetteer finds it.
    """

    id: str
    sensor: str
    time: dt.datetime
    lon: float
    lat: float
    distant_from: str | None = None
    place: NearestPlace | None = None


def image_of(row: Mapping[str, Any], plan_row: Mapping[str, Any], *, keep_place: bool) -> ImageInfo:
    """Build the image of a row of a shard from its own columns and its row of the plan."""
    place = row["place"] if keep_place else None
    if place is not None:
        names = {"": place["name"], **{name["lang"]: name["name"] for name in place["names"]}}
        place = NearestPlace(names, place["km"], place["bearing_deg"])
    return ImageInfo(row["id"], row["sensor"], row["datetime"], row["lon"], row["lat"], distant_event(plan_row), place)


def distant_event(row: Mapping[str, Any]) -> str | None:
    """Id of the event that a row of the plan is a distant sample of."""
    return row["event"] if row["role"] == "distant" else None


def annotate_sample(image: ImageInfo, cell: CellLabels, annotator: Annotator) -> dict[str, Any]:
    """Columns of a sample that are derived from labels and events."""
    sample, taxonomy = _collect_facts(image, cell, annotator), annotator.label_rules.taxonomy
    return {
        "labels": sample.labels,
        "fractions": list(cell.fractions.items()),
        "label_valid_pct": cell.label_valid_pct,
        "subclasses": list(cell.subclasses.items()),
        "agreement": list(cell.class_agreement.items()),
        "sources": [_source_row(annotator.editions[number], image.time, cell) for number in cell.editions.values()],
        "events": [{name: getattr(fact, name) for name in _EVENT_COLUMNS} for fact in sample.events],
        "place": _place_row(sample.place),
        "captions": render_captions(sample, annotator.grammar, taxonomy, annotator.config),
        "questions": render_questions(sample, annotator.grammar, taxonomy, annotator.config),
        "hard_negatives": render_hard_negatives(sample, annotator.grammar, taxonomy, annotator.config),
        "licences": annotator.licences[image.sensor],
    }


def derive_labels(image: ImageInfo, cell: CellLabels, annotator: Annotator) -> tuple[str, ...]:
    """Labels of a sample: land cover first, then classes of events."""
    return _collect_facts(image, cell, annotator).labels


def _collect_facts(image: ImageInfo, cell: CellLabels, annotator: Annotator) -> SampleFacts:
    rules, place = annotator.label_rules, image.place
    # Only questions and hard negatives are about what is absent.
    has_questions = annotator.config.questions > 0 or annotator.config.hard_negatives > 0
    events: tuple[EventFact, ...] = ()
    if rules.event_index is not None:
        centre = (image.lon, image.lat)
        events = rules.event_index.facts(
            cell.impacts, image.time, centre, rules.thresholds, distant_from=image.distant_from
        )
    if place is None and annotator.gazetteer is not None:
        place = annotator.gazetteer.nearest(image.lon, image.lat)
    return SampleFacts(
        id=image.id,
        sensor=image.sensor,
        time=image.time,
        lat=image.lat,
        labels=tuple(dict.fromkeys([*cell.labels, *(fact.label for fact in events if fact.label is not None)])),
        fractions=cell.fractions,
        subclasses=_largest_subclasses(cell, rules.crosswalks),
        events=events,
        place=place,
        absent_classes=_absent_classes(cell, events, rules) if has_questions else (),
        absent_event_classes=_absent_event_classes(events, rules) if has_questions else (),
    )


def _place_row(place: NearestPlace | None) -> dict[str, Any] | None:
    if place is None:
        return None
    translations = [{"lang": lang, "name": name} for lang, name in place.names.items() if lang]
    return {"name": place.names[""], "names": translations, "km": place.km, "bearing_deg": place.bearing_deg}


def _largest_subclasses(cell: CellLabels, crosswalks: tuple[Crosswalk, ...]) -> dict[str, tuple[str, float]]:
    """Class → its largest subclass, and the subclass's share of the class."""
    largest: dict[str, tuple[str, float]] = {}
    for subclass, fraction in cell.subclasses.items():
        key = next((rules.subclasses[subclass] for rules in crosswalks if subclass in rules.subclasses), None)
        if key is not None and key not in largest:
            largest[key] = subclass, fraction / cell.fractions[key]
    return largest


def _absent_classes(cell: CellLabels, events: tuple[EventFact, ...], rules: LabelRules) -> tuple[str, ...]:
    """Land-cover classes that all label sources of the cell have and that no pixel is or may look like."""
    if cell.label_valid_pct < _ALL_CLASSIFIED_PCT:
        return ()
    targets = [crosswalk.targets for crosswalk in rules.crosswalks if crosswalk.name in cell.editions]
    mapped = (frozenset.intersection(*targets) if targets else frozenset()) - _lookalikes(events, rules)
    return tuple(
        key
        for key, target in rules.taxonomy.classes.items()
        if key in mapped and key not in cell.fractions and not target.event
    )


def _lookalikes(events: tuple[EventFact, ...], rules: LabelRules) -> frozenset[str]:
    """Classes that land affected by events may look like in the image, such as water for a flood."""
    begun = {fact.type for fact in events if fact.fraction > 0 and fact.phase in ("during", "after")}
    traits = {trait for type_ in begun if rules.event_index for trait in rules.event_index.types[type_].looks_like}
    return rules.taxonomy.classes_like(*traits, event=False) if traits else frozenset()


def _absent_event_classes(events: tuple[EventFact, ...], rules: LabelRules) -> tuple[str, ...]:
    """Classes of events that were mapped on the entire cell, in a phase that shows them, without effect on it."""
    if rules.event_index is None:
        return ()
    types = {fact.id: rules.event_index.types[fact.type] for fact in events}
    unaffected = [
        types[fact.id].to
        for fact in events
        if fact.in_aoi and fact.fraction == 0 and fact.phase in types[fact.id].mentionable_phases
    ]
    affected = {types[fact.id].to for fact in events if fact.fraction > 0}
    return tuple(dict.fromkeys(key for key in unaffected if key not in affected))


def _source_row(edition: LabelEdition, time: dt.datetime, cell: CellLabels) -> dict[str, Any]:
    return {
        "name": edition.name,
        "version": edition.version,
        "year": edition.start.year,
        "gap_days": edition.gap_days(time),
        "agreement": cell.agreement.get(edition.name),
    }
