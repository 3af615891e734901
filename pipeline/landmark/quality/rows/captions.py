"""Row checks of captions, questions and hard negatives: parse texts into facts and compare them with the row."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from landmark.captions.grammar import load_shipped_language, recorded_grammar
from landmark.captions.parse import Lexicon, build_lexicon
from landmark.captions.questions import QuestionSpec, render_question
from landmark.captions.sample_facts import season_at
from landmark.corpus.manifest import Manifest
from landmark.quality.check_input import CorpusContext
from landmark.quality.check_profile import Limits

Row = Mapping[str, Any]
# (problem, observed and expected values)
RowProblem = tuple[str, str]

# Longer texts are no captions, and take too long to parse.
_MAX_CHARS = 10_000
# Kinds of facts that a caption may state only with an evidence span.
_KINDS_WITH_EVIDENCE = ("sensor", "season", "finer")


def load_lexicons(manifest: Manifest, corpus: Path) -> dict[str, Lexicon]:
    """Language → lexicon: of the grammar recorded in the manifest, else of the shipped languages.

    Raises:
        InvalidCorpus: the manifest's grammar is none.
    """
    if manifest.grammar:
        languages = recorded_grammar(manifest, corpus).languages
        return {lang: build_lexicon(language, manifest.taxonomy, lang) for lang, language in languages.items()}
    first_class = next(iter(manifest.taxonomy.classes.values()))
    return {lang: build_lexicon(load_shipped_language(lang), manifest.taxonomy, lang) for lang in first_class.name}


def captions(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """A caption names exactly the classes of its sample, and its evidence spans state facts of the row."""
    styles = {caption["style"] for caption in row["captions"]}
    for style in context.recipe.captions if context.recipe else ():
        if row["labels"] and style not in styles:
            yield f"{style} caption is missing", ""
    for column, check in _TEXT_CHECKS.items():
        for text in row.get(column) or ():
            if too_long := [key for key, value in text.items() if isinstance(value, str) and len(value) > _MAX_CHARS]:
                yield f"a text of {column} is too long to be checked", f"{', '.join(too_long)}: {_MAX_CHARS} characters"
            else:
                yield from check(text, row, context)


def event_words(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """An event class needs an event that has begun when the image is taken, or a source that gives it undated."""
    undated = {context.undated[subclass] for subclass in row["subclasses"] if subclass in context.undated}
    named = (
        _lexicon(caption["lang"], context).find_labels(caption["text"][:_MAX_CHARS], place_names(row))
        for caption in row["captions"]
    )
    for key in sorted(set(row["labels"]).union(*named) - undated):
        if not context.is_event_class(key):
            continue
        phases = {event["phase"] for event in row["events"]}
        if not phases:
            yield "event class without an event", key
        elif not phases & {"during", "after"}:
            yield "event class on an image taken before the event", f"{key}: {', '.join(sorted(phases))}"


def _lexicon(lang: str, context: CorpusContext) -> Lexicon:
    """The lexicon of a language; of the taxonomy alone where the corpus records no grammar for it."""
    return context.lexicons.get(lang) or build_lexicon(None, context.taxonomy, lang)


def place_names(row: Row) -> list[str]:
    """Names of the place of a row, in all languages."""
    place = row.get("place")
    return [] if place is None else [place["name"], *(name["name"] for name in place["names"])]


def _is_mentionable(event: Row) -> bool:
    """Whether a caption may mention an event: it has begun, and is in the image or has its epicentre nearby."""
    shown = event["label"] is not None or event["distance_km"] is not None
    return shown and event["phase"] in ("during", "after")


# -- captions ----------------------------------------------------------------------------------------------------------


def _check_caption(caption: Row, row: Row, context: CorpusContext) -> Iterator[RowProblem]:
    text, style, words = caption["text"], caption["style"], _lexicon(caption["lang"], context)
    if not text.strip():
        yield "caption is empty", style
        return
    if "{" in text or "}" in text:
        yield "caption has an unfilled slot", text
    if style == "structured":
        expected = ". ".join(words.class_names.get(key, key) for key in row["labels"])
        if text != expected:
            yield "structured caption differs from the labels", f"{text!r}, not {expected!r}"
    stated = {fact.fact for fact in words.find_facts(text, place_names(row))}
    labels, named = set(row["labels"]), {fact.removeprefix("label:") for fact in stated if fact.startswith("label:")}
    evidence = {span["fact"] for span in caption["evidence"]}
    if extra := named - labels:
        yield "caption names a class that the sample lacks", _keys_in(extra, text)
    if unsupported := {key for key in named if f"label:{key}" not in evidence}:
        yield "caption names a class without evidence", _keys_in(unsupported, text)
    describes_labels = style == "structured" or any(fact.startswith("label:") for fact in evidence)
    if describes_labels and (missing := labels - named):
        yield "caption omits a class of the sample", _keys_in(missing, text)
    yield from _check_stated(stated - evidence, row, text)
    yield from _check_spans(caption, row, words)


def _keys_in(keys: set[str], text: str) -> str:
    return f"{', '.join(sorted(keys))} in {text!r}"


def _check_stated(facts: set[str], row: Row, text: str) -> Iterator[RowProblem]:
    """Facts that a caption states without an evidence span, other than classes."""
    for fact in sorted(facts):
        kind, _, value = fact.partition(":")
        if kind in _KINDS_WITH_EVIDENCE:
            yield f"caption names a {kind} without evidence", f"{value} in {text!r}"
        if kind == "happening" and not any(
            event["type"] == value and _is_mentionable(event) for event in row["events"]
        ):
            yield "caption mentions an event that does not apply to the image", f"{value} in {text!r}"


def _check_spans(caption: Row, row: Row, words: Lexicon) -> Iterator[RowProblem]:
    text, end = caption["text"], 0
    for span in caption["evidence"]:
        if not end <= span["start"] < span["end"] <= len(text):
            yield "evidence span is outside its caption or overlaps", f"{span['fact']} at {span['start']}-{span['end']}"
            return
        end = span["end"]
        kind, _, value = span["fact"].partition(":")
        if kind not in _SPAN_CHECKS:
            yield "evidence has an unknown kind of fact", span["fact"]
        elif problem := _SPAN_CHECKS[kind](value, text[span["start"] : end], row, words):
            yield problem


def _check_label(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    correct = words.find_labels(span) == {value}
    return None if correct else ("evidence span holds other words than its fact", f"label:{value} at {span!r}")


def _check_sensor(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    correct = value == row["sensor"]
    return None if correct else ("caption names another sensor", f"{value}, not {row['sensor']}")


def _check_season(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    expected = season_at(row["datetime"], row["lat"])
    return None if value == expected else ("caption names another season", f"{value}, not {expected}")


def _check_date(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    expected = f"{row['datetime']:%Y-%m}"
    return None if value == expected else ("caption names another month", f"{value}, not {expected}")


def _check_share(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    keys, _, word = value.partition(":")
    for key in keys.split(","):
        of_events = [event["fraction"] for event in row["events"] if event["label"] == key]
        share = of_events[0] if of_events else dict(row["fractions"]).get(key)
        if share is None:
            return "caption gives the share of a class that the sample lacks", value
        if words.language is not None and (expected := words.language.share_key(share)) != word:
            return "caption gives another share of a class", f"{value}, {100 * share:.1f} % is {expected}"
    return None


def _check_subclass(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    correct = value in dict(row["subclasses"])
    return None if correct else ("caption names a subclass that the sample lacks", value)


def _check_event(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    correct = any(event["id"] == value and _is_mentionable(event) for event in row["events"])
    return None if correct else ("caption mentions an event that does not apply to the image", value)


def _check_place(value: str, span: str, row: Row, words: Lexicon) -> RowProblem | None:
    return None if value in place_names(row) else ("caption names another place", value)


_SPAN_CHECKS: dict[str, Callable[[str, str, Row, Lexicon], RowProblem | None]] = {
    "label": _check_label,
    "sensor": _check_sensor,
    "season": _check_season,
    "date": _check_date,
    "share": _check_share,
    "finer": _check_subclass,
    "event": _check_event,
    "place": _check_place,
}


# -- questions and hard negatives --------------------------------------------------------------------------------------


def _check_question(question: Row, row: Row, context: CorpusContext) -> Iterator[RowProblem]:
    """The evidence is true of the sample, the question is about it, and the answer follows from it."""
    text = question["question"]
    for fact in question["evidence"]:
        kind, _, value = fact.partition(":")
        if kind not in _ANSWER_FACTS or not _ANSWER_FACTS[kind](value, row):
            yield "evidence of an answer is not a fact of the sample", f"{fact} for {text!r}"
            return
    language = _lexicon(question["lang"], context).language
    if language is None:
        return
    rendered = (render_question(spec, language, context.taxonomy) for spec in _possible_questions(question, row))
    expected = {candidate["question"]: candidate for candidate in rendered}
    if text not in expected:
        yield "question does not ask for the evidence of its answer", f"{text!r}, {question['evidence']}"
    elif any(question[name] != expected[text][name] for name in ("answer", "evidence")):
        yield "answer does not follow from its evidence", f"{question['answer']} to {text!r}"


def _possible_questions(question: Row, row: Row) -> Iterator[QuestionSpec]:
    """The questions of the same kind that the first evidence of the answer allows."""
    if not question["evidence"]:
        return
    fact = question["evidence"][0]
    kind, _, key = fact.partition(":")
    if question["kind"] == "comparison" and kind == "more":
        more, _, less = key.partition(":")
        yield QuestionSpec("comparison", more, (fact,), is_true=True, other_key=less)
        yield QuestionSpec("comparison", less, (fact,), is_true=False, other_key=more)
    event = next((event for event in row["events"] if kind == "event" and event["id"] == key), None)
    key = event["label"] if event else key
    if question["kind"] == "presence":
        yield QuestionSpec("presence", key, (fact,), is_true=kind in ("label", "event"))
    share = event["fraction"] if event else dict(row["fractions"]).get(key)
    if question["kind"] == "share" and share is not None:
        yield QuestionSpec("share", key, (fact,), fraction=share)


def _is_larger(pair: str, row: Row) -> bool:
    shares, (larger, _, smaller) = dict(row["fractions"]), pair.partition(":")
    return bool(shares.get(larger, 0) > shares.get(smaller, 0))


# Kind of fact → whether it is true of the row.
_ANSWER_FACTS: dict[str, Callable[[str, Row], bool]] = {
    "label": lambda key, row: key in row["labels"],
    "event": lambda id, row: any(
        event["id"] == id and event["label"] and _is_mentionable(event) for event in row["events"]
    ),
    "absent": lambda key, row: bool(row["fractions"]) and key not in dict(row["fractions"]),
    "looked_for": lambda key, row: any(event["in_aoi"] and event["fraction"] == 0 for event in row["events"]),
    "more": _is_larger,
    "share": lambda value, row: value.partition(":")[0] in row["labels"],
}


def _check_hard_negative(negative: Row, row: Row, context: CorpusContext) -> Iterator[RowProblem]:
    """A hard negative falsifies exactly one fact of the sample, and names no class that a pixel shows instead."""
    text, words = negative["text"], _lexicon(negative["lang"], context)
    (kind, _, value), (_, _, replacement) = (negative[name].partition(":") for name in ("falsified", "replacement"))
    labels, named = set(row["labels"]), words.find_labels(text, place_names(row))
    if kind == "label":
        if replacement in dict(row["fractions"]) or named != {*labels, replacement} - {value}:
            yield "hard negative is not false in one class alone", f"{negative['replacement']} in {text!r}"
    elif extra := named - labels:
        yield "hard negative is not false in one fact alone", _keys_in(extra, text)
    if kind not in _FALSIFIABLE_FACTS or not _FALSIFIABLE_FACTS[kind](value, row, words):
        yield "hard negative does not falsify a fact of the sample", f"{negative['falsified']} in {text!r}"
    if negative["replacement"] == negative["falsified"] or text in {caption["text"] for caption in row["captions"]}:
        yield "hard negative is true", f"{negative['replacement']} in {text!r}"


# Kind of fact → whether it is true of the row.
_FALSIFIABLE_FACTS: dict[str, Callable[[str, Row, Lexicon], bool]] = {
    "label": lambda key, row, words: key in row["labels"],
    "season": lambda value, row, words: value == season_at(row["datetime"], row["lat"]),
    "share": lambda value, row, words: _check_share(value, "", row, words) is None,
    "event": lambda value, row, words: any(
        value == f"{event['id']}:{event['phase']}" and _is_mentionable(event) for event in row["events"]
    ),
}
_TEXT_CHECKS: dict[str, Callable[[Row, Row, CorpusContext], Iterator[RowProblem]]] = {
    "captions": _check_caption,
    "questions": _check_question,
    "hard_negatives": _check_hard_negative,
}
