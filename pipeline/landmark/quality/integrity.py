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

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import digest, file_sha256, names_digest
from landmark.corpus.manifest import Lock, read_document
from landmark.domain.drops import BEFORE_THE_PLAN
from landmark.domain.schemas import LEDGER
from landmark.quality.check_profile import Limits
from landmark.quality.evidence import Evidence, Judge, Moments
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.row_checks import LOCAL, SECRET
from landmark.write.queries import query_files

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
    except InvalidCorpus as error:
        yield Flag("the lock is missing or cannot be read", "lock.json", str(error).split(": ", 1)[1])
        return
    if lock.digest != evidence.manifest.lock_digest:
        yield Flag("the lock is not the one the manifest names", "lock.json", lock.digest)
        return
    for name in ("recipe_digest", "proof", "considered"):
        if getattr(lock, name) != getattr(evidence.manifest, name):
            yield Flag(f"{name} is not the lock's", "corpus.json")
    for name in ("plan", "cover", "clear"):
        path = root / f"{name}.parquet"
        if not path.is_file() or file_sha256(path) != getattr(lock, f"{name}_sha256"):
            yield Flag("a table is missing, or not the one the lock names", path.name)


def shards(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """No file lies among the shards that the manifest does not name; none is named twice."""
    said = evidence.manifest
    named = [*(one.path for one in said.shards), *(one.path for one in said.projections)]
    past = [one for each in said.earlier for one in each.files]
    earlier = {one.path: one for one in past}
    for name, times in Counter(named).items():
        if times > 1:
            yield Flag("a file is named twice in the manifest", name)
    for path in sorted((evidence.known.root / "shards").rglob("*")):
        if path.is_file() and (name := path.relative_to(evidence.known.root).as_posix()) not in {*named, *earlier}:
            yield Flag("a file lies among the shards that the manifest does not name", name)
    for name, one in earlier.items():
        path = evidence.known.root / name
        if path.is_file() and (
            path.stat().st_size != one.size_bytes or (evidence.whole and file_sha256(path) != one.sha256)
        ):
            yield Flag("a file of an earlier generation is not what was sealed", name)


def index(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The index holds the samples of the shards, in their order (column by column where the shards are read)."""
    table = _table(evidence.known.root / "index.parquet", "id")
    if table is None:
        yield Flag("the index is missing or cannot be read", "index.parquet")
        return
    ids = table["id"].to_pylist()
    if names_digest(ids) != evidence.manifest.ids:
        yield Flag("the index holds other samples than the manifest", "index.parquet", f"{len(ids)} rows")


def ids(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """An id stands once."""
    for id, times in Counter(evidence.samples["id"].to_pylist()).items():
        if times > 1:
            yield Flag("an id stands more than once", str(id), f"{times} times")


def ledger(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """Every planned sample is written or stands in the ledger, and none in both."""
    root, read = evidence.known.root, dict[str, list[dict[str, Any]]]()
    for name, columns in (("ledger", LEDGER.names), ("plan", ["id"])):
        table = _table(root / f"{name}.parquet", *columns)
        if table is None:
            yield Flag("a table is missing or has not its columns", f"{name}.parquet")
            return
        read[name] = table.to_pylist()
    rows, planned = read["ledger"], {row["id"] for row in read["plan"]}
    dropped = {row["id"] for row in rows if row["stage"] not in BEFORE_THE_PLAN}
    written = set(evidence.samples["id"].to_pylist())
    for what, lost in (
        ("a planned sample is neither written nor in the ledger", planned - written - dropped),
        ("a sample is written and in the ledger, too", written & dropped),
        ("a sample is written that nobody planned", written - planned),
        ("the ledger names a sample that nobody planned", dropped - planned),
    ):
        yield from (Flag(what, id) for id in sorted(lost))
    for row in rows:
        if not row["final"]:
            yield Flag("the ledger of a sealed corpus holds a failure worth another try", row["id"], row["reason"])
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
    yield from _unpaired(by_id, evidence.known.root)


def _unpaired(by_id: Mapping[str, Mapping[str, Any]], root: Path) -> Iterator[Flag]:
    """Samples without the pair that the plan gave them, though it was written, or that name them theirs."""
    planned = _table(root / "plan.parquet", "id", "pair")
    wanted = {row["id"]: row["pair"] for row in planned.to_pylist()} if planned is not None else {}
    naming = {row["pair"]: id for id, row in by_id.items() if row["pair"] is not None}
    for id, row in by_id.items():
        due = wanted.get(id)
        if row["pair"] is None and due in by_id:
            yield Flag("the pair that was planned is not named", id, str(due))
        elif row["pair"] is None and due is None and id in naming:
            yield Flag("a sample without a pair is the pair of another", id, naming[id])


def statistics(evidence: Evidence, limits: Limits) -> Iterator[Flag]:
    """The manifest's mean and deviation of each band are those of the pixels."""
    if not evidence.whole:
        raise NotApplicable("only a sample of the pixels was read")
    for sensor in evidence.manifest.sensors:
        scale, told = load_sensor(sensor).scale, evidence.manifest.statistics.get(sensor, {})
        for band in load_sensor(sensor).order:
            said = told.get(band, [])
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
    due = query_files(evidence.samples, evidence.known.taxonomy)
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
    """No document and no row of the ledger holds a token, a signed address or a path of a machine."""
    texts = [(name, _text(evidence.known.root / name)) for name in _TEXTS]
    if (ledger := _table(evidence.known.root / "ledger.parquet", *LEDGER.names)) is not None:
        texts += [("ledger.parquet", " ".join(str(value) for value in row.values())) for row in ledger.to_pylist()]
    for name, text in texts:
        if found := SECRET.search(text):
            yield Flag("a token or a signed address", name, re.sub(r"(=|Bearer |eyJ).*", r"\1…", found[0]))
        elif found := LOCAL.search(text):
            yield Flag("a path of a machine", name, found[0].strip())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _table(path: Path, *columns: str) -> pa.Table | None:
    """Columns of a table beside the shards, None where it cannot be read or lacks one."""
    try:
        table = pq.read_table(path, columns=list(columns)) if path.is_file() else None
    except (pa.ArrowException, OSError):
        return None
    return table if table is not None and set(columns) <= set(table.column_names) else None


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
