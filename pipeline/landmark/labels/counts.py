"""The joint histogram of label sources and events in each cell, sampled at the centres of the cell's pixels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.domain.acquisition import LabelRaster
from landmark.domain.event import Event
from landmark.domain.impact import Mark
from landmark.domain.schemas import cover_schema
from landmark.domain.taxonomy import LabelVintage
from landmark.events.masks import marks_at
from landmark.grid.points import Points
from landmark.labels.codes import codes_of
from landmark.labels.editions import Editions, Period, Served, Source
from landmark.labels.histogram import Histogram, joint_histogram
from landmark.raster.access import OPEN, Access

# Pixels along each side of what is measured in one read. The probabilities of all classes take some hundred bytes a
# pixel, the coordinates of points among events half as many: those are measured in less.
_BATCH_PX, _SMALL_BATCH_PX = 1920, 1200


@dataclass(frozen=True, slots=True)
class CoverUnit:
    """Neighbouring cells of one CRS, measured together.

    Attributes:
        cells: Rows of the CELLS table.
        sources: In order of precedence.
        rasters: Those that may meet the cells; access: How their hrefs are read.
        events: Those that may meet the cells; None where the recipe has none.
    """

    cells: pa.Table
    cell_m: float
    patch_px: int
    sources: tuple[Source, ...]
    periods: tuple[Period, ...]
    rasters: tuple[LabelRaster, ...]
    access: Access = OPEN
    events: tuple[Event, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cover:
    """What lies in some cells.

    Attributes:
        table: Rows of a cover table; once gathered, sorted by cell, period and codes.
        editions: What the numbers in its column `editions` mean.
        gaps: (cell, period) → days to the nearest labels, where no source has any within its limit.
        marks: What the last of its `codes` means, where the recipe has events; else empty.
    """

    table: pa.Table
    editions: tuple[LabelVintage, ...]
    gaps: dict[tuple[str, str], int]
    marks: tuple[Mark, ...] = ()


def cover_units(
    cells: pa.Table,
    rasters: Sequence[LabelRaster],
    *,
    cell_m: float,
    patch_px: int,
    sources: tuple[Source, ...],
    periods: tuple[Period, ...],
    access: Access = OPEN,
    events: Sequence[Event] | None = None,
) -> Iterator[CoverUnit]:
    """Cut a CELLS table into batches of neighbours, each with the label maps and events that meet it."""
    lean = events is None and {source.composite for source in sources} == {"mode"}
    batch_px = _BATCH_PX if lean else _SMALL_BATCH_PX
    # A margin of a cell's diagonal, generous in degrees up to the limit of UTM at 84 degrees.
    margin_deg = cell_m / 111_000 * 10
    grounds = [(one, part.shape) for one in events or () for part in one.parts]
    maps = shapely.STRtree([raster.footprint for raster in rasters])
    happenings = shapely.STRtree([shape for _, shape in grounds])
    for rows in _batches(cells, max(batch_px // patch_px, 1) * cell_m):
        part = cells.take(rows)
        centres = np.stack([part["lon"].to_numpy(), part["lat"].to_numpy()], axis=1)
        (west, south), (east, north) = centres.min(axis=0) - margin_deg, centres.max(axis=0) + margin_deg
        area = shapely.box(west, south, east, north)
        meeting = tuple(rasters[number] for number in sorted(maps.query(area, predicate="intersects").tolist()))
        near = {grounds[number][0].id for number in happenings.query(area, predicate="intersects").tolist()}
        happening = None if events is None else tuple(one for one in events if one.id in near)
        yield CoverUnit(part, cell_m, patch_px, sources, periods, meeting, access, happening)


def _batches(cells: pa.Table, span_m: float) -> list[NDArray[np.int64]]:
    """Rows of the cells in each square of each CRS."""
    squares = (np.floor(cells[axis].to_numpy() / span_m).astype(np.int64) for axis in ("y", "x"))
    keys = np.stack([cells["epsg"].to_numpy(), *squares], axis=1)
    _, batch, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(batch.ravel(), kind="stable")
    return [rows for rows in np.split(order, np.cumsum(counts)) if len(rows)]


def measure(unit: CoverUnit) -> Cover:
    """The cover of a unit's cells; counts of a cell and period sum to all its pixels.

    Raises:
        InputError: a label map is missing, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    points = _pixel_centres(unit)
    readers = [Editions(source, _rasters(unit, source), points, unit.access) for source in unit.sources]
    marked, marks = marks_at(unit.events or (), points)
    # A mark's code is one less than its number: -1 is that of no event.
    codes = [*(codes_of(source.crosswalk) for source in unit.sources), np.arange(-1, len(marks) - 1, dtype=np.int32)]
    numbers: dict[LabelVintage | None, int] = {None: -1}
    tables, gaps = list[pa.Table](), dict[tuple[str, str], int]()
    for period in unit.periods:
        served = [reader.serve(period) for reader in readers]
        ranks = [*(each.ranks for each in served), marked.reshape(unit.cells.num_rows, -1)]
        tables.append(_rows(unit, period, joint_histogram(ranks, codes), _numbered(unit, served, numbers)))
        gaps |= _gaps(unit, period, served)
    editions = tuple(edition for edition in numbers if edition is not None)
    return Cover(pa.concat_tables(tables), editions, gaps, () if unit.events is None else tuple(marks[1:]))


