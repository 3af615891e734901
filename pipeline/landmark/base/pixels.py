"""Pixels as stored and as handed back: both sides of the codec.

Stored: little-endian, C order, native resolution.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

S1_NODATA = -32768


def gamma0_to_stored(power: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Hundredths of a dB of linear gamma0, -32768 where not valid.

    Computed in float64 (float32 differs between libraries after rounding); power that is zero or less has no logarithm
    and is nodata.
    """
    measured = valid & (power > 0) & np.isfinite(power)
    decibel = 10 * np.log10(np.where(measured, power, 1).astype(np.float64))
    return np.where(measured, np.clip(np.rint(100 * decibel), -32767, 32767), S1_NODATA).astype("<i2")


def remove_offset(numbers: NDArray[np.uint16], offset_dn: int) -> NDArray[np.uint16]:
    """Reflectance x 10000 of Sentinel-2 digital numbers: 0 stays nodata, everything else is clipped at 1."""
    if offset_dn == 0:
        return numbers.astype("<u2", copy=False)
    shifted = np.clip(numbers.astype(np.int32) - offset_dn, 1, 65535)
    return np.where(numbers == 0, 0, shifted).astype("<u2")


def pixels_sha256(groups: Sequence[NDArray[Any]]) -> str:
    """SHA-256 of the stored arrays, one after the other."""
    total = hashlib.sha256()
    for group in groups:
        total.update(np.ascontiguousarray(group).data)
    return total.hexdigest()


def pixel_fields(schema: pa.Schema) -> list[pa.Field]:
    """The columns of a shard that hold pixels, in stored order."""
    return [field for field in schema if field.metadata and b"shape" in field.metadata]


def decode(row: Mapping[str, Any], fields: Sequence[pa.Field]) -> NDArray[Any]:
    """All bands of a sample, (band, y, x), as stored, coarse ones repeated to the finest pixel, in readers' order."""
    bands: dict[str, NDArray[Any]] = {}
    for field in fields:
        said = {key.decode(): value.decode() for key, value in field.metadata.items()}
        group = np.frombuffer(row[field.name], dtype=said["dtype"]).reshape(json.loads(said["shape"]))
        factor = int(said["factor"])
        bands |= zip(json.loads(said["bands"]), group.repeat(factor, axis=1).repeat(factor, axis=2), strict=True)
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
