"""Rows of a corpus with random pixels and facts, staged and packed as by a build."""

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from landmark.config.profiles import load_sensor
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.domain.drops import DropRecord
from landmark.domain.schemas import PLAN
from landmark.write.shards import PackedShard, shard_tasks, write_shard
from landmark.write.staging import Staging, write_staging

PATCH_PX = 12
SENSORS = {name: load_sensor(name) for name in ("s1", "s2")}
SCHEMAS = {name: shard_schema(sensor, PATCH_PX) for name, sensor in SENSORS.items()}
Row = dict[str, Any]


def pixels(sensor: str, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Random stored arrays, a tenth of them no data."""
    groups = {}
    for group in SENSORS[sensor].groups:
        kind = np.dtype(SENSORS[sensor].dtype)
        values = chance.integers(np.iinfo(kind).min, np.iinfo(kind).max, group.shape(PATCH_PX), endpoint=True).astype(
            kind
        )
        values[chance.random(values.shape) < 0.1] = SENSORS[sensor].nodata
        groups[group.column] = values
    return groups


def sample_row(id: str, seed: int, **changes: Any) -> Row:
    """A staged row as `workflow.task` makes it."""
    chance, sensor = np.random.default_rng(seed), id[:2]
    groups, lon, lat = pixels(sensor, chance), float(chance.uniform(-170, 170)), float(chance.uniform(-80, 80))
    optional = chance.random() < 0.5
    return {
        "id": id,
        "sensor": sensor,
        "cell": f"32n_{seed}_1",
        "majortom": "637U_59R",
        "split": "train",
        "datetime": dt.datetime(2021, 6, 1, 10, 0, int(seed) % 60, tzinfo=dt.UTC),
        "epsg": 32632,
        "transform": [10.0, 0.0, 600_000.0 + 1200 * seed, 0.0, -10.0, 5_040_000.0],
        "lon": lon,
        "lat": lat,
        "geometry": shapely.to_wkb(shapely.box(lon, lat, lon + 0.01, lat + 0.01)),
        "platform": "sentinel-2a" if optional else None,
        "orbit_direction": "descending" if optional else None,
        "relative_orbit": 22 if optional else None,
        "baseline": "04.00" if sensor == "s2" else None,
        "product": "P",
        "items": ["one", "two"][: 1 + seed % 2],
        "offset_rule": "baseline 04.00: 1000" if sensor == "s2" else None,
        "dark_dn": 1100 if sensor == "s2" else None,
        "valid_pct": float(np.float32(chance.uniform(95, 100))),
        "cloud_pct": 3.5 if sensor == "s2" else None,
        "shadow_pct": 0.0 if sensor == "s2" else None,
        "snow_pct": None,
        "pair": None,
        "pair_gap_s": None,
        "role": None,
        "labels": ["trees", "water"][: seed % 3],
        "fractions": [("trees", 0.75), ("water", 0.25)],
        "label_valid_pct": 100.0,
        "subclasses": [("worldcover/tree_cover", 0.75), ("worldcover/permanent_water_bodies", 0.25)],
        "agreement": [("trees", 0.5)],
        "sources": [{"name": "worldcover", "version": "2", "year": 2021, "gap_days": 0, "agreement": None}],
        "events": [],
        "captions": [
            {"style": "structured", "lang": "en", "text": "trees. water", "template": "structured@1",
             "evidence": [{"start": 0, "end": 5, "fact": "label:trees"}]}
        ],
        "place": None,
        "questions": [],
        "hard_negatives": [],
        "licences": ["CC-BY-4.0"],
        "sha256": hashlib.sha256(b"".join(group.tobytes() for group in groups.values())).hexdigest(),
        **{column: group.tobytes() for column, group in groups.items()},
        **changes,
    }  # fmt: skip


def failure(id: str, reason: str = "read_error") -> DropRecord:
    """A drop record in place of a sample."""
    return DropRecord(id, "a", "extract", reason, "because")


def plan_of(rows: list[Row], **changes: Any) -> pa.Table:
    """The plan of some rows; `changes` maps an id to columns."""
    blank = {
        "acquisition": "a",
        "period": "2021",
        "role": None,
        "event": None,
        "shard": 0,
        "x": 0.0,
        "y": 0.0,
        "block": "b",
    }
    planned = []
    for number, row in enumerate(rows):
        plan_row = {**blank, **row, "rank": number, **changes.get(row["id"], {})}
        planned.append({name: plan_row[name] for name in PLAN.names})
    return pa.Table.from_pylist(planned, schema=PLAN)


def stage(
    corpus: Path, task: str, rows: list[Row | DropRecord], sensor: str | None = None, *, patch_px: int = PATCH_PX
) -> Path:
    """Write the next attempt of a task."""
    staging = Staging(corpus)
    staging.open()
    path = staging.path(task, staging.tries()[task])
    name = sensor or rows[0]["id"][:2]
    write_staging(path, rows, staging_schema(SENSORS[name], patch_px))
    return path


def pack(corpus: Path, plan: pa.Table, *, patch_px: int = PATCH_PX) -> list[PackedShard]:
    """Write every shard of a plan."""
    schemas = {name: shard_schema(sensor, patch_px) for name, sensor in SENSORS.items()}
    tasks = shard_tasks(corpus, plan, Staging(corpus).status(), schemas)
    for task in tasks:
        (corpus / task.path).parent.mkdir(parents=True, exist_ok=True)
    return [write_shard(task) for task in tasks]
