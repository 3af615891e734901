"""Defects of captions: templates, joins, encodings, grammars."""

from collections.abc import Callable
from functools import partial

from bench.draft import Draft, Planted, Row, ids
from bench.facts import changed
from bench.registry import planting
from bench.wording import spoken, taxonomy

_words = partial(planting, "words")
Caption = dict[str, object]


def _labelled(row: Row) -> bool:
    return bool(row["labels"])


def _rephrased(draft: Draft, kind: str, change: Callable[[Row, Row], Row]) -> Planted:
    """Another sentence for a few samples; `change` takes the row and the caption."""

    def edit(row: Row) -> Row:
        kept = [{**one, **change(row, one)} if one["style"] == "sentence" else one for one in row["captions"]]
        return {"captions": kept}

    return changed(draft, kind, edit, among=lambda row: len(row["labels"]) > 1)


# -- Captions --------------------------------------------------------------------------------------------------------


@_words("captions", "a caption names a class the sample does not have")
def class_invented(draft: Draft) -> Planted:
    def change(row: Row, caption: Row) -> Row:
        absent = next(key for key in taxonomy(draft.corpus).classes if key not in row["labels"])
        return {"text": f"{caption['text'][:-1]} and {taxonomy(draft.corpus).classes[absent].phrase['en']}."}

    return _rephrased(draft, "class-invented", change)


@_words("captions", "a caption omits a class")
def class_omitted(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        fewer = spoken(draft, row, {"labels": row["labels"][:-1]})["captions"]
        return {"captions": [one for one in row["captions"] if one["style"] != "sentence"] + fewer[1:]}

    return changed(draft, "class-omitted", edit, among=lambda row: len(row["labels"]) > 1)


@_words("captions", "evidence points past the words it is for")
def evidence_shifted(draft: Draft) -> Planted:
    def change(row: Row, caption: Row) -> Row:
        moved = [{**one, "start": one["start"] + 3, "end": one["end"] + 3} for one in caption["evidence"]]
        return {"evidence": moved}

    return _rephrased(draft, "evidence-shifted", change)


@_words("captions", "empty captions")
def caption_empty(draft: Draft) -> Planted:
    return _rephrased(draft, "caption-empty", lambda row, caption: {"text": "", "evidence": []})


@_words("captions", "a caption is missing")
def caption_missing(draft: Draft) -> Planted:
    return changed(draft, "caption-missing", lambda row: {"captions": row["captions"][:1]}, among=_labelled)


@_words("captions", "a slot of the template is left open")
def slot_left(draft: Draft) -> Planted:
    return _rephrased(draft, "slot-left", lambda row, _: {"text": "An image of {labels}.", "evidence": []})


@_words("captions", "captions are shuffled among a few samples")
def captions_shuffled(draft: Draft) -> Planted:
    able = {tuple(row["labels"]): row for row in reversed(draft.rows()) if _labelled(row)}
    rows = draft.pick("captions-shuffled", able.values(), pct=0, least=max(4, len(draft.facts) // 50))
    edits = {row["id"]: {"captions": other["captions"]} for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)}
    return Planted(ids(rows), len(draft.facts), edits)


@_words("captions", "the structured caption lists the classes by alphabet")
def labels_by_alphabet(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"captions": spoken(draft, row, {"labels": sorted(row["labels"])})["captions"]}

    return changed(draft, "labels-by-alphabet", edit, among=lambda row: row["labels"] != sorted(row["labels"]))


@_words("captions", "captions name the other sensor")
def sensor_wrong(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        other = {"s1": "s2", "s2": "s1"}[row["sensor"]]
        return {"captions": spoken(draft, {**row, "sensor": other}, {"labels": row["labels"]})["captions"]}

    return changed(draft, "sensor-wrong", edit, among=_labelled)


@_words("captions", "seasons of the other hemisphere")
def season_of_the_north(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"captions": spoken(draft, {**row, "lat": -row["lat"]}, {"labels": row["labels"]})["captions"]}

    def tells(row: Row) -> bool:
        return any(one["fact"].startswith("season:") for one in row["captions"][-1]["evidence"])

    return changed(draft, "season-of-the-north", edit, among=lambda row: row["lat"] < 0 and tells(row))


@_words("vocabulary", "text decoded by another encoding")
def mojibake(draft: Draft) -> Planted:
    def change(row: Row, caption: Row) -> Row:
        return {"text": caption["text"].replace(" and ", " — ").encode().decode("cp1252")}

    def edit(row: Row) -> Row:
        return {"captions": [{**one, **change(row, one)} for one in row["captions"]]}

    told = lambda row: " and " in row["captions"][-1]["text"]  # noqa: E731
    return changed(draft, "mojibake", edit, among=told)
