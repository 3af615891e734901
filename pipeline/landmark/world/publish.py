"""Write the rasters and items of the world, computed strip by strip. Files have no overviews, as nothing reads them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from landmark.core.crs import transformer
from landmark.world import events, feeds, items, labels, packages, planet, scenes
from landmark.world.geotiff import Raster, RasterSpec
from landmark.world.ground import COVER
from landmark.world.labels import KindsAt
from landmark.world.places import paint
from landmark.world.plane import F, Plane
from landmark.world.scenes import SWATH_SLANT, Footprint, Pass, Zone
from landmark.world.sensors import (
    BANDS,
    Ground10,
    Radar,
    Sky,
    area_mean,
    backscatter,
    ground10,
    make_sky,
    make_veil,
    record_band,
    reflectances,
    scene_classes,
    sun_position,
)
from landmark.world.window import HALO, Painter, View

STRIP_ROWS = 432  # maximum height of a strip, a multiple of 6 for the 60 m bands
STRIP_PX = 3_000_000  # maximum size of a strip, for less than 3 GB per process
DEGREE_PX = 12_000  # WorldCover's pixels per degree


def strips(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each strip of a raster."""
    step = min(STRIP_ROWS, max(60, STRIP_PX // shape[1] // 6 * 6))
    yield from ((top, min(step, shape[0] - top)) for top in range(0, shape[0], step))


# -- Sentinel-2 ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PassFiles:
    """The open files of one Sentinel-2 acquisition of a tile, and its pixels per scene class (12,)."""

    acquisition: scenes.SimulatedPass
    sky: Sky
    rasters: dict[str, Raster]
    labels: Raster
    edge_m: float | None
    counts: NDArray[np.int64]


def sentinel_2(painter: Painter, tile: str, out: Path) -> None:
    """Write all acquisitions of one tile; the land is painted once for all of them."""
    zone, plane = painter.zone, painter.plane
    west, north = zone.corners[tile]
    with ExitStack() as stack, rasterio.Env(GDAL_CACHEMAX=128):
        outputs = [_open_pass_files(zone, tile, number, plane, out, stack) for number in zone.acquisition_numbers(tile)]
        for top, rows in strips((zone.tile_px, zone.tile_px)):
            strip_2(zone, outputs, painter.view(west=west, north=north - 10 * top, shape=(rows, zone.tile_px)))
    for output in outputs:
        items.write_sentinel_2(zone, tile, output.acquisition, counts=output.counts, edge_m=output.edge_m, out=out)


def _open_pass_files(zone: Zone, tile: str, number: int, plane: Plane, out: Path, stack: ExitStack) -> PassFiles:
    acquisition = scenes.simulated_pass(zone, tile, number)
    folder = out / "sentinel-2-l2a" / acquisition.id
    west, south, east, north = zone.bounds
    at = plane.at(np.arange(west, east, 60.0), np.arange(south, north, 60.0))
    sun = sun_position(acquisition.when, zone.lon, zone.lat)
    sky = make_sky(acquisition.datatake, acquisition.cloud_share, at, seed=zone.seed, sun=sun)
    rasters = {name: stack.enter_context(_band(zone, tile, folder, name)) for name in (*BANDS, "SCL")}
    probabilities = stack.enter_context(_dynamic_world(zone, tile, acquisition, out))
    return PassFiles(
        acquisition, sky, rasters, probabilities, scenes.swath_edge_m(zone, number), np.zeros(12, np.int64)
    )


def _dynamic_world(zone: Zone, tile: str, acquisition: scenes.SimulatedPass, out: Path) -> Raster:
    """Open a Dynamic World image: all bands in the easy edition, `label` alone on the planet."""
    (west, north), side = zone.corners[tile], zone.tile_px
    path = out / "labels" / "dynamic-world" / f"{scenes.stamp(acquisition.when)}_{tile}.tif"
    transform = Affine(10.0, 0, west, 0, -10.0, north)
    encoding = labels.dynamic_world_encoding(label_only=zone.place.biome is not None)
    raster = Raster(path, RasterSpec((side, side), transform, zone.epsg, block_px=zone.block_px, **encoding))
    raster.file.descriptions = (*labels.DYNAMIC_WORLD, "label")[-raster.file.count :]
    return raster


def _band(zone: Zone, tile: str, folder: Path, name: str) -> Raster:
    step, (west, north) = items.STEPS[name], zone.corners[tile]
    transform = Affine(10.0 * step, 0, west, 0, -10.0 * step, north)
    shape = (zone.tile_px // step, zone.tile_px // step)
    dtype = "uint8" if name == "SCL" else "uint16"
    path = folder / f"{name}.tif"
    return Raster(path, RasterSpec(shape, transform, zone.epsg, dtype, zone.block_px))


def strip_2(zone: Zone, outputs: list[PassFiles], view: View) -> None:
    """Append a strip to all acquisitions of a tile."""
    base, traces = ground10(view, zone.seed), events.find_traces(view, zone.place, zone.seed)
    for output in outputs:
        acquisition = output.acquisition
        now, veil = events.apply_events(view, traces, acquisition.when), make_veil(output.sky, view.at, zone.seed)
        inside, coarse = _swath(zone, view, output.edge_m), {}
        day, datatake = acquisition.when.timetuple().tm_yday, acquisition.datatake
        for band, field in reflectances(now, base, day=day, veil=veil, sun=output.sky.sun):
            stored = record_band(band, field, now, datatake=datatake, offset=acquisition.offset, seed=zone.seed)
            output.rasters[band].append(stored * _upsample(inside, 6 // BANDS[band]))
            if band in ("B03", "B04", "B8A", "B11"):
                coarse[band] = area_mean(field[HALO:-HALO, HALO:-HALO], 2)
        classes = scene_classes(coarse, now, veil) * _upsample(inside, 3)
        output.rasters["SCL"].append(classes)
        output.labels.append(labels.dynamic_world(now, classes, datatake=datatake, seed=zone.seed))
        output.counts += np.bincount(classes.ravel(), minlength=12)


def _swath(zone: Zone, view: View, edge_m: float | None) -> NDArray[np.bool_]:
    """Return the mask of imaged 60 m pixels: those east of the swath's edge."""
    rows, columns = ((length - 2 * HALO) // 6 for length in view.at[0].shape)
    x = view.column * 10 + 60 * np.arange(columns) + 30
    y = zone.false_northing_m - view.row * 10 - 60 * np.arange(rows) - 30
    return np.full((rows, columns), True) if edge_m is None else x[None, :] > edge_m + SWATH_SLANT * y[:, None]


def _upsample(coarse: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    return coarse.repeat(times, axis=0).repeat(times, axis=1)


# -- Sentinel-1, and io-lulc on the same land -------------------------------------------------------------------------


def sentinel_1(painter: Painter, out: Path) -> None:
    """Write all radar passes and annual land use maps of one zone; the land is painted once for all of them."""
    zone = painter.zone
    passes = [scenes.radar_pass(zone, number) for number in range(len(zone.schedule["passes"]))]
    footprints = [scenes.footprint(zone, ascending=radar_pass.ascending) for radar_pass in passes]
    (west, _, _, north), (height, width) = footprints[0].bounds, footprints[0].shape
    land_use = [scenes.LandUse(zone, year, footprints[0]) for year in scenes.LAND_USE_YEARS]
    with ExitStack() as stack, rasterio.Env(GDAL_CACHEMAX=128):
        pairs = [_open_pass(zone, *scene, out, stack) for scene in zip(passes, footprints, strict=True)]
        maps = [_open_land_use(product, out, stack) for product in land_use]
        for top, rows in strips((height, width)):
            shape = rows, width
            view = painter.view(west=west, north=north - 10 * top, shape=shape)
            base, traces = ground10(view, zone.seed), events.find_traces(view, zone.place, zone.seed)
            for radar_pass, footprint, pair in zip(passes, footprints, pairs, strict=True):
                now = events.apply_events(view, traces, radar_pass.when)
                _strip_1(zone, now, base, radar_pass, inside=footprint.inside(top, shape), pair=pair)
            for product, raster in zip(land_use, maps, strict=True):
                raster.append(labels.land_use(view, product.year))
    for radar_pass, footprint in zip(passes, footprints, strict=True):
        items.write_sentinel_1(zone, radar_pass, footprint, out=out)
    for product in land_use:
        items.write_land_use(product, out=out)


def _strip_1(
    zone: Zone, view: View, base: Ground10, radar_pass: Pass, *, inside: NDArray[np.bool_], pair: dict[str, Raster]
) -> None:
    radar = Radar(radar_pass.id, radar_pass.ascending, radar_pass.when.timetuple().tm_yday)
    for name, power in backscatter(view, base, radar, seed=zone.seed).items():
        pair[name].append(np.where(inside, power, np.float32(-32768)))


def _open_pass(zone: Zone, radar_pass: Pass, footprint: Footprint, out: Path, stack: ExitStack) -> dict[str, Raster]:
    folder = out / "sentinel-1-rtc" / radar_pass.id
    west, _, _, north = footprint.bounds
    transform = Affine(10.0, 0, west, 0, -10.0, north)
    spec = RasterSpec(footprint.shape, transform, zone.epsg, "float32", zone.block_px, nodata=-32768.0)
    return {name: stack.enter_context(Raster(folder / f"{name}.tif", spec)) for name in ("vv", "vh")}


def _open_land_use(product: scenes.LandUse, out: Path, stack: ExitStack) -> Raster:
    (west, _, _, north), zone = product.footprint.bounds, product.zone
    path = out / "io-lulc-annual-v02" / product.id / product.file
    transform = Affine(10.0, 0, west, 0, -10.0, north)
    spec = RasterSpec(product.footprint.shape, transform, zone.epsg, "uint8", zone.block_px, nodata=0)
    return stack.enter_context(Raster(path, spec))


# -- land cover ------------------------------------------------------------------------------------------------------


def worldcover(place: list[Zone], kinds_at: KindsAt, out: Path) -> None:
    """Write the true land cover of one place; `kinds_at` returns the land at longitudes and latitudes."""
    left, bottom, right, top = scenes.worldcover_bounds_px(place, DEGREE_PX)
    lon = (np.arange(left, right) + 0.5) / DEGREE_PX
    product = scenes.Cover((left, bottom, right, top), DEGREE_PX)
    folder = out / "esa-worldcover" / product.id
    shape, pixel = (top - bottom, right - left), 1 / DEGREE_PX
    transform = Affine(pixel, 0, left / DEGREE_PX, 0, -pixel, top / DEGREE_PX)
    spec = RasterSpec(shape, transform, 4326, "uint8", place[0].block_px, nodata=0)
    with (
        rasterio.Env(GDAL_CACHEMAX=128),
        Raster(folder / f"{product.id}_Map.tif", spec) as raster,
    ):
        raster.file.write_colormap(1, items.worldcover_colours())
        for down, rows in strips(shape):
            lat = (top - down - np.arange(rows) - 0.5) / DEGREE_PX
            raster.append(COVER[kinds_at(lon, lat)])
    items.write_worldcover(product, out=out)


def degree_painter(zone: Zone) -> KindsAt:
    """Return a function that paints the land at longitudes and latitudes."""
    plane = Plane(zone.lon, zone.lat, 3395)  # World Mercator: conformal and separable in longitude and latitude
    to_mercator = transformer(4326, 3395)

    def kinds_at(lon: F, lat: F) -> NDArray[np.uint8]:
        x = np.asarray(to_mercator.transform(lon, np.full(lon.shape, zone.lat))[0])
        y = np.asarray(to_mercator.transform(np.full(lat.shape, zone.lon), lat)[1])
        return paint(zone.place, plane.at(x, y), zone.seed).dominant

    return kinds_at


def corine(place: list[Zone], kinds_at: KindsAt, out: Path) -> None:
    """Write CORINE 2018 of one place; the file name is that of the download, with the place in the planet edition.

    `kinds_at` returns the land at columns and rows of CORINE's map.
    """
    codes, transform = labels.corine(place, kinds_at)
    spec = RasterSpec(
        codes.shape, transform, labels.CORINE_EPSG, "int8", place[0].block_px, nodata=labels.CORINE_NODATA
    )
    suffix = f"-{place[0].place.name}" if place[0].place.biome else ""
    with Raster(out / "labels" / "corine" / f"U2018_CLC2018_V2020_20u1{suffix}.tif", spec) as raster:
        raster.append(codes)


# -- all -------------------------------------------------------------------------------------------------------------


def place(zone: Zone, out: Path) -> None:
    """Write all files of a place with one tile; its land is painted once."""
    (tile,) = zone.corners
    # The radar scenes contain the tile, and all passes over a place have one direction.
    radar = scenes.radar_pass(zone, 0)
    painter = Painter(zone, scenes.footprint(zone, ascending=radar.ascending).bounds)
    sentinel_2(painter, tile, out)
    sentinel_1(painter, out)
    worldcover([zone], partial(painter.dominant, 4326), out)
    packages.publish([painter], out / "events" / "ems")
    if zone.place.continent == "europe":
        corine([zone], partial(painter.dominant, labels.CORINE_EPSG), out)


@cache
def zones(edition: str, **parameters: int) -> list[Zone]:
    """Return the zones of an edition: `planet` or `easy`."""
    return planet.zones(**parameters) if edition == "planet" else scenes.zones(**parameters)


def units(parameters: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the independent work units of a world, the longest first."""
    ordered = sorted(zones(**parameters), key=lambda zone: -len(zone.schedule["passes"]) - len(zone.corners))
    if parameters["edition"] == "planet":
        return [("feeds",), *(("place", zone.place.name) for zone in ordered)]
    radar = [("s1", str(zone.epsg)) for zone in ordered]
    cover = [("wc", place) for place in dict.fromkeys(zone.place.name for zone in ordered)]
    optical = [("s2", str(zone.epsg), tile) for zone in ordered for tile in zone.corners]
    return [*radar, ("events",), *cover, *optical, ("clc", "europe")]


def write_unit(unit: tuple[str, ...], *, out: Path, parameters: dict[str, Any]) -> None:
    """Write one work unit, including its items."""
    kind, *key = unit
    selected = [zone for zone in zones(**parameters) if not key or key[0] in (zone.place.name, str(zone.epsg))]
    match kind:
        case "place":
            place(selected[0], out)
        case "s1":
            sentinel_1(Painter(selected[0]), out)
        case "wc":
            worldcover(selected, degree_painter(selected[0]), out)
        case "clc":
            corine(selected, labels.corine_painter(selected[0]), out)
        case "s2":
            sentinel_2(Painter(selected[0]), key[1], out)
        case "events":
            packages.publish([Painter(zone) for zone in selected], out / "events" / "ems")
            feeds.publish(selected, out / "events")
        case "feeds":
            feeds.publish(selected, out / "events")
