"""Label counts: joint histogram of label sources and events per cell and period, sampled at pixel centres."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from landmark.domain.acquisition import LabelRaster
from landmark.domain.event import Event
from landmark.domain.impact import EventCombination
from landmark.domain.schemas import label_counts_schema
from landmark.domain.taxonomy import LabelEdition
from landmark.grid.points import Points
from landmark.labels.codes import rank_codes
from landmark.labels.editions import EditionChoice, EditionReader, LabelSource, Period
from landmark.labels.histogram import Histogram, joint_histogram
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.rate_limit import core_share

# Edge of the squares that are measured in one task, in pixels. Class probabilities take about 100 bytes per pixel and
# points among events half of that, so they are measured in smaller squares.
_BATCH_PX, _SMALL_BATCH_PX = 1920, 1200
# Squares of a batch along an edge where they have no more cells than a full one: each batch opens its label maps.
_SPARSE = 4
# Threads take turns, which costs more than it brings with fewer points.
_MANY_POINTS = 2**20

# (events, points) → per point an index into the returned combinations, of which the first is that of no event.
EventMasks = Callable[[Sequence[Event], Points], tuple[NDArray[np.int64], list[EventCombination]]]


@dataclass(frozen=True, slots=True)
class CountConfig:
    """Settings shared by all count tasks of a recipe.

    Attributes:
        sources: In order of precedence.
        access: How hrefs of the rasters are read.
        event_masks: A picklable function; None if the recipe has no events.
    """

    cell_m: float
    patch_px: int
    sources: tuple[LabelSource, ...]
    periods: tuple[Period, ...]
    access: AccessPolicy = PUBLIC_ACCESS
    event_masks: EventMasks | None = None


@dataclass(frozen=True, slots=True)
class CountTask:
    """Neighbouring cells of one CRS, measured together.

    Attributes:
        cells: Rows of the CELLS table.
        rasters: Label rasters that may intersect the cells.
        events: Events that may intersect the cells.
    """

    cells: pa.Table
    config: CountConfig
    rasters: tuple[LabelRaster, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Label counts of some cells.

    Attributes:
        table: Rows of `label_counts_schema`; after `merge` sorted by cell, period and codes.
        editions: Label editions by their number in the column `editions`.
        gaps: (cell, period) → days to the nearest labels, if those of every source are too old.
        event_combinations: By their number, the last of `codes`; empty if the recipe has no events.
    """

    table: pa.Table
    editions: tuple[LabelEdition, ...]
    gaps: dict[tuple[str, str], int]
    event_combinations: tuple[EventCombination, ...] = ()


