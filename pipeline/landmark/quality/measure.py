"""The pass: shards → facts, measures and flags. Runs where the units run; every row group is read once."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.hashing import file_sha256, rank
from landmark.core.salts import CHECKED_CELLS
from landmark.corpus.manifest import Shard
from landmark.corpus.pixels import pixel_fields, pixels_sha256
from landmark.domain.schemas import INDEX, shard_schema
from landmark.quality.evidence import FACTS, MAPS, Known, Measured, Moments, Portion, joined
from landmark.quality.findings import Flag
from landmark.quality.pixels import MEASURES, measure_pixels
from landmark.quality.registration import Registration
from landmark.quality.row_checks import ROW_CHECKS
from landmark.write.shards import canonical

_SCHEMA = pa.schema([*FACTS, *MEASURES])
_SPREAD = 2**64


def portions(known: Known, *, share: float, seed: int) -> list[Portion]:
    """The units of the pass, in the order of splits and numbers."""
    groups: dict[tuple[int, str, int], list[tuple[Shard, int]]] = {}
    start = 0
    for shard in known.manifest.shards:
        groups.setdefault((shard.generation, shard.split, shard.k), []).append((shard, start))
        start += shard.rows
    return [Portion(known, tuple(shards), share, seed) for _, shards in sorted(groups.items())]


def measure(portion: Portion) -> Measured:
    """Read the shards of a portion once: what they hold, and what is wrong with a file or a sample by itself."""
    reading = _Reading(portion)
    for shard, start in portion.shards:
        reading.read(shard, start)
    return reading.measured()


class _Reading:
    """Gathers what the shards of one portion show."""

    def __init__(self, portion: Portion) -> None:
        self._portion, self._known = portion, portion.known
        self._rows: list[dict[str, Any]] = []
        self._flags: dict[str, list[Flag]] = {}
        self._moments: dict[tuple[str, str], Moments] = {}
        self._registration = Registration()
        self._schemas: dict[str, pa.Schema] = {}

    def measured(self) -> Measured:
        """Everything read so far."""
        for row in self._rows:
            if (shift := self._registration.shifts.get(row["id"])) is not None:
                row |= zip(("shift_y_px", "shift_x_px", "shift_strength"), shift, strict=True)
        table = pa.Table.from_pylist(self._rows, schema=_SCHEMA)
        return Measured(table, self._flags, self._registration.surfaces, self._moments)

    def read(self, shard: Shard, start: int) -> None:
        """The rows of a shard as far as they can be read; `start`: its first row in the index."""
        self._projection(shard)
        file = self._opened(shard)
        if file is None:
            return
        with file:
            if not self._columns(shard, file.schema_arrow):
                return
            pixels = not any(flag.subject == shard.path for flag in self._flags.get("schema", ()))
            index, done, content = _index_rows(start, shard.rows, self._known), 0, hashlib.sha256()
            try:
                for number in range(file.metadata.num_row_groups):
                    group = file.read_row_group(number, columns=None if pixels else INDEX.names)
                    self._compare(index, group, done, shard)
                    for record in self._whole(group, shard, pixels=pixels).to_pylist():
                        content.update(canonical(record))
                        self._row(record, shard)
                    done += group.num_rows
            except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
                seen = f"after {done} rows: {_line(error)}"
                self._flag("shards", "a shard cannot be read to its end", shard.path, seen)
                return
        if done != shard.rows:
            self._flag("shards", "rows are not as many as the manifest says", shard.path, f"{done}, not {shard.rows}")
        elif content.hexdigest() != shard.content:
            self._flag("shards", "a shard's content digest is not that of its rows", shard.path)

    def _flag(self, check: str, what: str, subject: str, seen: str = "") -> None:
        self._flags.setdefault(check, []).append(Flag(what, subject, seen))

    def _opened(self, shard: Shard) -> pq.ParquetFile | None:
        """A shard's file, its bytes compared with what was sealed; with --sample its size alone."""
        path = self._known.root / shard.path
        if not path.is_file():
            self._flag("shards", "a shard is missing", shard.path)
            return None
        size = path.stat().st_size
        if size != shard.size_bytes:
            seen = f"{size} bytes, not {shard.size_bytes}"
            self._flag("shards", "a shard is not as long as the manifest says", shard.path, seen)
        elif self._portion.share == 1 and file_sha256(path) != shard.sha256:
            self._flag("shards", "a shard's bytes are not those that were sealed", shard.path, "another SHA-256")
        try:
            return pq.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            self._flag("shards", "a shard cannot be opened", shard.path, _line(error))
            return None

    def _projection(self, shard: Shard) -> None:
        """Compare the .tar made of a shard, if there is one."""
        for one in self._known.manifest.projections:
            if one.shard != shard.path:
                continue
            path = self._known.root / one.path
            if not path.is_file() or path.stat().st_size != one.size_bytes:
                self._flag("shards", "a projection is missing, or not as long as the manifest says", one.path)
            elif self._portion.share == 1 and file_sha256(path) != one.sha256:
                self._flag("shards", "a projection's bytes are not those that were written", one.path)

    def _columns(self, shard: Shard, schema: pa.Schema) -> bool:
        """Compare columns, types and what pixel columns say of themselves; true where the facts can be read."""
        readable, due = True, self._schema(shard)
        for name in sorted(set(schema.names) - set(due.names)):
            self._flag("schema", f"column {name} is not one of a shard's", shard.path)
        for column in due:
            if column.name not in schema.names:
                self._flag("schema", f"column {column.name} is missing", shard.path)
                readable &= column.name not in INDEX.names
                continue
            found = schema.field(column.name)
            if found.type != column.type:
                seen = f"{found.type}, not {column.type}"
                self._flag("schema", f"column {column.name} is of another type", shard.path, seen)
            elif wrong := sorted(key for key, value in _said(column).items() if _said(found).get(key) != value):
                self._flag(
                    "schema", f"column {column.name} says otherwise how it is stored", shard.path, ", ".join(wrong)
                )
        return readable

    def _chosen(self, cell: str) -> bool:
        """True for the cells whose pixels are looked at: both sensors of a cell, or neither."""
        share = self._portion.share
        return share == 1 or rank(self._portion.seed, CHECKED_CELLS, cell) < share * _SPREAD

    def _compare(self, index: pa.Table | None, group: pa.Table, start: int, shard: Shard) -> None:
        if index is None:
            return
        mine = index.slice(start, group.num_rows)
        for name in INDEX.names:
            if name not in mine.column_names or not mine[name].combine_chunks().equals(group[name].combine_chunks()):
                self._flag("index", f"index.parquet and the shards differ in {name}", shard.path)

    def _whole(self, group: pa.Table, shard: Shard, *, pixels: bool) -> pa.Table:
        """The rows whose every required column has a value, of the declared types."""
        keep = np.ones(group.num_rows, dtype=bool)
        for column in self._schema(shard) if pixels else INDEX:
            place, values = group.column_names.index(column.name), group[column.name]
            if not column.nullable and values.null_count:
                self._flag("schema", f"column {column.name} has nulls", shard.path, f"{values.null_count} rows")
                keep &= pc.is_valid(values).to_numpy()
            if values.type != column.type:
                group = group.set_column(place, column.with_nullable(True), values.cast(column.type))
        return group.filter(keep)

    def _schema(self, shard: Shard) -> pa.Schema:
        if shard.sensor not in self._schemas:
            self._schemas[shard.sensor] = shard_schema(load_sensor(shard.sensor), self._known.manifest.patch_px)
        return self._schemas[shard.sensor]

    def _row(self, record: dict[str, Any], shard: Shard) -> None:
        """Take in a sample's facts and measures, and flag what is wrong with it by itself."""
        maps = {name: dict(record[name]) for name in MAPS}
        row = {**record, **maps, **joined(record), "shard": shard.path, "looked_at": False}
        for name in ROW_CHECKS.keys() & self._known.limits.keys():
            try:
                for what, seen in ROW_CHECKS[name](row, self._known, self._known.limits[name]):
                    self._flag(name, what, row["id"], seen)
            except Exception as error:
                # A gate looks at what others broke: whatever a row holds, it is a finding and no crash.
                self._flag(name, "a row cannot be judged", row["id"], f"{type(error).__name__}: {_line(error)}")
        fields = pixel_fields(self._schema(shard))
        if self._chosen(row["cell"]) and fields[0].name in record:
            bands = self._bands(record, fields)
            if bands is not None:
                row |= {**measure_pixels(shard.sensor, bands, record), "looked_at": True}
                self._registration.add(record, bands)
                self._add_moments(shard.sensor, bands)
        self._rows.append({name: row.get(name) for name in _SCHEMA.names})

    def _bands(self, record: Mapping[str, Any], fields: list[pa.Field]) -> dict[str, NDArray[Any]] | None:
        """Stored numbers per band at their own resolution (y, x); None where they are not of the stated shape."""
        groups, bands = [], dict[str, NDArray[Any]]()
        for field in fields:
            said = _said(field)
            shape, data = tuple(json.loads(said["shape"])), record[field.name]
            size = int(np.prod(shape)) * np.dtype(said["dtype"]).itemsize
            if len(data) != size:
                self._flag(
                    "schema", f"{field.name} is not of its shape", record["id"], f"{len(data)} bytes, not {size}"
                )
                return None
            groups.append(np.frombuffer(data, dtype=said["dtype"]).reshape(shape))
            bands |= zip(json.loads(said["bands"]), groups[-1], strict=True)
        if pixels_sha256(groups) != record["sha256"]:
            self._flag("pixel-digest", "sha256 is not of these pixels", record["id"])
        return bands

    def _add_moments(self, sensor: str, bands: Mapping[str, NDArray[Any]]) -> None:
        nodata = load_sensor(sensor).nodata
        for band, values in bands.items():
            key = sensor, band
            self._moments[key] = self._moments.get(key, Moments()) + Moments.of(values, nodata)


def _index_rows(first: int, rows: int, known: Known) -> pa.Table | None:
    """Some rows of the index, None where there is no such index."""
    try:
        with pq.ParquetFile(known.root / "index.parquet") as file:
            if file.metadata.num_rows != sum(one.rows for one in known.manifest.shards):
                return None
            parts, start = [], 0
            for number in range(file.metadata.num_row_groups):
                end = start + file.metadata.row_group(number).num_rows
                if start < first + rows and first < end:
                    parts.append(file.read_row_group(number).slice(max(first - start, 0)))
                start = end
    except (pa.ArrowException, OSError):
        return None
    return pa.concat_tables(parts).slice(0, rows) if parts else None


def _said(column: pa.Field) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (column.metadata or {}).items() if key[:8] != b"PARQUET:"}


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160]
