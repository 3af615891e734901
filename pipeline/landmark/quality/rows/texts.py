"""Row check of texts: plain sentences of their language, without what software, web pages or language models leave."""

import re
import unicodedata
from collections.abc import Iterator

from landmark.quality.check_input import CorpusContext
from landmark.quality.check_profile import Limits
from landmark.quality.rows.captions import Row, RowProblem, place_names
from landmark.quality.rows.language_words import LanguageWords, script_of, words_of

_COLUMNS = {"captions": "text", "questions": "question", "hard_negatives": "text"}
_MAX_CHARS = 10_000
_MAX_DETAIL = 120
# Characters of any sentence besides letters and digits.
_SIGNS = frozenset(" .,:;!?()'\"-/&%°²±+¿¡«»…\u2013\u2014\u2018\u2019\u201c\u201d")
_REMAINS = {
    "holds markup": r"</?[a-z!][^<>]*>|&(?:\w+|#\w+);|\*\*|```|^#+\s|\]\(|\\[nrtu\"]|<\|.*?\|>|\[/?[A-Z]{3,}\]",
    "holds an address": r"https?:|www\.|\w@\w+\.\w",
    "holds a name or value of a program": (
        r"\w_\w|%\(?\w+\)?[sd]\b|\$\{?\w|\b(?:None|nan|NaN|NULL|null|undefined|N/A|TODO|TBD|[Ll]orem ipsum)\b"
    ),
    "holds words of a dialogue with a language model": (
        r"(?i)\bas an ai\b|\blanguage model\b|\bhere(?: is|.s| are)\b.*\b(?:caption|description)"
        r"|^(?:sure|certainly|of course|okay)\b|\bI(?:'m| am)\b|\bI (?:can|cannot|can't|would|will|hope|apologi[sz]e)\b"
        r"|^\W*(?:caption|description|assistant|user|system|answer|prompt|output|légende|descripción)\W*\d*:"
        r"|\blet me know\b|\b(?:describe|captions? for) (?:this|the) image\b"
        r"|\bvoici (?:une|la) (?:légende|description)|\baquí (?:tienes?|está)\b"
    ),
    "has broken characters": "\N{REPLACEMENT CHARACTER}|Ã.|â€|Â[^\\w\\s]?|[^\\W\\d_]\\?[^\\W\\d_]",
    "repeats a word": r"(?i)\b([^\W\d_]{2,})\s+\1\b",
    "has surplus spaces or punctuation": r"^\s|\s$|\s\s|\s[,.](?!\d)|[,;]{2}|(?<!\.)\.\.(?!\.)",
    "is in quotation marks": "^[\"\u201c«`']",
    "is cut short": r"[,;:(\u2013\u2014-]\s*$|…\s*$|\.\.\.\s*$",
}
_PATTERNS = {problem: re.compile(pattern) for problem, pattern in _REMAINS.items()}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def texts(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """Texts are plain sentences of their language."""
    names = sorted(place_names(row), key=len, reverse=True)
    for column, key in _COLUMNS.items():
        earlier = set[tuple[str, str, str]]()
        for entry in row.get(column) or ():
            text, words = entry[key][:_MAX_CHARS], context.words.get(entry["lang"])
            for problem, detail in _problems(text, names, words, entry, limits):
                yield f"{column}: text {problem}", f"{detail} in {text[:_MAX_DETAIL]!r}"
            identity = entry.get("style", ""), entry["lang"], text
            if identity in earlier:
                yield f"{column}: text stands twice", repr(text[:_MAX_DETAIL])
            earlier.add(identity)


def _problems(
    text: str, names: list[str], words: LanguageWords | None, entry: Row, limits: Limits
) -> Iterator[RowProblem]:
    for name in names:
        # A digit: names may hold any letter.
        text = text.replace(name, "0")
    for problem, pattern in _PATTERNS.items():
        if match := pattern.search(text):
            yield problem, repr(match[0])
    yield from _character_problems(text, words)
    sentences = _SENTENCE_END.split(text)
    if len(set(sentences)) < len(sentences):
        yield "repeats a sentence", ""
    if words is not None:
        yield from _word_problems(text, names, words, entry, limits)


def _character_problems(text: str, words: LanguageWords | None) -> Iterator[RowProblem]:
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) > 1 and not any(letter.islower() for letter in letters) and any(map(str.isupper, letters)):
        yield "is in capitals", ""
    odd = {sign for sign in text if not sign.isalnum()} - _SIGNS - (words.signs if words else frozenset())
    if odd := {sign for sign in odd if not unicodedata.category(sign).startswith("M")}:
        yield "has characters of no sentence", ", ".join(f"U+{ord(sign):04X}" for sign in sorted(odd))
    if text.isascii():
        return
    if _is_misread(text):
        yield "has broken characters", "UTF-8 read as another encoding"
    if words and (foreign_letters := {letter for letter in letters if script_of(letter) not in words.scripts}):
        yield "has letters of another script", "".join(sorted(foreign_letters))


def _is_misread(text: str) -> bool:
    """Whether the text is UTF-8 that was decoded as a Western code page."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode() != text
        except UnicodeError:
            continue
    return False


def _word_problems(
    text: str, names: list[str], words: LanguageWords, entry: Row, limits: Limits
) -> Iterator[RowProblem]:
    tokens = words_of(text)
    if entry.get("template") in words.templates:
        # Words of a place remain where its article was contracted.
        known = words.every.union(*map(words_of, names))
        if unknown := [word for word in tokens if word not in known]:
            yield "has words that its template cannot give", ", ".join(unknown[:8])
    if entry.get("style") == "structured":
        return
    own, foreign = (sum(word in group for word in tokens) for group in (words.common, words.foreign))
    if foreign > own or (not own and len(tokens) >= limits["min_words"]):
        yield "is not in its language", f"{own} of {len(tokens)} words are common in {entry['lang']}"
    if len(tokens) > 1 and tokens[-1] in words.inner and text.rstrip()[-1:].isalpha():
        yield "is cut short", tokens[-1]
