"""What the pass over a corpus brings back, and what it needs to know before."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.captions.parse import Lexicon
from landmark.corpus.manifest import Lock, Manifest, Shard
from landmark.domain.schemas import INDEX
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag
from landmark.quality.registration import Surfaces

# Judged row by row where they are read, and too much to gather.
_HEAVY = ("geometry", "captions", "questions", "hard_negatives", "licences", "transform")
# A row a sample: what gathers in the client. `x`, `y`: left and top edge, metres of `epsg`; `caption`: the structured
# one; `looked_at`: true where the pixels were read.
FACTS = pa.schema([
    *(column.with_nullable(True) for column in INDEX if column.name not in _HEAVY),
    pa.field("shard", pa.string()),
    pa.field("x", pa.float64()),
    pa.field("y", pa.float64()),
    pa.field("caption", pa.string()),
    pa.field("looked_at", pa.bool_()),
])  # fmt: skip


MAPS = tuple(column.name for column in INDEX if pa.types.is_map(column.type))


def joined(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of FACTS that follow from the heavy ones."""
    structured = [one["text"] for one in record.get("captions") or () if one["style"] == "structured"]
    transform = record.get("transform") or [None] * 6
    return {"x": transform[2], "y": transform[5], "caption": structured[0] if structured else None}


class Moments(NamedTuple):
    """Number, sum and sum of squares of a band's valid stored values; whole numbers, so that any order agrees."""

    number: int = 0
    total: int = 0
    squares: int = 0

    def __add__(self, other: "Moments") -> "Moments":  # type: ignore[override]
        return Moments(*(one + another for one, another in zip(self, other, strict=True)))

    @staticmethod
    def of(values: NDArray[Any], nodata: int) -> "Moments":
        """Of one chip's band."""
        valid = values[values != nodata].astype(np.int64)
        return Moments(valid.size, int(valid.sum()), int(np.dot(valid, valid)))


@dataclass(frozen=True, slots=True)
class Known:
    """What a corpus claims of itself: the client reads it once, and workers get it as a value.

    Attributes:
        recipe: As the lock has it; empty where there is no lock, or not the one the manifest names.
        max_gap_days: Per label source, what the recipe or the source's own file allows.
        limits: Per check that is not off, of the rules.
        undated: Finer class → class of events it gives, of the sources that give such classes without a date.
        lexicons: Per language, the words of its captions.
    """

    root: Path
    manifest: Manifest
    recipe: Mapping[str, Any]
    max_gap_days: Mapping[str, float]
    limits: Mapping[str, Limits]
    undated: Mapping[str, str] = field(default_factory=dict)
    lexicons: Mapping[str, Lexicon] = field(default_factory=dict)

    @property
    def taxonomy(self) -> Taxonomy:
        """What the labels mean."""
        return self.manifest.taxonomy


@dataclass(frozen=True, slots=True)
class Portion:
    """A unit of the pass: the shards of one split and number, which hold the same cells of every sensor.

    Attributes:
        shards: Each with its first row in the index.
        share: Of the cells, in (0, 1]: those whose pixels are measured, chosen by hash.
    """

    known: Known
    shards: tuple[tuple[Shard, int], ...]
    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one portion brings back. Portions add up in any order.

    Attributes:
        samples: A row a sample: FACTS, and the measures of its pixels.
        flags: Per check, what a single sample or file shows by itself.
        surfaces: Correlation of optical and radar images, summed per acquisition.
        moments: Per (sensor, band).
    """

    samples: pa.Table
    flags: dict[str, list[Flag]]
    surfaces: Surfaces
    moments: dict[tuple[str, str], Moments]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All portions together: what the checks of the whole corpus judge.

    Attributes:
        samples: A row a sample, ordered by id: columns of FACTS and of the pixels' MEASURES (null where the pixels were
            not read, or the sensor has no such measure).
        whole: True where every sample's pixels were read.
    """

    known: Known
    lock: Lock | None
    samples: pa.Table
    surfaces: Surfaces
    moments: Mapping[tuple[str, str], Moments]
    whole: bool

    @property
    def manifest(self) -> Manifest:
        """The manifest as it stands on disk."""
        return self.known.manifest

    def of(self, sensor: str) -> pa.Table:
        """The samples of a sensor."""
        return self.samples.filter(pc.equal(self.samples["sensor"], sensor))


Judge = Callable[[Evidence, Limits], Iterable[Flag]]


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column as float64, NaN where null."""
    column = pc.fill_null(pc.cast(table[name], pa.float64()), float("nan"))
    return np.asarray(column.to_numpy())
