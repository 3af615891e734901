"""The description of pixel columns in the index: that of the shards, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from landmark.core.errors import InvalidCorpus
from landmark.corpus.pixel_columns import dump_columns, parse_columns, shards_columns
from landmark.corpus.pixels import pixel_fields
from tests.parts import raises
from tests.write.rows import PATCH_PX, SCHEMAS, pack, plan_of, sample_row, stage

FIELDS = {sensor: pixel_fields(schema) for sensor, schema in SCHEMAS.items()}
INDEX = Path("index.parquet")

Damage = Callable[[dict[str, Any]], object]


def test_the_index_has_what_the_shards_have(tmp_path: Path) -> None:
    rows = [sample_row(f"{sensor}_001", 1) for sensor in ("s1", "s2")]
    for row in rows:
        stage(tmp_path, row["id"], [row])
    packed = pack(tmp_path, plan_of(rows))
    columns = shards_columns([(shard.sensor, tmp_path / shard.path) for shard in packed])
    assert columns == FIELDS
    parsed = parse_columns(INDEX, dump_columns(columns), PATCH_PX)
    assert parsed == FIELDS
    assert [field.metadata for field in parsed["s2"]] == [field.metadata for field in FIELDS["s2"]]
    radar_shard = next(tmp_path / shard.path for shard in packed if shard.sensor == "s1")
    with raises(InvalidCorpus, file=str(radar_shard)):
        shards_columns([*((shard.sensor, tmp_path / shard.path) for shard in packed), ("s2", radar_shard)])


def change(column: str, key: str, value: object) -> Damage:
    return lambda columns: columns["s2"][column].update({key: value})


@pytest.mark.parametrize(
    "damage",
    [
        change("s2_x1", "dtype", "<f4"),
        change("s2_x1", "dtype", "|O"),
        change("s2_x1", "nodata", "70000"),
        change("s2_x1", "scale", "nan"),
        change("s2_x1", "unit", ""),
        change("s2_x2", "unit", "dB"),
        change("s2_x1", "factor", "0"),
        change("s2_x1", "factor", "-1"),
        change("s2_x2", "factor", "5"),
        change("s2_x1", "shape", "[4, 12, 13]"),
        change("s2_x1", "shape", "[3, 12, 12]"),
        change("s2_x1", "bands", '["B02", "B02", "B04", "B08"]'),
        change("s2_x1", "bands", '["B02", "B03", "B04", "B10"]'),
        change("s2_x1", "order", "[]"),
        change("s2_x1", "bands", 3),
        lambda columns: columns["s2"]["s2_x1"].pop("unit"),
        lambda columns: columns["s2"].pop("s2_x2"),
        lambda columns: columns["s2"].clear(),
    ],
)
def test_descriptions_of_other_pixels_are_refused(damage: Damage) -> None:
    columns = json.loads(dump_columns(FIELDS))
    damage(columns)
    with raises(InvalidCorpus, file=str(INDEX)):
        parse_columns(INDEX, json.dumps(columns).encode(), PATCH_PX)


@pytest.mark.parametrize("text", [None, b"", b"[]", b"{", b'{"s2": 3}', b"\xff", b"[" * 100_000])
def test_text_that_describes_nothing_is_refused(text: bytes | None) -> None:
    with raises(InvalidCorpus, file=str(INDEX)):
        parse_columns(INDEX, text, PATCH_PX)
