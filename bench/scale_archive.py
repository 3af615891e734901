"""Archives of 1, 4 and 16 tiles, to measure how the cost of a build grows with its samples.

The tiles adjoin in one zone. Their files hold the same pixels, as large as those of real files, at places of their own.
"""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import tifffile

from bench.scene import CELL_M
from landmark.world import full, items, scenes
from landmark.world.scenes import Zone
from landmark.world.window import View

EDGES = (1, 2, 4)  # tiles along the edge of an archive
CELLS = 36  # along the edge of a tile
BLOCK_PX = 512
_IMAGES, _LABELS = "sentinel-2-l2a", "labels/dynamic-world"


def make_archives(
    folder: Path, edges: Iterable[int] = EDGES, *, cells: int = CELLS, block_px: int = BLOCK_PX
) -> dict[int, Path]:
    """Make an archive of `edge` x `edge` tiles for each edge; return the folders by their number of tiles.

    Args:
        folder: Receives the archives.
        edges: Tiles along the edge of each archive.
        cells: Cells along the edge of a tile; tile_px, ten times as many pixels as metres, is a multiple of 36.
        block_px: Edge of the GeoTIFF blocks in pixels.
    """
    zone, view = full.patch({"tile_px": cells * CELL_M // 10, "block_px": block_px, "seed": 0})
    with rasterio.Env(GDAL_CACHEMAX=128):
        full.sentinel_2(zone, view, folder / "tile")
        archives = {edge**2: _make_archive(folder / f"{edge**2}", folder / "tile", zone, view, edge) for edge in edges}
    shutil.rmtree(folder / "tile")
    return archives


def _make_archive(folder: Path, template: Path, zone: Zone, view: View, edge: int) -> Path:
    (west, north), size_m = zone.corners[full.TILE], 10 * zone.tile_px
    for row in range(edge):
        for column in range(edge):
            # Named as the squares of MGRS are, in order.
            tile = f"33T{'TUVWXYZ'[column]}{'LKJHGFE'[row]}"
            corner = west + column * size_m, north - row * size_m
            _add_tile(folder, template, replace(zone, corners={tile: corner}), tile)
    full.corine(replace(zone, tile_px=edge * zone.tile_px), view, folder)
    items.write_catalog(folder)
    return folder


def _add_tile(folder: Path, template: Path, zone: Zone, tile: str) -> None:
    """Copy image and label map of the first tile to another place, with an item of its own."""
    acquisition = scenes.simulated_pass(zone, tile, full.ACQUISITION)
    (image,), (label,) = ((template / name).iterdir() for name in (_IMAGES, _LABELS))
    target = folder / _IMAGES / acquisition.id
    shutil.copytree(image, target, ignore=shutil.ignore_patterns("*.json"))
    (folder / _LABELS).mkdir(parents=True, exist_ok=True)
    moved_label = shutil.copy(label, folder / _LABELS / label.name.replace(full.TILE, tile))
    for path in (*target.iterdir(), moved_label):
        _move(path, zone.corners[tile])
    with rasterio.open(target / "SCL.tif") as mask:
        counts = np.bincount(mask.read(1).ravel(), minlength=12)
    items.write_sentinel_2(zone, tile, acquisition, counts=counts, edge_m=None, out=folder)


def _move(path: Path, corner: tuple[int, int]) -> None:
    """Change the upper left corner of a GeoTIFF, in metres; its pixels are left as they are."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["ModelTiepointTag"].overwrite((0.0, 0.0, 0.0, *map(float, corner), 0.0))
