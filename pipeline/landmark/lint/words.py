"""What can be wrong in the words of a language, and in how a source of events is read."""

from collections.abc import Iterator
from itertools import chain

from landmark.captions.language import Language
from landmark.captions.parse import said_twice
from landmark.core.yaml_files import known
from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import Taxonomy
from landmark.events.source import EventSource
from landmark.lint.targets import Said


def of_language(language: Language, taxonomy: Taxonomy, types: EventTypes) -> Iterator[Said]:
    """The mistakes of a file of captions: it says every class and type of event, each in words of its own."""
    yield from chain(language.lacking((), taxonomy, types.types), said_twice(language, taxonomy))


def of_event_source(source: EventSource, types: EventTypes, *, stem: str) -> Iterator[Said]:
    """The mistakes of a source of events; `stem`: its file's name."""
    if source.name != stem:
        yield "name", f"{source.name!r} is not the file's name {stem!r}, by which recipes know it; make them the same"
    for key in ("title", "licence", "attribution"):
        if not str(getattr(source, key)).strip():
            yield key, "is empty; say it"
    if source.ems is not None and source.ems.words not in known("taxonomies"):
        yield "ems.words", f"there is no file {source.ems.words!r} in taxonomies/; name one, as ems"
    if source.vectors is not None:
        type_ = source.vectors.type
        meant = {"vectors.type": type_} if isinstance(type_, str) else _values(type_.values)
        for key, kind in meant.items():
            if kind not in types.types:
                yield key, f"{kind!r} is no type of event; taxonomies/events/types.yaml has {', '.join(types.types)}"


def _values(values: dict[str, str]) -> dict[str, str]:
    return {f"vectors.type.values.{word}": kind for word, kind in values.items()}
