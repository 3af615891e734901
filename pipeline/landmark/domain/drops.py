"""Ledger rows: why a planned sample, a cell or an item is not in the corpus."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import Enum

import pyarrow as pa

from landmark.domain.schemas import LEDGER


class Reason(Enum):
    """The closed list of reasons, each either final (a drop) or worth a retry (a failure)."""

    def __init__(self, text: str, final: bool) -> None:
        self.text, self.final = text, final

    # Stage `stac`, before anything is planned; the id is the item's.
    item_invalid = "the item is not valid STAC, or a value that is needed is missing or invalid", True
    band_missing = "the item lacks a band of the sensor", True
    polarisation = "the item lacks a polarisation of the sensor", True
    orbit_unknown = "the item has no orbit direction, and the recipe filters by it", True
    not_geocoded = "the image has no grid in metres with square pixels", True
    # Stage `plan`, before any pixel is read; the id is the cell's.
    no_acquisition = "no acquisition of the sensor covers the cell in the period", True
    no_labels = "no label source covers the cell", True
    label_gap = "the only labels of the cell are older than `max_gap_days`", True
    unlabelled = "no class reaches its threshold", True
    buffer = "the cell is within the buffer of another split", True
    # Stage `extract`, from headers and pixels.
    off_lattice = "the cell's corner is not a pixel corner of the raster", True
    outside = "the cell is not inside the raster", True
    resolution = "the raster's pixel size is not the band's", True
    encoding = "the raster is not stored as in the provider's profile", True
    nodata = "too few valid pixels", True
    constant = "all pixels of a band have one value", True
    cloud = "too much cloud or shadow", True
    # Failures of stage `extract`.
    read_error = "the raster could not be read", False
    changed = "the file was replaced while it was read", False
    forbidden = "the server denies access to the raster, or gives no token for it", False
    task_error = "the task ended in an unexpected error", False
    worker_lost = "the worker died repeatedly", False
    # Failures that --allow-failures made final.
    allowed_failure = "failed, and the corpus was finalized with --allow-failures", True


# Rows of these stages belong to no planned sample.
PRE_PLAN_STAGES = ("stac", "plan")


@dataclass(frozen=True, slots=True)
class DropRecord:
    """A ledger row.

    Attributes:
        id: Sample id; in stage `plan` the cell's, in stage `stac` the item's.
        acquisition: Acquisition id; empty in stages `plan` and `stac`.
        stage: `stac`, `plan` or `extract`.
        reason: Name of a `Reason`.
        detail: One line of text without paths, times and URLs, so that corpus files are reproducible.
    """

    id: str
    acquisition: str
    stage: str
    reason: str
    detail: str

    @property
    def final(self) -> bool:
        """True for a drop, False for a failure that may succeed on a retry."""
        return Reason[self.reason].final


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Result of one or more tasks: samples written, dropped and failed by reason, and rasters by read path."""

    written: int
    dropped: Counter[str]
    failed: Counter[str]
    routes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def zero(cls) -> "TaskCounts":
        """Counts of zero tasks."""
        return cls(0, Counter(), Counter())

    @property
    def total(self) -> int:
        """Samples written, dropped or failed."""
        return self.written + self.dropped.total() + self.failed.total()

    def losses(self) -> str:
        """Dropped and failed samples by reason, as text: `dropped 3 (cloud 3); failed 1 (read_error 1)`."""
        parts = []
        for word, counts in (("dropped", self.dropped), ("failed", self.failed)):
            reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
            parts += [f"{word} {counts.total()} ({reasons})"] if counts else []
        return "; ".join(parts)

    def __add__(self, other: "TaskCounts") -> "TaskCounts":
        return TaskCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def ledger_table(records: Iterable[DropRecord]) -> pa.Table:
    """A ledger table of records, sorted by id."""
    rows = [{**asdict(record), "final": record.final} for record in records]
    return merge_ledgers([pa.Table.from_pylist(rows, schema=LEDGER)])


def skipped_cells(cells: pa.Array, reason: str, details: pa.Array | str = "") -> pa.Table:
    """Ledger rows, stage `plan`, for cells skipped for one reason, built by column: there may be millions."""
    columns = {"id": cells, "acquisition": "", "stage": "plan", "reason": reason, "detail": details}
    columns |= {"final": Reason[reason].final}
    repeated = {
        name: pa.repeat(value, len(cells)) if isinstance(value, str | bool) else value
        for name, value in columns.items()
    }
    return pa.table(repeated, schema=LEDGER)


def merge_ledgers(parts: Iterable[pa.Table]) -> pa.Table:
    """Concatenate ledger tables, sorted by id and detail."""
    return pa.concat_tables([LEDGER.empty_table(), *parts]).sort_by([("id", "ascending"), ("detail", "ascending")])
