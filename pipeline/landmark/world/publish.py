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

from landmark.world import events, feeds, items, labels, packages, scenes
from landmark.world.ground import COVER
from landmark.world.places import PLACES
from landmark.world.plane import Plane
from landmark.world.scenes import SWATH_SLANT, Footprint, Pass, Zone, zones
from landmark.world.sensors import (
    BANDS,
    Ground10,
    Radar,
    Sky,
    area_mean,
    backscatter,
    ground10,
    recorded,
    reflectances,
    scene_classes,
    sky,
    sun,
    veil,
)
from landmark.world.window import HALO, View, view

STRIP_ROWS = 384  # rows worked on at once, fewer where rows are long: a multiple of 6, so that 60 m pixels stay whole
STRIP_PX = 3_000_000  # keeps a process under 3 GB
DEGREE_PX = 12_000  # WorldCover's pixels per degree


class Raster:
    """One GeoTIFF under way: rows are appended in any number, whole rows of blocks are written."""

    def __init__(self, path: Path, shape: tuple[int, int], *, transform: Affine, epsg: int, dtype: str, block_px: int,
                 nodata: float | None = None, states: NDArray[Any] | None = None, zlevel: int = 6) -> None:  # fmt: skip
        """Open the file, in a new folder if need be; with `states` (band, state), rows name what all bands hold."""
        path.parent.mkdir(parents=True, exist_ok=True)
        predictor = {"int8": 1, "uint8": 1, "uint16": 2, "float32": 3 if states is None else 1}[dtype]
        self.file = rasterio.open(
            path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1 if states is None else len(states),
            dtype=dtype, crs=f"EPSG:{epsg}", transform=transform, nodata=nodata, tiled=True, blockxsize=block_px,
            blockysize=block_px, compress="deflate", predictor=predictor, zlevel=zlevel, bigtiff="if_safer",
        )  # fmt: skip
        self.block_px, self.written, self.states = block_px, 0, states
        self.waiting = np.zeros((0, shape[1]), dtype if states is None else "uint8")

    def append(self, rows: NDArray[Any]) -> None:
        """Take the next rows."""
        self.waiting = np.concatenate([self.waiting, rows.astype(self.waiting.dtype, copy=False)])
        whole = len(self.waiting) // self.block_px * self.block_px
        self._write(whole if self.written + len(self.waiting) < self.file.height else len(self.waiting))

    def _write(self, count: int) -> None:
        if count:
            window = Window(0, self.written, self.waiting.shape[1], count)
            rows = self.waiting[:count]
            self.file.write(rows[None] if self.states is None else self.states[:, rows], window=window)
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


# -- Sentinel-2 ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PassFiles:
    """One Sentinel-2 acquisition of one tile under way."""

    facts: scenes.SimulatedPass
    sky: Sky
    rasters: dict[str, Raster]
    labels: Raster
    edge_m: float | None
    counts: NDArray[np.int64]


def sentinel_2(zone: Zone, tile: str, out: Path) -> None:
    """Write all acquisitions of one tile; the ground is worked out once for all of them."""
    plane = Plane(zone.lon, zone.lat, zone.epsg)
    west, north = zone.corners[tile]
    with ExitStack() as files, rasterio.Env(GDAL_CACHEMAX=128):
        takes = [_open_take(zone, tile, number, plane, out, files) for number in zone.takes(tile)]
        for top, rows in strips((zone.tile_px, zone.tile_px)):
            strip_2(zone, takes, view(zone, plane, west=west, north=north - 10 * top, shape=(rows, zone.tile_px)))
    for take in takes:
        items.write_sentinel_2(zone, tile, take.facts, counts=take.counts, edge_m=take.edge_m, out=out)


def _open_take(zone: Zone, tile: str, number: int, plane: Plane, out: Path, files: ExitStack) -> PassFiles:
    facts = scenes.simulated_pass(zone, tile, number)
    folder = out / "sentinel-2-l2a" / facts.id
    west, south, east, north = zone.bounds
    at = plane.at(np.arange(west, east, 60.0), np.arange(south, north, 60.0))
    sky_ = sky(facts.datatake, facts.cloud_share, at, seed=zone.seed, where=sun(facts.when, zone.lon, zone.lat))
    rasters = {name: files.enter_context(_band(zone, tile, folder, name)) for name in (*BANDS, "SCL")}
    shown = files.enter_context(_dynamic_world(zone, tile, facts, out))
    return PassFiles(facts, sky_, rasters, shown, scenes.swath_edge_m(zone, number), np.zeros(12, np.int64))


