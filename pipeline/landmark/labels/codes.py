"""Map values of label files to the codes of a crosswalk and to their ranks.

The rank of a code is its number among the codes of its source, ascending from 1; no data has rank 0 and code -1.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.domain.codes import MAX_CODE
from landmark.domain.taxonomy import Crosswalk, normalize_word

NO_CODE = -1
# Text of missing values in columns of text, numbers and nullable types.
_MISSING = ("", "None", "nan", "<NA>", "Null", "NaT")
# CORINE manuals write 1.1.2; a single dot is a decimal point.
_DOTTED = re.compile(r"\d(\.\d){2,}")
# Values within this range are counted in a table, others by sorting.
_TABLE_RANGE = 2**16

Ranks = NDArray[Any]


class InvalidCodes(Exception):
    """Values of a label file do not fit its crosswalk. The message lacks the file.

    Attributes:
        value: The value at fault.
        remedy: What to do.
    """

    def __init__(self, problem: str, *, value: object = None, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.value, self.remedy = problem, value, remedy


def rank_codes(crosswalk: Crosswalk) -> NDArray[np.int32]:
    """The code of each rank."""
    return np.array([NO_CODE, *sorted(crosswalk.classes)], np.int32)


def rank_dtype(crosswalk: Crosswalk) -> np.dtype[Any]:
    """The smallest unsigned dtype that holds every rank."""
    return np.min_scalar_type(len(crosswalk.classes))


def to_ranks(values: Any, crosswalk: Crosswalk, *, unit: str = "pixels") -> Ranks:
    """The rank of each value, 0 where it is masked.

    Raises:
        InvalidCodes: a value is not an integer, a code is unknown, or codes are mixed with aliases.
    """
    # Masked values may be anything; they become 0, and are taken off its count below.
    distinct, indices, counts = _count_values(to_integers(np.ma.filled(values, 0)))
    mask = np.ma.getmask(values)
    counts[distinct == 0] -= np.count_nonzero(mask)
    present = np.flatnonzero(counts)
    distinct_ranks = np.zeros(len(distinct), rank_dtype(crosswalk))
    codes = _canonical_codes(distinct[present].tolist(), counts[present].tolist(), crosswalk, unit)
    distinct_ranks[present] = np.searchsorted(rank_codes(crosswalk), codes)
    ranks = distinct_ranks.take(indices)
    if mask is not np.ma.nomask:
        np.putmask(ranks, mask, 0)
    return ranks


def _count_values(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Distinct values in order, the index of each value among them, and their counts, which may be 0."""
    low, high = min(int(values.min(initial=0)), 0), int(values.max(initial=0))
    if high - low >= _TABLE_RANGE:
        return np.unique(values, return_inverse=True, return_counts=True)
    indices = values.astype(np.int64) - low if low else values
    return np.arange(low, high + 1), indices, np.bincount(indices.ravel(), minlength=high - low + 1)


def _canonical_codes(values: list[int], counts: list[int], crosswalk: Crosswalk, unit: str) -> list[int]:
    """The crosswalk's code of each value, -1 for no data."""
    shortened = [_shorten(value, crosswalk) for value in values]
    codes, aliases = set(shortened) & crosswalk.classes.keys(), set(shortened) & crosswalk.aliases.keys()
    if codes and aliases:
        raise InvalidCodes("mixes codes and aliases", value=[min(codes), min(aliases)])
    code_of = {**crosswalk.aliases, **{code: code for code in crosswalk.classes}}
    code_of |= dict.fromkeys((*crosswalk.nodata, *crosswalk.alias_nodata), NO_CODE)
    for value, code, count in zip(values, shortened, counts, strict=True):
        if code not in code_of:
            raise _unknown_code(value, count, unit, crosswalk)
    return [code_of[code] for code in shortened]


def to_integers(values: NDArray[Any]) -> NDArray[Any]:
    """Integers of at most 64 bits.

    Raises:
        InvalidCodes: a value has a fraction or exceeds every code.
    """
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64) if values.dtype == np.uint64 else values
    integers = np.where(np.abs(values) <= MAX_CODE, values, 0).astype(np.int64)
    if (invalid := integers != values).any():
        raise InvalidCodes("not an integer code", value=float(values[invalid][0]))
    return integers


def codes_from_attributes(values: NDArray[Any], crosswalk: Crosswalk) -> NDArray[np.int32]:
    """Codes of polygons given as numbers, numeric text or words; -1 for missing values.

    Raises:
        InvalidCodes: a value is unknown.
    """
    texts = np.array([str(value).strip() for value in values], str)
    distinct, indices, counts = np.unique(texts, return_inverse=True, return_counts=True)
    words = crosswalk.words | {normalize_word(word): NO_CODE for word in (*crosswalk.word_nodata, *_MISSING)}
    numbers = [_parse_number(text) for text in distinct.tolist()]
    codes = np.array(
        [
            _word_code(text, count, words, crosswalk) if number is None else number
            for text, number, count in zip(distinct.tolist(), numbers, counts.tolist(), strict=True)
        ],
        np.int64,
    )[indices]
    numeric = np.array([number is not None for number in numbers], bool)[indices]
    codes[numeric] = rank_codes(crosswalk)[to_ranks(codes[numeric], crosswalk, unit="polygons")]
    return codes.astype(np.int32)


def _word_code(text: str, count: int, words: Mapping[str, int], crosswalk: Crosswalk) -> int:
    if normalize_word(text) not in words:
        raise _unknown_code(text, count, "polygons", crosswalk)
    return words[normalize_word(text)]


def _unknown_code(value: object, count: int, unit: str, crosswalk: Crosswalk) -> InvalidCodes:
    remedy = f"add the code to taxonomies/{crosswalk.name}.yaml, or check that this is a map of {crosswalk.name}"
    return InvalidCodes(f"unknown code in {count} {unit}", value=value, remedy=remedy)


def _parse_number(text: str) -> int | None:
    """The integer of a numeric text, None if it is not a number.

    Raises:
        InvalidCodes: it has a fraction or exceeds every code.
    """
    if _DOTTED.fullmatch(text):
        return int(text.replace(".", ""))
    try:
        number = float(text)
    except ValueError:
        return None
    if number != number:  # the text `NaN`
        return None
    if abs(number) > MAX_CODE or not number.is_integer():
        raise InvalidCodes("not an integer code", value=text)
    return int(number)


def _shorten(code: int, crosswalk: Crosswalk) -> int:
    """A more detailed code cut to the crosswalk's digits."""
    while crosswalk.digits is not None and code >= 10**crosswalk.digits:
        code //= 10
    return code
