"""Pixels as stored and as handed back: both sides of the codec.

Stored: little-endian, C order, native resolution.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

S1_NODATA = -32768
_MOST_CB = 32767
_MOST_DN = 65535
_DROPPED_BITS = 43


def gamma0_to_stored(power: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Hundredths of a dB of linear gamma0, -32768 where not valid.

    As computed in float64 (float32 differs between libraries after rounding); power that is zero or less has no
    logarithm and is nodata.
    """
    exact = power.astype(np.float64, copy=False)
    first, stored, next_power = _ladder()
    rung = (exact.view(np.int64) >> _DROPPED_BITS) - first
    hundredths = stored.take(rung, mode="clip") + (exact >= next_power.take(rung, mode="clip"))
    measured = valid & np.isfinite(exact)
    return np.where(measured, hundredths, np.int16(S1_NODATA)).astype("<i2", copy=False)


@cache
def _ladder() -> tuple[int, NDArray[np.int16], NDArray[np.float64]]:
    """What powers are stored as, by their leading bits: a logarithm is slow, and a table of its steps is as exact.

    Powers that share sign, exponent and nine bits of the fraction differ by 0.85 hundredths of a dB at most: between
    them is one step or none. Returns the first of these leading bits, what the smallest power with each of them is
    stored as, and from which power on it is one more.
    """
    # What is not even the smallest number has no logarithm, and is stored as one less.
    steps = np.concatenate([[np.nextafter(0, 1)], _steps(np.arange(1 - _MOST_CB, _MOST_CB + 1))])
    first, last = (int(bits) for bits in steps[[1, -1]].view(np.int64) >> _DROPPED_BITS)
    starts = (np.arange(first - 1, last + 2) << _DROPPED_BITS).view(np.float64)
    starts[0] = 0
    passed = np.searchsorted(steps, starts, side="right")
    return first - 1, (passed + S1_NODATA).astype(np.int16), np.append(steps, np.inf)[passed]


def _steps(hundredths: NDArray[np.int64]) -> NDArray[np.float64]:
    """The smallest powers that round to so many hundredths of a dB."""
    guess = 10.0 ** ((hundredths - 0.5) / 1000)
    below, least = guess * (1 - 1e-13), guess * (1 + 1e-13)
    # A thousand numbers lie between the two: halved until they are neighbours.
    for _ in range(12):
        middle = (below + least) / 2
        reached = np.rint(100 * (10 * np.log10(middle))) >= hundredths
        below, least = np.where(reached, below, middle), np.where(reached, middle, least)
    return least


def remove_offset(numbers: NDArray[np.uint16], offset_dn: int) -> NDArray[np.uint16]:
    """Reflectance x 10000 of Sentinel-2 digital numbers: 0 stays nodata, everything else is clipped at 1."""
    if offset_dn == 0:
        return numbers.astype("<u2", copy=False)
    # What is farther off than all numbers clips all of them, as the farthest number does.
    offset = max(-_MOST_DN, min(offset_dn, _MOST_DN - 1))
    shifted = np.maximum(numbers, offset + 1) if offset > 0 else np.minimum(numbers, _MOST_DN + offset)
    # Without a sign the difference wraps round to what it is.
    shifted -= np.uint16(offset % (_MOST_DN + 1))
    shifted *= numbers > 0
    return shifted.astype("<u2", copy=False)


def pixels_sha256(groups: Sequence[NDArray[Any]]) -> str:
    """SHA-256 of the stored arrays, one after the other."""
    total = hashlib.sha256()
    for group in groups:
        total.update(np.ascontiguousarray(group).data)
    return total.hexdigest()


def pixel_fields(schema: pa.Schema) -> list[pa.Field]:
    """The columns of a shard that hold pixels, in stored order."""
    return [field for field in schema if field.metadata and b"shape" in field.metadata]


class Group(NamedTuple):
    """What a column of pixels holds: bands as (band, y, x), each pixel `factor` of the finest along its edge."""

    bands: list[str]
    shape: tuple[int, int, int]
    dtype: str
    factor: int


def group_of(field: pa.Field) -> Group:
    """What the metadata of a column of pixels say."""
    said = {key.decode(): value.decode() for key, value in field.metadata.items()}
    return Group(json.loads(said["bands"]), tuple(json.loads(said["shape"])), said["dtype"], int(said["factor"]))


def decode(row: Mapping[str, Any], fields: Sequence[pa.Field]) -> NDArray[Any]:
    """All bands of a sample, (band, y, x), as stored, coarse ones repeated to the finest pixel, in readers' order."""
    bands: dict[str, NDArray[Any]] = {}
    for field in fields:
        names, shape, dtype, factor = group_of(field)
        group = np.frombuffer(row[field.name], dtype).reshape(shape)
        bands |= zip(names, group.repeat(factor, axis=1).repeat(factor, axis=2), strict=True)
    return np.stack([bands[name] for name in band_order(fields)])


def band_order(fields: Sequence[pa.Field]) -> list[str]:
    """Names of the bands, in the order readers expect."""
    return list(json.loads(fields[0].metadata[b"order"]))


def nodata_of(fields: Sequence[pa.Field]) -> int:
    """Stored value of a pixel without data."""
    return int(fields[0].metadata[b"nodata"])


def scaled(stored: NDArray[Any], fields: Sequence[pa.Field]) -> NDArray[np.float32]:
    """Physical units in float32, NaN where there is no data."""
    values = stored.astype(np.float32) * np.float32(float(fields[0].metadata[b"scale"]))
    return np.where(stored == nodata_of(fields), np.float32(np.nan), values)
