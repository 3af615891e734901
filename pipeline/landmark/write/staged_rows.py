"""Copy rows of staging files into memory, in any order."""

import mmap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from landmark.corpus.tables import reporting_damage
from landmark.write.staging import BATCH_ROWS

_OPEN_FILES = 64


class StagedRows:
    """Copies rows of staging files into memory.

    A few files stay open with what was read of their structure; their pixels are unloaded once they are copied, since
    the kernel loads many times more than the rows.
    """

    def __init__(self) -> None:
        self._open = lru_cache(maxsize=_OPEN_FILES)(_StagedFile)

    def copy(self, places: Sequence[tuple[Path, int]]) -> pa.Table:
        """Copy rows, each given as (file, row).

        Raises:
            InvalidCorpus: a file is damaged.
        """
        files = {path: self._open(path) for path in dict.fromkeys(path for path, _ in places)}
        with reporting_damage(places[0][0].parent):
            rows = pa.Table.from_batches(files[path].row(row) for path, row in places).combine_chunks()
            rows.validate(full=True)
        for file in files.values():
            file.unload()
        return rows


class _StagedFile:
    """A staging file, memory-mapped.

    Raises:
        InvalidCorpus: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._batches: dict[int, pa.RecordBatch] = {}
        with reporting_damage(path), path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._reader = pa.ipc.open_file(pa.py_buffer(self._map))

    def row(self, row: int) -> pa.RecordBatch:
        """A row as a batch of one; its pixels are read on access."""
        number, place = divmod(row, BATCH_ROWS)
        if number not in self._batches:
            self._batches[number] = self._reader.get_batch(number).drop_columns("outcome")
        return self._batches[number].slice(place, 1)

    def unload(self) -> None:
        """Unload what was read from the process's memory. Rows stay valid: on access they are read again."""
        self._map.madvise(mmap.MADV_DONTNEED)
