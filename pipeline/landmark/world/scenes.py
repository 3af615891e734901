"""Which scenes a world has: zones and tiles, Sentinel-2 takes, Sentinel-1 passes, and where each lies."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from numpy.typing import NDArray
from pyproj import Transformer

from landmark.world.plane import Plane

SWATH_SLANT = 0.25  # metres by which the swath's edge moves east for each metre north


def stamp(when: datetime) -> str:
    """Return a time as product names write it."""
    return when.strftime("%Y%m%dT%H%M%S")


def degrees(outline: shapely.Polygon, epsg: int) -> shapely.Polygon:
    """Return a map's polygon in longitude and latitude, to a centimetre or so."""
    todegrees = Transformer.from_crs(f"EPSG:{epsg}", "EPSG:4326", always_xy=True)
    turned = shapely.transform(outline, lambda xy: np.stack(todegrees.transform(xy[:, 0], xy[:, 1]), axis=1))
    return shapely.Polygon([(round(x, 8), round(y, 8)) for x, y in shapely.normalize(turned).exterior.coords][::-1])


@dataclass(frozen=True, slots=True)
class Zone:
    """One place as one UTM zone's tiles see it; `corners` are tiles' west and north edges in metres."""

    place: str
    index: int
    epsg: int
    lon: float
    lat: float
    corners: dict[str, tuple[int, int]]
    book: dict[str, Any]
    tile_px: int
    block_px: int
    seed: int

    @property
    def false_northing_m(self) -> int:
        """What the map adds to metres from the equator."""
        return 10_000_000 if self.lat < 0 else 0

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north of all tiles."""
        size, west = self.tile_px * 10, [corner[0] for corner in self.corners.values()]
        north = next(iter(self.corners.values()))[1]
        return min(west), north - size, max(west) + size, north

    def takes(self, tile: str) -> list[int]:
        """Numbers of the acquisitions that the archive holds of a tile."""
        return [number for number, take in enumerate(self.book["takes"]) if tile in (take[6:] or [self.corners])[0]]


def zones(*, tile_px: int, block_px: int, seed: int) -> list[Zone]:
    """Return every place's zones, from `acquisitions.yaml`; tile corners are multiples of 60 m from the equator."""
    with (Path(__file__).parent / "acquisitions.yaml").open(encoding="utf-8") as file:
        book = yaml.safe_load(file)
    return [
        Zone(name, index, zone["epsg"], place["lon"], place["lat"],
             _corners(zone, place, tile_px * 10), zone, tile_px, block_px, seed)
        for name, place in book.items() for index, zone in enumerate(place["zones"])
    ]  # fmt: skip


def _corners(zone: dict[str, Any], place: dict[str, Any], size_m: int) -> dict[str, tuple[int, int]]:
    plane = Plane(place["lon"], place["lat"], zone["epsg"])
    equator = 10_000_000 if place["lat"] < 0 else 0
    north = round((plane.y - equator + 0.5 * size_m) / 60) * 60 + equator
    spacing = size_m - round(size_m * 1380 / 10980 / 60) * 60
    west = round((plane.x + zone["west"] * size_m) / 60) * 60
    return {tile: (west + index * spacing, north) for index, tile in enumerate(zone["tiles"])}


@dataclass(frozen=True, slots=True)
class SimulatedPass:
    """The names and figures of one Sentinel-2 acquisition of a tile."""

    id: str
    product: str
    datatake: str
    platform: str
    when: datetime
    made: datetime
    orbit: int
    absolute_orbit: int
    baseline: str
    cloud_share: float

    @property
    def offset(self) -> int:
        """What is added to stored values since baseline 04.00."""
        return 1000 if self.baseline >= "04.00" else 0


def simulated_pass(zone: Zone, tile: str, number: int) -> SimulatedPass:
    """Return the acquisition `number` of a tile, named as ESA and the Planetary Computer name it."""
    letter, when, absolute, baseline, cloud = zone.book["takes"][number][:5]
    made = when + timedelta(hours=3, minutes=51 + 7 * list(zone.corners).index(tile), seconds=32)
    orbit, satellite = zone.book["orbit"], f"S2{letter}"
    start, end = f"{satellite}_MSIL2A_{stamp(when)}", f"R{orbit:03d}_T{tile}_{stamp(made)}"
    return SimulatedPass(
        id=f"{start}_{end}", product=f"{start}_N{baseline.replace('.', '')}_{end}.SAFE",
        datatake=f"G{satellite}_{stamp(when)}_{absolute:06d}_N{baseline}", platform=f"Sentinel-2{letter}",
        when=when, made=made, orbit=orbit, absolute_orbit=absolute, baseline=baseline, cloud_share=cloud,
    )  # fmt: skip


def swath_edge_m(zone: Zone, number: int) -> float | None:
    """Return the easting at which the edge of a take's swath would cross the equator; None where it crosses no tile."""
    west, south, east, north = zone.bounds
    edge = zone.book["takes"][number][5]
    return None if edge is None else west + edge * (east - west) - SWATH_SLANT * (north + south) / 2


