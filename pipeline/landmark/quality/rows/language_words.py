"""Words and letters of the languages that captions are written in."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from landmark.captions.language import Language
from landmark.captions.parse import Lexicon

_WORD = re.compile(r"[^\W\d_]+")
_SLOT = re.compile(r"\{\w+\}")
_END = re.compile(r"([^\W\d_]+)\W*$")
# Parts of a language file whose words occur in sentences about any land cover.
_SENTENCES = {"and_", "and_shares", "shares", "spans", "events", "questions", "places", "dominant_subclass"}
_NAMES = {"lang", "name", "version", "styles"}


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """Words of a language file in lower case.

    Attributes:
        every: All words of the file and the taxonomy.
        common: Words of sentences, without names of classes.
        foreign: Common words of other languages that this one lacks.
        inner: Common words that end no text of the file.
        scripts: Of its letters.
        signs: Its characters other than letters and digits.
        templates: Ids with version, as in the column `template`.
    """

    every: frozenset[str]
    common: frozenset[str]
    foreign: frozenset[str]
    inner: frozenset[str]
    scripts: frozenset[str]
    signs: frozenset[str]
    templates: frozenset[str]


def load_language_words(lexicons: Mapping[str, Lexicon], shipped: Mapping[str, Language]) -> dict[str, LanguageWords]:
    """Language → its words, of the lexicons that have a language file; `shipped` are those to tell it from."""
    return {
        lang: _language_words(lexicon.language, lexicon, [file for name, file in shipped.items() if name != lang])
        for lang, lexicon in lexicons.items()
        if lexicon.language is not None
    }


def words_of(text: str) -> list[str]:
    """Words of a text in lower case, without numbers and the slots of templates."""
    return _WORD.findall(_SLOT.sub(" ", text).lower())


@cache
def script_of(letter: str) -> str:
    """Script of a letter, such as LATIN."""
    return unicodedata.name(letter, "unknown").split(" ")[0]


def _language_words(language: Language, lexicon: Lexicon, foreign: Iterable[Language]) -> LanguageWords:
    texts = [*_sentences(language), *_strings(language.model_dump(exclude=_NAMES)), *lexicon.facts]
    texts += lexicon.class_names.values()
    every, common = frozenset(_words(texts)), _common_words(language)
    return LanguageWords(
        every=every,
        common=common,
        foreign=frozenset().union(*map(_common_words, foreign)) - every,
        inner=common - _last_words(texts),
        scripts=frozenset(script_of(letter) for word in every for letter in word),
        signs=frozenset(sign for text in texts for sign in _SLOT.sub("", text) if not sign.isalnum()) - {"[", "]"},
        templates=frozenset(
            f"{template.id}@{language.version}" for style in language.styles.values() for template in style
        ),
    )


def _common_words(language: Language) -> frozenset[str]:
    return frozenset(_words(_sentences(language)))


def _sentences(language: Language) -> list[str]:
    templates = [template.text for style in language.styles.values() for template in style]
    return [*templates, *_strings(language.model_dump(include=_SENTENCES))]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _last_words(texts: Iterable[str]) -> set[str]:
    """Last words of texts that do not end with a slot. Joints of lists begin with a space or comma."""
    ends = (_END.search(_SLOT.sub("0", text).lower()) for text in texts if not text.startswith((" ", ",")))
    return {end[1] for end in ends if end}


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in words_of(text)}
