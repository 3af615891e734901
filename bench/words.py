"""Defects of captions: templates, joins, encodings, grammars."""

from collections.abc import Callable
from functools import partial

from bench.draft import Draft, Planted, Row, ids
from bench.facts import edit_rows
from bench.registry import planting
from bench.relabel import taxonomy, with_captions

_words = partial(planting, "words")
Caption = dict[str, object]


def _labelled(row: Row) -> bool:
    return bool(row["labels"])


def _rephrased(draft: Draft, salt: str, change: Callable[[Row, Row], Row]) -> Planted:
    """Change the sentences of a few samples; `change` receives row and caption."""

    def edit(row: Row) -> Row:
        captions = row["captions"]
        return {"captions": [{**old, **change(row, old)} if old["style"] == "sentence" else old for old in captions]}

    return edit_rows(draft, salt, edit, where=lambda row: len(row["labels"]) > 1)


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
        fewer = with_captions(draft, row, {"labels": row["labels"][:-1]})["captions"]
        return {"captions": [caption for caption in row["captions"] if caption["style"] != "sentence"] + fewer[1:]}

    return edit_rows(draft, "class-omitted", edit, where=lambda row: len(row["labels"]) > 1)


@_words("captions", "evidence spans are shifted")
def evidence_shifted(draft: Draft) -> Planted:
    def change(row: Row, caption: Row) -> Row:
        moved = [{**span, "start": span["start"] + 3, "end": span["end"] + 3} for span in caption["evidence"]]
        return {"evidence": moved}

    return _rephrased(draft, "evidence-shifted", change)


@_words("captions", "empty captions")
def caption_empty(draft: Draft) -> Planted:
    return _rephrased(draft, "caption-empty", lambda row, caption: {"text": "", "evidence": []})


@_words("captions", "a caption is missing")
def caption_missing(draft: Draft) -> Planted:
    return edit_rows(draft, "caption-missing", lambda row: {"captions": row["captions"][:1]}, where=_labelled)


@_words("captions", "an unfilled slot of the template")
def slot_left(draft: Draft) -> Planted:
    return _rephrased(draft, "slot-left", lambda row, _: {"text": "An image of {labels}.", "evidence": []})


@_words("captions", "captions are shuffled among a few samples")
def captions_shuffled(draft: Draft) -> Planted:
    eligible = {tuple(row["labels"]): row for row in reversed(draft.rows()) if _labelled(row)}
    rows = draft.pick("captions-shuffled", eligible.values(), pct=0, least=max(4, len(draft.facts) // 50))
    edits = {
        row["id"]: {"captions": source["captions"]} for row, source in zip(rows, [*rows[1:], rows[0]], strict=True)
    }
    return Planted(ids(rows), len(draft.facts), edits)


@_words("captions", "the structured caption lists the classes alphabetically")
def labels_by_alphabet(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"captions": with_captions(draft, row, {"labels": sorted(row["labels"])})["captions"]}

    return edit_rows(draft, "labels-by-alphabet", edit, where=lambda row: row["labels"] != sorted(row["labels"]))


@_words("captions", "captions name the other sensor")
def sensor_wrong(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        other_sensor = {"s1": "s2", "s2": "s1"}[row["sensor"]]
        return {
            "captions": with_captions(draft, {**row, "sensor": other_sensor}, {"labels": row["labels"]})["captions"]
        }

    return edit_rows(draft, "sensor-wrong", edit, where=_labelled)


@_words("captions", "seasons of the other hemisphere")
def season_of_the_north(draft: Draft) -> Planted:
    def edit(row: Row) -> Row:
        return {"captions": with_captions(draft, {**row, "lat": -row["lat"]}, {"labels": row["labels"]})["captions"]}

    def names_season(row: Row) -> bool:
        return any(span["fact"].startswith("season:") for span in row["captions"][-1]["evidence"])

    return edit_rows(draft, "season-of-the-north", edit, where=lambda row: row["lat"] < 0 and names_season(row))


@_words("texts", "text decoded with another encoding")
def mojibake(draft: Draft) -> Planted:
    def change(row: Row, caption: Row) -> Row:
        return {"text": caption["text"].replace(" and ", " — ").encode().decode("cp1252")}

    def edit(row: Row) -> Row:
        return {"captions": [{**caption, **change(row, caption)} for caption in row["captions"]]}

    joined = lambda row: " and " in row["captions"][-1]["text"]  # noqa: E731
    return edit_rows(draft, "mojibake", edit, where=joined)


# -- Places ----------------------------------------------------------------------------------------------------------


@_words("places", "bearings to places instead of from them", events=True)
def bearing_to_the_place(draft: Draft) -> Planted:
    return edit_rows(
        draft, "bearing-to-the-place", _with_place(lambda p: {"bearing_deg": (p["bearing_deg"] + 180) % 360})
    )


@_words("places", "distances to places are in nautical miles", events=True)
def nautical_miles_to_the_place(draft: Draft) -> Planted:
    return edit_rows(draft, "nautical-miles-to-the-place", _with_place(lambda p: {"km": p["km"] / 1.852}))


def _with_place(change: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return lambda row: {"place": {**row["place"], **change(row["place"])}}
