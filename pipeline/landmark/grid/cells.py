"""Cells: squares of a UTM grid anchored at the equator and easting 0, so that cells align with Sentinel-2 pixels.

Within a zone, cells neither overlap nor leave gaps; a cell belongs to the zone that its centre is in.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT, reproject, transformer
from landmark.core.errors import InvalidCorpus
from landmark.core.outlines import enlarge, make_valid
from landmark.domain.acquisition import Acquisition
from landmark.domain.schemas import CELLS
from landmark.grid.majortom import join_names, majortom_names
from landmark.grid.zones import zone_epsg, zone_of, zone_span

_FALSE_NORTHING_M = 10_000_000
_EDGE_STEP_DEG = 0.05
# Tolerance of extraction: chips within it are copied.
_ALIGNED_PX = 1e-3
_UTM_NAME = re.compile(r"(\d\d)([ns])_(\d+)_(\d+)")
_Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]
_ANCHORED_NAME = re.compile(r"(\d{4,5})_(-?\d+)_(-?\d+)")


def utm_cells(region: BaseGeometry, *, cell_m: float, block_m: float) -> pa.Table:
    """Cells whose centre is in a region (EPSG:4326), as CELLS rows sorted by cell id.

    Args:
        region: EPSG:4326.
        cell_m: Edge of a cell in metres.
        block_m: Edge of a block in metres.
    """
    shapely.prepare(region)
    tables = [_zone_cells(region, zone, south, cell_m, block_m) for zone in range(1, 61) for south in (False, True)]
    return pa.concat_tables([CELLS.empty_table(), *tables])


def source_cells(
    acquisitions: Iterable[Acquisition], region: BaseGeometry, *, cell_m: float, block_m: float
) -> pa.Table:
    """Complete cells of the rasters of acquisitions, each on a grid anchored at the raster's upper left corner.

    Rasters share cells if their corners coincide or are a whole number of cells apart. Arguments and result as in
    `utm_cells`.
    """
    anchors = {(acquisition.epsg, *acquisition.origin): acquisition for acquisition in acquisitions}
    tables = [_anchored_cells(anchor, region, cell_m, block_m) for _, anchor in sorted(anchors.items())]
    cells = pa.concat_tables([CELLS.empty_table(), *tables])
    _, first = np.unique(np.array(cells["cell"].to_pylist(), dtype=str), return_index=True)
    return cells.take(first).sort_by("cell")


def off_lattice_px(acquisition: Acquisition, pixel_m: float) -> float:
    """Distance in pixels from the acquisition's corner to the lattice of pixels that cells of `utm_cells` consist of.

    0 within the tolerance that chips are copied with.
    """
    equator = _FALSE_NORTHING_M if acquisition.epsg > zone_epsg(0, south=True) else 0
    left, top = (edge / pixel_m for edge in (acquisition.origin[0], acquisition.origin[1] - equator))
    off_px = max(abs(position - round(position)) for position in (left, top))
    return off_px if off_px > _ALIGNED_PX else 0.0


def cell_corner(cell: str, cell_m: float) -> tuple[int, float, float] | None:
    """EPSG code, left and top edge in metres of a cell, by its id; None if it is not the id of a cell.

    Ids of cells anchored at a raster's corner hold coordinates in centimetres.
    """
    if (utm := _UTM_NAME.fullmatch(cell)) is not None:
        zone, south, col, row = int(utm[1]), utm[2] == "s", int(utm[3]), int(utm[4])
        top = _FALSE_NORTHING_M - row * cell_m if south else (row + 1) * cell_m
        return zone_epsg(zone, south), col * cell_m, top
    if (anchored := _ANCHORED_NAME.fullmatch(cell)) is not None:
        return int(anchored[1]), int(anchored[2]) / 100, int(anchored[3]) / 100
    return None


def cell_blocks(cells: Sequence[str], *, cell_m: float, block_m: float) -> list[str]:
    """Block of each cell, by the cells' ids, as `utm_cells` and `source_cells` name it.

    Args:
        cells: Ids of cells.
        cell_m: Edge of a cell in metres.
        block_m: Edge of a block in metres.

    Raises:
        InvalidCorpus: not the id of a cell.
    """
    return [_block(cell, cell_m, block_m) for cell in cells]


def _block(cell: str, cell_m: float, block_m: float) -> str:
    corner = cell_corner(cell, cell_m)
    if corner is None:
        raise InvalidCorpus("not the id of a cell", key="cell", value=cell)
    prefix, (_, left, top) = cell.split("_", maxsplit=1)[0], corner
    equator = _FALSE_NORTHING_M if prefix.endswith("s") else 0
    col, row = (math.floor(centre / block_m) for centre in (left + cell_m / 2, top - cell_m / 2 - equator))
    return f"{prefix}_{col}_{row}"


def _zone_cells(region: BaseGeometry, zone: int, south: bool, cell_m: float, block_m: float) -> pa.Table:
    west, east = zone_span(zone)
    half = shapely.box(west, -90, east, 0) if south else shapely.box(west, 0, east, 90)
    part = region.intersection(half)
    if part.is_empty:
        return CELLS.empty_table()
    epsg = zone_epsg(zone, south)
    outline = reproject(shapely.segmentize(part, _EDGE_STEP_DEG), LONLAT, epsg)
    # Prefilter: projecting a centre to degrees takes ten times as long as testing it against the projected outline.
    near = enlarge(make_valid(outline).simplify(cell_m / 2), cell_m, join_style="mitre")
    shapely.prepare(near)
    left, bottom, right, top = outline.bounds
    equator = _FALSE_NORTHING_M if south else 0
    cols, rows = _steps_between(left, right, cell_m), _steps_between(bottom - equator, top - equator, cell_m)
    boxed = _in_boxes(shapely.get_parts(near), cols, rows, cell_m, equator)
    # Sorted as the ids are, which are text.
    by_col = sorted(np.flatnonzero(boxed.any(axis=1)).tolist(), key=lambda place: f"{cols[place]}_")
    by_row = sorted(np.flatnonzero(boxed.any(axis=0)).tolist(), key=lambda place: str(_outward(rows[place], south)))
    col_place, row_place = np.nonzero(boxed[np.ix_(by_col, by_row)])
    col, row = np.array(cols)[by_col][col_place], np.array(rows)[by_row][row_place]
    centre_x, centre_y = (col + 0.5) * cell_m, (row + 0.5) * cell_m + equator
    near_rows = np.flatnonzero(shapely.contains_xy(near, centre_x, centre_y))
    lon, lat = transformer(epsg, LONLAT).transform(centre_x[near_rows], centre_y[near_rows])
    inside = (zone_of(lon, lat) == zone) & ((row[near_rows] < 0) == south) & shapely.contains_xy(region, lon, lat)
    near_rows, lon, lat = near_rows[inside], lon[inside], lat[inside]
    col, row = col[near_rows], row[near_rows]
    prefix = f"{zone:02d}{'s' if south else 'n'}"
    x, y = col * cell_m, (row + 1) * cell_m + equator
    blocks = _blocks(prefix, (col + 0.5) * cell_m, (row + 0.5) * cell_m, block_m)
    return _table(join_names(prefix, col, _outward(row, south)), epsg, (x, y), (lon, lat), blocks)


def _in_boxes(parts: NDArray[np.object_], cols: range, rows: range, cell_m: float, equator: float) -> NDArray[np.bool_]:
    """Mask (col, row) of the cells whose centre is in the bounding box of a part, and some around them."""

    def places(low: float, high: float, steps: range) -> slice:
        span = _steps_between(low, high, cell_m)
        return slice(max(span.start - steps.start, 0), max(span.stop - steps.start, 0))

    boxed = np.zeros((len(cols), len(rows)), dtype=bool)
    for west, south, east, north in shapely.bounds(parts).tolist():
        boxed[places(west, east, cols), places(south - equator, north - equator, rows)] = True
    return boxed


def _steps_between(low: float, high: float, step: float) -> range:
    """Numbers of the steps between two coordinates, with one more at each end."""
    return range(math.floor(low / step) - 1, math.ceil(high / step) + 1)


def _outward(row: Any, south: bool) -> Any:
    """Row numbers counted from the equator in both hemispheres."""
    return -row - 1 if south else row


def _anchored_cells(acquisition: Acquisition, region: BaseGeometry, cell_m: float, block_m: float) -> pa.Table:
    (left, top), (width, height) = acquisition.origin, acquisition.size_px
    # The tolerance keeps the last complete cell if width x pixel size has a rounding error.
    cols = np.arange(math.floor(width * acquisition.pixel_m / cell_m + 1e-6))
    rows = np.arange(math.floor(height * acquisition.pixel_m / cell_m + 1e-6))
    col, row = (axis.ravel() for axis in np.meshgrid(cols, rows))
    x, y = left + col * cell_m, top - row * cell_m
    lon, lat = transformer(acquisition.epsg, LONLAT).transform(x + cell_m / 2, y - cell_m / 2)
    inside = shapely.contains_xy(region, lon, lat)
    x, y, lon, lat = x[inside], y[inside], lon[inside], lat[inside]
    ids = join_names(str(acquisition.epsg), *(np.rint(100 * edge).astype(np.int64) for edge in (x, y)))
    return _table(
        ids,
        acquisition.epsg,
        (x, y),
        (lon, lat),
        _blocks(str(acquisition.epsg), x + cell_m / 2, y - cell_m / 2, block_m),
    )


def _blocks(prefix: str, x: NDArray[np.float64], y: NDArray[np.float64], block_m: float) -> pa.Array:
    return join_names(prefix, *(np.floor(axis / block_m).astype(np.int64) for axis in (x, y)))


def _table(ids: pa.Array, epsg: int, corner: _Coordinates, centre: _Coordinates, blocks: pa.Array) -> pa.Table:
    """CELLS rows; `corner` is (left, top) in metres, `centre` (lon, lat) in degrees."""
    (x, y), (lon, lat) = corner, centre
    names = majortom_names(lon, lat)
    columns = [ids, np.full(len(ids), epsg), x.astype(float), y.astype(float), lon, lat, names, blocks]
    return pa.table(dict(zip(CELLS.names, columns, strict=True)), schema=CELLS)
