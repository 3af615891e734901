"""Describe where a stored value differs from a derived one."""

import math
from collections.abc import Mapping
from typing import Any

# Stored numbers have 32 bits; distances differ in the last one between mathematics libraries.
_TOLERANCE = 1e-6
_MAX_CHARS = 200


def describe_difference(stored: Any, derived: Any, path: str = "") -> str:
    """The first difference of a stored value from a derived one, "" if there is none but rounding to 32 bits."""
    if isinstance(derived, float) and isinstance(stored, int | float):
        return (
            ""
            if math.isclose(stored, derived, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
            else _pair(stored, derived, path)
        )
    if isinstance(derived, Mapping) and isinstance(stored, Mapping) and stored.keys() == derived.keys():
        parts = ((f"{path} {key}", stored[key], derived[key]) for key in derived)
    elif isinstance(derived, list | tuple) and isinstance(stored, list | tuple) and len(stored) == len(derived):
        parts = ((path, *pair) for pair in zip(stored, derived, strict=True))
    else:
        return "" if stored == derived else _pair(stored, derived, path)
    return next((found for path, *pair in parts if (found := describe_difference(*pair, path))), "")


def _pair(stored: Any, derived: Any, path: str) -> str:
    return " ".join(filter(None, [path.strip(), f"{stored!r:.{_MAX_CHARS}}, not {derived!r:.{_MAX_CHARS}}"]))
