"""Values found in files → the codes of a crosswalk."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.base.taxonomy import Crosswalk, plain

NONE = -1
# What absent values of text, numbers and nullable columns look like.
_UNSAID = ("", "None", "nan", "<NA>", "Null", "NaT")
# CORINE's manuals write 1.1.2; one dot alone is a decimal point.
_DOTTED = re.compile(r"\d(\.\d){2,}")
_LARGEST = 2**31 - 1


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
            raise _unknown(value, count, unit, crosswalk)
    return np.array([known[code] for code in cut], np.int32)[places.reshape(values.shape)]


def whole(values: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers as whole numbers.

    Raises:
        BadCodes: one has a fraction, or is too large for any code.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64)
    rounded = np.where(np.abs(values) <= _LARGEST, values, 0).astype(np.int64)
    if (odd := rounded != values).any():
        raise BadCodes(f"holds {values[odd][0]:g}, which is no code but a fraction or no number of a class")
    return rounded


def from_attributes(values: NDArray[Any], crosswalk: Crosswalk) -> NDArray[np.int32]:
    """Codes of polygons, written as numbers, as text of numbers or in words; -1 where a polygon has none.

    Raises:
        BadCodes: one is unknown.
    """
    texts = np.array([str(value).strip() for value in values], str)
    found, places, counts = np.unique(texts, return_inverse=True, return_counts=True)
    words = crosswalk.words | {plain(word): NONE for word in (*crosswalk.word_nodata, *_UNSAID)}
    numbers = [_number(text) for text in found.tolist()]
    codes = np.array(
        [
            _spoken(text, count, words, crosswalk) if number is None else number
            for text, number, count in zip(found.tolist(), numbers, counts.tolist(), strict=True)
        ],
        np.int64,
    )[places]
    written = np.array([number is not None for number in numbers], bool)[places]
    codes[written] = canonical(codes[written], crosswalk, unit="polygons")
    return codes.astype(np.int32)


def _spoken(text: str, count: int, words: Mapping[str, int], crosswalk: Crosswalk) -> int:
    if plain(text) not in words:
        raise _unknown(repr(text), count, "polygons", crosswalk)
    return words[plain(text)]


def _unknown(value: object, count: int, unit: str, crosswalk: Crosswalk) -> BadCodes:
    return BadCodes(f"code {value} stands at {count} {unit}, but taxonomies/{crosswalk.name}.yaml does not know it")


def _number(text: str) -> int | None:
    """The number a text writes, None where it writes none.

    Raises:
        BadCodes: it has a fraction, or is no code's.
    """
    if _DOTTED.fullmatch(text):
        return int(text.replace(".", ""))
    try:
        number = float(text)
    except ValueError:
        return None
    if number != number:  # the text `NaN`
        return None
    if abs(number) > _LARGEST or not number.is_integer():
        raise BadCodes(f"code {text!r} is no whole number of a class")
    return int(number)


def _cut(code: int, crosswalk: Crosswalk) -> int:
    while crosswalk.digits is not None and code >= 10**crosswalk.digits:
        code //= 10
    return code
