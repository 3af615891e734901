"""Problems of target classes, event types and vocabularies that loading does not check."""

from collections.abc import Collection, Iterator, Mapping

from landmark.core.errors import InputError
from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import Taxonomy, duplicates, normalize_word
from landmark.domain.vocabulary import Vocabulary, ambiguous_terms
from landmark.labels.label_rules import event_type_problems


def lint_taxonomy(taxonomy: Taxonomy) -> Iterator[InputError]:
    """Problems of a file of target classes."""
    if "en" not in taxonomy.languages:
        problem, value = "lacks en, the language of structured captions", list(taxonomy.languages)
        yield InputError(problem, key="languages", value=value, remedy="add it")
    translations: dict[str, Mapping[str, Collection[str]]] = {}
    for key, entry in taxonomy.classes.items():
        translations |= {f"classes.{key}.name": entry.name, f"classes.{key}.phrase": entry.phrase}
        translations |= {f"classes.{key}.synonyms": entry.synonyms} if entry.synonyms else {}
    translations |= {f"parents.{key}.name": parent.name for key, parent in taxonomy.parents.items()}
    for key, words in translations.items():
        yield from _languages(key, words, taxonomy.languages)
    for key, entry in taxonomy.classes.items():
        if not entry.definition.strip():
            yield InputError("is empty", key=f"classes.{key}.definition", remedy="describe what the class contains")
    yield from duplicates((f"classes.{key}.colour", entry.colour) for key, entry in taxonomy.classes.items())
    for lang in taxonomy.languages:
        yield from _ambiguous_words(taxonomy, lang)
    yield from _parents(taxonomy)


def lint_event_types(types: EventTypes, taxonomy: Taxonomy, *, file: str) -> Iterator[InputError]:
    """Problems of the file of event types."""
    yield from event_type_problems(types, taxonomy, file)
    for key, entry in types.types.items():
        yield from _languages(f"types.{key}.name", entry.name, taxonomy.languages)
        if not entry.mentionable_phases:
            problem = "is empty, so that no image carries the class"
            yield InputError(problem, key=f"types.{key}.mentionable_phases", remedy="name a phase")


def lint_vocabulary(vocabulary: Vocabulary, types: EventTypes, taxonomy: Taxonomy) -> Iterator[InputError]:
    """Problems of a vocabulary."""
    yield from ambiguous_terms(vocabulary)
    for table in ("event_types", "kinds", "comments"):
        for word, target in getattr(vocabulary, table).items():
            if isinstance(target, str) and target not in types.types:
                remedy = f"name one of taxonomies/events/types.yaml: {', '.join(types.types)}"
                yield InputError("unknown event type", key=f"{table}.{word}", value=target, remedy=remedy)
    classes: dict[str, str | None] = {}
    for word, grade in vocabulary.gradings.items():
        if grade.to is not None and (grade.to not in taxonomy.classes or not taxonomy.classes[grade.to].event):
            names = ", ".join(key for key, entry in taxonomy.classes.items() if entry.event)
            key, remedy = f"gradings.{word}.to", f"use an event class of {taxonomy.name}: {names}"
            yield InputError("not an event class", key=key, value=grade.to, remedy=remedy)
        if grade.key and classes.setdefault(grade.key, grade.to) != grade.to:
            problem = f"the grade gives another class elsewhere: {classes[grade.key]}"
            yield InputError(problem, key=f"gradings.{word}", value=grade.key, remedy="give it one class")


def _languages(key: str, words: Mapping[str, Collection[str]], languages: Collection[str]) -> Iterator[InputError]:
    """Translations that are missing or empty, or of another language."""
    for lang in languages:
        value = words.get(lang, "")
        if not value or not all(word.strip() for word in ([value] if isinstance(value, str) else value)):
            yield InputError(
                "is missing", key=f"{key}.{lang}", remedy="add it, or remove the language from `languages`"
            )
    for lang in sorted(words.keys() - set(languages)):
        remedy = f"use {', '.join(languages)}, or add it to `languages`"
        yield InputError("not one of `languages`", key=f"{key}.{lang}", value=lang, remedy=remedy)


def _ambiguous_words(taxonomy: Taxonomy, lang: str) -> Iterator[InputError]:
    """Words of two classes, and synonyms that repeat a word of their class."""
    owners: dict[str, tuple[str, str]] = {}
    for path, key, words in _words(taxonomy, lang):
        for word in words:
            owner, first = owners.setdefault(normalize_word(word), (key, path))
            if owner != key:
                problem = f"is also a word of {owner}, at `{first}`"
                yield InputError(problem, key=path, value=word, remedy="use a word for one class")
            elif first != path and "synonyms" in path:
                yield InputError(f"repeats `{first}`", key=path, value=word, remedy="remove it")
        if len({normalize_word(word) for word in words}) < len(words):
            yield InputError("has a duplicate word", key=path, value=list(words), remedy="remove it")


def _words(taxonomy: Taxonomy, lang: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(key path, class or parent, its words); synonyms last, so that they are the ones reported."""
    for key, entry in taxonomy.classes.items():
        yield f"classes.{key}.name.{lang}", key, (entry.name.get(lang, key),)
        yield f"classes.{key}.phrase.{lang}", key, (entry.phrase.get(lang, key),)
    for key, parent in taxonomy.parents.items():
        yield f"parents.{key}.name.{lang}", key, (parent.name.get(lang, key),)
    for key, entry in taxonomy.classes.items():
        yield f"classes.{key}.synonyms.{lang}", key, entry.synonyms.get(lang, ())


def _parents(taxonomy: Taxonomy) -> Iterator[InputError]:
    parents = {f"classes.{key}": entry.parent for key, entry in taxonomy.classes.items()}
    parents |= {f"parents.{key}": entry.parent for key, entry in taxonomy.parents.items()}
    for path, parent in parents.items():
        if parent is not None and parent not in taxonomy.parents:
            remedy = f"add it to `parents` ({', '.join(taxonomy.parents) or 'none'})"
            yield InputError("no such parent", key=f"{path}.parent", value=parent, remedy=remedy)
    cyclic, used = _cyclic_parents(taxonomy), set(parents.values())
    for key in taxonomy.parents:
        if key in cyclic:
            yield InputError("is its own ancestor", key=f"parents.{key}.parent", value=key, remedy="break the cycle")
        if key not in used:
            yield InputError("is the parent of nothing", key=f"parents.{key}", value=key, remedy="remove it")
        if key in taxonomy.classes:
            yield InputError("is also a class", key=f"parents.{key}", value=key, remedy="use another key")


def _cyclic_parents(taxonomy: Taxonomy) -> set[str]:
    """Parents that are their own ancestors."""
    cyclic, visited = set[str](), set[str]()
    for first in taxonomy.parents:
        path: dict[str, int] = {}
        key: str | None = first
        while key in taxonomy.parents and key not in visited and key not in path:
            path[key] = len(path)
            key = taxonomy.parents[key].parent
        if key in path:
            cyclic.update(list(path)[path[key] :])
        visited.update(path)
    return cyclic
