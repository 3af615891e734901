"""A sealed corpus as rows: what defects are planted into, before it is sealed again."""

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
    """One defect: what is changed, and what a finding must name.

    Attributes:
        subjects: Each planted subject as the names it may go by: a sample's id, an acquisition's item, a platform.
        of: How many subjects of the kind the corpus has.
        edits: Sample id → columns of the row to change; `bands` replaces pixels (band → array at its own resolution),
            and the row's `sha256` follows unless the edit says another.
        extra: (id of the sample a new row is copied from, its changed columns), put into the shard of that sample.
        moves: Sample id → path of the shard the row is put into instead of its own.
        after: Changes the folder once it is sealed: files, manifest, schemas.
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
        packed: What packing each shard gave; the shards no edit touches keep it.
    """

    corpus: Path
    packed: Mapping[str, PackedShard] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: a worker reads it once for all its units."""
        return {"corpus": self.corpus, "packed": self.packed}

    @cached_property
    def manifest(self) -> Manifest:
        """As it stands on disk."""
        manifest: Manifest = read_document(Manifest, self.corpus / "corpus.json")
        return manifest

    @cached_property
    def facts(self) -> dict[str, Row]:
        """Every column but the pixels, with maps as dicts and the shard's path as `shard`, by id."""
        return _facts(self.corpus)

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The shards by path."""
        return _tables(self.corpus)

    @cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """Shard and row of every sample."""
        return {
            id: (path, row) for path, table in self.tables.items() for row, id in enumerate(table["id"].to_pylist())
        }

    def bands(self, id: str) -> Bands:
        """Copies of a sample's bands as stored, each at its own resolution."""
        path, row = self.places[id]
        sensor, one = load_sensor(self.facts[id]["sensor"]), self.tables[path].slice(row, 1)
        found: Bands = {}
        for group in sensor.groups:
            data = np.frombuffer(one[group.column][0].as_py(), sensor.dtype)
            found |= zip(group.bands, data.reshape(group.shape(self.manifest.patch_px)).copy(), strict=True)
        return found

    def rows(self, **wanted: Any) -> list[Row]:
        """Facts of the samples whose columns have these values, by id."""
        found = (row for row in self.facts.values() if all(row[name] == value for name, value in wanted.items()))
        return sorted(found, key=lambda row: str(row["id"]))

    def pick(self, kind: str, among: Iterable[Row], *, pct: float = 2, least: int = 3) -> list[Row]:
        """The rows a defect falls upon: a share of them, by hash."""
        rows = sorted(among, key=lambda row: rank(_SEED, kind, row["id"]))
        return rows[: max(least, round(len(rows) * pct / 100))]


def ids(rows: Iterable[Row]) -> tuple[tuple[str, ...], ...]:
    """The subjects of a defect whose findings name samples."""
    return tuple((str(row["id"]),) for row in rows)


@lru_cache(maxsize=1)
def _tables(corpus: Path) -> dict[str, pa.Table]:
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    return {shard.path: pq.read_table(corpus / shard.path) for shard in manifest.shards}


@lru_cache(maxsize=1)
def _facts(corpus: Path) -> dict[str, Row]:
    return {row["id"]: row for path, table in _tables(corpus).items() for row in _plain(table, path)}


def _plain(table: pa.Table, path: str) -> Iterable[Row]:
    maps = [column.name for column in INDEX if pa.types.is_map(column.type)]
    for row in table.select(INDEX.names).to_pylist():
        yield {**row, **{name: dict(row[name]) for name in maps}, "shard": path}
