"""A simulated archive of Europe in summer 2021: scenes of both sensors from their real orbits, and label maps.

Items follow the conventions of the Planetary Computer. Randomness is seeded; there are no pixels.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from landmark.core.crs import LONLAT, reproject
from landmark.grid.zones import zone_of
from landmark.stac.catalog import Catalog, Query

Json = dict[str, Any]

_START, _DAYS = dt.datetime(2021, 6, 1, tzinfo=dt.UTC), 92
_SOUTH, _NORTH = 34, 72
_ZONES = range(26, 39)
_KM_A_DEGREE = 111.3
# Source: MGRS, the letters of 100 km squares; a zone's columns are one of three sets, its rows one of two.
_COLUMNS, _ROWS, _BANDS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "ABCDEFGHJKLMNPQRSTUV", "CDEFGHJKLMNPQRSTUVWX"
_SCENES = {"sentinel-2-l2a": 12_000, "sentinel-1-rtc": 8_000}


@dataclass(frozen=True, slots=True)
class Orbit:
    """A repeating orbit: its revolutions per cycle, and half the width of its swath."""

    inclination_deg: float
    revolutions: int
    cycle_days: int
    half_swath_km: float
    satellites: tuple[str, str]

    def swath(self, number: int, latitudes: NDArray[np.float64], *, ascending: bool) -> shapely.Polygon:
        """Return the swath of a pass between the first and the last of some latitudes (EPSG:4326)."""
        tilt, turn = np.radians(self.inclination_deg), 360 * self.cycle_days / self.revolutions
        rise = np.arcsin(np.sin(np.radians(latitudes)) / np.sin(tilt))
        along = rise if ascending else np.pi - rise
        lon = np.degrees(np.arctan2(np.cos(tilt) * np.sin(along), np.cos(along))) - turn * (
            along / (2 * np.pi) + number
        )
        wide = self.half_swath_km / (_KM_A_DEGREE * np.cos(np.radians(latitudes)))
        # No swath over Europe comes near the antimeridian.
        lon = (lon - lon[len(lon) // 2] + 180) % 360 - 180 + (lon[len(lon) // 2] + 180) % 360 - 180
        west, east = (np.stack([lon + side * wide, latitudes], axis=1) for side in (-1, 1))
        return shapely.Polygon(np.concatenate([west, east[::-1]]))

    def moments(self, number: int) -> Iterator[tuple[dt.datetime, str]]:
        """Yield (time, satellite) of an orbit's passes during the summer; the satellites are half a cycle apart."""
        day, turn = number * self.cycle_days / self.revolutions, 0
        while day < _DAYS:
            yield _START + dt.timedelta(seconds=round(86_400 * day)), self.satellites[turn % 2]
            day, turn = day + self.cycle_days / 2, turn + 1


OPTICAL = Orbit(98.62, 143, 10, 145, ("Sentinel-2A", "Sentinel-2B"))
RADAR = Orbit(98.18, 175, 12, 125, ("SENTINEL-1A", "SENTINEL-1B"))


@dataclass(frozen=True, slots=True)
class Raster:
    """The 10 m grid of a scene, and the footprint of its data (EPSG:4326)."""

    name: str
    epsg: int
    left: int
    top: int
    width: int
    height: int
    footprint: BaseGeometry


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition of a raster."""

    raster: Raster
    moment: dt.datetime
    platform: str
    orbit: int
    ascending: bool
    cloud_pct: float


def item_of(document: dict[str, Any]) -> pystac.Item:
    """Convert a STAC document to a pystac item."""
    return pystac.Item.from_dict(document, preserve_dict=False)


@dataclass(frozen=True, slots=True)
class Continent(Catalog):
    """The archive: scenes and footprints of label maps, by collection."""

    scenes: dict[str, list[Scene]]
    frames: dict[str, list[BaseGeometry]]

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Iterate over the items that intersect the query's region."""
        yield from map(item_of, self.documents(query))

    def documents(self, query: Query) -> Iterator[dict[str, Any]]:
        """Iterate over the same items as STAC documents."""
        for collection in sorted(query.collections):
            write = _optical if collection == "sentinel-2-l2a" else _radar
            for scene in self.scenes.get(collection, ()):
                if query.region is None or scene.raster.footprint.intersects(query.region):
                    yield write(scene)
            for frame in self.frames.get(collection, ()):
                if query.region is None or frame.intersects(query.region):
                    yield _map(collection, frame)

    def has_collection(self, collection: str) -> bool:
        """Whether the archive has a collection."""
        return collection in self.scenes or collection in self.frames


