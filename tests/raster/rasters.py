"""GeoTIFFs for the tests of the reader, and ways to watch and to spoil them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window

from landmark.raster.reader import Raster, open_raster


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
    """An open raster that notes which blocks are read: (row, column) of blocks, one list a request."""

    def __init__(self, raster: Raster) -> None:
        self.raster, self.requests = raster, list[list[tuple[int, int]]]()
        self._direct, self._gdal = raster._direct, raster._gdal
        self._dataset = self._gdal.dataset
        self.block = self._dataset.block_shapes[0]
        if self._direct:
            self._ranges, self._direct.ranges = self._direct.ranges, self
        else:
            self._gdal._dataset = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def get(self, start: int, end: int, **said: Any) -> Any:
        """Fetch a range, and note the blocks that lie in it."""
        high, wide = self.block
        rows, cols = -(-self._dataset.height // high), -(-self._dataset.width // wide)
        blocks = [(row, col) for row in range(rows) for col in range(cols)]
        places = {block: self._direct._blocks.place(*block) for block in blocks}
        self.requests.append([block for block, (at, size) in places.items() if start <= at and at + size <= end])
        return self._ranges.get(start, end, **said)

    def read(self, band: int, window: Window) -> Any:
        """Read a window, and note its blocks."""
        high, wide = self.block
        rows = range(window.row_off // high, -(-(window.row_off + window.height) // high))
        cols = range(window.col_off // wide, -(-(window.col_off + window.width) // wide))
        self.requests.append([(row, col) for row in rows for col in cols])
        return self._dataset.read(band, window=window)


@contextmanager
def watched(path: Path) -> Iterator[Watched]:
    """A raster on disk, opened and watched."""
    with open_raster(str(path)) as raster:
        yield Watched(raster)
