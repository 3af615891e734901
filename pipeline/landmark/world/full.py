"""One scene as large as real ones, for benches: a patch of the world, mirrored until it fills a Sentinel-2 tile."""

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
from landmark.world.plane import Plane, rng
from landmark.world.publish import Raster, strip_2
from landmark.world.scenes import Footprint, Zone
from landmark.world.sensors import BANDS, Radar, backscatter, ground10, sky, sun
from landmark.world.window import HALO, View, view

TILE = "33TTL"  # it reaches across the border of its zone
TAKE = 4  # of the tile, in `acquisitions.yaml`: an offset is in its numbers, and no event has touched it yet
PASSES = {5: (0, 0), 4: (4, -3)}  # pass → metres by which its raster lies off the 10 m lattice, eastward and northward
MARGIN_M = 50  # by which a radar scene reaches beyond the tile
MIRRORED = 6  # patches along the edge of a tile
NOISE_DN = 256  # added to reflectance: the world is smoother than the Earth, and real files have 1.4 bytes a pixel
QUICK = 1  # the level of deflate: two processes make the scene in a few minutes, at nearly the size real files have


class Quilt(Raster):
    """A GeoTIFF filled with one patch, mirrored at its edges: as real close by, and made in no time."""

    def __init__(self, path: Path, zone: Zone, bounds: tuple[int, int, int, int], **how: Any) -> None:
        """Open the file; `bounds` are west, south, east, north in metres, pixels 10 m unless `step` says how many."""
        (west, south, east, north), pixel_m = bounds, 10 * how.pop("step", 1)
        transform = Affine(pixel_m, 0, west, 0, -pixel_m, north)
        self.noise = rng(zone.seed, "noise", path.name)
        shape = (north - south) // pixel_m, (east - west) // pixel_m
        super().__init__(
            path, shape, transform=transform, block_px=zone.block_px, zlevel=QUICK, **{"epsg": zone.epsg, **how}
        )

    def append(self, rows: NDArray[Any]) -> None:
        """Take the patch and fill the file with it."""
        down, across = (
            np.pad(np.arange(length), (0, max(0, whole - length)), "symmetric")[:whole]
            for length, whole in zip(rows.shape, self.file.shape, strict=True)
        )
        for top in range(0, len(down), self.block_px):
            strip = rows[np.ix_(down[top : top + self.block_px], across)]
            noise = self.noise.integers(0, NOISE_DN, strip.shape, np.uint8) if rows.dtype == np.uint16 else None
            super().append(strip if noise is None else strip + noise)


def ground(parameters: dict[str, int]) -> tuple[Zone, View]:
    """Return a zone of one tile, and the patch about the middle of its place."""
    zone = next(zone for zone in scenes.zones(**parameters) if TILE in zone.corners)
    zone, plane = replace(zone, corners={TILE: zone.corners[TILE]}), Plane(zone.lon, zone.lat, zone.epsg)
    side = zone.tile_px // MIRRORED
    west, north = (round(middle / 60) * 60 + off for middle, off in ((plane.x, -5 * side), (plane.y, 5 * side)))
    return zone, view(zone, plane, west=west, north=north, shape=(side, side))


def sentinel_2(zone: Zone, seen: View, out: Path) -> None:
    """Write one acquisition, and Dynamic World of that moment as its `label` band alone."""
    facts = scenes.simulated_pass(zone, TILE, TAKE)
    light = sun(facts.when, zone.lon, zone.lat)
    sky_ = sky(facts.datatake, facts.cloud_share, seen.at, seed=zone.seed, where=light)
    folder = out / "sentinel-2-l2a" / facts.id
    shown = np.nan_to_num(labels.dynamic_world_states()[-1:], nan=255).astype(np.uint8)
    with ExitStack() as files:
        rasters: dict[str, Raster] = {
            name: files.enter_context(
                Quilt(
                    folder / f"{name}.tif", zone, zone.bounds, step=step, dtype="uint16" if name in BANDS else "uint8"
                )
            )
            for name, step in items.STEPS.items()
        }
        path = out / "labels" / "dynamic-world" / f"{scenes.stamp(facts.when)}_{TILE}.tif"
        label = files.enter_context(Quilt(path, zone, zone.bounds, dtype="uint8", nodata=255, states=shown))
        take = publish.PassFiles(facts, sky_, rasters, label, None, np.zeros(12, np.int64))
        strip_2(zone, [take], seen)
    items.write_sentinel_2(zone, TILE, facts, counts=take.counts, edge_m=None, out=out)


def sentinel_1(zone: Zone, seen: View, out: Path) -> None:
    """Write a pass whose raster lies on the 10 m lattice and one whose raster does not."""
    base = ground10(seen, zone.seed)
    for number, (east_m, north_m) in PASSES.items():
        one, where = scenes.radar_pass(zone, number), _footprint(zone, east_m, north_m)
        radar = Radar(one.id, one.ascending, one.when.timetuple().tm_yday)
        for name, power in backscatter(seen, base, radar, seed=zone.seed).items():
            path = out / "sentinel-1-rtc" / one.id / f"{name}.tif"
            with Quilt(path, zone, where.bounds, dtype="float32", nodata=-32768.0) as raster:
                raster.append(_unrounded(power, f"{one.id}/{name}"))
        items.write_sentinel_1(zone, one, where, out=out)


def _footprint(zone: Zone, east_m: int, north_m: int) -> Footprint:
    box = shapely.affinity.translate(shapely.box(*zone.bounds).buffer(MARGIN_M, join_style="mitre"), east_m, north_m)
    west, south, east, north = (round(edge) for edge in box.bounds)
    return Footprint(((west, south), (east, south), (east, north), (west, north)), (west, south, east, north))


def _unrounded(power: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Fill the mantissa's last bits, which the world rounds away: real files are as large as they are by these."""
    return power * (1 + np.float32(2**-11) * rng(0, "mantissa", name).random(power.shape, np.float32))


def corine(zone: Zone, seen: View, out: Path) -> None:
    """Write land cover of the patch's kinds over the whole tile, without nodata; not of the very ground."""
    box = labels.european(shapely.box(*zone.bounds), zone.epsg).buffer(labels.MARGIN_M)
    west, south, east, north = (round(edge / 100) * 100 for edge in box.bounds)
    codes = labels.GRID_CODE[seen.land.most[HALO:-HALO, HALO:-HALO][5::10, 5::10]].astype(np.int16)
    codes = labels.generalised(codes, np.ones(codes.shape, bool))
    path = out / "labels" / "corine" / "U2018_CLC2018_V2020_20u1.tif"
    how = {"step": 10, "epsg": labels.CORINE_EPSG, "dtype": "int8", "nodata": labels.CORINE_NODATA}
    with Quilt(path, zone, (west, south, east, north), **how) as raster:
        raster.append(codes)


def units(parameters: dict[str, int]) -> list[tuple[str, ...]]:
    """Return the pieces of work of the scene, the longest first; they share nothing."""
    return [("s2",), ("s1",)]


def write_unit(work: tuple[str, ...], *, out: Path, parameters: dict[str, int]) -> None:
    """Write one piece of work, items included."""
    zone, seen = ground(parameters)
    with rasterio.Env(GDAL_CACHEMAX=128):
        if work == ("s1",):
            sentinel_1(zone, seen, out)
        else:
            sentinel_2(zone, seen, out)
            corine(zone, seen, out)
