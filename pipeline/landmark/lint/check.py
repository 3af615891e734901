"""Every mistake of a file of `taxonomies/`, not only the first one, which is all a build needs to refuse it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from landmark.captions.language import Language
from landmark.core.errors import InputError, UnknownName
from landmark.core.yaml_files import Model, find, known, load, parse, whole
from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import Crosswalk, Taxonomy, led_elsewhere
from landmark.domain.vocabulary import Notations
from landmark.events.source import EventSource
from landmark.lint.sources import of_crosswalk
from landmark.lint.targets import Said, of_event_types, of_notations, of_taxonomy
from landmark.lint.words import of_event_source, of_language

_KIND = "taxonomies"
_KINDS = (_KIND, "taxonomies/events", "taxonomies/captions")
_TYPES = "events/types"
_BETWEEN_KEYS = ("(top level)", "classes")
_WRONG = object()


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a file: `said` names the value and the remedy."""

    file: str
    key: str
    said: str

    def __str__(self) -> str:
        return f"{self.file}: `{self.key}`: {self.said}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, what it is in a few words, and its mistakes."""

    file: str
    holds: str
    mistakes: tuple[Mistake, ...]


def check(names: Sequence[str] = ()) -> list[Checked]:
    """The named files, or all that are shipped, each with all its mistakes.

    Raises:
        UnknownName: a named file does not exist.
    """
    shipped = [f"{kind}/{name}".removeprefix(f"{_KIND}/") for kind in _KINDS for name in known(kind)]
    return [_checked(find(_KIND, name)) for name in names or shipped]


def _checked(path: Path) -> Checked:
    try:
        value = _whole(path)
    except InputError as error:
        return Checked(str(path), "unreadable", tuple(_of_lines(path, error)))
    model = _model_of(value)
    if model is None:
        said = (
            "neither classes of a source (`target`), target classes, notations or a source of events, nor a language;"
            " see docs/taxonomies.md"
        )
        return Checked(str(path), "nothing known", (Mistake(str(path), "(top level)", said),))
    try:
        value, instead = (led_elsewhere(value) if model is Crosswalk else value), list[Mistake]()
    except ValueError as error:
        instead = [Mistake(str(path), "instead", f"{error}; give codes of that file")]
        value = {key: said for key, said in value.items() if key != "instead"}
    sound = _sound(model, value)
    shape, sense = _shape(model, value, path), list(_sense(sound, path))
    known_keys = {mistake.key for mistake in shape}
    # The model tells the first breach of a rule between keys; here all are told, each under its own key.
    shape = [one for one in shape if not (sense and one.key in _BETWEEN_KEYS)]
    found = [*instead, *shape, *(one for one in sense if one.key not in known_keys)]
    return Checked(str(path), _holds(sound), tuple(dict.fromkeys(found)))


def _whole(path: Path) -> dict[str, Any]:
    """The keys of a file; what it `extends` is looked for among files of every kind."""
    for kind in _KINDS[1:]:
        try:
            return whole(kind, path)
        except UnknownName:
            continue
    return whole(_KIND, path)


def _model_of(value: dict[str, Any]) -> type[BaseModel] | None:
    if "types" in value:
        return EventTypes
    if "event_types" in value:
        return Notations
    if "lang" in value:
        return Language
    if {"ems", "vectors"} & value.keys():
        return EventSource
    if {"target", "licence", "asset"} & value.keys():
        return Crosswalk
    return Taxonomy if "classes" in value else None


def _shape(model: type[BaseModel], value: dict[str, Any], path: Path) -> list[Mistake]:
    """What the model refuses of each key by itself."""
    try:
        parse(model, value, path)
    except InputError as error:
        return list(_of_lines(path, error))
    return []


def _of_lines(path: Path, error: InputError) -> Iterator[Mistake]:
    for line in str(error).splitlines():
        said = line.removeprefix(f"{path}:").strip()
        key = re.search(r"`([^`]+)`", said)
        text = said.removeprefix(f"`{key[1]}`:").strip() if key else said
        yield Mistake(str(path), key[1] if key else "(top level)", text)


def _sound(model: type[BaseModel], value: dict[str, Any]) -> Any:
    """The model of what is right by itself, however little: wrong keys are left out, and no rule between keys holds."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        key = field.alias or name
        if key in value and (valid := _valid(kind, value[key])) is not _WRONG:
            fields[name] = valid
        elif field.is_required():
            fields[name] = {} if get_origin(kind) is dict else ""
    return model.model_construct(**fields)


def _valid(kind: Any, value: Any) -> Any:
    if get_origin(kind) is dict and isinstance(value, dict):
        of_key, of_value = get_args(kind)
        entries = ((_valid(of_key, key), _valid(of_value, one)) for key, one in value.items())
        return {key: one for key, one in entries if key is not _WRONG and one is not _WRONG}
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
        return _sound(kind, value)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return _WRONG


def _sense(sound: Any, path: Path) -> Iterator[Mistake]:
    """What only several keys, or several files, can show."""
    for key, said in _said(sound, path):
        yield Mistake(str(path), key, said)


def _said(sound: Any, path: Path) -> Iterable[Said]:
    if isinstance(sound, Taxonomy):
        return of_taxonomy(sound)
    if isinstance(sound, EventTypes):
        return of_event_types(sound, load(Taxonomy, _KIND, "landmark"))
    types = load(EventTypes, _KIND, _TYPES)
    if isinstance(sound, Language):
        return of_language(sound, load(Taxonomy, _KIND, "landmark"), types)
    if isinstance(sound, EventSource):
        return of_event_source(sound, types, stem=path.stem)
    target = _beside(Taxonomy, sound.target, path)
    if target is None:
        return [("target", f"there is no taxonomy {sound.target!r}; name one of taxonomies/, as landmark")]
    if isinstance(sound, Notations):
        return of_notations(sound, types, target)
    finer = _beside(Crosswalk, sound.merge_of, path) if sound.merge_of else None
    return of_crosswalk(sound, target, finer, stem=path.stem)


def _beside(model: type[Model], name: str, path: Path) -> Model | None:
    """A file by its name, in the same folder or among the shipped ones."""
    for place in (str(path.parent / f"{name}.yaml"), name):
        try:
            return load(model, _KIND, place)
        except (UnknownName, InputError):
            continue
    return None


def _holds(sound: Any) -> str:
    if isinstance(sound, Crosswalk):
        dropped = sum(entry.drop is not None for entry in sound.classes.values())
        return f"{len(sound.classes)} classes, {len(sound.classes) - dropped} into {sound.target}, {dropped} dropped"
    if isinstance(sound, Taxonomy):
        return f"{len(sound.classes)} target classes in {', '.join(sound.languages)}"
    if isinstance(sound, Language):
        return f"{len(sound.events)} types of events and {len(sound.finer)} finer classes in {sound.name}"
    if isinstance(sound, EventSource):
        return f"events of {sound.title}"
    if isinstance(sound, Notations):
        words = len(sound.event_types) + len(sound.kinds) + len(sound.notations)
        return f"{words} words for events, {len(sound.gradings)} grades of damage"
    return f"{len(sound.types)} types of events"
