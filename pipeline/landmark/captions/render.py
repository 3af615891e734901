"""Captions from a small grammar in YAML: each phrase states one fact, and the caption says where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import Template
from landmark.captions.markup import Pieces, parsed, plain
from landmark.captions.sample_facts import SampleFacts, Renderer
from landmark.core.hashing import rank
from landmark.core.salts import TEMPLATE
from landmark.domain.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which captions, and how many.

    Attributes:
        seed: Another seed draws other templates.
        each: Captions at most, per style and language.
        questions: At most, per language; so `hard_negatives`.
    """

    styles: tuple[str, ...]
    seed: int
    each: int = 1
    questions: int = 0
    hard_negatives: int = 0


def captions(scene: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, wanted: Wanted) -> list[dict[str, Any]]:
    """Up to `each` captions per style and language, as rows of the `captions` column; no two say it alike.

    A style none of whose templates has facts gives none. Further captions take the style's other templates, then name
    the classes in another order; `structured` has one.
    """
    return [
        row
        for style in wanted.styles
        for language in grammar.languages.values()
        for row in _of_style(Renderer(scene, language, taxonomy, style), wanted)
    ]


def _of_style(telling: Renderer, wanted: Wanted) -> list[dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for turn in range(1 if telling.style == "structured" else max(1, len(telling.scene.labels))):
        turned = replace(telling, turn=turn)
        for template in drawn(turned, wanted.seed):
            row = spoken(turned, template)
            made.setdefault(row["text"], row)
            if len(made) == wanted.each:
                return list(made.values())
    return list(made.values())


def drawn(telling: Renderer, seed: int) -> list[Template]:
    """The templates of a style that state most, from the one the sample's id draws on."""
    language, style = telling.language, telling.style
    templates = language.styles[style]
    facts = telling.facts(frozenset().union(*(parsed(one.text).every for one in templates)))
    fullest = _fullest(templates, facts)
    if not fullest:
        return []
    first = rank(seed, TEMPLATE, style, language.lang, telling.scene.id) % len(fullest)
    return fullest[first:] + fullest[:first]


def spoken(telling: Renderer, template: Template) -> dict[str, Any]:
    """A row of the `captions` column: what a template says of a scene."""
    group = parsed(template.text)
    pieces = group.filled(telling.facts(group.every))
    return {
        "style": telling.style,
        "lang": telling.language.lang,
        "template": f"{template.id}@{telling.language.version}",
        "text": plain(pieces),
        "evidence": evidence(pieces),
    }


def evidence(pieces: Pieces) -> list[dict[str, Any]]:
    """Where in the text each fact is stated: characters [start, end)."""
    found, end = [], 0
    for words, fact in pieces:
        start, end = end, end + len(words)
        if fact:
            found.append({"start": start, "end": end, "fact": fact})
    return found


def _fullest(templates: Sequence[Template], facts: Mapping[str, Pieces]) -> list[Template]:
    """Among the templates whose every slot has a fact, those that state most."""
    stated = {one.id: parsed(one.text).stated(facts.keys()) for one in templates}
    most = max((len(found) for found in stated.values() if found is not None), default=0)
    return [one for one in templates if (found := stated[one.id]) is not None and len(found) == most]
