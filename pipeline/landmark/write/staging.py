"""Staging: one file per task, holding its samples and the drop records of the others.

Files are written atomically, so a task is either finished or not tried. They are not flushed to the disk: after a power
loss, a file may have any content. A build that resumes compares every file with the digests in it, those of the pixels
in the rows and one of everything else, and deletes those that differ, so that their tasks run again.
"""

import datetime as dt
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from landmark.core.atomic import atomic_path, remove_partials
from landmark.core.corpus_paths import make_folder, writable
from landmark.core.ranges.answers import Validators
from landmark.corpus.tables import DAMAGE, reporting_damage
from landmark.domain.drops import DropRecord

log = logging.getLogger(__name__)

STAGING = "staging"
# Rows of each batch of a file but the last one.
BATCH_ROWS = 32
# Metadata keys of the last batch, which is empty.
_VERSIONS, _FACTS = b"landmark:versions", b"landmark:facts"


@dataclass(frozen=True, slots=True)
class Status:
    """State of the planned samples so far, by id.

    Attributes:
        written: (staging file, row) of each written sample.
        drops: Why samples were not written; an id in neither was not tried.
    """

    written: dict[str, tuple[Path, int]]
    drops: dict[str, DropRecord]


class Staging:
    """The staging folder of a corpus."""

    def __init__(self, corpus: Path) -> None:
        self._corpus, self.folder = corpus, corpus / STAGING

    def open(self) -> None:
        """Make the folder; delete partial files of a killed build, and files that a power loss has damaged."""
        make_folder(self._corpus, STAGING)
        remove_partials(self.folder)
        for path in sorted(self.folder.glob("*.arrow")):
            if path.is_file() and not _is_intact(path):
                log.warning("%s is damaged, or of an earlier version; its samples are extracted again", path)
                path.unlink()

    @property
    def started(self) -> bool:
        """True once a task has finished."""
        return any(self.folder.glob("*.arrow"))

    def tries(self) -> Counter[str]:
        """Number of the next attempt of each acquisition."""
        tries = Counter[str]()
        for path in self.folder.glob("*.[0-9][0-9][0-9][0-9].arrow"):
            acquisition, number, _ = path.name.rsplit(".", 2)
            tries[acquisition] = max(tries[acquisition], int(number) + 1)
        return tries

    def path(self, acquisition: str, tries: int) -> Path:
        """Path of a task's next attempt; for each sample the latest attempt counts."""
        return writable(self._corpus, f"{STAGING}/{acquisition}.{tries:04d}.arrow")

    def status(self) -> Status:
        """Read the ids and drop records of every file; pixels stay on disk.

        Raises:
            InvalidCorpus: a file is damaged.
        """
        written: dict[str, tuple[Path, int]] = {}
        drops: dict[str, DropRecord] = {}
        # Sorted by name, the attempts of a task follow one another.
        for path in sorted(self.folder.glob("*.arrow")):
            for row, (id, record) in enumerate(_read_ids(path)):
                if record is None:
                    drops.pop(id, None)
                    written[id] = (path, row)
                else:
                    written.pop(id, None)
                    drops[id] = record
        return Status(written, drops)

    def versions(self) -> dict[str, tuple[Validators, ...]]:
        """Href → versions of each remote file that was read: several where it was replaced between two attempts."""
        versions: dict[str, tuple[Validators, ...]] = {}
        for path in sorted(self.folder.glob("*.arrow")):
            for href, version in _read_versions(path).items():
                earlier = versions.get(href, ())
                if not any(version.matches(known) for known in earlier):
                    versions[href] = (*earlier, version)
        return versions


def write_staging(
    path: Path,
    rows: Iterable[Mapping[str, Any] | DropRecord],
    schema: pa.Schema,
    versions: Mapping[str, Validators] = MappingProxyType({}),
) -> list[DropRecord | None]:
    """Stream a task's rows to its file; a thread writes one batch while the next is made.

    Args:
        path: The file.
        rows: Samples, their pixels as buffers, and drop records.
        schema: Of the samples.
        versions: Href → version of each file that was read, complete once `rows` is consumed.

    Returns:
        Per row its drop record, None for a written sample.
    """
    records: list[DropRecord | None] = []
    digest, stream = hashlib.sha256(schema.serialize()), iter(rows)
    with (
        atomic_path(path, flush=False) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
        ThreadPoolExecutor(1, thread_name_prefix="stage") as thread,
    ):
        pending: Future[None] | None = None
        while rows_of_batch := list(islice(stream, BATCH_ROWS)):
            records += [row if isinstance(row, DropRecord) else None for row in rows_of_batch]
            facts, pixels = _facts(rows_of_batch, schema), _pixels(rows_of_batch, schema)
            if pending is not None:
                pending.result()
            pending = thread.submit(_write_batch, writer, facts, pixels, schema)
            digest.update(facts.serialize())
        if pending is not None:
            pending.result()
        text = _dump_versions(versions)
        digest.update(text.encode())
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        writer.write_batch(empty, custom_metadata={_VERSIONS: text, _FACTS: digest.hexdigest()})
    return records