def _rows(unit: CoverUnit, period: Period, histogram: Histogram, editions: NDArray[np.int32]) -> pa.Table:
    cells, codes, pixels = histogram
    columns = {
        "cell": unit.cells["cell"].take(cells),
        "period": pa.repeat(period.name, len(cells)),
        "codes": _lists(codes[:, :-1] if unit.events is None else codes),
        "pixels": pixels,
        "editions": _lists(editions[cells]),
    }
    names = (source.crosswalk.name for source in unit.sources)
    return pa.table(columns, schema=cover_schema(names, events=unit.events is not None))


def _numbered(unit: CoverUnit, served: Sequence[Served], numbers: dict[LabelVintage | None, int]) -> NDArray[np.int32]:
    """The number of each cell's edition (cell, source); new ones are added to the numbers."""
    chosen = [[numbers.setdefault(edition, len(numbers) - 1) for edition in each.editions] for each in served]
    return np.array(chosen or [[-1] * unit.cells.num_rows], np.int32).T


def _gaps(unit: CoverUnit, period: Period, served: Sequence[Served]) -> dict[tuple[str, str], int]:
    """Days to the nearest labels of cells where all sources have none, or too old ones."""
    found = {}
    for row, cell in enumerate(unit.cells["cell"].to_pylist()):
        days = [gap for each in served if (gap := each.gaps[row]) is not None]
        if days and not any(each.editions[row] for each in served):
            found[cell, period.name] = min(days)
    return found


def _rasters(unit: CoverUnit, source: Source) -> list[LabelRaster]:
    return [one for one in unit.rasters if one.vintage.name == source.crosswalk.name]


def gathered(sources: Sequence[Source], covers: Iterable[Cover], *, events: bool = False) -> Cover:
    """The covers of several units as one; the same whatever their order."""
    parts = list(covers)
    order = {source.crosswalk.name: place for place, source in enumerate(sources)}
    editions = sorted(
        {edition for part in parts for edition in part.editions},
        key=lambda one: (order[one.name], one.start, one.end, one.version),
    )
    marks = sorted({mark for part in parts for mark in part.marks})
    empty = cover_schema(order, events=events).empty_table()
    table = pa.concat_tables([empty, *(_renumbered(part, editions, marks) for part in parts)])
    gaps = {key: days for part in parts for key, days in part.gaps.items()}
    # Rows of a cell and period stand by their codes, whichever numbers its unit gave.
    table = _sorted(table)
    return Cover(table, tuple(editions), gaps, tuple(marks))


def _sorted(table: pa.Table) -> pa.Table:
    codes = table["codes"].combine_chunks()
    wide = codes.flatten().to_numpy().reshape(table.num_rows, codes.type.list_size)
    keys = {f"code{place}": column for place, column in enumerate(wide.T)}
    keyed = pa.table({"cell": table["cell"], "period": table["period"], **keys})
    return table.take(pc.sort_indices(keyed, [(name, "ascending") for name in keyed.column_names]))


def _renumbered(part: Cover, editions: Sequence[LabelVintage], marks: Sequence[Mark]) -> pa.Table:
    """The table of a unit with its editions and marks numbered as in all units."""
    number = {edition: place for place, edition in enumerate(editions)}
    table = _mapped(part.table, "editions", slice(None), [number[edition] for edition in part.editions])
    place = {mark: at for at, mark in enumerate(marks)}
    return _mapped(table, "codes", slice(-1, None), [place[mark] for mark in part.marks]) if part.marks else table


def _mapped(table: pa.Table, name: str, where: slice, new: Sequence[int]) -> pa.Table:
    """A column of lists with the numbers at some of their places exchanged; -1 stays, as the last place of `new`."""
    at, field = table.schema.get_field_index(name), table.schema.field(name)
    values = table[name].combine_chunks().flatten().to_numpy().reshape(table.num_rows, field.type.list_size).copy()
    values[:, where] = np.array([*new, -1], np.int32)[values[:, where]]
    flat = pa.array(values.ravel())
    return table.set_column(at, field, pa.FixedSizeListArray.from_arrays(flat, type=field.type))


def _lists(values: NDArray[np.int32]) -> pa.FixedSizeListArray:
    """Each row of numbers as a list."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _pixel_centres(unit: CoverUnit) -> Points:
    """Of each cell, rows from north to south."""
    steps = (np.arange(unit.patch_px) + 0.5) * (unit.cell_m / unit.patch_px)
    left, top = (unit.cells[axis].to_numpy()[:, None] for axis in ("x", "y"))
    return Points(unit.cells["epsg"][0].as_py(), left + steps, top - steps)
