"""Documents beside the shards: index, ledger, queries, card, attribution, and the manifest, which is written last."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.config.profiles import load_sensor
from landmark.config.recipe import SPLITS, Recipe
from landmark.core.atomic import write_bytes, write_table
from landmark.core.corpus_paths import delete_file, readable
from landmark.core.hashing import names_digest
from landmark.core.journal import matches
from landmark.corpus.index import CONTENT, read_index
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Generation, Manifest, QueryFile, Shard, shards_digest
from landmark.corpus.pages import find_pages
from landmark.corpus.pixel_columns import PIXELS, dump_columns, shards_columns
from landmark.corpus.stats import mean_std
from landmark.corpus.tables import INDEX_FILE, read_groups, read_table
from landmark.domain.drops import PRE_PLAN_STAGES, DropRecord, ledger_table
from landmark.domain.schemas import INDEX, LEDGER, PAGES
from landmark.domain.taxonomy import Taxonomy
from landmark.raster.vector import add_geo_metadata
from landmark.write.card import attribution, card
from landmark.write.nearest_places import measure_leakage
from landmark.write.queries import write_queries
from landmark.write.shards import PackedShard

# Hardly any pixel is below the offset of Sentinel-2 where it is still part of the digital numbers.
_OFFSET_DN = 1000
# An offset is doubted where the darkest pixels hold less than this share of it.
_DOUBTFUL_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Provenance:
    """Contents of a manifest besides its samples.

    Attributes:
        lock: Inputs of the build.
        n_planned: Samples of the plan.
        title: For people.
        taxonomy: Classes of the labels.
        grammar: Languages of the captions, as JSON.
        attributions: Sources that must be named.
        version: Of landmark.
        findings: Warnings of the build.
    """

    lock: Lock
    n_planned: int
    title: str
    taxonomy: Taxonomy
    grammar: Mapping[str, Any]
    attributions: tuple[str, ...]
    version: str
    findings: tuple[str, ...] = ()


def write_documents(
    corpus: Path, packed: Sequence[PackedShard], drops: Sequence[DropRecord], recipe: Recipe, provenance: Provenance
) -> Manifest:
    """Write index, ledger, queries, card and attribution, then the manifest, which seals the corpus."""
    shards, lock = [entry.shard for entry in packed], provenance.lock
    index = read_facts(corpus, shards)
    write_table(corpus / INDEX_FILE, index)
    write_ledger(corpus, drops)
    manifest = Manifest(
        name=recipe.name,
        patch_px=recipe.patch_px,
        resolution_m=recipe.resolution_m,
        sensors=list(recipe.sensors),
        counts={
            "planned": provenance.n_planned,
            "written": index.num_rows,
            "dropped": len(drops),
            "failed": 0,
        },
        samples={sensor: _counts_by_split(index, sensor) for sensor in recipe.sensors},
        dropped=dict(sorted(Counter(record.reason for record in drops).items())),
        considered=lock.considered,
        split_proof=lock.split_proof,
        findings=[*lock.findings, *provenance.findings, *_offset_findings(index, lock)],
        statistics={sensor: _statistics(sensor, packed) for sensor in recipe.sensors},
        **_generation_fields(corpus, index, shards, provenance, recipe.sensors),
    )
    _write_cards(corpus, manifest)
    write_manifest(corpus, manifest)
    return manifest


def rewrite_documents(
    corpus: Path, manifest: Manifest, shards: Sequence[Shard], provenance: Provenance, *, keep: bool
) -> Manifest:
    """Write the documents of a new generation; the manifest lists the superseded one, whose files to `keep` or not."""
    index = read_facts(corpus, shards)
    write_table(corpus / INDEX_FILE, index)
    fields = {name: getattr(manifest, name) for name in Generation.model_fields if name != "retained"}
    update = {
        "exports": [],
        "superseded": [*manifest.superseded, Generation(**fields, retained=keep)],
        **_generation_fields(corpus, index, shards, provenance, manifest.sensors),
    }
    manifest = manifest.model_copy(update=update)
    _write_cards(corpus, manifest)
    write_manifest(corpus, manifest)
    return manifest


def _generation_fields(
    corpus: Path, index: pa.Table, shards: Sequence[Shard], provenance: Provenance, sensors: Iterable[str]
) -> dict[str, Any]:
    """Write the queries, and return the manifest's fields that differ between generations."""
    return {
        "title": provenance.title,
        "landmark_version": provenance.version,
        "recipe_digest": provenance.lock.recipe_digest,
        "lock_digest": provenance.lock.digest,
        "content_digest": shards_digest(shards),
        "ids_digest": names_digest(index["id"].to_pylist()),
        "leakage": measure_leakage(index, sensors, list(provenance.taxonomy.classes)),
        "taxonomy": provenance.taxonomy,
        "grammar": dict(provenance.grammar),
        "labels": dict(sorted(Counter(label for row in index["labels"].to_pylist() for label in row).items())),
        "licences": sorted({licence for row in index["licences"].to_pylist() for licence in row}),
        "attributions": sorted(provenance.attributions),
        "shards": list(shards),
        "queries": _write_queries(corpus, index, provenance.taxonomy),
    }


def _write_cards(corpus: Path, manifest: Manifest) -> None:
    write_bytes(corpus / "README.md", card(manifest).encode())
    write_bytes(corpus / "ATTRIBUTION.md", attribution(manifest).encode())


