"""One full-size scene for benchmarks: a patch of the world, mirrored to fill a Sentinel-2 tile."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine

from landmark.world import items, labels, publish, scenes
from landmark.world.geotiff import Raster, RasterSpec
from landmark.world.plane import Plane, rng
from landmark.world.publish import strip_2
from landmark.world.scenes import Footprint, Zone
from landmark.world.sensors import BANDS, Radar, backscatter, ground10, make_sky, sun_position
from landmark.world.window import HALO, View, make_view

TILE = "33TTL"  # reaches across the border of its zone
ACQUISITION = 4  # index in `acquisitions.yaml`: a baseline with offset, before the first event
PASSES = {5: (0, 0), 4: (4, -3)}  # pass: shift of its raster from the 10 m lattice in metres, east and north
MARGIN_M = 50  # of a radar scene around the tile
PATCHES = 6  # along the edge of a tile
NOISE_DN = 256  # amplitude of noise on reflectance, for the compressed size of real files (1.4 bytes per pixel)
DEFLATE_LEVEL = 1  # fast, at nearly the size of real files


class MirroredRaster(Raster):
    """A GeoTIFF filled with mirrored copies of one patch, which is quick to compute."""

    def __init__(
        self, path: Path, zone: Zone, bounds: tuple[int, int, int, int], *, step: int = 1, **options: Any
    ) -> None:
        """Open the file.

        Args:
            path: File to create.
            zone: Zone that supplies the EPSG code, the block size and the seed of the noise.
            bounds: West, south, east, north in metres.
            step: Pixel size in units of 10 m.
            options: Other fields of `RasterSpec`.
        """
        (west, south, east, north), pixel_m = bounds, 10 * step
        self.noise = rng(zone.seed, "noise", path.name)
        shape = (north - south) // pixel_m, (east - west) // pixel_m
        options = {"epsg": zone.epsg, "block_px": zone.block_px, "zlevel": DEFLATE_LEVEL, **options}
        super().__init__(path, RasterSpec(shape, Affine(pixel_m, 0, west, 0, -pixel_m, north), **options))

    def append(self, rows: NDArray[Any]) -> None:
        """Fill the file with mirrored copies of the patch (y, x)."""
        down, across = (
            np.pad(np.arange(length), (0, max(0, size - length)), "symmetric")[:size]
            for length, size in zip(rows.shape, self.file.shape, strict=True)
        )
        for top in range(0, len(down), self.block_px):
            strip = rows[np.ix_(down[top : top + self.block_px], across)]
            noise = self.noise.integers(0, NOISE_DN, strip.shape, np.uint8) if rows.dtype == np.uint16 else None
            super().append(strip if noise is None else strip + noise)


def patch(parameters: dict[str, Any]) -> tuple[Zone, View]:
    """Return a zone with one tile, and the view of a patch at the centre of its place."""
    zone = next(zone for zone in scenes.zones(**parameters) if TILE in zone.corners)
    zone, plane = replace(zone, corners={TILE: zone.corners[TILE]}), Plane(zone.lon, zone.lat, zone.epsg)
    side = zone.tile_px // PATCHES
    west, north = (round(middle / 60) * 60 + offset for middle, offset in ((plane.x, -5 * side), (plane.y, 5 * side)))
    return zone, make_view(zone, plane, west=west, north=north, shape=(side, side))


def sentinel_2(zone: Zone, view: View, out: Path) -> None:
    """Write one acquisition, and its Dynamic World image with the `label` band only."""
    acquisition = scenes.simulated_pass(zone, TILE, ACQUISITION)
    sun = sun_position(acquisition.when, zone.lon, zone.lat)
    sky = make_sky(acquisition.datatake, acquisition.cloud_share, view.at, seed=zone.seed, sun=sun)
    folder = out / "sentinel-2-l2a" / acquisition.id
    with ExitStack() as stack:
        rasters: dict[str, Raster] = {
            name: stack.enter_context(
                MirroredRaster(
                    folder / f"{name}.tif", zone, zone.bounds, step=step, dtype="uint16" if name in BANDS else "uint8"
                )
            )
            for name, step in items.STEPS.items()
        }
        path = out / "labels" / "dynamic-world" / f"{scenes.stamp(acquisition.when)}_{TILE}.tif"
        encoding = labels.dynamic_world_encoding(label_only=True)
        label = stack.enter_context(MirroredRaster(path, zone, zone.bounds, **encoding))
        output = publish.PassFiles(acquisition, sky, rasters, label, None, np.zeros(12, np.int64))
        strip_2(zone, [output], view)
    items.write_sentinel_2(zone, TILE, acquisition, counts=output.counts, edge_m=None, out=out)


def sentinel_1(zone: Zone, view: View, out: Path) -> None:
    """Write one pass aligned to the 10 m lattice and one that is shifted."""
    base = ground10(view, zone.seed)
    for number, (east_m, north_m) in PASSES.items():
        radar_pass, footprint = scenes.radar_pass(zone, number), _footprint(zone, east_m, north_m)
        radar = Radar(radar_pass.id, radar_pass.ascending, radar_pass.when.timetuple().tm_yday)
        for name, power in backscatter(view, base, radar, seed=zone.seed).items():
            path = out / "sentinel-1-rtc" / radar_pass.id / f"{name}.tif"
            with MirroredRaster(path, zone, footprint.bounds, dtype="float32", nodata=-32768.0) as raster:
                raster.append(_fill_mantissa(power, f"{radar_pass.id}/{name}"))
        items.write_sentinel_1(zone, radar_pass, footprint, out=out)


def _footprint(zone: Zone, east_m: int, north_m: int) -> Footprint:
    box = shapely.affinity.translate(shapely.box(*zone.bounds).buffer(MARGIN_M, join_style="mitre"), east_m, north_m)
    west, south, east, north = (round(edge) for edge in box.bounds)
    return Footprint(((west, south), (east, south), (east, north), (west, north)), (west, south, east, north))


def _fill_mantissa(power: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Add noise to the last bits of the mantissa, which the world rounds; real files are large because of them."""
    return power * (1 + np.float32(2**-11) * rng(0, "mantissa", name).random(power.shape, np.float32))


def corine(zone: Zone, view: View, out: Path) -> None:
    """Write land cover with the classes of the patch over the tile, without nodata; it does not match the pixels."""
    box = labels.to_corine_crs(shapely.box(*zone.bounds), zone.epsg).buffer(labels.MARGIN_M)
    west, south, east, north = (round(edge / 100) * 100 for edge in box.bounds)
    codes = labels.GRID_CODE[view.land.dominant[HALO:-HALO, HALO:-HALO][5::10, 5::10]].astype(np.int16)
    codes = labels.generalize(codes, np.ones(codes.shape, bool))
    path = out / "labels" / "corine" / "U2018_CLC2018_V2020_20u1.tif"
    encoding = {"epsg": labels.CORINE_EPSG, "dtype": "int8", "nodata": labels.CORINE_NODATA}
    with MirroredRaster(path, zone, (west, south, east, north), step=10, **encoding) as raster:
        raster.append(codes)


def units(parameters: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the independent work units of the scene, the longest first."""
    return [("s2",), ("s1",)]


def write_unit(unit: tuple[str, ...], *, out: Path, parameters: dict[str, Any]) -> None:
    """Write one work unit, including its items."""
    zone, view = patch(parameters)
    with rasterio.Env(GDAL_CACHEMAX=128):
        if unit == ("s1",):
            sentinel_1(zone, view, out)
        else:
            sentinel_2(zone, view, out)
            corine(zone, view, out)
