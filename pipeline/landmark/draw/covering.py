"""Which cells an image covers: those of its own zone, and of the zones beside it where its pixels may be warped."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.base.archive import Acquisition
from landmark.base.projection import LONLAT, projected, transformer

_LATTICE_PX = 1e-3
_CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])[:, :, None]
_CENTRE = np.array([[0.5], [0.5]])[:, :, None]

Rows = NDArray[np.int64]
Metres = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Squares:
    """The squares of all cells, found by where they lie: a continent has a million, and thousands of images."""

    epsg: NDArray[np.int64]
    x: Metres
    y: Metres
    centres: shapely.STRtree
    cell_m: float

    @classmethod
    def of(cls, cells: pa.Table, cell_m: float) -> Self:
        """Those of a CELLS table."""
        epsg, x, y, lon, lat = (cells[name].to_numpy() for name in ("epsg", "x", "y", "lon", "lat"))
        return cls(epsg, x, y, shapely.STRtree(shapely.points(lon, lat)), cell_m)

    def covered(self, one: Acquisition, *, warped: bool) -> Rows:
        """Rows of the cells inside the raster with all corners inside the footprint.

        Unless `warped` only those on its pixels; others may lie between them, and in any zone.
        """
        rows = self._near(one)
        rows = rows[warped | self._on_pixels(rows, one)]
        # Publishers turn a raster's corners into degrees: its edges are straight in its own CRS, not between them.
        footprint = projected(one.footprint, LONLAT, one.epsg).buffer(one.pixel_m)
        deep = self._deep(rows, one, footprint)
        shallow = rows[~deep]
        return np.sort(np.concatenate([rows[deep], shallow[self._inside(shallow, one, footprint)]]))

    def _near(self, one: Acquisition) -> Rows:
        """Rows of the cells whose centre lies in the raster's box in degrees."""
        west, south, east, north = transformer(one.epsg, LONLAT).transform_bounds(*_bounds(one))
        spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        found = self.centres.query([shapely.box(start, south, end, north) for start, end in spans])
        return np.asarray(found[1])

    def _on_pixels(self, rows: Rows, one: Acquisition) -> NDArray[np.bool_]:
        """Which of some cells are of the raster's zone, and their corners of its pixels."""
        col, row = _pixels(self.x[rows], self.y[rows], one)
        return np.asarray((self.epsg[rows] == one.epsg) & _on_lattice(col) & _on_lattice(row))

    def _deep(self, rows: Rows, one: Acquisition, footprint: BaseGeometry) -> NDArray[np.bool_]:
        """Which of some cells lie so deep inside that their centres tell: most do, and have four corners."""
        # A corner is 0.71 cells from the centre, and interpolation may need one pixel more.
        deep = footprint.intersection(shapely.box(*_bounds(one))).buffer(-0.75 * self.cell_m - 2 * one.pixel_m)
        shapely.prepare(deep)
        return np.asarray(shapely.contains_xy(deep, *self._places(rows, _CENTRE, one.epsg))[0])

    def _inside(self, rows: Rows, one: Acquisition, footprint: BaseGeometry) -> NDArray[np.bool_]:
        """Which of some cells lie inside, by their corners."""
        x, y = self._places(rows, _CORNERS, one.epsg)
        size, pixels = self.cell_m / one.pixel_m, _pixels(x, y, one)
        between = ~(_on_lattice(pixels[0]) & _on_lattice(pixels[1])).all(axis=0)
        shapely.prepare(footprint)
        inside = shapely.contains_xy(footprint, x, y).all(axis=0)
        for place, count in zip(pixels, one.size_px, strict=True):
            first = np.floor(place.min(axis=0) + _LATTICE_PX)
            # Between two pixels, interpolation needs one more.
            end = np.maximum(np.ceil(place.max(axis=0) - _LATTICE_PX), first + size + between)
            inside &= (first >= 0) & (end <= count + _LATTICE_PX)
        return np.asarray(inside)

    def _places(self, rows: Rows, at: Metres, epsg: int) -> tuple[Metres, Metres]:
        """(place, cell) of x and of y in a CRS; a place is a share of the square, from its upper left corner."""
        x, y = self.x[rows] + self.cell_m * at[0], self.y[rows] - self.cell_m * at[1]
        for zone in set(self.epsg[rows].tolist()) - {epsg}:
            mine = self.epsg[rows] == zone
            x[:, mine], y[:, mine] = transformer(zone, epsg).transform(x[:, mine], y[:, mine])
        return x, y


def _bounds(one: Acquisition) -> tuple[float, float, float, float]:
    """Left, bottom, right and top edge of the raster in metres."""
    (left, top), (width, height) = one.origin, one.size_px
    return left, top - height * one.pixel_m, left + width * one.pixel_m, top


def _pixels(x: Metres, y: Metres, one: Acquisition) -> tuple[Metres, Metres]:
    """Columns and rows of places in the raster's CRS."""
    return (x - one.origin[0]) / one.pixel_m, (one.origin[1] - y) / one.pixel_m


def _on_lattice(position: Metres) -> NDArray[np.bool_]:
    return np.abs(position - np.rint(position)) < _LATTICE_PX
