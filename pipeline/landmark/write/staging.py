"""Staging: one file a unit, holding its samples and the outcomes of the rest.

It appears whole, so a unit is done or untried.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from landmark.core.atomic import appearing, sweep
from landmark.domain.drops import DropRecord

_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class Status:
    """What became of the planned samples so far, by id.

    Attributes:
        written: Where each sample lies: (staging file, row).
        outcomes: Why each of the others is not written; an id in neither was not tried.
    """

    written: dict[str, tuple[Path, int]]
    outcomes: dict[str, DropRecord]


class Staging:
    """The staging folder of a corpus."""

    def __init__(self, corpus: Path) -> None:
        self.folder = corpus / "staging"

    def open(self) -> None:
        """Make the folder, and clear away what a killed build left half-written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)

    @property
    def started(self) -> bool:
        """True once a unit has been carried out."""
        return any(self.folder.glob("*.arrow"))

    def tries(self) -> Counter[str]:
        """How often each acquisition was tried."""
        return Counter(path.name.split(".")[0] for path in self.folder.glob("*.arrow"))

    def path(self, acquisition: str, tries: int) -> Path:
        """The file of a unit's next try; a later try of a sample counts for more than an earlier one."""
        return self.folder / f"{acquisition}.{tries:04d}.arrow"

    def status(self) -> Status:
        """Read the ids and outcomes of every file; pixels stay on disk."""
        written: dict[str, tuple[Path, int]] = {}
        outcomes: dict[str, DropRecord] = {}
        # Sorted, tries of a unit follow one another.
        for path in sorted(self.folder.glob("*.arrow")):
            for row, (id, outcome) in enumerate(_ids(path)):
                if outcome is None:
                    outcomes.pop(id, None)
                    written[id] = (path, row)
                else:
                    written.pop(id, None)
                    outcomes[id] = outcome
        return Status(written, outcomes)


def write_staging(
    path: Path, rows: Iterable[Mapping[str, Any] | DropRecord], schema: pa.Schema
) -> list[DropRecord | None]:
    """Write a unit's file as its rows come, a batch in memory at a time.

    Hands back their outcomes, None for each sample.
    """
    outcomes: list[DropRecord | None] = []
    with appearing(path) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        stream = iter(rows)
        while batch := list(islice(stream, _BATCH_ROWS)):
            outcomes += [row if isinstance(row, DropRecord) else None for row in batch]
            records = [{"id": row.id, "outcome": _record(row)} if isinstance(row, DropRecord) else row for row in batch]
            writer.write_batch(pa.RecordBatch.from_pylist(records, schema=schema))
    return outcomes


def open_staging(path: Path) -> pa.Table:
    """A unit's rows, memory-mapped: a row's pixels are read when they are touched."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def _ids(path: Path) -> Iterator[tuple[str, DropRecord | None]]:
    table = open_staging(path)
    for id, said in zip(table["id"].to_pylist(), table["outcome"].to_pylist(), strict=True):
        yield id, None if said is None else DropRecord(**{name: said[name] for name in DropRecord.__slots__})


def _record(outcome: DropRecord) -> dict[str, Any]:
    return {**asdict(outcome), "final": outcome.final}
