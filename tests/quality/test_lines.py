"""Lines that stand out of speckle and ground, alone or every n-th, and those that do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark.quality.chips.lines import line_excess, line_step, stripe_z
from landmark.quality.chips.seams import quarter_levels

SIZE = 120


def speckle(bands: int = 2, *, seed: int = 0) -> NDArray[np.float32]:
    """Bands (band, y, x) in hundredths of a dB, smooth from west to east."""
    noise = 250 * np.random.default_rng(seed).standard_normal((bands, SIZE, SIZE))
    return np.asarray(noise - 1200 + 4 * np.arange(SIZE), dtype=np.float32)


def excess_of(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    return line_excess(quarter_levels(stack))


@pytest.mark.parametrize("axis", [1, 2], ids=["row", "column"])
@pytest.mark.parametrize("change", [500, -500])
def test_a_line_exceeds_both_neighbours(axis: int, change: int) -> None:
    stack = speckle()
    assert line_step(excess_of(stack)) < 120
    stack[(0, 70) if axis == 1 else (0, slice(None), 70)] += change
    assert line_step(excess_of(stack)) == pytest.approx(abs(change), rel=0.25)


def test_a_line_through_three_quarters_of_a_chip_does_not_count() -> None:
    stack = speckle()
    stack[:, 70, : 3 * SIZE // 4] += 500
    assert line_step(excess_of(stack)) < 150


def test_lines_of_all_bands_have_the_same_sign() -> None:
    stack = speckle(4)
    stack[:, 70] += np.array([500, 500, 500, -500], dtype=np.float32)[:, None]
    excess = excess_of(stack)
    assert line_step(excess) > 350
    assert line_step(excess.reshape(2, -1, excess.shape[2])) < 100


@pytest.mark.parametrize(("period", "change"), [(2, 60), (3, 80), (7, 120), (12, -120), (17, 150), (24, -180)])
def test_lines_that_repeat_stand_out(period: int, change: int) -> None:
    stack = speckle(1)
    assert stripe_z(excess_of(stack).sum(axis=1)) < 6
    stack[:, :, 1::period] += change
    assert stripe_z(excess_of(stack).sum(axis=1)) > 7


def test_as_many_lines_at_random_places_do_not() -> None:
    stack = speckle(1)
    stack[:, :, np.random.default_rng(1).choice(SIZE, 10, replace=False)] += 120
    assert stripe_z(excess_of(stack).sum(axis=1)) < 7


def test_constant_bands_have_no_lines() -> None:
    excess = excess_of(np.full((1, 48, 48), 7, dtype=np.float32))
    assert stripe_z(excess.sum(axis=1)) == line_step(excess) == 0
