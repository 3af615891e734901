"""The pixel columns of a corpus's shards, as the metadata of the index describes them.

A reader of single pages opens no footer: the index has a copy of what these say.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from landmark.corpus.pixels import band_order, parse_group, pixel_fields
from landmark.corpus.tables import TableFile, damaged, reporting_damage

# Metadata key of the index: sensor → pixel column → its metadata, as JSON.
PIXELS = b"landmark:pixels"

Columns = Mapping[str, Sequence[pa.Field]]

_DTYPES = ("<u2", "<i2")
# Equal in all columns of a sensor.
_OF_SENSOR = (b"dtype", b"scale", b"unit", b"nodata", b"order")


def shards_columns(shards: Sequence[tuple[str, Path]]) -> dict[str, list[pa.Field]]:
    """Pixel columns by sensor, from the footers of shards given as (sensor, path).

    Raises:
        InvalidCorpus: a shard is missing or damaged, or shards of a sensor differ.
    """
    columns: dict[str, list[pa.Field]] = {}
    for sensor, path in shards:
        with TableFile(path) as file:
            fields = pixel_fields(file.schema)
        first = columns.setdefault(sensor, fields)
        if not pa.schema(fields).equals(pa.schema(first), check_metadata=True):
            raise damaged(path, f"has other pixel columns than the first shard of {sensor}")
    return columns


def dump_columns(columns: Columns) -> bytes:
    """JSON of pixel columns, for `PIXELS`."""
    names = {
        sensor: {
            field.name: {key.decode(): value.decode() for key, value in field.metadata.items()} for field in fields
        }
        for sensor, fields in columns.items()
    }
    return json.dumps(names).encode()


def parse_columns(path: Path, text: bytes | None, patch_px: int) -> dict[str, list[pa.Field]]:
    """Pixel columns by sensor.

    Args:
        path: The index, for errors.
        text: Its metadata `PIXELS`.
        patch_px: Edge of the samples in pixels of the finest bands.

    Raises:
        InvalidCorpus: it does not describe pixel columns of such samples.
    """
    with reporting_damage(path):
        columns = {
            sensor: [
                pa.field(name, pa.binary(), nullable=False, metadata=metadata) for name, metadata in fields.items()
            ]
            for sensor, fields in json.loads(text or b"").items()
        }
        for fields in columns.values():
            _check_columns(fields, patch_px)
    return columns


def _check_columns(fields: Sequence[pa.Field], patch_px: int) -> None:
    """Check the columns of a sensor.

    Raises:
        ValueError, LookupError, TypeError: they do not describe pixels.
    """
    groups = [parse_group(field) for field in fields]
    dtype, scale, unit, nodata, _ = (fields[0].metadata[key] for key in _OF_SENSOR)
    limits = np.iinfo(np.dtype(dtype.decode()))
    if (
        dtype.decode() not in _DTYPES
        or any(field.metadata[key] != fields[0].metadata[key] for field in fields for key in _OF_SENSOR)
        or not 0 < float(scale) < math.inf
        or not limits.min <= int(nodata) <= limits.max
        or not unit
    ):
        raise ValueError("its metadata have impossible types, units or scales of pixels")
    for group in groups:
        n_bands, rows, cols = group.shape
        if n_bands != len(group.bands) or min(group.shape) < 1 or not rows == cols == patch_px / group.factor:
            raise ValueError(f"its metadata have an impossible shape of pixels, {group.shape}")
    bands, order = [band for group in groups for band in group.bands], band_order(fields)
    if len(set(bands)) != len(bands) or sorted(bands) != sorted(order) or not all(isinstance(b, str) for b in bands):
        raise ValueError(f"its metadata have impossible bands, {bands}")
