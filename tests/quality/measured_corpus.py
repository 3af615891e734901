"""A corpus measured in memory, so that a defect of pixels is checked without sealing a corpus for it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bench.draft import Bands, Draft, Row

from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.quality.check import CHECKS
from landmark.quality.check_input import SAMPLE_COLUMNS, CheckInput, CorpusContext, derived_columns
from landmark.quality.check_profile import load_check_profile
from landmark.quality.chips.pixels import MEASURES, measure_pixels
from landmark.quality.chips.registration import Registration
from landmark.quality.findings import Flag

PROFILE = load_check_profile()
SCHEMA = pa.schema([*SAMPLE_COLUMNS, *MEASURES])
Sample = tuple[Row, Bands, Mapping[str, Any]]


def sample_table(rows: Iterable[Row]) -> pa.Table:
    """Rows as the table that checks read; missing columns are null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)


def check_input(context: CorpusContext, samples: Iterable[Sample]) -> CheckInput:
    """The input of checks, of samples with their bands and measures."""
    registration, rows = Registration(), []
    for row, bands, measures in samples:
        registration.add(row, bands)
        rows.append({**row, **derived_columns(row), **measures, "pixels_read": True})
    for row in rows:
        row |= registration.measures(row["id"])
    return CheckInput(context, sample_table(rows).sort_by("id"), registration.surfaces, {}, all_pixels=True)


def run_check(name: str, inputs: CheckInput) -> list[Flag]:
    """The flags of a check of pixels with the shipped limits, sorted."""
    return sorted(CHECKS[name](inputs, PROFILE.checks[name].limits))


class MeasuredCorpus:
    """A sealed corpus whose samples are measured once.

    Attributes:
        rows: Id → columns without pixels.
        bands: Id → stored pixels.
        measures: Id → measures of the pixels.
    """

    def __init__(self, root: Path) -> None:
        self.draft = Draft(root)
        lock: Lock = read_document(Lock, root / "lock.json")
        self.context = CorpusContext(root, self.draft.manifest, lock.recipe, {}, {})
        self.rows = self.draft.facts
        self.bands = {id: self.draft.bands(id) for id in self.rows}
        self.measures = {id: measure_pixels(row["sensor"], self.bands[id]) for id, row in self.rows.items()}

    def ids(self, sensor: str, number: int | None = None) -> list[str]:
        """All samples of a sensor, or some spread over the acquisitions, so that none has a majority of them."""
        ids = sorted(id for id, row in self.rows.items() if row["sensor"] == sensor)
        return ids if number is None else ids[:: max(len(ids) // number, 1)][:number]

    def item(self, id: str) -> str:
        """The first item of a sample's acquisition."""
        return str(self.rows[id]["items"][0])

    def inputs(self, edits: Mapping[str, Row] | None = None) -> CheckInput:
        """The input of checks, with columns of some samples changed; `bands` replaces pixels."""
        return check_input(self.context, (self._sample(id, dict((edits or {}).get(id, {}))) for id in self.rows))

    def _sample(self, id: str, edit: Row) -> Sample:
        bands, row = edit.pop("bands", None), {**self.rows[id], **edit}
        if bands is None:
            return row, self.bands[id], self.measures[id]
        stored = {name: np.asarray(band).astype(self.bands[id][name].dtype) for name, band in bands.items()}
        return row, stored, measure_pixels(row["sensor"], stored)
