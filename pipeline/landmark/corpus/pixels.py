"""Codec of pixels: from raster values to stored values, and back to arrays and physical units.

Pixels are stored little-endian, in C order, at native resolution.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

S1_NODATA = -32768
_MAX_STORED = 32767
_MAX_DN = 65535
# Bits of a float64 below its sign, exponent and the first nine bits of its fraction.
_TRAILING_BITS = 43


def gamma0_to_stored(power: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Convert linear gamma0 to hundredths of a dB, -32768 where invalid, not finite, or not positive.

    Equal to rounding `1000 * log10(power)` in float64; float32 differs between libraries after rounding.
    """
    exact = power.astype(np.float64, copy=False)
    first, stored, next_power = _conversion_table()
    entry = (exact.view(np.int64) >> _TRAILING_BITS) - first
    hundredths = stored.take(entry, mode="clip") + (exact >= next_power.take(entry, mode="clip"))
    return np.where(valid & np.isfinite(exact), hundredths, np.int16(S1_NODATA)).astype("<i2", copy=False)


@cache
def _conversion_table() -> tuple[int, NDArray[np.int16], NDArray[np.float64]]:
    """Stored values by the leading bits of a power, which is as exact as a logarithm and faster.

    Powers that share sign, exponent and nine bits of the fraction differ by at most 0.85 hundredths of a dB, so that
    their stored values differ by at most 1.

    Returns:
        The leading bits of the first entry; per entry the stored value of its smallest power, and the power from which
        the stored value is 1 larger.
    """
    # Powers below the smallest positive number have no logarithm; the step there separates them, as nodata.
    steps = np.concatenate([[np.nextafter(0, 1)], _min_powers(np.arange(1 - _MAX_STORED, _MAX_STORED + 1))])
    first, last = (int(bits) for bits in steps[[1, -1]].view(np.int64) >> _TRAILING_BITS)
    starts = (np.arange(first - 1, last + 2) << _TRAILING_BITS).view(np.float64)
    starts[0] = 0
    n_steps = np.searchsorted(steps, starts, side="right")
    return first - 1, (n_steps + S1_NODATA).astype(np.int16), np.append(steps, np.inf)[n_steps]


def _min_powers(hundredths: NDArray[np.int64]) -> NDArray[np.float64]:
    """The smallest powers that round to these hundredths of a dB."""
    guess = 10.0 ** ((hundredths - 0.5) / 1000)
    below, least = guess * (1 - 1e-13), guess * (1 + 1e-13)
    # Bisect the thousand or so float64 numbers between the bounds until they are neighbours.
    for _ in range(12):
        middle = (below + least) / 2
        reached = np.rint(100 * (10 * np.log10(middle))) >= hundredths
        below, least = np.where(reached, below, middle), np.where(reached, middle, least)
    return least


def remove_offset(numbers: NDArray[np.uint16], offset_dn: int, out: NDArray[np.uint16]) -> None:
    """Write Sentinel-2 digital numbers as reflectance x 10000 to `out`: 0 stays nodata, other values are at least 1."""
    if offset_dn == 0:
        out[...] = numbers
        return
    # Offsets beyond the range of digital numbers clip every pixel, as its limits do.
    offset = max(-_MAX_DN, min(offset_dn, _MAX_DN - 1))
    if offset > 0:
        np.maximum(numbers, offset + 1, out=out)
    else:
        np.minimum(numbers, _MAX_DN + offset, out=out)
    # Unsigned subtraction wraps around to the right result, also for negative offsets.
    out -= np.uint16(offset % (_MAX_DN + 1))
    if not numbers.min(initial=1):
        out[numbers == 0] = 0


def pixels_sha256(groups: Sequence[NDArray[Any]]) -> str:
    """SHA-256 of the concatenated bytes of stored arrays."""
    sha256 = hashlib.sha256()
    for group in groups:
        sha256.update(np.ascontiguousarray(group).data)
    return sha256.hexdigest()


def pixel_fields(schema: pa.Schema) -> list[pa.Field]:
    """Pixel columns of a shard's schema, in stored order."""
    return [field for field in schema if field.metadata and b"shape" in field.metadata]


class BandGroup(NamedTuple):
    """Bands of one resolution, stored in one column.

    Attributes:
        bands: Their names.
        shape: (band, y, x).
        dtype: Little-endian NumPy dtype.
        factor: Edge of a pixel in pixels of the finest bands.
    """

    bands: tuple[str, ...]
    shape: tuple[int, int, int]
    dtype: str
    factor: int

    @property
    def size_bytes(self) -> int:
        """Bytes of a value: the bands of a sample."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def parse_group(field: pa.Field) -> BandGroup:
    """Parse the metadata of a pixel column."""
    metadata = field.metadata
    return _parse_group(*(metadata[key].decode() for key in (b"bands", b"shape", b"dtype", b"factor")))


@lru_cache
def _parse_group(bands: str, shape: str, dtype: str, factor: str) -> BandGroup:
    return BandGroup(tuple(json.loads(bands)), tuple(json.loads(shape)), dtype, int(factor))


def decode(row: Mapping[str, Any], fields: Sequence[pa.Field]) -> NDArray[Any]:
    """Stored values of all bands of a row (band, y, x); coarse bands are repeated to the finest pixel size.

    Args:
        row: Bytes of each pixel column.
        fields: The pixel columns.
    """
    order = {name: place for place, name in enumerate(band_order(fields))}
    groups = [parse_group(field) for field in fields]
    edge = groups[0].shape[1] * groups[0].factor
    bands = np.empty((len(order), edge, edge), groups[0].dtype)
    for field, (names, (_, height, width), dtype, factor) in zip(fields, groups, strict=True):
        group = np.frombuffer(row[field.name], dtype).reshape(-1, height, 1, width, 1)
        for name, values in zip(names, group, strict=True):
            bands[order[name]].reshape(height, factor, width, factor)[...] = values
    return bands


def band_order(fields: Sequence[pa.Field]) -> list[str]:
    """Names of the bands in the order of `decode`."""
    return list(_parse_names(fields[0].metadata[b"order"]))


@lru_cache
def _parse_names(text: bytes) -> tuple[str, ...]:
    return tuple(json.loads(text))


def nodata_of(fields: Sequence[pa.Field]) -> int:
    """Stored value of pixels without data."""
    return int(fields[0].metadata[b"nodata"])


def to_physical(stored: NDArray[Any], fields: Sequence[pa.Field]) -> NDArray[np.float32]:
    """Convert stored values to physical units, float32, NaN for nodata."""
    values = stored.astype(np.float32) * np.float32(float(fields[0].metadata[b"scale"]))
    return np.where(stored == nodata_of(fields), np.float32(np.nan), values)
