"""Whether the files of a corpus belong together, and its rows add up to what the manifest says."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from landmark import pack
from landmark.base.errors import NotACorpus
from landmark.base.hashing import digest, file_sha256, names_digest
from landmark.base.manifest import Lock, read_document
from landmark.base.outcomes import BEFORE_THE_PLAN
from landmark.base.profiles import load_sensor
from landmark.quality.evidence import Evidence, Judge, Moments
from landmark.quality.facts import SECRET
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.rules import Limits

_TEXTS = ("corpus.json", "lock.json", "README.md", "ATTRIBUTION.md", "queries.jsonl")


def manifest(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The manifest's counts and digests are those of the rows, of the lock and of the plan."""
    said, samples = evidence.manifest, evidence.samples
    counts = said.counts
    if counts["planned"] != counts["written"] + counts["dropped"] + counts["failed"]:
        yield Flag("planned is not written + dropped + failed", "corpus.json", str(counts))
    sensors, splits = samples["sensor"].to_pylist(), samples["split"].to_pylist()
    found = Counter(zip(sensors, splits, strict=True))
    told = {(sensor, split): number for sensor, per in said.samples.items() for split, number in per.items()}
    yield from _differing("samples", told, found)
    yield from _differing("labels", said.labels, Counter(key for row in samples["labels"].to_pylist() for key in row))
    if counts["written"] != samples.num_rows:
        yield Flag("written is not the number of rows", "corpus.json", f"{counts['written']}, not {samples.num_rows}")
    if said.content != digest([[shard.path, shard.content] for shard in said.shards]):
        yield Flag("the content digest is not that of the shards", "corpus.json", said.content)
    yield from _lock(evidence)


def _differing(what: str, told: Mapping[Any, int], found: Mapping[Any, int]) -> Iterator[Flag]:
    for key in sorted({*told, *found}, key=str):
        if told.get(key, 0) != found.get(key, 0):
            name = " ".join(key) if isinstance(key, tuple) else str(key)
            yield Flag(f"{what} are not as many as the rows", name, f"{told.get(key, 0)}, not {found.get(key, 0)}")


def _lock(evidence: Evidence) -> Iterator[Flag]:
    root = evidence.known.root
    try:
        lock: Lock = read_document(Lock, root / "lock.json")
    except NotACorpus as error:
        yield Flag("the lock is missing or cannot be read", "lock.json", str(error).split(": ", 1)[1])
        return
    if lock.digest != evidence.manifest.lock_digest:
        yield Flag("the lock is not the one the manifest names", "lock.json", lock.digest)
    for name in ("plan", "cover", "clear"):
        path = root / f"{name}.parquet"
        if not path.is_file() or file_sha256(path) != getattr(lock, f"{name}_sha256"):
            yield Flag("a table is missing, or not the one the lock names", path.name)


