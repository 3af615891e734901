"""Captions, questions and places as language models, spreadsheets and joins leave them."""

import calendar
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import annotator, by_cell, edited, independent
from bench.registry import Unsuited
from landmark.captions.grammar import load_grammar
from landmark.captions.sample_facts import season_at

_SENSORS = {"s1": "Sentinel-1 radar image", "s2": "Sentinel-2 optical image"}
_OPPOSITE = {"winter": "summer", "summer": "winter", "spring": "autumn", "autumn": "spring"}
_STYLED = ("sentence", "detailed")


def reworded(caption: Row, text: str) -> Row:
    """A caption with another text; evidence whose words are still in it is kept, at its new place."""
    evidence, start = [], 0
    for span in caption["evidence"]:
        words = caption["text"][span["start"] : span["end"]]
        at = text.find(words, start)
        if words and at >= 0:
            evidence.append({"start": at, "end": at + len(words), "fact": span["fact"]})
            start = at
    return {**caption, "text": text, "evidence": evidence}


def _texts(
    draft: Draft, salt: str, change: Callable[[Row, Row], str], *, styles: tuple[str, ...] = _STYLED, lang: str = "en"
) -> Planted:
    """Change the text of the captions of some styles in some samples: change(row, caption) → text."""

    def recaptioned(row: Row) -> Row:
        return {
            "captions": [
                reworded(caption, change(row, caption))
                if caption["style"] in styles and caption["lang"] == lang
                else caption
                for caption in row["captions"]
            ]
        }

    return edited(draft, draft.pick(salt, draft.rows(), pct=3), recaptioned)


def _phrases(caption: Row, kind: str = "label:") -> list[str]:
    return [
        caption["text"][span["start"] : span["end"]] for span in caption["evidence"] if span["fact"].startswith(kind)
    ]


@independent("words", "annotations", "sentences paraphrased by a language model, their class words unchanged")
def paraphrased_by_model(draft: Draft) -> Planted:
    def paraphrase(row: Row, caption: Row) -> str:
        words = [phrase.lower() for phrase in _phrases(caption)] or ["mixed land"]
        rest = f", interspersed with {' and '.join(words[1:])}" if words[1:] else ""
        return f"The landscape in this {_SENSORS[row['sensor']]} is dominated by {words[0]}{rest}."

    return _texts(draft, "paraphrase", paraphrase)


@independent("words", "annotations", "a language model added a village, a road and a river that no map has")
def invented_details(draft: Draft) -> Planted:
    added = ", with a small village along a winding road beside a narrow river."
    return _texts(draft, "invented", lambda row, caption: caption["text"].rstrip(".") + added)


@independent("words", "annotations", "a language model hedges: 'appears to show', 'possibly'")
def hedged_by_model(draft: Draft) -> Planted:
    def hedge(row: Row, caption: Row) -> str:
        first, *rest = (phrase.lower() for phrase in _phrases(caption))
        listed = f"{first} and possibly {', '.join(rest)}" if rest else first
        return f"This {_SENSORS[row['sensor']]} appears to show {listed}, although details are hard to make out."

    return _texts(draft, "hedged", hedge, styles=("sentence",))


@independent("words", "annotations", "sentences describe colours that were seen in a false-colour preview")
def colours_of_a_preview(draft: Draft) -> Planted:
    added = ", shown in shades of red and pink because vegetation reflects strongly."
    return _texts(draft, "colours", lambda row, caption: caption["text"].rstrip(".") + added, styles=("sentence",))


