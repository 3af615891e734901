"""Compare stored values with derived ones, and describe the first difference."""

from collections.abc import Mapping
from typing import Any

# Stored numbers have 32 bits; distances differ in the last one between mathematics libraries.
_TOLERANCE = 1e-6
_MAX_CHARS = 200


def is_close(stored: Any, derived: Any) -> bool:
    """Whether values are equal but for the rounding of floating-point numbers to 32 bits."""
    if isinstance(derived, float):
        # The comparisons are a hundred a sample.
        return stored == derived or (
            isinstance(stored, (int, float)) and abs(stored - derived) <= _TOLERANCE * max(1.0, abs(derived))
        )
    if stored == derived:
        return True
    if isinstance(derived, dict):
        if not isinstance(stored, dict) or stored.keys() != derived.keys():
            return False
        return all(stored[key] == value or is_close(stored[key], value) for key, value in derived.items())
    # `|` of types is slow, and this is called a hundred times a sample.
    if isinstance(derived, (list, tuple)) and isinstance(stored, (list, tuple)):
        return len(stored) == len(derived) and all(map(is_close, stored, derived))
    return False


def describe_difference(stored: Any, derived: Any) -> str:
    """Keys of the first difference, the stored value and the derived one; "" where they are close."""
    if is_close(stored, derived):
        return ""
    if isinstance(derived, Mapping) and isinstance(stored, Mapping) and stored.keys() == derived.keys():
        key = next(key for key in derived if not is_close(stored[key], derived[key]))
        return f"{key} {describe_difference(stored[key], derived[key])}"
    if isinstance(derived, list | tuple) and isinstance(stored, list | tuple) and len(stored) == len(derived):
        return next(filter(None, map(describe_difference, stored, derived)))
    return f"{stored!r:.{_MAX_CHARS}}, not {derived!r:.{_MAX_CHARS}}"
