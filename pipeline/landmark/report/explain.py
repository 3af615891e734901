"""Why a sample's captions say what they say: each phrase with the fact it states, and what that fact rests on."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from landmark.captions.grammar import Grammar
from landmark.core.errors import InvalidCorpus, UnknownName
from landmark.core.yaml_files import available, load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document
from landmark.corpus.reader import read_index
from landmark.domain.taxonomy import Crosswalk

_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_NEAR_IDS = 3


@dataclass(frozen=True, slots=True)
class Phrase:
    """Characters [start, end) of a caption, and the number of the fact they state."""

    start: int
    end: int
    number: int


@dataclass(frozen=True, slots=True)
class ExplainedCaption:
    """A caption with its phrases, in order, and the rule it was made by."""

    style: str
    lang: str
    template: str
    rule: str
    text: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that a corpus says of one sample, and why.

    Attributes:
        facts: What captions state, numbered from one, each with what it rests on.
        events: Of every event the sample knows, also where no caption may name it.
    """

    id: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    captions: tuple[ExplainedCaption, ...]
    questions: tuple[Mapping[str, Any], ...]
    hard_negatives: tuple[Mapping[str, Any], ...]
    events: tuple[str, ...]


def explain(root: Path, id: str) -> Explanation:
    """What a sealed corpus says of a sample, and why.

    Raises:
        InvalidCorpus: the folder is not sealed, or lacks its index.
        UnknownName: no such sample; the message names the nearest.
    """
    manifest: Manifest = read_document(Manifest, root / "corpus.json")
    row = _row(root, manifest, id)
    why = _Why(row, manifest, read_document(Lock, root / "lock.json"))
    facts = dict.fromkeys(one["fact"] for caption in row["captions"] for one in caption["evidence"])
    number = {fact: place for place, fact in enumerate(facts, start=1)}
    return Explanation(
        id=id,
        facts=tuple((fact, tuple(why.of(fact))) for fact in facts),
        captions=tuple(_caption(one, number, why.rules) for one in row["captions"]),
        questions=tuple(row["questions"] or ()),
        hard_negatives=tuple(row["hard_negatives"] or ()),
        events=tuple(why.event(one) for one in row["events"]),
    )


def _row(root: Path, manifest: Manifest, id: str) -> dict[str, Any]:
    index = read_index(root, manifest)
    if index is None:
        raise InvalidCorpus(f"{root / 'index.parquet'} is missing or not of this corpus; `landmark build` rewrites it")
    found = index.filter(pc.equal(index["id"], id)).to_pylist()
    if not found:
        near = difflib.get_close_matches(id, index["id"].to_pylist(), n=_NEAR_IDS, cutoff=0)
        raise UnknownName(f"{root} has no sample {id!r}; the nearest are {', '.join(near)}")
    # Corpora sealed before there were places and questions have no such columns.
    return {"place": None, "questions": (), "hard_negatives": (), **found[0]}


def _caption(said: Mapping[str, Any], number: Mapping[str, int], rules: Mapping[tuple[str, str], str]) -> ExplainedCaption:
    return ExplainedCaption(
        style=said["style"],
        lang=said["lang"],
        template=said["template"],
        rule=rules.get((said["lang"], said["template"]), ""),
        text=said["text"],
        phrases=tuple(Phrase(one["start"], one["end"], number[one["fact"]]) for one in said["evidence"]),
    )


