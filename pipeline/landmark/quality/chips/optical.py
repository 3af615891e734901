"""Measures of a Sentinel-2 chip: levels per band, mean spectra of plants and bare soil, indices, cloud."""

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.corpus.stats import percentiles

F = NDArray[np.float32]
BandArrays = Mapping[str, NDArray[Any]]

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
# An offset shows in the visible bands over plants and shadow, in the infrared ones over water and snow.
DARK_BANDS = ("B01", "B02", "B04", "B08", "B11", "B12")
GREEN_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B11", "B12")
OPTICAL_MEASURES = (
    *(f"{band}_p50_dn" for band in BANDS),
    *(f"green_{band}_dn" for band in GREEN_BANDS),
    *("darkest_p1_dn", "B12_p1_dn", "B02_clipped_pct", "soil_red_blue", "B8A_B08", "B08_B8A_r", "blue_z", "edge_z"),
    *("ndvi_mean", "ndwi_mean", "ndsi_mean", "green_pct", "water_pct", "cloudy_pct", "snowy_pct"),
)
FINE_BANDS = ("B02", "B03", "B04", "B08")
MIDDLE_BANDS = ("B05", "B06", "B07", "B8A", "B11", "B12")
COARSE_BANDS = ("B01", "B09")
_NAMES_20M = (*FINE_BANDS, *MIDDLE_BANDS)
_BLUE_TO_RED = [(*_NAMES_20M, *COARSE_BANDS).index(band) for band in ("B01", "B02", "B04")]
_MAX_R = 0.9999  # keeps Fisher's z finite
_MIN_PCT = 5  # of a chip's pixels, for a mean spectrum


class OpticalImage(NamedTuple):
    """Bands of one chip (band, y, x), reflectance x 10000, also as block means at the coarser resolutions.

    Attributes:
        at_10: FINE_BANDS.
        at_20: FINE_BANDS, MIDDLE_BANDS.
        at_60: FINE_BANDS, MIDDLE_BANDS, COARSE_BANDS.
    """

    at_10: F
    at_20: F
    at_60: F

    @classmethod
    def of(cls, bands: BandArrays) -> "OpticalImage":
        """Image of stored bands, at their own resolutions; those of 10 m are a multiple of 6 pixels wide."""
        at_10, middle, coarse = (
            np.stack([bands[name] for name in names], dtype=np.float32, casting="unsafe")
            for names in (FINE_BANDS, MIDDLE_BANDS, COARSE_BANDS)
        )
        at_20 = np.concatenate([float_block_mean(at_10, 2), middle])
        return cls(at_10, at_20, np.concatenate([float_block_mean(at_20, 3), coarse]))


def measure_optical(bands: BandArrays, image: OpticalImage) -> dict[str, float | None]:
    """OPTICAL_MEASURES of one chip; None or missing where it has too few pixels of the kind.

    Args:
        bands: Band → (y, x) uint16 at its own resolution, reflectance x 10000, 0 = nodata.
        image: Of these bands.
    """
    levels = {band: percentiles(bands[band], 50, *([1] if band in DARK_BANDS else [])) for band in BANDS}
    if any(level is None for level in levels.values()):
        return {}
    complete = {band: level for band, level in levels.items() if level is not None}
    return {
        **{f"{band}_p50_dn": complete[band][0] for band in BANDS},
        "darkest_p1_dn": min(complete[band][1] for band in DARK_BANDS),
        "B12_p1_dn": complete["B12"][1],
        "B02_clipped_pct": 100 * np.count_nonzero(bands["B02"] == 1) / np.count_nonzero(bands["B02"]),
        **_indices(image.at_10[1:]),
        **_spectra(image),
    }


def float_block_mean(stored: NDArray[Any], factor: int) -> F:
    """Means of blocks of `factor` x `factor` pixels of bands (..., y, x), whose edges are multiples of `factor`."""
    values = stored.astype(np.float32, copy=False)
    # Strided additions are faster than sums over small axes.
    rows = reduce(np.add, (values[..., start::factor, :] for start in range(factor)))
    return np.asarray(reduce(np.add, (rows[..., start::factor] for start in range(factor))) / np.float32(factor**2))


def normalized_difference(a: F, b: F) -> F:
    """(a - b) / (a + b), 0 where both are 0."""
    return np.asarray((a - b) / np.maximum(a + b, np.float32(1)))


def _indices(stack: F) -> dict[str, float]:
    """Means of NDVI (Rouse 1974) and NDWI (McFeeters 1996), and percentages above 0.5 and 0, of pixels with data.

    Args:
        stack: B03, B04 and B08 (band, y, x).
    """
    green, red, near = stack
    ndvi, ndwi = normalized_difference(near, red), normalized_difference(green, near)
    if stack.min() == 0:
        known = stack.min(axis=0) > 0
        ndvi, ndwi = ndvi[known], ndwi[known]
    if not ndvi.size:
        return {}
    return {
        "ndvi_mean": float(ndvi.mean()),
        "ndwi_mean": float(ndwi.mean()),
        "green_pct": 100 * np.count_nonzero(ndvi > 0.5) / ndvi.size,
        "water_pct": 100 * np.count_nonzero(ndwi > 0) / ndwi.size,
    }


