"""The Arrow schemas of the tables that travel between stages and lie in a corpus.

Fixed: later work adds columns, renames none.
"""

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Sensor

UTC = pa.timestamp("us", tz="UTC")

# Every candidate square. x, y: left and top edge in metres of `epsg`; lon, lat: centre, degrees.
CELLS = pa.schema(
    {
        "cell": pa.string(),
        "epsg": pa.int32(),
        "x": pa.float64(),
        "y": pa.float64(),
        "lon": pa.float64(),
        "lat": pa.float64(),
        "majortom": pa.string(),
        "block": pa.string(),
    }
)


def cover_schema(sources: Iterable[str], *, events: bool = False) -> pa.Schema:
    """Joint histogram: a row per combination of codes in a cell and period.

    `codes` and `editions` stand in the order of `sources`, -1 where a source has none; an edition is a number in the
    lock's `editions`, the same in all rows of a cell and period. With `events`, one code more is the number of a mark
    in the lock's `marks`. Without a source there is one edition, -1: Parquet has no lists of length 0.
    """
    names = list(sources)
    return pa.schema(
        {
            "cell": pa.string(),
            "period": pa.string(),
            "codes": pa.list_(pa.int32(), len(names) + events),
            "pixels": pa.int64(),
            "editions": pa.list_(pa.int32(), max(len(names), 1)),
        },
        metadata={"sources": json.dumps([*names, "events"] if events else names)},
    )


# What the quality mask of an acquisition shows in a cell: pixels of each mask class.
CLEAR = pa.schema({"cell": pa.string(), "acquisition": pa.string(), "code": pa.int16(), "pixels": pa.int32()})

# One row a planned sample. `rank` orders the rows of a shard; `pair_gap_s` is this sample's time minus its pair's.
# `role` says what an event recipe takes it for, and `event` of which event; null in other recipes.
PLAN = pa.schema(
    {
        "id": pa.string(),
        "sensor": pa.string(),
        "cell": pa.string(),
        "acquisition": pa.string(),
        "period": pa.string(),
        "split": pa.string(),
        "shard": pa.int32(),
        "rank": pa.uint64(),
        "pair": pa.string(),
        "pair_gap_s": pa.int64(),
        "role": pa.string(),
        "event": pa.string(),
        **{name: CELLS.field(name).type for name in ("epsg", "x", "y", "lon", "lat", "majortom", "block")},
    }
)

# `events.parquet`: the ground of each part of each event the plan knows of, EPSG:4326.
EVENT_PARTS = pa.schema(
    {
        **{name: pa.string() for name in ("id", "group", "type", "source", "product")},
        **dict.fromkeys(("start", "end", "observed"), UTC),
        "magnitude": pa.float32(),
        "part": pa.string(),
        "geometry": pa.binary(),
    }
)

LEDGER = pa.schema(
    {name: pa.string() for name in ("id", "acquisition", "stage", "reason", "detail")} | {"final": pa.bool_()}
)

_EVENT = pa.struct(
    {
        "id": pa.string(),
        "type": pa.string(),
        "phase": pa.string(),
        "fraction": pa.float32(),
        "in_aoi": pa.bool_(),
        "product": pa.string(),
        "days": pa.float32(),
        "label": pa.string(),
        "grade": pa.string(),
        "distance_km": pa.float32(),
        "magnitude": pa.float32(),
    }
)
_SOURCE = pa.struct(
    {
        "name": pa.string(),
        "version": pa.string(),
        "year": pa.int16(),
        "gap_days": pa.int32(),
        "agreement": pa.float32(),
    }
)
# Evidence: characters [start, end) of the text state this fact.
_EVIDENCE = pa.struct({"start": pa.int32(), "end": pa.int32(), "fact": pa.string()})
_CAPTION = pa.struct(
    {
        "style": pa.string(),
        "lang": pa.string(),
        "text": pa.string(),
        "template": pa.string(),
        "evidence": pa.list_(_EVIDENCE),
    }
)
# The nearest place of the recipe's gazetteer, its other names by language, and the way from it to the image's centre.
_PLACE = pa.struct(
    {
        "name": pa.string(),
        "names": pa.list_(pa.struct({"lang": pa.string(), "name": pa.string()})),
        "km": pa.float32(),
        "bearing_deg": pa.float32(),
    }
)
# Evidence: the facts an answer rests on.
_QUESTION = pa.struct(
    {
        "lang": pa.string(),
        "kind": pa.string(),
        "question": pa.string(),
        "answer": pa.string(),
        "evidence": pa.list_(pa.string()),
    }
)
# A caption that is true but for one fact: `instead` is said in place of `falsified`.
_HARD_NEGATIVE = pa.struct(
    {name: pa.string() for name in ("style", "lang", "text", "template", "falsified", "instead")}
)