def shards(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No file lies among the shards that the manifest does not name; none is named twice."""
    said = evidence.manifest
    named = [*(one.path for one in said.shards), *(one.path for one in said.projections)]
    for name, times in Counter(named).items():
        if times > 1:
            yield Flag("a file is named twice in the manifest", name)
    folder = evidence.known.root / "shards"
    for path in sorted(folder.rglob("*.parquet")) + sorted(folder.rglob("*.tar")):
        if (name := path.relative_to(evidence.known.root).as_posix()) not in named:
            yield Flag("a file lies among the shards that the manifest does not name", name)
    for one in said.projections:
        path = evidence.known.root / one.path
        if not path.is_file() or path.stat().st_size != one.size_bytes:
            yield Flag("a projection is missing, or not as long as the manifest says", one.path)
        elif evidence.whole and file_sha256(path) != one.sha256:
            yield Flag("a projection's bytes are not those that were written", one.path)


def index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The index holds the samples of the shards, in their order (column by column where the shards are read)."""
    path = evidence.known.root / "index.parquet"
    try:
        ids = pq.read_table(path, columns=["id"])["id"].to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        yield Flag("the index is missing or cannot be read", path.name, str(error).splitlines()[0][:120])
        return
    if names_digest(ids) != evidence.manifest.ids:
        yield Flag("the index holds other samples than the manifest", path.name, f"{len(ids)} rows")


def ids(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """An id stands once."""
    for id, times in Counter(evidence.samples["id"].to_pylist()).items():
        if times > 1:
            yield Flag("an id stands more than once", str(id), f"{times} times")


def ledger(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Every planned sample is written or stands in the ledger, and none in both."""
    root = evidence.known.root
    try:
        rows = pq.read_table(root / "ledger.parquet").to_pylist()
        planned = set(pq.read_table(root / "plan.parquet", columns=["id"])["id"].to_pylist())
    except (pa.ArrowException, OSError) as error:
        yield Flag("ledger or plan is missing or cannot be read", "ledger.parquet", str(error).splitlines()[0][:120])
        return
    dropped = {row["id"] for row in rows if row["stage"] not in BEFORE_THE_PLAN}
    written = set(evidence.samples["id"].to_pylist())
    for what, lost in (
        ("a planned sample is neither written nor in the ledger", planned - written - dropped),
        ("a sample is written and in the ledger, too", written & dropped),
        ("a sample is written that nobody planned", written - planned),
        ("the ledger names a sample that nobody planned", dropped - planned),
    ):
        yield from (Flag(what, id) for id in sorted(lost))
    reasons = Counter(row["reason"] for row in rows if row["stage"] not in BEFORE_THE_PLAN)
    yield from _differing("drops", evidence.manifest.dropped, reasons)


def pairs(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """A pair is a sample of the other sensor in the same cell and split, as far away in time as `pair_gap_s` says."""
    columns = evidence.samples.select(["id", "sensor", "cell", "split", "datetime", "pair", "pair_gap_s"])
    by_id = {row["id"]: row for row in columns.to_pylist()}
    most_s = 86_400 * evidence.known.recipe.get("max_pair_gap_days", limits["max_gap_days"])
    if all(row["pair"] is None for row in by_id.values()):
        raise NotApplicable("no sample has a pair")
    for id, row in by_id.items():
        if row["pair"] is None:
            if row["pair_gap_s"] is not None:
                yield Flag("a sample without a pair has a gap", id, f"{row['pair_gap_s']} s")
            continue
        other = by_id.get(row["pair"])
        if other is None:
            yield Flag("a pair is not in the corpus", id, row["pair"])
            continue
        for name, same in (("sensor", False), ("cell", True), ("split", True)):
            if (row[name] == other[name]) != same:
                yield Flag(f"a pair is of {'another' if same else 'the same'} {name}", id, row["pair"])
        gap_s = round((row["datetime"] - other["datetime"]).total_seconds())
        if row["pair_gap_s"] is None or abs(row["pair_gap_s"] - gap_s) > 1:
            yield Flag("pair_gap_s is not the time between the pair", id, f"{row['pair_gap_s']} s, not {gap_s} s")
        if abs(gap_s) > most_s:
            yield Flag("a pair is farther apart than the recipe allows", id, f"{abs(gap_s) / 86_400:.1f} days")


def statistics(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The manifest's mean and deviation of each band are those of the pixels."""
    if not evidence.whole:
        raise NotApplicable("only a sample of the pixels was read")
    for sensor, bands in evidence.manifest.statistics.items():
        scale = load_sensor(sensor).scale
        for band, said in bands.items():
            found = _mean_std(evidence.moments.get((sensor, band), Moments()), scale)
            if len(said) != len(found) or not np.allclose(said, found, atol=limits["tolerance"] * scale, rtol=1e-6):
                yield Flag("statistics are not those of the pixels", f"{sensor} {band}", f"{said}, not {found}")


def _mean_std(sums: Moments, scale: float) -> list[float]:
    if sums.number == 0:
        return []
    variance = max(sums.squares / sums.number - (sums.total / sums.number) ** 2, 0.0)
    return [round(scale * sums.total / sums.number, 6), round(scale * float(np.sqrt(variance)), 6)]


def queries(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Queries and their judgements are whole, and what the labels make them."""
    if not any(evidence.samples["labels"].to_pylist()):
        raise NotApplicable("no sample has a label")
    root = evidence.known.root
    due = pack.query_files(evidence.samples, evidence.known.taxonomy)
    for path in sorted({*due, *(one.path for one in evidence.manifest.queries)}):
        if not (root / path).is_file():
            yield Flag("a file of the retrieval queries is missing", path)
            continue
        data = (root / path).read_bytes()
        sealed = {one.path: one.sha256 for one in evidence.manifest.queries}.get(path)
        if hashlib.sha256(data).hexdigest() != sealed:
            yield Flag("queries or judgements are not those that were sealed", path)
        if wrong := set(data.decode().splitlines()) ^ set(due.get(path, ())):
            yield Flag(
                "queries or judgements do not follow from the labels", path, f"{len(wrong)} lines, as {min(wrong)}"
            )


def secrets(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No document holds a signed address."""
    for name in _TEXTS:
        path: Path = evidence.known.root / name
        if path.is_file() and (found := SECRET.search(path.read_text(encoding="utf-8", errors="replace"))):
            yield Flag("a document holds a signed address", name, re.sub(r"=.*", "=…", found[0]))


JUDGES: dict[str, Judge] = {
    "manifest": manifest,
    "shards": shards,
    "index": index,
    "ids": ids,
    "ledger": ledger,
    "pairs": pairs,
    "statistics": statistics,
    "queries": queries,
    "secrets": secrets,
}
