"""Questions whose answers are facts: is it there, is there more of it, how much of it is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import Language
from landmark.captions.markup import filled
from landmark.captions.render import Wanted
from landmark.captions.sample_facts import SampleFacts
from landmark.core.hashing import rank
from landmark.core.salts import ANSWER, QUESTION, QUESTION_KIND
from landmark.domain.taxonomy import Taxonomy

# Two shares nearer to each other than this are not compared: maps err by as much.
_CLEAR = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in no language: `presence` and `comparison` are answered yes or no, `share` by the words for a share.

    Attributes:
        other: What `key` is compared with.
        share: 0 to 1, of a question for it.
        evidence: The facts the answer rests on.
    """

    kind: str
    key: str
    evidence: tuple[str, ...] = ()
    yes: bool | None = None
    other: str = ""
    share: float = 0.0


def questions(scene: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, wanted: Wanted) -> list[dict[str, Any]]:
    """Rows of the `questions` column: up to `wanted.questions` per language, the same in each.

    Kinds take turns. Whether yes or no is asked for is drawn, each as often; a kind of question that a scene could
    answer in one way only is not put to it, or one could guess.
    """
    asked = _drawn(scene, wanted)
    return [put(one, language, taxonomy) for one in asked for language in grammar.languages.values()]


def _drawn(scene: SampleFacts, wanted: Wanted) -> list[Asked]:
    pools: dict[tuple[str, bool | None], list[Asked]] = {}
    for one in _askable(scene):
        pools.setdefault((one.kind, one.yes), []).append(one)
    for pool in pools.values():
        pool.sort(key=lambda one: rank(wanted.seed, QUESTION, scene.id, one.kind, one.key, one.other))
    kinds = sorted({kind for kind, _ in pools}, key=lambda kind: rank(wanted.seed, QUESTION_KIND, scene.id, kind))
    kinds = [kind for kind in kinds if kind == "share" or {(kind, True), (kind, False)} <= pools.keys()]
    drawn: list[Asked] = []
    for number in range(wanted.questions if kinds else 0):
        kind = kinds[number % len(kinds)]
        yes = None if kind == "share" else rank(wanted.seed, ANSWER, scene.id, str(number)) % 2 == 0
        if pool := pools[kind, yes]:
            drawn.append(pool.pop(0))
    return drawn


def _askable(scene: SampleFacts) -> Iterator[Asked]:
    """All that could be asked."""
    affected = scene.affected
    for key in scene.labels:
        yield Asked("presence", key, (_carried(key, scene),), yes=True)
        share = affected[key].fraction if key in affected else scene.shares.get(key)
        if share is not None:
            yield Asked("share", key, (_carried(key, scene),), share=share)
    for key in scene.absent:
        yield Asked("presence", key, (f"absent:{key}",), yes=False)
    for key in scene.looked_for:
        yield Asked("presence", key, (f"looked_for:{key}",), yes=False)
    land = [key for key in scene.labels if key not in affected and key in scene.shares]
    for one, other in combinations(land, 2):
        more, less = (one, other) if scene.shares[one] >= scene.shares[other] else (other, one)
        if scene.shares[more] - scene.shares[less] >= _CLEAR:
            yield Asked("comparison", more, (f"more:{more}:{less}",), yes=True, other=less)
            yield Asked("comparison", less, (f"more:{more}:{less}",), yes=False, other=more)


def _carried(key: str, scene: SampleFacts) -> str:
    return next((f"event:{fact.id}" for fact in scene.mentionable_events if fact.label == key), f"label:{key}")


def put(asked: Asked, language: Language, taxonomy: Taxonomy) -> dict[str, Any]:
    """A row of the `questions` column: a question in a language, with its answer."""
    words = getattr(language.questions, asked.kind)
    said = {"class": language.phrase(asked.key, taxonomy), "of": language.of(asked.key, taxonomy)}
    if asked.other:
        said |= {"other": language.phrase(asked.other, taxonomy), "of_other": language.of(asked.other, taxonomy)}
    share, evidence = language.share(asked.share), list(asked.evidence)
    if asked.kind == "share":
        evidence.append(f"share:{asked.key}:{share}")
    answer = language.shares[share].alone if asked.kind == "share" else words.yes if asked.yes else words.no
    return {
        "lang": language.lang,
        "kind": asked.kind,
        "question": filled(words.text, **said),
        "answer": answer,
        "evidence": evidence,
    }
