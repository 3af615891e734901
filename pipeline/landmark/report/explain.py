"""Explain a sample's captions: the fact each phrase states, and what that fact follows from."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from landmark.captions.grammar import Grammar, recorded_grammar
from landmark.core.errors import InvalidCorpus, UnknownName
from landmark.core.plural import plural
from landmark.corpus.index import read_index
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document, read_manifest
from landmark.domain.crosswalks import shipped_crosswalks

_DIRECTIONS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_MAX_SUGGESTIONS = 3

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Characters [start, end) of a caption, and the number of the fact they state."""

    start: int
    end: int
    number: int


@dataclass(frozen=True, slots=True)
class ExplainedCaption:
    """A caption with its phrases, in order, and the text of its template (`rule`)."""

    style: str
    lang: str
    template: str
    rule: str
    text: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Captions, questions and hard negatives of a sample with their facts.

    Attributes:
        facts: Facts stated in captions, numbered from one, each with lines of evidence.
        events: A line per event of the sample, including those that captions do not mention.
    """

    id: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    captions: tuple[ExplainedCaption, ...]
    questions: tuple[Row, ...]
    hard_negatives: tuple[Row, ...]
    events: tuple[str, ...]


def explain(root: Path, id: str) -> Explanation:
    """Explain a sample of a sealed corpus.

    Raises:
        InvalidCorpus: the folder is not sealed, or lacks its index.
        UnknownName: no such sample; the remedy lists similar ids.
    """
    manifest = read_manifest(root)
    row = _read_row(root, manifest, id)
    lock: Lock = read_document(Lock, root / "lock.json")
    evidence = _Evidence(row, manifest, lock, recorded_grammar(manifest, root))
    facts = dict.fromkeys(span["fact"] for caption in row["captions"] for span in caption["evidence"])
    numbers = {fact: number for number, fact in enumerate(facts, start=1)}
    return Explanation(
        id=id,
        facts=tuple((fact, tuple(evidence.lines(fact))) for fact in facts),
        captions=tuple(_explain_caption(caption, numbers, evidence.rules) for caption in row["captions"]),
        questions=tuple(row["questions"]),
        hard_negatives=tuple(row["hard_negatives"]),
        events=tuple(evidence.event_line(event) for event in row["events"]),
    )


def _read_row(root: Path, manifest: Manifest, id: str) -> Row:
    index = read_index(root, manifest)
    if index is None:
        raise InvalidCorpus(
            "missing, or of another corpus", file=root / "index.parquet", remedy="`landmark build` rewrites it"
        )
    rows: list[Row] = index.filter(pc.equal(index["id"], id)).to_pylist()
    if not rows:
        similar = difflib.get_close_matches(id, index["id"].to_pylist(), n=_MAX_SUGGESTIONS, cutoff=0)
        raise UnknownName("no such sample", file=root, value=id, remedy=f"similar ids: {', '.join(similar)}")
    return rows[0]


def _explain_caption(
    caption: Row, numbers: Mapping[str, int], rules: Mapping[tuple[str, str], str]
) -> ExplainedCaption:
    return ExplainedCaption(
        style=caption["style"],
        lang=caption["lang"],
        template=caption["template"],
        rule=rules.get((caption["lang"], caption["template"]), ""),
        text=caption["text"],
        phrases=tuple(Phrase(span["start"], span["end"], numbers[span["fact"]]) for span in caption["evidence"]),
    )


@dataclass
class _Evidence:
    """Describes what each fact of an index row follows from."""

    row: Row
    manifest: Manifest
    lock: Lock
    grammar: Grammar
    rules: dict[tuple[str, str], str] = field(init=False)

    def __post_init__(self) -> None:
        self._fractions, self._subclasses = dict(self.row["fractions"]), dict(self.row["subclasses"])
        self.rules = {
            (lang, f"{template.id}@{language.version}"): template.text
            for lang, language in self.grammar.languages.items()
            for templates in language.styles.values()
            for template in templates
        }

    def lines(self, fact: str) -> Iterator[str]:
        """Lines of evidence; none for an unknown kind of fact."""
        kind, _, value = fact.partition(":")
        if kind in _DESCRIBERS:
            yield from _DESCRIBERS[kind](self, value)

    def label(self, key: str) -> Iterator[str]:
        """Fraction, threshold and label maps of a class, or the event that gives it."""
        events = [event for event in self.row["events"] if event["label"] == key]
        yield from (self.event_line(event) for event in events)
        if key in self._fractions:
            share = _pct(self._fractions[key])
            yield f"{_class_name(self.manifest, key)}: {share} of the pixels with a class; {self._threshold(key)}"
            yield from self._map_lines(key)
        elif not events:
            yield "no label map and no event of this sample has this class"

    def share(self, value: str) -> Iterator[str]:
        """The fraction, and the interval that the words stand for."""
        keys, _, share_key = value.partition(":")
        for key in keys.split(","):
            affected = [event["fraction"] for event in self.row["events"] if event["label"] == key]
            fraction = affected[0] if affected else self._fractions.get(key, 0.0)
            base = "cell" if affected else "pixels with a class"
            yield f"{_class_name(self.manifest, key)}: {_pct(fraction)} of the {base}"
        languages = self.grammar.languages.values()
        intervals = {_interval(lang.shares, share_key) for lang in languages if share_key in lang.shares}
        if intervals:
            yield f"`{share_key}` stands for {' or '.join(sorted(intervals))}"

    def subclass(self, key: str) -> Iterator[str]:
        """The fraction of a subclass, and its label map."""
        yield f"{key}: {_pct(self._subclasses.get(key, 0.0))} of the pixels with a class"
        sources = self.row["sources"]
        yield from (_source_line(source) for source in sources if key.startswith(f"{source['name']}/"))

    def sensor(self, _: str) -> Iterator[str]:
        """Product, platform and orbit of the image."""
        row = self.row
        orbit = f"orbit {row['relative_orbit']}" if row["relative_orbit"] is not None else None
        yield ", ".join(part for part in (row["product"], row["platform"], row["orbit_direction"], orbit) if part)

    def season(self, _: str) -> Iterator[str]:
        """Date and hemisphere."""
        hemisphere = "northern" if self.row["lat"] > 0 else "southern"
        yield f"{self.row['datetime']:%-d %B} at {abs(self.row['lat']):.1f}°, {hemisphere} hemisphere"

    def date(self, _: str) -> Iterator[str]:
        """Time of the image."""
        yield f"{self.row['datetime']:%Y-%m-%d %H:%M:%S} UTC"

    def place(self, _: str) -> Iterator[str]:
        """Distance and direction from the nearest place."""
        place = self.row["place"]
        if place is not None:
            direction = _DIRECTIONS[round(place["bearing_deg"] / 45) % len(_DIRECTIONS)]
            yield f"the image's centre is {place['km']:.1f} km {direction} of {place['name']}, the nearest named place"

    def event(self, id: str) -> Iterator[str]:
        """An event that a caption mentions."""
        yield from (self.event_line(event) for event in self.row["events"] if event["id"] == id)

    def event_line(self, event: Row) -> str:
        """Product, time window, phase, affected fraction and class of an event."""
        record = next((record for record in self.lock.events if record.id == event["id"]), None)
        window = f", {record.start:%Y-%m-%dT%H:%M} to {record.end:%Y-%m-%dT%H:%M} UTC" if record else ""
        days = event["days"]
        when = "" if days is None else f", {abs(days):.1f} days {'before' if days < 0 else 'after'} it began"
        grade = f" ({event['grade']})" if event["grade"] else ""
        parts = [
            f"{event['type']} {event['id']} ({event['product']}{window}): phase {event['phase']}{when}",
            f"it affected {_pct(event['fraction'])} of the cell{grade}",
            "all pixels were mapped" if event["in_aoi"] else "not all pixels were mapped",
        ]
        if event["distance_km"] is not None:
            magnitude = "" if event["magnitude"] is None else f" of magnitude {event['magnitude']:.1f}"
            parts.append(f"its epicentre{magnitude} is {event['distance_km']:.1f} km away")
        label = event["label"]
        parts.append(f"the image has {f'{label}, {self._threshold(label)}' if label else 'no class because of it'}")
        return "; ".join(parts)

    def _threshold(self, key: str) -> str:
        thresholds = self.lock.recipe.thresholds
        return f"a label from {thresholds.classes.get(key, thresholds.default):g} % on"

    def _map_lines(self, key: str) -> Iterator[str]:
        """Label maps with a class, the subclasses they show, and the agreement of another map."""
        targets = _targets(self.lock, self.manifest.taxonomy.name)
        for source in self.row["sources"]:
            subclasses = [
                f"{name.split('/', 1)[1]} {_pct(fraction)}"
                for name, fraction in self._subclasses.items()
                if name.startswith(f"{source['name']}/") and targets.get(name, key) == key
            ]
            if subclasses:
                yield f"{_source_line(source)}: {', '.join(subclasses)}"
        if (confirmed := dict(self.row["agreement"]).get(key)) is not None:
            yield f"another map that has the class agrees on {_pct(confirmed)} of these pixels"


_DESCRIBERS: dict[str, Callable[[_Evidence, str], Iterator[str]]] = {
    "label": _Evidence.label,
    "share": _Evidence.share,
    "finer": _Evidence.subclass,
    "sensor": _Evidence.sensor,
    "season": _Evidence.season,
    "date": _Evidence.date,
    "place": _Evidence.place,
    "event": _Evidence.event,
}


def _targets(lock: Lock, taxonomy: str) -> dict[str, str | None]:
    """Subclass → class, of the sources that landmark ships."""
    crosswalks = shipped_crosswalks((entry.source for entry in lock.recipe.labels), taxonomy)
    return {
        f"{crosswalk.name}/{entry.key}": entry.to for crosswalk in crosswalks for entry in crosswalk.classes.values()
    }


def _source_line(source: Row) -> str:
    gap = (
        f"{plural(source['gap_days'], 'day')} from the image" if source["gap_days"] else "of the same time as the image"
    )
    return f"{source['name']} {source['version']} of {source['year']}, {gap}"


def _interval(shares: Mapping[str, Any], share_key: str) -> str:
    bounds: Sequence[float] = [*(words.from_pct for words in shares.values()), 100.0]
    index = list(shares).index(share_key)
    return f"{bounds[index]:g} to {bounds[index + 1]:g} %"


def _class_name(manifest: Manifest, key: str) -> str:
    return manifest.taxonomy.classes[key].name["en"] if key in manifest.taxonomy.classes else key


def _pct(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
