"""Values found in files → the codes of a crosswalk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.base.taxonomy import Crosswalk

NONE = -1
# What absent values of text, numbers and nullable columns look like.
_UNSAID = ("", "None", "nan", "<NA>")


class BadCodes(Exception):
    """Values that the crosswalk does not know; the message lacks the file."""


def canonical(values: NDArray[np.int64], crosswalk: Crosswalk, *, unit: str = "pixels") -> NDArray[np.int32]:
    """The crosswalk's own code for each value, -1 for those that mean no data.

    Raises:
        BadCodes: a code is unknown, or two kinds of codes are mixed.
    """
    found, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    cut = [_cut(value, crosswalk) for value in found.tolist()]
    own, other = set(cut) & crosswalk.classes.keys(), set(cut) & crosswalk.aliases.keys()
    if own and other:
        raise BadCodes(f"holds codes of two kinds, as {min(own)} and {min(other)}")
    known = {**crosswalk.aliases, **{code: code for code in crosswalk.classes}}
    known |= dict.fromkeys((*crosswalk.nodata, *crosswalk.alias_nodata), NONE)
    for value, code, count in zip(found.tolist(), cut, counts.tolist(), strict=True):
        if code not in known:
            raise BadCodes(
                f"code {value} stands at {count} {unit}, but taxonomies/{crosswalk.name}.yaml does not know it"
            )
    return np.array([known[code] for code in cut], np.int32)[places.reshape(values.shape)]


def whole(values: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers as whole numbers.

    Raises:
        BadCodes: one has a fraction.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64)
    rounded = values.astype(np.int64)
    if (odd := rounded != values).any():
        raise BadCodes(f"holds {values[odd][0]:g}, which is no code but a fraction")
    return rounded


def from_attributes(values: NDArray[Any], crosswalk: Crosswalk) -> NDArray[np.int32]:
    """Codes of polygons, written as text or numbers; -1 where a polygon has none.

    Raises:
        BadCodes: one is no number, or unknown.
    """
    codes = np.full(len(values), NONE, np.int32)
    said = np.array([str(value).strip() not in _UNSAID for value in values], dtype=bool)
    codes[said] = canonical(np.array([_number(value) for value in values[said]], np.int64), crosswalk, unit="polygons")
    return codes


def _number(value: Any) -> int:
    try:
        number = float(str(value).strip())
    except ValueError as error:
        raise BadCodes(f"code {value!r} is no number") from error
    if not number.is_integer():
        raise BadCodes(f"code {value!r} is no whole number")
    return int(number)


def _cut(code: int, crosswalk: Crosswalk) -> int:
    while crosswalk.digits is not None and code >= 10**crosswalk.digits:
        code //= 10
    return code
