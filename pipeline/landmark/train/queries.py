"""Search queries in the words that a model was trained on."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from landmark.domain.taxonomy import Taxonomy

# Between the words of a phrase; and an article that is elided before it, as in "l'eau".
_SEPARATOR, _ELIDED = r"[\s'\u2019-]+", r"(?:\w{1,2}['\u2019])?"


def canonical_queries(
    texts: Sequence[str], taxonomy: Taxonomy, lang: str = "en", style: str = "structured"
) -> list[str]:
    """Replace names, phrases and synonyms of classes, in any language of the taxonomy, by the words of the captions.

    Those are names in lower case in structured captions, and phrases in all others. Only entire words match, whatever
    their case and accents, and the longest phrase wins. All other words stay, so that a text without a match is
    unchanged.

    Args:
        texts: Queries.
        taxonomy: Classes of the corpus.
        lang: Language of the captions that the model was trained on.
        style: Their style.
    """
    words = _words_by_phrase(taxonomy, lang, structured=style == "structured")
    if not words:
        return list(texts)
    longest_first = sorted(words, key=lambda part: (-len(" ".join(part)), part))
    phrases = "|".join(_SEPARATOR.join(map(re.escape, part)) for part in longest_first)
    pattern = re.compile(rf"(?<![\w-]){_ELIDED}({phrases})(?![\w-])")
    return [_replace(text, pattern, words) for text in texts]


def _replace(text: str, pattern: re.Pattern[str], words: Mapping[tuple[str, ...], str]) -> str:
    composed = unicodedata.normalize("NFC", text)
    folded, origins = _fold(composed)
    parts, end = list[str](), 0
    for match in pattern.finditer(folded):
        parts += [composed[end : origins[match.start()]], words[_split(match[1])]]
        end = origins[match.end() - 1] + 1
    return "".join([*parts, composed[end:]]) if parts else text


def _words_by_phrase(taxonomy: Taxonomy, lang: str, *, structured: bool) -> dict[tuple[str, ...], str]:
    """Words of each phrase, folded → words of its class. Of two, that with the name in `lang`, then a name."""
    classes = [entry for entry in taxonomy.classes.values() if lang in entry.name]
    phrases = [(entry.name[lang], entry) for entry in classes]
    phrases += [(phrase, entry) for entry in classes for phrase in entry.name.values()]
    phrases += [(phrase, entry) for entry in classes for phrase in entry.phrase.values()]
    phrases += [(phrase, entry) for entry in classes for part in entry.synonyms.values() for phrase in part]
    words: dict[tuple[str, ...], str] = {}
    for phrase, entry in phrases:
        name = entry.name[lang].lower()
        replacement = name if structured else entry.phrase.get(lang, name)
        words.setdefault(_split(_fold(unicodedata.normalize("NFC", phrase))[0]), replacement)
    return words


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
