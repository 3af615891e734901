"""Place chips on the pixel grid of a raster: the window to read for each, and how it is resampled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.extract.resample import ControlPoints, Resampler, Shift, Warp, linear_weights
from landmark.raster.reader import Header

# Chips within this distance of the pixel grid are copied without resampling.
_ALIGNED_PX = 1e-3
# Positions are clipped to it: beyond every raster, but a valid integer (points outside a projection, broken headers).
_LIMIT_PX = 1e9
# Scale of neighbouring UTM zones differs: half a chip pixel may exceed half a raster pixel by less than this.
_SCALE_MARGIN_PX = 0.01


@dataclass(frozen=True, slots=True)
class RasterGrid:
    """Pixel grid of a raster.

    Attributes:
        origin: (left, top) in metres.
        pixel_m: Edge of a pixel.
        shape: Rows and columns.
        chip_px: Edge of a chip in pixels of this grid.
    """

    origin: tuple[float, float]
    pixel_m: float
    shape: tuple[int, int]
    chip_px: int

    def position(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(row, column) of map coordinates, in pixels from the raster's upper left corner; NaN becomes large."""
        pixels = (self.origin[1] - y) / self.pixel_m, (x - self.origin[0]) / self.pixel_m
        row, col = (np.clip(np.nan_to_num(axis, nan=_LIMIT_PX), -_LIMIT_PX, _LIMIT_PX) for axis in pixels)
        return row, col


@dataclass(frozen=True, slots=True)
class StoredBand:
    """A band as the provider stores it.

    Attributes:
        oversampling: Stored pixels per native pixel along an edge; above 1 if the provider resampled the band.
    """

    name: str
    header: Header
    grid: RasterGrid
    oversampling: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Windows of the chips of one zone on a raster grid.

    Attributes:
        windows: (row, column) of the upper left pixel of each chip's window, from north to south.
        window_px: Edge of all windows.
        rejected: Chip number → (reason, detail) of chips that cannot be extracted.
        resampler: Returns the resampler of a chip; None if its window is its pixels.
    """

    windows: Sequence[tuple[int, int]]
    window_px: int
    rejected: Mapping[int, tuple[str, str]]
    resampler: Callable[[int], Resampler | None]


def place_in_own_zone(grid: RasterGrid, corners: NDArray[np.float64], *, warped: bool) -> Placement:
    """Place chips in the raster's CRS. If `warped`, they may be off its pixel grid, all by the same sub-pixel shift."""
    position = np.stack(grid.position(*corners.T), axis=1)
    shift = np.where(_misalignment(position[0]) > _ALIGNED_PX, position[0] % 1, 0.0) if warped else np.zeros(2)
    shifted = bool(shift.any())
    resampler = Shift.from_offset(*shift.tolist()) if shifted else None
    window_px = grid.chip_px + shifted
    first = np.rint(position - shift).astype(np.int64)
    off_px = _misalignment(position - shift)
    rejected = _outside(grid, first, first + window_px) | {
        chip: ("off_lattice", f"off by {off_px[chip, 1]:.3f}, {off_px[chip, 0]:.3f} px of {grid.pixel_m:g} m")
        for chip in np.flatnonzero(off_px.max(axis=1) > _ALIGNED_PX).tolist()
    }
    return Placement(_pairs(first), window_px, rejected, lambda chip: resampler)


def place_in_other_zone(grid: RasterGrid, points: ControlPoints) -> Placement:
    """Place chips of another CRS: their windows hold every pixel needed to interpolate them."""
    rows, cols = grid.position(points.x, points.y)
    edges = np.stack([rows, cols], axis=1).reshape(len(rows), 2, -1)
    first = np.floor(edges.min(axis=2) - _SCALE_MARGIN_PX).astype(np.int64)
    end = np.ceil(edges.max(axis=2) + _SCALE_MARGIN_PX).astype(np.int64)
    rejected = _outside(grid, first, end)
    window_px = int(np.delete(end - first, list(rejected), axis=0).max(initial=grid.chip_px))
    # All windows have the size of the largest, so windows at the raster's right and lower edge begin earlier.
    windows = _pairs(np.minimum(first, np.array(grid.shape) - window_px))
    weights = linear_weights(rows.shape[1], grid.chip_px)

    def warp(chip: int) -> Warp:
        top, left = windows[chip]
        row, col = (weights @ (axis - 0.5) @ weights.T for axis in (rows[chip] - top, cols[chip] - left))
        return Warp.from_positions(row, col, window_px)

    return Placement(windows, window_px, rejected, warp)


def _misalignment(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the nearest pixel corner."""
    return np.abs(position - np.rint(position))


def _outside(grid: RasterGrid, first: NDArray[np.int64], end: NDArray[np.int64]) -> dict[int, tuple[str, str]]:
    inside = ((first >= 0) & (end <= np.array(grid.shape))).all(axis=1)
    height, width = grid.shape
    return {
        chip: ("outside", f"row {first[chip, 0]}, column {first[chip, 1]} of {height} x {width}")
        for chip in np.flatnonzero(~inside).tolist()
    }


def _pairs(positions: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(row, col) for row, col in positions.tolist()]