def _facts(rows: Sequence[Mapping[str, Any] | DropRecord], schema: pa.Schema) -> pa.RecordBatch:
    """All columns but those of pixels."""
    facts = [
        {"id": row.id, "outcome": {**asdict(row), "final": row.final}} if isinstance(row, DropRecord) else row
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(facts, schema=_fact_schema(schema))


def _fact_schema(schema: pa.Schema) -> pa.Schema:
    pixels = _pixel_columns(schema)
    return pa.schema([field for field in schema if field.name not in pixels])


def _pixel_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns of pixels, in stored order: those between `sha256` and `outcome`."""
    return list(schema.names[schema.get_field_index("sha256") + 1 : schema.get_field_index("outcome")])


def _pixels(rows: Sequence[Mapping[str, Any] | DropRecord], schema: pa.Schema) -> dict[str, list[Any]]:
    """The values of each column of pixels, None of a drop record."""
    return {
        name: [None if isinstance(row, DropRecord) else row[name] for row in rows] for name in _pixel_columns(schema)
    }


def _write_batch(
    writer: pa.RecordBatchFileWriter, facts: pa.RecordBatch, pixels: Mapping[str, Sequence[Any]], schema: pa.Schema
) -> None:
    columns = {
        **dict(zip(facts.schema.names, facts.columns, strict=True)),
        **{n: _binary(v) for n, v in pixels.items()},
    }
    writer.write_batch(pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema))


def _binary(values: Sequence[Any]) -> pa.BinaryArray:
    """A column of buffers, copied once; None is null."""
    parts = [np.frombuffer(b"" if value is None else value, np.uint8) for value in values]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    present = pa.array([value is not None for value in values])
    validity = None if present.true_count == len(values) else present.buffers()[1]
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(np.concatenate(parts))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _is_intact(path: Path) -> bool:
    """Whether a file has the pixels and facts that its digests were made of."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            schema = reader.schema
            digest = hashlib.sha256(schema.serialize())
            facts, pixels = _fact_schema(schema).names, _pixel_columns(schema)
            for number in range(reader.num_record_batches - 1):
                batch = reader.get_batch(number)
                batch.validate(full=True)
                digest.update(batch.select(facts).serialize())
                for row, sha256 in enumerate(batch["sha256"].to_pylist()):
                    if sha256 is not None and _sha256(batch, pixels, row) != sha256:
                        return False
            _, notes = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            digest.update(notes[_VERSIONS])
            return bool(notes[_FACTS].decode() == digest.hexdigest())
    except DAMAGE:
        return False


def _sha256(batch: pa.RecordBatch, columns: Sequence[str], row: int) -> str:
    """SHA-256 of the pixels of a row."""
    sha256 = hashlib.sha256()
    for name in columns:
        sha256.update(memoryview(batch[name][row].as_buffer() or b""))
    return sha256.hexdigest()


def _dump_versions(versions: Mapping[str, Validators]) -> str:
    return json.dumps({href: [*version[:2], _to_text(version.modified)] for href, version in versions.items()})


def _to_text(time: dt.datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _read_versions(path: Path) -> dict[str, Validators]:
    """Href → version of each remote file that a task has read."""
    with reporting_damage(path), pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        if not reader.num_record_batches:
            return {}
        _, notes = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        values = json.loads(notes[_VERSIONS]) if notes is not None and _VERSIONS in notes else {}
        return {
            href: Validators(size, etag, None if modified is None else dt.datetime.fromisoformat(modified))
            for href, (size, etag, modified) in values.items()
        }


def open_staging(path: Path) -> pa.Table:
    """Memory-map a task's rows; pixels are read on access.

    Raises:
        InvalidCorpus: the file is damaged.
    """
    with reporting_damage(path), pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def _read_ids(path: Path) -> Iterator[tuple[str, DropRecord | None]]:
    with reporting_damage(path):
        table = open_staging(path).select(["id", "outcome"])
        table.validate(full=True)
        rows = zip(table["id"].to_pylist(), table["outcome"].to_pylist(), strict=True)
    for id, record in rows:
        yield id, None if record is None else DropRecord(**{name: record[name] for name in DropRecord.__slots__})
