"""Measures of chips are those of naive code in float64."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft, ndimage

from landmark.corpus.pixels import S1_NODATA
from landmark.corpus.stats import percentiles
from landmark.quality.chips.pixels import measure_pixels
from landmark.quality.chips.radar import WATER_DB, measure_radar
from landmark.quality.chips.registration import MAX_SHIFT_PX, correlate, edge_image, locate_peak

Bands = dict[str, NDArray[Any]]
RNG = np.random.default_rng(5)
SIZE = 120


def radar_chip(gap_px: int = 0) -> Bands:
    """Land with a lake, of gamma-distributed speckle, and a gap at its left edge."""
    level = np.where(np.hypot(*np.indices((SIZE, SIZE)) - 60) < 30, -26.0, -12.0)
    bands = {
        name: np.rint(100 * (level - drop + 10 * np.log10(RNG.gamma(4.4, 1 / 4.4, level.shape)))).astype(np.int16)
        for name, drop in (("vv", 0), ("vh", 7))
    }
    for band in bands.values():
        band[:, :gap_px] = S1_NODATA
    return bands


def optical_chip() -> Bands:
    sizes = {120: ("B02", "B03", "B04", "B08"), 60: ("B05", "B06", "B07", "B8A", "B11", "B12"), 20: ("B01", "B09")}
    return {
        name: RNG.integers(400, 3000, (size, size)).astype(np.uint16) for size, names in sizes.items() for name in names
    }


@pytest.mark.parametrize("gap_px", [0, 30])
def test_levels_speckle_and_water_of_radar(gap_px: int) -> None:
    chip = radar_chip(gap_px)
    measures = measure_radar(chip)
    known = chip["vv"] != S1_NODATA
    db = {name: band / 100 for name, band in chip.items()}
    water = known.copy()
    for name, values in db.items():
        ordered = np.sort(values[known][::2])
        expected = [ordered[len(ordered) // 100], ordered[len(ordered) // 2], ordered[-1 - len(ordered) // 100]]
        assert [measures[f"{name}_{level}_db"] for level in ("p1", "p50", "p99")] == pytest.approx(expected)
        water &= ndimage.uniform_filter(np.where(known, values, 0), 5) < WATER_DB[name]
    assert measures["vv_vh_db"] == pytest.approx(np.sort((db["vv"] - db["vh"])[known][::2])[known.sum() // 4])
    assert measures["smooth_pct"] == pytest.approx(100 * water.sum() / known.sum()) and water.any()
    windows = db["vv"].reshape(15, 8, 15, 8)
    spread = windows.std(axis=(1, 3))[known.reshape(15, 8, 15, 8).all(axis=(1, 3))]
    assert measures["vv_speckle_db"] == pytest.approx(np.quantile(spread, 0.25), rel=1e-5)


def test_percentiles_are_places_in_the_sorted_values() -> None:
    stored = RNG.integers(0, 4, (50, 50)).astype(np.uint16) * 700
    ordered = np.sort(stored[stored > 0])
    expected = [ordered[len(ordered) * percent // 100] for percent in (1, 34, 50, 99)]
    assert percentiles(stored, 1, 34, 50, 99) == tuple(expected)
    assert percentiles(np.zeros((8, 8), np.uint16), 50) is None


def test_edges_are_magnitudes_of_a_gaussian_gradient() -> None:
    for chip, names in ((radar_chip(), ("vv", "vh")), (optical_chip(), ("B04", "B08"))):
        total = np.zeros((96, 96))
        for name in names:
            values = chip[name][12:108, 12:108].astype(np.float64)
            magnitude = ndimage.gaussian_gradient_magnitude(np.log(values) if "B04" in chip else values, 1.5)
            total += np.minimum(magnitude / magnitude.mean(), 4)
        edges = edge_image(chip)
        assert edges is not None
        np.testing.assert_allclose(edges, total * 255 / 8, atol=1.01)


def test_correlation_near_zero_is_that_of_the_full_inverse_transform() -> None:
    first = RNG.integers(0, 255, (96, 96)).astype(np.uint8)
    second = np.roll(first, (3, -5), (0, 1))
    window = np.outer(np.hanning(96), np.hanning(96))
    spectra = [fft.fft2((image - image.mean()) * window) for image in (first, second)]
    square = fft.fftfreq(96)[:, None] ** 2 + fft.fftfreq(96)[None, :] ** 2
    cross = spectra[1] * spectra[0].conj()
    values = fft.ifft2(cross / abs(cross) * np.exp(-2 * np.pi**2 * square)).real
    near = np.roll(values, (MAX_SHIFT_PX, MAX_SHIFT_PX), (0, 1))[: 2 * MAX_SHIFT_PX + 1, : 2 * MAX_SHIFT_PX + 1]
    surface = correlate(first, second)
    np.testing.assert_allclose(surface.total, 1000 * (near - near.mean()) / near.std(), atol=15)
    shift = locate_peak(surface)
    rest = near.copy()
    rest[12:19, 4:11] = np.nan  # 3 px around the peak
    strength = (near.max() - np.nanmean(rest)) / np.nanstd(rest)
    assert (shift.y_px, shift.x_px, shift.strength) == pytest.approx((3, -5, strength), abs=0.05)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("band", "size"), [("B02", 120), ("B11", 60), ("B09", 20)])
def test_constant_and_repeated_lines_are_counted(band: str, size: int, axis: int) -> None:
    chip = optical_chip()
    assert measure_pixels("s2", chip)["bad_lines"] == 0
    lines = chip[band] if axis == 0 else chip[band].T
    lines[5] = 1234
    lines[11:13] = lines[10]
    # Nearly equal lines are none.
    lines[size - 1] = lines[size - 2]
    lines[size - 1, 7] += 1
    assert measure_pixels("s2", chip)["bad_lines"] == 3


def test_a_flat_block_at_the_edge_is_counted() -> None:
    chip = optical_chip()
    chip["B03"][112:120, 56:64] = 900
    assert measure_pixels("s2", chip)["flat_blocks_pct"] == pytest.approx(100 / 15**2)


@pytest.mark.parametrize("size_px", [6, 12, 48, 54, 66, 126])
def test_chips_of_all_sizes_are_measured(size_px: int) -> None:
    optical = {
        name: np.resize(band, (size_px * len(band) // 120,) * 2).astype(np.uint16)
        for name, band in optical_chip().items()
    }
    radar = {name: RNG.integers(-2500, -500, (size_px, size_px)).astype(np.int16) for name in ("vv", "vh")}
    measures = [measure_pixels("s1", radar), measure_pixels("s2", optical)]
    assert all(measure["data_pct"] == 100 for measure in measures)
    assert ["sharpness_20" in measures[1], "own_share" in measures[0]] == [size_px >= 48] * 2
