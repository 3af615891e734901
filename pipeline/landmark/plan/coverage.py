"""Find the cells that acquisitions cover: in their own zone, and in the adjacent ones where pixels may be warped.

Acquisitions are tested in batches: a continent has a million cells and thousands of acquisitions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.core.crs import LONLAT, reproject, transformer
from landmark.core.limits import EXACT_VERTICES
from landmark.domain.acquisition import Acquisition

# Tolerance for pixel corners, in pixels.
_TOLERANCE_PX = 1e-3
# (x, y) positions in a cell, as shares of its edge from the upper-left corner.
_CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])[:, :, None]
# Tolerance to which outlines of many vertices are simplified, as a share of a cell's edge.
_SIMPLIFIED = 0.1
_CENTRE = np.array([[0.5], [0.5]])[:, :, None]

Rows = NDArray[np.int64]
Metres = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RasterFrames:
    """Raster grids and footprints of acquisitions of one CRS, in metres.

    Footprints are straight between their vertices in that CRS.
    """

    epsg: int
    left: Metres
    top: Metres
    width: Metres
    height: Metres
    pixel_m: Metres
    footprint: NDArray[np.object_]

    @classmethod
    def of(cls, acquisitions: Sequence[Acquisition]) -> Self:
        """Frames of acquisitions of one CRS."""
        epsg = acquisitions[0].epsg
        numbers = np.array([(*item.origin, *item.size_px, item.pixel_m) for item in acquisitions], dtype=np.float64)
        left, top, width, height, pixel_m = numbers.T
        footprints = reproject(np.array([item.footprint for item in acquisitions], dtype=object), LONLAT, epsg)
        # 16 segments a quarter circle, as a geometry's own method has; the function's default is coarser.
        return cls(epsg, left, top, width, height, pixel_m, shapely.buffer(footprints, pixel_m, quad_segs=16))

    @property
    def bounds(self) -> tuple[Metres, Metres, Metres, Metres]:
        """Left, bottom, right and top edges."""
        right, bottom = self.left + self.width * self.pixel_m, self.top - self.height * self.pixel_m
        return self.left, bottom, right, self.top

    def to_pixels(self, number: Rows, x: Metres, y: Metres) -> tuple[Metres, Metres]:
        """Columns and rows of coordinates, each in the frame of that number."""
        return (x - self.left[number]) / self.pixel_m[number], (self.top[number] - y) / self.pixel_m[number]


@dataclass(frozen=True, slots=True)
class CellSquares:
    """Squares of cells, with an index of their centres in degrees."""

    epsg: NDArray[np.int64]
    x: Metres
    y: Metres
    centres: shapely.STRtree
    cell_m: float

    @classmethod
    def of(cls, cells: pa.Table, cell_m: float) -> Self:
        """Squares of a CELLS table."""
        epsg, x, y, lon, lat = (cells[name].to_numpy() for name in ("epsg", "x", "y", "lon", "lat"))
        return cls(epsg, x, y, shapely.STRtree(shapely.points(lon, lat)), cell_m)

    def find_covered(self, acquisitions: Sequence[Acquisition], *, warped: Mask) -> tuple[Rows, Rows]:
        """Find the cells inside the raster of an acquisition whose corners are inside its footprint.

        Args:
            acquisitions: Of one CRS.
            warped: Which of them may be interpolated: these serve cells between their pixels and in other zones; the
                others only cells of their zone on their pixel corners.

        Returns:
            (index of the acquisition, row of the cell), sorted.
        """
        frames = RasterFrames.of(acquisitions)
        number, cell = self._find_near(frames)
        possible = warped[number] | self._on_lattice(frames, number, cell)
        number, cell = number[possible], cell[possible]
        inside = self._deep_inside(frames, number, cell)
        rest = np.flatnonzero(~inside)
        inside[rest] = self._corners_inside(frames, number[rest], cell[rest])
        return number[inside], cell[inside]

    def _find_near(self, frames: RasterFrames) -> tuple[Rows, Rows]:
        """Sorted (frame, cell) of the cells whose centre is in the frame's bounding box in degrees."""
        to_lonlat, boxes = transformer(frames.epsg, LONLAT), list[tuple[int, float, float, float, float]]()
        for number, bounds in enumerate(zip(*frames.bounds, strict=True)):
            west, south, east, north = to_lonlat.transform_bounds(*bounds)
            # Across the antimeridian, west is larger than east.
            spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
            boxes += [(number, start, south, end, north) for start, end in spans]
        numbers, *edges = np.array(boxes).T
        box, cell = self.centres.query(shapely.box(*edges))
        pairs = np.sort(numbers.astype(np.int64)[box] * len(self.x) + cell)
        return pairs // len(self.x), pairs % len(self.x)

    def _on_lattice(self, frames: RasterFrames, number: Rows, cell: Rows) -> Mask:
        """Whether cells are of the raster's zone and their corners are pixel corners."""
        col, row = frames.to_pixels(number, self.x[cell], self.y[cell])
        return np.asarray((self.epsg[cell] == frames.epsg) & _is_integer(col) & _is_integer(row))

    def _deep_inside(self, frames: RasterFrames, number: Rows, cell: Rows) -> Mask:
        """Whether cells lie so far inside that their centres suffice: most do, and need no test of four corners."""
        # A corner is 0.71 cells from the centre, and interpolation may need one pixel more.
        area = shapely.intersection(frames.footprint, shapely.box(*frames.bounds))
        large = shapely.get_num_coordinates(area) > EXACT_VERTICES
        margin = 0.75 * self.cell_m + 2 * frames.pixel_m + large * _SIMPLIFIED * self.cell_m
        area = np.where(large, shapely.simplify(area, _SIMPLIFIED * self.cell_m), area)
        inner = shapely.buffer(area, -margin)
        shapely.prepare(inner)
        (x,), (y,) = self._coordinates(cell, _CENTRE, frames.epsg)
        return np.asarray(shapely.contains_xy(inner[number], x, y))

    def _corners_inside(self, frames: RasterFrames, number: Rows, cell: Rows) -> Mask:
        """Whether the corners of cells lie inside raster and footprint."""
        x, y = self._coordinates(cell, _CORNERS, frames.epsg)
        pixels, size_px = frames.to_pixels(number, x, y), self.cell_m / frames.pixel_m[number]
        off_lattice = ~(_is_integer(pixels[0]) & _is_integer(pixels[1])).all(axis=0)
        shapely.prepare(frames.footprint)
        inside = shapely.contains_xy(frames.footprint[number], x, y).all(axis=0)
        for position, count in zip(pixels, (frames.width, frames.height), strict=True):
            first = np.floor(position.min(axis=0) + _TOLERANCE_PX)
            # Between two pixels, interpolation needs one more.
            end = np.maximum(np.ceil(position.max(axis=0) - _TOLERANCE_PX), first + size_px + off_lattice)
            inside &= (first >= 0) & (end <= count[number] + _TOLERANCE_PX)
        return np.asarray(inside)

    def _coordinates(self, cell: Rows, positions: Metres, epsg: int) -> tuple[Metres, Metres]:
        """Coordinates x and y (position, cell) in a CRS of positions in cells."""
        present = np.zeros(len(self.x), dtype=bool)
        present[cell] = True
        distinct, inverse = np.flatnonzero(present), (np.cumsum(present) - 1)[cell]
        x, y = self.x[distinct] + self.cell_m * positions[0], self.y[distinct] - self.cell_m * positions[1]
        for zone in np.setdiff1d(self.epsg[distinct], epsg).tolist():
            in_zone = self.epsg[distinct] == zone
            x[:, in_zone], y[:, in_zone] = transformer(zone, epsg).transform(x[:, in_zone], y[:, in_zone])
        return x[:, inverse], y[:, inverse]


def _is_integer(position: Metres) -> Mask:
    return np.abs(position - np.rint(position)) < _TOLERANCE_PX
