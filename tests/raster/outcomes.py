"""A raster, all its chips, and checks of what is read of it under any fault."""

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark.core.ranges.errors import Unreadable
from landmark.raster.access import PUBLIC_ACCESS, AccessPolicy
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import open_raster
from tests.raster.rasters import noise, write_raster

# Blocks of about 100 kB, so that a reader can request one without its neighbours, whatever it rounds ranges to.
BLOCK, SIDE, SIZE = 256, 768, 120
PIXELS = noise((SIDE, SIDE), "uint16", 7)
CORNERS = [(row, col) for row in range(0, SIDE - SIZE + 1, 108) for col in range(0, SIDE - SIZE + 1, 108)]
BLOCKS = {(row, col) for row in range(SIDE // BLOCK) for col in range(SIDE // BLOCK)}
JPEG_2000 = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "tiled": None, "compress": None}
# Longer than all retries of the tests: only a hanging read takes so long.
BOUND_S = 60.0

T = TypeVar("T")
Chips = list[NDArray[Any] | FailedChip]


def make(path: Path, **options: Any) -> Path:
    """Write the raster without faults."""
    return write_raster(path, PIXELS, blockxsize=BLOCK, blockysize=BLOCK, **options)


def within_bound(work: Callable[[], T]) -> T:
    """Return or raise what `work` returns or raises; fail if it does neither in time."""
    results: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            results.append((work(), None))
        except BaseException as error:
            results.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert results, f"no result within {BOUND_S} s"
    result, error = results[0]
    if error is not None:
        raise error
    return result


def read(href: str | Path, access: AccessPolicy = PUBLIC_ACCESS) -> Chips | Unreadable:
    """Read all chips, or return the error."""

    def work() -> Chips:
        with open_raster(str(href), access) as raster:
            return list(raster.chips(CORNERS, SIZE))

    try:
        return within_bound(work)
    except Unreadable as error:
        return error


def check(chips: Chips | Unreadable, bad: Collection[tuple[int, int]] = ()) -> None:
    """Check that exactly the chips over bad blocks failed, and that the others are right."""
    assert not isinstance(chips, Unreadable), chips
    for chip, (row, col) in zip(chips, CORNERS, strict=True):
        assert isinstance(chip, FailedChip) == any(_overlaps(row, col, block) for block in bad), (row, col)
    check_pixels(chips)


def check_pixels(chips: Chips | Unreadable) -> None:
    """Check that all chips that did not fail are right."""
    if not isinstance(chips, Unreadable):
        for chip, (row, col) in zip(chips, CORNERS, strict=True):
            assert isinstance(chip, FailedChip) or np.array_equal(chip, PIXELS[row : row + SIZE, col : col + SIZE])


def _overlaps(row: int, col: int, block: tuple[int, int]) -> bool:
    return all(
        first < (number + 1) * BLOCK and first + SIZE > number * BLOCK
        for first, number in zip((row, col), block, strict=True)
    )
