"""Index of the raster blocks that chips overlap, computed once for all bands that share a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from numpy.typing import NDArray

Corners = Sequence[tuple[int, int]]
# Chip number -> pixels of a chip that is being filled.
Chips = dict[int, NDArray[Any]]


class Copy(NamedTuple):
    """Pixels to copy from a block into a chip; `target` and `source` are (rows, columns)."""

    chip: int
    target: tuple[slice, slice]
    source: tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A row of blocks that at least one chip overlaps.

    Attributes:
        number: Index of the row of blocks, from the top of the raster.
        starting: Numbers of the chips whose first pixel row is in it.
        ending: Numbers of the chips whose last pixel row is in it.
        copies: Block column -> what to copy from that block; columns ascend.
    """

    number: int
    starting: range
    ending: range
    copies: dict[int, list[Copy]]


def find_block_rows(
    corners: Corners, size: tuple[int, int], block: tuple[int, int], raster: tuple[int, int]
) -> tuple[BlockRow, ...]:
    """Find the rows of blocks under chips, from north to south.

    Args:
        corners: (row, column) of each chip's upper-left pixel, sorted by row.
        size: (rows, columns) of a chip.
        block: (rows, columns) of a block.
        raster: (rows, columns) of the raster.

    Raises:
        ValueError: a chip extends beyond the raster.
    """
    return _find_block_rows(tuple(corners), size, block, raster)


@lru_cache(maxsize=8)
def _find_block_rows(
    corners: tuple[tuple[int, int], ...], size: tuple[int, int], block: tuple[int, int], raster: tuple[int, int]
) -> tuple[BlockRow, ...]:
    (chip_height, chip_width), (block_height, block_width), (height, width) = size, block, raster
    copies: dict[int, dict[int, list[Copy]]] = {}
    for chip, (row, col) in enumerate(corners):
        if not (0 <= row <= height - chip_height and 0 <= col <= width - chip_width):
            raise ValueError(
                f"a chip of {chip_height} x {chip_width} pixels at row {row}, column {col} extends beyond the raster"
                f" of {height} x {width}"
            )
        columns = [
            (number, *_overlap(col, chip_width, number, block_width))
            for number in _overlapped(col, chip_width, block_width)
        ]
        for number in _overlapped(row, chip_height, block_height):
            target_rows, source_rows = _overlap(row, chip_height, number, block_height)
            by_column = copies.setdefault(number, {})
            for column, target_cols, source_cols in columns:
                copy = Copy(chip, (target_rows, target_cols), (source_rows, source_cols))
                by_column.setdefault(column, []).append(copy)
    first_rows, started, ended = [row for row, _ in corners], 0, 0
    block_rows = []
    for number in sorted(copies):
        bottom, first_started, first_ended = (number + 1) * block_height, started, ended
        while started < len(first_rows) and first_rows[started] < bottom:
            started += 1
        while ended < started and first_rows[ended] + chip_height <= bottom:
            ended += 1
        starting, ending = range(first_started, started), range(first_ended, ended)
        block_rows.append(BlockRow(number, starting, ending, dict(sorted(copies[number].items()))))
    return tuple(block_rows)


def _overlapped(start: int, size: int, block: int) -> range:
    """Numbers of the blocks under `size` pixels, along one axis."""
    return range(start // block, (start + size - 1) // block + 1)


def _overlap(start: int, size: int, number: int, block: int) -> tuple[slice, slice]:
    """Overlap of a chip and a block along one axis: (in the chip, in the block)."""
    first, end = max(start, number * block), min(start + size, (number + 1) * block)
    return slice(first - start, end - start), slice(first - number * block, end - number * block)


def copy_block(block: NDArray[Any], copies: Sequence[Copy], chips: Chips) -> None:
    """Copy a block's pixels into the chips that overlap it."""
    for chip, target, source in copies:
        chips[chip][target] = block[source]
