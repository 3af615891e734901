"""The joint histogram of label sources and events in each cell, sampled at the centres of the cell's pixels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.base.archive import LabelRaster
from landmark.base.events import Event
from landmark.base.ground import Mark
from landmark.base.schemas import cover_schema
from landmark.base.taxonomy import LabelVintage
from landmark.cover.codes import NONE
from landmark.cover.editions import Editions, Period, Source
from landmark.cover.marks import marks_at
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
        table: Rows of a cover table, sorted by cell, period and codes.
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
    span = _BATCH_CELLS * cell_m
    keys = [
        cells["epsg"].to_numpy(),
        *(np.floor(cells[axis].to_numpy() / span).astype(np.int64) for axis in ("y", "x")),
    ]
    _, batch, sizes = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(batch.ravel(), kind="stable")
    # A margin of a cell's diagonal, generous in degrees up to the limit of UTM at 84 degrees.
    margin_deg = cell_m / 111_000 * 10
    shapes = [(one, part.shape) for one in events or () for part in one.parts]
    tree, maps = shapely.STRtree([shape for _, shape in shapes]), shapely.STRtree([one.footprint for one in rasters])
    for start, end in pairwise([0, *np.cumsum(sizes).tolist()]):
        part = cells.take(pa.array(order[start:end]))
        centres = np.stack([part["lon"].to_numpy(), part["lat"].to_numpy()], axis=1)
        (west, south), (east, north) = centres.min(axis=0) - margin_deg, centres.max(axis=0) + margin_deg
        area = shapely.box(west, south, east, north)
        meeting = tuple(rasters[number] for number in np.sort(maps.query(area, predicate="intersects")).tolist())
        near = {shapes[number][0].id for number in tree.query(area, predicate="intersects").tolist()}
        happening = None if events is None else tuple(one for one in events if one.id in near)
        yield CoverUnit(part, cell_m, patch_px, sources, periods, meeting, access, happening)


def measure(unit: CoverUnit) -> Cover:
    """The cover of a unit's cells; counts of a cell and period sum to all its pixels.

    Raises:
        InputError: a label map is missing, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    x, y = _pixel_centres(unit)
    points = Points(unit.cells["epsg"][0].as_py(), x.ravel(), y.ravel())
    readers = [Editions(source, _rasters(unit, source), points, x.shape, unit.access) for source in unit.sources]
    marked, marks = marks_at(unit.events or (), points)
    radix = [*(_codes(source) for source in unit.sources), np.arange(-1, len(marks) - 1, dtype=np.int32)]
    numbers: dict[LabelVintage | None, int] = {None: -1}
    columns: dict[str, list[Any]] = {name: [] for name in cover_schema([]).names}
    gaps: dict[tuple[str, str], int] = {}
    for period in unit.periods:
        served = [reader.serve(period) for reader in readers]
        # A mark's code is one less than its number: -1 is that of no event.
        packed = _packed(radix, [*(each.codes for each in served), marked.reshape(x.shape) - 1])
        for row, cell in enumerate(unit.cells["cell"].to_pylist()):
            kinds, counts = np.unique(packed[row], return_counts=True)
            chosen = [numbers.setdefault(each.editions[row], len(numbers) - 1) for each in served] or [-1]
            columns["cell"] += [cell] * len(kinds)
            columns["period"] += [period.name] * len(kinds)
            codes = _unpacked(radix, kinds)
            columns["codes"] += (codes[:, :-1] if unit.events is None else codes).tolist()
            columns["pixels"] += counts.tolist()
            columns["editions"] += [chosen] * len(kinds)
            days = [gap for each in served if (gap := each.gaps[row]) is not None]
            if days and not any(each.editions[row] for each in served):
                gaps[cell, period.name] = min(days)
    schema = cover_schema((source.crosswalk.name for source in unit.sources), events=unit.events is not None)
    table = pa.table(columns, schema=schema).sort_by([("cell", "ascending"), ("period", "ascending")])
    editions = tuple(edition for edition in numbers if edition is not None)
    return Cover(table, editions, gaps, () if unit.events is None else tuple(marks[1:]))


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


def _packed(radix: Sequence[NDArray[np.int32]], columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Codes of each pixel as one number (cell, pixel), in the order of the codes; `radix` says which a column has."""
    packed = np.zeros(columns[0].shape, np.int64)
    for known, codes in zip(radix, columns, strict=True):
        packed = packed * len(known) + np.searchsorted(known, codes)
    return packed


def _unpacked(radix: Sequence[NDArray[np.int32]], packed: NDArray[np.int64]) -> NDArray[np.int32]:
    """The codes in each number, (number, column)."""
    codes = np.empty((len(packed), len(radix)), np.int32)
    for column, known in reversed(list(enumerate(radix))):
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
