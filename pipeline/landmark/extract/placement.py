"""Where chips lie on the pixels of a raster: what is read for each, and how it comes onto the chip's own pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.extract.resample import Nodes, Shift, Warp, along
from landmark.raster.reader import Header

_LATTICE_PX = 1e-3
# Farther than any raster reaches: places beyond a projection's horizon, and what a broken header says.
_FAR_PX = 1e9
# By so much less than half a pixel of the raster can half a pixel of a chip be, so far from its meridian.
_SCALE_PX = 0.01


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of a raster, of edge `pixel` in metres, and `size`, the edge of a chip in them."""

    origin: tuple[float, float]
    pixel: float
    shape: tuple[int, int]
    size: int

    def position(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(row, column) of places in metres, in pixels from the raster's corner; what no number tells is far away."""
        away = (self.origin[1] - y) / self.pixel, (x - self.origin[0]) / self.pixel
        row, col = (np.clip(np.nan_to_num(axis, nan=_FAR_PX), -_FAR_PX, _FAR_PX) for axis in away)
        return row, col


@dataclass(frozen=True, slots=True)
class Layer:
    """A band as its files store it.

    Attributes:
        times: Stored pixels along the edge of one of the band's own; 1 but where a provider resampled it.
    """

    band: str
    header: Header
    grid: Grid
    times: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where chips of one zone lie on a grid.

    Attributes:
        windows: (row, column) of what is read for each chip, from north to south.
        size: Its edge in pixels.
        refused: Chip → reason and detail, where it cannot be cut.
        onto: What brings a window onto its chip's pixels, None where they are the same.
    """

    windows: Sequence[tuple[int, int]]
    size: int
    refused: Mapping[int, tuple[str, str]]
    onto: Callable[[int], Shift | Warp | None]


def in_own_zone(grid: Grid, corners: NDArray[np.float64], *, warped: bool) -> Places:
    """Chips in the raster's own CRS: on its pixels, or where it may be `warped` all equally far from them."""
    position = np.stack(grid.position(*corners.T), axis=1)
    shift = np.where(_off(position[0]) > _LATTICE_PX, position[0] % 1, 0.0) if warped else np.zeros(2)
    onto, size = (Shift.by(*shift.tolist()), grid.size + 1) if shift.any() else (None, grid.size)
    first = np.rint(position - shift).astype(np.int64)
    off = _off(position - shift)
    refused = _outside(grid, first, first + size) | {
        chip: ("off_lattice", f"off by {off[chip, 1]:.3f}, {off[chip, 0]:.3f} px of {grid.pixel:g} m")
        for chip in np.flatnonzero(off.max(axis=1) > _LATTICE_PX).tolist()
    }
    return Places(_pairs(first), size, refused, lambda chip: onto)


def in_other_zone(grid: Grid, nodes: Nodes) -> Places:
    """Chips of another CRS: between the centres of the pixels they lie on lie all of their own."""
    rows, cols = grid.position(nodes.x, nodes.y)
    edges = np.stack([rows, cols], axis=1).reshape(len(rows), 2, -1)
    first = np.floor(edges.min(axis=2) - _SCALE_PX).astype(np.int64)
    end = np.ceil(edges.max(axis=2) + _SCALE_PX).astype(np.int64)
    refused = _outside(grid, first, end)
    size = int(np.delete(end - first, list(refused), axis=0).max(initial=grid.size))
    # One size for all, so at the raster's far edges a window begins earlier.
    windows = _pairs(np.minimum(first, np.array(grid.shape) - size))
    weights = along(rows.shape[1], grid.size)

    def onto(chip: int) -> Warp:
        top, left = windows[chip]
        row, col = (weights @ (places - 0.5) @ weights.T for places in (rows[chip] - top, cols[chip] - left))
        return Warp.to(row, col, size)

    return Places(windows, size, refused, onto)


def _off(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far from the nearest pixel's corner."""
    return np.abs(position - np.rint(position))


def _outside(grid: Grid, first: NDArray[np.int64], end: NDArray[np.int64]) -> dict[int, tuple[str, str]]:
    inside = ((first >= 0) & (end <= np.array(grid.shape))).all(axis=1)
    height, width = grid.shape
    return {
        chip: ("outside", f"row {first[chip, 0]}, column {first[chip, 1]} of {height} x {width}")
        for chip in np.flatnonzero(~inside).tolist()
    }


def _pairs(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(row, col) for row, col in places.tolist()]
