"""Text → facts: the inverse of the grammar, by which the gate reads a caption without looking at its evidence."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from landmark.captions.language import Language
from landmark.domain.taxonomy import Taxonomy

# Stands for any number.
_KM = "99999"


class Stated(NamedTuple):
    """Characters [start, end) of a text state a fact."""

    start: int
    end: int
    fact: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words in lower case → the facts they state.

    Attributes:
        names: Per class, as the structured caption names it.
        language: Whose words, None where only the taxonomy's are known.
    """

    language: Language | None
    names: dict[str, str]
    facts: dict[str, str]
    pattern: re.Pattern[str]

    def stated(self, text: str, names: Iterable[str] = ()) -> list[Stated]:
        """What a text states, in order; the longest words first: flooded vegetation is one class, and no flooded land.

        `names` of places are read as names where the language says that an image lies near them.
        """
        for name in names:
            text = self._lying(name).sub(lambda found: "\0" * len(found[0]), text)
        text = text.lower()
        return [Stated(*found.span(), self.facts[found[0]]) for found in self.pattern.finditer(text)]

    def _lying(self, name: str) -> re.Pattern[str]:
        if self.language is None:
            return re.compile(re.escape(name))
        words = self.language.places
        ways = [words.near_to(name), *(words.away_from(name, _KM, wind) for wind in range(len(words.winds)))]
        return re.compile("|".join(re.escape(way) for way in ways).replace(_KM, r"\d+"), re.IGNORECASE)

    def labels(self, text: str, names: Iterable[str] = ()) -> set[str]:
        """Classes a text names."""
        return {one.fact.removeprefix("label:") for one in self.stated(text, names) if one.fact.startswith("label:")}


def lexicon(language: Language | None, taxonomy: Taxonomy, lang: str) -> Lexicon:
    """All words of a language that state facts; without its file, the classes alone."""
    words = {word.lower(): fact for _, word, fact in _of_taxonomy(taxonomy, lang)}
    if language is not None:
        words = {word.lower(): fact for _, word, fact in _words(language, taxonomy)} | words
    # Without a word the pattern never matches: an empty one would match everywhere.
    longest_first = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)"
    return Lexicon(language, _names(language, taxonomy, lang), words, re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)"))


def _names(language: Language | None, taxonomy: Taxonomy, lang: str) -> dict[str, str]:
    if language is not None:
        return {key: language.class_name(key, taxonomy).lower() for key in taxonomy.classes}
    return {key: one.name[lang].lower() for key, one in taxonomy.classes.items() if lang in one.name}


def said_twice(language: Language, taxonomy: Taxonomy) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of words that state two facts, so that nobody could tell which a caption means."""
    owner: dict[str, tuple[str, str]] = {}
    for key, words, fact in chain(_of_taxonomy(taxonomy, language.lang), _words(language, taxonomy)):
        first, other = owner.setdefault(words.lower(), (key, fact))
        if words and other != fact:
            yield key, f"{words!r} also is `{first}`; give each fact its own words"


def _of_taxonomy(taxonomy: Taxonomy, lang: str) -> Iterator[tuple[str, str, str]]:
    """(key, words, fact) of the classes, as the taxonomy says them."""
    for key, entry in taxonomy.classes.items():
        for form, said in (("name", entry.name), ("phrase", entry.phrase)):
            if lang in said:
                yield f"{taxonomy.name}: classes.{key}.{form}", said[lang], f"label:{key}"


def _words(language: Language, taxonomy: Taxonomy) -> Iterator[tuple[str, str, str]]:
    """(key, words, fact) of a language's file."""
    for key, one in language.events.items():
        yield f"events.{key}.noun", one.noun, f"happening:{key}"
    for finer, words in language.finer.items():
        yield f"finer.{finer}", words, f"finer:{finer}"
    for key, of in language.classes.items():
        if key in taxonomy.classes:
            forms = (("name", of.name), ("phrase", of.phrase), ("of", of.of), ("word", of.word))
            yield from ((f"classes.{key}.{form}", words, f"label:{key}") for form, words in forms if words)
    yield from ((f"sensors.{key}", words, f"sensor:{key}") for key, words in language.sensors.items())
    yield from ((f"seasons.{key}", words, f"season:{key}") for key, words in language.seasons.items())
