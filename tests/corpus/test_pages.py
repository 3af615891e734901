"""Pages of pixel columns: found and decoded as Arrow reads them, and refused in bounded time where damaged."""

import math
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.corpus.pages import PREFIX_BYTES, DamagedPage, decode_page, find_pages
from landmark.corpus.pixels import pixel_fields
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.corpus.thrift import parse_struct
from landmark.write.shards import ShardTask, write_shard
from landmark.write.staging import write_staging
from tests.parts import raises
from tests.write.rows import pack, plan_of, sample_row, stage


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard of 70 samples of Sentinel-2."""
    rows: list[Any] = [sample_row(f"s2_{number:03d}", number) for number in range(70)]
    stage(tmp_path, "task", rows)
    (packed,) = pack(tmp_path, plan_of(rows))
    return tmp_path / packed.path


def page_of(shard: Path, row: int, column: int) -> tuple[bytes, int, int]:
    """A page, the size of its header, and its checksum."""
    offset, size, *pinned = (int(numbers[row, column]) for numbers in find_pages(shard))
    return shard.read_bytes()[offset:][:size], *pinned


def decoded(page: bytes, header_bytes: int, checksum: int, value_bytes: int) -> bytes:
    out = np.zeros(PREFIX_BYTES + value_bytes, np.uint8)
    decode_page(page, header_bytes, checksum, out)
    return out[PREFIX_BYTES:].tobytes()


def test_pages_hold_what_arrow_reads(shard: Path) -> None:
    table, data = pq.read_table(shard), shard.read_bytes()
    pages = find_pages(shard)
    assert {numbers.dtype for numbers in pages} == {np.dtype(np.int64)}
    names = [field.name for field in pixel_fields(table.schema)]
    assert {numbers.shape for numbers in pages} == {(70, len(names))}
    for column, name in enumerate(names):
        for row, value in enumerate(table[name].to_pylist()):
            offset, size, *pinned = (int(numbers[row, column]) for numbers in pages)
            page = data[offset:][:size]
            assert pinned[1] == zlib.crc32(page) and decoded(page, *pinned, len(value)) == value


@pytest.mark.parametrize(("name", "patch_px"), [("s1", 6), ("s1", 120), ("s2", 6), ("s2", 36), ("s2", 120)])
def test_samples_of_any_size_have_a_page_each(name: str, patch_px: int, tmp_path: Path) -> None:
    sensor, chance = load_sensor(name), random.Random(0)
    sizes = {group.column: 2 * math.prod(group.shape(patch_px)) for group in sensor.groups}
    # Zeros and noise: the smallest and largest pages.
    contents = [{column: bytes(size) for column, size in sizes.items()}]
    contents += [{column: chance.randbytes(size) for column, size in sizes.items()} for _ in range(2)]
    rows = [sample_row(f"{name}_{number}", number, **content) for number, content in enumerate(contents)]
    write_staging(tmp_path / "rows.arrow", [*rows], staging_schema(sensor, patch_px))
    places, nulls = tuple((tmp_path / "rows.arrow", number) for number in range(3)), (None,) * 3
    task = ShardTask(tmp_path, name, "train", 0, 1, shard_schema(sensor, patch_px), places, nulls, nulls)
    path = tmp_path / task.path
    path.parent.mkdir(parents=True)
    write_shard(task)
    for row, content in enumerate(contents):
        for column, value in enumerate(content.values()):
            assert decoded(*page_of(path, row, column), len(value)) == value


@pytest.mark.parametrize(
    "options",
    [
        {"write_page_index": False},
        {"data_page_size": 2**20},
        {"compression": "none"},
        {"compression": "snappy"},
    ],
)
def test_shards_without_a_page_a_sample_are_refused(options: dict[str, Any], shard: Path) -> None:
    usual: dict[str, Any] = {
        "write_page_index": True,
        "data_page_size": 1,
        "write_batch_size": 1,
        "use_dictionary": False,
    }
    pq.write_table(pq.read_table(shard), shard, **{"compression": "zstd", **usual, **options})
    with raises(InvalidCorpus, name=shard.name):
        find_pages(shard)


def test_changed_bytes_of_a_page_are_refused_or_harmless(shard: Path) -> None:
    value = pq.read_table(shard)["s2_x6"][3].as_py()
    (page, header_bytes, checksum), chance = page_of(shard, 3, 2), random.Random(1)
    for changed in mutations(page, chance, 3000):
        for known in (checksum, zlib.crc32(changed)):
            try:
                decompressed = decoded(changed, header_bytes, known, len(value))
            except DamagedPage:
                continue
            assert known != checksum or decompressed == value


@pytest.mark.parametrize("difference", [-1, 1, 10**6])
def test_a_page_of_another_size_is_refused(difference: int, shard: Path) -> None:
    value = pq.read_table(shard)["s2_x6"][3].as_py()
    with pytest.raises(DamagedPage):
        decoded(*page_of(shard, 3, 2), len(value) + difference)


def test_changed_bytes_of_footer_and_page_index_are_refused_or_lead_to_pages_inside(shard: Path) -> None:
    data, chance = shard.read_bytes(), random.Random(2)
    pages = find_pages(shard)
    start = int((pages.offsets + pages.sizes).max())
    for tail in mutations(data[start:], chance, 200):
        shard.write_bytes(data[:start] + tail)
        try:
            changed = find_pages(shard)
        except InvalidCorpus as error:
            assert str(error.file) == str(shard)
        else:
            assert changed.offsets.shape == pages.offsets.shape
            assert (changed.offsets >= 0).all()
            assert (changed.offsets + changed.sizes <= len(data[:start] + tail)).all()


def test_changed_bytes_of_page_headers_are_refused_or_harmless(shard: Path) -> None:
    data, chance = shard.read_bytes(), random.Random(3)
    pages = find_pages(shard)
    start = int(pages.offsets[3, 2])
    end = start + int(pages.header_sizes[3, 2])
    for header in mutations(data[start:end], chance, 200):
        shard.write_bytes(data[:start] + header[: end - start].ljust(end - start, b"\0") + data[end:])
        try:
            changed = find_pages(shard)
        except InvalidCorpus as error:
            assert str(error.file) == str(shard)
        else:
            assert (changed.offsets + changed.sizes <= len(data)).all()


def test_a_footer_with_another_number_of_rows_is_refused_at_once(shard: Path) -> None:
    data = shard.read_bytes()
    end = len(data) - 8
    start = end - int.from_bytes(data[end : end + 4], "little")
    # Of row groups, columns and file; 2**40 in place of 70.
    number, huge = b"\x16\x8c\x01", b"\x16" + b"\x80" * 5 + b"\x40"
    places = [place for place in range(start, end) if data.startswith(number, place)]
    shapes = []
    for place in places:
        footer = data[start:place] + huge + data[place + len(number) : end]
        shard.write_bytes(data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:])
        try:
            shapes.append(find_pages(shard)[0].shape[0])
        except InvalidCorpus:
            continue
    assert len(shapes) < len(places) and set(shapes) <= {70}


def mutations(data: bytes, chance: random.Random, count: int) -> list[bytes]:
    """Copies of some bytes: a byte changed, cut off, repeated, exchanged with others or replaced by an extreme."""
    copies = []
    for _ in range(count):
        first, second = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        byte = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])])
        copies.append(
            chance.choice(
                [
                    data[:first] + byte + data[first + 1 :],
                    data[:first],
                    data[:first] + data[second:],
                    data[:second] + data[first:],
                    data[:first] + byte * chance.choice([1, 5, 100]) + data[first:],
                    data[:first] + chance.randbytes(8) + data[first + 8 :],
                ]
            )
        )
    return copies


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",
        b"\x1c" * 10**5,
        b"\x19" + b"\x19" * 10**5,
        b"\x19\xf1" + b"\xff" * 9 + b"\x01",
        b"\x18\xff\xff\xff\xff\x0f",
        b"\x1b\xff\xff\xff\xff\x0f\x11",
        b"\x15" + b"\xff" * 100,
        b"\x1f\x00",
        b"\x17\x00",
    ],
)
def test_impossible_structs_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_struct(data)


def test_structs_have_values_of_all_types() -> None:
    double = struct.pack("<d", 1.5)
    data = (
        b"\x11\x12\x13\x05\x14\x03\x16\x04\x17"
        + double
        + b"\x18\x02ab\x19\x25\x02\x04\x1b\x01\x58\x02\x01c\x1c\x15\x02\x00\x00"
    )
    fields, size = parse_struct(data)
    assert fields == {1: True, 2: False, 3: 5, 4: -2, 5: 2, 6: 1.5, 7: b"ab", 8: [1, 2], 9: [1, b"c"], 10: {1: 1}}
    assert size == len(data)
