"""Hard negatives: captions that would be true but for one fact, which the sample's facts contradict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import SEASONS, Language
from landmark.captions.render import Wanted, drawn, spoken
from landmark.captions.sample_facts import SampleFacts, Renderer
from landmark.core.hashing import rank
from landmark.core.salts import NEGATIVE, NEGATIVE_KIND, NEGATIVE_SHARE
from landmark.domain.taxonomy import Taxonomy

# Steps between the words for the true share and those claimed: neighbours differ by less than maps err.
_FAR = 2


@dataclass(frozen=True, slots=True)
class Lie:
    """One fact, and what is said in its place.

    Attributes:
        kind: label, season, share or event.
        key: What it is about: a class, an event's id, or "".
        instead: A class, a season or a phase; "" for a share, which each language words by itself.
    """

    style: str
    kind: str
    key: str
    instead: str = ""


def hard_negatives(scene: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, wanted: Wanted) -> list[dict[str, Any]]:
    """Rows of the `hard_negatives` column: up to `wanted.hard_negatives` per language, the same lies in each.

    Each takes the template of the sample's own caption. A class is put in place of another only where no pixel of
    any map shows it, and an image before an event only where none of its type is yet to come; kinds of lies take turns.
    """
    rows = (
        _spoken(lie, scene, language, taxonomy, wanted)
        for lie in _drawn(scene, wanted)
        for language in grammar.languages.values()
    )
    return [row for row in rows if row is not None]


def _drawn(scene: SampleFacts, wanted: Wanted) -> list[Lie]:
    pools: dict[str, list[Lie]] = {}
    for lie in _lies(scene, wanted.styles):
        pools.setdefault(lie.kind, []).append(lie)
    for pool in pools.values():
        pool.sort(key=lambda lie: rank(wanted.seed, NEGATIVE, scene.id, lie.style, lie.key, lie.instead))
    kinds = sorted(pools, key=lambda kind: rank(wanted.seed, NEGATIVE_KIND, scene.id, kind))
    turns = [(turn, kind) for turn in range(wanted.hard_negatives) for kind in kinds if turn < len(pools[kind])]
    return [pools[kind][turn] for turn, kind in turns][: wanted.hard_negatives]


def _lies(scene: SampleFacts, styles: tuple[str, ...]) -> Iterator[Lie]:
    affected = {fact.label for fact in scene.mentionable_events}
    land = [key for key in scene.labels if key not in affected]
    for style in styles:
        yield from (Lie(style, "label", key, absent) for key in land for absent in scene.absent)
    if "sentence" in styles and scene.season is not None:
        yield from (Lie("sentence", "season", "", other) for other in SEASONS if other != scene.season)
    if "detailed" in styles:
        yield from (Lie("detailed", "share", key) for key in land if key in scene.shares)
        coming = {fact.type for fact in scene.events if fact.days < 0}
        past = [fact for fact in scene.dated if fact.phase == "after" and fact.type not in coming]
        yield from (Lie("detailed", "event", fact.id, "before") for fact in past)


def _spoken(lie: Lie, scene: SampleFacts, language: Language, taxonomy: Taxonomy, wanted: Wanted) -> dict[str, Any] | None:
    truth = Renderer(scene, language, taxonomy, lie.style)
    templates = drawn(truth, wanted.seed)
    told = _told(lie, truth, wanted.seed)
    if not templates or told is None:
        return None
    falsified, instead, telling = told
    row = spoken(telling, templates[0])
    return {
        **{name: row[name] for name in ("style", "lang", "text", "template")},
        "falsified": falsified,
        "replacement": instead,
    }


def _told(lie: Lie, truth: Renderer, seed: int) -> tuple[str, str, Renderer] | None:
    """The fact that is falsified, what is said instead, and the scene as the lie has it; None where there is none."""
    scene = truth.scene
    if lie.kind == "label":
        swapped = replace(
            scene,
            labels=tuple(lie.instead if key == lie.key else key for key in scene.labels),
            shares={lie.instead if key == lie.key else key: share for key, share in scene.shares.items()},
        )
        return f"label:{lie.key}", f"label:{lie.instead}", replace(truth, scene=swapped)
    if lie.kind == "season":
        return f"season:{scene.season}", f"season:{lie.instead}", replace(truth, claims={"season": lie.instead})
    if lie.kind == "event":
        claims = {f"event:{lie.key}": lie.instead}
        return f"event:{lie.key}:after", f"event:{lie.key}:{lie.instead}", replace(truth, claims=claims)
    bounds = list(truth.language.shares)
    due = bounds.index(truth.language.share(scene.shares[lie.key]))
    far = [words for place, words in enumerate(bounds) if abs(place - due) >= _FAR]
    if not far:
        return None
    words = far[rank(seed, NEGATIVE_SHARE, scene.id, lie.key) % len(far)]
    claims = {f"share:{lie.key}": words}
    return f"share:{lie.key}:{bounds[due]}", f"share:{lie.key}:{words}", replace(truth, claims=claims)
