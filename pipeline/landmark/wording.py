"""What is said of a sample: its labels, shares, events and captions, from the cover of its cell and no pixel.

A build and a recaptioning say the same by the same function.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from landmark.base.events import EventFact
from landmark.base.meaning import Fractions, Meaning
from landmark.base.taxonomy import LabelVintage
from landmark.lockfile import Planned
from landmark.narrate import Grammar, Scene, captions
from landmark.setting import Setting

_NO_LABELS = Fractions((), {}, {}, 0.0, {})


@dataclass(frozen=True, slots=True)
class Wording:
    """What a sample's words follow from.

    Attributes:
        editions: Of the label sources, by the numbers the cover gives them.
        licences: Of imagery and labels, per sensor.
    """

    meaning: Meaning
    grammar: Grammar
    styles: tuple[str, ...]
    seed: int
    editions: tuple[LabelVintage, ...]
    licences: Mapping[str, tuple[str, ...]]

    def facts(self, cover: pa.Table) -> "Facts":
        """What the labels and events say, per cell and period of a cover table."""
        return Facts(self.meaning.fold(cover))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the labels and events say, per (cell, period)."""

    by_cell: Mapping[tuple[str, str], Fractions]

    def of(self, cell: str, period: str) -> Fractions:
        """Nothing, where there is no cover."""
        return self.by_cell.get((cell, period), _NO_LABELS)


@dataclass(frozen=True, slots=True)
class Image:
    """Which image is spoken of: `lon` and `lat` of the cell's centre in degrees, `moment` UTC."""

    id: str
    sensor: str
    moment: dt.datetime
    lon: float
    lat: float
    far_from: str | None = None


def wording_of(planned: Planned, setting: Setting) -> Wording:
    """The wording of a planned corpus."""
    recipe = setting.recipe
    editions = (LabelVintage(entry.source, entry.version, entry.start, entry.end) for entry in planned.lock.editions)
    return Wording(
        meaning=setting.knowing(planned.lock.happenings(setting.event_types)).meaning,
        grammar=setting.grammar,
        styles=recipe.captions,
        seed=recipe.sampling.seed,
        editions=tuple(editions),
        licences={name: setting.licences(name) for name in recipe.sensors},
    )


def words(image: Image, facts: Fractions, wording: Wording) -> dict[str, Any]:
    """The columns of a sample that say what its image shows; land cover first, then what events did to it."""
    events = _events(image, facts, wording.meaning)
    labels = tuple(dict.fromkeys([*facts.labels, *(fact.label for fact in events if fact.label is not None)]))
    scene = Scene(image.id, image.sensor, image.moment, image.lat, labels)
    return {
        "labels": labels,
        "fractions": list(facts.fractions.items()),
        "label_valid_pct": facts.label_valid_pct,
        "finer": list(facts.finer.items()),
        "agreement": list(facts.class_agreement.items()),
        "sources": [_source(wording.editions[number], image.moment, facts) for number in facts.editions.values()],
        "events": [asdict(fact) for fact in events],
        "captions": captions(
            scene, wording.grammar, taxonomy=wording.meaning.taxonomy, styles=wording.styles, seed=wording.seed
        ),
        "licences": wording.licences[image.sensor],
    }


def _events(image: Image, facts: Fractions, meaning: Meaning) -> tuple[EventFact, ...]:
    if meaning.happenings is None:
        return ()
    return meaning.happenings.facts(
        facts.grounds, image.moment, (image.lon, image.lat), meaning.thresholds, far_from=image.far_from
    )


def _source(vintage: LabelVintage, moment: dt.datetime, facts: Fractions) -> dict[str, Any]:
    return {
        "name": vintage.name,
        "version": vintage.version,
        "year": vintage.start.year,
        "gap_days": vintage.gap_days(moment),
        "agreement": facts.agreement.get(vintage.name),
    }
