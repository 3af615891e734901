"""Rasters of the world: which there are, where they lie, and their pixels, worked out strip by strip.

They are tiled GeoTIFFs without overviews: nothing here reads them coarser than they are, and a demo should start soon.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.windows import Window

from landmark.world import items, scenes
from landmark.world.ground import Land
from landmark.world.places import PLACES
from landmark.world.plane import F, Plane
from landmark.world.scenes import SWATH_SLANT, Footprint, Pass, Zone, zones
from landmark.world.sensors import (
    BANDS,
    HALO,
    Ground10,
    Radar,
    Sky,
    View,
    area_mean,
    backscatter,
    ground10,
    recorded,
    reflectances,
    scene_classes,
    sky,
    sun,
    veil,
)  # fmt: skip

STRIP_ROWS = 384  # rows worked on at once, fewer where rows are long: a multiple of 6, so that 60 m pixels stay whole
STRIP_PX = 3_000_000  # keeps a process under 3 GB
DEGREE_PX = 12_000  # WorldCover's pixels per degree


class Raster:
    """One GeoTIFF under way: rows are appended in any number, whole rows of blocks are written."""

    def __init__(self, path: Path, shape: tuple[int, int], *, transform: Affine, epsg: int, dtype: str, block_px: int,
                 nodata: float | None = None) -> None:  # fmt: skip
        """Open the file; a float raster gets the floating-point predictor."""
        predictor = {"uint8": 1, "uint16": 2, "float32": 3}[dtype]
        self.file = rasterio.open(
            path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype=dtype, crs=f"EPSG:{epsg}",
            transform=transform, nodata=nodata, tiled=True, blockxsize=block_px, blockysize=block_px,
            compress="deflate", predictor=predictor, zlevel=6, bigtiff="if_safer",
        )  # fmt: skip
        self.block_px, self.written = block_px, 0
        self.waiting = np.zeros((0, shape[1]), dtype)

    def append(self, rows: NDArray[Any]) -> None:
        """Take the next rows."""
        self.waiting = np.concatenate([self.waiting, rows.astype(self.waiting.dtype, copy=False)])
        whole = len(self.waiting) // self.block_px * self.block_px
        self._write(whole if self.written + len(self.waiting) < self.file.height else len(self.waiting))

    def _write(self, count: int) -> None:
        if count:
            window = Window(0, self.written, self.waiting.shape[1], count)
            self.file.write(self.waiting[:count], 1, window=window)
            self.written, self.waiting = self.written + count, self.waiting[count:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()


def strips(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield first row and number of rows of the strips that a raster is worked on in."""
    step = min(STRIP_ROWS, max(60, STRIP_PX // shape[1] // 6 * 6))
    yield from ((top, min(step, shape[0] - top)) for top in range(0, shape[0], step))


def view(zone: Zone, plane: Plane, *, west: int, north: int, shape: tuple[int, int]) -> View:
    """Return the land under a window of a zone's 10 m lattice, and a halo about it."""
    x = west + 10.0 * (np.arange(shape[1] + 2 * HALO) - HALO) + 5
    y = north - 10.0 * (np.arange(shape[0] + 2 * HALO) - HALO) - 5
    at = plane.at(x, y)
    return View(_land(zone.place, at, zone.seed), at, (zone.false_northing_m - north) // 10, west // 10)


def _land(place: str, at: tuple[F, F], seed: int) -> Land:
    return PLACES[place](at, seed)


# -- Sentinel-2 ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Take:
    """One Sentinel-2 acquisition of one tile under way."""

    facts: scenes.Take
    sky: Sky
    rasters: dict[str, Raster]
    edge_m: float | None
    counts: NDArray[np.int64]


def sentinel_2(zone: Zone, tile: str, out: Path) -> None:
    """Write all acquisitions of one tile; the ground is worked out once for all of them."""
    plane = Plane(zone.lon, zone.lat, zone.epsg)
    west, north = zone.corners[tile]
    with ExitStack() as files, rasterio.Env(GDAL_CACHEMAX=128):
        takes = [_open_take(zone, tile, number, plane, out, files) for number in range(len(zone.book["takes"]))]
        for top, rows in strips((zone.tile_px, zone.tile_px)):
            _strip_2(zone, takes, view(zone, plane, west=west, north=north - 10 * top, shape=(rows, zone.tile_px)))
    for take in takes:
        items.write_sentinel_2(zone, tile, take.facts, counts=take.counts, edge_m=take.edge_m, out=out)


def _open_take(zone: Zone, tile: str, number: int, plane: Plane, out: Path, files: ExitStack) -> Take:
    facts = scenes.take(zone, tile, number)
    folder = out / "sentinel-2-l2a" / facts.id
    folder.mkdir(parents=True)
    west, south, east, north = zone.bounds
    at = plane.at(np.arange(west, east, 60.0), np.arange(south, north, 60.0))
    sky_ = sky(facts.datatake, facts.cloud_share, at, seed=zone.seed, where=sun(facts.when, zone.lon, zone.lat))
    rasters = {name: files.enter_context(_band(zone, tile, folder, name)) for name in (*BANDS, "SCL")}
    return Take(facts, sky_, rasters, scenes.swath_edge_m(zone, number), np.zeros(12, np.int64))


def _band(zone: Zone, tile: str, folder: Path, name: str) -> Raster:
    step, (west, north) = items.STEPS[name], zone.corners[tile]
    transform = Affine(10.0 * step, 0, west, 0, -10.0 * step, north)
    shape = (zone.tile_px // step, zone.tile_px // step)
    dtype = "uint8" if name == "SCL" else "uint16"
    path = folder / f"{name}.tif"
    return Raster(path, shape, transform=transform, epsg=zone.epsg, dtype=dtype, block_px=zone.block_px)


def _strip_2(zone: Zone, takes: list[Take], seen: View) -> None:
    base = ground10(seen, zone.seed)
    for take in takes:
        veil_ = veil(take.sky, seen.at, zone.seed)
        inside, coarse = _swath(zone, seen, take.edge_m), {}
        day = take.facts.when.timetuple().tm_yday
        for band, field in reflectances(seen, base, day=day, veil_=veil_, where=take.sky.sun):
            stored = recorded(band, field, seen, take=take.facts.datatake, offset=take.facts.offset, seed=zone.seed)
            take.rasters[band].append(stored * _magnified(inside, 6 // BANDS[band]))
            if band in ("B03", "B04", "B8A", "B11"):
                coarse[band] = area_mean(field[HALO:-HALO, HALO:-HALO], 2)
        classes = scene_classes(coarse, seen, veil_) * _magnified(inside, 3)
        take.rasters["SCL"].append(classes)
        take.counts += np.bincount(classes.ravel(), minlength=12)


def _swath(zone: Zone, seen: View, edge_m: float | None) -> NDArray[np.bool_]:
    """Return which 60 m pixels the instrument saw: those east of the swath's edge."""
    rows, columns = ((length - 2 * HALO) // 6 for length in seen.at[0].shape)
    x = seen.column * 10 + 60 * np.arange(columns) + 30
    y = zone.false_northing_m - seen.row * 10 - 60 * np.arange(rows) - 30
    return np.full((rows, columns), True) if edge_m is None else x[None, :] > edge_m + SWATH_SLANT * y[:, None]


def _magnified(coarse: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    return coarse.repeat(times, axis=0).repeat(times, axis=1)


# -- Sentinel-1 ------------------------------------------------------------------------------------------------------


def sentinel_1(zone: Zone, out: Path) -> None:
    """Write all passes over one zone, each a slanted parallelogram; the ground is worked out once for all of them."""
    plane = Plane(zone.lon, zone.lat, zone.epsg)
    passes = [scenes.radar_pass(zone, number) for number in range(len(zone.book["passes"]))]
    both = [(one, scenes.footprint(zone, ascending=one.ascending)) for one in passes]
    west, _, _, north = both[0][1].bounds
    with ExitStack() as files, rasterio.Env(GDAL_CACHEMAX=128):
        rasters = [_open_pass(zone, one, where, out, files) for one, where in both]
        for top, rows in strips(both[0][1].shape):
            shape = rows, both[0][1].shape[1]
            seen = view(zone, plane, west=west, north=north - 10 * top, shape=shape)
            base = ground10(seen, zone.seed)
            for (one, where), pair in zip(both, rasters, strict=True):
                _strip_1(zone, seen, base, one, inside=where.inside(top, shape), pair=pair)
    for one, where in both:
        items.write_sentinel_1(zone, one, where, out=out)


def _strip_1(
    zone: Zone, seen: View, base: Ground10, one: Pass, *, inside: NDArray[np.bool_], pair: dict[str, Raster]
) -> None:
    radar = Radar(one.id, one.ascending, one.when.timetuple().tm_yday)
    for name, power in backscatter(seen, base, radar, seed=zone.seed).items():
        pair[name].append(np.where(inside, power, np.float32(-32768)))


def _open_pass(zone: Zone, one: Pass, where: Footprint, out: Path, files: ExitStack) -> dict[str, Raster]:
    folder = out / "sentinel-1-rtc" / one.id
    folder.mkdir(parents=True)
    west, _, _, north = where.bounds
    return {
        name: files.enter_context(Raster(
            folder / f"{name}.tif", where.shape, transform=Affine(10.0, 0, west, 0, -10.0, north), epsg=zone.epsg,
            dtype="float32", block_px=zone.block_px, nodata=-32768.0)) for name in ("vv", "vh")
    }  # fmt: skip


# -- WorldCover ------------------------------------------------------------------------------------------------------


def worldcover(place: list[Zone], out: Path) -> None:
    """Write the truth of one place, sampled at the centres of WorldCover's own pixels."""
    first = place[0]
    plane = Plane(first.lon, first.lat, 3395)  # World Mercator: conformal, and apart in longitude and latitude
    left, bottom, right, top = scenes.worldcover_bounds_px(place, DEGREE_PX)
    to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3395", always_xy=True)
    lon = (np.arange(left, right) + 0.5) / DEGREE_PX
    x = np.asarray(to_mercator.transform(lon, np.full(lon.shape, first.lat))[0])
    facts = scenes.Cover(first.place, (left, bottom, right, top), DEGREE_PX)
    folder = out / "esa-worldcover" / facts.id
    folder.mkdir(parents=True)
    shape, pixel = (top - bottom, right - left), 1 / DEGREE_PX
    transform = Affine(pixel, 0, left / DEGREE_PX, 0, -pixel, top / DEGREE_PX)
    path, block_px = folder / f"{facts.id}_Map.tif", first.block_px
    with (
        rasterio.Env(GDAL_CACHEMAX=128),
        Raster(path, shape, transform=transform, epsg=4326, dtype="uint8", block_px=block_px, nodata=0) as raster,
    ):
        raster.file.write_colormap(1, items.worldcover_colours())
        for down, rows in strips(shape):
            lat = (top - down - np.arange(rows) - 0.5) / DEGREE_PX
            y = np.asarray(to_mercator.transform(np.full(lat.shape, first.lon), lat)[1])
            raster.append(_land(first.place, plane.at(x, y), first.seed).cover)
    items.write_worldcover(facts, out=out)


# -- all -------------------------------------------------------------------------------------------------------------


def units(parameters: dict[str, int]) -> list[tuple[str, ...]]:
    """Return the pieces of work of a world, the longest first; they share nothing."""
    every = sorted(zones(**parameters), key=lambda zone: -len(zone.corners))
    radar = [("s1", str(zone.epsg)) for zone in every]
    truth = [("wc", place) for place in dict.fromkeys(zone.place for zone in every)]
    optical = [("s2", str(zone.epsg), tile) for zone in every for tile in zone.corners]
    return [*radar, *truth, *optical]


def write_unit(work: tuple[str, ...], *, out: Path, parameters: dict[str, int]) -> None:
    """Write one piece of work, items included."""
    every, (kind, *what) = zones(**parameters), work
    if kind == "wc":
        worldcover([zone for zone in every if zone.place == what[0]], out)
        return
    zone = next(zone for zone in every if str(zone.epsg) == what[0])
    sentinel_2(zone, what[1], out) if kind == "s2" else sentinel_1(zone, out)
