"""Seal a draft with a defect: everything else in the corpus is consistent.

Shards, digests, counts, statistics, index and queries are written by the code of `landmark build`.
"""

import filecmp
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import landmark
from bench.draft import Bands, Draft, Planted, Row
from landmark.config.profiles import load_sensor
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import file_sha256
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, Shard, read_document
from landmark.corpus.pixels import pixels_sha256
from landmark.corpus.shard_schema import shard_schema, staging_schema
from landmark.domain.drops import PRE_PLAN_STAGES, DropRecord
from landmark.domain.schemas import INDEX, PLAN
from landmark.domain.taxonomy import Taxonomy
from landmark.write.documents import Provenance, write_documents, write_manifest
from landmark.write.shards import PackedShard, ShardTask, write_shard
from landmark.write.staging import write_staging

_PIXELS = "bands"


def open_draft(corpus: Path, scratch: Path) -> Draft:
    """Open a clean corpus as a draft. Every shard is packed once, and must equal the corpus's own.

    Raises:
        ValueError: sealing without a change gives other bytes: the corpus is of another version of landmark.
    """
    bare = Draft(corpus)
    packed = _seal(bare, Planted((), 0), scratch, touched=set(bare.tables))
    for name in _files(corpus):
        if not _same(corpus / name, scratch / name):
            raise ValueError(f"{corpus / name}: sealing the corpus again gives another file")
    shutil.rmtree(scratch)
    return Draft(corpus, packed)


def reseal(draft: Draft, planted: Planted, out: Path) -> frozenset[str]:
    """Write the corpus with a defect into `out`, a new folder beside the clean one.

    Returns:
        Paths of the shards that the defect changed after they were sealed.

    Raises:
        ValueError: the defect changes nothing.
    """
    ids = {*planted.edits, *planted.moves, *(id for id, _ in planted.extra)}
    touched = {draft.facts[id]["shard"] for id in ids} | set(planted.moves.values())
    _seal(draft, planted, out, touched=touched)
    changed = frozenset[str]()
    if planted.after is not None:
        sealed = _versions(draft, out)
        planted.after(out)
        changed = frozenset(path for path, version in _versions(draft, out).items() if version != sealed[path])
    if _files(out) == (sealed := _files(draft.corpus)) and all(
        _same(out / name, draft.corpus / name) for name in sealed
    ):
        raise ValueError(f"{out.name}: the defect changes nothing")
    return changed


