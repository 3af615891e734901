"""External shuffle: rows of all staging files → the planned shards, in the planned order."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.atomic import HashedFile, atomic_file
from landmark.core.corpus_paths import writable
from landmark.corpus.manifest import Shard
from landmark.corpus.pixels import parse_group, pixel_fields
from landmark.corpus.tables import reporting_damage
from landmark.domain.schemas import INDEX
from landmark.write.moments import Moments, MomentSums
from landmark.write.staged_rows import StagedRows
from landmark.write.staging import STAGING, Status

# A page a sample costs readers of row groups a tenth; twice as many rows in a group give it back, as each column has
# less to set up.
_GROUP_ROWS = 128
# Staged rows that are in memory twice, in their files and as a copy. A column of pixels may consist of such copies, as
# each of its pages holds a value.
_PART_ROWS = 32
_GENERATION = 0
_FACTS = INDEX.names
# Pages are collected and written together: each write hashes, and waits for the interpreter.
_WRITE_BYTES = 2**22


class PackedShard(Shard):
    """A written shard and the moments of its pixels."""

    moments: Moments

    @property
    def shard(self) -> Shard:
        """The shard as the manifest records it."""
        return Shard(**self.model_dump(exclude={"moments"}))


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to write: its rows in order, as (staging file, row), and the pair of each."""

    corpus: Path
    sensor: str
    split: str
    k: int
    of: int
    schema: pa.Schema
    rows: tuple[tuple[Path, int], ...]
    pairs: tuple[str | None, ...]
    gaps_s: tuple[int | None, ...]

    @property
    def path(self) -> str:
        """Relative to the corpus folder."""
        return f"shards/g{_GENERATION:04d}/{self.sensor}-{self.split}-{self.k:05d}-of-{self.of:05d}.parquet"


def shard_tasks(corpus: Path, plan: pa.Table, status: Status, schemas: Mapping[str, pa.Schema]) -> list[ShardTask]:
    """Return the planned shards with the rows that were written; empty shards are omitted.

    A sample whose pair was not written becomes unpaired.
    """
    ordered = plan.sort_by([(name, "ascending") for name in ("sensor", "split", "shard", "rank", "id")])
    count: dict[str, int] = {}
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    columns = ordered.select(["id", "sensor", "split", "shard", "pair", "pair_gap_s"])
    for row in columns.to_pylist():
        count[row["split"]] = max(count.get(row["split"], 0), row["shard"] + 1)
        if row["id"] in status.written:
            groups.setdefault((row["sensor"], row["split"], row["shard"]), []).append(row)
    return [
        ShardTask(
            corpus,
            sensor,
            split,
            k,
            count[split],
            schemas[sensor],
            tuple(status.written[row["id"]] for row in rows),
            tuple(row["pair"] if row["pair"] in status.written else None for row in rows),
            tuple(row["pair_gap_s"] if row["pair"] in status.written else None for row in rows),
        )
        for (sensor, split, k), rows in groups.items()
    ]


def write_shard(task: ShardTask) -> PackedShard:
    """Write one shard atomically; digests and moments are taken on the way. Runs in a worker.

    Raises:
        InvalidCorpus: a staging file is damaged.
    """
    content, moments = hashlib.sha256(), MomentSums(pixel_fields(task.schema))
    with (
        atomic_file(writable(task.corpus, task.path)) as file,
        closing(_encode(file, task.schema, _row_groups(task), _GROUP_ROWS)) as groups,
    ):
        for group in groups:
            for row in group.select(_FACTS).to_pylist():
                content.update(canonical(row))
            with reporting_damage(task.corpus / STAGING):
                moments.add(group)
    return PackedShard(
        path=task.path,
        generation=_GENERATION,
        sensor=task.sensor,
        split=task.split,
        k=task.k,
        rows=len(task.rows),
        group_rows=_GROUP_ROWS,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        content_digest=content.hexdigest(),
        moments=moments.total,
    )


def rewrite_shard(corpus: Path, shard: Shard, path: str, groups: Iterable[pa.Table], *, generation: int) -> Shard:
    """Write the rows of a shard again, with other facts and captions, as a shard of another generation."""
    content, tables = hashlib.sha256(), iter(groups)
    first = next(tables)
    with (
        atomic_file(writable(corpus, path)) as file,
        closing(_encode(file, first.schema, chain([first], tables), shard.group_rows)) as written,
    ):
        for group in written:
            for row in group.select(_FACTS).to_pylist():
                content.update(canonical(row))
    return shard.model_copy(
        update={
            "path": path,
            "generation": generation,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "content_digest": content.hexdigest(),
        }
    )


def _encode(
    file: HashedFile, schema: pa.Schema, groups: Iterable[pa.Table], group_rows: int
) -> Generator[pa.Table, None, None]:
    """Write row groups as Parquet, and yield each while a thread encodes it."""
    with _parquet_writer(file, schema) as writer, ThreadPoolExecutor(1, thread_name_prefix="encode") as thread:
        pending: Future[None] | None = None
        for group in groups:
            if pending is not None:
                pending.result()
            pending = thread.submit(writer.write_table, group, row_group_size=group_rows)
            yield group
        if pending is not None:
            pending.result()


@contextmanager
def _parquet_writer(file: HashedFile, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer whose pages hold one pixel value, or several values of other columns, and are listed by a page index.

    Arrow ends a page with the value that reaches the page size, and looks after each batch.
    """
    pixels = {field.name: parse_group(field).size_bytes for field in pixel_fields(schema)}
    with (
        pa.BufferedOutputStream(pa.PythonFile(file, mode="w"), _WRITE_BYTES) as sink,
        pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_page_checksum=True,
            write_page_index=True,
            data_page_size=min(pixels.values()),
            write_batch_size=1,
            write_statistics=[name for name in schema.names if name not in pixels],
        ) as writer,
    ):
        yield writer


def _row_groups(task: ShardTask) -> Iterator[pa.Table]:
    pixels, staged = {field.name for field in pixel_fields(task.schema)}, StagedRows()
    for start in range(0, len(task.rows), _GROUP_ROWS):
        stop = min(start + _GROUP_ROWS, len(task.rows))
        parts = (task.rows[first : min(first + _PART_ROWS, stop)] for first in range(start, stop, _PART_ROWS))
        group = pa.concat_tables(map(staged.copy, parts))
        columns = {
            name: column if name in pixels else column.combine_chunks()
            for name, column in zip(group.column_names, group.columns, strict=True)
        }
        for name, values in (("pair", task.pairs), ("pair_gap_s", task.gaps_s)):
            columns[name] = pa.array(values[start:stop], task.schema.field(name).type)
        yield pa.table(list(columns.values()), schema=task.schema)


def canonical(row: Mapping[str, Any]) -> bytes:
    """Serialise a row's id, pixel digest and facts for the content digest, independent of library versions."""
    return _JSON.encode({name: row[name] for name in _FACTS}).encode()


def _to_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


_JSON = json.JSONEncoder(sort_keys=True, default=_to_text, separators=(",", ":"))
