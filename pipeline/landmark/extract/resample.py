"""Resample windows to the pixels of chips: constant sub-pixel shift (same CRS) or bilinear warp (other UTM zone)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from landmark.core.crs import transformer
from landmark.extract.values import MaskedValues

# Linear interpolation between control points at this distance is exact to 0.1 m.
_CONTROL_POINT_M = 2_000


@dataclass(frozen=True, slots=True)
class Shift:
    """Resampler with one sub-pixel offset for all pixels. Windows have one row and one column more than the chip.

    Attributes:
        weights: Bilinear weights of the upper left, upper right, lower left and lower right neighbour.
    """

    weights: Sequence[float]

    @classmethod
    def from_offset(cls, row_px: float, col_px: float) -> Self:
        """Resampler for an offset of 0 to 1 px from each pixel centre of the window."""
        return cls(_bilinear_weights(row_px, col_px))

    def neighbours(self, window: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """The four neighbours of every chip pixel, in the order of the weights."""
        return window[:-1, :-1], window[:-1, 1:], window[1:, :-1], window[1:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Resampler with a position of its own for every chip pixel.

    Attributes:
        weights: As in `Shift`, one array (y, x) per neighbour.
        upper_left: Flat window index of the upper left neighbour.
        containing: Flat window index of the pixel that contains the chip pixel's centre.
        width: Columns of the window.
    """

    weights: Sequence[NDArray[np.float64]]
    upper_left: NDArray[np.intp]
    containing: NDArray[np.intp]
    width: int

    @classmethod
    def from_positions(cls, rows: NDArray[np.float64], cols: NDArray[np.float64], width: int) -> Self:
        """Resampler for positions in a window, in pixels from the centre of its first pixel."""
        row, col = rows.astype(np.intp), cols.astype(np.intp)
        down, right = rows - row, cols - col
        upper_left = row * width + col
        containing = upper_left + (down >= 0.5) * width + (right >= 0.5)
        return cls(_bilinear_weights(down, right), upper_left, containing, width)

    def neighbours(self, window: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """The four neighbours of every chip pixel, in the order of the weights."""
        flat = window.ravel()
        return [flat[step:].take(self.upper_left, mode="clip") for step in (0, 1, self.width, self.width + 1)]

    def nearest(self, window: NDArray[Any]) -> NDArray[Any]:
        """Nearest-neighbour values, for class codes."""
        return window.ravel().take(self.containing, mode="clip")


Resampler = Shift | Warp


def _bilinear_weights(down: Any, right: Any) -> Sequence[Any]:
    return (1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right


def interpolate(masked: MaskedValues, resampler: Resampler) -> MaskedValues:
    """Bilinear values and their validity.

    Neighbours without data are left out and the other weights rescaled; a pixel with less than half of the weight is
    invalid.
    """
    values, valid = masked
    if valid.all():
        result = _weighted_sum(resampler.weights, resampler.neighbours(values))
        return result, np.ones(result.shape, dtype=bool)
    parts = zip(resampler.weights, resampler.neighbours(valid), strict=True)
    weights = [weight * part for weight, part in parts]
    weight = sum(weights)
    enough = weight >= 0.5
    total = _weighted_sum(weights, resampler.neighbours(np.where(valid, values, 0)))
    return total / np.where(enough, weight, 1), enough


def _weighted_sum(weights: Sequence[Any], parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = weights[0] * parts[0]
    scratch = np.empty_like(total)
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        total += np.multiply(weight, part, out=scratch)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class ControlPoints:
    """Exactly projected points of each chip, x and y (chip, row, column) in metres of the raster's CRS."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def project(cls, corners: NDArray[np.float64], cell_m: float, source: int, target: int) -> Self:
        """Control points of chips with (left, top) corners, at most 2 km apart; EPSG codes of chips and raster."""
        steps = np.linspace(0, cell_m, 1 + int(np.ceil(cell_m / _CONTROL_POINT_M)))
        x, y = corners[:, 0, None, None] + steps, corners[:, 1, None, None] - steps[:, None]
        return cls(*transformer(source, target).transform(x + 0 * y, y + 0 * x))

    def sorted_from_north(self) -> tuple[NDArray[np.intp], Self]:
        """Order of the chips from north to south, in which a raster is read, and the control points in that order."""
        order = np.argsort(-self.y.max(axis=(1, 2)), kind="stable")
        return order, type(self)(self.x[order], self.y[order])


def linear_weights(points: int, size: int) -> NDArray[np.float64]:
    """Weights (size, points) that interpolate `size` pixel centres linearly between points from edge to edge."""
    positions = (np.arange(size) + 0.5) / size * (points - 1)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(points)))
    return weights