def write_manifest(corpus: Path, manifest: Manifest) -> None:
    """Write `corpus.json` atomically, after every file it names."""
    write_bytes(corpus / "corpus.json", manifest.model_dump_json(indent=1).encode())


def refresh_index(corpus: Path, manifest: Manifest) -> None:
    """Rewrite card, attribution and index where the index is missing or belongs to other shards."""
    if read_index(corpus, manifest) is None:
        # The index last: as long as it is stale, an interrupted refresh starts again.
        _write_cards(corpus, manifest)
        write_table(corpus / INDEX_FILE, read_facts(corpus, manifest.shards))


def refresh_queries(corpus: Path, manifest: Manifest) -> None:
    """Rewrite the queries where one of their files is missing or differs from the manifest."""
    if not all(matches(corpus, file, hashed=True) for file in manifest.queries):
        _write_queries(corpus, read_table(readable(corpus, INDEX_FILE), INDEX), manifest.taxonomy)


def _write_queries(corpus: Path, index: pa.Table, taxonomy: Taxonomy) -> list[QueryFile]:
    files = write_queries(corpus, index, taxonomy)
    if not files:
        # No sample has a label any more.
        delete_file(corpus, "queries.jsonl")
    return files


def write_ledger(corpus: Path, drops: Sequence[DropRecord]) -> None:
    """Write the rows of the planning stages, then the planned samples that were not written, sorted by id."""
    ledger = read_table(readable(corpus, "ledger.parquet"), LEDGER)
    planning_rows = ledger.filter(pc.is_in(ledger["stage"], value_set=pa.array(PRE_PLAN_STAGES)))
    write_table(corpus / "ledger.parquet", pa.concat_tables([planning_rows, ledger_table(drops)]))


def read_facts(corpus: Path, shards: Sequence[Shard]) -> pa.Table:
    """Read the index from the shards: all columns but pixels, and the pages of these; rows in shard order.

    Its metadata are GeoParquet's, the content digest, and a description of the pixel columns.

    Raises:
        InvalidCorpus: a shard is missing or damaged, or those of a sensor have different pixel columns.
    """
    files = [(readable(corpus, shard.path), shard.rows) for shard in shards]
    table = pa.concat_tables(group for path, rows in files for group in read_groups(path, rows, INDEX.names))
    pages = pa.concat_tables(_page_columns(path) for path, _ in files)
    for field in PAGES:
        table = table.append_column(field, pages[field.name])
    table = add_geo_metadata(table.replace_schema_metadata(None))
    columns = shards_columns([(shard.sensor, path) for shard, (path, _) in zip(shards, files, strict=True)])
    return table.replace_schema_metadata(
        {**table.schema.metadata, CONTENT: shards_digest(shards).encode(), PIXELS: dump_columns(columns)}
    )


def _page_columns(shard: Path) -> pa.Table:
    """PAGES rows of a shard."""
    pages = find_pages(shard)
    n_rows, n_columns = pages.offsets.shape
    starts = pa.array(np.arange(n_rows + 1) * n_columns, pa.int32())
    values = [
        pa.ListArray.from_arrays(starts, pa.array(column.ravel(), field.type.value_type))
        for column, field in zip(pages, PAGES, strict=True)
    ]
    return pa.table(values, schema=PAGES)


def _offset_findings(index: pa.Table, lock: Lock) -> list[str]:
    """Name acquisitions whose darkest pixels contradict the offset that was, or was not, removed from them."""
    darkest: dict[str, int] = {}
    for items, dark_dn in zip(index["items"].to_pylist(), index["dark_dn"].to_pylist(), strict=True):
        if dark_dn is not None:
            darkest[items[0]] = min(dark_dn, darkest.get(items[0], dark_dn))
    findings = []
    for acquisition in lock.acquisitions:
        name, offset_dn = acquisition.items[0].id, acquisition.offset_dn
        dark_dn = darkest.get(name)
        if dark_dn is not None and offset_dn and dark_dn < _DOUBTFUL_SHARE * offset_dn:
            findings.append(
                f"{name}: an offset of {offset_dn} was removed ({acquisition.offset_rule}), but the darkest pixels held"
                f" {dark_dn}: they probably had no offset"
            )
        elif dark_dn is not None and not offset_dn and dark_dn >= _OFFSET_DN:
            findings.append(
                f"{name}: no offset was removed ({acquisition.offset_rule}), but the darkest pixels hold {dark_dn}:"
                " they may still have one, unless all ground is bright"
            )
    return findings


def _counts_by_split(index: pa.Table, sensor: str) -> dict[str, int]:
    splits = index["split"].filter(pc.equal(index["sensor"], sensor)).to_pylist()
    return {split: splits.count(split) for split in SPLITS}


def _statistics(sensor: str, packed: Sequence[PackedShard]) -> dict[str, list[float]]:
    """Mean and standard deviation of each band over valid pixels, in the sensor's unit."""
    profile = load_sensor(sensor)
    totals = {band: np.zeros(3, dtype=object) for band in profile.order}
    for shard in packed:
        if shard.sensor == sensor:
            for band, sums in shard.moments.items():
                totals[band] = totals[band] + np.array(sums, dtype=object)
    return {
        band: mean_std(int(count), int(total), int(squares), profile.scale)
        for band, (count, total, squares) in totals.items()
    }
