"""Defects of files: failing disks, incomplete copies, manual edits and interrupted runs."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.draft import Draft, Planted
from bench.registry import planting
from bench.reseal import refresh_entries, replace_shard
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import digest
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document

_integrity = partial(planting, "integrity")


def _on_file(name: str, of: int, act: Callable[[Path], object]) -> Planted:
    return Planted(((name,),), of, after=act)


def _shard(draft: Draft, sensor: str = "s2") -> str:
    return next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == (sensor, "train"))


def edit_manifest(corpus: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the manifest as plain JSON."""
    document = json.loads((corpus / "corpus.json").read_text())
    change(document)
    write_bytes(corpus / "corpus.json", json.dumps(document, indent=1).encode())


# -- The manifest ----------------------------------------------------------------------------------------------------


@_integrity("manifest", "planned is not written + dropped + failed")
def counts_do_not_add_up(draft: Draft) -> Planted:
    return _on_file(
        "corpus.json", 1, partial(edit_manifest, change=lambda document: document["counts"].update(planned=10**4))
    )


@_integrity("manifest", "counts per label are of an earlier build")
def label_counts_stale(draft: Draft) -> Planted:
    label = next(iter(draft.manifest.labels))
    change = partial(
        edit_manifest, change=lambda document: document["labels"].update({label: document["labels"][label] + 2})
    )
    return Planted((("corpus.json", label),), len(draft.manifest.labels), after=change)


@_integrity("manifest", "the leakage figure is of other labels")
def leakage_stale(draft: Draft) -> Planted:
    def change(document: dict[str, Any]) -> None:
        document["leakage"]["s2"] = {"map": 0.7, "chance_map": 0.3, "above_chance": 0.4, "classes": 9}

    return Planted((("s2",),), len(draft.manifest.sensors), after=partial(edit_manifest, change=change))


