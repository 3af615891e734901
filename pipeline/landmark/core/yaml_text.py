"""Parse YAML and JSON text: words and codes stay what the file says, numbers are decimal, and anything else is refused.

PyYAML reads YAML 1.1, in which 010 is 8, 1:30 is 90 and `no` is false. Here `true` and `false` are the only booleans;
`no`, `on`, dates and 1_000 are text; octal, binary, hexadecimal and base-60 numbers are refused.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from landmark.core.errors import InputError
from landmark.core.json_text import parse_bounded
from landmark.core.limits import DEPTH, YAML_BYTES, YAML_VALUES

_TAG = "tag:yaml.org,2002:"
# Plain words that YAML 1.1 gives another type, and `=`, for which PyYAML has no value.
_TEXT_TAGS = (f"{_TAG}timestamp", f"{_TAG}bool", f"{_TAG}value")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FRACTION = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
# Octal in YAML 1.2, and numbers with a leading zero that are octal in no version, such as 008.
_OTHER_NUMBER = re.compile(r"[-+]?0o?[0-9_]+$")
_SPLIT = "write fewer values, or several files"


class _AmbiguousNumber(yaml.MarkedYAMLError):
    """A number that is not decimal."""

    def __init__(self, node: yaml.ScalarNode) -> None:
        super().__init__(problem="not a decimal number", problem_mark=node.start_mark)
        self.node = node


class _TooLarge(yaml.MarkedYAMLError):
    """Too many values, or nested too deeply."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)
        self.line = node.start_mark.line + 1


def parse_yaml(text: str, source: Path | str) -> Any:
    """Parse YAML; `source` is named in errors.

    Raises:
        InputError: malformed, a duplicate key, a number that is not decimal, with line and column, or beyond a limit.
    """
    if len(text) > YAML_BYTES:
        raise InputError(f"has {len(text)} characters, more than {YAML_BYTES}; {_SPLIT}", file=source)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise InputError(f"nested more than {DEPTH} deep; {_SPLIT}", file=source) from error
    except _TooLarge as error:
        raise InputError(f"{error.problem}, in line {error.line}", file=source, remedy=_SPLIT) from error
    except yaml.reader.ReaderError as error:
        raise InputError(f"malformed YAML at character {error.position}: {error.reason}", file=source) from error
    except _AmbiguousNumber as error:
        value, line = str(error.node.value), error.node.start_mark.line + 1
        key = ".".join(_key_path(yaml.compose(text, Loader=_Loader), error.node.start_mark.index)) or None
        problem = f"not a decimal number, in line {line}"
        remedy = f'write "{value}" in quotes if it is text, else a decimal number without leading zeros'
        raise InputError(problem, file=source, key=key, value=value, remedy=remedy) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"malformed YAML{position}: {error.problem}", file=source) from error
    except (ValueError, AttributeError, KeyError) as error:
        raise InputError(f"malformed YAML: invalid value of a tag: {error}", file=source) from error
    finally:
        loader.dispose()


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: malformed, a duplicate key, a number that is not finite, or beyond a limit.
    """
    return parse_bounded(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict[str, Any]()
    for key, item in pairs:
        if key in value:
            raise ValueError(f"duplicate key {key!r}")
        value[key] = item
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader of decimal numbers and unique keys; libyaml's if PyYAML has it, 7 times as fast.

    Dates are text: an impossible date is an error of its key, not of the parser.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TEXT_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem=f"invalid key {key!r}", problem_mark=key_node.start_mark)
            if key in keys:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r}", problem_mark=key_node.start_mark)
            keys.add(key)
        return dict(super().construct_mapping(node, deep=deep))

    def construct_integer(self, node: yaml.ScalarNode) -> int | str:
        """A decimal integer; text if it has underscores."""
        return int(value) if "_" not in (value := _decimal(node, _INTEGER)) else value

    def construct_fraction(self, node: yaml.ScalarNode) -> float | str:
        """A decimal fraction, or infinity or NaN, which models refuse; text if it has underscores."""
        if _NOT_FINITE.fullmatch(node.value):
            return float(node.value.replace(".", ""))
        return float(value) if "_" not in (value := _decimal(node, _FRACTION)) else value


def _decimal(node: yaml.ScalarNode, pattern: re.Pattern[str]) -> str:
    """The text of a decimal number."""
    if not pattern.fullmatch(node.value.replace("_", "")):
        raise _AmbiguousNumber(node)
    return str(node.value)


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}int", _OTHER_NUMBER, list("-+0"))
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_integer)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_fraction)


def _measure(node: yaml.Node, measured: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """(number of values, depth) of a node; what an alias repeats counts each time.

    Raises:
        _TooLarge: either is beyond its limit, or a node contains itself.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1, 0
    if id(node) not in measured:
        if depth > DEPTH:
            raise _TooLarge(node, f"nested more than {DEPTH} deep")
        measured[id(node)] = YAML_VALUES, DEPTH  # while it is open: an alias inside is endless
        children = (child for item in node.value for child in (item if isinstance(item, tuple) else (item,)))
        count, height = 1, 0
        for child in children:
            of_child = _measure(child, measured, depth + 1)
            count, height = count + of_child[0], max(height, of_child[1] + 1)
            if count > YAML_VALUES or height > DEPTH:
                raise _TooLarge(node, f"more than {YAML_VALUES} values, with aliases, or nested more than {DEPTH} deep")
        measured[id(node)] = count, height
    return measured[id(node)]


def _key_path(node: yaml.Node | None, index: int) -> list[str]:
    """Keys and positions that lead to the scalar at a position of the text."""
    children: list[tuple[str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.start_mark.index == index:
                return [str(key.value)]
            children.append((str(key.value), value))
    elif isinstance(node, yaml.SequenceNode):
        children = [(str(number), value) for number, value in enumerate(node.value)]
    for name, value in children:
        if value.start_mark.index <= index < max(value.end_mark.index, value.start_mark.index + 1):
            return [name, *_key_path(value, index)]
    return []
