"""Search queries in the words that a model was trained on."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from landmark.domain.taxonomy import Taxonomy

# Between the words of a phrase; and an article that is elided before it, as in "l'eau".
_SEPARATOR, _ELIDED = r"[\s'\u2019-]+", r"(?:\w{1,2}['\u2019])?"


def canonical_queries(texts: Sequence[str], taxonomy: Taxonomy, lang: str = "en") -> list[str]:
    """Replace names, phrases and synonyms of classes, in any language of the taxonomy, by the names in one language.

    Names are in lower case, as in structured captions. Only entire words match, whatever their case and accents, and
    the longest phrase wins. All other words stay, so that a text without a match is unchanged.

    Args:
        texts: Queries.
        taxonomy: Classes of the corpus.
        lang: Language of the captions that the model was trained on.
    """
    names = _names_by_phrase(taxonomy, lang)
    if not names:
        return list(texts)
    longest_first = sorted(names, key=lambda words: (-len(" ".join(words)), words))
    phrases = "|".join(_SEPARATOR.join(map(re.escape, words)) for words in longest_first)
    pattern = re.compile(rf"(?<![\w-]){_ELIDED}({phrases})(?![\w-])")
    return [_replace(text, pattern, names) for text in texts]


def _replace(text: str, pattern: re.Pattern[str], names: Mapping[tuple[str, ...], str]) -> str:
    composed = unicodedata.normalize("NFC", text)
    folded, origins = _fold(composed)
    parts, end = list[str](), 0
    for match in pattern.finditer(folded):
        parts += [composed[end : origins[match.start()]], names[_split(match[1])]]
        end = origins[match.end() - 1] + 1
    return "".join([*parts, composed[end:]]) if parts else text


def _names_by_phrase(taxonomy: Taxonomy, lang: str) -> dict[tuple[str, ...], str]:
    """Words of each phrase, folded → name of its class. Of two, that with the name in `lang`, then a name."""
    classes = [entry for entry in taxonomy.classes.values() if lang in entry.name]
    phrases = [(entry.name[lang], entry) for entry in classes]
    phrases += [(phrase, entry) for entry in classes for phrase in entry.name.values()]
    phrases += [(phrase, entry) for entry in classes for phrase in entry.phrase.values()]
    phrases += [(phrase, entry) for entry in classes for words in entry.synonyms.values() for phrase in words]
    names: dict[tuple[str, ...], str] = {}
    for phrase, entry in phrases:
        names.setdefault(_split(_fold(unicodedata.normalize("NFC", phrase))[0]), entry.name[lang].lower())
    return names


def _split(folded: str) -> tuple[str, ...]:
    return tuple(re.split(_SEPARATOR, folded))


def _fold(text: str) -> tuple[str, list[int]]:
    """The text without case and accents, and for each of its characters the place of its origin in the text."""
    folded, origins = list[str](), list[int]()
    for place, character in enumerate(text):
        letters = [part for part in unicodedata.normalize("NFD", character) if not unicodedata.combining(part)]
        base = "".join(letters).casefold()
        folded.append(base)
        origins += [place] * len(base)
    return "".join(folded), origins
