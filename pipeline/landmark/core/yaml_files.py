"""Find, read and validate the YAML files people write: recipes, taxonomies, profiles."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from landmark.core.errors import InputError, UnknownName
from landmark.core.limits import DEPTH, PRINTED_PROBLEMS, YAML_BYTES, check_file_size
from landmark.core.resources import available, find_resource
from landmark.core.yaml_text import parse_yaml

# Of pydantic's types of errors that name types of Python.
_PROBLEMS = {
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "model_type"), "must be a mapping"),
}

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A frozen model that rejects unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        InputError: the file is unreadable, malformed (with line and column), or not a mapping.
    """
    try:
        check_file_size(path, YAML_BYTES)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", file=path) from error
    value = parse_yaml(text, path)
    if not isinstance(value, dict):
        raise InputError(f"must be a mapping, not {type(value).__name__}", file=path)
    return value


def parse_model(model: type[Model], value: dict[str, Any], source: Path | str, *, strict: bool = False) -> Model:
    """Validate a mapping as a model.

    Args:
        model: The pydantic model.
        value: Keys and values.
        source: File named in errors.
        strict: Accept JSON types as they are, without conversion: for files that landmark wrote.

    Raises:
        InputError: invalid; `problems` has one error per mistake, each with key, value and remedy.
    """
    try:
        return model.model_validate_json(json.dumps(value), strict=True) if strict else model.model_validate(value)
    except ValidationError as error:
        mistakes: list[Any] = error.errors(include_url=False)
        locations: list[tuple[Any, ...]] = [mistake["loc"] for mistake in mistakes]
        outer = {location[:size] for location in locations for size in range(len(location))}
        # One error per list: invalid items would also be reported one by one, and the list as too short.
        innermost = [mistake for mistake in mistakes if mistake["loc"] not in outer]
        first = {_list_location(mistake): mistake for mistake in reversed(innermost)}
        reported = [mistake for mistake in innermost if mistake is first[_list_location(mistake)]]
        problems = [_input_error(model, mistake, source) for mistake in reported[:PRINTED_PROBLEMS]]
        if (rest := len(reported) - len(problems)) > 0:
            problems.append(InputError(f"{rest} more mistakes", file=source))
        raise InputError.combined(problems) from error


def load_model(model: type[Model], kind: str, name: str) -> Model:
    """Find, read and validate a resource; its keys override those of the file it `extends`."""
    path = find_resource(kind, name)
    return parse_model(model, load_extended(kind, path), path)


@dataclass(frozen=True, slots=True)
class Resources:
    """Named files of a kind, with models that replace files which are neither shipped nor given by path.

    Attributes:
        embedded: Models by (kind, name), as a sealed corpus holds them.
        prefer_embedded: Whether they replace shipped files, too.
    """

    embedded: Mapping[tuple[str, str], BaseModel] = field(default_factory=dict)
    prefer_embedded: bool = False

    def load(self, model: type[Model], kind: str, name: str) -> Model:
        """Load a model by name or path; an embedded one where no file is shipped under the name."""
        embedded = self._embedded(kind, name)
        return embedded if isinstance(embedded, model) else load_model(model, kind, name)

    def source(self, kind: str, name: str) -> str:
        """The file of a name, for error messages."""
        return "corpus.json" if self._embedded(kind, name) is not None else str(find_resource(kind, name))

    def _embedded(self, kind: str, name: str) -> BaseModel | None:
        shipped = not self.prefer_embedded and name in available(kind)
        return None if shipped else self.embedded.get((kind, name))


def load_extended(kind: str, path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Keys of a file, merged over those of the file it `extends`, at every level.

    Args:
        kind: Folder in which a name after `extends` is looked up.
        path: The file.
        extended_by: Files that extend this one, for cycle detection.

    Raises:
        InputError: a file is unreadable, or extends itself through others.
    """
    value = read_yaml(path)
    base = value.pop("extends", None)
    if base is None:
        return value
    if not isinstance(base, str):
        raise InputError("must be the name or the path of one file", file=path, key="extends", value=base)
    try:
        base_path = find_resource(kind, str(path.parent / base) if base.endswith((".yaml", ".yml")) else base)
    except UnknownName as error:
        raise UnknownName(error.problem, file=path, key="extends", value=base, remedy=error.remedy) from error
    extended_by = (*extended_by, path.resolve())
    if len(extended_by) > DEPTH:
        raise InputError(f"more than {DEPTH} files extend one another", file=path, key="extends", value=base)
    if base_path.resolve() in extended_by:
        raise InputError("the file extends this one in turn", file=path, key="extends", value=base)
    return _merge(load_extended(kind, base_path, extended_by), value)


def _merge(base: Mapping[Any, Any], changes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Merge mappings at every level. None removes a key; lists and all other values replace the base's."""
    merged = {key: value for key, value in base.items() if key not in changes}
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        if value is not None:
            merged[key] = _merge(base[key], value) if nested else value
    return merged


def _input_error(model: type[BaseModel], mistake: dict[str, Any], source: Path | str) -> InputError:
    """A pydantic error as an `InputError` whose key is the error's `loc`."""
    location, original = [str(part) for part in mistake["loc"]], mistake["input"]
    value = None if isinstance(original, dict | BaseModel) else original
    if mistake["type"] == "extra_forbidden":
        close = difflib.get_close_matches(location[-1], _keys(model, location[:-1]), n=1)
        remedy = f"did you mean `{close[0]}`?" if close else None
        return InputError("unknown key", file=source, key=".".join(location), remedy=remedy)
    if mistake["type"] == "missing" and location[-1].isdigit():
        problem = f"item {int(location[-1]) + 1} is missing"
        return InputError(problem, file=source, key=".".join(location[:-1]), value=list(original))
    if mistake["type"] == "missing":
        return InputError("key is missing", file=source, key=".".join(location))
    if mistake["type"] == "invalid":
        context = mistake["ctx"]
        location += [context["key"]] if context["key"] else []
        value = value if context["value"] is None else context["value"]
        key = ".".join(location) or None
        return InputError(context["problem"], file=source, key=key, value=value, remedy=context["remedy"])
    message = _PROBLEMS.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
    remedy = "write it in quotes" if mistake["type"] == "string_type" and isinstance(value, int | float) else None
    if mistake["type"] in ("tuple_type", "list_type") and isinstance(value, str | int | float):
        remedy = f"write [{value}]"
    return InputError(message, file=source, key=".".join(location) or None, value=value, remedy=remedy)


def _list_location(mistake: dict[str, Any]) -> tuple[Any, ...]:
    """Location of a mistake; for an item of a list, that of the list."""
    location = tuple(mistake["loc"])
    return location[:-1] if location and isinstance(location[-1], int) else location


def _keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """Keys of the model at a location; those of its values, where a mapping has keys of the user's."""
    annotation: Any = model
    for part in location:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif _is_model(annotation) and part in annotation.model_fields:
            annotation = annotation.model_fields[part].annotation
        else:
            return []
    return list(annotation.model_fields) if _is_model(annotation) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel)