def continent(region: BaseGeometry, *, share: float = 1.0, seed: int = 0) -> Continent:
    """Simulate 20,000 scenes over Europe, or a share of them if `region` is that share of Europe."""
    rng = np.random.default_rng(seed)
    shapely.prepare(region)
    scenes_by_collection = {"sentinel-2-l2a": _optical_scenes(region, rng), "sentinel-1-rtc": _radar_scenes(region)}
    scenes = {}
    for collection, candidates in scenes_by_collection.items():
        chosen = np.sort(rng.permutation(len(candidates))[: round(share * _SCENES[collection])])
        scenes[collection] = [candidates[number] for number in chosen.tolist()]
    boxes: list[BaseGeometry] = [
        shapely.box(x, y, x + 3, y + 3) for x in range(-27, 45, 3) for y in range(_SOUTH - 1, _NORTH, 3)
    ]
    strips: list[BaseGeometry] = [
        shapely.box(6 * z - 186, y, 6 * z - 180, y + 8) for z in _ZONES for y in range(32, _NORTH, 8)
    ]
    prefix = "https://planetarycomputer.example/api/stac/v1/"
    return Continent(prefix, prefix, "microsoft-pc", scenes, {"esa-worldcover": boxes, "io-lulc-annual-v02": strips})


def part_of(region: BaseGeometry, share: float) -> BaseGeometry:
    """Return the western part of a region that has a given share of its area in degrees."""
    west, south, east, north = region.bounds
    edges = np.linspace(west, east, 200)
    areas = [region.intersection(shapely.box(west, south, edge, north)).area for edge in edges]
    return region.intersection(shapely.box(west, south, float(np.interp(share * region.area, areas, edges)), north))


def _optical_scenes(region: BaseGeometry, rng: np.random.Generator) -> list[Scene]:
    """Simulate every pass over every tile; data covers the intersection of tile and swath."""
    tiles, latitudes = _tiles(region), np.linspace(_SOUTH - 2, _NORTH + 2, 161)
    tree = shapely.STRtree([tile.footprint for tile in tiles])
    scenes = []
    for number in range(OPTICAL.revolutions):
        swath = OPTICAL.swath(number, latitudes, ascending=False)
        shapely.prepare(swath)
        for row in np.sort(tree.query(swath, predicate="intersects")).tolist():
            tile = tiles[row]
            contained = shapely.contains(swath, tile.footprint)
            footprint = tile.footprint if contained else tile.footprint.intersection(swath)
            if footprint.area > 0.02 * tile.footprint.area and footprint.intersects(region):
                raster = Raster(tile.name, tile.epsg, tile.left, tile.top, tile.width, tile.height, footprint)
                scenes += [
                    Scene(raster, moment, platform, number + 1, False, round(float(rng.uniform(0, 20)), 4))
                    for moment, platform in OPTICAL.moments(number)
                ]
    return scenes


def _radar_scenes(region: BaseGeometry) -> list[Scene]:
    """Simulate every pass, ascending and descending, in slices of 1.5 degrees of latitude."""
    scenes = []
    for number in range(RADAR.revolutions):
        for ascending in (True, False):
            for south in np.arange(_SOUTH, _NORTH, 1.5).tolist():
                footprint = RADAR.swath(number, np.linspace(south, south + 1.55, 5), ascending=ascending)
                if footprint.intersects(region):
                    raster = _frame(f"{number:03d}{'a' if ascending else 'd'}{south:.1f}", footprint)
                    scenes += [
                        Scene(
                            raster, moment + dt.timedelta(seconds=round(south * 16)), platform, number + 1, ascending, 0
                        )
                        for moment, platform in RADAR.moments(number)
                    ]
    return scenes