def count_tasks(
    cells: pa.Table, rasters: Sequence[LabelRaster], config: CountConfig, events: Sequence[Event] = ()
) -> Iterator[CountTask]:
    """Split a CELLS table into batches of neighbours, each with the label rasters and events that may intersect it."""
    light = config.event_masks is None and {source.composite for source in config.sources} == {"mode"}
    batch_px = _BATCH_PX if light else _SMALL_BATCH_PX
    # More than a cell's diagonal in degrees, up to the limit of UTM at 84 degrees.
    margin_deg = config.cell_m / 111_000 * 10
    parts = [(event.id, part.geometry) for event in events for part in event.parts]
    raster_tree = shapely.STRtree([raster.footprint for raster in rasters])
    event_tree = shapely.STRtree([geometry for _, geometry in parts])
    for rows in _batches(cells, max(batch_px // config.patch_px, 1), config.cell_m):
        batch = cells.take(rows)
        centres = np.stack([batch["lon"].to_numpy(), batch["lat"].to_numpy()], axis=1)
        (west, south), (east, north) = centres.min(axis=0) - margin_deg, centres.max(axis=0) + margin_deg
        area = shapely.box(west, south, east, north)
        raster_rows = sorted(raster_tree.query(area, predicate="intersects").tolist())
        event_ids = {parts[row][0] for row in event_tree.query(area, predicate="intersects").tolist()}
        yield CountTask(
            cells=batch,
            config=config,
            rasters=tuple(rasters[row] for row in raster_rows),
            events=tuple(event for event in events if event.id in event_ids),
        )


def _batches(cells: pa.Table, edge: int, cell_m: float) -> list[NDArray[np.int64]]:
    """Rows of the cells in each square of each CRS: of `edge` x `edge` cells, or larger where cells are sparse."""
    sparse = _square_numbers(cells, _SPARSE * edge * cell_m)
    dense = _square_numbers(cells, edge * cell_m)
    is_sparse = np.bincount(sparse)[sparse] <= edge**2
    batch = np.where(is_sparse, sparse, len(cells) + dense)
    order = np.argsort(batch, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(batch[order])) + 1)


def _square_numbers(cells: pa.Table, square_m: float) -> NDArray[np.int64]:
    """The number of each cell's square, by CRS, row and column."""
    squares = (np.floor(cells[axis].to_numpy() / square_m).astype(np.int64) for axis in ("y", "x"))
    keys = np.stack([cells["epsg"].to_numpy(), *squares], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel()


def measure_counts(task: CountTask) -> LabelCounts:
    """Count the pixels of a task's cells; the counts of a cell and period sum to all its pixels.

    Raises:
        InputError: a label raster is missing, unreadable, without CRS, or has a code its crosswalk lacks.
    """
    config, points = task.config, _pixel_centres(task)
    readers = [EditionReader(source, _rasters(task, source), points, config.access) for source in config.sources]
    codes, event_ranks = [rank_codes(source.crosswalk) for source in config.sources], []
    combinations: list[EventCombination] = []
    if config.event_masks is not None:
        masks, combinations = config.event_masks(task.events, points)
        event_ranks = [masks.reshape(task.cells.num_rows, -1)]
        # The code is the rank less one: -1 is that of no event.
        codes.append(np.arange(-1, len(combinations) - 1, dtype=np.int32))
    numbers: dict[LabelEdition | None, int] = {None: -1}
    tables, gaps = list[pa.Table](), dict[tuple[str, str], int]()
    counted: list[NDArray[Any]] = []
    for period in config.periods:
        choices = _choose(readers, period, in_threads=math.prod(points.shape) >= _MANY_POINTS)
        ranks = [*(choice.ranks for choice in choices), *event_ranks]
        # Most periods have the labels of the one before.
        if not counted or not all(map(np.array_equal, ranks, counted)):
            histogram, counted = joint_histogram(ranks, codes), ranks
        tables.append(_counts_table(task, period, histogram, _edition_numbers(task, choices, numbers)))
        gaps |= _gaps(task, period, choices)
    editions = tuple(edition for edition in numbers if edition is not None)
    return LabelCounts(pa.concat_tables(tables), editions, gaps, tuple(combinations[1:]))


def _choose(readers: Sequence[EditionReader], period: Period, *, in_threads: bool) -> list[EditionChoice]:
    """Choose and read the edition of each source, each in a thread if there are many points."""
    if not in_threads:
        return [reader.choose(period) for reader in readers]
    # The versions of what is read are recorded in the context.
    chosen = [_threads(core_share()).submit(copy_context().run, reader.choose, period) for reader in readers]
    try:
        return [choice.result() for choice in chosen]
    finally:
        for choice in chosen:
            choice.cancel()


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The process's threads for label sources. They stay: PROJ opens its database again in each new thread."""
    return ThreadPoolExecutor(count, thread_name_prefix="labels")


def _counts_table(task: CountTask, period: Period, histogram: Histogram, editions: NDArray[np.int32]) -> pa.Table:
    cells, codes, pixels = histogram
    columns = {
        "cell": task.cells["cell"].take(cells),
        "period": pa.repeat(period.name, len(cells)),
        "codes": _lists(codes),
        "pixels": pixels,
        "editions": _lists(editions[cells]),
    }
    names = (source.crosswalk.name for source in task.config.sources)
    return pa.table(columns, schema=label_counts_schema(names, events=task.config.event_masks is not None))


def _edition_numbers(
    task: CountTask, choices: Sequence[EditionChoice], numbers: dict[LabelEdition | None, int]
) -> NDArray[np.int32]:
    """Number of each cell's edition (cell, source); new editions are added to `numbers`."""
    rows = [[numbers.setdefault(edition, len(numbers) - 1) for edition in choice.editions] for choice in choices]
    return np.array(rows or [[-1] * task.cells.num_rows], np.int32).T


def _gaps(task: CountTask, period: Period, choices: Sequence[EditionChoice]) -> dict[tuple[str, str], int]:
    """Days to the nearest labels of the cells where no source has an edition, but some have one beyond their limit."""
    gaps = {}
    for row, cell in enumerate(task.cells["cell"].to_pylist()):
        days = [gap for choice in choices if (gap := choice.gap_days[row]) is not None]
        if days and not any(choice.editions[row] for choice in choices):
            gaps[cell, period.name] = min(days)
    return gaps


def _rasters(task: CountTask, source: LabelSource) -> list[LabelRaster]:
    return [raster for raster in task.rasters if raster.edition.name == source.crosswalk.name]


def merge(sources: Sequence[LabelSource], parts: Iterable[LabelCounts], *, events: bool = False) -> LabelCounts:
    """Merge the label counts of several tasks; their order does not matter. `events`: whether the recipe has events."""
    parts = list(parts)
    order = {source.crosswalk.name: number for number, source in enumerate(sources)}
    editions = sorted(
        {edition for part in parts for edition in part.editions},
        key=lambda edition: (order[edition.name], edition.start, edition.end, edition.version),
    )
    combinations = sorted({combination for part in parts for combination in part.event_combinations})
    empty = label_counts_schema(order, events=events).empty_table()
    table = pa.concat_tables([empty, *(_renumber(part, editions, combinations) for part in parts)])
    gaps = {key: days for part in parts for key, days in part.gaps.items()}
    return LabelCounts(_sort(table), tuple(editions), gaps, tuple(combinations))


def _sort(table: pa.Table) -> pa.Table:
    codes = table["codes"].combine_chunks()
    matrix = codes.flatten().to_numpy().reshape(table.num_rows, codes.type.list_size)
    keys = {f"code{number}": column for number, column in enumerate(matrix.T)}
    keyed = pa.table({"cell": table["cell"], "period": table["period"], **keys})
    return table.take(pc.sort_indices(keyed, [(name, "ascending") for name in keyed.column_names]))


def _renumber(
    part: LabelCounts, editions: Sequence[LabelEdition], combinations: Sequence[EventCombination]
) -> pa.Table:
    """The table of a task with the merged numbers of editions and event combinations."""
    edition_numbers = {edition: number for number, edition in enumerate(editions)}
    table = _map_numbers(part.table, "editions", slice(None), [edition_numbers[edition] for edition in part.editions])
    if not part.event_combinations:
        return table
    numbers = {combination: number for number, combination in enumerate(combinations)}
    new = [numbers[combination] for combination in part.event_combinations]
    return _map_numbers(table, "codes", slice(-1, None), new)


def _map_numbers(table: pa.Table, name: str, items: slice, new: Sequence[int]) -> pa.Table:
    """Replace numbers by `new[number]` in some items of a column of lists; -1 stays."""
    column, field = table.schema.get_field_index(name), table.schema.field(name)
    values = table[name].combine_chunks().flatten().to_numpy().reshape(table.num_rows, field.type.list_size).copy()
    values[:, items] = np.array([*new, -1], np.int32)[values[:, items]]
    flat = pa.array(values.ravel())
    return table.set_column(column, field, pa.FixedSizeListArray.from_arrays(flat, type=field.type))


def _lists(values: NDArray[np.int32]) -> pa.FixedSizeListArray:
    """Each row as a list."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _pixel_centres(task: CountTask) -> Points:
    """Pixel centres of each cell, rows from north to south."""
    steps = (np.arange(task.config.patch_px) + 0.5) * (task.config.cell_m / task.config.patch_px)
    left, top = (task.cells[axis].to_numpy()[:, None] for axis in ("x", "y"))
    return Points(task.cells["epsg"][0].as_py(), left + steps, top - steps)
