"""Report all problems of files of `taxonomies/`; loading one raises only the first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from landmark.captions.language import Language
from landmark.captions.parse import ambiguous_words
from landmark.core.errors import InputError, LandmarkError, UnknownName
from landmark.core.plural import plural
from landmark.core.resources import available, find_resource
from landmark.core.yaml_files import Model, load_extended, load_model, parse_model
from landmark.domain.event import EventTypes
from landmark.domain.taxonomy import Crosswalk, Taxonomy, apply_remap
from landmark.domain.traits import Trait
from landmark.domain.vocabulary import Vocabulary
from landmark.events.source import EventSource, source_problems
from landmark.lint.crosswalks import lint_crosswalk
from landmark.lint.taxonomies import lint_event_types, lint_taxonomy, lint_vocabulary

_KIND = "taxonomies"
_KINDS = (_KIND, "taxonomies/crosswalks", "taxonomies/events", "taxonomies/captions")
# Checks of `landmark check` that compare classes with pixels.
TRAIT_CHECKS = ("water-index", "vegetation-index", "drift")
_INVALID = object()


@dataclass(frozen=True, slots=True)
class LintResult:
    """Problems of a file, what it lacks without being wrong, and a summary of its contents."""

    file: str
    summary: str
    problems: tuple[LandmarkError, ...]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        names = ("key", "value", "problem", "remedy")
        problems = [{name: getattr(problem, name) for name in names} for problem in self.problems]
        return {"file": self.file, "summary": self.summary, "problems": problems, "warnings": list(self.warnings)}


def lint(names: Sequence[str] = ()) -> list[LintResult]:
    """Check files by name or path, or else all shipped files.

    Raises:
        UnknownName: there is no such file.
    """
    shipped = [f"{kind}/{name}".removeprefix(f"{_KIND}/") for kind in _KINDS for name in available(kind)]
    return [_lint_file(find_resource(_KIND, name)) for name in names or shipped]


def _lint_file(path: Path) -> LintResult:
    file = str(path)
    try:
        keys = _load_extended(path)
    except InputError as error:
        return LintResult(file, "unreadable", _separate(error))
    model = _model_of(keys)
    if model is None:
        problem = InputError("not a file of taxonomies/", file=file, remedy="see docs/lint.md for the kinds of files")
        return LintResult(file, "unknown kind of file", (problem,))
    problems = list(_model_problems(model, keys, path))
    if any((problem.key or "").startswith("remap.") for problem in problems):
        keys = {key: value for key, value in keys.items() if key != "remap"}
        problems += _model_problems(model, keys, path)
    partial = _partial(model, apply_remap(keys) if model is Crosswalk else keys)
    reported = {problem.key for problem in problems}
    # A problem of a key's own value hides others of that key.
    for problem in _content_problems(partial, path):
        if problem.key not in reported:
            problem.file = file
            problems.append(problem)
    return LintResult(file, _summary(partial), tuple(problems), tuple(_warnings(partial)))


def _load_extended(path: Path) -> dict[str, Any]:
    """Keys of a file, including those of the file of any kind that it extends."""
    for kind in _KINDS[1:]:
        try:
            return load_extended(kind, path)
        except UnknownName:
            continue
    return load_extended(_KIND, path)


def _model_of(keys: dict[str, Any]) -> type[BaseModel] | None:
    if "types" in keys:
        return EventTypes
    if "event_types" in keys:
        return Vocabulary
    if "lang" in keys:
        return Language
    if {"ems", "vectors", "masks"} & keys.keys():
        return EventSource
    if {"target", "licence", "asset"} & keys.keys():
        return Crosswalk
    return Taxonomy if "classes" in keys else None


def _model_problems(model: type[BaseModel], keys: dict[str, Any], path: Path) -> tuple[LandmarkError, ...]:
    try:
        parse_model(model, keys, path)
    except InputError as error:
        return _separate(error)
    return ()


def _separate(error: LandmarkError) -> tuple[LandmarkError, ...]:
    """The problems of an error; the first, which is the error itself, without the others."""
    problems = error.problems
    error.problems = (error,)
    return problems


def _partial(model: type[BaseModel], keys: dict[str, Any]) -> Any:
    """A model of the valid keys alone, without its validators, so that one mistake does not hide others."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        type_: Any = field.annotation
        key = field.alias or name
        if key in keys and (value := _valid(type_, keys[key])) is not _INVALID:
            fields[name] = value
        elif field.is_required():
            fields[name] = {} if get_origin(type_) is dict else ""
    return model.model_construct(**fields)


