"""Statistics of detail equal naive ones in float64, and tell copies, rounding, resampling, filters and seams apart."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from landmark.quality.chips.band_shifts import band_shift, polarisation_shift
from landmark.quality.chips.detail import Detail, residuals, sharpness
from landmark.quality.chips.grey_values import comb, count_values, neighbour_share
from landmark.quality.chips.optical import float_block_mean
from landmark.quality.chips.seams import quarter_levels, seam_share, seam_step, segment_levels

Array = NDArray[np.float64]
SIZE = 120


def ground(bands: int = 3, *, noise: float = 9, seed: int = 0) -> Array:
    """Bands (band, y, x) of the same random fields with separate noise."""
    random = np.random.default_rng(seed)
    fields = 40 * sum(ndimage.gaussian_filter(random.standard_normal((SIZE, SIZE)), s) * s for s in (1, 2, 4, 8, 16))
    levels = 1500 + fields * (1 + np.arange(bands)[:, None, None])
    return np.asarray(np.rint(levels + noise * random.standard_normal(levels.shape)))


def detail(stack: Array) -> Detail:
    return Detail.of(stack.astype(np.float32))


def sharpness_of(stack: Array) -> Array:
    return sharpness(detail(stack), detail(float_block_mean(stack, 2).astype(np.float64))).astype(np.float64)


def test_sharpness_is_the_ratio_of_second_to_central_differences() -> None:
    stack = ground(1)

    def ratio(band: Array) -> float:
        second = central = 0.0
        for lines in (band, band.T):
            second += ((lines[:, 2:] - 2 * lines[:, 1:-1] + lines[:, :-2]) ** 2).sum()
            central += ((lines[:, 2:] - lines[:, :-2]) ** 2).sum()
        return float(np.sqrt(second / central))

    halves = stack[0].reshape(60, 2, 60, 2).mean(axis=(1, 3))
    assert sharpness_of(stack)[0] == pytest.approx(ratio(stack[0]) ** 2 / ratio(halves), rel=0.03)
    assert np.isnan(sharpness_of(np.full((1, SIZE, SIZE), 7.0))[0])


@pytest.mark.parametrize("order", [1, 3])
def test_enlarged_pixels_are_not_sharp(order: int) -> None:
    halves = ground(2).reshape(2, 60, 2, 60, 2).mean(axis=(2, 4))
    enlarged = ndimage.zoom(halves, (1, 2, 2), order=order, grid_mode=True, mode="nearest")
    assert sharpness_of(np.rint(enlarged)).max() < 0.3 < 0.45 < sharpness_of(ground(2)).min()


def test_residuals_are_those_of_a_regression_on_the_other_bands() -> None:
    stack = ground(4)
    steps = np.diff(stack, axis=2).reshape(4, -1)
    coefficients, *_ = np.linalg.lstsq(steps[1:].T, steps[0], rcond=None)
    expected = np.sqrt(((steps[0] - coefficients @ steps[1:]) ** 2).mean())
    residual, spread = residuals(detail(stack).x)
    assert residual[0] == pytest.approx(expected, rel=1e-3)
    assert spread == pytest.approx(np.sqrt((steps**2).mean(axis=1)), rel=1e-4)
    copied = np.concatenate([stack, np.rint(0.7 * stack[1:2] + 0.4 * stack[2:3] + 20)])
    assert residuals(detail(copied).x)[0][-1] < 0.6


def counts(stack: Array) -> NDArray[np.float32]:
    return count_values(stack.astype(np.uint16))


# Values repeat their pattern after the numerator of the gain; after twice that, as ties round to even.
@pytest.mark.parametrize(("gain", "period"), [(6 / 5, 12), (3 / 2, 6), (9 / 10, 18)])
def test_gains_are_visible_in_the_counts_of_values(gain: float, period: int) -> None:
    assert comb(counts(ground())).strength < 6
    pattern = comb(counts(np.rint(gain * ground())))
    assert pattern.strength > 10
    assert period / pattern.step == pytest.approx(round(period / pattern.step), abs=0.02)


@pytest.mark.parametrize(
    ("change", "dense"),
    [
        (lambda band: band, True),
        (lambda band: np.rint(band / 8) * 8, True),  # lossy compression
        (lambda band: np.rint(band / 10) * 10, False),
        (lambda band: np.rint(np.rint(band / 5000 * 255) / 255 * 5000), False),
    ],
    ids=["intact", "jpeg2000", "tens", "bytes"],
)
def test_values_on_a_coarse_scale_have_no_neighbours(change: Callable[[Array], Array], dense: bool) -> None:
    assert (neighbour_share(counts(change(ground()))) > 0.6) == dense


@pytest.mark.parametrize(
    "beyond",
    [lambda y, x: x > 37, lambda y, x: y > 80, lambda y, x: x + y > 130, lambda y, x: x - y > 10],
    ids=["column", "row", "diagonal", "main diagonal"],
)
def test_two_images_meet_at_a_seam(beyond: Callable[[Array, Array], Array]) -> None:
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    joined = np.where(beyond(y, x), ground(seed=1) + 400, ground(seed=2))
    assert seam_share(*detail(ground()).scaled_steps()) < 0.6
    assert seam_share(*detail(joined).scaled_steps()) > 0.83
    partial = np.where(beyond(y, x) & (y > 40) & (x > 40), ground(seed=1) + 400, ground(seed=2))
    assert seam_share(*detail(partial).scaled_steps()) < 0.83


def test_a_step_of_speckled_images_counts_along_all_of_the_line() -> None:
    speckle = 200 * np.random.default_rng(0).standard_normal((2, SIZE, SIZE))
    step = 300 * (np.arange(SIZE) > 50)
    assert seam_step(quarter_levels((speckle + step).astype(np.float32)), 5) == pytest.approx(300, abs=80)
    half = np.where(np.arange(SIZE)[:, None] > 60, step, 0)
    assert seam_step(quarter_levels((speckle + half).astype(np.float32)), 5) < 120


@pytest.mark.parametrize(("axis", "shift"), [(1, 2), (2, -3)])
def test_a_shifted_band_and_the_shift_are_named(axis: int, shift: int) -> None:
    stack = ground()
    pairs = np.array([0, 1, 3, 4]), np.array([1, 2, 4, 5])
    assert band_shift([detail(stack).profiles()], *pairs).gain < 0.2
    stack[2] = np.roll(stack[2], shift, axis=axis - 1)
    shifted = band_shift([detail(stack).profiles()], *pairs)
    assert shifted.gain > 0.5 and shifted.shift_px == abs(shift) and shifted.pair % 2 == 1


def test_segments_are_means_of_parts_of_columns_and_rows() -> None:
    stack = ground(2)[:, :77, :77]
    columns, rows = np.split(segment_levels(stack.astype(np.float32), 24), 2)
    assert columns.shape == rows.shape == (2, 24, 72)
    assert columns[1, 2, 40] == pytest.approx(stack[1, 6:9, 40].mean())
    assert rows[0, 23, 5] == pytest.approx(stack[0, 5, 69:72].mean())


@pytest.mark.parametrize(("axis", "shift"), [(1, 2), (2, -3), (1, 1), (2, 4)])
@pytest.mark.parametrize("moved", [0, 1])
def test_a_shift_between_polarisations_is_measured(axis: int, shift: int, moved: int) -> None:
    random = np.random.default_rng(0)
    fields = 400 * np.sign(ndimage.gaussian_filter(random.standard_normal((SIZE, SIZE)), 6))
    stack = fields + 220 * random.standard_normal((2, SIZE, SIZE))

    def measured() -> tuple[float, int]:
        parts = segment_levels(stack.astype(np.float32), 24)
        return polarisation_shift(parts.reshape(2, 2, *parts.shape[1:]))

    assert measured() == (0, 0)
    stack[moved] = np.roll(fields, shift, axis=axis - 1) + 220 * random.standard_normal((SIZE, SIZE))
    gain, shift_px = measured()
    assert shift_px == abs(shift) and gain > 0.013
    stack[moved] = 220 * random.standard_normal((SIZE, SIZE))
    assert measured()[0] < 0.013
