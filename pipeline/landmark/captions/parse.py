"""Find the facts that a text states, without its evidence: the inverse of rendering."""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from landmark.captions.language import Language
from landmark.domain.taxonomy import Taxonomy

# Placeholder for any number in a pattern.
_KM = "99999"


class FactMatch(NamedTuple):
    """Characters [start, end) of a text and the fact they state."""

    start: int
    end: int
    fact: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words that state facts.

    Attributes:
        language: None if only the taxonomy's words are known.
        class_names: Class → name in the structured caption, in lower case.
        facts: Words in lower case → the fact they state.
        pattern: Matches the words, longest first.
    """

    language: Language | None
    class_names: dict[str, str]
    facts: dict[str, str]
    pattern: re.Pattern[str]

    def find_facts(self, text: str, place_names: Iterable[str] = ()) -> list[FactMatch]:
        """Facts stated by a text, in order; longer words win over shorter ones that they contain.

        Names of places are not read as facts where they follow the language's words for a place.
        """
        for name in place_names:
            text = self._place_pattern(name).sub(lambda match: "\0" * len(match[0]), text)
        text = text.lower()
        return [FactMatch(*match.span(), self.facts[match[0]]) for match in self.pattern.finditer(text)]

    def _place_pattern(self, name: str) -> re.Pattern[str]:
        if self.language is None:
            return re.compile(re.escape(name))
        words = self.language.places
        phrases = [words.render_near(name)]
        phrases += [words.render_distance(name, _KM, direction) for direction in range(len(words.directions))]
        return re.compile("|".join(map(re.escape, phrases)).replace(_KM, r"\d+"), re.IGNORECASE)

    def find_labels(self, text: str, place_names: Iterable[str] = ()) -> set[str]:
        """Classes named in a text."""
        facts = (match.fact for match in self.find_facts(text, place_names))
        return {fact.removeprefix("label:") for fact in facts if fact.startswith("label:")}


def build_lexicon(language: Language | None, taxonomy: Taxonomy, lang: str) -> Lexicon:
    """Collect all words of a language that state facts; without a language file, the taxonomy's names of classes."""
    facts = {words.lower(): fact for _, words, fact in _taxonomy_terms(taxonomy, lang)}
    if language is not None:
        facts = {words.lower(): fact for _, words, fact in _language_terms(language, taxonomy)} | facts
    # Without words the pattern must match nothing; an empty alternative would match everywhere.
    longest_first = "|".join(map(re.escape, sorted(facts, key=len, reverse=True))) or r"(?!)"
    if language is not None:
        names = {key: language.class_name(key, taxonomy).lower() for key in taxonomy.classes}
    else:
        names = {key: entry.name[lang].lower() for key, entry in taxonomy.classes.items() if lang in entry.name}
    return Lexicon(language, names, facts, re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)"))


def ambiguous_words(
    language: Language, taxonomy: Taxonomy, used: Container[str] | None = None
) -> Iterator[tuple[str, str]]:
    """(key, problem) of words that state two different facts.

    Args:
        language: The language.
        taxonomy: The classes.
        used: Facts about subclasses and event types that captions may state; None for all.
    """
    first_use: dict[str, tuple[str, str]] = {}
    for key, words, fact in chain(_taxonomy_terms(taxonomy, language.lang), _language_terms(language, taxonomy)):
        if used is not None and fact.startswith(("finer:", "event_type:")) and fact not in used:
            continue
        first_key, first_fact = first_use.setdefault(words.lower(), (key, fact))
        if words and first_fact != fact:
            yield key, f"{words!r} is also `{first_key}`; give each fact its own words"


def _taxonomy_terms(taxonomy: Taxonomy, lang: str) -> Iterator[tuple[str, str, str]]:
    """(key, words, fact) of the classes of a taxonomy."""
    for key, entry in taxonomy.classes.items():
        for form, translations in (("name", entry.name), ("phrase", entry.phrase)):
            if lang in translations:
                yield f"{taxonomy.name}: classes.{key}.{form}", translations[lang], f"label:{key}"


def _language_terms(language: Language, taxonomy: Taxonomy) -> Iterator[tuple[str, str, str]]:
    """(key, words, fact) of a language file."""
    for key, event in language.events.items():
        yield f"events.{key}.noun", event.noun, f"event_type:{key}"
    for key, words in language.subclasses.items():
        yield f"subclasses.{key}", words, f"finer:{key}"
    for key, entry in language.classes.items():
        if key in taxonomy.classes:
            forms = (("name", entry.name), ("phrase", entry.phrase), ("of", entry.of), ("word", entry.word))
            yield from ((f"classes.{key}.{form}", text, f"label:{key}") for form, text in forms if text)
    yield from ((f"sensors.{key}", words, f"sensor:{key}") for key, words in language.sensors.items())
    yield from ((f"seasons.{key}", words, f"season:{key}") for key, words in language.seasons.items())
