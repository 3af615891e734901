"""Measures of a Sentinel-1 chip: levels of both polarisations, their difference, speckle, open water."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landmark.corpus.pixels import S1_NODATA

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
    known = (bands["vv"] != S1_NODATA) & (bands["vh"] != S1_NODATA)
    if not known.any():
        return {}
    complete = bool(known.all())
    db = {name: bands[name].astype(np.float32) / np.float32(100) for name in ("vv", "vh")}
    flat = {name: values.ravel() if complete else values[known] for name, values in db.items()}
    measures: dict[str, float | None] = {"vv_vh_db": _median(flat["vv"] - flat["vh"])}
    for name, values in flat.items():
        measures |= {
            f"{name}_{level}_db": value for level, value in zip(("p1", "p50", "p99"), _levels(values), strict=True)
        }
    return measures | {"vv_speckle_db": _speckle_db(db["vv"], known), "smooth_pct": _smooth_pct(db, known)}


def _median(values: NDArray[np.float32]) -> float:
    return float(np.partition(values, middle := values.size // 2)[middle])


def _levels(values: NDArray[np.float32]) -> list[float]:
    places = [values.size // 100, values.size // 2, values.size - 1 - values.size // 100]
    return [float(value) for value in np.partition(values, places)[places]]


def _speckle_db(values: NDArray[np.float32], known: NDArray[np.bool_]) -> float | None:
    """First quartile of the standard deviation in windows of 8 x 8 px: homogeneous ground, so speckle alone.

    L looks give 4.34 √ψ'(L) dB (ψ' is the trigamma function): 2.2 dB for the 4.4 looks of ground-range products, less
    after interpolation. It is proportional to the scale of the values.
    """
    size = values.shape[0] // _WINDOW_PX
    if size < 2:
        return None
    inner = np.s_[: size * _WINDOW_PX, : size * _WINDOW_PX]
    shape = (size, _WINDOW_PX, size, _WINDOW_PX)
    spread = values[inner].reshape(shape).std(axis=(1, 3))[known[inner].reshape(shape).all(axis=(1, 3))]
    return float(np.quantile(spread, 0.25)) if spread.size else None


def _smooth_pct(db: Mapping[str, NDArray[np.float32]], known: NDArray[np.bool_]) -> float:
    """Percentage of the pixels with data whose neighbourhood is as dark as open water."""
    water = known.copy()
    for name, values in db.items():
        water &= ndimage.uniform_filter(np.where(known, values, 0), 5) < WATER_DB[name]
    return 100 * np.count_nonzero(water) / np.count_nonzero(known)
