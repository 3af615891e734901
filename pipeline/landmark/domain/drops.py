"""Why a planned sample is not in the corpus: one closed list of reasons."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import pyarrow as pa

from landmark.domain.schemas import LEDGER


class Reason(Enum):
    """A reason and whether it is final (a drop) or may pass when tried again (a failure)."""

    def __init__(self, text: str, final: bool) -> None:
        self.text, self.final = text, final

    # Known of an item before anything is planned (stage `catalog`; the id is the item's).
    band_missing = "the item lacks a band of the sensor", True
    polarisation = "the item lacks a polarisation of the sensor", True
    orbit_unsaid = "the item does not say its orbit's direction, and the recipe asks for one", True
    not_geocoded = "the image lies on no grid: ground control points, or nothing, place it", True
    # Known before a pixel is read (stage `draw`; the id is the cell's).
    no_acquisition = "no acquisition of the sensor covers the cell in the period", True
    no_labels = "no label source covers the cell", True
    label_gap = "the only labels of the cell are older than the recipe takes", True
    unlabelled = "no class reaches its threshold", True
    buffer = "the cell lies within the buffer of another split", True
    # Known from the header or the pixels (stage `imagery`).
    off_lattice = "the cell's corner is not a pixel corner of the raster", True
    outside = "the cell is not inside the raster", True
    resolution = "the raster's pixel size is not the band's", True
    encoding = "the raster is not stored as the provider's profile says", True
    nodata = "too few valid pixels", True
    constant = "all pixels of a band hold one value", True
    cloud = "too much cloud or shadow", True
    # Passing faults.
    read_error = "the raster could not be read", False
    forbidden = "the archive refuses the raster, or no token for it can be had", False
    unit_error = "the unit ended in an error landmark does not know", False
    worker_lost = "the worker died, again and again", False
    # Said by a person.
    given_up = "failed, and sealed all the same", True


# Stages before the plan: their rows of the ledger are of no planned sample.
BEFORE_THE_PLAN = ("catalog", "draw")


@dataclass(frozen=True, slots=True)
class DropRecord:
    """What became of one planned sample that was not written.

    Attributes:
        id: Sample id; for stage `draw` the cell id, for stage `catalog` the item id.
        acquisition: Acquisition id, empty for the stages `catalog` and `draw`.
        stage: Room that decided.
        reason: Name of a `Reason`.
        detail: One line for people, free of paths, times and addresses, so that corpus files stay reproducible.
    """

    id: str
    acquisition: str
    stage: str
    reason: str
    detail: str

    @property
    def final(self) -> bool:
        """True for a drop, false for a failure worth another try."""
        return Reason[self.reason].final


@dataclass(frozen=True, slots=True)
class Tally:
    """How a unit went: samples written, and the others by reason; its rasters, by how they were read."""

    written: int
    dropped: Counter[str]
    failed: Counter[str]
    routes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def zero(cls) -> "Tally":
        """Nothing yet."""
        return cls(0, Counter(), Counter())

    @property
    def all(self) -> int:
        """Samples of known fate."""
        return self.written + self.dropped.total() + self.failed.total()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def ledger_table(outcomes: Iterable[DropRecord]) -> pa.Table:
    """Outcomes as rows of the ledger, in the order of their ids."""
    rows = [{name: getattr(one, name) for name in LEDGER.names} for one in outcomes]
    return ledger([pa.Table.from_pylist(rows, schema=LEDGER)])


def left_out(cells: pa.Array, reason: str, details: pa.Array | str = "") -> pa.Table:
    """Rows of the ledger, stage `draw`, for cells that one reason keeps out of the plan: a continent has millions."""
    said = {"id": cells, "acquisition": "", "stage": "draw", "reason": reason, "detail": details}
    columns = {name: pa.repeat(one, len(cells)) if isinstance(one, str) else one for name, one in said.items()}
    return pa.table(columns | {"final": pa.repeat(Reason[reason].final, len(cells))}, schema=LEDGER)


def ledger(parts: Iterable[pa.Table]) -> pa.Table:
    """Parts of a ledger as one, in the order of their ids."""
    return pa.concat_tables([LEDGER.empty_table(), *parts]).sort_by([("id", "ascending"), ("detail", "ascending")])
