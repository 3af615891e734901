"""Checks of the corpus's documents and tables against each other and against the shards."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import digest, file_sha256, names_digest
from landmark.core.plural import plural
from landmark.corpus.coverage import read_emptied_groups
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.corpus.stats import mean_std
from landmark.corpus.tables import INDEX_FILE, INPUTS_FILE, read_table
from landmark.domain.drops import PRE_PLAN_STAGES
from landmark.domain.schemas import INDEX, INPUTS, LEDGER, PLAN
from landmark.quality.check_input import Check, CheckInput, Moments
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable
from landmark.write.nearest_places import measure_leakage
from landmark.write.queries import query_files

# Of a mean average precision that another version of NumPy computed.
_LEAKAGE_TOLERANCE = 0.001


def manifest(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Counts and digests of the manifest are those of the rows, the lock and the plan."""
    document, samples = inputs.manifest, inputs.samples
    counts = document.counts
    if counts["planned"] != counts["written"] + counts["dropped"] + counts["failed"]:
        yield Flag("planned is not written + dropped + failed", "corpus.json", str(counts))
    rows = Counter(zip(samples["sensor"].to_pylist(), samples["split"].to_pylist(), strict=True))
    recorded = {
        (sensor, split): count for sensor, splits in document.samples.items() for split, count in splits.items()
    }
    yield from _count_differences("samples", recorded, rows)
    labels = Counter(key for keys in samples["labels"].to_pylist() for key in keys)
    yield from _count_differences("labels", document.labels, labels)
    if counts["written"] != samples.num_rows:
        yield Flag("written is not the number of rows", "corpus.json", f"{counts['written']}, not {samples.num_rows}")
    if document.content_digest != digest([[shard.path, shard.content_digest] for shard in document.shards]):
        yield Flag("content digest is not that of the shards", "corpus.json", document.content_digest)
    yield from _check_leakage(inputs)
    yield from _check_lock(inputs)


def _check_leakage(inputs: CheckInput) -> Iterator[Flag]:
    recorded = inputs.manifest.leakage
    actual = measure_leakage(inputs.samples, inputs.manifest.sensors, list(inputs.context.taxonomy.classes))
    for sensor in sorted({*recorded, *actual}):
        old, new = ([*dict(table.get(sensor, ())).values()] for table in (recorded, actual))
        if len(old) != len(new) or not np.allclose(old, new, rtol=0, atol=_LEAKAGE_TOLERANCE):
            yield Flag("leakage differs from the rows", sensor, f"{old}, not {new}")


def _count_differences(name: str, recorded: Mapping[Any, int], actual: Mapping[Any, int]) -> Iterator[Flag]:
    for key in sorted({*recorded, *actual}, key=str):
        if recorded.get(key, 0) != actual.get(key, 0):
            subject = " ".join(key) if isinstance(key, tuple) else str(key)
            detail = f"{recorded.get(key, 0)}, not {actual.get(key, 0)}"
            yield Flag(f"count of {name} differs from the rows", subject, detail)


def _check_lock(inputs: CheckInput) -> Iterator[Flag]:
    root = inputs.context.root
    try:
        lock: Lock = read_document(Lock, root / "lock.json")
    except InvalidCorpus as error:
        yield Flag("lock is missing or unreadable", "lock.json", error.problem)
        return
    if lock.digest != inputs.manifest.lock_digest:
        yield Flag("lock is not the one named in the manifest", "lock.json", lock.digest)
        return
    document = inputs.manifest
    for name, equal in (
        ("recipe_digest", lock.recipe.digest == lock.recipe_digest == document.recipe_digest),
        ("split_proof", lock.split_proof == document.split_proof),
        ("considered", lock.considered == document.considered),
    ):
        if not equal:
            yield Flag(f"{name} differs from the lock", "corpus.json")
    for file, sha256 in (
        ("plan.parquet", lock.plan_sha256),
        ("label_counts.parquet", lock.label_counts_sha256),
        ("cloud_stats.parquet", lock.cloud_stats_sha256),
    ):
        if not (root / file).is_file() or file_sha256(root / file) != sha256:
            yield Flag("table is missing, or its SHA-256 differs from the lock", file)
    if (root / INPUTS_FILE).exists() and _read_table(root / INPUTS_FILE, INPUTS, *INPUTS.names) is None:
        yield Flag("table is unreadable", INPUTS_FILE)


