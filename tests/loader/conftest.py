"""A corpus of both sensors in several row groups, and its stored pixels as pyarrow reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import landmark
from landmark.corpus.pixels import decode, pixel_fields
from landmark.corpus.reader import Corpus
from tests.train.toy import seal
from tests.write.rows import Row, sample_row

CELLS = 150
N_PAIRED = 40


@dataclass(frozen=True, slots=True)
class StoredCorpus:
    """A corpus and the stored pixels of its samples (band, y, x) by id."""

    folder: Path
    corpus: Corpus
    pixels: dict[str, NDArray[Any]]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredCorpus:
    rows = [make_row(sensor, cell) for sensor in ("s1", "s2") for cell in range(CELLS)]
    folder = seal(tmp_path_factory.mktemp("loader") / "corpus", rows)
    pixels = {}
    for path in sorted((folder / "shards").rglob("*.parquet")):
        table = pq.read_table(path)
        fields = pixel_fields(table.schema)
        for row in table.select(["id", *(field.name for field in fields)]).to_pylist():
            pixels[row["id"]] = decode(row, fields)
    return StoredCorpus(folder, landmark.open(folder), pixels)


def make_row(sensor: str, cell: int) -> Row:
    pair = f"{'s2' if sensor == 's1' else 's1'}_{cell:03d}" if cell < N_PAIRED else None
    split = "val" if cell % 10 == 9 else "train"
    return sample_row(f"{sensor}_{cell:03d}", cell, pair=pair, pair_gap_s=60 if pair else None, split=split)
