"""Values found in files → the codes of a crosswalk."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.domain.taxonomy import Crosswalk, plain

NONE = -1
# What absent values of text, numbers and nullable columns look like.
_UNSAID = ("", "None", "nan", "<NA>", "Null", "NaT")
# CORINE's manuals write 1.1.2; one dot alone is a decimal point.
_DOTTED = re.compile(r"\d(\.\d){2,}")
_LARGEST = 2**31 - 1
# Values that lie no farther apart are counted in a table, others are sorted.
_NARROW = 2**16

# A class's number among the codes of its source, 0 where there is none.
Ranks = NDArray[Any]


class BadCodes(Exception):
    """Values that the crosswalk does not know; the message lacks the file."""


def codes_of(crosswalk: Crosswalk) -> NDArray[np.int32]:
    """The code of each rank: no data has rank 0, the classes follow in the order of their codes."""
    return np.array([NONE, *sorted(crosswalk.classes)], np.int32)


def rank_type(crosswalk: Crosswalk) -> np.dtype[Any]:
    """The smallest whole numbers that hold every rank."""
    return np.min_scalar_type(len(crosswalk.classes))


def ranked(values: Any, crosswalk: Crosswalk, *, unit: str = "pixels") -> Ranks:
    """The rank of each value, 0 where it is masked.

    Raises:
        BadCodes: a value is no whole number, a code is unknown, or two kinds of codes are mixed.
    """
    # What is masked may be anything: it stands as a zero meanwhile.
    found, places, counts = _counted(whole(np.ma.filled(values, 0)))
    hidden = np.ma.getmask(values)
    counts[found == 0] -= np.count_nonzero(hidden)
    here = np.flatnonzero(counts)
    rank = np.zeros(len(found), rank_type(crosswalk))
    codes = _canonical(found[here].tolist(), counts[here].tolist(), crosswalk, unit)
    rank[here] = np.searchsorted(codes_of(crosswalk), codes)
    ranks = rank.take(places)
    if hidden is not np.ma.nomask:
        np.putmask(ranks, hidden, 0)
    return ranks


def _counted(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Values in order, which of them each one is, and how often each is there, if at all."""
    low, high = min(int(values.min(initial=0)), 0), int(values.max(initial=0))
    if high - low >= _NARROW:
        return np.unique(values, return_inverse=True, return_counts=True)
    places = values.astype(np.int64) - low if low else values
    return np.arange(low, high + 1), places, np.bincount(places.ravel(), minlength=high - low + 1)


def _canonical(values: list[int], counts: list[int], crosswalk: Crosswalk, unit: str) -> list[int]:
    """The crosswalk's own code for each value, -1 for those that mean no data."""
    cut = [_cut(value, crosswalk) for value in values]
    own, other = set(cut) & crosswalk.classes.keys(), set(cut) & crosswalk.aliases.keys()
    if own and other:
        raise BadCodes(f"holds codes of two kinds, as {min(own)} and {min(other)}")
    known = {**crosswalk.aliases, **{code: code for code in crosswalk.classes}}
    known |= dict.fromkeys((*crosswalk.nodata, *crosswalk.alias_nodata), NONE)
    for value, code, count in zip(values, cut, counts, strict=True):
        if code not in known:
            raise _unknown(value, count, unit, crosswalk)
    return [known[code] for code in cut]


def whole(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as whole numbers of at most 64 bits with a sign.

    Raises:
        BadCodes: one has a fraction, or is too large for any code.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64) if values.dtype == np.uint64 else values
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
    codes[written] = codes_of(crosswalk)[ranked(codes[written], crosswalk, unit="polygons")]
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
