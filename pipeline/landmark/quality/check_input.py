"""Data types between the shard pass and the checks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.captions.parse import Lexicon
from landmark.config.recipe import Recipe
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, Shard
from landmark.domain.schemas import INDEX
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.check_profile import Limits
from landmark.quality.chips.registration import Surfaces
from landmark.quality.findings import Flag
from landmark.quality.rows.derivation import Derivation
from landmark.quality.rows.language_words import LanguageWords

# Row checks read these in the workers; for a corpus of Europe they would not fit into the client's memory.
_HEAVY_COLUMNS = ("geometry", "captions", "questions", "hard_negatives", "licences", "transform")
# One row per sample, gathered in the client. `x`, `y`: left and top edge in metres of `epsg`; `caption`: the structured
# caption; `pixels_read`: whether the pixels were measured.
SAMPLE_COLUMNS = pa.schema([
    *(column.with_nullable(True) for column in INDEX if column.name not in _HEAVY_COLUMNS),
    pa.field("shard", pa.string()),
    pa.field("x", pa.float64()),
    pa.field("y", pa.float64()),
    pa.field("caption", pa.string()),
    pa.field("pixels_read", pa.bool_()),
])  # fmt: skip
MAP_COLUMNS = tuple(column.name for column in INDEX if pa.types.is_map(column.type))


def derived_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of SAMPLE_COLUMNS that are derived from the heavy ones."""
    structured = [caption["text"] for caption in record.get("captions") or () if caption["style"] == "structured"]
    transform = record.get("transform") or [None] * 6
    return {"x": transform[2], "y": transform[5], "caption": structured[0] if structured else None}


class Moments(NamedTuple):
    """Number, sum and sum of squares of a band's valid stored values.

    Integers, so that sums do not depend on the order of the workers.
    """

    number: int = 0
    total: int = 0
    squares: int = 0

    def __add__(self, addend: "Moments") -> "Moments":  # type: ignore[override]
        return Moments(self.number + addend.number, self.total + addend.total, self.squares + addend.squares)

    @staticmethod
    def of_bands(stack: NDArray[Any], nodata: int) -> "list[Moments]":
        """Moments of the bands (band, y, x) of one chip."""
        stored = stack.reshape(len(stack), -1)
        # Integers below 2^53 are exact in float64.
        valid, numbers = stored != nodata, stored.astype(np.float64)
        if nodata != 0 and not valid.all():
            numbers[~valid] = 0
        moments = np.count_nonzero(valid, axis=1), numbers.sum(axis=1), np.vecdot(numbers, numbers)
        return [Moments(*map(int, band)) for band in zip(*moments, strict=True)]


@dataclass(frozen=True, slots=True)
class CorpusContext:
    """The documents of a corpus and the options of the run. Loaded once by the client, sent to workers by value.

    Attributes:
        recipe: As recorded in the lock; None without a lock or if the manifest names another one.
        max_gap_days: Per label source, from the recipe or the source's own file.
        limits: Thresholds per active check.
        undated: Subclass → event class, of the sources that give event classes without a date.
        lexicons: Language → words of its captions.
        words: Language → words and letters of its texts.
        underivable: Why annotations cannot be derived again; "" where they can.
    """

    root: Path
    manifest: Manifest
    recipe: Recipe | None
    max_gap_days: Mapping[str, float]
    limits: Mapping[str, Limits]
    undated: Mapping[str, str] = field(default_factory=dict)
    lexicons: Mapping[str, Lexicon] = field(default_factory=dict)
    words: Mapping[str, LanguageWords] = field(default_factory=dict)
    underivable: str = "the corpus has no label counts"

    @property
    def taxonomy(self) -> Taxonomy:
        """The taxonomy recorded in the manifest."""
        return self.manifest.taxonomy

    def is_event_class(self, key: str) -> bool:
        """Whether a class of the taxonomy is given by events only."""
        entry = self.taxonomy.classes.get(key)
        return entry is not None and entry.event


@dataclass(frozen=True, slots=True)
class ShardGroup:
    """Unit of work: the shards of one split and number, which hold the same cells of every sensor.

    Attributes:
        shards: Each with its first row in the index.
        share: Of the cells whose pixels are measured, in (0, 1], chosen by hash.
        derivation: What the samples' annotations follow from; None where they cannot be derived.
        cells: Of the samples that are measured and checked; None for all. Files are always checked in full.
    """

    context: CorpusContext
    shards: tuple[tuple[Shard, int], ...]
    share: float
    seed: int
    derivation: Derivation | None = None
    cells: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Result of one shard group. Results add up in any order.

    Attributes:
        samples: One row per sample: SAMPLE_COLUMNS and MEASURES.
        flags: Per check, the flags that need only one file or row.
        surfaces: Per acquisition, summed correlation of optical and radar images.
        moments: Per (sensor, band).
    """

    samples: pa.Table
    flags: dict[str, list[Flag]]
    surfaces: Surfaces
    moments: dict[tuple[str, str], Moments]


@dataclass(frozen=True, slots=True)
class CheckInput:
    """Results of all shard groups: the input of corpus-level checks.

    Attributes:
        samples: One row per sample, ordered by id: SAMPLE_COLUMNS and MEASURES (null where the pixels were not read, or
            the sensor has no such measure).
        all_pixels: True where the pixels of every sample were read.
        lock: The lock that the manifest names, None without it.
    """

    context: CorpusContext
    samples: pa.Table
    surfaces: Surfaces
    moments: Mapping[tuple[str, str], Moments]
    all_pixels: bool
    lock: Lock | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest on disk."""
        return self.context.manifest

    def samples_of(self, sensor: str) -> pa.Table:
        """The samples of one sensor."""
        return self.samples.filter(pc.equal(self.samples["sensor"], sensor))


Check = Callable[[CheckInput, Limits], Iterable[Flag]]


def float_column(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column as float64, NaN where null."""
    column = pc.fill_null(pc.cast(table[name], pa.float64()), float("nan"))
    return np.asarray(column.to_numpy())