def _dynamic_world(zone: Zone, tile: str, facts: scenes.SimulatedPass, out: Path) -> Raster:
    """Open a Dynamic World image as Earth Engine exports it: no data is NaN, and the header does not say so."""
    (west, north), side = zone.corners[tile], zone.tile_px
    path = out / "labels" / "dynamic-world" / f"{scenes.stamp(facts.when)}_{tile}.tif"
    raster = Raster(path, (side, side), transform=Affine(10.0, 0, west, 0, -10.0, north), epsg=zone.epsg,
                    dtype="float32", block_px=zone.block_px, states=labels.dynamic_world_states())  # fmt: skip
    raster.file.descriptions = (*labels.DYNAMIC_WORLD, "label")
    return raster


def _band(zone: Zone, tile: str, folder: Path, name: str) -> Raster:
    step, (west, north) = items.STEPS[name], zone.corners[tile]
    transform = Affine(10.0 * step, 0, west, 0, -10.0 * step, north)
    shape = (zone.tile_px // step, zone.tile_px // step)
    dtype = "uint8" if name == "SCL" else "uint16"
    path = folder / f"{name}.tif"
    return Raster(path, shape, transform=transform, epsg=zone.epsg, dtype=dtype, block_px=zone.block_px)


def strip_2(zone: Zone, takes: list[PassFiles], seen: View) -> None:
    """Append to all acquisitions of a tile what they show of a window."""
    base, found = ground10(seen, zone.seed), events.find_traces(seen, zone.place, zone.seed)
    for take in takes:
        now, veil_ = events.apply_events(seen, found, take.facts.when), veil(take.sky, seen.at, zone.seed)
        inside, coarse = _swath(zone, seen, take.edge_m), {}
        day = take.facts.when.timetuple().tm_yday
        for band, field in reflectances(now, base, day=day, veil_=veil_, where=take.sky.sun):
            stored = recorded(band, field, now, take=take.facts.datatake, offset=take.facts.offset, seed=zone.seed)
            take.rasters[band].append(stored * _magnified(inside, 6 // BANDS[band]))
            if band in ("B03", "B04", "B8A", "B11"):
                coarse[band] = area_mean(field[HALO:-HALO, HALO:-HALO], 2)
        classes = scene_classes(coarse, now, veil_) * _magnified(inside, 3)
        take.rasters["SCL"].append(classes)
        take.labels.append(labels.dynamic_world(now, classes, take=take.facts.datatake, seed=zone.seed))
        take.counts += np.bincount(classes.ravel(), minlength=12)


def _swath(zone: Zone, seen: View, edge_m: float | None) -> NDArray[np.bool_]:
    """Return which 60 m pixels the instrument saw: those east of the swath's edge."""
    rows, columns = ((length - 2 * HALO) // 6 for length in seen.at[0].shape)
    x = seen.column * 10 + 60 * np.arange(columns) + 30
    y = zone.false_northing_m - seen.row * 10 - 60 * np.arange(rows) - 30
    return np.full((rows, columns), True) if edge_m is None else x[None, :] > edge_m + SWATH_SLANT * y[:, None]


def _magnified(coarse: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    return coarse.repeat(times, axis=0).repeat(times, axis=1)


# -- Sentinel-1, and io-lulc on the same ground -----------------------------------------------------------------------


def sentinel_1(zone: Zone, out: Path) -> None:
    """Write all passes over one zone, each a slanted parallelogram, and its land use each year, from one painting."""
    plane = Plane(zone.lon, zone.lat, zone.epsg)
    passes = [scenes.radar_pass(zone, number) for number in range(len(zone.book["passes"]))]
    both = [(one, scenes.footprint(zone, ascending=one.ascending)) for one in passes]
    west, _, _, north = both[0][1].bounds
    years = [scenes.LandUse(zone, year, both[0][1]) for year in scenes.LAND_USE_YEARS]
    with ExitStack() as files, rasterio.Env(GDAL_CACHEMAX=128):
        rasters = [_open_pass(zone, one, where, out, files) for one, where in both]
        maps = [_open_year(one, out, files) for one in years]
        for top, rows in strips(both[0][1].shape):
            shape = rows, both[0][1].shape[1]
            seen = view(zone, plane, west=west, north=north - 10 * top, shape=shape)
            base, found = ground10(seen, zone.seed), events.find_traces(seen, zone.place, zone.seed)
            for (one, where), pair in zip(both, rasters, strict=True):
                now = events.apply_events(seen, found, one.when)
                _strip_1(zone, now, base, one, inside=where.inside(top, shape), pair=pair)
            for facts, raster in zip(years, maps, strict=True):
                raster.append(labels.land_use(seen, facts.year))
    for one, where in both:
        items.write_sentinel_1(zone, one, where, out=out)
    for facts in years:
        items.write_land_use(facts, out=out)


def _strip_1(
    zone: Zone, seen: View, base: Ground10, one: Pass, *, inside: NDArray[np.bool_], pair: dict[str, Raster]
) -> None:
    radar = Radar(one.id, one.ascending, one.when.timetuple().tm_yday)
    for name, power in backscatter(seen, base, radar, seed=zone.seed).items():
        pair[name].append(np.where(inside, power, np.float32(-32768)))


def _open_pass(zone: Zone, one: Pass, where: Footprint, out: Path, files: ExitStack) -> dict[str, Raster]:
    folder = out / "sentinel-1-rtc" / one.id
    west, _, _, north = where.bounds
    return {
        name: files.enter_context(Raster(
            folder / f"{name}.tif", where.shape, transform=Affine(10.0, 0, west, 0, -10.0, north), epsg=zone.epsg,
            dtype="float32", block_px=zone.block_px, nodata=-32768.0)) for name in ("vv", "vh")
    }  # fmt: skip


def _open_year(facts: scenes.LandUse, out: Path, files: ExitStack) -> Raster:
    (west, _, _, north), zone = facts.where.bounds, facts.zone
    path = out / "io-lulc-annual-v02" / facts.id / facts.file
    return files.enter_context(Raster(
        path, facts.where.shape, transform=Affine(10.0, 0, west, 0, -10.0, north), epsg=zone.epsg, dtype="uint8",
        block_px=zone.block_px, nodata=0))  # fmt: skip


# -- land cover ------------------------------------------------------------------------------------------------------


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
            raster.append(COVER[PLACES[first.place](plane.at(x, y), first.seed).most])
    items.write_worldcover(facts, out=out)


def corine(place: list[Zone], out: Path) -> None:
    """Write CORINE 2018 of one place, as its raster is downloaded."""
    path, (codes, transform) = out / "labels" / "corine" / "U2018_CLC2018_V2020_20u1.tif", labels.corine(place)
    with Raster(path, codes.shape, transform=transform, epsg=labels.CORINE_EPSG, dtype="int8",
                block_px=place[0].block_px, nodata=labels.CORINE_NODATA) as raster:  # fmt: skip
        raster.append(codes)


# -- all -------------------------------------------------------------------------------------------------------------


def units(parameters: dict[str, int]) -> list[tuple[str, ...]]:
    """Return the pieces of work of a world, the longest first; they share nothing."""
    every = sorted(zones(**parameters), key=lambda zone: -len(zone.corners))
    radar = [("s1", str(zone.epsg)) for zone in every]
    cover = [("wc", place) for place in dict.fromkeys(zone.place for zone in every)]
    optical = [("s2", str(zone.epsg), tile) for zone in every for tile in zone.corners]
    return [*radar, ("events",), *cover, *optical, ("clc", "europe")]


def write_unit(work: tuple[str, ...], *, out: Path, parameters: dict[str, int]) -> None:
    """Write one piece of work, items included."""
    every, (kind, *what) = zones(**parameters), work
    held = [zone for zone in every if not what or what[0] in (zone.place, str(zone.epsg))]
    match kind:
        case "s1":
            sentinel_1(held[0], out)
        case "wc":
            worldcover(held, out)
        case "clc":
            corine(held, out)
        case "s2":
            sentinel_2(held[0], what[1], out)
        case "events":
            packages.publish(held, out / "events" / "ems")
            feeds.publish(held, out / "events")
