"""Measures of a Sentinel-1 chip: levels of both polarisations, their difference, speckle, open water."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.pixels import S1_NODATA

F = NDArray[np.float32]
RADAR_MEASURES = (
    *(f"{name}_{level}_db" for name in ("vv", "vh") for level in ("p1", "p50", "p99")),
    *("vv_vh_db", "vv_speckle_db", "smooth_pct"),
)
# Upper limits of open water in a mean of 5 x 5 px. No threshold fits every wind (Twele et al. 2016 fit one per scene);
# these are low. Dry sand and runways are as dark in VV, but not in VH.
WATER_DB = {"vv": -17.0, "vh": -23.0}
_WINDOW_PX = 8


def measure_radar(bands: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    """RADAR_MEASURES of one chip; empty where it has no data.

    Args:
        bands: `vv`, `vh` → (y, x) int16, hundredths of a dB of gamma0, -32768 = nodata.
    """
    vv, vh = bands["vv"], bands["vh"]
    # The value without data is the lowest of its type.
    known = None if min(vv.min(), vh.min()) > S1_NODATA else (vv != S1_NODATA) & (vh != S1_NODATA)
    if known is not None and not known.any():
        return {}
    # Every second pixel is enough for order statistics.
    flat = {name: (bands[name].ravel() if known is None else bands[name][known])[::2] for name in ("vv", "vh")}
    difference = flat["vv"].astype(np.int32) - flat["vh"]
    measures: dict[str, float | None] = {"vv_vh_db": _order_db(difference, [difference.size // 2])[0]}
    for name, values in flat.items():
        places = [values.size // 100, values.size // 2, values.size - 1 - values.size // 100]
        names = (f"{name}_{level}_db" for level in ("p1", "p50", "p99"))
        measures |= zip(names, _order_db(values, places), strict=True)
    return measures | {"vv_speckle_db": speckle_db(vv, known), "smooth_pct": _smooth_pct(vv, vh, known)}


def _order_db(values: NDArray[np.integer[Any]], places: list[int]) -> list[float]:
    """Order statistics of hundredths of a dB, in dB; a histogram is faster than a partition of so few values."""
    lowest = int(values.min())
    counts = np.bincount(values - np.int32(lowest)).cumsum()
    hundredths = (lowest + np.searchsorted(counts, places, side="right")).astype(np.float32)
    return [float(level) for level in hundredths / np.float32(100)]


def speckle_db(values: NDArray[np.int16], known: NDArray[np.bool_] | None = None) -> float | None:
    """First quartile of the standard deviation in windows of 8 x 8 px: homogeneous ground, so speckle alone.

    L looks give 4.34 √ψ'(L) dB (ψ' is the trigamma function): 2.2 dB for the 4.4 looks of ground-range products, less
    after interpolation. It is proportional to the scale of the values.

    Args:
        values: (y, x), hundredths of a dB.
        known: Pixels with data, at least one; None for all.
    """
    size = values.shape[0] // _WINDOW_PX
    if size < 2:
        return None
    inner = np.s_[: size * _WINDOW_PX, : size * _WINDOW_PX]
    # Relative to about the mean, so that sums of squares are precise in float32.
    level = np.float32((values[::_WINDOW_PX] if known is None else values[known]).mean())
    hundredths = values[inner] - level
    mean, square = (_window_means(array) for array in (hundredths, hundredths * hundredths))
    spread = np.sqrt(np.maximum(square - mean * mean, 0)) / 100
    if known is not None:
        spread = spread[known[inner].reshape(size, _WINDOW_PX, size, _WINDOW_PX).all(axis=(1, 3))]
    return _quartile(spread.astype(np.float32).ravel()) if spread.size else None


def _quartile(values: F) -> float:
    """First quartile, interpolated; `np.quantile` takes ten times as long for so few values."""
    place, part = divmod(values.size - 1, 4)
    ordered = np.partition(values, [place, min(place + 1, values.size - 1)])
    return float(ordered[place] + part / 4 * (ordered[min(place + 1, values.size - 1)] - ordered[place]))


def _window_means(values: F) -> F:
    weights = _window_weights(len(values))
    return np.asarray(weights @ values @ weights.T)


@cache
def _window_weights(size: int) -> F:
    """Weights (window, pixel) of the pixels of a line in the means of windows."""
    return np.repeat(np.eye(size // _WINDOW_PX, dtype=np.float32) / _WINDOW_PX, _WINDOW_PX, axis=1)


def _smooth_pct(vv: NDArray[np.int16], vh: NDArray[np.int16], known: NDArray[np.bool_] | None) -> float:
    """Percentage of the pixels with data (None: of all) whose neighbourhood is as dark as open water."""
    water, number = (True, vv.size) if known is None else (known, np.count_nonzero(known))
    for values, limit_db in ((vh, WATER_DB["vh"]), (vv, WATER_DB["vv"])):
        # Most land has none in VH.
        if np.any(water):
            water = water & (_sum_of_5x5(values if known is None else np.where(known, values, 0)) < 2500 * limit_db)
    return 100 * np.count_nonzero(water) / number


def _sum_of_5x5(values: NDArray[Any]) -> NDArray[np.int32]:
    """Sums of 5 x 5 px, mirrored at the edges."""
    for _ in range(2):
        padded = np.concatenate([values[1::-1], values, values[:-3:-1]], dtype=np.int32)
        pairs = padded[:-1] + padded[1:]
        # Transposed: the second pass sums along the other axis, and turns back.
        values = np.ascontiguousarray((pairs[:-3] + pairs[2:-1] + padded[4:]).T)
    return values