def _spectra(image: OpticalImage) -> dict[str, float | None]:
    """Measures at 20 m: spectra of plants and soil, cloud, NDSI (Hall 1995), correlations between bands."""
    known = image.at_20.min(axis=0) > 0
    if not known.any():
        return {}
    pixels = image.at_20.reshape(len(_NAMES_20M), -1) if known.all() else image.at_20[:, known]
    at = dict(zip(_NAMES_20M, pixels, strict=True))
    ndsi = normalized_difference(at["B03"], at["B11"])
    cloudy = _cloudy(at, ndsi)
    # B8A, not B08: plants are then found even if B08 holds another band.
    plants = (normalized_difference(at["B8A"], at["B04"]) > 0.5) & (at["B8A"] > 1000) & ~cloudy
    spectrum = dict(zip(_NAMES_20M, _means(pixels, plants), strict=True))
    return {
        "ndsi_mean": float(ndsi.mean()),
        "cloudy_pct": 100 * np.count_nonzero(cloudy) / cloudy.size,
        # The tests of MODIS (Hall et al. 1995): near infrared above 0.11 leaves out water.
        "snowy_pct": 100 * np.count_nonzero((ndsi > 0.4) & (at["B8A"] > 1100)) / ndsi.size,
        **{f"green_{band}_dn": spectrum[band] for band in GREEN_BANDS},
        "soil_red_blue": _soil_red_blue(at, cloudy),
        **_near_infrared(at),
        "edge_z": _neighbour_z(at["B05"], at["B04"], at["B02"]),
        "blue_z": _neighbour_z(*image.at_60[_BLUE_TO_RED]),
    }


def _near_infrared(at: Mapping[str, F]) -> dict[str, float | None]:
    """Ratio of means and correlation of B8A and B08, over the pixels that are bright in either."""
    near, edge = at["B08"], at["B8A"]
    lit = np.maximum(near, edge) > 1000
    n_lit = np.count_nonzero(lit)
    if 100 * n_lit < _MIN_PCT * lit.size:
        return {}
    if n_lit < lit.size:
        near, edge = near[lit], edge[lit]
    return {"B8A_B08": float(edge.sum() / near.sum()), "B08_B8A_r": correlation(near, edge)}


def _cloudy(at: Mapping[str, F], ndsi: F) -> NDArray[np.bool_]:
    """Mask of cloud: bright in blue, white, neither snow nor bright ground (basic test of Fmask, Zhu & Woodcock 2012).

    Blue above 0.2 replaces the haze test; whiteness below 0.35; NDSI between that of bright ground and that of snow;
    near over short-wave infrared above 0.75.
    """
    blue, green, red = at["B02"], at["B03"], at["B04"]
    bright = blue > 2000
    if not bright.any():
        return bright
    middle = (blue + green + red) / 3
    white = (abs(blue - middle) + abs(green - middle) + abs(red - middle)) < 0.35 * middle
    return np.asarray(bright & white & (ndsi > -0.25) & (ndsi < 0.6) & (at["B8A"] > 0.75 * at["B11"]))


def _means(pixels: F, chosen: NDArray[np.bool_]) -> list[float | None]:
    """Per band, the mean of the chosen pixels; None for too few."""
    count = np.count_nonzero(chosen)
    if 100 * count < _MIN_PCT * chosen.size:
        return [None] * len(pixels)
    return [float(value) for value in pixels @ chosen.astype(np.float32) / count]


def _soil_red_blue(at: Mapping[str, F], cloudy: NDArray[np.bool_]) -> float | None:
    """Ratio of red to blue over bare, dry ground: brighter in B11 than in the near infrared, and not green.

    The brighter of red and blue is used as red, so that the same pixels are chosen if the two are exchanged.
    """
    visible = np.maximum(at["B02"], at["B04"])
    bare = (normalized_difference(at["B8A"], visible) < 0.25) & (at["B11"] > at["B8A"]) & (at["B11"] > 1500) & ~cloudy
    if 100 * np.count_nonzero(bare) < _MIN_PCT * bare.size:
        return None
    return float(at["B04"][bare].sum() / at["B02"][bare].sum())


def _neighbour_z(band: F, neighbour: F, distant: F) -> float | None:
    """Correlation with the spectral neighbour less that with a more distant band, as Fisher's z."""
    near, far = correlations(np.stack([band, neighbour, distant]))
    return None if near is None or far is None else math.atanh(near) - math.atanh(far)


def correlation(first: F, second: F) -> float | None:
    """Pearson's r of two arrays; None where one of them is constant or small."""
    return correlations(np.stack([first, second]))[0]


def correlations(stack: F) -> list[float | None]:
    """Pearson's r of the first array with each of the others, which a stack (array, ...) holds."""
    values = stack.reshape(len(stack), -1)
    if values.shape[1] < 64:
        return [None] * (len(stack) - 1)
    centred = values - values.sum(axis=1, keepdims=True) / np.float32(values.shape[1])
    products = (centred @ centred.T).astype(np.float64).tolist()
    scales = [products[0][0] * products[row][row] for row in range(1, len(stack))]
    return [
        min(max(product / math.sqrt(scale), -_MAX_R), _MAX_R) if scale > 0 else None
        for product, scale in zip(products[0][1:], scales, strict=True)
    ]
