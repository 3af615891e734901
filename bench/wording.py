"""Facts and captions that agree with each other, so that a defect of one is not a contradiction with the other."""

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
    """The resolved recipe, of the lock."""
    lock: Lock = read_document(Lock, corpus / "lock.json")
    return lock.recipe


@cache
def taxonomy(corpus: Path) -> Taxonomy:
    """The corpus's classes."""
    return load_model(Taxonomy, "taxonomies", recipe(corpus).taxonomy)


@cache
def _grammar(corpus: Path) -> Grammar:
    return load_grammar(recipe(corpus).captions, taxonomy=taxonomy(corpus))


_crosswalk = cache(partial(load_model, Crosswalk, "taxonomies"))


def spoken(draft: Draft, row: Row, facts: Row) -> Row:
    """The facts, with the captions that landmark would write of them."""
    wanted = CaptionConfig(recipe(draft.corpus).captions, seed=0)
    scene = SampleFacts(row["id"], row["sensor"], row["datetime"], row["lat"], tuple(facts["labels"]))
    words = render_captions(scene, _grammar(draft.corpus), taxonomy(draft.corpus), wanted)
    return {**facts, "captions": words}


def of_another(draft: Draft, row: Row, other: Row) -> Row:
    """All that the labels say of another sample, in words for this one."""
    return spoken(draft, row, {name: other[name] for name in _FACTS})


def as_if(draft: Draft, row: Row, shares: Mapping[str, float]) -> Row:
    """What the row would say if its labels had these shares (largest first, summing to one)."""
    source, least = row["sources"][0]["name"], recipe(draft.corpus).thresholds.default / 100
    subclasses: dict[str, float] = {}
    for key, share in shares.items():
        code = next((entry.key for entry in _crosswalk(source).classes.values() if entry.to == key), key)
        subclasses[f"{source}/{code}"] = share
    facts = {
        "labels": [key for key, share in shares.items() if share >= least],
        "fractions": dict(shares),
        "subclasses": subclasses,
        "agreement": {key: row["agreement"].get(key, 0.9) for key in shares},
    }
    return spoken(draft, row, facts)


def without(draft: Draft, row: Row, label: str, instead: str) -> Row:
    """The row's facts with one class counted as another."""
    shares = dict(row["fractions"])
    shares[instead] = shares.get(instead, 0.0) + shares.pop(label, 0.0)
    return as_if(draft, row, dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))))
