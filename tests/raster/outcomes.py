"""A raster, all its chips, and what may become of them however it is spoiled."""

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.reader import FailedChip, open_raster
from landmark.raster.source import Unreadable
from tests.raster.rasters import noise, write_raster

# Blocks of some 100 kB: whatever a reader rounds its ranges to, it can ask for one without its neighbours.
BLOCK, SIDE, SIZE = 256, 768, 120
PIXELS = noise((SIDE, SIDE), "uint16", 7)
CORNERS = [(row, col) for row in range(0, SIDE - SIZE + 1, 108) for col in range(0, SIDE - SIZE + 1, 108)]
BLOCKS = {(row, col) for row in range(SIDE // BLOCK) for col in range(SIDE // BLOCK)}
# Longer than any patience in the tests: only what hangs comes near it.
BOUND_S = 60.0

T = TypeVar("T")
Chips = list[NDArray[Any] | FailedChip]


def make(path: Path, **options: Any) -> Path:
    """The raster, as it should be."""
    return write_raster(path, PIXELS, blockxsize=BLOCK, blockysize=BLOCK, **options)


def within(work: Callable[[], T]) -> T:
    """What `work` returns or raises; a failure where it does neither in time."""
    said: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            said.append((work(), None))
        except BaseException as error:
            said.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert said, f"no outcome within {BOUND_S} s"
    result, error = said[0]
    if error is not None:
        raise error
    return result


def read(href: str | Path, access: AccessPolicy = PUBLIC_ACCESS) -> Chips | Unreadable:
    """All chips, or why there are none."""

    def work() -> Chips:
        with open_raster(str(href), access) as raster:
            return list(raster.chips(CORNERS, SIZE))

    try:
        return within(work)
    except Unreadable as error:
        return error


def check(chips: Chips | Unreadable, bad: Collection[tuple[int, int]] = ()) -> None:
    """The chips that touch bad blocks are missing, and no other; those that are there are right."""
    assert not isinstance(chips, Unreadable), chips
    for chip, (row, col) in zip(chips, CORNERS, strict=True):
        assert isinstance(chip, FailedChip) == any(_touches(row, col, block) for block in bad), (row, col)
    check_none_wrong(chips)


def check_none_wrong(chips: Chips | Unreadable) -> None:
    """Whatever is handed out is right."""
    if not isinstance(chips, Unreadable):
        for chip, (row, col) in zip(chips, CORNERS, strict=True):
            assert isinstance(chip, FailedChip) or np.array_equal(chip, PIXELS[row : row + SIZE, col : col + SIZE])


def _touches(row: int, col: int, block: tuple[int, int]) -> bool:
    return all(
        first < (number + 1) * BLOCK and first + SIZE > number * BLOCK
        for first, number in zip((row, col), block, strict=True)
    )
