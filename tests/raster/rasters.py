"""GeoTIFFs for the tests of the reader, and ways to watch and to corrupt them."""

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
    """Write one band (y, x) or several (band, y, x) as a GeoTIFF in EPSG:32632, by default in deflated tiles of 64."""
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
    with rasterio.open(path, "w", **shape, **({"dtype": pixels.dtype} | profile)) as dataset:
        dataset.write(bands)
    return path


def noise(shape: tuple[int, int], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Random pixels, none of them 0."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.normal(size=shape) ** 2 + 1e-6).astype(dtype)
    return rng.integers(1, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def block_bytes(path: Path, row: int, col: int) -> range:
    """Byte range of a block (row and column of the block) of the first band."""
    with rasterio.open(path) as dataset:
        offset, size = (
            int(dataset.get_tag_item(f"BLOCK_{word}_{col}_{row}", "TIFF", bidx=1)) for word in ("OFFSET", "SIZE")
        )
    return range(offset, offset + size)


def corrupt_block(path: Path, row: int, col: int) -> None:
    """Overwrite the bytes of a block (row and column of the block)."""
    place = block_bytes(path, row, col)
    content = bytearray(path.read_bytes())
    content[place.start : place.stop] = b"\xa5" * len(place)
    path.write_bytes(content)


class WatchedRaster:
    """An open raster that records which blocks are read.

    Attributes:
        requests: Per request, the (row, column) of its blocks.
    """

    def __init__(self, raster: Raster) -> None:
        self.raster, self.requests = raster, list[list[tuple[int, int]]]()
        self._direct, self._gdal = raster._direct, raster._gdal
        self._dataset = self._gdal.dataset
        self.block = self._dataset.block_shapes[0]
        if self._direct:
            self._ranges, self._direct.ranges = self._direct.ranges, self
        else:
            self._gdal._dataset = self

    def release(self) -> None:
        """Undo the changes to the raster: in a reference cycle, its file would stay open."""
        if self._direct:
            self._direct.ranges = self._ranges
        else:
            self._gdal._dataset = self._dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def get(self, start: int, end: int, **options: Any) -> Any:
        """Fetch a range, and record the blocks in it."""
        height, width = self.block
        rows, cols = -(-self._dataset.height // height), -(-self._dataset.width // width)
        blocks = [(row, col) for row in range(rows) for col in range(cols)]
        places = {block: self._direct.layout.locate(*block) for block in blocks}
        inside = [block for block, (offset, size) in places.items() if start <= offset and offset + size <= end]
        self.requests.append(inside)
        return self._ranges.get(start, end, **options)

    def read(self, band: int, window: Window) -> Any:
        """Read a window, and record its blocks."""
        height, width = self.block
        rows = range(window.row_off // height, -(-(window.row_off + window.height) // height))
        cols = range(window.col_off // width, -(-(window.col_off + window.width) // width))
        self.requests.append([(row, col) for row in rows for col in cols])
        return self._dataset.read(band, window=window)


@contextmanager
def watched(path: Path) -> Iterator[WatchedRaster]:
    """Open a local raster and record its reads."""
    with open_raster(str(path)) as raster:
        seen = WatchedRaster(raster)
        yield seen
        seen.release()