def _valid(type_: Any, value: Any) -> Any:
    """A value parsed as a type; of a dict or model its valid parts, of anything else `_INVALID` if it is not valid."""
    if get_origin(type_) is dict and isinstance(value, dict):
        key_type, value_type = get_args(type_)
        items = ((_valid(key_type, key), _valid(value_type, item)) for key, item in value.items())
        return {key: item for key, item in items if key is not _INVALID and item is not _INVALID}
    if isinstance(type_, type) and issubclass(type_, BaseModel) and isinstance(value, dict):
        return _partial(type_, value)
    try:
        return TypeAdapter(type_).validate_python(value)
    except ValidationError:
        return _INVALID


def _content_problems(content: Any, path: Path) -> Iterable[InputError]:
    """Problems that only several keys or files show."""
    if isinstance(content, Taxonomy):
        return lint_taxonomy(content)
    if isinstance(content, EventTypes):
        return lint_event_types(content, load_model(Taxonomy, _KIND, "landmark"), file=str(path))
    types = load_model(EventTypes, "taxonomies/events", "types")
    if isinstance(content, Language):
        return _language_problems(content, load_model(Taxonomy, _KIND, "landmark"), types)
    if isinstance(content, EventSource):
        return source_problems(content, types, stem=path.stem)
    taxonomy = _load_neighbour(Taxonomy, content.target, path)
    if taxonomy is None:
        remedy = "name a taxonomy of taxonomies/, as landmark"
        return [InputError("no such taxonomy", key="target", value=content.target, remedy=remedy)]
    if isinstance(content, Vocabulary):
        return lint_vocabulary(content, types, taxonomy)
    detailed = _load_neighbour(Crosswalk, content.merge_of, path, taxonomy.name) if content.merge_of else None
    problems = lint_crosswalk(content, taxonomy, detailed, file=str(path), stem=path.stem)
    return chain(problems, _prefixed(lint_taxonomy(content.as_target))) if content.as_target else problems


def _prefixed(problems: Iterable[InputError]) -> Iterator[InputError]:
    for problem in problems:
        problem.key = f"as_target.{problem.key}"
        yield problem


def _warnings(content: Any) -> Iterator[str]:
    """What a taxonomy's corpora are not checked for."""
    taxonomy = getattr(content, "as_target", content)
    if isinstance(taxonomy, Taxonomy) and not taxonomy.has_traits:
        names, traits = ", ".join(TRAIT_CHECKS), ", ".join(Trait)
        yield f"no class has `traits`, so that `landmark check` skips {names}; add them ({traits})"


def _language_problems(language: Language, taxonomy: Taxonomy, types: EventTypes) -> Iterator[InputError]:
    for key, problem in chain(language.find_missing((), taxonomy, types.types), ambiguous_words(language, taxonomy)):
        yield InputError(problem, key=key)


def _load_neighbour(model: type[Model], name: str, path: Path, target: str = "") -> Model | None:
    """A file by name, from the same folder or else the shipped ones; None if there is no valid one.

    Args:
        model: Kind of file.
        name: Name of the file.
        path: Another file of the folder.
        target: Taxonomy to which a crosswalk is wanted, if that is another than its own file's.
    """
    for candidate in (f"crosswalks/{name}-to-{target}", str(path.parent / f"{name}.yaml"), name):
        try:
            return load_model(model, _KIND, candidate)
        except InputError:
            continue
    return None


def _summary(content: Any) -> str:
    if isinstance(content, Crosswalk):
        dropped = sum(entry.drop is not None for entry in content.classes.values())
        mapped = len(content.classes) - dropped
        classes = plural(len(content.classes), "class", "classes")
        return f"{classes}, {mapped} mapped to {content.target}, {dropped} dropped"
    if isinstance(content, Taxonomy):
        return f"{plural(len(content.classes), 'target class', 'target classes')} in {', '.join(content.languages)}"
    if isinstance(content, Language):
        return (
            f"{plural(len(content.events), 'event type')} and"
            f" {plural(len(content.subclasses), 'subclass', 'subclasses')} in {content.name}"
        )
    if isinstance(content, EventSource):
        return f"events of {content.title}"
    if isinstance(content, Vocabulary):
        words = len(content.event_types) + len(content.kinds) + len(content.comments)
        return f"{plural(words, 'word')} of event types, {plural(len(content.gradings), 'grade')} of damage"
    return plural(len(content.types), "event type")
