"""Write GeoTIFFs row by row: tiled, compressed, without overviews."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window


@dataclass(frozen=True, slots=True)
class RasterSpec:
    """Grid and encoding of a GeoTIFF.

    Attributes:
        shape: Rows and columns.
        transform: Affine transform of the grid.
        epsg: Coordinate reference system.
        dtype: Data type of the file.
        block_px: Edge of a block in pixels.
        nodata: Nodata value in the header.
        states: Lookup table (band, state): appended rows hold indices into it. None: one band, appended as values.
        zlevel: Compression level of deflate.
    """

    shape: tuple[int, int]
    transform: Affine
    epsg: int
    dtype: str
    block_px: int
    nodata: float | None = None
    states: NDArray[Any] | None = None
    zlevel: int = 6


class Raster:
    """A GeoTIFF open for writing: accepts any number of rows at a time and writes complete block rows."""

    def __init__(self, path: Path, spec: RasterSpec) -> None:
        """Open the file and create its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        states, (height, width) = spec.states, spec.shape
        predictor = {"int8": 1, "uint8": 1, "uint16": 2, "float32": 3 if states is None else 1}[spec.dtype]
        self.file = rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=1 if states is None else len(states),
            dtype=spec.dtype, crs=f"EPSG:{spec.epsg}", transform=spec.transform, nodata=spec.nodata, tiled=True,
            blockxsize=spec.block_px, blockysize=spec.block_px, compress="deflate", predictor=predictor,
            zlevel=spec.zlevel, bigtiff="if_safer",
        )  # fmt: skip
        self.block_px, self.written, self.states = spec.block_px, 0, states
        self.buffer = np.zeros((0, width), spec.dtype if states is None else "uint8")

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows (y, x)."""
        self.buffer = np.concatenate([self.buffer, rows.astype(self.buffer.dtype, copy=False)])
        complete = len(self.buffer) // self.block_px * self.block_px
        self._write(complete if self.written + len(self.buffer) < self.file.height else len(self.buffer))

    def _write(self, count: int) -> None:
        if count:
            window = Window(0, self.written, self.buffer.shape[1], count)
            rows = self.buffer[:count]
            self.file.write(rows[None] if self.states is None else self.states[:, rows], window=window)
            self.written, self.buffer = self.written + count, self.buffer[count:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
