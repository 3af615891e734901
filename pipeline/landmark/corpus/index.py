"""The index of a corpus, `index.parquet`: a row per sample, whose columns are read when asked."""

import io
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.core.corpus_paths import readable
from landmark.core.errors import GenerationReplaced, InvalidCorpus
from landmark.core.hashing import names_digest
from landmark.corpus.manifest import Manifest
from landmark.corpus.pixel_columns import PIXELS, parse_columns
from landmark.corpus.tables import INDEX_FILE, check_columns, check_values, reporting_damage
from landmark.domain.schemas import INDEX, PAGES

# Metadata key of the index: the manifest's `content_digest` of the shards it was made from.
CONTENT = b"landmark:content"

_SCHEMA = pa.schema([*INDEX, *PAGES])
_MAP_COLUMNS = ("fractions", "subclasses", "agreement")


class Index:
    """The rows of all shards, in their order, without pixels. Thread-safe; picklable, then opened again.

    The file stays open, so that all columns are of the same generation.

    Args:
        path: The file.
        content_digest: That of the shards, as the manifest has it.
        patch_px: Edge of the samples in pixels of the finest bands.

    Raises:
        InvalidCorpus: it is missing or damaged, lacks a column, or does not describe the pixels.
        GenerationReplaced: it was made from other shards.

    Attributes:
        names: All columns but those of PAGES.
        n_rows: Number of samples.
        pixel_columns: Sensor → the pixel columns of its shards.
        assigned: Column → values in place of those of the file, see `AssignedIndex`.
    """

    assigned: Mapping[str, pa.ChunkedArray] = MappingProxyType({})

    def __init__(self, path: Path, content_digest: str, patch_px: int) -> None:
        self._path, self._arguments = path, (path, content_digest, patch_px)
        self._columns: dict[str, pa.ChunkedArray] = {}
        with reporting_damage(path):
            self._file = _Descriptor(path)
            with self._open() as file:
                self._metadata, schema = file.metadata, file.schema_arrow
        check_columns(path, schema, _SCHEMA)
        # Generations have the same ids and differ in content.
        if (schema.metadata or {}).get(CONTENT, b"").decode(errors="replace") != content_digest:
            raise GenerationReplaced("is of other shards", file=path.parent, remedy="open the corpus again")
        self.pixel_columns = parse_columns(path, (schema.metadata or {}).get(PIXELS), patch_px)
        self.names = [name for name in schema.names if name not in PAGES.names]
        self.n_rows: int = self._metadata.num_rows

    def __reduce__(self) -> tuple[Any, ...]:
        return Index, self._arguments

    @property
    def content_digest(self) -> str:
        """Digest of ids, pixels and columns."""
        return self._arguments[1]

    def columns(self, names: Sequence[str], *, keep: bool = True) -> pa.Table:
        """Read some columns.

        Args:
            names: Their names.
            keep: Keep them in memory, for calls that follow.

        Raises:
            InvalidCorpus: they are damaged.
        """
        columns = dict(self._columns)
        if missing := [name for name in names if name not in columns]:
            with reporting_damage(self._path), self._open() as file:
                table = file.read(missing)
            expected = pa.schema([field for field in _SCHEMA if field.name in missing])
            columns |= zip(missing, check_values(self._path, table, expected).columns, strict=True)
        if keep:
            self._columns = columns
        return pa.table({name: columns[name] for name in names})

    def list_batches(self, name: str, fields: Sequence[str], rows: NDArray[np.int64]) -> Iterator[pa.ListArray]:
        """Yield some rows of a column of lists of structures, with some fields of these, a part of the rows at a time.

        The column is never in memory with all its rows or fields. `rows` are ascending.

        Raises:
            InvalidCorpus: the column is damaged.
        """
        items = pa.struct([_SCHEMA.field(name).type.value_type.field(field) for field in fields])
        leaves, start = [f"{name}.list.element.{field}" for field in fields], 0
        with reporting_damage(self._path), self._open() as file:
            for batch in file.iter_batches(columns=leaves):
                # A file without one of these paths fails here: Arrow leaves it out.
                column = batch.cast(pa.schema([pa.field(name, pa.list_(items))]))[name]
                column.validate(full=True)
                first, end = np.searchsorted(rows, [start, start + len(batch)])
                yield column.take(rows[first:end] - start)
                start += len(batch)

    def value(self, name: str, row: int) -> Any:
        """A value of a column, converted to Python; maps are dictionaries.

        Raises:
            InvalidCorpus: the column is damaged.
        """
        column = self._columns.get(name)
        value = (self.columns([name])[name] if column is None else column)[row].as_py()
        return dict(value) if name in _MAP_COLUMNS else value

    def _open(self) -> pq.ParquetFile:
        # Each time, as the state of a ParquetFile is of one thread.
        metadata = getattr(self, "_metadata", None)
        return pq.ParquetFile(_Reader(self._file), metadata=metadata, page_checksum_verification=True)


class IndexRow(Mapping[str, Any]):
    """A row of the index, by column; values are converted when asked. Pickled, it is a dictionary."""

    def __init__(self, index: Index, row: int) -> None:
        self._index, self._row = index, row
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            if name not in self._index.names:
                raise KeyError(name)
            self._values[name] = self._index.value(name, self._row)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.names)

    def __len__(self) -> int:
        return len(self._index.names)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def open_index(root: Path, manifest: Manifest) -> Index | None:
    """Open the index, and compare its ids with the manifest.

    Returns None if the file is missing, unreadable, or was made from other shards than the manifest's.
    """
    path = readable(root, INDEX_FILE)
    try:
        index = Index(path, manifest.content_digest, manifest.patch_px)
        ids = index.columns(["id"])["id"].to_pylist()
    except (InvalidCorpus, GenerationReplaced):
        return None
    if len(ids) != sum(shard.rows for shard in manifest.shards) or names_digest(ids) != manifest.ids_digest:
        return None
    return index if index.pixel_columns.keys() == {shard.sensor for shard in manifest.shards} else None


def read_index(root: Path, manifest: Manifest) -> pa.Table | None:
    """Read all columns of the index.

    Returns None if the file is missing, damaged, or was made from other shards than the manifest's.
    """
    index = open_index(root, manifest)
    try:
        return index and index.columns([*index.names, *PAGES.names])
    except InvalidCorpus:
        return None


class _Descriptor:
    """An open file, closed when nothing refers to it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.number).atexit = False
        self.size_bytes = os.fstat(self.number).st_size


class _Reader(io.RawIOBase):
    """A position in an open file, of which threads and forked processes have their own."""

    def __init__(self, file: _Descriptor) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size_bytes}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._file.number, [buffer], self._position)
        self._position += count
        return count
