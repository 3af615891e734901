"""GeoTIFFs for the tests of the reader, and ways to watch and to spoil them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window


def write_raster(
    path: Path, pixels: NDArray[Any], *, origin=(600_000.0, 5_040_000.0), pixel_m=10.0, **options: Any
) -> Path:
    """One band (y, x) or several (band, y, x) as a GeoTIFF in EPSG:32632, tiled by 64 and deflated by default."""
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:32632",
        "transform": Affine(pixel_m, 0, origin[0], 0, -pixel_m, origin[1]),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
    }
    profile |= options
    if not profile["tiled"]:
        profile.pop("blockxsize")
    if profile["blockysize"] is None:
        profile.pop("blockysize")
    profile = {name: value for name, value in profile.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = pixels if pixels.ndim == 3 else pixels[None]
    count, height, width = bands.shape
    shape = {"count": count, "height": height, "width": width}
    with rasterio.open(path, "w", **shape, **({"dtype": pixels.dtype} | profile)) as to:
        to.write(bands)
    return path


def noise(shape: tuple[int, int], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Pixels that compress badly and repeat nowhere, none of them 0."""
    chance = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (chance.normal(size=shape) ** 2 + 1e-6).astype(dtype)
    return chance.integers(1, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def block_bytes(path: Path, row: int, col: int) -> range:
    """The bytes of the file that hold one block (row and column of the block) of the first band."""
    with rasterio.open(path) as data:
        offset, size = (
            int(data.get_tag_item(f"BLOCK_{word}_{col}_{row}", "TIFF", bidx=1)) for word in ("OFFSET", "SIZE")
        )
    return range(offset, offset + size)


def spoil(path: Path, row: int, col: int) -> None:
    """Overwrite the bytes of one block (row and column of the block) with nonsense."""
    place = block_bytes(path, row, col)
    content = bytearray(path.read_bytes())
    content[place.start : place.stop] = b"\xa5" * len(place)
    path.write_bytes(content)


class Watched:
    """A dataset that passes every call on and notes the windows it was asked for."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.windows: list[Window] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def read(self, band: int, window: Window) -> Any:
        """Read, and note it."""
        self.windows.append(window)
        return self._dataset.read(band, window=window)