def swath_polygon(zone: Zone, tile: str, edge_m: float | None) -> shapely.Polygon:
    """Return the part of a tile that the instrument saw: what lies east of the swath's edge."""
    west, north = zone.corners[tile]
    size = zone.tile_px * 10
    square = shapely.box(west, north - size, west + size, north)
    if edge_m is None:
        return square
    low, high = (edge_m + SWATH_SLANT * y for y in (north - size, north))
    far = west + 3 * size
    seen = shapely.Polygon([(low, north - size), (far, north - size), (far, north), (high, north)])
    return shapely.Polygon(shapely.get_exterior_ring(square.intersection(seen)))


@dataclass(frozen=True, slots=True)
class Pass:
    """The names and figures of one Sentinel-1 scene."""

    id: str
    platform: str
    when: datetime
    until: datetime
    absolute_orbit: int
    orbit: int
    ascending: bool
    datatake: int


def radar_pass(zone: Zone, number: int) -> Pass:
    """Return the pass `number` over a zone, named as ESA and the Planetary Computer name it."""
    letter, when, absolute, orbit, direction = zone.book["passes"][number]
    until, datatake = when + timedelta(seconds=25), absolute * 8 + 1203 + orbit
    name = f"S1{letter}_IW_GRDH_1SDV_{stamp(when)}_{stamp(until)}_{absolute:06d}_{datatake:06X}_rtc"
    return Pass(name, f"SENTINEL-1{letter}", when, until, absolute, orbit, direction == "ascending", datatake)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A slanted parallelogram in map metres, and the raster on the 10 m lattice that holds it."""

    corners: tuple[tuple[float, float], ...]
    bounds: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        west, south, east, north = self.bounds
        return (north - south) // 10, (east - west) // 10

    def inside(self, top: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which pixels of a strip from row `top` have their centre in the parallelogram."""
        x = self.bounds[0] + 10.0 * np.arange(shape[1])[None, :] + 5
        y = self.bounds[3] - 10.0 * (top + np.arange(shape[0])[:, None]) - 5
        held = np.full(shape, True)
        for (x0, y0), (x1, y1) in zip(self.corners, self.corners[1:] + self.corners[:1], strict=True):
            held &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
        return held


def footprint(zone: Zone, *, ascending: bool) -> Footprint:
    """Return the scene that covers a zone's tiles with 300 m to spare, tilted as the track is."""
    west, south, east, north = zone.bounds
    lean, tilt = (-0.16, 0.06) if ascending else (0.16, -0.06)
    half_x, half_y = (east - west) / 2 + 300, (north - south) / 2 + 300
    wide, high = (half_x + abs(lean) * half_y) / (1 - abs(lean * tilt)), half_y
    wide, high = wide + abs(lean) * abs(tilt) * wide, high + abs(tilt) * wide * 1.02
    centre = ((west + east) / 2, (south + north) / 2)
    corners = tuple(
        (centre[0] + a * wide + lean * b * high, centre[1] + b * high + tilt * a * wide)
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    x, y = zip(*corners, strict=True)
    # Anywhere on the 10 m lattice but on the 60 m one, as real scenes lie.
    left, top = (int(min(x)) // 60 - 1) * 60 + 10, (int(max(y)) // 60 + 1) * 60 + 20
    columns, rows = int(max(x) - left) // 10 + 2, int(top - min(y)) // 10 + 2
    return Footprint(corners, (left, top - 10 * rows, left + 10 * columns, top))


LAND_USE_YEARS = (2021, 2022)


@dataclass(frozen=True, slots=True)
class LandUse:
    """One zone's land use map of one year, on the raster that holds its radar scenes."""

    zone: Zone
    year: int
    where: Footprint

    @property
    def tile(self) -> str:
        """The zone and latitude band."""
        return next(iter(self.zone.corners))[:3]

    @property
    def id(self) -> str:
        """The item's name."""
        return f"{self.tile}-{self.year}"

    @property
    def file(self) -> str:
        """The raster's name."""
        return f"{self.tile}_{self.year}0101-{self.year + 1}0101.tif"


@dataclass(frozen=True, slots=True)
class Cover:
    """One place's land cover raster; `bounds_px` counts pixels from longitude 0 and the equator."""

    place: str
    bounds_px: tuple[int, int, int, int]
    degree_px: int

    @property
    def tile(self) -> str:
        """The three-degree tile whose name the product bears."""
        left, bottom = ((low + high) // 2 // self.degree_px // 3 * 3 for low, high in self._spans())
        return f"{'S' if bottom < 0 else 'N'}{abs(bottom):02d}{'W' if left < 0 else 'E'}{abs(left):03d}"

    def _spans(self) -> tuple[tuple[int, int], tuple[int, int]]:
        left, bottom, right, top = self.bounds_px
        return (left, right), (bottom, top)

    @property
    def id(self) -> str:
        """The product's name."""
        return f"ESA_WorldCover_10m_2021_v200_{self.tile}"


def worldcover_bounds_px(place: list[Zone], degree_px: int) -> tuple[int, int, int, int]:
    """Return left, bottom, right, top of all tiles of a place with a hundredth of a degree to spare."""
    boxes = [degrees(shapely.box(*zone.bounds), zone.epsg).bounds for zone in place]
    low = np.floor((np.min(boxes, axis=0)[:2] - 0.01) * degree_px).astype(int)
    high = np.ceil((np.max(boxes, axis=0)[2:] + 0.01) * degree_px).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