@dataclass
class _Why:
    """Words for what each fact of a row rests on."""

    row: Mapping[str, Any]
    manifest: Manifest
    lock: Lock
    rules: dict[tuple[str, str], str] = field(init=False)

    def __post_init__(self) -> None:
        languages = Grammar.model_validate(self.manifest.grammar or {"languages": {}}).languages
        self._languages, self._shares, self._finer = languages, dict(self.row["fractions"]), dict(self.row["subclasses"])
        self.rules = {
            (lang, f"{one.id}@{language.version}"): one.text
            for lang, language in languages.items()
            for style in language.styles.values()
            for one in style
        }

    def of(self, fact: str) -> Iterator[str]:
        """Lines of evidence; none for a kind of fact nobody knows."""
        kind, _, value = fact.partition(":")
        if kind in _SAYS:
            yield from _SAYS[kind](self, value)

    def label(self, key: str) -> Iterator[str]:
        """A class: its share and threshold and the maps that show it, or the event that gives it."""
        by = [one for one in self.row["events"] if one["label"] == key]
        yield from (self.event(one) for one in by)
        if key in self._shares:
            share = _pct(self._shares[key])
            yield f"{_name(self.manifest, key)}: {share} of the pixels with a class; {self._rule(key)}"
            yield from self._maps(key)
        elif not by:
            yield "no map and no event of this sample bears it out"

    def share(self, value: str) -> Iterator[str]:
        """A share in words: the share, and the interval the words stand for."""
        keys, _, words = value.partition(":")
        for key in keys.split(","):
            by = [one["fraction"] for one in self.row["events"] if one["label"] == key]
            share = by[0] if by else self._shares.get(key, 0.0)
            yield f"{_name(self.manifest, key)}: {_pct(share)} of the {'cell' if by else 'pixels with a class'}"
        if spans := {_interval(one.shares, words) for one in self._languages.values() if words in one.shares}:
            yield f"`{words}` stands for {' or '.join(sorted(spans))}"

    def finer(self, key: str) -> Iterator[str]:
        """A finer class: its share, and the map it is a class of."""
        yield f"{key}: {_pct(self._finer.get(key, 0.0))} of the pixels with a class"
        yield from (self._map(one) for one in self.row["sources"] if key.startswith(f"{one['name']}/"))

    def sensor(self, value: str) -> Iterator[str]:
        """The product the image is of."""
        row = self.row
        orbit = f"orbit {row['relative_orbit']}" if row["relative_orbit"] is not None else None
        told = (row["product"], row["platform"], row["orbit_direction"], orbit)
        yield ", ".join(part for part in told if part)

    def season(self, value: str) -> Iterator[str]:
        """Month and hemisphere."""
        half = "northern" if self.row["lat"] > 0 else "southern"
        yield f"{self.row['datetime']:%-d %B} at {abs(self.row['lat']):.1f}°, on the {half} half of the earth"

    def date(self, value: str) -> Iterator[str]:
        """The image's moment."""
        yield f"{self.row['datetime']:%Y-%m-%d %H:%M:%S} UTC"

    def place(self, value: str) -> Iterator[str]:
        """The way from the nearest place of the gazetteer."""
        place = self.row["place"]
        if place is not None:
            wind = _WINDS[round(place["bearing_deg"] / 45) % len(_WINDS)]
            yield f"the image's centre lies {place['km']:.1f} km {wind} of {place['name']}, the nearest named place"

    def named(self, id: str) -> Iterator[str]:
        """An event a caption names."""
        yield from (self.event(one) for one in self.row["events"] if one["id"] == id)

    def event(self, one: Mapping[str, Any]) -> str:
        """An event: product, window, phase of the image, share of the cell, and what of it the image carries."""
        locked = next((each for each in self.lock.events if each.id == one["id"]), None)
        window = f", {locked.start:%Y-%m-%dT%H:%M} to {locked.end:%Y-%m-%dT%H:%M} UTC" if locked else ""
        away = abs(one["days"]) if one["days"] is not None else None
        when = "" if away is None else f", {away:.1f} days {'before' if one['days'] < 0 else 'after'} it began"
        told = [
            f"{one['type']} {one['id']} ({one['product']}{window}): phase {one['phase']}{when}",
            f"it affected {_pct(one['fraction'])} of the cell" + (f" ({one['grade']})" if one["grade"] else ""),
            "every pixel was looked at" if one["in_aoi"] else "not every pixel was looked at",
        ]
        if one["distance_km"] is not None:
            strength = "" if one["magnitude"] is None else f" of magnitude {one['magnitude']:.1f}"
            told.append(f"its epicentre{strength} lies {one['distance_km']:.1f} km away")
        said = f"{one['label']}, {self._rule(one['label'])}" if one["label"] else "no class because of it"
        told.append(f"the image carries {said}")
        return "; ".join(told)

    def _rule(self, key: str) -> str:
        asked = self.lock.recipe.thresholds
        return f"a label from {asked.classes.get(key, asked.default):g} % on"

    def _maps(self, key: str) -> Iterator[str]:
        """The maps that show a class, with what finer classes, and how far another map agrees."""
        target = _targets(self.lock)
        for one in self.row["sources"]:
            mine = {name: share for name, share in self._finer.items() if name.startswith(f"{one['name']}/")}
            if shown := {name: share for name, share in mine.items() if target.get(name, key) == key}:
                told = ", ".join(f"{name.split('/', 1)[1]} {_pct(share)}" for name, share in shown.items())
                yield f"{self._map(one)}: {told}"
        if (confirmed := dict(self.row["agreement"]).get(key)) is not None:
            yield f"another map that knows the class agrees on {_pct(confirmed)} of these pixels"

    def _map(self, one: Mapping[str, Any]) -> str:
        gap = "of the same time as the image" if not one["gap_days"] else f"{one['gap_days']} days from the image"
        return f"{one['name']} {one['version']} of {one['year']}, {gap}"


_SAYS: dict[str, Callable[[_Why, str], Iterator[str]]] = {
    "label": _Why.label,
    "share": _Why.share,
    "finer": _Why.finer,
    "sensor": _Why.sensor,
    "season": _Why.season,
    "date": _Why.date,
    "place": _Why.place,
    "event": _Why.named,
}


def _targets(lock: Lock) -> dict[str, str | None]:
    """Finer class → target class, as far as the recipe's sources are ones landmark ships."""
    sources = [
        load_model(Crosswalk, "taxonomies", one.source)
        for one in lock.recipe.labels
        if one.source in available("taxonomies")
    ]
    return {f"{one.name}/{entry.key}": entry.to for one in sources for entry in one.classes.values()}


def _interval(shares: Mapping[str, Any], words: str) -> str:
    bounds: Sequence[float] = [one.from_pct for one in shares.values()]
    place = list(shares).index(words)
    return f"{bounds[place]:g} to {[*bounds, 100.0][place + 1]:g} %"


def _name(manifest: Manifest, key: str) -> str:
    return manifest.taxonomy.classes[key].name["en"] if key in manifest.taxonomy.classes else key


def _pct(share: float) -> str:
    return f"{100 * share:.1f} %"
