"""Which cells images cover: those of their own zone, and of the zones beside it where their pixels may be warped.

Images are looked at by the hundred, for a continent has a million cells and thousands of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from landmark.core.crs import LONLAT, projected, transformer
from landmark.domain.acquisition import Acquisition

_LATTICE_PX = 1e-3
_CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])[:, :, None]
_CENTRE = np.array([[0.5], [0.5]])[:, :, None]

Rows = NDArray[np.int64]
Metres = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frames:
    """The rasters of images of one CRS, and the ground where they have data: straight between corners in that CRS."""

    epsg: int
    left: Metres
    top: Metres
    width: Metres
    height: Metres
    pixel_m: Metres
    footprint: NDArray[np.object_]

    @classmethod
    def of(cls, images: Sequence[Acquisition]) -> Self:
        """Those of some acquisitions."""
        epsg = images[0].epsg
        numbers = np.array([(*one.origin, *one.size_px, one.pixel_m) for one in images], dtype=np.float64)
        left, top, width, height, pixel_m = numbers.T
        outlines = projected(np.array([one.footprint for one in images], dtype=object), LONLAT, epsg)
        # As the method of a geometry does, whose arcs are finer than the function's.
        return cls(epsg, left, top, width, height, pixel_m, shapely.buffer(outlines, pixel_m, quad_segs=16))

    @property
    def bounds(self) -> tuple[Metres, Metres, Metres, Metres]:
        """Left, bottom, right and top edges."""
        right, bottom = self.left + self.width * self.pixel_m, self.top - self.height * self.pixel_m
        return self.left, bottom, right, self.top

    def pixels(self, image: Rows, x: Metres, y: Metres) -> tuple[Metres, Metres]:
        """Columns and rows of places, each in its image."""
        return (x - self.left[image]) / self.pixel_m[image], (self.top[image] - y) / self.pixel_m[image]


@dataclass(frozen=True, slots=True)
class Squares:
    """The squares of all cells, found by where they lie."""

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

    def covered(self, images: Sequence[Acquisition], *, warped: Flags) -> tuple[Rows, Rows]:
        """(image, cell) of the cells inside the raster with all corners inside the footprint, by image and cell.

        The images are of one CRS. Unless an image may be `warped` only cells on its pixels; others may lie between
        them, and in any zone.
        """
        frames = Frames.of(images)
        image, cell = self._near(frames)
        kept = warped[image] | self._on_pixels(frames, image, cell)
        image, cell = image[kept], cell[kept]
        inside = self._deep(frames, image, cell)
        shallow = np.flatnonzero(~inside)
        inside[shallow] = self._inside(frames, image[shallow], cell[shallow])
        return image[inside], cell[inside]

    def _near(self, frames: Frames) -> tuple[Rows, Rows]:
        """(image, cell), in order, of the cells whose centre lies in the raster's box in degrees."""
        turn, spans = transformer(frames.epsg, LONLAT), list[tuple[int, float, float, float, float]]()
        for number, bounds in enumerate(zip(*frames.bounds, strict=True)):
            west, south, east, north = turn.transform_bounds(*bounds)
            halves = [(west, east)] if west <= east else [(west, 180), (-180, east)]
            spans += [(number, start, south, end, north) for start, end in halves]
        number, *edges = np.array(spans).T
        box, cell = self.centres.query(shapely.box(*edges))
        image = number.astype(np.int64)[box]
        order = np.lexsort((cell, image))
        return image[order], cell[order]

    def _on_pixels(self, frames: Frames, image: Rows, cell: Rows) -> Flags:
        """Which of some cells are of the raster's zone, and their corners of its pixels."""
        col, row = frames.pixels(image, self.x[cell], self.y[cell])
        return np.asarray((self.epsg[cell] == frames.epsg) & _on_lattice(col) & _on_lattice(row))

    def _deep(self, frames: Frames, image: Rows, cell: Rows) -> Flags:
        """Which of some cells lie so deep inside that their centres tell: most do, and have four corners."""
        # A corner is 0.71 cells from the centre, and interpolation may need one pixel more.
        ground = shapely.intersection(frames.footprint, shapely.box(*frames.bounds))
        deep = shapely.buffer(ground, -0.75 * self.cell_m - 2 * frames.pixel_m)
        shapely.prepare(deep)
        (x,), (y,) = self._places(cell, _CENTRE, frames.epsg)
        return np.asarray(shapely.contains_xy(deep[image], x, y))

    def _inside(self, frames: Frames, image: Rows, cell: Rows) -> Flags:
        """Which of some cells lie inside, by their corners."""
        x, y = self._places(cell, _CORNERS, frames.epsg)
        pixels, size = frames.pixels(image, x, y), self.cell_m / frames.pixel_m[image]
        between = ~(_on_lattice(pixels[0]) & _on_lattice(pixels[1])).all(axis=0)
        shapely.prepare(frames.footprint)
        inside = shapely.contains_xy(frames.footprint[image], x, y).all(axis=0)
        for place, count in zip(pixels, (frames.width, frames.height), strict=True):
            first = np.floor(place.min(axis=0) + _LATTICE_PX)
            # Between two pixels, interpolation needs one more.
            end = np.maximum(np.ceil(place.max(axis=0) - _LATTICE_PX), first + size + between)
            inside &= (first >= 0) & (end <= count[image] + _LATTICE_PX)
        return np.asarray(inside)

    def _places(self, cell: Rows, at: Metres, epsg: int) -> tuple[Metres, Metres]:
        """(place, cell) of x and of y in a CRS; a place is a share of the square, from its upper left corner."""
        once, again = np.unique(cell, return_inverse=True)
        x, y = self.x[once] + self.cell_m * at[0], self.y[once] - self.cell_m * at[1]
        for zone in np.setdiff1d(self.epsg[once], epsg).tolist():
            mine = self.epsg[once] == zone
            x[:, mine], y[:, mine] = transformer(zone, epsg).transform(x[:, mine], y[:, mine])
        return x[:, again], y[:, again]


def _on_lattice(position: Metres) -> Flags:
    return np.abs(position - np.rint(position)) < _LATTICE_PX
