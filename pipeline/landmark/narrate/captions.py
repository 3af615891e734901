"""Captions from a small grammar in YAML: each phrase states one fact, and the caption says where."""

import datetime as dt
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from landmark.base.errors import InputError
from landmark.base.files import Strict, load
from landmark.base.hashing import rank
from landmark.base.taxonomy import Taxonomy

_TROPIC_DEG = 23.44
_SEASONS = ("winter", "spring", "summer", "autumn")
_SLOTS = frozenset({"labels", "sensor", "season"})


class Template(Strict):
    """One way of saying it."""

    id: str
    text: str

    @field_validator("text")
    @classmethod
    def _known_slots(cls, text: str) -> str:
        if unknown := slots(text) - _SLOTS:
            raise ValueError(f"no slot {{{min(unknown)}}}; there are {', '.join(sorted(_SLOTS))}")
        return text


class Language(Strict):
    """The words of one language."""

    and_: str = Field(alias="and", description="Between the last two of a list")
    sensors: dict[str, str]
    seasons: dict[str, str]


class Grammar(Strict):
    """`taxonomies/captions.yaml`."""

    version: str
    styles: dict[str, tuple[Template, ...]]
    languages: dict[str, Language]


@dataclass(frozen=True, slots=True)
class Scene:
    """The facts a caption may state of one sample: `labels` are class keys, largest first; `lat` in degrees."""

    id: str
    sensor: str
    moment: dt.datetime
    lat: float
    labels: tuple[str, ...]


def load_grammar(styles: tuple[str, ...]) -> Grammar:
    """The shipped grammar, once it is known to have the styles a recipe asks for.

    Raises:
        InputError: no such style.
    """
    grammar = load(Grammar, "taxonomies", "captions")
    for style in styles:
        if style not in grammar.styles:
            raise InputError(f"captions: no style {style!r}; there are {', '.join(grammar.styles)}")
    return grammar


def captions(
    scene: Scene, grammar: Grammar, *, taxonomy: Taxonomy, styles: tuple[str, ...], seed: int
) -> list[dict[str, Any]]:
    """One caption per style and language, as rows of the `captions` column.

    A style none of whose templates has facts gives none.
    """
    made = []
    for style in styles:
        for lang, words in grammar.languages.items():
            spoken = _facts(scene, taxonomy, lang, words, style)
            templates = _fullest(grammar.styles[style], spoken)
            if templates:
                template = templates[rank(seed, "template", style, lang, scene.id) % len(templates)]
                made.append(
                    {
                        "style": style,
                        "lang": lang,
                        "template": f"{template.id}@{grammar.version}",
                        **_fill(template, spoken),
                    }
                )
    return made


def season(moment: dt.datetime, lat: float) -> str | None:
    """Meteorological season (December to February is the northern winter).

    None between the tropics, which have none.
    """
    if abs(lat) <= _TROPIC_DEG:
        return None
    return _SEASONS[(moment.month % 12 // 3 + (0 if lat > 0 else 2)) % 4]


def slots(text: str) -> set[str]:
    """Names of the slots of a template, in lower case."""
    return {name.lower() for _, name, _, _ in string.Formatter().parse(text) if name is not None}


# A slot's pieces: words, and the fact they state ("" for glue).
_Pieces = list[tuple[str, str]]


def _facts(scene: Scene, taxonomy: Taxonomy, lang: str, words: Language, style: str) -> Mapping[str, _Pieces]:
    facts: dict[str, _Pieces] = {"sensor": [(words.sensors[scene.sensor], f"sensor:{scene.sensor}")]}
    if (when := season(scene.moment, scene.lat)) is not None:
        facts["season"] = [(words.seasons[when], f"season:{when}")]
    if scene.labels:
        facts["labels"] = _labels(scene, taxonomy, lang, words, style)
    return facts


def _labels(scene: Scene, taxonomy: Taxonomy, lang: str, words: Language, style: str) -> _Pieces:
    classes = [(taxonomy.classes[key], f"label:{key}") for key in scene.labels]
    if style == "structured":
        spoken, glue = [(entry.name[lang].lower(), fact) for entry, fact in classes], ". "
    else:
        spoken, glue = [(entry.phrase[lang], fact) for entry, fact in classes], ", "
    pieces = [spoken[0]]
    for number, piece in enumerate(spoken[1:], start=2):
        last = number == len(spoken) and style != "structured"
        pieces += [(words.and_ if last else glue, ""), piece]
    return pieces


def _fullest(templates: tuple[Template, ...], facts: Mapping[str, _Pieces]) -> list[Template]:
    """Among the templates whose every slot has a fact, those that state most."""
    usable = [template for template in templates if slots(template.text) <= facts.keys()]
    most = max((len(slots(template.text)) for template in usable), default=0)
    return [template for template in usable if len(slots(template.text)) == most]


def _fill(template: Template, facts: Mapping[str, _Pieces]) -> dict[str, Any]:
    text, evidence = "", []
    for literal, slot, _, _ in string.Formatter().parse(template.text):
        text += literal
        for number, (words, fact) in enumerate(facts[slot.lower()] if slot else []):
            spoken = words[:1].upper() + words[1:] if number == 0 and slot and slot[0].isupper() else words
            if fact:
                evidence.append({"start": len(text), "end": len(text) + len(spoken), "fact": fact})
            text += spoken
    return {"text": text, "evidence": evidence}
