"""Whether captions say what their samples are: read back into facts, and their evidence held against the row."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from landmark.captions.grammar import Grammar, shipped
from landmark.captions.parse import Lexicon, lexicon
from landmark.captions.questions import Asked, put
from landmark.captions.sample_facts import season
from landmark.corpus.manifest import Manifest
from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Known

Row = Mapping[str, Any]
# (what is wrong, the figures)
Said = tuple[str, str]

_STATED = ("sensor", "season", "finer")


def lexicons(manifest: Manifest) -> dict[str, Lexicon]:
    """The words of a corpus's languages: of the grammar it was sealed with, else of the languages landmark ships."""
    if manifest.grammar:
        languages = Grammar.model_validate(manifest.grammar).languages
        return {lang: lexicon(one, manifest.taxonomy, lang) for lang, one in languages.items()}
    found = {lang: shipped(lang) for lang in next(iter(manifest.taxonomy.classes.values())).name}
    return {lang: lexicon(one, manifest.taxonomy, lang) for lang, one in found.items()}


def captions(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """A caption names the sample's classes, all of them and no other, and its evidence says where."""
    styles = {one["style"] for one in row["captions"]}
    for style in known.recipe.get("captions", ()):
        if row["labels"] and style not in styles:
            yield f"a {style} caption is missing", ""
    for name, judge in _JUDGES.items():
        for one in row.get(name) or ():
            yield from judge(one, row, known)


def _words_of(lang: str, known: Known) -> Lexicon:
    """The words of a language, those of the taxonomy alone where the corpus was not sealed with its file."""
    return known.lexicons.get(lang) or lexicon(None, known.taxonomy, lang)


def event_words(row: Row, known: Known, limits: Limits) -> Iterator[Said]:
    """A crisis class needs an event that has begun when the image is taken, or a source that gives it undated."""
    undated = {known.undated[finer] for finer in row["finer"] if finer in known.undated}
    heard = (_words_of(one["lang"], known).labels(one["text"], _names(row)) for one in row["captions"])
    for key in sorted(set(row["labels"]).union(*heard) - undated):
        if key not in known.taxonomy.classes or not known.taxonomy.classes[key].event:
            continue
        phases = {one["phase"] for one in row["events"]}
        if not phases:
            yield "a crisis class without an event", key
        elif not phases & {"during", "after"}:
            yield "a crisis class on an image taken before its event", f"{key}: {', '.join(sorted(phases))}"


def _caption(caption: Row, row: Row, known: Known) -> Iterator[Said]:
    text, style, words = caption["text"], caption["style"], _words_of(caption["lang"], known)
    if not text.strip():
        yield "a caption is empty", style
        return
    if "{" in text or "}" in text:
        yield "a caption holds a slot nobody filled", text
    if style == "structured":
        due = ". ".join(words.names.get(key, key) for key in row["labels"])
        if text != due:
            yield "a structured caption is not the sample's labels", f"{text!r}, not {due!r}"
    stated = {one.fact for one in words.stated(text, _names(row))}
    named = {fact.removeprefix("label:") for fact in stated if fact.startswith("label:")}
    if extra := named - set(row["labels"]):
        yield "a caption names a class the sample does not have", f"{', '.join(sorted(extra))} in {text!r}"
    spoken = {one["fact"] for one in caption["evidence"]}
    if unproved := {key for key in named if f"label:{key}" not in spoken}:
        yield "a caption names a class without evidence", f"{', '.join(sorted(unproved))} in {text!r}"
    of_labels = style == "structured" or any(fact.startswith("label:") for fact in spoken)
    if of_labels and (missing := set(row["labels"]) - named):
        yield "a caption omits a class of the sample", f"{', '.join(sorted(missing))} in {text!r}"
    yield from _unproved(stated, spoken, row, text)
    yield from _evidence(caption, row, words)


def _unproved(stated: set[str], spoken: set[str], row: Row, text: str) -> Iterator[Said]:
    """What a caption says beside classes, and no evidence or event of the sample bears out."""
    for fact in sorted(stated - spoken):
        kind, _, value = fact.partition(":")
        if kind in _STATED:
            yield f"a caption names a {kind} without evidence", f"{value} in {text!r}"
        if kind == "happening" and not any(one["type"] == value and _sayable(one) for one in row["events"]):
            yield "a caption names an event the image may not carry", f"{value} in {text!r}"


def _evidence(caption: Row, row: Row, words: Lexicon) -> Iterator[Said]:
    text, end = caption["text"], 0
    for one in caption["evidence"]:
        if not end <= one["start"] < one["end"] <= len(text):
            yield "evidence points outside its caption, or overlaps", f"{one['fact']} at {one['start']}-{one['end']}"
            return
        end = one["end"]
        kind, _, value = one["fact"].partition(":")
        if kind not in _BORNE_OUT:
            yield "evidence is of no kind landmark knows", one["fact"]
        elif wrong := _BORNE_OUT[kind](value, text[one["start"] : end], row, words):
            yield wrong


def _label(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    right = words.labels(span) == {value}
    return None if right else ("evidence points at other words than its fact", f"label:{value} at {span!r}")


def _sensor(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    right = value == row["sensor"]
    return None if right else ("a caption names another sensor", f"{value}, the sample is {row['sensor']}")


def _season(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    due = season(row["datetime"], row["lat"])
    return None if value == due else ("a caption names another season", f"{value}, the sample is of {due}")


def _date(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    due = f"{row['datetime']:%Y-%m}"
    return None if value == due else ("a caption names another month", f"{value}, the sample is of {due}")


def _share(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    keys, _, said = value.partition(":")
    for key in keys.split(","):
        shares = [one["fraction"] for one in row["events"] if one["label"] == key] or [dict(row["fractions"]).get(key)]
        if shares[0] is None:
            return "a caption gives the share of a class the sample does not show", value
        if words.language is not None and (due := words.language.share(shares[0])) != said:
            return "a caption gives a class another share", f"{value}, {100 * shares[0]:.1f} % is {due}"
    return None


def _finer(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    right = value in dict(row["finer"])
    return None if right else ("a caption names a finer class the sample does not show", value)


def _event(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    right = any(one["id"] == value and _sayable(one) for one in row["events"])
    return None if right else ("a caption names an event the image may not carry", value)


def _place(value: str, span: str, row: Row, words: Lexicon) -> Said | None:
    right = value in _names(row)
    return None if right else ("a caption names another place", value)


_BORNE_OUT: dict[str, Callable[[str, str, Row, Lexicon], Said | None]] = {
    "label": _label,
    "sensor": _sensor,
    "season": _season,
    "date": _date,
    "share": _share,
    "finer": _finer,
    "event": _event,
    "place": _place,
}


def _question(one: Row, row: Row, known: Known) -> Iterator[Said]:
    """The facts an answer rests on are the sample's, the question asks for them, and the answer is theirs."""
    for fact in one["evidence"]:
        kind, _, value = fact.partition(":")
        if kind not in _ANSWERS or not _ANSWERS[kind](value, row):
            yield "an answer rests on no fact of the sample", f"{fact} for {one['question']!r}"
            return
    language = _words_of(one["lang"], known).language
    if language is None:
        return
    due = {said["question"]: said for said in (put(asked, language, known.taxonomy) for asked in _asked(one, row))}
    if one["question"] not in due:
        yield "a question does not ask for the facts of its answer", f"{one['question']!r}, {one['evidence']}"
    elif any(one[name] != due[one["question"]][name] for name in ("answer", "evidence")):
        yield "an answer is not what the facts say", f"{one['answer']} to {one['question']!r}"


def _asked(one: Row, row: Row) -> Iterator[Asked]:
    """The questions that the first fact of an answer allows."""
    first = one["evidence"][0] if one["evidence"] else ""
    kind, _, key = first.partition(":")
    if one["kind"] == "comparison" and kind == "more":
        more, _, less = key.partition(":")
        yield Asked("comparison", more, (first,), yes=True, other=less)
        yield Asked("comparison", less, (first,), yes=False, other=more)
    if not one["evidence"]:
        return
    event = next((each for each in row["events"] if kind == "event" and each["id"] == key), None)
    key = event["label"] if event else key
    if one["kind"] == "presence":
        yield Asked("presence", key, (first,), yes=kind in ("label", "event"))
    share = event["fraction"] if event else dict(row["fractions"]).get(key)
    if one["kind"] == "share" and share is not None:
        yield Asked("share", key, (first,), share=share)


def _hard_negative(one: Row, row: Row, known: Known) -> Iterator[Said]:
    """A hard negative names all the sample's classes but the one it falsifies, and none that a pixel shows."""
    words = _words_of(one["lang"], known)
    falsified, instead = (one[name].partition(":") for name in ("falsified", "instead"))
    named = words.labels(one["text"], _names(row))
    if falsified[0] == "label":
        due = {*row["labels"], instead[2]} - {falsified[2]}
        if instead[2] in dict(row["fractions"]) or named != due:
            yield "a hard negative is not false in one class alone", f"{one['instead']} in {one['text']!r}"
    elif extra := named - set(row["labels"]):
        yield "a hard negative is not false in one fact alone", f"{', '.join(sorted(extra))} in {one['text']!r}"
    if falsified[0] not in _FALSIFIED or not _FALSIFIED[falsified[0]](falsified[2], row, words):
        yield "a hard negative falsifies no fact of the sample", f"{one['falsified']} in {one['text']!r}"
    if one["instead"] == one["falsified"] or one["text"] in {caption["text"] for caption in row["captions"]}:
        yield "a hard negative says what is so", f"{one['instead']} in {one['text']!r}"


_JUDGES: dict[str, Callable[[Row, Row, Known], Iterator[Said]]] = {
    "captions": _caption,
    "questions": _question,
    "hard_negatives": _hard_negative,
}
_ANSWERS: dict[str, Callable[[str, Row], bool]] = {
    "label": lambda key, row: key in row["labels"],
    "event": lambda id, row: any(one["id"] == id and one["label"] and _sayable(one) for one in row["events"]),
    "absent": lambda key, row: bool(row["fractions"]) and key not in dict(row["fractions"]),
    "looked_for": lambda key, row: any(one["in_aoi"] and one["fraction"] == 0 for one in row["events"]),
    "more": lambda pair, row: _more(pair, row),
    "share": lambda value, row: value.partition(":")[0] in row["labels"],
}
_FALSIFIED: dict[str, Callable[[str, Row, Lexicon], bool]] = {
    "label": lambda key, row, words: key in row["labels"],
    "season": lambda value, row, words: value == season(row["datetime"], row["lat"]),
    "share": lambda value, row, words: _share(value, "", row, words) is None,
    "event": lambda value, row, words: any(
        value == f"{one['id']}:{one['phase']}" and _sayable(one) for one in row["events"]
    ),
}


def _more(pair: str, row: Row) -> bool:
    shares, (one, _, other) = dict(row["fractions"]), pair.partition(":")
    return bool(shares.get(one, 0) > shares.get(other, 0))


def _sayable(event: Row) -> bool:
    """An event that has begun, and that the image carries or whose epicentre is near."""
    carried = event["label"] is not None or event["distance_km"] is not None
    return carried and event["phase"] in ("during", "after")


def _names(row: Row) -> list[str]:
    place = row.get("place")
    return [] if place is None else [place["name"], *(one["name"] for one in place["names"])]
