"""The pass: shards → facts, measures and flags. Runs where the units run; every row group is read once."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark.base.hashing import file_sha256, rank
from landmark.base.manifest import Shard
from landmark.base.pixels import pixel_fields, pixels_sha256
from landmark.base.profiles import load_sensor
from landmark.base.schemas import INDEX, shard_schema
from landmark.quality.evidence import FACTS, Flags, Known, Measured, Moments, Portion, joined
from landmark.quality.facts import ROW_CHECKS
from landmark.quality.findings import Flag
from landmark.quality.pixels import MEASURES, measure_pixels
from landmark.quality.registration import Registration

_SCHEMA = pa.schema([*FACTS, *MEASURES])
_SPREAD = 2**64


def portions(known: Known, *, share: float, seed: int) -> list[Portion]:
    """The units of the pass, in the order of splits and numbers."""
    groups: dict[tuple[str, int, int], list[Shard]] = {}
    for shard in known.manifest.shards:
        groups.setdefault((shard.split, shard.generation, shard.k), []).append(shard)
    return [Portion(known, tuple(shards), share, seed) for _, shards in sorted(groups.items())]


def measure(portion: Portion) -> Measured:
    """Read the shards of a portion once: what they hold, and what is wrong with a file or a sample by itself."""
    registration, flags = Registration(), Flags()
    rows: list[dict[str, Any]] = []
    moments: dict[tuple[str, str], Moments] = {}
    for shard in portion.shards:
        rows += _read(shard, portion, flags, registration, moments)
    for row in rows:
        if row["id"] in registration.shifts:
            shift = registration.shifts[row["id"]]
            row |= zip(("shift_y_px", "shift_x_px", "shift_strength"), shift, strict=True)
    return Measured(pa.Table.from_pylist(rows, schema=_SCHEMA), flags.found, registration.surfaces, moments)


def _read(
    shard: Shard,
    portion: Portion,
    flags: Flags,
    registration: Registration,
    moments: dict[tuple[str, str], Moments],
) -> list[dict[str, Any]]:
    """The rows of a shard as far as they can be read."""
    known, rows = portion.known, list[dict[str, Any]]()
    file = _opened(shard, portion, flags)
    if file is None:
        return rows
    with file:
        told = _schema_flags(shard, file.schema_arrow, known, flags)
        index = _index_rows(shard, known)
        try:
            for group in _groups(file, portion, pixels=told):
                _compare(index, group, len(rows), shard, flags)
                for record in group.to_pylist(maps_as_pydicts="lossy"):
                    rows.append(_row(record, shard, len(rows), portion, flags, registration, moments))
        except (pa.ArrowException, OSError) as error:
            flags.add(
                "shards", Flag("a shard cannot be read to its end", shard.path, f"after {len(rows)}: {_line(error)}")
            )
    if len(rows) != shard.rows:
        flags.add(
            "shards", Flag("rows are not as many as the manifest says", shard.path, f"{len(rows)}, not {shard.rows}")
        )
    return rows


def _opened(shard: Shard, portion: Portion, flags: Flags) -> pq.ParquetFile | None:
    """A shard's file, once its bytes are compared; with --sample its size alone."""
    path = portion.known.root / shard.path
    if not path.is_file():
        flags.add("shards", Flag("a shard is missing", shard.path))
        return None
    size = path.stat().st_size
    if size != shard.size_bytes:
        flags.add("shards", Flag("a shard is not as long as the manifest says", shard.path,
                                 f"{size} bytes, not {shard.size_bytes}"))  # fmt: skip
    elif portion.share == 1 and file_sha256(path) != shard.sha256:
        flags.add("shards", Flag("a shard's bytes are not those that were sealed", shard.path, "another SHA-256"))
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        flags.add("shards", Flag("a shard cannot be opened", shard.path, _line(error)))
        return None


def _schema_flags(shard: Shard, schema: pa.Schema, known: Known, flags: Flags) -> bool:
    """Compare columns, types and what the pixel columns say of themselves; true where pixels can be decoded."""
    wanted = shard_schema(load_sensor(shard.sensor), known.manifest.patch_px)
    decodable = True
    for column in wanted:
        pixels = bool(column.metadata)
        if column.name not in schema.names:
            flags.add("schema", Flag(f"column {column.name} is missing", shard.path))
        elif schema.field(column.name).type != column.type:
            seen = f"{schema.field(column.name).type}, not {column.type}"
            flags.add("schema", Flag(f"column {column.name} is of another type", shard.path, seen))
        elif pixels and (said := _said(schema.field(column.name))) != _said(column):
            differs = sorted(key for key in _said(column) if said.get(key) != _said(column)[key])
            flags.add(
                "schema", Flag(f"column {column.name} says otherwise how it is stored", shard.path, ", ".join(differs))
            )
        else:
            continue
        decodable &= not pixels
    return decodable


