"""Grid, region, time and splits of a recipe, by the images it is for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from landmark.config.profiles import load_sensor
from landmark.config.recipe import SPLITS
from landmark.core.errors import InputError
from landmark.domain.acquisition import Acquisition

_PATCH_PX = 120
_MAX_BOXES = 100
# Blocks that a corpus should have, so that its splits get their shares; and edge of the default block in cells.
_BLOCKS, _MAX_BLOCK_CELLS = 30, 20
# UTM zones of the south count northings from 10,000 km south of the equator.
_SOUTH, _SOUTH_M = 327, 10_000_000
_TOLERANCE = 1e-3


def describe_images(images: Mapping[str, Sequence[Acquisition]], resolution_m: float, *, file: str) -> dict[str, Any]:
    """Grid, region, time, sizes and splits of a recipe for images (by sensor); `file` is named in errors.

    Raises:
        InputError: the images are too small.
    """
    everything = [image for acquisitions in images.values() for image in acquisitions]
    patch_px = min(_PATCH_PX, *(size // 6 * 6 for image in everything for size in image.size_px))
    if patch_px < 6:
        raise InputError("the images have fewer than 6 pixels along an edge", file=file)
    days = [image.datetime.date() for image in everything]
    return {
        "grid": _grid(images, patch_px),
        "region": {"bbox": _boxes(everything)},
        "time": {"start": min(days).isoformat(), "end": max(days).isoformat(), "period": "year"},
        "sensors": sorted(images),
        "patch_px": patch_px,
        "resolution_m": int(resolution_m) if resolution_m == int(resolution_m) else resolution_m,
        "splits": _splits(everything, patch_px),
    }


def _grid(images: Mapping[str, Sequence[Acquisition]], patch_px: int) -> str:
    """`utm` if every image that is not resampled lies on the lattice of its coarsest bands, and holds a cell of it."""
    for sensor, acquisitions in images.items():
        profile = load_sensor(sensor)
        for image in acquisitions:
            if min(image.size_px) < 2 * patch_px:
                return "source"
            step_m = max(group.factor for group in profile.groups) * image.pixel_m
            left, top = image.origin[0], image.origin[1] - (_SOUTH_M if image.epsg // 100 == _SOUTH else 0)
            if not profile.warped and any(
                abs(edge / step_m - round(edge / step_m)) > _TOLERANCE for edge in (left, top)
            ):
                return "source"
    return "utm"


def _boxes(images: Sequence[Acquisition]) -> list[list[float]]:
    """Boxes around the images' footprints in degrees, rounded outwards; one around all if there are many."""
    area = shapely.union_all([image.footprint for image in images])
    parts = shapely.get_parts(area)
    parts = parts if len(parts) <= _MAX_BOXES else np.array([area])
    return [
        [
            math.floor(west * 1e4) / 1e4,
            math.floor(south * 1e4) / 1e4,
            math.ceil(east * 1e4) / 1e4,
            math.ceil(north * 1e4) / 1e4,
        ]
        for west, south, east, north in (part.bounds for part in parts)
    ]


def _splits(images: Sequence[Acquisition], patch_px: int) -> dict[str, Any]:
    """Blocks so small that there are enough of them for three splits."""
    cell_m = patch_px * images[0].pixel_m
    areas = {image.origin: math.prod(image.size_px) * image.pixel_m**2 for image in images}
    edge = math.isqrt(int(sum(areas.values()) / cell_m**2 / _BLOCKS))
    block_cells = min(max(1, edge), _MAX_BLOCK_CELLS)
    buffer_m = 1_200 if block_cells == _MAX_BLOCK_CELLS else 0
    shares = (80, 10, 10) if edge else (60, 20, 20)
    return {
        **dict(zip(SPLITS, shares, strict=True)),
        "balance": "classes",
        "block_m": round(block_cells * cell_m),
        "buffer_m": buffer_m,
    }
