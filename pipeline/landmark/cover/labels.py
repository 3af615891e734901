"""The joint histogram of the label sources in each cell, sampled nearest at the centres of the cell's pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from landmark.base.archive import LabelRaster
from landmark.base.errors import InputError
from landmark.base.schemas import cover_schema
from landmark.base.taxonomy import Crosswalk, LabelVintage
from landmark.io.access import OPEN, Access
from landmark.io.raster import Raster, Unreadable, opened

# Cells measured in one read: about 12 km, a window of a few million label pixels at 10 m.
_BATCH_CELLS = 10
_NONE = -1


@dataclass(frozen=True, slots=True)
class CoverUnit:
    """Neighbouring cells of one CRS, measured together.

    Attributes:
        cells: Rows of the CELLS table.
        vintages: Period → the edition of each source that serves it, in the order of the crosswalks.
        rasters: Those that may meet the cells; access: How their hrefs are read.
    """

    cells: pa.Table
    cell_m: float
    patch_px: int
    crosswalks: tuple[Crosswalk, ...]
    vintages: Mapping[str, tuple[LabelVintage, ...]]
    rasters: tuple[LabelRaster, ...]
    access: Access = OPEN


def cover_units(
    cells: pa.Table,
    rasters: Sequence[LabelRaster],
    *,
    cell_m: float,
    patch_px: int,
    crosswalks: tuple[Crosswalk, ...],
    vintages: Mapping[str, tuple[LabelVintage, ...]],
    access: Access = OPEN,
) -> Iterator[CoverUnit]:
    """Cut a CELLS table into batches of neighbours, each with the label rasters that meet it."""
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
        yield CoverUnit(part, cell_m, patch_px, crosswalks, vintages, meeting, access)


def measure(unit: CoverUnit) -> pa.Table:
    """The cover of a unit's cells, sorted by cell, period and codes; counts of a cell and period sum to all its pixels.

    Raises:
        InputError: a label raster is missing, unreadable, without CRS, or holds a code its crosswalk does not know.
    """
    editions = sorted({vintage for row in unit.vintages.values() for vintage in row}, key=lambda v: (v.name, v.start))
    codes = {vintage: _sample(unit, vintage) for vintage in editions}
    columns: dict[str, list[Any]] = {"cell": [], "period": [], "codes": [], "pixels": []}
    for row, cell in enumerate(unit.cells["cell"].to_pylist()):
        for period, chosen in sorted(unit.vintages.items()):
            stacked = np.stack([codes[vintage][row] for vintage in chosen], axis=1)
            kinds, counts = np.unique(stacked, axis=0, return_counts=True)
            columns["cell"] += [cell] * len(kinds)
            columns["period"] += [period] * len(kinds)
            columns["codes"] += kinds.tolist()
            columns["pixels"] += counts.tolist()
    return pa.table(columns, schema=cover_schema(crosswalk.name for crosswalk in unit.crosswalks))


def _sample(unit: CoverUnit, vintage: LabelVintage) -> NDArray[np.int32]:
    """Codes at every pixel centre, (cell, pixel), -1 where the edition has none.

    Earlier rasters win where they overlap.
    """
    crosswalk = next(entry for entry in unit.crosswalks if entry.name == vintage.name)
    codes = np.full((unit.cells.num_rows, unit.patch_px**2), _NONE, np.int32)
    for label in (raster for raster in unit.rasters if raster.vintage == vintage):
        try:
            with opened(label.href, unit.access) as raster:
                _fill(codes, raster, unit, label, crosswalk)
        except Unreadable as error:
            raise InputError(f"label raster {label.href} of {label.vintage.name} cannot be read: {error}") from error
    return codes


def _fill(codes: NDArray[np.int32], raster: Raster, unit: CoverUnit, label: LabelRaster, crosswalk: Crosswalk) -> None:
    if raster.crs_wkt is None:
        raise InputError(f"label raster {label.href} of {label.vintage.name} has no CRS; assign one (gdal_edit -a_srs)")
    if not np.issubdtype(raster.header.dtype, np.integer):
        raise InputError(
            f"label raster {label.href} of {label.vintage.name} holds {raster.header.dtype}, not whole numbers"
        )
    to_raster = Transformer.from_crs(
        CRS.from_epsg(unit.cells["epsg"][0].as_py()), CRS.from_wkt(raster.crs_wkt), always_xy=True
    )
    x, y = to_raster.transform(*_pixel_centres(unit))
    col, row = (np.floor(axis).astype(np.int64) for axis in ~raster.transform @ (x, y))
    height, width = raster.header.shape
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width) & (codes == _NONE)
    if not inside.any():
        return
    top, left = int(row[inside].min()), int(col[inside].min())
    window = raster.window(top, left, int(row[inside].max()) - top + 1, int(col[inside].max()) - left + 1)
    read = window[row[inside] - top, col[inside] - left].astype(np.int32)
    read[np.isin(read, crosswalk.nodata)] = _NONE
    _refuse_unknown(read, crosswalk, label)
    codes[inside] = read


def _pixel_centres(unit: CoverUnit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eastings and northings of all pixel centres, (cell, pixel), rows from north to south."""
    steps = (np.arange(unit.patch_px) + 0.5) * (unit.cell_m / unit.patch_px)
    shape = (unit.cells.num_rows, unit.patch_px, unit.patch_px)
    x = np.broadcast_to((unit.cells["x"].to_numpy()[:, None] + steps)[:, None, :], shape)
    y = np.broadcast_to((unit.cells["y"].to_numpy()[:, None] - steps)[:, :, None], shape)
    return x.reshape(shape[0], -1), y.reshape(shape[0], -1)


def _refuse_unknown(codes: NDArray[np.int32], crosswalk: Crosswalk, label: LabelRaster) -> None:
    found, counts = np.unique(codes[codes != _NONE], return_counts=True)
    for code, count in zip(found.tolist(), counts.tolist(), strict=True):
        if code not in crosswalk.classes:
            raise InputError(
                f"label raster {label.href}: code {code} stands at {count} pixels,"
                f" but taxonomies/{crosswalk.name}.yaml does not know it"
            )