def _frame(name: str, footprint: BaseGeometry) -> Raster:
    """Return the raster around a footprint, on the 10 m grid of its UTM zone."""
    middle = footprint.centroid
    epsg = 32600 + int(zone_of(np.array([middle.x]), np.array([middle.y]))[0])
    left, bottom, right, top = (round(edge / 10) * 10 for edge in reproject(footprint, LONLAT, epsg).bounds)
    return Raster(name, epsg, left, top, (right - left) // 10, (top - bottom) // 10, footprint)


def _tiles(region: BaseGeometry) -> list[Raster]:
    """Return the Sentinel-2 tiles that intersect a region: 100 km squares of a zone, extended by 9.8 km."""
    tiles = []
    for zone in _ZONES:
        for column in range(1, 9):
            for row in range(37, 81):
                left, top = column * 100_000 // 60 * 60, -(-(row + 1) * 100_000 // 60) * 60
                frame = shapely.box(left, top - 109_800, left + 109_800, top)
                footprint = reproject(frame, 32600 + zone, LONLAT)
                corners = shapely.get_coordinates(footprint)
                if (zone_of(*corners.T) == zone).any() and footprint.intersects(region):
                    band = _BANDS[int((footprint.centroid.y + 80) // 8)]
                    square = _COLUMNS[(zone - 1) % 3 * 8 + column - 1] + _ROWS[(row + (5 if zone % 2 == 0 else 0)) % 20]
                    tiles.append(Raster(f"{zone}{band}{square}", 32600 + zone, left, top, 10_980, 10_980, footprint))
    return tiles


def _item(name: str, collection: str, footprint: BaseGeometry, properties: Json, assets: Json) -> Json:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "stac_extensions": [],
        "bbox": list(footprint.bounds), "geometry": mapping(footprint), "properties": properties, "links": [],
        "assets": {key: {"href": href, "type": "image/tiff"} | more for key, (href, more) in assets.items()},
    }  # fmt: skip


def _optical(scene: Scene) -> Json:
    raster, timestamp = scene.raster, f"{scene.moment:%Y%m%dT%H%M%S}"
    satellite = f"S2{scene.platform[-1]}"
    name = f"{satellite}_MSIL2A_{timestamp}_R{scene.orbit:03d}_T{raster.name}_20210915T120000"
    folder = f"https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/{raster.name[:2]}/{raster.name[2]}/{raster.name[3:]}"
    prefix = f"{folder}/{scene.moment:%Y/%m/%d}/{name}.SAFE/GRANULE/L2A_T{raster.name}_A031234_{timestamp}/IMG_DATA"
    assets: Json = {}
    for band, edge_m in _BAND_M.items():
        grid = {
            "proj:shape": [109_800 // edge_m] * 2,
            "proj:transform": [edge_m, 0, raster.left, 0, -edge_m, raster.top],
        }
        assets[band] = (f"{prefix}/R{edge_m}m/T{raster.name}_{timestamp}_{band}_{edge_m}m.tif", grid)
    properties = {
        "datetime": f"{scene.moment:%Y-%m-%dT%H:%M:%S}.024000Z", "platform": scene.platform, "instruments": ["msi"],
        "proj:epsg": raster.epsg, "sat:orbit_state": "descending", "sat:relative_orbit": scene.orbit,
        "eo:cloud_cover": scene.cloud_pct, "s2:mgrs_tile": raster.name, "s2:product_uri": f"{name}.SAFE",
        "s2:datatake_id": f"G{satellite}_{timestamp}_031234_N03.00", "s2:processing_baseline": "03.00",
    }  # fmt: skip
    return _item(name, "sentinel-2-l2a", raster.footprint, properties, assets)


_BAND_M = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B05": 20, "B06": 20, "B07": 20, "B8A": 20, "B11": 20, "B12": 20,
           "SCL": 20, "B01": 60, "B09": 60}  # fmt: skip


def _radar(scene: Scene) -> Json:
    raster, timestamp = scene.raster, f"{scene.moment:%Y%m%dT%H%M%S}"
    name = f"S1{scene.platform[-1]}_IW_GRDH_1SDV_{timestamp}_{raster.name}_038123_rtc"
    prefix = (
        f"https://sentinel1euwestrtc.blob.core.windows.net/sentinel1-grd-rtc/GRD/{scene.moment:%Y/%m/%d}/IW/DV/{name}"
    )
    assets: Json = {band: (f"{prefix}/measurement/iw-{band}.rtc.tiff", {}) for band in ("vh", "vv")}
    moment = f"{scene.moment:%Y-%m-%d %H:%M:%S}.220006+00:00"
    properties = {
        "datetime": moment, "start_datetime": moment, "end_datetime": moment, "platform": scene.platform,
        "proj:epsg": raster.epsg, "proj:shape": [raster.height, raster.width], "sar:polarizations": ["VV", "VH"],
        "proj:transform": [10.0, 0.0, raster.left, 0.0, -10.0, raster.top, 0.0, 0.0, 1.0],
        "sat:orbit_state": "ascending" if scene.ascending else "descending", "sat:relative_orbit": scene.orbit,
    }  # fmt: skip
    return _item(name, "sentinel-1-rtc", raster.footprint, properties, assets)


def _map(collection: str, frame: BaseGeometry) -> Json:
    """Return the item of a label map of 2021."""
    asset, name = (
        ("map" if collection == "esa-worldcover" else "data"),
        "_".join(f"{edge:.0f}" for edge in frame.bounds),
    )
    properties = {"datetime": None, "start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2021-12-31T23:59:59Z",
                  "esa_worldcover:product_version": "2.0.0"}  # fmt: skip
    href = f"https://ai4edataeuwest.blob.core.windows.net/{collection}/{name}.tif"
    return _item(f"{collection}_{name}", collection, frame, properties, {asset: (href, {})})
