"""The joint histogram of the label sources in each cell, sampled at the centres of the cell's pixels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.base.archive import LabelRaster
from landmark.base.schemas import cover_schema
from landmark.base.taxonomy import LabelVintage
from landmark.cover.codes import NONE
from landmark.cover.editions import Editions, Period, Served, Source
from landmark.cover.sampling import Points
from landmark.io.access import OPEN, Access

# Cells measured in one read: about 12 km, a window of a few million label pixels at 10 m.
_BATCH_CELLS = 10


@dataclass(frozen=True, slots=True)
class CoverUnit:
    """Neighbouring cells of one CRS, measured together.

    Attributes:
        cells: Rows of the CELLS table.
        sources: In order of precedence.
        rasters: Those that may meet the cells; access: How their hrefs are read.
    """

    cells: pa.Table
    cell_m: float
    patch_px: int
    sources: tuple[Source, ...]
    periods: tuple[Period, ...]
    rasters: tuple[LabelRaster, ...]
    access: Access = OPEN


@dataclass(frozen=True, slots=True)
class Cover:
    """What lies in some cells.

    Attributes:
        table: Rows of a cover table, sorted by cell, period and codes.
        editions: What the numbers in its column `editions` mean.
        gaps: (cell, period) → days to the nearest labels, where no source has any within its limit.
    """

    table: pa.Table
    editions: tuple[LabelVintage, ...]
    gaps: dict[tuple[str, str], int]


def cover_units(
    cells: pa.Table,
    rasters: Sequence[LabelRaster],
    *,
    cell_m: float,
    patch_px: int,
    sources: tuple[Source, ...],
    periods: tuple[Period, ...],
    access: Access = OPEN,
) -> Iterator[CoverUnit]:
    """Cut a CELLS table into batches of neighbours, each with the label maps that meet it."""
    span = _BATCH_CELLS * cell_m
    keys = [
        cells["epsg"].to_numpy(),
        *(np.floor(cells[axis].to_numpy() / span).astype(np.int64) for axis in ("y", "x")),
    ]
    places, batch = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    # A margin of a cell's diagonal, generous in degrees up to the limit of UTM at 84 degrees.
    margin_deg = cell_m / 111_000 * 10
    for number in range(len(places)):
        part = cells.take(np.flatnonzero(batch.ravel() == number))
        centres = np.stack([part["lon"].to_numpy(), part["lat"].to_numpy()], axis=1)
        (west, south), (east, north) = centres.min(axis=0) - margin_deg, centres.max(axis=0) + margin_deg
        area = shapely.box(west, south, east, north)
        meeting = tuple(raster for raster in rasters if raster.footprint.intersects(area))
        yield CoverUnit(part, cell_m, patch_px, sources, periods, meeting, access)


def measure(unit: CoverUnit) -> Cover:
    """The cover of a unit's cells; counts of a cell and period sum to all its pixels.

    Raises:
        InputError: a label map is missing, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    x, y = _pixel_centres(unit)
    points = Points(unit.cells["epsg"][0].as_py(), x.ravel(), y.ravel())
    readers = [Editions(source, _rasters(unit, source), points, x.shape, unit.access) for source in unit.sources]
    numbers: dict[LabelVintage | None, int] = {None: -1}
    columns: dict[str, list[Any]] = {name: [] for name in cover_schema([]).names}
    gaps: dict[tuple[str, str], int] = {}
    for period in unit.periods:
        served = [reader.serve(period) for reader in readers]
        packed = _packed(unit.sources, served)
        for row, cell in enumerate(unit.cells["cell"].to_pylist()):
            kinds, counts = np.unique(packed[row], return_counts=True)
            chosen = [numbers.setdefault(each.editions[row], len(numbers) - 1) for each in served]
            columns["cell"] += [cell] * len(kinds)
            columns["period"] += [period.name] * len(kinds)
            columns["codes"] += _unpacked(unit.sources, kinds).tolist()
            columns["pixels"] += counts.tolist()
            columns["editions"] += [chosen] * len(kinds)
            days = [gap for each in served if (gap := each.gaps[row]) is not None]
            if days and not any(each.editions[row] for each in served):
                gaps[cell, period.name] = min(days)
    table = pa.table(columns, schema=cover_schema(source.crosswalk.name for source in unit.sources))
    editions = tuple(edition for edition in numbers if edition is not None)
    return Cover(table.sort_by([("cell", "ascending"), ("period", "ascending")]), editions, gaps)


def _rasters(unit: CoverUnit, source: Source) -> list[LabelRaster]:
    return [one for one in unit.rasters if one.vintage.name == source.crosswalk.name]


def gathered(sources: Sequence[Source], covers: Iterable[Cover]) -> Cover:
    """The covers of several units as one; the same whatever their order."""
    parts = list(covers)
    order = {source.crosswalk.name: place for place, source in enumerate(sources)}
    editions = sorted(
        {edition for part in parts for edition in part.editions},
        key=lambda one: (order[one.name], one.start, one.end, one.version),
    )
    number = {edition: place for place, edition in enumerate(editions)}
    empty = cover_schema(order).empty_table()
    table = pa.concat_tables([empty, *(_renumbered(part, number) for part in parts)])
    gaps = {key: days for part in parts for key, days in part.gaps.items()}
    return Cover(table.sort_by([("cell", "ascending"), ("period", "ascending")]), tuple(editions), gaps)


def _renumbered(part: Cover, number: dict[LabelVintage, int]) -> pa.Table:
    # -1, no edition, is the last place.
    new = np.array([*(number[edition] for edition in part.editions), -1], np.int32)
    place, field = part.table.schema.get_field_index("editions"), part.table.schema.field("editions")
    old = part.table["editions"].combine_chunks()
    flat = pa.array(new[old.flatten().to_numpy()])
    return part.table.set_column(place, field, pa.FixedSizeListArray.from_arrays(flat, type=old.type))


def _packed(sources: Sequence[Source], served: Sequence[Served]) -> NDArray[np.int64]:
    """The codes of all sources at each pixel as one number (cell, pixel), in the order of the codes."""
    packed = np.zeros(served[0].codes.shape, np.int64)
    for source, each in zip(sources, served, strict=True):
        known = _codes(source)
        packed = packed * len(known) + np.searchsorted(known, each.codes)
    return packed


def _unpacked(sources: Sequence[Source], packed: NDArray[np.int64]) -> NDArray[np.int32]:
    """The codes in each number, (number, source)."""
    codes = np.empty((len(packed), len(sources)), np.int32)
    for column, source in reversed(list(enumerate(sources))):
        known = _codes(source)
        packed, place = np.divmod(packed, len(known))
        codes[:, column] = known[place]
    return codes


def _codes(source: Source) -> NDArray[np.int32]:
    return np.array([NONE, *sorted(source.crosswalk.classes)], np.int32)


def _pixel_centres(unit: CoverUnit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eastings and northings of all pixel centres, (cell, pixel), rows from north to south."""
    steps = (np.arange(unit.patch_px) + 0.5) * (unit.cell_m / unit.patch_px)
    shape = (unit.cells.num_rows, unit.patch_px, unit.patch_px)
    x = np.broadcast_to((unit.cells["x"].to_numpy()[:, None] + steps)[:, None, :], shape)
    y = np.broadcast_to((unit.cells["y"].to_numpy()[:, None] - steps)[:, :, None], shape)
    return x.reshape(shape[0], -1), y.reshape(shape[0], -1)
