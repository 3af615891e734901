"""Coordinates from one CRS to another, x before y (longitude before latitude) always."""

from functools import cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

LONLAT = 4326


@cache
def transformer(source: int, target: int) -> Transformer:
    """From one EPSG code to another."""
    return Transformer.from_crs(source, target, always_xy=True)


def projected(geometry: BaseGeometry, source: int, target: int) -> BaseGeometry:
    """A geometry's vertices in another CRS; straight edges stay straight, so segmentize long ones first."""

    def turn(points: NDArray[np.float64]) -> NDArray[np.float64]:
        columns: Any = transformer(source, target).transform(points[:, 0], points[:, 1])
        return np.stack(columns, axis=1)

    return shapely.transform(geometry, turn)
