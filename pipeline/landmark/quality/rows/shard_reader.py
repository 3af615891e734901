"""Read the shards of a group: verify files, schema and index rows, and pass every complete row on."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.core.plural import plural
from landmark.corpus.manifest import Shard
from landmark.corpus.pixels import BandGroup, parse_group, pixel_fields
from landmark.corpus.shard_schema import shard_schema
from landmark.corpus.tables import DAMAGE, TableFile
from landmark.domain.schemas import INDEX
from landmark.quality.check_input import CorpusContext
from landmark.quality.rows.index_rows import differing_columns, differing_descriptions, differing_pages, read_index_rows
from landmark.quality.rows.shard_pages import ShardPages
from landmark.write.shards import canonical


class ShardRow(NamedTuple):
    """A row of a shard without nulls in required columns.

    Attributes:
        record: Its columns, without pixels where these have pages of their own.
        shard: Its shard.
        groups: Bands of each pixel column that the shard should have.
        pages: The shard's pages of pixels; None where the record holds the pixels, if they can be read at all.
        number: Of the row in the shard.
    """

    record: dict[str, Any]
    shard: Shard
    groups: Mapping[str, BandGroup]
    pages: ShardPages | None
    number: int


class ShardReader:
    """Reads shards as far as possible.

    Args:
        context: The corpus.
        flag: Receives check, problem, subject and detail of every defect of a file.
        add_row: Receives every row that can be read.
        hash_files: Whether the SHA-256 of files is compared.
    """

    def __init__(
        self,
        context: CorpusContext,
        flag: Callable[..., None],
        add_row: Callable[[ShardRow], None],
        *,
        hash_files: bool,
    ) -> None:
        self._context, self._flag, self._add_row, self._hash_files = context, flag, add_row, hash_files
        self._schemas: dict[str, pa.Schema] = {}

    def read(self, shard: Shard, start: int) -> None:
        """Read a shard as far as possible; `start` is its first row in the index."""
        self._check_exports(shard)
        file = self._open(shard)
        if file is None:
            return
        with file:
            rows_readable, pixels_readable = self._check_columns(shard, file.schema)
            if not rows_readable:
                return
            if any(rows != shard.group_rows for rows in file.group_rows[:-1]):
                self._flag("shards", "rows of a row group differ from the manifest", shard.path)
            pages = self._open_pages(shard) if pixels_readable else None
            # Pixels that have no pages of their own are read with the other columns.
            columns = None if pixels_readable and pages is None else INDEX.names
            index = read_index_rows(start, shard.rows, self._context)
            patch_px = self._context.manifest.patch_px
            self._compare_with_index(differing_descriptions(index, shard, file.schema, patch_px), shard)
            self._compare_with_index(differing_pages(index, pages), shard)
            with pages or nullcontext():
                self._read_rows(shard, (file.read_group(n, columns) for n in range(len(file.group_rows))), index, pages)

    def _read_rows(
        self, shard: Shard, groups: Iterable[pa.Table], index: pa.Table | None, pages: ShardPages | None
    ) -> None:
        done, content = 0, hashlib.sha256()
        bands = {field.name: parse_group(field) for field in pixel_fields(self._schema(shard))}
        try:
            for group in groups:
                self._compare_with_index(differing_columns(index, group, done), shard)
                complete, rows = self._complete_rows(group, shard)
                for row, record in zip(rows, complete.to_pylist(), strict=True):
                    content.update(canonical(record))
                    self._add_row(ShardRow(record, shard, bands, pages, done + row))
                done += group.num_rows
        except (InvalidCorpus, *DAMAGE) as error:
            detail = f"after {plural(done, 'row')}: {describe_error(error)}"
            self._flag("shards", "shard cannot be read to its end", shard.path, detail)
            return
        if done != shard.rows:
            self._flag("shards", "number of rows differs from the manifest", shard.path, f"{done}, not {shard.rows}")
        elif content.hexdigest() != shard.content_digest:
            self._flag("shards", "content digest in the manifest differs from that of the rows", shard.path)

    def _open(self, shard: Shard) -> TableFile | None:
        """Compare a shard's size, and without --sample its SHA-256, with the manifest, and open it."""
        path = self._context.root / shard.path
        if not path.is_file():
            self._flag("shards", "shard is missing", shard.path)
            return None
        size = path.stat().st_size
        if size != shard.size_bytes:
            detail = f"{size} bytes, not {shard.size_bytes}"
            self._flag("shards", "size of a shard differs from the manifest", shard.path, detail)
        elif self._hash_files and file_sha256(path) != shard.sha256:
            self._flag("shards", "SHA-256 of a shard differs from the manifest", shard.path)
        try:
            return TableFile(path)
        except InvalidCorpus as error:
            self._flag("shards", "shard cannot be opened", shard.path, error.problem)
            return None

    def _open_pages(self, shard: Shard) -> ShardPages | None:
        """Locate the pages of a shard's pixels; None where the pixels are not stored one sample a page."""
        try:
            return ShardPages(self._context.root / shard.path, pixel_fields(self._schema(shard)))
        except (InvalidCorpus, *DAMAGE) as error:
            self._flag("shards", "pixels are not stored one sample a page", shard.path, describe_error(error))
            return None

    def _check_exports(self, shard: Shard) -> None:
        """Compare the .tar exports of a shard with the manifest."""
        for export in self._context.manifest.exports:
            if export.shard != shard.path:
                continue
            path = self._context.root / export.path
            if not path.is_file() or path.stat().st_size != export.size_bytes:
                self._flag("shards", "export is missing, or its size differs from the manifest", export.path)
            elif self._hash_files and file_sha256(path) != export.sha256:
                self._flag("shards", "SHA-256 of an export differs from the manifest", export.path)

    def _check_columns(self, shard: Shard, schema: pa.Schema) -> tuple[bool, bool]:
        """Compare names, types and pixel metadata of the columns.

        Returns:
            Whether the columns of samples can be read, and whether pixels can.
        """
        expected = self._schema(shard)
        problems = [(f"unexpected column {name}", "") for name in sorted(set(schema.names) - set(expected.names))]
        missing = [column.name for column in expected if column.name not in schema.names]
        for column in expected:
            if column.name in missing:
                problems.append((f"column {column.name} is missing", ""))
                continue
            actual = schema.field(column.name)
            if actual.type != column.type:
                problems.append((f"column {column.name} has another type", f"{actual.type}, not {column.type}"))
                continue
            metadata = _metadata(actual)
            if wrong := sorted(key for key, value in _metadata(column).items() if metadata.get(key) != value):
                problems.append((f"metadata of column {column.name} differ", ", ".join(wrong)))
        for problem, detail in problems:
            self._flag("schema", problem, shard.path, detail)
        return not set(missing) & set(INDEX.names), not problems

    def _compare_with_index(self, names: Iterable[str], shard: Shard) -> None:
        for name in names:
            self._flag("index", f"index.parquet and the shards differ in {name}", shard.path)

    def _complete_rows(self, group: pa.Table, shard: Shard) -> tuple[pa.Table, list[int]]:
        """The rows without nulls in required columns, cast to the declared types, and their numbers in the group."""
        keep = np.ones(group.num_rows, dtype=bool)
        for column in self._schema(shard):
            if column.name not in group.column_names:
                continue
            place, values = group.column_names.index(column.name), group[column.name]
            if not column.nullable and values.null_count:
                self._flag("schema", f"column {column.name} has nulls", shard.path, plural(values.null_count, "row"))
                keep &= pc.is_valid(values).to_numpy()
            if values.type != column.type:
                group = group.set_column(place, column.with_nullable(True), values.cast(column.type))
        return group if keep.all() else group.filter(keep), np.flatnonzero(keep).tolist()

    def _schema(self, shard: Shard) -> pa.Schema:
        if shard.sensor not in self._schemas:
            self._schemas[shard.sensor] = shard_schema(load_sensor(shard.sensor), self._context.manifest.patch_px)
        return self._schemas[shard.sensor]


def _metadata(column: pa.Field) -> dict[str, str]:
    items = (column.metadata or {}).items()
    return {key.decode(): value.decode() for key, value in items if not key.startswith(b"PARQUET:")}


def describe_error(error: Exception) -> str:
    """The problem that an error names, else the first line of its message."""
    return error.problem if isinstance(error, InvalidCorpus) else (str(error).splitlines() or [""])[0][:160]
