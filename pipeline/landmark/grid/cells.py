"""Cells: squares on the UTM grid, anchored at the equator and at easting 0, so that every Sentinel-2 tile cuts exactly.

Within a zone the cells tile without gap or overlap; a cell belongs to the zone its centre lies in.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT, reproject, transformer
from landmark.domain.acquisition import Acquisition
from landmark.domain.schemas import CELLS
from landmark.grid.majortom import joined, majortom_names
from landmark.grid.zones import zone_epsg, zone_of, zone_span

_FALSE_NORTHING_M = 10_000_000
_EDGE_STEP_DEG = 0.05
_UTM_NAME = re.compile(r"(\d\d)([ns])_(\d+)_(\d+)")
_ANCHORED_NAME = re.compile(r"(\d{4,5})_(-?\d+)_(-?\d+)")


def utm_cells(region: BaseGeometry, *, cell_m: float, block_m: float) -> pa.Table:
    """Cells whose centre lies in a region (EPSG:4326), as a CELLS table sorted by cell id."""
    shapely.prepare(region)
    tables = [_zone_cells(region, zone, south, cell_m, block_m) for zone in range(1, 61) for south in (False, True)]
    return pa.concat_tables([CELLS.empty_table(), *tables])


def source_cells(
    acquisitions: Iterable[Acquisition], region: BaseGeometry, *, cell_m: float, block_m: float
) -> pa.Table:
    """Whole cells of every raster on its own lattice, anchored at its upper left corner.

    Rasters of one corner share cells, and so do those whose corners lie whole cells apart.
    """
    anchors = {(one.epsg, *one.origin): one for one in acquisitions}
    tables = [_anchored_cells(one, region, cell_m, block_m) for _, one in sorted(anchors.items())]
    cells = pa.concat_tables([CELLS.empty_table(), *tables])
    _, first = np.unique(np.array(cells["cell"].to_pylist(), dtype=str), return_index=True)
    return cells.take(first).sort_by("cell")


def corner_of(cell: str, cell_m: float) -> tuple[int, float, float] | None:
    """EPSG code, left and top edge in metres that a cell's name means, None where it names no cell.

    The names of cells anchored at a raster's corner say centimetres.
    """
    if (utm := _UTM_NAME.fullmatch(cell)) is not None:
        zone, south, col, row = int(utm[1]), utm[2] == "s", int(utm[3]), int(utm[4])
        top = _FALSE_NORTHING_M - row * cell_m if south else (row + 1) * cell_m
        return zone_epsg(zone, south), col * cell_m, top
    if (anchored := _ANCHORED_NAME.fullmatch(cell)) is not None:
        return int(anchored[1]), int(anchored[2]) / 100, int(anchored[3]) / 100
    return None


def _zone_cells(region: BaseGeometry, zone: int, south: bool, cell_m: float, block_m: float) -> pa.Table:
    west, east = zone_span(zone)
    half = shapely.box(west, -90, east, 0) if south else shapely.box(west, 0, east, 90)
    part = region.intersection(half)
    if part.is_empty:
        return CELLS.empty_table()
    epsg = zone_epsg(zone, south)
    outline = reproject(shapely.segmentize(part, _EDGE_STEP_DEG), LONLAT, epsg)
    # To turn a centre into degrees takes ten times as long as to see that it lies far outside.
    near = shapely.make_valid(outline).simplify(cell_m / 2).buffer(cell_m, join_style="mitre")
    shapely.prepare(near)
    left, bottom, right, top = outline.bounds
    equator = _FALSE_NORTHING_M if south else 0
    # In the order of the ids, which are text.
    cols = sorted(_within(left, right, cell_m), key=lambda col: f"{col}_")
    rows = sorted(_within(bottom - equator, top - equator, cell_m), key=lambda row: str(_outward(row, south)))
    col, row = (axis.ravel() for axis in np.meshgrid(cols, rows, indexing="ij"))
    centre_x, centre_y = (col + 0.5) * cell_m, (row + 0.5) * cell_m + equator
    mine = np.flatnonzero(shapely.contains_xy(near, centre_x, centre_y))
    lon, lat = transformer(epsg, LONLAT).transform(centre_x[mine], centre_y[mine])
    inside = (zone_of(lon, lat) == zone) & ((row[mine] < 0) == south) & shapely.contains_xy(region, lon, lat)
    mine, lon, lat = mine[inside], lon[inside], lat[inside]
    col, row = col[mine], row[mine]
    prefix = f"{zone:02d}{'s' if south else 'n'}"
    x, y = col * cell_m, (row + 1) * cell_m + equator
    blocks = _blocks(prefix, (col + 0.5) * cell_m, (row + 0.5) * cell_m, block_m)
    return _table(joined(prefix, col, _outward(row, south)), epsg, x, y, lon, lat, blocks)


def _within(low: float, high: float, step: float) -> range:
    """Numbers of all steps between two places, and one more at each end."""
    return range(math.floor(low / step) - 1, math.ceil(high / step) + 1)


def _outward(row: Any, south: bool) -> Any:
    """Rows counted from the equator, whichever half they lie in."""
    return -row - 1 if south else row


def _anchored_cells(one: Acquisition, region: BaseGeometry, cell_m: float, block_m: float) -> pa.Table:
    (left, top), (width, height) = one.origin, one.size_px
    # The small allowance keeps the last whole cell where width x pixel is off by a rounding error.
    cols = np.arange(math.floor(width * one.pixel_m / cell_m + 1e-6))
    rows = np.arange(math.floor(height * one.pixel_m / cell_m + 1e-6))
    col, row = (axis.ravel() for axis in np.meshgrid(cols, rows))
    x, y = left + col * cell_m, top - row * cell_m
    lon, lat = transformer(one.epsg, LONLAT).transform(x + cell_m / 2, y - cell_m / 2)
    inside = shapely.contains_xy(region, lon, lat)
    x, y, lon, lat = x[inside], y[inside], lon[inside], lat[inside]
    ids = joined(str(one.epsg), *(np.rint(100 * edge).astype(np.int64) for edge in (x, y)))
    return _table(ids, one.epsg, x, y, lon, lat, _blocks(str(one.epsg), x + cell_m / 2, y - cell_m / 2, block_m))


def _blocks(prefix: str, x: NDArray[np.float64], y: NDArray[np.float64], block_m: float) -> pa.Array:
    return joined(prefix, *(np.floor(place / block_m).astype(np.int64) for place in (x, y)))


def _table(
    ids: pa.Array,
    epsg: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    blocks: pa.Array,
) -> pa.Table:
    columns = [
        ids,
        np.full(len(ids), epsg),
        x.astype(float),
        y.astype(float),
        lon,
        lat,
        majortom_names(lon, lat),
        blocks,
    ]
    return pa.table(dict(zip(CELLS.names, columns, strict=True)), schema=CELLS)
