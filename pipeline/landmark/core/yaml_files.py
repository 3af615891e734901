"""Finds and reads the YAML people write: recipes, taxonomies, profiles.

Every complaint names file, key, value and remedy.
"""

import difflib
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from landmark.core.errors import InputError, UnknownName

_PACKAGE = Path(__file__).resolve().parents[1]

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def room(name: str) -> Path:
    """The folder of a kind of file: beside the package in a wheel, at the top level in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parents[1] / name


def known(kind: str) -> list[str]:
    """Names of the files of a kind, sorted."""
    return sorted(path.stem for path in room(kind).glob("*.yaml"))


def find(kind: str, name: str) -> Path:
    """The file a name or a path means.

    Raises:
        UnknownName: no such file; the message lists the known ones.
    """
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise UnknownName(f"{name}: no such file")
    if (path := room(kind) / f"{name}.yaml").is_file():
        return path
    near = difflib.get_close_matches(name, known(kind), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    one = {"manifests": "recipe", "taxonomies": "taxonomy", "taxonomies/captions": "language"}.get(
        kind, kind.split("/")[-1].rstrip("s")
    )
    raise UnknownName(
        f"no {one} named {name!r}.{hint} Known: {', '.join(known(kind)) or 'none'}; or give the path of a .yaml file"
    )


def read(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        InputError: unreadable, malformed (with line and column), or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error
    value = read_text(text, path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: must hold keys and values, not {type(value).__name__}")
    return value


def read_text(text: str, source: Path | str) -> Any:
    """What a YAML text says.

    Raises:
        InputError: malformed, with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        raise InputError(f"{source}: malformed YAML: {error.reason} at character {error.position}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise InputError(f"{source}:{place} malformed YAML: {error.problem}") from error
    except (ValueError, AttributeError) as error:
        raise InputError(f"{source}: malformed YAML: a value is not of its tag's kind: {error}") from error


def parse(model: type[Model], value: dict[str, Any], source: Path | str, *, strict: bool = False) -> Model:
    """A checked model; `strict` takes JSON's kinds as they are, where YAML's authors are met half-way.

    Raises:
        InputError: one line a mistake, each with the key, the value and the remedy.
    """
    try:
        return model.model_validate_json(json.dumps(value), strict=True) if strict else model.model_validate(value)
    except ValidationError as error:
        mistakes = [dict(mistake) for mistake in error.errors(include_url=False)]
        # A list that holds a wrong item is reported once: not again as too short, and not item by item.
        inner = [mistake for mistake in mistakes if not any(_below(other, mistake) for other in mistakes)]
        first = {_list_of(mistake): mistake for mistake in reversed(inner)}
        kept = [mistake for mistake in inner if mistake is first[_list_of(mistake)]]
        raise InputError.combined(_input_error(model, mistake, source) for mistake in kept) from error


def load(model: type[Model], kind: str, name: str) -> Model:
    """Find, read and check a file of a kind; its keys stand before those of the file it `extends`."""
    path = find(kind, name)
    return parse(model, whole(kind, path), path)


def whole(kind: str, path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a file, before those of the file it `extends`; `below` are the files that led here.

    Raises:
        InputError: a file is unreadable, or extends itself in the end.
    """
    value = read(path)
    base = value.pop("extends", None)
    if base is None:
        return value
    if not isinstance(base, str):
        raise InputError(f"{path}: `extends`: give the name or the path of one file (got {base!r})")
    upper = find(kind, str(path.parent / base) if base.endswith((".yaml", ".yml")) else base)
    if upper.resolve() in (below := (*below, path.resolve())):
        raise InputError(f"{path}: `extends`: {base} extends this file in turn")
    return whole(kind, upper, below) | value


def _input_error(model: type[BaseModel], mistake: dict[str, Any], source: Path | str) -> InputError:
    """One of pydantic's mistakes as an error: its `loc` is the key."""
    location, given = [str(part) for part in mistake["loc"]], mistake["input"]
    value = None if isinstance(given, dict | BaseModel) else given
    if mistake["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _keys(model, location[:-1]), n=1)
        remedy = f"did you mean `{near[0]}`?" if near else None
        return InputError("unknown key", file=source, key=".".join(location), remedy=remedy)
    if mistake["type"] == "missing" and location[-1].isdigit():
        problem = f"item {int(location[-1]) + 1} is missing"
        return InputError(problem, file=source, key=".".join(location[:-1]), value=list(given))
    if mistake["type"] == "missing":
        return InputError("key is missing", file=source, key=".".join(location))
    if mistake["type"] == "invalid":
        context = mistake["ctx"]
        location += [context["key"]] if context["key"] else []
        value = value if context["value"] is None else context["value"]
        key = ".".join(location) or None
        return InputError(context["problem"], file=source, key=key, value=value, remedy=context["remedy"])
    message = mistake["msg"].removeprefix("Value error, ")
    return InputError(message, file=source, key=".".join(location) or None, value=value)


def _below(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return len(one["loc"]) > len(other["loc"]) and one["loc"][: len(other["loc"])] == other["loc"]


def _list_of(mistake: dict[str, Any]) -> tuple[Any, ...]:
    """Where a mistake lies; for an item of a list, where the list lies."""
    location = tuple(mistake["loc"])
    return location[:-1] if location and isinstance(location[-1], int) else location


def _keys(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        inner = getattr(field, "annotation", None)
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses a key written twice (YAML would keep the last in silence) and leaves days as text.

    A day no calendar has is then a mistake in a key of the recipe, not an error of the parser. libyaml reads seven
    times as fast as Python, where PyYAML has it.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem=f"a key cannot be {key!r}", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is written twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))