def shards(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The folder of shards holds only files of the manifest, and each is listed once."""
    document, root = inputs.manifest, inputs.context.root
    current = [file.path for file in document.files]
    generations = document.superseded
    retained = {file.path: file for generation in generations if generation.retained for file in generation.files}
    superseded = {file.path for generation in generations for file in generation.files}
    for path, times in Counter(current).items():
        if times > 1:
            yield Flag("file is listed twice in the manifest", path)
    for file in sorted((root / "shards").rglob("*")):
        if not file.is_file() or (path := file.relative_to(root).as_posix()) in {*current, *retained}:
            continue
        if path in superseded:
            yield Flag("file of a superseded generation was not deleted", path)
        else:
            yield Flag("file among the shards is not in the manifest", path)
    for path, record in retained.items():
        file = root / path
        if file.is_file() and (
            file.stat().st_size != record.size_bytes or (inputs.all_pixels and file_sha256(file) != record.sha256)
        ):
            yield Flag("file of a kept generation differs from the manifest", path)


def index(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """The index lists the samples of the shards in their order; its other columns are compared in the pass."""
    table = _read_table(inputs.context.root / INDEX_FILE, INDEX, "id")
    if table is None:
        yield Flag("index is missing or unreadable", "index.parquet")
        return
    ids = table["id"].to_pylist()
    if names_digest(ids) != inputs.manifest.ids_digest:
        yield Flag("ids of the index differ from the manifest", "index.parquet", plural(len(ids), "row"))


def ids(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Ids are unique."""
    for id, times in Counter(inputs.samples["id"].to_pylist()).items():
        if times > 1:
            yield Flag("duplicate id", str(id), f"{times} times")


def ledger(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Every planned sample is either written or in the ledger."""
    tables = dict[str, pa.Table]()
    for name, schema, columns in (("ledger", LEDGER, LEDGER.names), ("plan", PLAN, ["id"])):
        table = _read_table(inputs.context.root / f"{name}.parquet", schema, *columns)
        if table is None:
            yield Flag("table or one of its columns is missing", f"{name}.parquet")
            return
        tables[name] = table
    rows, planned = tables["ledger"].to_pylist(), set(tables["plan"]["id"].to_pylist())
    dropped = {row["id"] for row in rows if row["stage"] not in PRE_PLAN_STAGES}
    written = set(inputs.samples["id"].to_pylist())
    for problem, ids_at_fault in (
        ("planned sample is neither written nor in the ledger", planned - written - dropped),
        ("sample is both written and in the ledger", written & dropped),
        ("written sample is not in the plan", written - planned),
        ("sample in the ledger is not in the plan", dropped - planned),
    ):
        yield from (Flag(problem, id) for id in sorted(ids_at_fault))
    for row in rows:
        if not row["final"] and row["stage"] not in PRE_PLAN_STAGES:
            yield Flag("ledger of a sealed corpus holds a retryable failure", row["id"], row["reason"])
    reasons = Counter(row["reason"] for row in rows if row["stage"] not in PRE_PLAN_STAGES)
    yield from _count_differences("drops", inputs.manifest.dropped, reasons)


def coverage(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Every planned sensor and split has samples; of a recipe with a limit, every sensor."""
    context = inputs.context
    try:
        groups = read_emptied_groups(
            context.root,
            inputs.samples["id"].combine_chunks(),
            limited=context.recipe is None or context.recipe.limit is not None,
        )
    except InvalidCorpus as error:
        raise NotApplicable("the plan or the ledger is unreadable") from error
    yield from (Flag("planned, but without a sample", group, detail) for group, detail in groups.items())


def pairs(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """A pair is a sample of the other sensor in the same cell and split, `pair_gap_s` seconds away."""
    columns = inputs.samples.select(["id", "sensor", "cell", "split", "datetime", "pair", "pair_gap_s"])
    by_id = {row["id"]: row for row in columns.to_pylist()}
    recipe = inputs.context.recipe
    max_gap_s = 86_400 * (recipe.max_pair_gap_days if recipe else limits["max_gap_days"])
    if all(row["pair"] is None for row in by_id.values()):
        raise NotApplicable("no sample has a pair")
    for id, row in by_id.items():
        if row["pair"] is None:
            if row["pair_gap_s"] is not None:
                yield Flag("sample without a pair has a pair_gap_s", id, f"{row['pair_gap_s']} s")
            continue
        partner = by_id.get(row["pair"])
        if partner is None:
            yield Flag("pair is not in the corpus", id, row["pair"])
            continue
        for name, equal in (("sensor", False), ("cell", True), ("split", True)):
            if (row[name] == partner[name]) != equal:
                yield Flag(f"pair has {'another' if equal else 'the same'} {name}", id, row["pair"])
        gap_s = round((row["datetime"] - partner["datetime"]).total_seconds())
        if row["pair_gap_s"] is None or abs(row["pair_gap_s"] - gap_s) > 1:
            yield Flag("pair_gap_s is not the time between the pair", id, f"{row['pair_gap_s']} s, not {gap_s} s")
        if abs(gap_s) > max_gap_s:
            yield Flag("pair is farther apart than the recipe allows", id, f"{abs(gap_s) / 86_400:.1f} days")
    yield from _missing_pairs(by_id, inputs.context.root)


def _missing_pairs(by_id: Mapping[str, Mapping[str, Any]], root: Path) -> Iterator[Flag]:
    """Samples with null as pair, though their planned pair is written or another sample names them."""
    plan = _read_table(root / "plan.parquet", PLAN, "id", "pair")
    planned = {row["id"]: row["pair"] for row in plan.to_pylist()} if plan is not None else {}
    named_by = {row["pair"]: id for id, row in by_id.items() if row["pair"] is not None}
    for id, row in by_id.items():
        if row["pair"] is not None:
            continue
        if planned.get(id) in by_id:
            yield Flag("planned pair is missing", id, str(planned[id]))
        elif planned.get(id) is None and id in named_by:
            yield Flag("sample without a pair is the pair of another", id, named_by[id])


def statistics(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Mean and standard deviation of each band in the manifest are those of the pixels."""
    if not inputs.all_pixels:
        raise NotApplicable("only a sample of the pixels was read")
    for sensor in inputs.manifest.sensors:
        scale, bands = load_sensor(sensor).scale, inputs.manifest.statistics.get(sensor, {})
        for band in load_sensor(sensor).order:
            recorded = bands.get(band, [])
            sums = inputs.moments.get((sensor, band), Moments())
            actual = mean_std(sums.number, sums.total, sums.squares, scale)
            tolerance = limits["tolerance"] * scale
            if len(recorded) != len(actual) or not np.allclose(recorded, actual, atol=tolerance, rtol=1e-6):
                yield Flag("statistics differ from the pixels", f"{sensor} {band}", f"{recorded}, not {actual}")


def queries(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Retrieval queries and relevance judgements are complete and follow from the labels."""
    if not any(inputs.samples["labels"].to_pylist()):
        raise NotApplicable("no sample has a label")
    root = inputs.context.root
    expected = query_files(inputs.samples, inputs.context.taxonomy)
    recorded = {file.path: file.sha256 for file in inputs.manifest.queries}
    for path in sorted({*expected, *recorded}):
        if not (root / path).is_file():
            yield Flag("query file is missing", path)
            continue
        data = (root / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != recorded.get(path):
            yield Flag("SHA-256 of a query file differs from the manifest", path)
        if wrong := set(data.decode().splitlines()) ^ set(expected.get(path, ())):
            detail = f"{plural(len(wrong), 'line')}, such as {min(wrong)}"
            yield Flag("queries or judgements do not follow from the labels", path, detail)


def _read_table(path: Path, schema: pa.Schema, *columns: str) -> pa.Table | None:
    """Columns of a table beside the shards; None where the table is unreadable or lacks one of them."""
    try:
        return read_table(path, pa.schema([schema.field(name) for name in columns]))
    except InvalidCorpus:
        return None


CHECKS: dict[str, Check] = {
    "manifest": manifest,
    "shards": shards,
    "index": index,
    "ids": ids,
    "ledger": ledger,
    "coverage": coverage,
    "pairs": pairs,
    "statistics": statistics,
    "queries": queries,
}
