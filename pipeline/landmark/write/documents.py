"""What stands beside the shards: index, ledger, card, attribution, and the manifest, which is written last."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landmark.config.profiles import load_sensor
from landmark.config.recipe import SPLITS, Recipe
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import digest, file_sha256, names_digest
from landmark.corpus.manifest import Generation, Lock, Manifest, QueryFile, Shard
from landmark.corpus.reader import CONTENT, read_index
from landmark.domain.drops import BEFORE_THE_PLAN, DropRecord, ledger_table
from landmark.domain.schemas import INDEX
from landmark.domain.taxonomy import Taxonomy
from landmark.raster.vector import as_geoparquet
from landmark.write.card import attribution, card
from landmark.write.queries import write_queries
from landmark.write.shards import Moments

# Where Sentinel-2's offset is in the digital numbers, hardly a pixel is below it.
_OFFSET_DN = 1000
_IN_DOUBT = 0.6


def write_documents(
    corpus: Path,
    packed: Sequence[tuple[Shard, Moments]],
    outcomes: Sequence[DropRecord],
    *,
    recipe: Recipe,
    lock: Lock,
    planned: int,
    taxonomy: Taxonomy,
    attributions: Sequence[str],
    version: str,
    grammar: Mapping[str, Any] | None = None,
) -> Manifest:
    """Index, ledger, queries, card, attribution, then the manifest; with it the corpus is sealed."""
    shards = [shard for shard, _ in packed]
    index = index_of(corpus, shards)
    write_table(corpus / "index.parquet", index)
    write_ledger(corpus, outcomes)
    manifest = Manifest(
        name=recipe.name,
        title=recipe.title,
        landmark=version,
        recipe_digest=lock.recipe_digest,
        lock_digest=lock.digest,
        patch_px=recipe.patch_px,
        resolution_m=recipe.resolution_m,
        sensors=list(recipe.sensors),
        counts={"planned": planned, "written": index.num_rows, "dropped": len(outcomes), "failed": 0},
        samples={sensor: _per_split(index, sensor) for sensor in recipe.sensors},
        dropped=dict(sorted(Counter(outcome.reason for outcome in outcomes).items())),
        considered=lock.considered,
        proof=lock.proof,
        findings=[*lock.findings, *_offset_findings(index, lock)],
        statistics={sensor: _statistics(sensor, packed) for sensor in recipe.sensors},
        **_told(corpus, index, shards, taxonomy, grammar, attributions),
    )
    return _sealed(corpus, manifest)


def rewrite_documents(
    corpus: Path,
    manifest: Manifest,
    shards: Sequence[Shard],
    *,
    title: str,
    lock: Lock,
    taxonomy: Taxonomy,
    attributions: Sequence[str],
    version: str,
    grammar: Mapping[str, Any],
) -> Manifest:
    """Index, queries, card, attribution and manifest of a new generation; the manifest remembers the earlier one."""
    index = index_of(corpus, shards)
    write_table(corpus / "index.parquet", index)
    earlier = Generation(**{name: getattr(manifest, name) for name in Generation.model_fields})
    changed = {
        "title": title,
        "landmark": version,
        "recipe_digest": lock.recipe_digest,
        "lock_digest": lock.digest,
        "projections": [],
        "earlier": [*manifest.earlier, earlier],
        **_told(corpus, index, shards, taxonomy, grammar, attributions),
    }
    return _sealed(corpus, manifest.model_copy(update=changed))


def _told(
    corpus: Path,
    index: pa.Table,
    shards: Sequence[Shard],
    taxonomy: Taxonomy,
    grammar: Mapping[str, Any] | None,
    attributions: Sequence[str],
) -> dict[str, Any]:
    """What the manifest says of the words of its shards; their queries are written."""
    return {
        "content": _content(shards),
        "ids": names_digest(index["id"].to_pylist()),
        "taxonomy": taxonomy,
        "grammar": dict(grammar or {}),
        "labels": dict(sorted(Counter(label for row in index["labels"].to_pylist() for label in row).items())),
        "licences": sorted({licence for row in index["licences"].to_pylist() for licence in row}),
        "attributions": sorted(attributions),
        "shards": list(shards),
        "queries": _write_queries(corpus, index, taxonomy),
    }


def _sealed(corpus: Path, manifest: Manifest) -> Manifest:
    _write_pages(corpus, manifest)
    write_manifest(corpus, manifest)
    return manifest


def _write_pages(corpus: Path, manifest: Manifest) -> None:
    write_bytes(corpus / "README.md", card(manifest).encode())
    write_bytes(corpus / "ATTRIBUTION.md", attribution(manifest).encode())


def write_manifest(corpus: Path, manifest: Manifest) -> None:
    """Write `corpus.json`, whole: what it names must stand by then."""
    write_bytes(corpus / "corpus.json", manifest.model_dump_json(indent=1).encode())


def refresh_index(corpus: Path, manifest: Manifest) -> None:
    """Write card, attribution and index again where the index is gone or not of these shards."""
    if read_index(corpus, manifest) is None:
        # The index last: while it is stale, whoever is killed here does this again.
        _write_pages(corpus, manifest)
        write_table(corpus / "index.parquet", index_of(corpus, manifest.shards))


def refresh_queries(corpus: Path, manifest: Manifest) -> None:
    """Write the queries again where one of their files is gone or not the manifest's."""
    if not all(_stands(corpus / one.path, one) for one in manifest.queries):
        _write_queries(corpus, pq.read_table(corpus / "index.parquet"), manifest.taxonomy)


