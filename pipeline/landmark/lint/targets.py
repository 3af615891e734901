"""What can be wrong in the files that say what captions mean: target classes, types of events, notations."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import Taxonomy, plain
from landmark.domain.vocabulary import Notations
from landmark.domain.vocabulary import plain as notated

# (key, what is wrong with the value and what to do)
Said = tuple[str, str]


def of_taxonomy(taxonomy: Taxonomy) -> Iterator[Said]:
    """The mistakes of a file of target classes."""
    if "en" not in taxonomy.languages:
        yield "languages", f"{list(taxonomy.languages)} lacks en: structured captions are English; add it"
    for key, said in _named(taxonomy):
        yield from _complete(key, said, taxonomy.languages)
    for key, entry in taxonomy.classes.items():
        if not entry.definition.strip():
            yield f"classes.{key}.definition", "is empty; say what belongs to the class"
        if entry.synonyms:
            yield from _complete(f"classes.{key}.synonyms", entry.synonyms, taxonomy.languages)
    yield from twice((f"classes.{key}.colour", entry.colour) for key, entry in taxonomy.classes.items())
    yield from _one_meaning(taxonomy)
    yield from _parents(taxonomy)


def _named(taxonomy: Taxonomy) -> Iterator[tuple[str, Mapping[str, str]]]:
    for key, entry in taxonomy.classes.items():
        yield f"classes.{key}.name", entry.name
        yield f"classes.{key}.phrase", entry.phrase
    for key, parent in taxonomy.parents.items():
        yield f"parents.{key}.name", parent.name


def _complete(key: str, said: Mapping[str, Collection[str]], languages: Collection[str]) -> Iterator[Said]:
    """Every language once, and no other."""
    for lang in languages:
        words = said.get(lang, "")
        if not words or not all(word.strip() for word in ([words] if isinstance(words, str) else words)):
            yield f"{key}.{lang}", "is missing; write it, or take the language out of `languages`"
    for lang in said.keys() - set(languages):
        yield (
            f"{key}.{lang}",
            f"{lang!r} is none of the `languages` {', '.join(languages)}; add it there, and everywhere",
        )


def twice(entries: Iterable[tuple[str, str]]) -> Iterator[Said]:
    """Values that stand under two keys."""
    first: dict[str, str] = {}
    for key, value in entries:
        if value and value in first:
            yield key, f"{value!r} is also `{first[value]}`; give each its own"
        first.setdefault(value, key)


def _one_meaning(taxonomy: Taxonomy) -> Iterator[Said]:
    """A word of a language means one class; a class's name and phrase may be one word."""
    for lang in taxonomy.languages:
        owner: dict[str, tuple[str, str]] = {}
        for place, thing, words in _spoken(taxonomy, lang):
            for word in words:
                other, key = owner.setdefault(plain(word), (thing, place))
                if other != thing:
                    yield place, f"{word!r} also means {other} (`{key}`); a word means one class"
                elif key != place and "synonyms" in place:
                    yield place, f"{word!r} already is `{key}`; leave it out"
            if len({plain(word) for word in words}) < len(words):
                yield place, f"a word of {', '.join(words)} stands twice; leave one out"


def _spoken(taxonomy: Taxonomy, lang: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for key, entry in taxonomy.classes.items():
        yield f"classes.{key}.name.{lang}", key, (entry.name.get(lang, key),)
        yield f"classes.{key}.phrase.{lang}", key, (entry.phrase.get(lang, key),)
    for key, parent in taxonomy.parents.items():
        yield f"parents.{key}.name.{lang}", key, (parent.name.get(lang, key),)
    for key, entry in taxonomy.classes.items():
        yield f"classes.{key}.synonyms.{lang}", key, entry.synonyms.get(lang, ())


def _parents(taxonomy: Taxonomy) -> Iterator[Said]:
    things = {f"classes.{key}": entry.parent for key, entry in taxonomy.classes.items()}
    things |= {f"parents.{key}": entry.parent for key, entry in taxonomy.parents.items()}
    for key, parent in things.items():
        if parent is not None and parent not in taxonomy.parents:
            yield f"{key}.parent", f"{parent!r} is not among `parents`: {', '.join(taxonomy.parents) or 'none'}; add it"
    for key in taxonomy.parents:
        if _returns(taxonomy, key):
            yield f"parents.{key}.parent", f"{key!r} is its own ancestor; cut the circle"
        if key not in things.values():
            yield f"parents.{key}", "is the parent of nothing; take it out"
        if key in taxonomy.classes:
            yield f"parents.{key}", "is a class as well; give it another key"


def _returns(taxonomy: Taxonomy, key: str) -> bool:
    seen, parent = set[str](), taxonomy.parents[key].parent
    while parent in taxonomy.parents and parent not in seen:
        seen.add(parent)
        parent = taxonomy.parents[parent].parent
    return key in seen


def of_event_types(types: EventTypes, taxonomy: Taxonomy) -> Iterator[Said]:
    """The mistakes of the file of types of events."""
    for key, entry in types.types.items():
        yield from _crisis(f"types.{key}.to", entry.to, taxonomy)
        yield from _complete(f"types.{key}.name", entry.name, taxonomy.languages)
        for name in ("minus", "looks_like"):
            for cover in getattr(entry, name):
                if cover not in taxonomy.classes or taxonomy.classes[cover].event:
                    said = f"{cover!r} is no land cover of {taxonomy.name}; name one of its classes"
                    yield f"types.{key}.{name}", said
        if not entry.says:
            yield f"types.{key}.says", "is empty, so that no image ever carries the class; name a phase"


def of_notations(notations: Notations, types: EventTypes, taxonomy: Taxonomy) -> Iterator[Said]:
    """The mistakes of a file of notations."""
    for table in ("event_types", "kinds", "notations"):
        for word, meant in getattr(notations, table).items():
            if isinstance(meant, str) and meant not in types.types:
                yield (
                    f"{table}.{word}",
                    f"{meant!r} is no type of event; taxonomies/events/types.yaml has {_of(types.types)}",
                )
    for word, grade in notations.gradings.items():
        if grade.to is not None:
            yield from _crisis(f"gradings.{word}.to", grade.to, taxonomy)
    leads: dict[str, str | None] = {}
    for word, grade in notations.gradings.items():
        if grade.key and leads.setdefault(grade.key, grade.to) != grade.to:
            yield f"gradings.{word}", f"grade {grade.key!r} leads to {leads[grade.key]} elsewhere; lead it to one class"
    for table in ("event_types", "kinds", "notations", "gradings"):
        yield from twice((f"{table}.{word}", notated(word)) for word in getattr(notations, table))


def _crisis(key: str, target: str, taxonomy: Taxonomy) -> Iterator[Said]:
    if target not in taxonomy.classes:
        yield key, f"{taxonomy.name} has no class {target!r}; it has {_of(taxonomy.classes)}"
    elif not taxonomy.classes[target].event:
        yield key, f"{target!r} is land cover, which no event gives; name a class with `event: true`"


def _of(names: Collection[str]) -> str:
    return ", ".join(names)
