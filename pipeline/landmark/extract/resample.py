"""Pixels of a chip that lie between those of a raster: all equally far, or each where another projection puts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from landmark.core.crs import transformer
from landmark.extract.values import Power

# Between exact places of points so near to each other, straight lines are right within a hundredth of a metre.
_NODE_M = 2_000


@dataclass(frozen=True, slots=True)
class Shift:
    """The pixels of a chip lie equally far from those of a window, which has one row and column more.

    `shares` are the bilinear weights of the upper left, upper right, lower left and lower right neighbour.
    """

    shares: Sequence[float]

    @classmethod
    def by(cls, row_px: float, col_px: float) -> Self:
        """So far (0 to 1 px) from each pixel's centre."""
        return cls(_shares(row_px, col_px))

    def around(self, window: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """The four neighbours of every pixel of the chip."""
        return window[:-1, :-1], window[:-1, 1:], window[1:, :-1], window[1:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Each pixel of a chip lies elsewhere between those of a window, `width` pixels wide.

    `first` is the flat index of its upper left neighbour, `inside` that of the pixel it lies in.
    """

    shares: Sequence[NDArray[np.float64]]
    first: NDArray[np.intp]
    inside: NDArray[np.intp]
    width: int

    @classmethod
    def to(cls, rows: NDArray[np.float64], cols: NDArray[np.float64], width: int) -> Self:
        """To places in a window, in pixels from the centre of its first."""
        row, col = rows.astype(np.intp), cols.astype(np.intp)
        down, right = rows - row, cols - col
        first = row * width + col
        return cls(_shares(down, right), first, first + (down >= 0.5) * width + (right >= 0.5), width)

    def around(self, window: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """The four neighbours of every pixel of the chip."""
        flat = window.ravel()
        return [flat[step:].take(self.first, mode="clip") for step in (0, 1, self.width, self.width + 1)]

    def nearest(self, window: NDArray[Any]) -> NDArray[Any]:
        """What holds at each pixel of the chip: codes have no means."""
        return window.ravel().take(self.inside, mode="clip")


def _shares(down: Any, right: Any) -> Sequence[Any]:
    return (1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right


def interpolated(power: Power, onto: Shift | Warp) -> Power:
    """Bilinear values, and where they are known.

    Pixels without data are left out and the weights of the others made up; less than half the weight is no data.
    """
    numbers, known = power
    if known.all():
        values = _weighted(onto.shares, onto.around(numbers))
        return values, np.ones(values.shape, dtype=bool)
    shares = [share * part for share, part in zip(onto.shares, onto.around(known), strict=True)]
    weight = sum(shares)
    enough = weight >= 0.5
    total = _weighted(shares, onto.around(np.where(known, numbers, 0)))
    return total / np.where(enough, weight, 1), enough


def _weighted(shares: Sequence[Any], parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = shares[0] * parts[0]
    scratch = np.empty_like(total)
    for share, part in zip(shares[1:], parts[1:], strict=True):
        total += np.multiply(share, part, out=scratch)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Exact places of some points of each chip in another CRS, (chip, row, column) of x and of y in metres."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def of(cls, corners: NDArray[np.float64], cell_m: float, source: int, target: int) -> Self:
        """Of chips with their (left, top) at `corners`: their corners, and more where they are large."""
        steps = np.linspace(0, cell_m, 1 + int(np.ceil(cell_m / _NODE_M)))
        x, y = corners[:, 0, None, None] + steps, corners[:, 1, None, None] - steps[:, None]
        return cls(*transformer(source, target).transform(x + 0 * y, y + 0 * x))

    def from_north(self) -> tuple[NDArray[np.intp], Self]:
        """The order in which a raster is read, and the chips in it."""
        order = np.argsort(-self.y.max(axis=(1, 2)), kind="stable")
        return order, type(self)(self.x[order], self.y[order])


def along(nodes: int, size: int) -> NDArray[np.float64]:
    """(size, nodes) weights that lay `size` pixel centres on straight lines between nodes, from edge to edge."""
    places = (np.arange(size) + 0.5) / size * (nodes - 1)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(nodes)))
    return weights
