"""Questions answered by facts: whether a class is present, which of two covers more, and how much one covers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import Language
from landmark.captions.markup import fill
from landmark.captions.render import CaptionConfig
from landmark.captions.sample_facts import SampleFacts
from landmark.core.hashing import rank
from landmark.core.salts import ANSWER, QUESTION, QUESTION_KIND
from landmark.domain.taxonomy import Taxonomy

# Smaller differences of fractions are within the error of label maps and not compared.
_MIN_DIFFERENCE = 0.1


@dataclass(frozen=True, slots=True)
class QuestionSpec:
    """A question, independent of language.

    Attributes:
        kind: `presence` or `comparison`, answered by yes or no, or `share`, answered by words for a fraction.
        key: Class the question is about.
        evidence: Facts that give the answer.
        is_true: Answer of a yes-or-no question.
        other_key: Class that `key` is compared with.
        fraction: Fraction of the class, 0 to 1, for `share`.
    """

    kind: str
    key: str
    evidence: tuple[str, ...] = ()
    is_true: bool | None = None
    other_key: str = ""
    fraction: float = 0.0


def render_questions(
    sample: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, config: CaptionConfig
) -> list[dict[str, Any]]:
    """Rows of the `questions` column: up to `config.questions` per language, the same in each.

    Kinds alternate. Yes and no are equally likely; a yes-or-no kind that has candidates for only one of the answers is
    skipped, because the kind would then give the answer away.
    """
    if not config.questions:
        return []
    return [
        render_question(spec, language, taxonomy)
        for spec in _pick(sample, config)
        for language in grammar.languages.values()
    ]


def _pick(sample: SampleFacts, config: CaptionConfig) -> list[QuestionSpec]:
    pools: dict[tuple[str, bool | None], list[QuestionSpec]] = {}
    for spec in _candidates(sample):
        pools.setdefault((spec.kind, spec.is_true), []).append(spec)
    for pool in pools.values():
        pool.sort(key=lambda spec: rank(config.seed, QUESTION, sample.id, spec.kind, spec.key, spec.other_key))
    kinds = sorted({kind for kind, _ in pools}, key=lambda kind: rank(config.seed, QUESTION_KIND, sample.id, kind))
    kinds = [kind for kind in kinds if kind == "share" or {(kind, True), (kind, False)} <= pools.keys()]
    picked: list[QuestionSpec] = []
    for number in range(config.questions if kinds else 0):
        kind = kinds[number % len(kinds)]
        is_true = None if kind == "share" else rank(config.seed, ANSWER, sample.id, str(number)) % 2 == 0
        if pool := pools[kind, is_true]:
            picked.append(pool.pop(0))
    return picked


def _candidates(sample: SampleFacts) -> Iterator[QuestionSpec]:
    event_by_class, fractions = sample.event_by_class, sample.fractions
    for key in sample.labels:
        evidence = (_label_evidence(key, sample),)
        yield QuestionSpec("presence", key, evidence, is_true=True)
        fraction = event_by_class[key].fraction if key in event_by_class else fractions.get(key)
        if fraction is not None:
            yield QuestionSpec("share", key, evidence, fraction=fraction)
    for key in sample.absent_classes:
        yield QuestionSpec("presence", key, (f"absent:{key}",), is_true=False)
    for key in sample.absent_event_classes:
        yield QuestionSpec("presence", key, (f"looked_for:{key}",), is_true=False)
    land = [key for key in sample.labels if key not in event_by_class and key in fractions]
    for first, second in combinations(land, 2):
        more, less = (first, second) if fractions[first] >= fractions[second] else (second, first)
        if fractions[more] - fractions[less] >= _MIN_DIFFERENCE:
            evidence = (f"more:{more}:{less}",)
            yield QuestionSpec("comparison", more, evidence, is_true=True, other_key=less)
            yield QuestionSpec("comparison", less, evidence, is_true=False, other_key=more)


def _label_evidence(key: str, sample: SampleFacts) -> str:
    return next((f"event:{fact.id}" for fact in sample.mentionable_events if fact.label == key), f"label:{key}")


def render_question(spec: QuestionSpec, language: Language, taxonomy: Taxonomy) -> dict[str, Any]:
    """A row of the `questions` column: a question in a language, with its answer."""
    template = getattr(language.questions, spec.kind)
    words = {"class": language.phrase(spec.key, taxonomy), "of": language.question_form(spec.key, taxonomy)}
    if spec.other_key:
        words["other"] = language.phrase(spec.other_key, taxonomy)
        words["of_other"] = language.question_form(spec.other_key, taxonomy)
    evidence = list(spec.evidence)
    if spec.kind == "share":
        share_key = language.share_key(spec.fraction)
        evidence.append(f"share:{spec.key}:{share_key}")
        answer = language.shares[share_key].alone
    else:
        answer = template.yes if spec.is_true else template.no
    return {
        "lang": language.lang,
        "kind": spec.kind,
        "question": fill(template.text, **words),
        "answer": answer,
        "evidence": evidence,
    }
