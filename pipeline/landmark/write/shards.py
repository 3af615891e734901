"""The external shuffle: rows of all staging files → the planned shards, in the planned order."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from landmark.core.atomic import appearing, sweep, write_bytes
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import Shard
from landmark.corpus.pixels import band_order, group_of, nodata_of, pixel_fields
from landmark.domain.schemas import INDEX
from landmark.write.staging import Status, open_staging

_GROUP_ROWS = 64
_GENERATION = 0

# Per band: number of valid pixels, sum and sum of squares of stored values. Whole numbers, so that any order of
# adding agrees.
Moments = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to write: where each of its rows lies, in order, and the pair of each."""

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
        """Relative to the corpus."""
        return f"shards/g{_GENERATION:04d}/{self.sensor}-{self.split}-{self.k:05d}-of-{self.of:05d}.parquet"


def shard_tasks(corpus: Path, plan: pa.Table, status: Status, schemas: Mapping[str, pa.Schema]) -> list[ShardTask]:
    """The planned shards with the rows that were written.

    A pair that was not written is no pair. Empty shards are left out.
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


def write_shard(task: ShardTask) -> tuple[Shard, Moments]:
    """Write one shard, whole, and measure what the manifest says of it."""
    content, moments, target = hashlib.sha256(), _Moments(pixel_fields(task.schema)), task.corpus / task.path
    with appearing(target) as partial, _writing(partial, task.schema) as writer:
        for group in _row_groups(task):
            writer.write_table(group, row_group_size=_GROUP_ROWS)
            for row in group.to_pylist():
                content.update(canonical(row))
                moments.add(row)
    shard = Shard(
        path=task.path,
        generation=_GENERATION,
        sensor=task.sensor,
        split=task.split,
        k=task.k,
        rows=len(task.rows),
        size_bytes=target.stat().st_size,
        sha256=file_sha256(target),
        content=content.hexdigest(),
    )
    return shard, moments.total


def rewrite_shard(corpus: Path, shard: Shard, path: str, groups: Iterable[pa.Table], *, generation: int) -> Shard:
    """Write the rows of a shard once more, with other words, as a shard of another generation."""
    content, target, rows = hashlib.sha256(), corpus / path, iter(groups)
    first = next(rows)
    with appearing(target) as partial, _writing(partial, first.schema) as writer:
        for group in chain([first], rows):
            writer.write_table(group, row_group_size=_GROUP_ROWS)
            for row in group.select(INDEX.names).to_pylist():
                content.update(canonical(row))
    found = {"size_bytes": target.stat().st_size, "sha256": file_sha256(target), "content": content.hexdigest()}
    return shard.model_copy(update={"path": path, "generation": generation, **found})


def _writing(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    pixels = {field.name for field in pixel_fields(schema)}
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=[name for name in schema.names if name not in pixels],
    )


def packing_folder(corpus: Path, tasks: Sequence[ShardTask], key: str) -> Path:
    """Make the shards' folder, clear it of what no task names, and return where the written ones are noted.

    `key` names the set of samples: shards packed from another set are no use.
    """
    shards, notes = corpus / "shards" / f"g{_GENERATION:04d}", corpus / "staging" / f"packed-{key}"
    for folder in (shards, notes):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    named = {Path(task.path).name for task in tasks}
    for path in shards.iterdir():
        if path.name not in named:
            path.unlink()
    return notes


def note_packed(folder: Path, task: ShardTask, packed: tuple[Shard, Moments]) -> None:
    """Remember a written shard, so that an interrupted sealing goes on where it stopped."""
    shard, moments = packed
    note = json.dumps({"shard": shard.model_dump(mode="json"), "moments": moments})
    write_bytes(folder / f"{Path(task.path).stem}.json", note.encode())


def read_packed(folder: Path, task: ShardTask) -> tuple[Shard, Moments] | None:
    """What `note_packed` remembers of a task, None where its shard is still to be written."""
    note = folder / f"{Path(task.path).stem}.json"
    if not note.is_file() or not (task.corpus / task.path).is_file():
        return None
    said = json.loads(note.read_bytes())
    return Shard(**said["shard"]), {band: tuple(sums) for band, sums in said["moments"].items()}


def _row_groups(task: ShardTask) -> Iterator[pa.Table]:
    staged = {path: _Rows(open_staging(path)) for path in dict.fromkeys(path for path, _ in task.rows)}
    for start in range(0, len(task.rows), _GROUP_ROWS):
        stop = start + _GROUP_ROWS
        group = pa.Table.from_batches(staged[path].row(number) for path, number in task.rows[start:stop])
        group = group.combine_chunks()
        for name, values in (("pair", task.pairs), ("pair_gap_s", task.gaps_s)):
            place = group.schema.get_field_index(name)
            group = group.set_column(place, name, pa.array(values[start:stop], group.schema.field(name).type))
        yield pa.table(group.columns, schema=task.schema)


class _Rows:
    """The rows of a staging file, one by one, of its batches: slicing a whole table costs as much as it has of them."""

    def __init__(self, table: pa.Table) -> None:
        self._batches = table.drop_columns("outcome").to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def row(self, number: int) -> pa.RecordBatch:
        """One of them."""
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._batches[place].slice(number - int(self._starts[place]), 1)


def canonical(row: Mapping[str, Any]) -> bytes:
    """Bytes that stand for a row's id, pixels (by their digest) and facts, whatever library wrote the file."""
    facts = {name: row[name].hex() if isinstance(row[name], bytes) else row[name] for name in INDEX.names}
    return json.dumps(facts, sort_keys=True, default=str, separators=(",", ":")).encode()


class _Moments:
    """Adds up the pixels of a shard."""

    def __init__(self, fields: list[pa.Field]) -> None:
        self._names, self._nodata = band_order(fields), nodata_of(fields)
        groups = [(field.name, group_of(field)) for field in fields]
        self._groups = [(name, group, [self._names.index(band) for band in group.bands]) for name, group in groups]
        self._sums = np.zeros((len(self._names), 3), dtype=np.int64)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a sample in."""
        for name, group, places in self._groups:
            stored = np.frombuffer(row[name], group.dtype).reshape(len(places), -1)
            valid = stored != self._nodata
            # Whole numbers below 2^53, which doubles hold.
            numbers = np.where(valid, stored, 0).astype(np.float64)
            sums = np.stack([valid.sum(axis=1), numbers.sum(axis=1), np.einsum("ij,ij->i", numbers, numbers)], axis=1)
            self._sums[places] += group.factor**2 * sums.astype(np.int64)

    @property
    def total(self) -> Moments:
        """Number, sum and sum of squares per band."""
        return {name: (int(n), int(s), int(q)) for name, (n, s, q) in zip(self._names, self._sums, strict=True)}
