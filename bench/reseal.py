"""A draft with one defect → a sealed corpus in which nothing but the defect is wrong.

Packs as `landmark build` does, so that shards, digests, counts, statistics, index and queries follow from the rows.
"""

import filecmp
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


def opened(corpus: Path, scratch: Path) -> Draft:
    """A clean corpus as a draft; every shard was packed once, and came out as it is.

    Raises:
        ValueError: resealing without a change gives other bytes: the corpus is not one this landmark sealed.
    """
    bare = Draft(corpus)
    packed = _seal(bare, Planted((), 0), scratch, touched=set(bare.tables))
    for name in _files(corpus):
        if not _same(corpus / name, scratch / name):
            raise ValueError(f"{corpus / name} is not what sealing it again gives")
    shutil.rmtree(scratch)
    return Draft(corpus, packed)


def reseal(draft: Draft, planted: Planted, out: Path) -> None:
    """Write the corpus with a defect into `out`, a new folder.

    Raises:
        ValueError: the defect changes nothing.
    """
    ids = {*planted.edits, *planted.moves, *(id for id, _ in planted.extra)}
    touched = {draft.facts[id]["shard"] for id in ids} | set(planted.moves.values())
    _seal(draft, planted, out, touched=touched)
    if planted.after is not None:
        planted.after(out)
    if _files(out) == (sealed := _files(draft.corpus)) and all(
        _same(out / name, draft.corpus / name) for name in sealed
    ):
        raise ValueError(f"{out.name}: the defect changes nothing")


def _files(corpus: Path) -> list[str]:
    return sorted(path.relative_to(corpus).as_posix() for path in corpus.rglob("*") if path.is_file())


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def _seal(draft: Draft, planted: Planted, out: Path, *, touched: set[str]) -> dict[str, PackedShard]:
    shutil.copytree(draft.corpus, out)
    packed = dict(draft.packed)
    if not touched:
        return packed
    for shard in draft.manifest.shards:
        if shard.path in touched:
            packed[shard.path] = _packed(draft, planted, shard, out)
    lock = _replanned(draft, planted, out)
    sealed = write_documents(
        out,
        [packed[path] for path in sorted(packed)],
        _outcomes(out),
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
    # The corpus goes on claiming the words it had, whatever its labels hold now.
    write_manifest(out, sealed.model_copy(update={"taxonomy": draft.manifest.taxonomy}))
    return packed


def _packed(draft: Draft, planted: Planted, shard: Shard, out: Path) -> PackedShard:
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
    made = write_shard(task)
    staged.unlink()
    return made


def _rows(draft: Draft, planted: Planted, shard: Shard) -> Iterator[Row]:
    """The rows of a shard: its own in their order, then those that were moved or copied into it."""
    for row in draft.tables[shard.path].to_pylist():
        if row["id"] not in planted.moves:
            yield _edited(row, planted.edits.get(row["id"], {}))
    for id, target in planted.moves.items():
        if target == shard.path:
            yield _edited(_whole(draft, id), planted.edits.get(id, {}))
    for id, changes in planted.extra:
        if draft.facts[id]["shard"] == shard.path:
            yield _edited(_whole(draft, id), changes)


def _whole(draft: Draft, id: str) -> Row:
    path, number = draft.places[id]
    return dict(draft.tables[path].slice(number, 1).to_pylist()[0])


def _edited(row: Row, changes: Mapping[str, Any]) -> Row:
    said = {name: value for name, value in changes.items() if name != _PIXELS}
    pixels = _columns(row["sensor"], changes[_PIXELS]) if _PIXELS in changes else {}
    changed = {**row, **pixels, **said}
    for column in INDEX:
        if pa.types.is_map(column.type):
            changed[column.name] = list(dict(changed[column.name]).items())
    return changed


def _columns(name: str, bands: Bands) -> Row:
    sensor = load_sensor(name)
    groups = {group.column: np.stack([bands[band] for band in group.bands]) for group in sensor.groups}
    arrays = {column: group.astype(sensor.dtype) for column, group in groups.items()}
    return {"sha256": pixels_sha256(list(arrays.values())), **{name: array.tobytes() for name, array in arrays.items()}}


def _replanned(draft: Draft, planted: Planted, out: Path) -> Lock:
    """The plan as the builder with the defect would have had it, and the lock that names it."""
    lock: Lock = read_document(Lock, out / "lock.json")
    rows = {row["id"]: row for row in pq.read_table(out / "plan.parquet").to_pylist()}
    copies = [{**rows[id], **_planned(changes, rows[id])} for id, changes in planted.extra]
    kept = [{**row, **_planned(planted.edits.get(id, {}), row)} for id, row in rows.items()]
    table = pa.Table.from_pylist([*kept, *copies], schema=PLAN).sort_by("id")
    if table.equals(pq.read_table(out / "plan.parquet")):
        return lock
    write_table(out / "plan.parquet", table)
    changed = lock.model_copy(update={"plan_sha256": file_sha256(out / "plan.parquet")})
    write_bytes(out / "lock.json", changed.model_dump_json(indent=1).encode())
    return changed


def _planned(changes: Mapping[str, Any], row: Row) -> Row:
    said = {name: changes[name] for name in PLAN.names if name in changes}
    corner = changes.get("transform")
    return {**row, **said, **({"x": corner[2], "y": corner[5]} if corner else {})}


def _taxonomy(draft: Draft, planted: Planted, lock: Lock) -> Taxonomy:
    """The recipe's; a label it lacks is taken in for as long as queries are written."""
    known: Taxonomy = load_model(Taxonomy, "taxonomies", lock.recipe.taxonomy)
    some = next(iter(known.classes.values()))
    named = {label for edit in planted.edits.values() for label in edit.get("labels", ())}
    return known.model_copy(
        update={"classes": {**known.classes, **dict.fromkeys(sorted(named - known.classes.keys()), some)}}
    )


def _outcomes(out: Path) -> list[DropRecord]:
    ledger = pq.read_table(out / "ledger.parquet")
    mine = ledger.filter(pc.invert(pc.is_in(ledger["stage"], value_set=pa.array(PRE_PLAN_STAGES))))
    return [DropRecord(**{name: row[name] for name in DropRecord.__slots__}) for row in mine.to_pylist()]


def rewritten(corpus: Path, path: str, table: pa.Table) -> None:
    """Put a table of any schema in a shard's place, and have the manifest name its bytes."""
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
        writer.write_table(table, row_group_size=64)
    refitted(corpus, path)


def refitted(corpus: Path, *paths: str) -> None:
    """Have the manifest name the size and digest of files as they are now."""
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")

    def now(entry: Any) -> Any:
        place = corpus / entry.path
        found = {"size_bytes": place.stat().st_size, "sha256": file_sha256(place)} if entry.path in paths else {}
        return entry.model_copy(update=found)

    changes = {name: [now(entry) for entry in getattr(manifest, name)] for name in ("shards", "queries")}
    write_bytes(corpus / "corpus.json", manifest.model_copy(update=changes).model_dump_json(indent=1).encode())