@_integrity("manifest", "lock.json is of another build")
def lock_foreign(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        lock: Lock = read_document(Lock, corpus / "lock.json")
        sampling = lock.recipe.sampling.model_copy(update={"seed": 987})
        foreign = lock.model_copy(update={"recipe": lock.recipe.model_copy(update={"sampling": sampling})})
        write_bytes(corpus / "lock.json", foreign.model_dump_json(indent=1).encode())

    return Planted((("corpus.json", "lock.json"),), 1, after=act)


@_integrity("manifest", "plan.parquet is of another plan")
def plan_foreign(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        write_table(corpus / "plan.parquet", pq.read_table(corpus / "plan.parquet").slice(1))

    return Planted((("plan.parquet", "lock.json"),), 1, after=act)


# -- Shards ----------------------------------------------------------------------------------------------------------


@_integrity("shards", "a shard was not copied")
def shard_missing(draft: Draft) -> Planted:
    return _on_file(name := _shard(draft), len(draft.tables), lambda corpus: (corpus / name).unlink())


@_integrity("shards", "a copy ended early")
def shard_truncated(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        content = (corpus / name).read_bytes()
        (corpus / name).write_bytes(content[: len(content) * 3 // 4])

    return _on_file(name := _shard(draft), len(draft.tables), act)


def _flip(corpus: Path, name: str) -> None:
    """Flip one bit inside the pixels of the first row group."""
    group = pq.read_metadata(corpus / name).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    pixel_chunk = next(chunk for chunk in chunks if chunk.path_in_schema in ("s1", "s2_x1"))
    damaged = bytearray((corpus / name).read_bytes())
    damaged[pixel_chunk.data_page_offset + pixel_chunk.total_compressed_size // 2] ^= 0x10
    (corpus / name).write_bytes(damaged)


@_integrity("shards", "one bit of a page is flipped")
def bit_flipped(draft: Draft) -> Planted:
    return _on_file(name := _shard(draft), len(draft.tables), lambda corpus: _flip(corpus, name))


@_integrity("shards", "one bit of a page is flipped, and the manifest's digest is updated")
def bit_flipped_rehashed(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        _flip(corpus, name)
        refresh_entries(corpus, name)

    return _on_file(name := _shard(draft, "s1"), len(draft.tables), act)


@_integrity("shards", "a shard of an earlier build is left in the folder, and loaders would read it")
def shard_stale(draft: Draft) -> Planted:
    name = _shard(draft).rsplit("-", 3)[0] + "-00007-of-00009.parquet"
    return _on_file(name, len(draft.tables), lambda corpus: shutil.copy(corpus / _shard(draft), corpus / name))


@_integrity("shards", "two shards are exchanged")
def shards_exchanged(draft: Draft) -> Planted:
    first, second = [shard.path for shard in draft.manifest.shards if shard.sensor == "s2"][:2]

    def act(corpus: Path) -> None:
        (corpus / first).rename(corpus / "temporary")
        (corpus / second).rename(corpus / first)
        (corpus / "temporary").rename(corpus / second)

    return Planted(((first,), (second,)), len(draft.tables), after=act)


@_integrity("shards", "a shard lacks its last rows")
def rows_missing(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        replace_shard(corpus, name, draft.tables[name].slice(0, draft.tables[name].num_rows - 1))

    return _on_file(name := _shard(draft), len(draft.tables), act)


# -- Schemas ---------------------------------------------------------------------------------------------------------


def _schema(draft: Draft, name: str, change: Callable[[pa.Table], pa.Table]) -> Planted:
    return _on_file(name, len(draft.tables), lambda corpus: replace_shard(corpus, name, change(draft.tables[name])))


def _field(table: pa.Table, name: str, field: pa.Field) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.cast(table.schema.set(position, field))


@_integrity("schema", "a column is missing")
def column_missing(draft: Draft) -> Planted:
    return _schema(draft, _shard(draft), lambda table: table.drop_columns("snow_pct"))


@_integrity("schema", "a column was widened by another library")
def column_widened(draft: Draft) -> Planted:
    return _schema(draft, _shard(draft), lambda table: _field(table, "epsg", pa.field("epsg", pa.int64(), False)))


@_integrity("schema", "the pixel column lacks its storage metadata")
def pixel_metadata_gone(draft: Draft) -> Planted:
    bare = pa.field("s2_x2", pa.binary(), nullable=False)
    return _schema(draft, _shard(draft), lambda table: _field(table, "s2_x2", bare))


@_integrity("schema", "the pixel column states another scale")
def pixel_scale_changed(draft: Draft) -> Planted:
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field("s1")
        return _field(table, "s1", field.with_metadata({**field.metadata, b"scale": b"0.1"}))

    return _schema(draft, _shard(draft, "s1"), change)


# -- Files beside the shards ------------------------------------------------------------------------------------------


@_integrity("index", "index.parquet is of an earlier build")
def index_stale(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        table = pq.read_table(corpus / "index.parquet")
        position = table.schema.get_field_index("label_valid_pct")
        older = table.set_column(
            position, table.schema.field(position), pa.array([50.0] * table.num_rows, pa.float32())
        )
        write_table(corpus / "index.parquet", older)

    return Planted(tuple((name, "index.parquet") for name in draft.tables), len(draft.tables), after=act)


@_integrity("index", "index.parquet is missing")
def index_missing(draft: Draft) -> Planted:
    return _on_file("index.parquet", 1, lambda corpus: (corpus / "index.parquet").unlink())


@_integrity("statistics", "means and standard deviations are of earlier pixels")
def statistics_stale(draft: Draft) -> Planted:
    def change(document: dict[str, Any]) -> None:
        document["statistics"]["s2"] = {
            band: [1.05 * mean, std] for band, (mean, std) in document["statistics"]["s2"].items()
        }

    bands = draft.manifest.statistics["s2"]
    return Planted(tuple((f"s2 {band}",) for band in bands), 14, after=partial(edit_manifest, change=change))


@_integrity("statistics", "means and standard deviations are of stored values")
def statistics_in_numbers(draft: Draft) -> Planted:
    def change(document: dict[str, Any]) -> None:
        document["statistics"]["s1"] = {
            band: [100 * value for value in pair] for band, pair in document["statistics"]["s1"].items()
        }

    return Planted((("s1 vv",), ("s1 vh",)), 14, after=partial(edit_manifest, change=change))


def _edit_qrels(draft: Draft, change: Callable[[list[str]], list[str]], name: str = "qrels/train.txt") -> Planted:
    def act(corpus: Path) -> None:
        lines = change((corpus / name).read_text().splitlines())
        write_bytes(corpus / name, "".join(f"{line}\n" for line in lines).encode())
        refresh_entries(corpus, name)

    return _on_file(name, len(draft.manifest.queries), act)


@_integrity("queries", "irrelevant samples are judged relevant")
def relevance_wrong(draft: Draft) -> Planted:
    def change(lines: list[str]) -> list[str]:
        return [f"{line[:-1]}{4 - int(line[-1])}" if number % 50 == 0 else line for number, line in enumerate(lines)]

    return _edit_qrels(draft, change)


@_integrity("queries", "relevant samples are not judged")
def relevance_short(draft: Draft) -> Planted:
    return _edit_qrels(draft, lambda lines: lines[: len(lines) * 9 // 10])


@_integrity("queries", "the relevance judgements of a split are missing")
def relevance_missing(draft: Draft) -> Planted:
    return _on_file("qrels/test.txt", len(draft.manifest.queries), lambda corpus: (corpus / "qrels/test.txt").unlink())


@_integrity("secrets", "the lock contains signed URLs")
def token_in_lock(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        lock: Lock = read_document(Lock, corpus / "lock.json")
        query = "?se=2026-01-01T00%3A00%3A00Z&sig=4kQf1&sv=2021-06-08"
        first, *rest = lock.files
        files = [first.model_copy(update={"href": first.href + query}), *rest]
        signed = lock.model_copy(update={"files": files})
        write_bytes(corpus / "lock.json", signed.model_dump_json(indent=1).encode())
        edit_manifest(corpus, lambda document: document.update(lock_digest=digest(signed.model_dump(mode="json"))))

    return _on_file("lock.json", 1, act)
