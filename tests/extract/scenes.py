"""Acquisitions on disk with known pixels, and requests for their chips."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import Provider, load_sensor
from landmark.core.yaml_files import load_model
from landmark.domain.acquisition import Item
from landmark.extract.request import ExtractRequest
from tests.parts import acquisition
from tests.raster.rasters import noise, write_raster

S2, S1 = load_sensor("s2"), load_sensor("s1")
PROVIDER = load_model(Provider, "profiles/providers", "planetary-computer")
FACTOR = {band: group.factor for sensor in (S1, S2) for group in sensor.groups for band in group.bands} | {"SCL": 2}
LEFT, TOP = 600_000.0, 5_040_000.0
SIZE = 240

Pixels = dict[str, NDArray[Any]]


def s2_pixels(size: int = SIZE, seed: int = 0) -> Pixels:
    """All bands and a mask of clear land, without nodata."""
    bands = {band: noise((size // FACTOR[band],) * 2, "uint16", seed + number) for number, band in enumerate(S2.order)}
    return bands | {"SCL": np.full((size // 2, size // 2), 4, "uint8")}


def s1_pixels(size: int = SIZE, seed: int = 0) -> Pixels:
    """Both polarisations, linear power."""
    return {band: noise((size, size), "float32", seed + number) for number, band in enumerate(S1.order)}


def write_item(folder: Path, pixels: Pixels, *, name: str = "one", **options: Any) -> Item:
    """Write one item's rasters; hrefs are relative to the folder."""
    resolution_m = options.pop("resolution_m", 10)
    for band, values in pixels.items():
        write_raster(folder / name / f"{band}.tif", values, **{"pixel_m": resolution_m * FACTOR[band], **options})
    return Item(name, {band: f"{name}/{band}.tif" for band in pixels}, "")


def request_of(
    folder: Path, items: tuple[Item, ...], corners: list[tuple[float, float]], **changes: Any
) -> ExtractRequest:
    """Chips of 120 px with the given (left, top) corners, named from `c00`; `offset_dn` goes to the acquisition."""
    sensor = changes.pop("sensor", S2)
    facts = {name: changes.pop(name) for name in ("offset_dn", "epsg") if name in changes}
    value: dict[str, Any] = {
        "acquisition": acquisition(sensor=sensor.name, items=items, **facts),
        "ids": tuple(f"c{number:02d}" for number in range(len(corners))),
        "corners": tuple(corners),
        "root": f"{folder}/",
        "sensor": sensor,
        "collection": PROVIDER.sensors[sensor.name],
        "patch_px": 120,
        "resolution_m": 10.0,
        "max_chip_pct": 25.0,
        "min_valid_pct": 95.0,
    }
    return ExtractRequest(**value | changes)


def chip_window(pixels: Pixels, band: str, corner: tuple[float, float], size: int = 120) -> NDArray[Any]:
    """The pixels of a band that a chip covers."""
    factor = FACTOR[band]
    row, col = int(TOP - corner[1]) // (10 * factor), int(corner[0] - LEFT) // (10 * factor)
    return pixels[band][row : row + size // factor, col : col + size // factor]
