"""Regular expressions that people write, of those that end in bounded time."""

import re
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from landmark.core.errors import invalid
from landmark.core.limits import PATTERN_CHARS

_MANY = 100


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a YAML file, inside a pydantic validator.

    Raises:
        PydanticCustomError: malformed, too long, or with an unbounded repetition inside of another, which may take
            time that doubles with every character.
    """
    if len(pattern) > PATTERN_CHARS:
        raise invalid(f"has {len(pattern)} characters, more than {PATTERN_CHARS}")
    try:
        compiled = re.compile(pattern)
        nested = _repeats_repetition(parser.parse(pattern), inside=False)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid(f"invalid regular expression: {error}", value=pattern) from error
    if nested:
        remedy = "repeat a part only once, as (a|b)+ instead of (a+|b)+"
        raise invalid("repeats a repetition, which may take for ever", value=pattern, remedy=remedy)
    return compiled


def _repeats_repetition(tree: Any, *, inside: bool) -> bool:
    """Whether a part that is repeated often holds another of variable length."""
    if isinstance(tree, parser.SubPattern):
        return any(_repeats_repetition(part, inside=inside) for part in tree.data)
    if isinstance(tree, tuple) and len(tree) == 2 and str(tree[0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, content = tree[1]
        often = int(high) > _MANY and low != high
        return (often and inside) or _repeats_repetition(content, inside=inside or often)
    return isinstance(tree, list | tuple) and any(_repeats_repetition(part, inside=inside) for part in tree)
