"""A sealed corpus as rows: defects are planted into it before it is sealed again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.hashing import rank
from landmark.corpus.manifest import Manifest, read_document
from landmark.domain.schemas import INDEX
from landmark.write.shards import PackedShard

Row = dict[str, Any]
Bands = dict[str, NDArray[Any]]
_SEED = 0


@dataclass(frozen=True, slots=True)
class Planted:
    """One defect: the changes, and the subjects that findings must name.

    Attributes:
        subjects: The alternative names of each planted subject: a sample's id, an acquisition's item, a platform.
        of: Number of subjects of this kind in the corpus.
        edits: Sample id → changed columns; `bands` replaces pixels (band → array at its own resolution), and `sha256`
            is computed again unless the edit contains it.
        extra: (id of the sample a new row is copied from, changed columns); the row is added to that sample's shard.
        moves: Sample id → path of the shard the row is moved to; empty to remove the row.
        after: Changes the sealed folder: files, manifest, schemas.
    """

    subjects: tuple[tuple[str, ...], ...]
    of: int
    edits: Mapping[str, Row] = field(default_factory=dict)
    extra: tuple[tuple[str, Row], ...] = ()
    moves: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[Path], object] | None = None


@dataclass(frozen=True)
class Draft:
    """A sealed, clean corpus.

    Attributes:
        packed: Each shard as it was packed; shards without edits are not packed again.
        rate_pct: Share of the rows that `pick` returns instead of the one a kind asks for.
        picks: Salts of the calls of `pick` so far: a kind that never calls it has no rate.
    """

    corpus: Path
    packed: Mapping[str, PackedShard] = field(default_factory=dict)
    rate_pct: float | None = None
    picks: set[str] = field(default_factory=set)

    def __getstate__(self) -> dict[str, Any]:
        """Omit cached tables: a worker reads them once for all its tasks."""
        return {"corpus": self.corpus, "packed": self.packed, "rate_pct": self.rate_pct, "picks": self.picks}

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest on disk."""
        manifest: Manifest = read_document(Manifest, self.corpus / "corpus.json")
        return manifest

    @cached_property
    def facts(self) -> dict[str, Row]:
        """Rows by id, without pixels, with maps as dicts and the shard's path as `shard`."""
        return _facts(self.corpus)

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The shards by path."""
        return _tables(self.corpus)

    @cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """(shard path, row number) of every sample."""
        return {
            id: (path, row) for path, table in self.tables.items() for row, id in enumerate(table["id"].to_pylist())
        }

    def bands(self, id: str) -> Bands:
        """Return copies of a sample's stored bands, each at its own resolution."""
        path, row = self.places[id]
        sensor, sample = load_sensor(self.facts[id]["sensor"]), self.tables[path].slice(row, 1)
        bands: Bands = {}
        for group in sensor.groups:
            data = np.frombuffer(sample[group.column][0].as_py(), sensor.dtype)
            bands |= zip(group.bands, data.reshape(group.shape(self.manifest.patch_px)).copy(), strict=True)
        return bands

    def rows(self, **columns: Any) -> list[Row]:
        """Return the rows whose columns have these values, sorted by id."""
        rows = (row for row in self.facts.values() if all(row[name] == value for name, value in columns.items()))
        return sorted(rows, key=lambda row: str(row["id"]))

    def pick(self, salt: str, candidates: Iterable[Row], *, pct: float = 2, least: int = 3) -> list[Row]:
        """Pick the rows to change: a percentage of them, by hash of salt and id."""
        rows = sorted(candidates, key=lambda row: rank(_SEED, salt, row["id"]))
        self.picks.add(salt)
        if self.rate_pct is not None:
            pct, least = self.rate_pct, 1
        return rows[: max(least, round(len(rows) * pct / 100))]


def ids(rows: Iterable[Row]) -> tuple[tuple[str, ...], ...]:
    """Return rows as subjects, each named by its id."""
    return tuple((str(row["id"]),) for row in rows)


@lru_cache(maxsize=1)
def _tables(corpus: Path) -> dict[str, pa.Table]:
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    return {shard.path: pq.read_table(corpus / shard.path) for shard in manifest.shards}


@lru_cache(maxsize=1)
def _facts(corpus: Path) -> dict[str, Row]:
    return {row["id"]: row for path, table in _tables(corpus).items() for row in _rows_of(table, path)}


def _rows_of(table: pa.Table, path: str) -> Iterable[Row]:
    maps = [column.name for column in INDEX if pa.types.is_map(column.type)]
    for row in table.select(INDEX.names).to_pylist():
        yield {**row, **{name: dict(row[name]) for name in maps}, "shard": path}
