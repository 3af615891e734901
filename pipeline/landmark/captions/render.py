"""Render captions from a grammar in YAML; each caption records which characters state which fact."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import Template
from landmark.captions.markup import Spans, parse_template, to_text
from landmark.captions.sample_facts import Renderer, SampleFacts
from landmark.core.hashing import rank
from landmark.core.salts import TEMPLATE
from landmark.domain.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class CaptionConfig:
    """Number and styles of captions, questions and hard negatives.

    Attributes:
        seed: Determines, with the sample's id, which templates are used.
        captions_per_style: Maximum per style and language.
        questions: Maximum per language.
        hard_negatives: Maximum per language.
    """

    styles: tuple[str, ...]
    seed: int
    captions_per_style: int = 1
    questions: int = 0
    hard_negatives: int = 0


def render_captions(
    sample: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, config: CaptionConfig
) -> list[dict[str, Any]]:
    """Rows of the `captions` column: up to `captions_per_style` distinct captions per style and language.

    A style is skipped if no template has all its facts. Further captions use the style's other templates, then rotate
    the order of classes; `structured` has one caption.
    """
    return [
        row
        for style in config.styles
        for language in grammar.languages.values()
        for row in _render_style(Renderer(sample, language, taxonomy, style), config)
    ]


def _render_style(renderer: Renderer, config: CaptionConfig) -> list[dict[str, Any]]:
    by_text: dict[str, dict[str, Any]] = {}
    for rotation in range(1 if renderer.style == "structured" else max(1, len(renderer.sample.labels))):
        rotated = replace(renderer, rotation=rotation) if rotation else renderer
        for template in pick_templates(rotated, config.seed):
            row = render_caption(rotated, template)
            by_text.setdefault(row["text"], row)
            if len(by_text) == config.captions_per_style:
                return list(by_text.values())
    return list(by_text.values())


def pick_templates(renderer: Renderer, seed: int) -> list[Template]:
    """Templates of the renderer's style that state the most facts, starting at one chosen by the sample's id."""
    language, style = renderer.language, renderer.style
    templates = language.styles[style]
    texts = tuple(template.text for template in templates)
    fullest = _fullest(texts, frozenset(renderer.facts(_all_slots(texts))))
    if not fullest:
        return []
    first = rank(seed, TEMPLATE, style, language.lang, renderer.sample.id) % len(fullest)
    return [templates[number] for number in fullest[first:] + fullest[:first]]


def render_caption(renderer: Renderer, template: Template) -> dict[str, Any]:
    """A row of the `captions` column."""
    group = parse_template(template.text)
    spans = group.fill(renderer.facts(group.all_slots))
    return {
        "style": renderer.style,
        "lang": renderer.language.lang,
        "template": f"{template.id}@{renderer.language.version}",
        "text": to_text(spans),
        "evidence": locate_facts(spans),
    }


def locate_facts(spans: Spans) -> list[dict[str, Any]]:
    """Characters [start, end) of the text that state each fact."""
    located, end = [], 0
    for words, fact in spans:
        start, end = end, end + len(words)
        if fact:
            located.append({"start": start, "end": end, "fact": fact})
    return located


@cache
def _all_slots(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(parse_template(text).all_slots for text in texts))


@cache
def _fullest(texts: tuple[str, ...], facts: frozenset[str]) -> tuple[int, ...]:
    """Numbers of the templates whose required slots have facts and that fill the most slots."""
    filled = [parse_template(text).filled_slots(facts) for text in texts]
    most = max((len(slots) for slots in filled if slots is not None), default=0)
    return tuple(number for number, slots in enumerate(filled) if slots is not None and len(slots) == most)
