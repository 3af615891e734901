"""The shard pass: check all rows, and measure the pixels of chosen cells; return sample columns, measures and flags.

Runs in the workers.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from landmark.config.profiles import load_sensor
from landmark.core.hashing import rank
from landmark.core.salts import CHECKED_CELLS
from landmark.corpus.manifest import Shard
from landmark.corpus.pages import DamagedPage
from landmark.corpus.pixels import pixels_sha256
from landmark.quality.check_input import (
    MAP_COLUMNS,
    SAMPLE_COLUMNS,
    CorpusContext,
    GroupResult,
    Moments,
    ShardGroup,
    derived_columns,
)
from landmark.quality.chips.band_digests import band_digests
from landmark.quality.chips.pixels import MEASURES, measure_pixels
from landmark.quality.chips.registration import Registration
from landmark.quality.chips.windows import content_windows
from landmark.quality.findings import Flag
from landmark.quality.rows.annotations import DerivedRows
from landmark.quality.rows.captions import RowProblem
from landmark.quality.rows.row_checks import ROW_CHECKS, TEXT_CHECKS
from landmark.quality.rows.shard_reader import ShardReader, ShardRow, describe_error

_SCHEMA = pa.schema([*SAMPLE_COLUMNS, *MEASURES])
_NAMES = _SCHEMA.names
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
    samples = _GroupSamples(group)
    reader = ShardReader(group.context, samples.flag, samples.add, hash_files=group.share == 1)
    # Chips are small matrices: on a busy machine, threads wait for each other longer than they compute.
    with threadpool_limits(1, user_api="blas"):
        for shard, start in group.shards:
            reader.read(shard, start)
    return samples.result()


class _GroupSamples:
    """Accumulates the result of one shard group."""

    def __init__(self, group: ShardGroup) -> None:
        self._group, self._context = group, group.context
        self._rows: list[dict[str, Any]] = []
        self._flags: dict[str, list[Flag]] = {}
        self._moments: dict[tuple[str, str], Moments] = {}
        self._registration = Registration()
        self._checks = {name: check for name, check in ROW_CHECKS.items() if name in self._context.limits}
        derived = group.derivation if "annotations" in self._context.limits else None
        self._compare = DerivedRows(derived).compare if derived else lambda row: None
        self._settled = TEXT_CHECKS if derived and derived.has_recorded_words else frozenset()

    def result(self) -> GroupResult:
        """Result of the shards read so far."""
        for row in self._rows:
            row |= self._registration.measures(row["id"])
        table = pa.Table.from_pylist(self._rows, schema=_SCHEMA)
        return GroupResult(table, self._flags, self._registration.surfaces, self._moments)

    def flag(self, check: str, problem: str, subject: str, detail: str = "") -> None:
        """Add a flag of a check."""
        self._flags.setdefault(check, []).append(Flag(problem, subject, detail))

    def _is_chosen(self, cell: str) -> bool:
        """Whether the pixels of a cell are measured: those of both sensors or of none."""
        share = self._group.share
        return share == 1 or rank(self._group.seed, CHECKED_CELLS, cell) < share * _HASH_RANGE

    def add(self, row: ShardRow) -> None:
        """Run the row checks on a sample, measure its pixels, and keep both."""
        record = row.record
        if self._group.cells is not None and record["cell"] not in self._group.cells:
            return
        try:
            maps = {name: dict(record[name]) for name in MAP_COLUMNS}
            sample = {**record, **maps, **derived_columns(record), "shard": row.shard.path, "pixels_read": False}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self.flag("schema", "row cannot be read", record["id"], f"{type(error).__name__}: {describe_error(error)}")
            return
        self._check_row(sample)
        if self._is_chosen(sample["cell"]) and (stacks := self._read_pixels(row)) is not None:
            named = zip(row.groups.values(), stacks, strict=True)
            bands = {name: band for group, stack in named for name, band in zip(group.bands, stack, strict=True)}
            sample |= {**measure_pixels(row.shard.sensor, bands), "pixels_read": True}
            self._registration.add(record, bands)
            if "shared-windows" in self._context.limits:
                sample["windows"] = content_windows(row.shard.sensor, bands)
            sample["band_digests"] = band_digests(self._add_moments(row.shard.sensor, bands, stacks))
        self._rows.append({name: sample.get(name) for name in _NAMES})

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
            problems = [("the check failed on this row", f"{type(error).__name__}: {describe_error(error)}")]
        for problem, detail in problems or ():
            self.flag(name, problem, row["id"], detail)
        return problems

    def _read_pixels(self, row: ShardRow) -> list[NDArray[Any]] | None:
        """Stored values (band, y, x) of each of `row.groups`; None where they cannot be read."""
        if row.pages is None:
            return self._decode(row.record, row) if next(iter(row.groups)) in row.record else None
        try:
            pixels = row.pages.read(row.number)
        except (DamagedPage, OSError) as error:
            detail = f"{row.shard.path}: {describe_error(error)}"
            self.flag("shards", "pixels of a sample cannot be read", row.record["id"], detail)
            return None
        return self._decode(pixels, row)

    def _decode(self, pixels: Mapping[str, Any], row: ShardRow) -> list[NDArray[Any]] | None:
        """Arrays of pixel columns; None where their size is not that of the metadata."""
        stacks = list[NDArray[Any]]()
        for name, group in row.groups.items():
            data = pixels[name]
            if len(data) != group.size_bytes:
                detail = f"{len(data)} bytes, not {group.size_bytes}"
                self.flag("schema", f"size of {name} differs from its metadata", row.record["id"], detail)
                return None
            stacks.append(np.frombuffer(data, dtype=group.dtype).reshape(group.shape))
        if pixels_sha256(stacks) != row.record["sha256"]:
            self.flag("pixel-digest", "sha256 differs from that of the pixels", row.record["id"])
        return stacks

    def _add_moments(self, sensor: str, bands: Iterable[str], stacks: Iterable[NDArray[Any]]) -> list[Moments]:
        """Add the moments of a sample's bands to those of its sensor, and return them."""
        nodata = load_sensor(sensor).nodata
        moments = [band for stack in stacks for band in Moments.of_bands(stack, nodata)]
        for band, own in zip(bands, moments, strict=True):
            key = sensor, band
            self._moments[key] = self._moments.get(key, Moments()) + own
        return moments
