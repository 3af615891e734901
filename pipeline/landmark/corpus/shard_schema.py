"""Arrow schemas of shards and of staging files."""

import json

import pyarrow as pa

from landmark.config.profiles import Sensor
from landmark.domain.schemas import INDEX, LEDGER


def shard_schema(sensor: Sensor, patch_px: int) -> pa.Schema:
    """Schema of a shard: INDEX and the pixel columns, whose metadata describes how to decode them."""
    pixels = [
        pa.field(
            group.column,
            pa.binary(),
            nullable=False,
            metadata={
                "dtype": sensor.dtype,
                "shape": json.dumps(group.shape(patch_px)),
                "bands": json.dumps(group.bands),
                "factor": str(group.factor),
                "scale": repr(sensor.scale),
                "unit": sensor.unit,
                "nodata": str(sensor.nodata),
                "order": json.dumps(sensor.order),
            },
        )
        for group in sensor.groups
    ]
    return pa.schema([*INDEX, *pixels], metadata={"landmark": "shard 1"})


def staging_schema(sensor: Sensor, patch_px: int) -> pa.Schema:
    """Schema of a staging file: a shard's columns, all nullable, and `outcome`, the ledger row of a dropped sample."""
    fields = [field.with_nullable(True).remove_metadata() for field in shard_schema(sensor, patch_px)]
    return pa.schema([*fields, pa.field("outcome", pa.struct(list(LEDGER)))])
