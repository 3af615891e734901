"""Staging: one file per task, holding its samples and the drop records of the others.

Files are written atomically, so a task is either finished or not tried.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from landmark.core.atomic import atomic_path, remove_partials
from landmark.core.corpus_paths import make_folder, writable
from landmark.core.ranges.answers import Validators
from landmark.corpus.tables import reporting_damage
from landmark.domain.drops import DropRecord

STAGING = "staging"
_BATCH_ROWS = 64
# Metadata key of the last batch, which is empty.
_VERSIONS = b"landmark:versions"


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
        """Make the folder and delete partial files of a killed build."""
        make_folder(self._corpus, STAGING)
        remove_partials(self.folder)

    @property
    def started(self) -> bool:
        """True once a task has finished."""
        return any(self.folder.glob("*.arrow"))

    def tries(self) -> Counter[str]:
        """Count the attempts of each acquisition."""
        return Counter(path.name.split(".")[0] for path in self.folder.glob("*.arrow"))

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
    """Stream a task's rows to its file, one batch in memory at a time.

    Args:
        path: The file.
        rows: Samples and drop records.
        schema: Of the samples.
        versions: Href → version of each file that was read, complete once `rows` is consumed.

    Returns:
        Per row its drop record, None for a written sample.
    """
    records: list[DropRecord | None] = []
    with atomic_path(path) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        stream = iter(rows)
        while batch := list(islice(stream, _BATCH_ROWS)):
            records += [row if isinstance(row, DropRecord) else None for row in batch]
            samples = [
                {"id": row.id, "outcome": {**asdict(row), "final": row.final}} if isinstance(row, DropRecord) else row
                for row in batch
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(samples, schema=schema))
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        writer.write_batch(empty, custom_metadata={_VERSIONS: _dump_versions(versions)})
    return records


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