def _required(name: str, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, nullable=False)


# What a sample is, all but its pixels. Nullable where the provider may not say or the cell has no such fact.
INDEX = pa.schema(
    [
        _required("id", pa.string()),
        _required("sensor", pa.string()),
        _required("cell", pa.string()),
        _required("majortom", pa.string()),
        _required("split", pa.string()),
        pa.field("role", pa.string()),
        _required("datetime", UTC),
        _required("epsg", pa.int32()),
        _required("transform", pa.list_(pa.float64(), 6)),
        _required("lon", pa.float64()),
        _required("lat", pa.float64()),
        _required("geometry", pa.binary()),
        pa.field("platform", pa.string()),
        pa.field("orbit_direction", pa.string()),
        pa.field("relative_orbit", pa.int16()),
        pa.field("baseline", pa.string()),
        _required("product", pa.string()),
        _required("items", pa.list_(pa.string())),
        pa.field("offset_rule", pa.string()),
        pa.field("dark_dn", pa.int32()),
        _required("valid_pct", pa.float32()),
        pa.field("cloud_pct", pa.float32()),
        pa.field("shadow_pct", pa.float32()),
        pa.field("snow_pct", pa.float32()),
        pa.field("pair", pa.string()),
        pa.field("pair_gap_s", pa.int64()),
        _required("labels", pa.list_(pa.string())),
        _required("fractions", pa.map_(pa.string(), pa.float32())),
        _required("label_valid_pct", pa.float32()),
        _required("finer", pa.map_(pa.string(), pa.float32())),
        _required("agreement", pa.map_(pa.string(), pa.float32())),
        _required("sources", pa.list_(_SOURCE)),
        _required("events", pa.list_(_EVENT)),
        pa.field("place", _PLACE),
        _required("captions", pa.list_(_CAPTION)),
        _required("questions", pa.list_(_QUESTION)),
        _required("hard_negatives", pa.list_(_HARD_NEGATIVE)),
        _required("licences", pa.list_(pa.string())),
        _required("sha256", pa.string()),
    ]
)


def shard_schema(sensor: Sensor, patch_px: int) -> pa.Schema:
    """INDEX and the sensor's pixel columns; each pixel column's metadata says how to read it without landmark."""
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
    """A shard's columns, all nullable, and the outcome that stands in place of a sample."""
    fields = [field.with_nullable(True).remove_metadata() for field in shard_schema(sensor, patch_px)]
    return pa.schema([*fields, pa.field("outcome", pa.struct(list(LEDGER)))])


def runs(*columns: pa.ChunkedArray) -> NDArray[np.int64]:
    """Where stretches of rows that are equal in some columns of a sorted table begin, and where the last one ends."""
    count = len(columns[0])
    begins = np.arange(count) == 0
    for column in columns:
        differ = pc.not_equal(column.slice(1), column.slice(0, max(count - 1, 0)))
        begins[1:] |= differ.to_numpy()
    return np.append(np.flatnonzero(begins), count)
