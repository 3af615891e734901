"""Hard negatives: captions with one false fact, which the sample's facts contradict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from landmark.captions.grammar import Grammar
from landmark.captions.language import SEASONS
from landmark.captions.render import CaptionConfig, pick_templates, render_caption
from landmark.captions.sample_facts import Renderer, SampleFacts
from landmark.core.hashing import rank
from landmark.core.salts import NEGATIVE, NEGATIVE_KIND, NEGATIVE_SHARE
from landmark.domain.taxonomy import Taxonomy

# Smallest number of intervals between the true and the false share: adjacent ones differ by less than the maps' error.
_MIN_INTERVALS = 2


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A fact and its false replacement.

    Attributes:
        kind: label, season, share or event.
        key: A class, an event's id, or "".
        replacement: A class, a season or a phase; "" for a share, whose intervals depend on the language.
    """

    style: str
    kind: str
    key: str
    replacement: str = ""


def render_hard_negatives(
    sample: SampleFacts, grammar: Grammar, taxonomy: Taxonomy, config: CaptionConfig
) -> list[dict[str, Any]]:
    """Rows of the `hard_negatives` column: up to `config.hard_negatives` per language, the same in each.

    A negative uses the template of the sample's own caption. A class is replaced only by a class that no label map
    shows, and a phase by `before` only if no event of the type is yet to come. Kinds alternate.
    """
    if not config.hard_negatives:
        return []
    rows = (
        _render(perturbation, Renderer(sample, language, taxonomy, perturbation.style), config.seed)
        for perturbation in _pick(sample, config)
        for language in grammar.languages.values()
    )
    return [row for row in rows if row is not None]


def _pick(sample: SampleFacts, config: CaptionConfig) -> list[Perturbation]:
    pools: dict[str, list[Perturbation]] = {}
    for candidate in _candidates(sample, config.styles):
        pools.setdefault(candidate.kind, []).append(candidate)
    for pool in pools.values():
        pool.sort(key=lambda entry: rank(config.seed, NEGATIVE, sample.id, entry.style, entry.key, entry.replacement))
    kinds = sorted(pools, key=lambda kind: rank(config.seed, NEGATIVE_KIND, sample.id, kind))
    rounds = range(config.hard_negatives)
    alternating = [pools[kind][number] for number in rounds for kind in kinds if number < len(pools[kind])]
    return alternating[: config.hard_negatives]


def _candidates(sample: SampleFacts, styles: tuple[str, ...]) -> Iterator[Perturbation]:
    event_classes = {fact.label for fact in sample.mentionable_events}
    land = [key for key in sample.labels if key not in event_classes]
    for style in styles:
        yield from (Perturbation(style, "label", key, absent) for key in land for absent in sample.absent_classes)
    if "sentence" in styles and sample.season is not None:
        yield from (Perturbation("sentence", "season", "", season) for season in SEASONS if season != sample.season)
    if "detailed" in styles:
        yield from (Perturbation("detailed", "share", key) for key in land if key in sample.fractions)
        coming = {fact.type for fact in sample.events if fact.days < 0}
        past = [fact for fact in sample.events_with_date if fact.phase == "after" and fact.type not in coming]
        yield from (Perturbation("detailed", "event", fact.id, "before") for fact in past)


def _render(perturbation: Perturbation, renderer: Renderer, seed: int) -> dict[str, Any] | None:
    templates = pick_templates(renderer, seed)
    perturbed = _perturb(perturbation, renderer, seed)
    if not templates or perturbed is None:
        return None
    falsified, replacement, false_renderer = perturbed
    row = render_caption(false_renderer, templates[0])
    return {
        **{name: row[name] for name in ("style", "lang", "text", "template")},
        "falsified": falsified,
        "replacement": replacement,
    }


def _perturb(perturbation: Perturbation, renderer: Renderer, seed: int) -> tuple[str, str, Renderer] | None:
    """The true fact, the false one, and a renderer that states the false one; None if no share is far enough off."""
    sample, key, replacement = renderer.sample, perturbation.key, perturbation.replacement
    if perturbation.kind == "label":
        swapped = replace(
            sample,
            labels=tuple(replacement if label == key else label for label in sample.labels),
            fractions={replacement if label == key else label: value for label, value in sample.fractions.items()},
        )
        return f"label:{key}", f"label:{replacement}", replace(renderer, sample=swapped)
    if perturbation.kind == "season":
        overrides = {"season": replacement}
        return f"season:{sample.season}", f"season:{replacement}", replace(renderer, overrides=overrides)
    if perturbation.kind == "event":
        overrides = {f"event:{key}": replacement}
        return f"event:{key}:after", f"event:{key}:{replacement}", replace(renderer, overrides=overrides)
    intervals = list(renderer.language.shares)
    true_index = intervals.index(renderer.language.share_key(sample.fractions[key]))
    far = [name for index, name in enumerate(intervals) if abs(index - true_index) >= _MIN_INTERVALS]
    if not far:
        return None
    false_share = far[rank(seed, NEGATIVE_SHARE, sample.id, key) % len(far)]
    overrides = {f"share:{key}": false_share}
    return (
        f"share:{key}:{intervals[true_index]}",
        f"share:{key}:{false_share}",
        replace(renderer, overrides=overrides),
    )