def _versions(draft: Draft, out: Path) -> dict[str, tuple[int, int, int] | None]:
    """What changes with each write to a shard."""
    paths = {path: out / path for path in draft.packed}
    stats = {path: file.stat() for path, file in paths.items() if file.is_file()}
    return dict.fromkeys(paths) | {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _files(corpus: Path) -> list[str]:
    return sorted(path.relative_to(corpus).as_posix() for path in corpus.rglob("*") if path.is_file())


def _same(first: Path, second: Path) -> bool:
    return filecmp.cmp(first, second, shallow=False)


def _seal(draft: Draft, planted: Planted, out: Path, *, touched: set[str]) -> dict[str, PackedShard]:
    # Files are replaced when a corpus is sealed; what defects do to files afterwards must not reach the clean ones.
    shutil.copytree(draft.corpus, out, copy_function=os.link if planted.after is None else shutil.copy2)
    packed = dict(draft.packed)
    if not touched:
        return packed
    for shard in draft.manifest.shards:
        if shard.path in touched:
            packed[shard.path] = _pack(draft, planted, shard, out)
    lock = _replan(draft, planted, out)
    sealed = write_documents(
        out,
        [packed[path] for path in sorted(packed)],
        _drops(out),
        lock.recipe,
        Provenance(
            lock=lock,
            n_planned=pq.read_metadata(out / "plan.parquet").num_rows,
            title=draft.manifest.title,
            taxonomy=_taxonomy(draft, planted, lock),
            grammar=draft.manifest.grammar,
            attributions=tuple(draft.manifest.attributions),
            version=landmark.__version__,
        ),
    )
    # The manifest keeps its taxonomy, independent of the changed labels.
    write_manifest(out, sealed.model_copy(update={"taxonomy": draft.manifest.taxonomy}))
    return packed


def _pack(draft: Draft, planted: Planted, shard: Shard, out: Path) -> PackedShard:
    sensor, staged = load_sensor(shard.sensor), out / "rows.arrow"
    rows = list(_rows(draft, planted, shard))
    write_staging(staged, rows, staging_schema(sensor, draft.manifest.patch_px))
    of = int(shard.path.rsplit("-", 1)[1].removesuffix(".parquet"))
    task = ShardTask(
        out,
        shard.sensor,
        shard.split,
        shard.k,
        of,
        shard_schema(sensor, draft.manifest.patch_px),
        tuple((staged, number) for number in range(len(rows))),
        tuple(row["pair"] for row in rows),
        tuple(row["pair_gap_s"] for row in rows),
    )
    packed = write_shard(task)
    staged.unlink()
    return packed


def _rows(draft: Draft, planted: Planted, shard: Shard) -> Iterator[Row]:
    """Yield a shard's own rows in order, then the rows moved or copied into it."""
    for row in draft.tables[shard.path].to_pylist():
        if row["id"] not in planted.moves:
            yield _edit(row, planted.edits.get(row["id"], {}))
    for id, target in planted.moves.items():
        if target == shard.path:
            yield _edit(_full_row(draft, id), planted.edits.get(id, {}))
    for id, changes in planted.extra:
        if draft.facts[id]["shard"] == shard.path:
            yield _edit(_full_row(draft, id), changes)


def _full_row(draft: Draft, id: str) -> Row:
    path, number = draft.places[id]
    return dict(draft.tables[path].slice(number, 1).to_pylist()[0])


def _edit(row: Row, changes: Mapping[str, Any]) -> Row:
    values = {name: value for name, value in changes.items() if name != _PIXELS}
    pixels = _columns(row["sensor"], changes[_PIXELS]) if _PIXELS in changes else {}
    changed = {**row, **pixels, **values}
    for column in INDEX:
        if pa.types.is_map(column.type):
            changed[column.name] = list(dict(changed[column.name]).items())
    return changed


def _columns(name: str, bands: Bands) -> Row:
    sensor = load_sensor(name)
    groups = {group.column: np.stack([bands[band] for band in group.bands]) for group in sensor.groups}
    arrays = {column: group.astype(sensor.dtype) for column, group in groups.items()}
    return {"sha256": pixels_sha256(list(arrays.values())), **{name: array.tobytes() for name, array in arrays.items()}}


def _replan(draft: Draft, planted: Planted, out: Path) -> Lock:
    """Write the plan that a build with the defect would have had; return the lock that names it."""
    lock: Lock = read_document(Lock, out / "lock.json")
    rows = {row["id"]: row for row in pq.read_table(out / "plan.parquet").to_pylist()}
    copies = [{**rows[id], **_plan_changes(changes, rows[id])} for id, changes in planted.extra]
    edited = [{**row, **_plan_changes(planted.edits.get(id, {}), row)} for id, row in rows.items()]
    table = pa.Table.from_pylist([*edited, *copies], schema=PLAN).sort_by("id")
    if table.equals(pq.read_table(out / "plan.parquet")):
        return lock
    write_table(out / "plan.parquet", table)
    changed = lock.model_copy(update={"plan_sha256": file_sha256(out / "plan.parquet")})
    write_bytes(out / "lock.json", changed.model_dump_json(indent=1).encode())
    return changed


def _plan_changes(changes: Mapping[str, Any], row: Row) -> Row:
    values = {name: changes[name] for name in PLAN.names if name in changes}
    corner = changes.get("transform")
    return {**row, **values, **({"x": corner[2], "y": corner[5]} if corner else {})}


def _taxonomy(draft: Draft, planted: Planted, lock: Lock) -> Taxonomy:
    """Return the recipe's taxonomy, with the edits' unknown labels added so that queries can be written."""
    taxonomy: Taxonomy = load_model(Taxonomy, "taxonomies", lock.recipe.taxonomy)
    template = next(iter(taxonomy.classes.values()))
    labels = {label for edit in planted.edits.values() for label in edit.get("labels", ())}
    return taxonomy.model_copy(
        update={"classes": {**taxonomy.classes, **dict.fromkeys(sorted(labels - taxonomy.classes.keys()), template)}}
    )


def _drops(out: Path) -> list[DropRecord]:
    ledger = pq.read_table(out / "ledger.parquet")
    rows = ledger.filter(pc.invert(pc.is_in(ledger["stage"], value_set=pa.array(PRE_PLAN_STAGES))))
    return [DropRecord(**{name: row[name] for name in DropRecord.__slots__}) for row in rows.to_pylist()]


def replace_shard(corpus: Path, path: str, table: pa.Table) -> None:
    """Replace a shard by a table of any schema, and update its entry in the manifest."""
    pixels = {field.name for field in table.schema if pa.types.is_binary(field.type)}
    with pq.ParquetWriter(
        corpus / path,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=[name for name in table.schema.names if name not in pixels],
    ) as writer:
        writer.write_table(table, row_group_size=128)
    refresh_entries(corpus, path)


def refresh_entries(corpus: Path, *paths: str) -> None:
    """Update the manifest's sizes and digests of some files."""
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")

    def refreshed(entry: Any) -> Any:
        if entry.path not in paths:
            return entry
        path = corpus / entry.path
        return entry.model_copy(update={"size_bytes": path.stat().st_size, "sha256": file_sha256(path)})

    changes = {name: [refreshed(entry) for entry in getattr(manifest, name)] for name in ("shards", "queries")}
    write_bytes(corpus / "corpus.json", manifest.model_copy(update=changes).model_dump_json(indent=1).encode())
