"""Facts and captions that agree with each other, so that a defect of one is not a contradiction with the other."""

from collections.abc import Mapping

from bench.draft import Draft, Row
from landmark.base.files import load
from landmark.base.manifest import Lock, read_document
from landmark.base.taxonomy import Crosswalk, Taxonomy
from landmark.narrate import Scene, captions, load_grammar

_FACTS = ("labels", "fractions", "label_valid_pct", "finer", "agreement", "sources")


def recipe(draft: Draft) -> Mapping[str, object]:
    """The resolved recipe, of the lock."""
    lock: Lock = read_document(Lock, draft.corpus / "lock.json")
    return lock.recipe


def taxonomy(draft: Draft) -> Taxonomy:
    """The corpus's classes."""
    return load(Taxonomy, "taxonomies", str(recipe(draft)["taxonomy"]))


def spoken(draft: Draft, row: Row, facts: Row) -> Row:
    """The facts, with the captions that landmark would write of them."""
    asked = recipe(draft)
    styles = tuple(asked["captions"])  # type: ignore[call-overload]
    scene = Scene(row["id"], row["sensor"], row["datetime"], row["lat"], tuple(facts["labels"]))
    words = captions(scene, load_grammar(styles), taxonomy=taxonomy(draft), styles=styles, seed=0)
    return {**facts, "captions": words}


def of_another(draft: Draft, row: Row, other: Row) -> Row:
    """All that the labels say of another sample, in words for this one."""
    return spoken(draft, row, {name: other[name] for name in _FACTS})


def as_if(draft: Draft, row: Row, shares: Mapping[str, float]) -> Row:
    """What the row would say if its labels had these shares (largest first, summing to one)."""
    asked, source = recipe(draft), row["sources"][0]["name"]
    thresholds = asked["thresholds"]
    default = thresholds["default"] / 100  # type: ignore[index]
    crosswalk = load(Crosswalk, "taxonomies", source)
    finer: dict[str, float] = {}
    for key, share in shares.items():
        code = next((entry.key for entry in crosswalk.classes.values() if entry.to == key), key)
        finer[f"{source}/{code}"] = share
    facts = {
        "labels": [key for key, share in shares.items() if share >= default],
        "fractions": dict(shares),
        "finer": finer,
        "agreement": {key: row["agreement"].get(key, 0.9) for key in shares},
    }
    return spoken(draft, row, facts)


def without(draft: Draft, row: Row, label: str, instead: str) -> Row:
    """The row's facts with one class counted as another."""
    shares = dict(row["fractions"])
    shares[instead] = shares.get(instead, 0.0) + shares.pop(label, 0.0)
    return as_if(draft, row, dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))))