def _write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    files = write_queries(corpus, index, taxonomy)
    if not files:
        # Of labels that no sample carries any more.
        (corpus / "queries.jsonl").unlink(missing_ok=True)
    return files


def _stands(path: Path, one: QueryFile) -> bool:
    return path.is_file() and path.stat().st_size == one.size_bytes and file_sha256(path) == one.sha256


def write_ledger(corpus: Path, outcomes: Sequence[DropRecord]) -> None:
    """The plan's own rows, then the planned samples that are not written, by id."""
    begun = pq.read_table(corpus / "ledger.parquet")
    left_out = begun.filter(pc.is_in(begun["stage"], value_set=pa.array(BEFORE_THE_PLAN)))
    write_table(corpus / "ledger.parquet", pa.concat_tables([left_out, ledger_table(outcomes)]))


def index_of(corpus: Path, shards: Sequence[Shard]) -> pa.Table:
    """All columns but pixels, rows in the order of the shards, with GeoParquet's metadata and the shards' content."""
    # Shards sealed before a column came to be lack it, all of them alike.
    held = set(pq.read_schema(corpus / shards[0].path).names)
    columns = [name for name in INDEX.names if name in held]
    parts = [pq.read_table(corpus / shard.path, columns=columns) for shard in shards]
    table = pa.concat_tables(parts).replace_schema_metadata(None)
    table = as_geoparquet(table)
    return table.replace_schema_metadata({**table.schema.metadata, CONTENT: _content(shards).encode()})


def _content(shards: Sequence[Shard]) -> str:
    return digest([[shard.path, shard.content] for shard in shards])


def _offset_findings(index: pa.Table, lock: Lock) -> list[str]:
    """Acquisitions whose darkest pixels contradict the offset that was, or was not, removed from them."""
    darkest: dict[str, int] = {}
    for items, dark_dn in zip(index["items"].to_pylist(), index["dark_dn"].to_pylist(), strict=True):
        if dark_dn is not None:
            darkest[items[0]] = min(dark_dn, darkest.get(items[0], dark_dn))
    findings = []
    for one in lock.read_acquisitions().values():
        dark_dn, name = darkest.get(one.items[0].id), one.items[0].id
        if dark_dn is not None and one.offset_dn and dark_dn < _IN_DOUBT * one.offset_dn:
            findings.append(
                f"{name}: an offset of {one.offset_dn} was removed ({one.offset_rule}), but its darkest pixels held"
                f" {dark_dn}: it was hardly in them"
            )
        elif dark_dn is not None and not one.offset_dn and dark_dn >= _OFFSET_DN:
            findings.append(
                f"{name}: no offset was removed ({one.offset_rule}), but its darkest pixels hold {dark_dn}:"
                " it may still be in them, unless all is bright ground"
            )
    return findings


def _per_split(index: pa.Table, sensor: str) -> dict[str, int]:
    mine = index.filter(pc.equal(index["sensor"], sensor))["split"].to_pylist()
    return {split: mine.count(split) for split in SPLITS}


def _statistics(sensor: str, packed: Sequence[tuple[Shard, Moments]]) -> dict[str, list[float]]:
    """Mean and standard deviation of each band over valid pixels, in the sensor's unit."""
    profile = load_sensor(sensor)
    total = {band: np.zeros(3, dtype=object) for band in profile.order}
    for shard, moments in packed:
        if shard.sensor == sensor:
            for band, sums in moments.items():
                total[band] = total[band] + np.array(sums, dtype=object)
    return {band: _mean_std(sums, profile.scale) for band, sums in total.items()}


def _mean_std(sums: Any, scale: float) -> list[float]:
    number, first, second = (int(value) for value in sums)
    if number == 0:
        return []
    variance = max(second / number - (first / number) ** 2, 0.0)
    return [round(scale * first / number, 6), round(scale * float(np.sqrt(variance)), 6)]
