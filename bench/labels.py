"""Defects of labels: fractions, crosswalks, dates, joins with wrong rows, labels that contradict the pixels."""

from functools import partial

from bench.draft import Draft, Planted, Row, ids
from bench.facts import edit_rows
from bench.registry import Unsuited, planting
from bench.relabel import facts_of, reclassify, with_captions, with_fractions

_words = partial(planting, "words")


def _labelled(row: Row) -> bool:
    return bool(row["labels"])


# -- Labels and fractions --------------------------------------------------------------------------------------------


@_words("fractions", "fractions in percent")
def shares_in_percent(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"fractions": {key: 100 * share for key, share in row["fractions"].items()}}

    return edit_rows(draft, "shares-in-percent", edit, where=_labelled)


@_words("fractions", "fractions that do not sum to one")
def shares_short(draft: Draft) -> Planted:
    return edit_rows(
        draft, "shares-short", lambda row: {"fractions": dict(list(row["fractions"].items())[1:])}, where=_labelled
    )


def _rare(row: Row) -> list[str]:
    return [key for key, share in row["fractions"].items() if key not in row["labels"] and share < 0.045]


@_words("fractions", "a label below its threshold")
def label_below_threshold(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return with_captions(draft, row, {"labels": [*row["labels"], _rare(row)[0]]})

    return edit_rows(draft, "label-below-threshold", edit, where=lambda row: bool(_rare(row)))


@_words("fractions", "a class above its threshold is missing from the labels")
def label_left_out(draft: Draft) -> Planted:
    return edit_rows(
        draft,
        "label-left-out",
        lambda row: with_captions(draft, row, {"labels": row["labels"][1:]}),
        where=lambda row: len(row["labels"]) > 1,
    )


@_words("fractions", "labels are not ordered by fraction")
def labels_reversed(draft: Draft) -> Planted:
    return edit_rows(
        draft,
        "labels-reversed",
        lambda row: with_captions(draft, row, {"labels": row["labels"][::-1]}),
        where=lambda row: len(row["labels"]) > 1,
    )


@_words("vocabulary", "a class that the taxonomy lacks")
def class_undefined(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        first, *rest = row["labels"]
        return {
            "labels": [f"{first}_area", *rest],
            "fractions": {f"{key}_area" if key == first else key: share for key, share in row["fractions"].items()},
        }

    return edit_rows(draft, "class-undefined", edit, where=_labelled)


@_words("vocabulary", "subclasses of a source that the sample does not list")
def source_unnamed(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"subclasses": {f"esri/{key.split('/')[1]}": share for key, share in row["subclasses"].items()}}

    return edit_rows(draft, "source-unnamed", edit, where=_labelled)


# -- Corpus statistics ------------------------------------------------------------------------------------------------


@_words("repetition", "one caption on a third of the samples", wide=True)
def caption_repeated(draft: Draft) -> Planted:
    rows = draft.pick("caption-repeated", draft.rows(), pct=34)
    shares = {"trees": 0.6, "grass": 0.4}
    edits = {row["id"]: with_fractions(draft, row, shares) for row in rows}
    return Planted((("trees. grass",),), 1, edits)


@_words("entropy", "nearly every sample carries the same set of labels", wide=True)
def labels_collapsed(draft: Draft) -> Planted:
    rows = draft.pick("labels-collapsed", draft.rows(), pct=92)
    edits = {row["id"]: with_fractions(draft, row, {"crops": 0.7, "trees": 0.3}) for row in rows}
    return Planted((("s1",), ("s2",)), 2, edits)


@_words("balance", "a class is almost absent", wide=True)
def class_nearly_absent(draft: Draft) -> Planted:
    holders = [row for row in draft.rows() if "water" in row["labels"]]
    if len(holders) < 10:
        raise Unsuited("hardly any water")
    edits = {row["id"]: reclassify(draft, row, "water", "bare") for row in holders[2:]}
    return Planted((("water",),), len(draft.manifest.labels), edits)


# -- Time and agreement ----------------------------------------------------------------------------------------------


def _edit_source(draft: Draft, salt: str, **changes: object) -> Planted:
    def edit(row: Row) -> Row:
        first, *rest = row["sources"]
        return {"sources": [{**first, **changes}, *rest]}

    return edit_rows(draft, salt, edit, where=lambda row: bool(row["sources"]))


@_words("label-gap", "labels twelve years older than the image")
def labels_old(draft: Draft) -> Planted:
    return _edit_source(draft, "labels-old", year=2009, gap_days=4400)


@_words("label-gap", "old labels with a gap of 0 days")
def label_year_wrong(draft: Draft) -> Planted:
    return _edit_source(draft, "label-year-wrong", year=2009, gap_days=0)


@_words("agreement", "codes of a source were read with another crosswalk: it agrees with no other source", wide=True)
def source_misread(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {
            "sources": [{**source, "agreement": 0.2} if source["name"] == name else source for source in row["sources"]]
        }

    rows = [row for row in draft.rows() if len(row["sources"]) > 1]
    if not rows:
        raise Unsuited("no sample of two sources")
    name = rows[0]["sources"][-1]["name"]
    return Planted(((name,),), len(rows[0]["sources"]), {row["id"]: edit(row) for row in rows})


@_words("agreement", "the sources disagree on a few samples")
def sources_disagree(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {
            "sources": [{**source, "agreement": 0.05} for source in row["sources"]],
            "agreement": dict.fromkeys(row["agreement"], 0.05),
        }

    return edit_rows(draft, "sources-disagree", edit, where=lambda row: len(row["sources"]) > 1)


# -- Labels against pixels -------------------------------------------------------------------------------------------


@_words("annotations", "labels are shuffled among one sample in twenty", wide=True)
def labels_shuffled(draft: Draft) -> Planted:
    rows = draft.pick("labels-shuffled", draft.rows(), pct=5)
    sources = [*rows[1:], rows[0]]
    edits = {row["id"]: facts_of(draft, row, source) for row, source in zip(rows, sources, strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


@_words("annotations", "labels are shifted by one row in a shard", wide=True)
def labels_slipped(draft: Draft) -> Planted:
    path = next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == ("s2", "train"))
    rows = [row for row in draft.facts.values() if row["shard"] == path]
    sources = [*rows[1:], rows[0]]
    edits = {row["id"]: facts_of(draft, row, source) for row, source in zip(rows, sources, strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


def _dominated(row: Row, *labels: str) -> bool:
    return bool(row["sensor"] == "s2" and sum(row["fractions"].get(label, 0) for label in labels) > 0.6)


@_words("water-index", "dry land is labelled water")
def dry_water(draft: Draft) -> Planted:
    shares = {"water": 0.8, "grass": 0.2}
    dry = lambda row: _dominated(row, "crops", "trees", "grass")  # noqa: E731
    return edit_rows(draft, "dry-water", lambda row: with_fractions(draft, row, shares), where=dry)


@_words("water-index", "water is labelled crops", wide=True)
def wet_crops(draft: Draft) -> Planted:
    wet = lambda row: _dominated(row, "water")  # noqa: E731
    return edit_rows(
        draft, "wet-crops", lambda row: with_fractions(draft, row, {"crops": 0.9, "grass": 0.1}), where=wet
    )


@_words("vegetation-index", "bare ground and water are labelled trees", wide=True)
def bare_trees(draft: Draft) -> Planted:
    bare = lambda row: _dominated(row, "bare", "water")  # noqa: E731
    return edit_rows(draft, "bare-trees", lambda row: with_fractions(draft, row, {"trees": 1.0}), where=bare)


# -- Events ----------------------------------------------------------------------------------------------------------


def _event(draft: Draft, row: Row, key: str, events: list[Row]) -> Row:
    return {**with_captions(draft, row, {"labels": [key, *row["labels"]]}), "events": events}


@_words("event-words", "burned land without a fire")
def fire_without_event(draft: Draft) -> Planted:
    return edit_rows(draft, "fire-without-event", lambda row: _event(draft, row, "burned_area", []), where=_labelled)


@_words("event-words", "a flood is named on images acquired before it")
def flood_before(draft: Draft) -> Planted:
    event = {"id": "EMSR517", "type": "flood", "phase": "before", "fraction": 0.3, "in_aoi": True, "product": "DEL"}
    return edit_rows(draft, "flood-before", lambda row: _event(draft, row, "flooded_area", [event]), where=_labelled)