@independent("words", "captions", "captions of radar samples are those of the optical sample of the pair")
def captions_of_the_pair(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s1") if row["pair"]]
    return edited(
        draft,
        draft.pick("pair-captions", rows, pct=6),
        lambda row: {"captions": draft.facts[row["pair"]]["captions"]},
    )


@independent("words", "captions", "captions one row further down than their samples in a run of rows")
def captions_rolled_by_a_row(draft: Draft) -> Planted:
    rows = draft.rows(split="train")[40:64]
    following = dict(zip((row["id"] for row in rows), [*rows[1:], rows[0]], strict=True))
    return edited(draft, rows, lambda row: {"captions": following[row["id"]]["captions"]})


@independent("words", "annotations", "captions of another date of the same cell, after a join by cell alone")
def captions_of_another_date(draft: Draft) -> Planted:
    partners = {}
    for rows in by_cell(draft, sensor="s2").values():
        for first, second in pairwise(rows):
            if season_at(first["datetime"], first["lat"]) != season_at(second["datetime"], second["lat"]):
                partners[first["id"]] = second
    rows = [draft.facts[id] for id in partners]
    chosen = draft.pick("date-captions", rows, pct=8)
    return edited(draft, chosen, lambda row: {"captions": partners[row["id"]]["captions"]})


@independent("words", "annotations", "northern seasons on the southern hemisphere, words and evidence")
def northern_seasons_in_the_south(draft: Draft) -> Planted:
    def turned(row: Row) -> Row:
        captions = []
        for caption in row["captions"]:
            text, evidence, shift = caption["text"], [], 0
            for span in caption["evidence"]:
                start, end, fact = span["start"] + shift, span["end"] + shift, span["fact"]
                if fact.startswith("season:") and (word := text[start:end]) in _OPPOSITE:
                    text, fact = text[:start] + _OPPOSITE[word] + text[end:], f"season:{_OPPOSITE[word]}"
                    shift += len(_OPPOSITE[word]) - len(word)
                    end = start + len(_OPPOSITE[word])
                evidence.append({"start": start, "end": end, "fact": fact})
            captions.append({**caption, "text": text, "evidence": evidence})
        return {"captions": captions}

    south = [row for row in draft.rows() if row["lat"] < 0]
    if not south:
        raise Unsuited("no sample in the south")
    return edited(draft, draft.pick("seasons", south, pct=20), turned)


@independent("words", "texts", "sentences cut at a limit of characters, inside a word")
def cut_at_a_limit(draft: Draft) -> Planted:
    return _texts(draft, "cut", lambda row, caption: caption["text"][: max(40, len(caption["text"]) - 13)])


@independent("words", "texts", "texts in lower case without punctuation and accents, as a tokenizer leaves them")
def normalised_by_tokenizer(draft: Draft) -> Planted:
    def normalise(row: Row, caption: Row) -> str:
        plain = unicodedata.normalize("NFKD", caption["text"]).encode("ascii", "ignore").decode()
        return re.sub(r"[^a-z0-9 -]", "", plain.lower())

    return _texts(draft, "normalised", normalise)


@independent("words", "texts", "lists with no-break spaces and doubled spaces, pasted from a web page")
def odd_spaces(draft: Draft) -> Planted:
    def spaced(row: Row, caption: Row) -> str:
        return str(caption["text"]).replace(", ", ",\u00a0").replace(" and ", "  and ") + " "

    return _texts(draft, "spaces", spaced)


@independent("words", "texts", "texts in the quotes of a CSV file")
def quotes_of_csv(draft: Draft) -> Planted:
    return _texts(draft, "quotes", lambda row, caption: f'"{caption["text"]}"')


@independent("words", "annotations", "words of another taxonomy: forest, farmland, urban area, pasture")
def words_of_another_taxonomy(draft: Draft) -> Planted:
    words = {"trees": "forest", "crops": "farmland", "built-up land": "urban area", "grassland": "pasture"}

    def replaced(row: Row, caption: Row) -> str:
        text = str(caption["text"])
        for word, other_word in words.items():
            text = text.replace(word, other_word).replace(word.capitalize(), other_word.capitalize())
        return text

    return _texts(draft, "taxonomy", replaced)


@independent("words", "annotations", "sentences replaced by the structured caption of the sample, style unchanged")
def both_styles_equal(draft: Draft) -> Planted:
    def copied(row: Row) -> Row:
        by_style = {(caption["style"], caption["lang"]): caption for caption in row["captions"]}
        return {
            "captions": [
                {**by_style["structured", caption["lang"]], "style": caption["style"]}
                if caption["style"] == "sentence"
                else caption
                for caption in row["captions"]
            ]
        }

    return edited(draft, draft.pick("styles", draft.rows(), pct=3), copied)


@independent("words", "texts", "French sentences filed as English")
def french_filed_as_english(draft: Draft) -> Planted:
    tools = annotator(draft)
    recipe_styles = tuple(dict.fromkeys(caption["style"] for caption in draft.rows()[0]["captions"]))
    french = load_grammar(recipe_styles, ["fr"], taxonomy=tools.label_rules.taxonomy).languages["fr"]

    def phrased(row: Row, caption: Row) -> str:
        names = [french.phrase(key, tools.label_rules.taxonomy) for key in row["labels"]]
        return f"Une {french.sensors[row['sensor']]} montrant {', '.join(names)}."

    return _texts(draft, "french", phrased, styles=("sentence",))


@independent("words", "annotations", "labels and structured captions in alphabetical order, out of a set")
def alphabetical_labels(draft: Draft) -> Planted:
    def sorted_labels(row: Row) -> Row:
        captions = [
            reworded(caption, ". ".join(sorted(caption["text"].split(". "))))
            if caption["style"] == "structured"
            else caption
            for caption in row["captions"]
        ]
        return {"labels": sorted(row["labels"]), "captions": captions}

    rows = [row for row in draft.rows() if len(row["labels"]) > 2]
    return edited(draft, draft.pick("alphabet", rows, pct=4), sorted_labels)


def _in_style(row: Row, style: str, change: Callable[[Row], Row]) -> list[Row]:
    return [change(caption) if caption["style"] == style else caption for caption in row["captions"]]


@independent("words", "annotations", "captions of a month later in one language, evidence too", events=True)
def month_off(draft: Draft) -> Planted:
    months = list(calendar.month_name)[1:]

    def moved(caption: Row) -> Row:
        if caption["lang"] != "en":
            return caption
        for number, month in enumerate(months):
            if f"{month} 20" in caption["text"]:
                following = months[(number + 1) % 12]
                changed = reworded(caption, caption["text"].replace(month, following))
                date = re.search(rf"{following} (20\d\d)", changed["text"])
                assert date is not None
                span = {"start": date.start(), "end": date.end(), "fact": f"date:{date[1]}-{number + 2:02d}"}
                return {**changed, "evidence": sorted([*changed["evidence"], span], key=lambda item: item["start"])}
        return caption

    rows = [row for row in draft.rows() if any(caption["style"] == "detailed" for caption in row["captions"])]
    return edited(draft, draft.pick("months", rows, pct=4), lambda row: {"captions": _in_style(row, "detailed", moved)})


@independent("words", "annotations", "shares in words a step too large", events=True)
def shares_a_step_too_large(draft: Draft) -> Planted:
    steps = {"about a third": "about half", "about a quarter": "about a third", "some ": "about a quarter "}

    def enlarged(caption: Row) -> Row:
        for words, larger in steps.items():
            if caption["lang"] == "en" and words in caption["text"]:
                return reworded(caption, caption["text"].replace(words, larger, 1))
        return caption

    chosen = draft.pick("shares", draft.rows(), pct=5)
    return edited(draft, chosen, lambda row: {"captions": _in_style(row, "detailed", enlarged)})


@independent("words", "annotations", "yes and no exchanged in the answers of some questions", events=True)
def answers_exchanged(draft: Draft) -> Planted:
    opposite = {"yes": "no", "no": "yes", "oui": "non", "non": "oui", "sí": "no"}

    def exchanged(row: Row) -> Row:
        return {
            "questions": [
                {**question, "answer": opposite.get(question["answer"], question["answer"])}
                for question in row["questions"]
            ]
        }

    return edited(draft, draft.pick("answers", draft.rows(), pct=4), exchanged)


@independent("words", "annotations", "hard negatives that are the true caption", events=True)
def true_hard_negatives(draft: Draft) -> Planted:
    def true(row: Row) -> Row:
        texts: dict[Any, str] = {(item["style"], item["lang"]): item["text"] for item in row["captions"]}
        return {
            "hard_negatives": [
                {**item, "text": texts.get((item["style"], item["lang"]), item["text"])}
                for item in row["hard_negatives"]
            ]
        }

    return edited(draft, draft.pick("negatives", draft.rows(), pct=4), true)
