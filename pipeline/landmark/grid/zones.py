"""UTM zones as in MGRS, with the exceptions 32V and Svalbard."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def zone_of(lon: NDArray[np.floating[Any]], lat: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """MGRS zone number (1..60) of points in degrees.

    Source: NGA.STND.0037, Universal Grids and Grid Reference Systems (exceptions 32V, 31X, 33X, 35X, 37X).
    """
    zone = (np.floor((lon + 180) / 6).astype(np.int64) % 60) + 1
    norway = (lat >= 56) & (lat < 64) & (lon >= 3) & (lon < 12)
    zone = np.where(norway, 32, zone)
    svalbard = (lat >= 72) & (lat <= 84) & (lon >= 0) & (lon < 42)
    return np.where(
        svalbard, np.array([31, 33, 35, 37])[np.searchsorted([9, 21, 33], np.clip(lon, 0, 41.9), side="right")], zone
    )


def zone_epsg(zone: int, south: bool) -> int:
    """EPSG code of a UTM zone on WGS 84."""
    return (32700 if south else 32600) + zone


def is_zone(epsg: int) -> bool:
    """Whether an EPSG code is that of a UTM zone on WGS 84."""
    return 1 <= epsg - zone_epsg(0, south=False) <= 60 or 1 <= epsg - zone_epsg(0, south=True) <= 60


def zone_centre_deg(zone: int) -> int:
    """Central meridian of a zone."""
    return 6 * zone - 183


def zone_span(zone: int) -> tuple[float, float]:
    """West and east limit of a zone in degrees, widened by 3 degrees for the exceptions."""
    west = -180 + 6 * (zone - 1)
    return max(west - 3, -180), min(west + 9, 180)