def _said(column: pa.Field) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in (column.metadata or {}).items() if not k.startswith(b"PARQUET:")}


def _groups(file: pq.ParquetFile, portion: Portion, *, pixels: bool) -> Iterator[pa.Table]:
    """Row groups; without pixels where no sample of a group is to be looked at."""
    plain = [name for name in INDEX.names if name in file.schema_arrow.names]
    for number in range(file.metadata.num_row_groups):
        if not pixels:
            yield file.read_row_group(number, columns=plain)
        elif portion.share == 1:
            yield file.read_row_group(number)
        else:
            facts = file.read_row_group(number, columns=plain)
            wanted = any(_chosen(cell, portion) for cell in facts["cell"].to_pylist())
            yield file.read_row_group(number) if wanted else facts


def _chosen(cell: str, portion: Portion) -> bool:
    """True for the cells whose pixels are looked at; both sensors of a cell, or neither."""
    return portion.share == 1 or rank(portion.seed, "check", cell) < portion.share * _SPREAD


def _index_rows(shard: Shard, known: Known) -> pa.Table | None:
    """The rows of the index that stand for a shard, None where there is no such index."""
    before = 0
    for one in known.manifest.shards:
        if one.path == shard.path:
            break
        before += one.rows
    try:
        file = pq.ParquetFile(known.root / "index.parquet")
    except (pa.ArrowException, OSError):
        return None
    with file:
        parts, start = [], 0
        for number in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if start < before + shard.rows and before < start + rows:
                first = max(before - start, 0)
                parts.append(file.read_row_group(number).slice(first, before + shard.rows - start - first))
            start += rows
    return pa.concat_tables(parts) if parts else None


def _compare(index: pa.Table | None, group: pa.Table, start: int, shard: Shard, flags: Flags) -> None:
    if index is None:
        return
    mine = index.slice(start, group.num_rows)
    for name in INDEX.names:
        if name not in group.column_names:
            continue
        if name not in mine.column_names or not mine[name].combine_chunks().equals(group[name].combine_chunks()):
            flags.add("index", Flag(f"index.parquet and the shards differ in {name}", shard.path))


def _row(
    record: dict[str, Any],
    shard: Shard,
    number: int,
    portion: Portion,
    flags: Flags,
    registration: Registration,
    moments: dict[tuple[str, str], Moments],
) -> dict[str, Any]:
    """A sample's facts and measures; flags what is wrong with it by itself."""
    known = portion.known
    row = {**record, "shard": shard.path, "row": number}
    for name, look in ROW_CHECKS.items():
        for what, seen in look(row, known, known.limits.get(name, {})):
            flags.add(name, Flag(what, str(row.get("id")), seen))
    row |= {**joined(row), "looked_at": False}
    fields = pixel_fields(shard_schema(load_sensor(shard.sensor), known.manifest.patch_px))
    if _chosen(row["cell"], portion) and all(record.get(field.name) for field in fields):
        bands = _bands(record, fields, row["id"], flags)
        if bands is not None:
            row |= {**measure_pixels(shard.sensor, bands, record), "looked_at": True}
            registration.add(record, bands)
            for band, values in bands.items():
                moments[shard.sensor, band] = moments.get((shard.sensor, band), Moments()) + Moments.of(
                    values, load_sensor(shard.sensor).nodata
                )
    return {name: row.get(name) for name in _SCHEMA.names}


def _bands(record: Mapping[str, Any], fields: list[pa.Field], id: str, flags: Flags) -> dict[str, NDArray[Any]] | None:
    """Stored numbers per band at their own resolution (y, x); None where they are not of the stated shape."""
    groups, bands = [], dict[str, NDArray[Any]]()
    for field in fields:
        said = _said(field)
        group = np.frombuffer(record[field.name], dtype=said["dtype"])
        shape = tuple(json.loads(said["shape"]))
        if group.size != np.prod(shape):
            flags.add("schema", Flag(f"{field.name} is not of its shape", id, f"{group.size} numbers, not {shape}"))
            return None
        groups.append(group.reshape(shape))
        bands |= zip(json.loads(said["bands"]), groups[-1], strict=True)
    if pixels_sha256(groups) != record["sha256"]:
        flags.add("pixel-digest", Flag("sha256 is not of these pixels", id))
    return bands


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
