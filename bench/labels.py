"""Defects of labels: shares, crosswalks, dates, joins with the wrong rows, words that pixels contradict."""

from functools import partial

from bench.draft import Draft, Planted, Row, ids
from bench.facts import changed
from bench.registry import Unsuited, planting
from bench.wording import as_if, of_another, spoken, without

_words = partial(planting, "words")


def _labelled(row: Row) -> bool:
    return bool(row["labels"])


# -- Labels and shares -----------------------------------------------------------------------------------------------


@_words("fractions", "shares of all pixels, in percent")
def shares_in_percent(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"fractions": {key: 100 * share for key, share in row["fractions"].items()}}

    return changed(draft, "shares-in-percent", edit, among=_labelled)


@_words("fractions", "shares that do not sum to one")
def shares_short(draft: Draft) -> Planted:
    return changed(
        draft, "shares-short", lambda row: {"fractions": dict(list(row["fractions"].items())[1:])}, among=_labelled
    )


def _rare(row: Row) -> list[str]:
    return [key for key, share in row["fractions"].items() if key not in row["labels"] and share < 0.045]


@_words("fractions", "a label below its threshold")
def label_below_threshold(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return spoken(draft, row, {"labels": [*row["labels"], _rare(row)[0]]})

    return changed(draft, "label-below-threshold", edit, among=lambda row: bool(_rare(row)))


@_words("fractions", "a class above its threshold is no label")
def label_left_out(draft: Draft) -> Planted:
    return changed(
        draft,
        "label-left-out",
        lambda row: spoken(draft, row, {"labels": row["labels"][1:]}),
        among=lambda row: len(row["labels"]) > 1,
    )


@_words("fractions", "labels do not stand in the order of their shares")
def labels_reversed(draft: Draft) -> Planted:
    return changed(
        draft,
        "labels-reversed",
        lambda row: spoken(draft, row, {"labels": row["labels"][::-1]}),
        among=lambda row: len(row["labels"]) > 1,
    )


@_words("vocabulary", "a class nobody defined")
def class_undefined(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        first, *rest = row["labels"]
        return {
            "labels": [f"{first}_area", *rest],
            "fractions": {f"{key}_area" if key == first else key: share for key, share in row["fractions"].items()},
        }

    return changed(draft, "class-undefined", edit, among=_labelled)


@_words("vocabulary", "finer classes of a source the sample does not name")
def source_unnamed(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"subclasses": {f"esri/{key.split('/')[1]}": share for key, share in row["subclasses"].items()}}

    return changed(draft, "source-unnamed", edit, among=_labelled)


# -- The corpus as a whole -------------------------------------------------------------------------------------------


@_words("repetition", "one caption on a third of the samples", wide=True)
def caption_repeated(draft: Draft) -> Planted:
    rows = draft.pick("caption-repeated", draft.rows(), pct=34)
    shares = {"trees": 0.6, "grass": 0.4}
    edits = {row["id"]: as_if(draft, row, shares) for row in rows}
    return Planted((("trees. grass",),), 1, edits)


@_words("entropy", "nearly every sample carries the same set of labels", wide=True)
def labels_collapsed(draft: Draft) -> Planted:
    rows = draft.pick("labels-collapsed", draft.rows(), pct=92)
    edits = {row["id"]: as_if(draft, row, {"crops": 0.7, "trees": 0.3}) for row in rows}
    return Planted((("s1",), ("s2",)), 2, edits)


@_words("balance", "a class is all but gone", wide=True)
def class_nearly_absent(draft: Draft) -> Planted:
    holders = [row for row in draft.rows() if "water" in row["labels"]]
    if len(holders) < 10:
        raise Unsuited("hardly any water")
    edits = {row["id"]: without(draft, row, "water", "bare") for row in holders[2:]}
    return Planted((("water",),), len(draft.manifest.labels), edits)


# -- Time and agreement ----------------------------------------------------------------------------------------------


def _sourced(draft: Draft, kind: str, **said: object) -> Planted:
    def edit(row: Row) -> Row:
        first, *rest = row["sources"]
        return {"sources": [{**first, **said}, *rest]}

    return changed(draft, kind, edit, among=lambda row: bool(row["sources"]))


@_words("label-gap", "labels of twelve years before the image")
def labels_old(draft: Draft) -> Planted:
    return _sourced(draft, "labels-old", year=2009, gap_days=4400)


@_words("label-gap", "old labels that claim to be of the image's day")
def label_year_wrong(draft: Draft) -> Planted:
    return _sourced(draft, "label-year-wrong", year=2009, gap_days=0)


@_words("agreement", "a source's codes were read by another scheme: it agrees with no other", wide=True)
def source_misread(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        said = [{**one, "agreement": 0.2} if one["name"] == name else one for one in row["sources"]]
        return {"sources": said}

    rows = [row for row in draft.rows() if len(row["sources"]) > 1]
    if not rows:
        raise Unsuited("no sample of two sources")
    name = rows[0]["sources"][-1]["name"]
    return Planted(((name,),), len(rows[0]["sources"]), {row["id"]: edit(row) for row in rows})


@_words("agreement", "the sources contradict each other on a few samples")
def sources_disagree(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {
            "sources": [{**one, "agreement": 0.05} for one in row["sources"]],
            "agreement": dict.fromkeys(row["agreement"], 0.05),
        }

    return changed(draft, "sources-disagree", edit, among=lambda row: len(row["sources"]) > 1)


# -- Words against pixels --------------------------------------------------------------------------------------------


@_words("water-index", "labels are shuffled among one sample in twenty", wide=True)
def labels_shuffled(draft: Draft) -> Planted:
    rows = draft.pick("labels-shuffled", draft.rows(), pct=5)
    others = [*rows[1:], rows[0]]
    edits = {row["id"]: of_another(draft, row, other) for row, other in zip(rows, others, strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


@_words("water-index", "the table of labels slipped by a row in one shard", wide=True)
def labels_slipped(draft: Draft) -> Planted:
    path = next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == ("s2", "train"))
    rows = [row for row in draft.facts.values() if row["shard"] == path]
    others = [*rows[1:], rows[0]]
    edits = {row["id"]: of_another(draft, row, other) for row, other in zip(rows, others, strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


def _dominated(row: Row, *labels: str) -> bool:
    return bool(row["sensor"] == "s2" and sum(row["fractions"].get(label, 0) for label in labels) > 0.6)


@_words("water-index", "dry land is labelled water")
def dry_water(draft: Draft) -> Planted:
    shares = {"water": 0.8, "grass": 0.2}
    dry = lambda row: _dominated(row, "crops", "trees", "grass")  # noqa: E731
    return changed(draft, "dry-water", lambda row: as_if(draft, row, shares), among=dry)


@_words("water-index", "water is labelled crops", wide=True)
def wet_crops(draft: Draft) -> Planted:
    wet = lambda row: _dominated(row, "water")  # noqa: E731
    return changed(draft, "wet-crops", lambda row: as_if(draft, row, {"crops": 0.9, "grass": 0.1}), among=wet)


@_words("vegetation-index", "bare ground and water are labelled trees", wide=True)
def bare_trees(draft: Draft) -> Planted:
    bare = lambda row: _dominated(row, "bare", "water")  # noqa: E731
    return changed(draft, "bare-trees", lambda row: as_if(draft, row, {"trees": 1.0}), among=bare)


# -- Events ----------------------------------------------------------------------------------------------------------


def _event(draft: Draft, row: Row, key: str, events: list[Row]) -> Row:
    return {**spoken(draft, row, {"labels": [key, *row["labels"]]}), "events": events}


@_words("event-words", "burned land without a fire")
def fire_without_event(draft: Draft) -> Planted:
    return changed(draft, "fire-without-event", lambda row: _event(draft, row, "burned_area", []), among=_labelled)


@_words("event-words", "a flood named on images taken before it")
def flood_before(draft: Draft) -> Planted:
    event = {"id": "EMSR517", "type": "flood", "phase": "before", "fraction": 0.3, "in_aoi": True, "product": "DEL"}
    return changed(draft, "flood-before", lambda row: _event(draft, row, "flooded_area", [event]), among=_labelled)
