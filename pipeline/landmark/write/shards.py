"""External shuffle: rows of all staging files → the planned shards, in the planned order."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.atomic import HashedFile, atomic_file
from landmark.core.corpus_paths import writable
from landmark.corpus.manifest import Shard
from landmark.corpus.pixels import band_order, nodata_of, parse_group, pixel_fields
from landmark.corpus.tables import reporting_damage
from landmark.domain.schemas import INDEX
from landmark.write.staging import STAGING, Status, open_staging

# A page a sample costs readers of row groups a tenth; twice as many rows in a group give it back, as each column has
# less to set up.
_GROUP_ROWS = 128
_GENERATION = 0
_FACTS = INDEX.names

# Per band: number of valid pixels, sum and sum of squares of stored values. Integers, so that the order of adding
# does not matter.
Moments = dict[str, tuple[int, int, int]]


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
    content, moments = hashlib.sha256(), _MomentSums(pixel_fields(task.schema))
    with atomic_file(writable(task.corpus, task.path)) as file, _parquet_writer(file, task.schema) as writer:
        for group in _row_groups(task):
            writer.write_table(group, row_group_size=_GROUP_ROWS)
            for row in group.to_pylist():
                content.update(canonical(row))
                moments.add(row)
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
    with atomic_file(writable(corpus, path)) as file, _parquet_writer(file, first.schema) as writer:
        for group in chain([first], tables):
            writer.write_table(group, row_group_size=shard.group_rows)
            for row in group.select(INDEX.names).to_pylist():
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


def _parquet_writer(file: HashedFile, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer whose pages hold one pixel value, or several values of other columns, and are listed by a page index.

    Arrow ends a page with the value that reaches the page size, and looks after each batch.
    """
    pixels = {field.name: parse_group(field).size_bytes for field in pixel_fields(schema)}
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_page_checksum=True,
        write_page_index=True,
        data_page_size=min(pixels.values()),
        write_batch_size=1,
        write_statistics=[name for name in schema.names if name not in pixels],
    )


def _row_groups(task: ShardTask) -> Iterator[pa.Table]:
    staged = {path: _Rows(open_staging(path)) for path in dict.fromkeys(path for path, _ in task.rows)}
    for start in range(0, len(task.rows), _GROUP_ROWS):
        stop = start + _GROUP_ROWS
        with reporting_damage(task.corpus / STAGING):
            group = pa.Table.from_batches(staged[path].row(number) for path, number in task.rows[start:stop])
            group = group.combine_chunks()
            group.validate(full=True)
        for name, values in (("pair", task.pairs), ("pair_gap_s", task.gaps_s)):
            place = group.schema.get_field_index(name)
            group = group.set_column(place, name, pa.array(values[start:stop], group.schema.field(name).type))
        yield pa.table(group.columns, schema=task.schema)


class _Rows:
    """Rows of a staging file by number. Slices single batches: the cost of slicing a table grows with its batches."""

    def __init__(self, table: pa.Table) -> None:
        self._batches = table.drop_columns("outcome").to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def row(self, number: int) -> pa.RecordBatch:
        """A row as a batch of one."""
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._batches[place].slice(number - int(self._starts[place]), 1)


def canonical(row: Mapping[str, Any]) -> bytes:
    """Serialise a row's id, pixel digest and facts for the content digest, independent of library versions."""
    return _JSON.encode({name: row[name] for name in _FACTS}).encode()


def _to_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


_JSON = json.JSONEncoder(sort_keys=True, default=_to_text, separators=(",", ":"))


class _MomentSums:
    """Running sums over the pixels of a shard."""

    def __init__(self, fields: list[pa.Field]) -> None:
        self._names, self._nodata = band_order(fields), nodata_of(fields)
        groups = [(field.name, parse_group(field)) for field in fields]
        self._groups = [(name, group, [self._names.index(band) for band in group.bands]) for name, group in groups]
        self._sums = np.zeros((len(self._names), 3), dtype=np.int64)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a sample."""
        for name, group, places in self._groups:
            stored = np.frombuffer(row[name], group.dtype).reshape(len(places), -1)
            valid = stored != self._nodata
            # Integers below 2^53 are exact in float64.
            numbers = np.where(valid, stored, 0).astype(np.float64)
            sums = np.stack([valid.sum(axis=1), numbers.sum(axis=1), np.einsum("ij,ij->i", numbers, numbers)], axis=1)
            self._sums[places] += group.factor**2 * sums.astype(np.int64)

    @property
    def total(self) -> Moments:
        """Count, sum and sum of squares per band."""
        return {name: (int(n), int(s), int(q)) for name, (n, s, q) in zip(self._names, self._sums, strict=True)}
