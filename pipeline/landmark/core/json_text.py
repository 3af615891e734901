"""Parse JSON of bounded size and depth."""

import json
from typing import Any

from landmark.core.limits import DEPTH, JSON_BYTES


def parse_bounded(data: str | bytes, **hooks: Any) -> Any:
    """Parse JSON text or bytes.

    Args:
        data: The text.
        hooks: As of `json.loads`.

    Raises:
        ValueError: malformed, too large, or nested too deeply.
    """
    if len(data) > JSON_BYTES:
        raise ValueError(f"has {len(data)} bytes, more than {JSON_BYTES}")
    too_deep = f"lists and mappings are nested more than {DEPTH} deep"
    try:
        value = json.loads(data, **hooks)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level = [value]
    for _ in range(DEPTH):
        nested = [list(item.values()) if isinstance(item, dict) else item for item in level]
        level = [child for items in nested if isinstance(items, list) for child in items if type(child) in (list, dict)]
        if not level:
            return value
    raise ValueError(too_deep)
