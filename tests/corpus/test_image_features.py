"""Features of images against plain code, with missing pixels and at any size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.corpus.image_features import DIFFERENCES, QUANTILES, WINDOW_QUANTILES, compute_features

SENSORS = {name: load_sensor(name) for name in ("s1", "s2")}


def nearest_quantiles(values: NDArray[np.float64], levels: tuple[float, ...]) -> list[float]:
    """Values at the nearest place of the sorted ones, even places at half."""
    ordered = sorted(values.ravel().tolist())
    return [ordered[int(np.rint(level * (len(ordered) - 1)))] for level in levels]


def naive_gradients(values: NDArray[np.float64]) -> tuple[float, float]:
    rows, cols = values.shape
    steps = [
        (values[y, x + 1] - values[y, x], values[y + 1, x] - values[y, x])
        for y in range(rows - 1)
        for x in range(cols - 1)
    ]
    xx, yy, xy = (float(np.mean([a[i] * a[j] for a in steps])) for i, j in ((0, 0), (1, 1), (0, 1)))
    large, small = np.linalg.eigvalsh(np.array([[xx, xy], [xy, yy]]))[::-1]
    return float(np.log(xx + yy + 1)), float((large - small) / max(xx + yy, 1))


def windows_of(values: NDArray[np.float64]) -> list[list[NDArray[np.float64]]]:
    rows, cols = values.shape
    return [[values[y : y + 4, x : x + 4] for x in range(0, cols - cols % 4, 4)] for y in range(0, rows - rows % 4, 4)]


def naive_features(groups: dict[str, NDArray[np.integer]], name: str) -> tuple[list[float], list[float]]:
    """Both kinds of features of one image, band by band."""
    sensor, bands, features = SENSORS[name], list[float](), list[float]()
    layers: dict[str, NDArray[np.float64]] = {}
    factors: dict[str, int] = {}
    for group in sensor.groups:
        stored = groups[group.column][0].astype(np.float64)
        valid = stored != sensor.nodata
        filled = np.array([np.where(mask, band, band[mask].mean()) for band, mask in zip(stored, valid, strict=True)])
        bands += [band[mask].mean() for band, mask in zip(stored, valid, strict=True)]
        bands += [band[mask].std() for band, mask in zip(stored, valid, strict=True)]
        means = [np.array([[part.mean() for part in row] for row in windows_of(band)]) for band in filled]
        variances = [np.array([part.var() for row in windows_of(band) for part in row]) for band in filled]
        features += [value for band in filled for value in nearest_quantiles(band, QUANTILES)]
        for images in (filled, means):
            gradients = [naive_gradients(image) for image in images]
            features += [value[0] for value in gradients] + [value[1] for value in gradients]
        features += [value for part in variances for value in nearest_quantiles(np.log(part + 1), WINDOW_QUANTILES)]
        layers |= dict(zip(group.bands, filled, strict=True))
        factors |= dict.fromkeys(group.bands, group.factor)
    for first, second in DIFFERENCES[name]:
        coarse = max(factors[first], factors[second])
        a, b = (layers[key][:: coarse // factors[key], :: coarse // factors[key]] for key in (first, second))
        features += nearest_quantiles((a - b) / (a + b) if name == "s2" else a - b, QUANTILES)
    return bands, features


@pytest.mark.parametrize("name", ["s1", "s2"])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_equal_plain_code(name, has_gaps):
    chance, sensor = np.random.default_rng(0), SENSORS[name]
    low, high = (100, 5000) if name == "s2" else (-2500, 0)
    groups = {}
    for group in sensor.groups:
        pixels = chance.integers(low, high, (1, *group.shape(54))).astype(sensor.dtype)
        if has_gaps:
            pixels[:, :, : pixels.shape[2] // 2, : pixels.shape[3] // 3] = sensor.nodata
        groups[group.column] = pixels
    features = compute_features(groups, sensor)
    bands, handcrafted = naive_features(groups, name)
    assert features.bands[0] == pytest.approx(bands, rel=1e-4)
    assert features.handcrafted[0] == pytest.approx(handcrafted, rel=1e-3, abs=2e-3)


@pytest.mark.parametrize("name", ["s1", "s2"])
@pytest.mark.parametrize("edge", [6, 12])
def test_are_numbers_for_tiny_and_empty_images(name, edge):
    sensor = SENSORS[name]
    groups = {group.column: np.full((2, *group.shape(edge)), sensor.nodata, sensor.dtype) for group in sensor.groups}
    for pixels in groups.values():
        pixels[1] = 500
    features = compute_features(groups, sensor)
    assert np.isfinite(features.bands).all() and np.isfinite(features.handcrafted).all()
    assert not features.bands[0].any()
