"""Codes of label sources, as keys and values of YAML files."""

from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from landmark.core.errors import invalid

# Codes of label counts are 32-bit integers; -1 is no data.
MAX_CODE = 2**31 - 1


def _check_code(value: Any) -> Any:
    if isinstance(value, bool):
        raise invalid("not a code", value=value, remedy="give a whole number")
    return value


def check_unique_codes(value: Any, path: str = "") -> Any:
    """Refuse keys that are the same number, such as 1 and "001", of which a mapping would keep the last.

    Args:
        value: The mapping; others are returned as they are.
        path: Put before the key in errors.
    """
    first = dict[int, Any]()
    for key in value if isinstance(value, dict) else ():
        try:
            code = _CODE.validate_python(key)
        except ValidationError:
            continue
        if first.setdefault(code, key) is not key:
            remedy = "give each class its own number"
            raise invalid(f"the same code as {first[code]!r}", key=f"{path}{key}", value=key, remedy=remedy)
    return value


Code = Annotated[int, BeforeValidator(_check_code)]
CodeKeys = BeforeValidator(check_unique_codes)
_CODE = TypeAdapter[int](Code)
