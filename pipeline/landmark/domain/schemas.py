"""Arrow schemas of the tables in a corpus and between the stages of a build.

From format 1 on, columns are added and never renamed.
"""

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UTC = pa.timestamp("us", tz="UTC")

# Candidate cells. x, y: left and top edge in metres of `epsg`; lon, lat: centre in degrees.
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


# The columns of the label counts whose types are the same in all corpora.
LABEL_COUNTS = pa.schema({"cell": pa.string(), "period": pa.string(), "pixels": pa.int64()})


def label_counts_schema(sources: Iterable[str], *, events: bool = False) -> pa.Schema:
    """Joint histogram of the label sources: one row per combination of codes in a cell and period.

    `codes` and `editions` are in the order of `sources`, -1 for none; editions are indexes into the lock's `editions`
    and equal in all rows of a cell and period. With `events`, a last code is an index into the lock's
    `event_combinations`. Without a source there is one edition, -1: Parquet has no lists of length 0.
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


# Pixels of each class of an acquisition's quality mask in a cell.
CLOUD_STATS = pa.schema({"cell": pa.string(), "acquisition": pa.string(), "code": pa.int16(), "pixels": pa.int32()})

# One row per planned sample. `rank` orders the rows of a shard, and is the same for all samples of a cell.
# `pair_gap_s` is this sample's time minus its pair's. `role` and `event` are set by event sampling (affected, before,
# unaffected or distant, of which event), else null.
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

# `events.parquet`: one row per part of each event of the plan; geometry in EPSG:4326.
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

# `inputs.parquet`: the files of the lock as they were when read. `sha256` of local files, the others of remote ones,
# as far as their server gives them.
INPUTS = pa.schema(
    {
        "href": pa.string(),
        "size_bytes": pa.int64(),
        "etag": pa.string(),
        "modified": UTC,
        "sha256": pa.string(),
    }
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
# Characters [start, end) of the text state this fact.
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
# The nearest gazetteer entry, its names in other languages, and distance and bearing from it to the cell's centre.
_PLACE = pa.struct(
    {
        "name": pa.string(),
        "names": pa.list_(pa.struct({"lang": pa.string(), "name": pa.string()})),
        "km": pa.float32(),
        "bearing_deg": pa.float32(),
    }
)
# Evidence: the facts that an answer follows from.
_QUESTION = pa.struct(
    {
        "lang": pa.string(),
        "kind": pa.string(),
        "question": pa.string(),
        "answer": pa.string(),
        "evidence": pa.list_(pa.string()),
    }
)
# A caption with one wrong fact: `replacement` is stated in place of the true `falsified`.
_HARD_NEGATIVE = pa.struct(
    {name: pa.string() for name in ("style", "lang", "text", "template", "falsified", "replacement")}
)


def _required(name: str, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, nullable=False)


# All columns of a sample but its pixels. Nullable: what a provider may not publish, or a cell may not have.
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
        _required("subclasses", pa.map_(pa.string(), pa.float32())),
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

# Columns of `index.parquet` beside INDEX: place, size, size of the header, and CRC-32 of header and data of the page of
# each pixel column in the shard of the sample, in the order of the shard's columns.
PAGES = pa.schema(
    [
        _required("page_offsets", pa.list_(pa.int64())),
        _required("page_bytes", pa.list_(pa.int32())),
        _required("page_header_bytes", pa.list_(pa.int32())),
        _required("page_crc32", pa.list_(pa.uint32())),
    ]
)


def group_edges(*columns: pa.ChunkedArray) -> NDArray[np.int64]:
    """First row of each group of rows with equal values in some columns of a sorted table, and the end of the last."""
    count = len(columns[0])
    is_first = np.arange(count) == 0
    for column in columns:
        changes = pc.not_equal(column.slice(1), column.slice(0, max(count - 1, 0)))
        is_first[1:] |= changes.to_numpy()
    return np.append(np.flatnonzero(is_first), count)
