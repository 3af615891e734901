"""Which cells an image covers: those of its own zone, and of the zones beside it where its pixels may be warped."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.base.archive import Acquisition
from landmark.base.projection import LONLAT, projected, transformer

_LATTICE_PX = 1e-3
_CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])[:, :, None]


@dataclass(frozen=True, slots=True)
class Squares:
    """The squares of all cells, found by where they lie: a continent has a million, and thousands of images."""

    epsg: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    centres: shapely.STRtree
    cell_m: float

    @classmethod
    def of(cls, cells: pa.Table, cell_m: float) -> Self:
        """Those of a CELLS table."""
        epsg, x, y, lon, lat = (cells[name].to_numpy() for name in ("epsg", "x", "y", "lon", "lat"))
        return cls(epsg, x, y, shapely.STRtree(shapely.points(lon, lat)), cell_m)

    def covered(self, one: Acquisition, *, warped: bool) -> NDArray[np.int64]:
        """Rows of the cells inside the raster with all corners inside the footprint.

        Unless `warped` only those on its pixels; others may lie between them, and in any zone.
        """
        rows = self._near(one)
        rows = rows[warped | (self.epsg[rows] == one.epsg)]
        x, y = self._corners(rows, one.epsg)
        (left, top), (width, height), size = one.origin, one.size_px, self.cell_m / one.pixel_m
        col, row = (x - left) / one.pixel_m, (top - y) / one.pixel_m
        between = ~(_on_lattice(col) & _on_lattice(row)).all(axis=0)
        inside = warped | ~between
        for place, pixels in ((col, width), (row, height)):
            first = np.floor(place.min(axis=0) + _LATTICE_PX)
            # Between two pixels, interpolation needs one more.
            end = np.maximum(np.ceil(place.max(axis=0) - _LATTICE_PX), first + size + between)
            inside &= (first >= 0) & (end <= pixels + _LATTICE_PX)
        rows, x, y = rows[inside], x[:, inside], y[:, inside]
        # Publishers turn a raster's corners into degrees: its edges are straight in its own CRS, not between them.
        footprint = projected(one.footprint, LONLAT, one.epsg).buffer(one.pixel_m)
        shapely.prepare(footprint)
        return np.asarray(rows[shapely.contains_xy(footprint, x, y).all(axis=0)])

    def _near(self, one: Acquisition) -> NDArray[np.int64]:
        """Rows, in order, of the cells whose centre lies in the raster's box in degrees."""
        (left, top), (width, height) = one.origin, one.size_px
        right, bottom = left + width * one.pixel_m, top - height * one.pixel_m
        west, south, east, north = transformer(one.epsg, LONLAT).transform_bounds(left, bottom, right, top)
        spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        found = self.centres.query([shapely.box(start, south, end, north) for start, end in spans])
        return np.sort(found[1])

    def _corners(self, rows: NDArray[np.int64], epsg: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(corner, cell) of x and of y in a CRS."""
        x, y = self.x[rows] + self.cell_m * _CORNERS[0], self.y[rows] - self.cell_m * _CORNERS[1]
        for zone in set(self.epsg[rows].tolist()) - {epsg}:
            mine = self.epsg[rows] == zone
            x[:, mine], y[:, mine] = transformer(zone, epsg).transform(x[:, mine], y[:, mine])
        return x, y


def _on_lattice(position: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(position - np.rint(position)) < _LATTICE_PX
