"""Change labels and captions of rows consistently, so that a defect of one does not also contradict the other."""

from collections.abc import Mapping
from functools import cache, lru_cache, partial
from pathlib import Path

from bench.draft import Draft, Row
from landmark.captions.grammar import Grammar, load_grammar
from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import SampleFacts
from landmark.config.recipe import Recipe
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.domain.taxonomy import Crosswalk, Taxonomy

_FACTS = ("labels", "fractions", "label_valid_pct", "subclasses", "agreement", "sources")


@lru_cache(maxsize=1)
def recipe(corpus: Path) -> Recipe:
    """The resolved recipe of the lock."""
    lock: Lock = read_document(Lock, corpus / "lock.json")
    return lock.recipe


@cache
def taxonomy(corpus: Path) -> Taxonomy:
    """The corpus's taxonomy."""
    return load_model(Taxonomy, "taxonomies", recipe(corpus).taxonomy)


@cache
def _grammar(corpus: Path) -> Grammar:
    return load_grammar(recipe(corpus).captions, taxonomy=taxonomy(corpus))


_crosswalk = cache(partial(load_model, Crosswalk, "taxonomies"))


def with_captions(draft: Draft, row: Row, facts: Row) -> Row:
    """Add the captions that landmark renders for some facts."""
    config = CaptionConfig(recipe(draft.corpus).captions, seed=0)
    sample = SampleFacts(row["id"], row["sensor"], row["datetime"], row["lat"], tuple(facts["labels"]))
    captions = render_captions(sample, _grammar(draft.corpus), taxonomy(draft.corpus), config)
    return {**facts, "captions": captions}


def facts_of(draft: Draft, row: Row, source: Row) -> Row:
    """Take the label columns of another sample, with captions for this one."""
    return with_captions(draft, row, {name: source[name] for name in _FACTS})


def with_fractions(draft: Draft, row: Row, fractions: Mapping[str, float]) -> Row:
    """Return label columns and captions for some class fractions (largest first, summing to one)."""
    label_source, least = row["sources"][0]["name"], recipe(draft.corpus).thresholds.default / 100
    subclasses: dict[str, float] = {}
    for key, fraction in fractions.items():
        code = next((entry.key for entry in _crosswalk(label_source).classes.values() if entry.to == key), key)
        subclasses[f"{label_source}/{code}"] = fraction
    facts = {
        "labels": [key for key, fraction in fractions.items() if fraction >= least],
        "fractions": dict(fractions),
        "subclasses": subclasses,
        "agreement": {key: row["agreement"].get(key, 0.9) for key in fractions},
    }
    return with_captions(draft, row, facts)


def reclassify(draft: Draft, row: Row, label: str, replacement: str) -> Row:
    """Return label columns and captions with one class counted as another."""
    fractions = dict(row["fractions"])
    fractions[replacement] = fractions.get(replacement, 0.0) + fractions.pop(label, 0.0)
    return with_fractions(draft, row, dict(sorted(fractions.items(), key=lambda item: (-item[1], item[0]))))
