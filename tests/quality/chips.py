"""The chips of a corpus in memory, to be spoiled one by one and judged without writing anything."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.corpus.manifest import Lock, Manifest, read_document
from landmark.corpus.pixels import pixel_fields
from landmark.quality.check_profile import load_check_profile
from landmark.quality.evidence import SAMPLE_COLUMNS, CheckInput, CorpusContext, derived_columns
from landmark.quality.findings import Flag
from landmark.quality.pixels import MEASURES, measure_pixels
from landmark.quality.radiometry import JUDGES
from landmark.quality.registration import Registration

Bands = dict[str, NDArray[Any]]
Record = dict[str, Any]
Change = Callable[[Record, Bands], tuple[Record, Bands]]
RULES = load_check_profile()
SCHEMA = pa.schema([*SAMPLE_COLUMNS, *MEASURES])


def read_chips(root: Path) -> Iterator[tuple[Record, Bands]]:
    """Every sample's columns without pixels, and its bands as stored."""
    for path in sorted((root / "shards").rglob("*.parquet")):
        table = pq.read_table(path)
        fields = pixel_fields(table.schema)
        for row in table.to_pylist(maps_as_pydicts="lossy"):
            bands: Bands = {}
            for field in fields:
                said = {key.decode(): value.decode() for key, value in field.metadata.items()}
                group = np.frombuffer(row.pop(field.name), dtype=said["dtype"]).reshape(json.loads(said["shape"]))
                bands |= zip(json.loads(said["bands"]), group, strict=True)
            yield row, bands


@dataclass
class Chips:
    """A corpus in memory; what is not changed is measured once."""

    known: CorpusContext
    samples: list[tuple[Record, Bands]]
    measured: dict[str, Record]

    @staticmethod
    def of(root: Path) -> "Chips":
        manifest: Manifest = read_document(Manifest, root / "corpus.json")
        lock: Lock = read_document(Lock, root / "lock.json")
        known = CorpusContext(root, manifest, lock.recipe, {}, {})
        return Chips(known, list(read_chips(root)), {})

    def ids(self, sensor: str, where: Callable[[Record, Bands], bool] = lambda record, bands: True) -> list[str]:
        """Samples of a sensor that fulfil a condition, in the order of ids."""
        return sorted(
            record["id"] for record, bands in self.samples if record["sensor"] == sensor and where(record, bands)
        )

    def evidence(
        self, ids: Mapping[str, Change] | None = None, more: tuple[tuple[Record, Bands], ...] = ()
    ) -> CheckInput:
        """All samples' evidence, some of them changed before they are measured, and others added."""
        registration, rows, changes = Registration(), [], ids or {}
        for record, bands in (*self.samples, *more):
            key = record["id"]
            if key in changes:
                record, bands = changes[key](record, bands)
            if key not in self.measured or key in changes or any(record is one for one, _ in more):
                measures = measure_pixels(record["sensor"], bands, record)
            else:
                measures = self.measured[key]
            if not changes and not more:
                self.measured[key] = measures
            registration.add(record, bands)
            rows.append({**record, **derived_columns(record), **measures, "looked_at": True})
        for row in rows:
            if row["id"] in registration.shifts:
                names = ("shift_y_px", "shift_x_px", "shift_strength")
                row |= zip(names, registration.shifts[row["id"]], strict=True)
        table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)
        return CheckInput(self.known, None, table.sort_by("id"), registration.surfaces, {}, True)


def judged(check: str, evidence: CheckInput) -> list[Flag]:
    """What a check says under the shipped limits."""
    return sorted(JUDGES[check](evidence, RULES.checks[check].limits))
