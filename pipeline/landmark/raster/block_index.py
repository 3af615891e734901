"""Which chips a raster's blocks give pixels to: worked out once for all bands that share a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

Corners = Sequence[tuple[int, int]]
# Chips on their way, by their number.
Chips = dict[int, NDArray[Any]]
# Number of a chip, where in it, and what part of the block: (number, target, source).
Piece = tuple[int, tuple[slice, slice], tuple[slice, slice]]


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of blocks that some chips touch.

    Attributes:
        number: Counted from the raster's top.
        begun: Numbers of the chips whose first rows lie in it; ended: of those whose last do.
        pieces: Column of a block → what chips take of it, columns from left to right.
    """

    number: int
    begun: range
    ended: range
    pieces: dict[int, list[Piece]]


def strips(
    corners: Corners, size: tuple[int, int], block: tuple[int, int], raster: tuple[int, int]
) -> tuple[Strip, ...]:
    """The rows of blocks under chips of `size` (rows, columns), from north to south; corners are sorted by row.

    Raises:
        ValueError: a chip does not lie inside the raster.
    """
    return _strips(tuple(corners), size, block, raster)


@lru_cache(maxsize=8)
def _strips(
    corners: tuple[tuple[int, int], ...], size: tuple[int, int], block: tuple[int, int], raster: tuple[int, int]
) -> tuple[Strip, ...]:
    (tall, broad), (high, wide), (height, width) = size, block, raster
    found: dict[int, dict[int, list[Piece]]] = {}
    for number, (row, col) in enumerate(corners):
        if not (0 <= row <= height - tall and 0 <= col <= width - broad):
            raise ValueError(f"row {row}, column {col}: {tall} x {broad} pixels lie not in {height} x {width}")
        across = [(column, *_meeting(col, broad, column, wide)) for column in _touched(col, broad, wide)]
        for strip in _touched(row, tall, high):
            target, source = _meeting(row, tall, strip, high)
            pieces = found.setdefault(strip, {})
            for column, columns, within in across:
                pieces.setdefault(column, []).append((number, (target, columns), (source, within)))
    rows, begun, ended = [row for row, _ in corners], 0, 0
    made = []
    for strip in sorted(found):
        first, done = begun, ended
        while begun < len(rows) and rows[begun] < (strip + 1) * high:
            begun += 1
        while ended < begun and rows[ended] + tall <= (strip + 1) * high:
            ended += 1
        made.append(Strip(strip, range(first, begun), range(done, ended), dict(sorted(found[strip].items()))))
    return tuple(made)


def _touched(first: int, size: int, block: int) -> range:
    return range(first // block, (first + size - 1) // block + 1)


def _meeting(first: int, size: int, number: int, block: int) -> tuple[slice, slice]:
    """Along one axis, where a chip and a block meet: in the chip, and in the block."""
    start, end = max(first, number * block), min(first + size, (number + 1) * block)
    return slice(start - first, end - first), slice(start - number * block, end - number * block)


def scatter(block: NDArray[Any], pieces: Sequence[Piece], chips: Chips) -> None:
    """Copy what the chips take of a block."""
    for number, target, source in pieces:
        chips[number][target] = block[source]
