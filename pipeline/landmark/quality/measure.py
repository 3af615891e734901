"""The shard pass: read all rows, and the pixels of chosen cells; return sample columns, pixel measures and flags.

Runs in the workers.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import file_sha256, rank
from landmark.core.plural import plural
from landmark.core.salts import CHECKED_CELLS
from landmark.corpus.manifest import Shard
from landmark.corpus.pages import DamagedPage
from landmark.corpus.pixels import parse_group, pixel_fields, pixels_sha256
from landmark.corpus.shard_schema import shard_schema
from landmark.corpus.tables import DAMAGE, TableFile
from landmark.domain.schemas import INDEX
from landmark.quality.annotations import DerivedRows
from landmark.quality.captions import RowProblem
from landmark.quality.check_input import (
    MAP_COLUMNS,
    SAMPLE_COLUMNS,
    CorpusContext,
    GroupResult,
    Moments,
    ShardGroup,
    derived_columns,
)
from landmark.quality.findings import Flag
from landmark.quality.index_rows import differing_columns, differing_descriptions, differing_pages, read_index_rows
from landmark.quality.pixels import MEASURES, measure_pixels
from landmark.quality.registration import Registration
from landmark.quality.row_checks import ROW_CHECKS, TEXT_CHECKS
from landmark.quality.shard_pages import ShardPages
from landmark.write.shards import canonical

_SCHEMA = pa.schema([*SAMPLE_COLUMNS, *MEASURES])
_HASH_RANGE = 2**64


def shard_groups(context: CorpusContext, *, share: float, seed: int) -> list[ShardGroup]:
    """The units of work, ordered by generation, split and shard number."""
    groups: dict[tuple[int, str, int], list[tuple[Shard, int]]] = {}
    start = 0
    for shard in context.manifest.shards:
        groups.setdefault((shard.generation, shard.split, shard.k), []).append((shard, start))
        start += shard.rows
    return [ShardGroup(context, tuple(shards), share, seed) for _, shards in sorted(groups.items())]


def measure_group(group: ShardGroup) -> GroupResult:
    """Read the shards of a group once: measure their samples and run all checks of single files and rows."""
    reader = _GroupReader(group)
    for shard, start in group.shards:
        reader.read(shard, start)
    return reader.result()


class _GroupReader:
    """Accumulates the result of one shard group."""

    def __init__(self, group: ShardGroup) -> None:
        self._group, self._context = group, group.context
        self._rows: list[dict[str, Any]] = []
        self._flags: dict[str, list[Flag]] = {}
        self._moments: dict[tuple[str, str], Moments] = {}
        self._registration = Registration()
        self._schemas: dict[str, pa.Schema] = {}
        self._checks = {name: check for name, check in ROW_CHECKS.items() if name in self._context.limits}
        derived = group.derivation if "annotations" in self._context.limits else None
        self._compare = DerivedRows(derived).compare if derived else lambda row: None
        self._settled = TEXT_CHECKS if derived and derived.has_recorded_words else frozenset()

    def result(self) -> GroupResult:
        """Result of the shards read so far."""
        for row in self._rows:
            if (shift := self._registration.shifts.get(row["id"])) is not None:
                row |= zip(("shift_y_px", "shift_x_px", "shift_strength"), shift, strict=True)
        table = pa.Table.from_pylist(self._rows, schema=_SCHEMA)
        return GroupResult(table, self._flags, self._registration.surfaces, self._moments)

    def read(self, shard: Shard, start: int) -> None:
        """Read a shard as far as possible; `start` is its first row in the index."""
        self._check_exports(shard)
        file = self._open(shard)
        if file is None:
            return
        with file:
            if not self._check_columns(shard, file.schema):
                return
            if any(rows != shard.group_rows for rows in file.group_rows[:-1]):
                self._flag("shards", "rows of a row group differ from the manifest", shard.path)
            read_pixels = not any(flag.subject == shard.path for flag in self._flags.get("schema", ()))
            pages = self._open_pages(shard) if read_pixels else None
            # Pixels that have no pages of their own are read with the other columns.
            columns = None if read_pixels and pages is None else INDEX.names
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
        try:
            for group in groups:
                self._compare_with_index(differing_columns(index, group, done), shard)
                complete, rows = self._complete_rows(group, shard)
                for row, record in zip(rows, complete.to_pylist(), strict=True):
                    content.update(canonical(record))
                    self._add_row(record, shard, pages, done + row)
                done += group.num_rows
        except (InvalidCorpus, *DAMAGE) as error:
            detail = f"after {plural(done, 'row')}: {_problem(error)}"
            self._flag("shards", "shard cannot be read to its end", shard.path, detail)
            return
        if done != shard.rows:
            self._flag("shards", "number of rows differs from the manifest", shard.path, f"{done}, not {shard.rows}")
        elif content.hexdigest() != shard.content_digest:
            self._flag("shards", "content digest in the manifest differs from that of the rows", shard.path)

    def _flag(self, check: str, problem: str, subject: str, detail: str = "") -> None:
        self._flags.setdefault(check, []).append(Flag(problem, subject, detail))

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
        elif self._group.share == 1 and file_sha256(path) != shard.sha256:
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
            self._flag("shards", "pixels are not stored one sample a page", shard.path, _problem(error))
            return None

    def _check_exports(self, shard: Shard) -> None:
        """Compare the .tar exports of a shard with the manifest."""
        for export in self._context.manifest.exports:
            if export.shard != shard.path:
                continue
            path = self._context.root / export.path
            if not path.is_file() or path.stat().st_size != export.size_bytes:
                self._flag("shards", "export is missing, or its size differs from the manifest", export.path)
            elif self._group.share == 1 and file_sha256(path) != export.sha256:
                self._flag("shards", "SHA-256 of an export differs from the manifest", export.path)

    def _check_columns(self, shard: Shard, schema: pa.Schema) -> bool:
        """Compare names, types and pixel metadata of the columns; True where the sample columns can be read."""
        readable, expected = True, self._schema(shard)
        for name in sorted(set(schema.names) - set(expected.names)):
            self._flag("schema", f"unexpected column {name}", shard.path)
        for column in expected:
            if column.name not in schema.names:
                self._flag("schema", f"column {column.name} is missing", shard.path)
                readable &= column.name not in INDEX.names
                continue
            actual = schema.field(column.name)
            if actual.type != column.type:
                detail = f"{actual.type}, not {column.type}"
                self._flag("schema", f"column {column.name} has another type", shard.path, detail)
                continue
            metadata = _metadata(actual)
            if wrong := sorted(key for key, value in _metadata(column).items() if metadata.get(key) != value):
                self._flag("schema", f"metadata of column {column.name} differ", shard.path, ", ".join(wrong))
        return readable

    def _is_chosen(self, cell: str) -> bool:
        """Whether the pixels of a cell are measured: those of both sensors or of none."""
        share = self._group.share
        return share == 1 or rank(self._group.seed, CHECKED_CELLS, cell) < share * _HASH_RANGE

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
        return group.filter(keep), np.flatnonzero(keep).tolist()

    def _schema(self, shard: Shard) -> pa.Schema:
        if shard.sensor not in self._schemas:
            self._schemas[shard.sensor] = shard_schema(load_sensor(shard.sensor), self._context.manifest.patch_px)
        return self._schemas[shard.sensor]

    def _add_row(self, record: dict[str, Any], shard: Shard, pages: ShardPages | None, number: int) -> None:
        """Run the row checks on a sample, measure its pixels, and keep both."""
        try:
            maps = {name: dict(record[name]) for name in MAP_COLUMNS}
            row = {**record, **maps, **derived_columns(record), "shard": shard.path, "pixels_read": False}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._flag("schema", "row cannot be read", record["id"], f"{type(error).__name__}: {_problem(error)}")
            return
        self._check_row(row)
        fields = pixel_fields(self._schema(shard))
        if self._is_chosen(row["cell"]) and (pages is not None or fields[0].name in record):
            pixels = self._read_pages(record, shard, pages, number) if pages else record
            bands = self._decode_bands(pixels, fields) if pixels else None
            if bands is not None:
                row |= {**measure_pixels(shard.sensor, bands), "pixels_read": True}
                self._registration.add(record, bands)
                self._add_moments(shard.sensor, bands)
        self._rows.append({name: row.get(name) for name in _SCHEMA.names})

    def _check_row(self, row: Mapping[str, Any]) -> None:
        """Run the row checks; those of texts only where texts are not what landmark derives."""
        problems = self._flag_problems("annotations", row, partial(self._compare, row))
        for name, check in self._checks.items():
            if problems != [] or name not in self._settled:
                self._flag_problems(name, row, partial(check, row, self._context, self._context.limits[name]))

    def _flag_problems(
        self, name: str, row: Mapping[str, Any], check: Callable[[], Iterable[RowProblem] | None]
    ) -> list[RowProblem] | None:
        """Flag what a check finds, and return it; a damaged row can hold anything and fail the check."""
        try:
            result = check()
            problems = None if result is None else list(result)
        except Exception as error:
            problems = [("the check failed on this row", f"{type(error).__name__}: {_problem(error)}")]
        for problem, detail in problems or ():
            self._flag(name, problem, row["id"], detail)
        return problems

    def _read_pages(
        self, record: Mapping[str, Any], shard: Shard, pages: ShardPages, number: int
    ) -> Mapping[str, Any] | None:
        """A row with its pixels; None where one of its pages is damaged."""
        try:
            return {**record, **pages.read(number)}
        except (DamagedPage, OSError) as error:
            self._flag("shards", "pixels of a sample cannot be read", record["id"], f"{shard.path}: {_problem(error)}")
            return None

    def _decode_bands(self, record: Mapping[str, Any], fields: list[pa.Field]) -> dict[str, NDArray[Any]] | None:
        """Stored values per band (y, x) at native resolution; None where their size is not that of the metadata."""
        groups, bands = [], dict[str, NDArray[Any]]()
        for field in fields:
            group, data = parse_group(field), record[field.name]
            if len(data) != group.size_bytes:
                detail = f"{len(data)} bytes, not {group.size_bytes}"
                self._flag("schema", f"size of {field.name} differs from its metadata", record["id"], detail)
                return None
            groups.append(np.frombuffer(data, dtype=group.dtype).reshape(group.shape))
            bands |= zip(group.bands, groups[-1], strict=True)
        if pixels_sha256(groups) != record["sha256"]:
            self._flag("pixel-digest", "sha256 differs from that of the pixels", record["id"])
        return bands

    def _add_moments(self, sensor: str, bands: Mapping[str, NDArray[Any]]) -> None:
        nodata = load_sensor(sensor).nodata
        for band, values in bands.items():
            key = sensor, band
            self._moments[key] = self._moments.get(key, Moments()) + Moments.of(values, nodata)


def _metadata(column: pa.Field) -> dict[str, str]:
    items = (column.metadata or {}).items()
    return {key.decode(): value.decode() for key, value in items if not key.startswith(b"PARQUET:")}


def _problem(error: Exception) -> str:
    return error.problem if isinstance(error, InvalidCorpus) else (str(error).splitlines() or [""])[0][:160]
