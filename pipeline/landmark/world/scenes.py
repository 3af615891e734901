"""Scenes of the world: zones and tiles, acquisitions of Sentinel-2 and Sentinel-1, and their footprints."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from numpy.typing import NDArray

from landmark.core.crs import transformer
from landmark.world.place import Place
from landmark.world.plane import Plane

SWATH_SLANT = 0.25  # eastward shift of the swath's edge per metre northward


def stamp(when: datetime) -> str:
    """Format a time as in product names."""
    return when.strftime("%Y%m%dT%H%M%S")


def degrees(outline: shapely.Polygon, epsg: int) -> shapely.Polygon:
    """Return a polygon in EPSG:4326, rounded to 8 decimals."""
    to_degrees = transformer(epsg, 4326)
    polygon = shapely.transform(outline, lambda xy: np.stack(to_degrees.transform(xy[:, 0], xy[:, 1]), axis=1))
    return shapely.Polygon([(round(x, 8), round(y, 8)) for x, y in shapely.normalize(polygon).exterior.coords][::-1])


@dataclass(frozen=True, slots=True)
class Zone:
    """One place in one UTM zone.

    `corners` are the west and north edges of the tiles in metres, `schedule` the zone's entry in `acquisitions.yaml`.
    `margin` scales the margins that radar scenes and label maps have about the tiles, and the slant of radar scenes.
    """

    place: Place
    index: int
    epsg: int
    corners: dict[str, tuple[int, int]]
    schedule: dict[str, Any]
    tile_px: int
    block_px: int
    seed: int
    margin: float = 1.0

    @property
    def lon(self) -> float:
        """Longitude of the place's centre in degrees."""
        return self.place.lon

    @property
    def lat(self) -> float:
        """Latitude of the place's centre in degrees."""
        return self.place.lat

    @property
    def false_northing_m(self) -> int:
        """False northing of the projection."""
        return self.place.false_northing_m

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north of all tiles."""
        size, west = self.tile_px * 10, [corner[0] for corner in self.corners.values()]
        north = next(iter(self.corners.values()))[1]
        return min(west), north - size, max(west) + size, north

    def acquisition_numbers(self, tile: str) -> list[int]:
        """Return the indices of the Sentinel-2 acquisitions that exist for a tile."""
        return [
            number for number, row in enumerate(self.schedule["acquisitions"]) if tile in (row[6:] or [self.corners])[0]
        ]


def zones(*, tile_px: int, block_px: int, seed: int) -> list[Zone]:
    """Return every place's zones, from `acquisitions.yaml`; tile corners are multiples of 60 m from the equator."""
    with (Path(__file__).parent / "acquisitions.yaml").open(encoding="utf-8") as file:
        places = yaml.safe_load(file)
    return [
        Zone(Place(name, place["lon"], place["lat"]), index, zone["epsg"],
             _corners(zone, place, tile_px * 10), zone, tile_px, block_px, seed)
        for name, place in places.items() for index, zone in enumerate(place["zones"])
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
    """Identifiers and metadata of one Sentinel-2 acquisition of a tile."""

    id: str
    product: str
    datatake: str
    platform: str
    when: datetime
    generated: datetime
    orbit: int
    absolute_orbit: int
    baseline: str
    cloud_share: float

    @property
    def offset(self) -> int:
        """Offset of the stored values, introduced with baseline 04.00."""
        return 1000 if self.baseline >= "04.00" else 0


def simulated_pass(zone: Zone, tile: str, number: int) -> SimulatedPass:
    """Return acquisition `number` of a tile, named as by ESA and the Planetary Computer."""
    letter, when, absolute, baseline, cloud = zone.schedule["acquisitions"][number][:5]
    generated = when + timedelta(hours=3, minutes=51 + 7 * list(zone.corners).index(tile), seconds=32)
    orbit, satellite = zone.schedule["orbit"], f"S2{letter}"
    start, end = f"{satellite}_MSIL2A_{stamp(when)}", f"R{orbit:03d}_T{tile}_{stamp(generated)}"
    return SimulatedPass(
        id=f"{start}_{end}", product=f"{start}_N{baseline.replace('.', '')}_{end}.SAFE",
        datatake=f"G{satellite}_{stamp(when)}_{absolute:06d}_N{baseline}", platform=f"Sentinel-2{letter}",
        when=when, generated=generated, orbit=orbit, absolute_orbit=absolute, baseline=baseline, cloud_share=cloud,
    )  # fmt: skip


def swath_edge_m(zone: Zone, number: int) -> float | None:
    """Return the easting of the swath's edge extrapolated to the equator; None if the edge crosses no tile."""
    west, south, east, north = zone.bounds
    edge = zone.schedule["acquisitions"][number][5]
    return None if edge is None else west + edge * (east - west) - SWATH_SLANT * (north + south) / 2


def swath_polygon(zone: Zone, tile: str, edge_m: float | None) -> shapely.Polygon:
    """Return the imaged part of a tile: the part east of the swath's edge."""
    west, north = zone.corners[tile]
    size = zone.tile_px * 10
    square = shapely.box(west, north - size, west + size, north)
    if edge_m is None:
        return square
    low, high = (edge_m + SWATH_SLANT * y for y in (north - size, north))
    east = west + 3 * size
    swath = shapely.Polygon([(low, north - size), (east, north - size), (east, north), (high, north)])
    return shapely.Polygon(shapely.get_exterior_ring(square.intersection(swath)))


@dataclass(frozen=True, slots=True)
class Pass:
    """Identifiers and metadata of one Sentinel-1 scene."""

    id: str
    platform: str
    when: datetime
    end: datetime
    absolute_orbit: int
    orbit: int
    ascending: bool
    datatake: int


def radar_pass(zone: Zone, number: int) -> Pass:
    """Return pass `number` over a zone, named as by ESA and the Planetary Computer."""
    letter, when, absolute, orbit, direction = zone.schedule["passes"][number]
    end, datatake = when + timedelta(seconds=25), absolute * 8 + 1203 + orbit
    name = f"S1{letter}_IW_GRDH_1SDV_{stamp(when)}_{stamp(end)}_{absolute:06d}_{datatake:06X}_rtc"
    return Pass(name, f"SENTINEL-1{letter}", when, end, absolute, orbit, direction == "ascending", datatake)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A parallelogram in map coordinates and the bounds of the raster on the 10 m lattice that contains it."""

    corners: tuple[tuple[float, float], ...]
    bounds: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        west, south, east, north = self.bounds
        return (north - south) // 10, (east - west) // 10

    def inside(self, top: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask of pixels with centres in the parallelogram, for a strip that starts at row `top`."""
        x = self.bounds[0] + 10.0 * np.arange(shape[1])[None, :] + 5
        y = self.bounds[3] - 10.0 * (top + np.arange(shape[0])[:, None]) - 5
        inside = np.full(shape, True)
        for (x0, y0), (x1, y1) in zip(self.corners, self.corners[1:] + self.corners[:1], strict=True):
            inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
        return inside


def footprint(zone: Zone, *, ascending: bool) -> Footprint:
    """Return the footprint that covers a zone's tiles with a margin (300 m), aligned with the orbit track."""
    west, south, east, north = zone.bounds
    shear, tilt = (zone.margin * slant for slant in ((-0.16, 0.06) if ascending else (0.16, -0.06)))
    margin_m = 300 * zone.margin
    half_x, half_y = (east - west) / 2 + margin_m, (north - south) / 2 + margin_m
    wide, high = (half_x + abs(shear) * half_y) / (1 - abs(shear * tilt)), half_y
    wide, high = wide + abs(shear) * abs(tilt) * wide, high + abs(tilt) * wide * 1.02
    centre = ((west + east) / 2, (south + north) / 2)
    corners = tuple(
        (centre[0] + a * wide + shear * b * high, centre[1] + b * high + tilt * a * wide)
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    x, y = zip(*corners, strict=True)
    # Aligned to the 10 m lattice but not to the 60 m lattice, as real scenes are.
    left, top = (int(min(x)) // 60 - 1) * 60 + 10, (int(max(y)) // 60 + 1) * 60 + 20
    columns, rows = int(max(x) - left) // 10 + 2, int(top - min(y)) // 10 + 2
    return Footprint(corners, (left, top - 10 * rows, left + 10 * columns, top))


LAND_USE_YEARS = (2021, 2022)


@dataclass(frozen=True, slots=True)
class LandUse:
    """The land use map of one zone and year, on the raster of its radar scenes."""

    zone: Zone
    year: int
    footprint: Footprint

    @property
    def tile(self) -> str:
        """The zone and latitude band."""
        return next(iter(self.zone.corners))[:3]

    @property
    def id(self) -> str:
        """The item's id."""
        return f"{self.tile}-{self.year}"

    @property
    def file(self) -> str:
        """The raster's file name."""
        return f"{self.tile}_{self.year}0101-{self.year + 1}0101.tif"


@dataclass(frozen=True, slots=True)
class Cover:
    """The land cover raster of one place; `bounds_px` in pixels from longitude 0 and the equator."""

    bounds_px: tuple[int, int, int, int]
    degree_px: int

    @property
    def tile(self) -> str:
        """Name of the three-degree tile."""
        left, bottom, right, top = self.bounds_px
        left, bottom = ((low + high) // 2 // self.degree_px // 3 * 3 for low, high in ((left, right), (bottom, top)))
        return f"{'S' if bottom < 0 else 'N'}{abs(bottom):02d}{'W' if left < 0 else 'E'}{abs(left):03d}"

    @property
    def id(self) -> str:
        """The product's id."""
        return f"ESA_WorldCover_10m_2021_v200_{self.tile}"


def worldcover_bounds_px(place: list[Zone], degree_px: int) -> tuple[int, int, int, int]:
    """Return left, bottom, right, top of all tiles of a place with a margin (0.01 degrees)."""
    margin = 0.01 * place[0].margin
    boxes = [degrees(shapely.box(*zone.bounds), zone.epsg).bounds for zone in place]
    low = np.floor((np.min(boxes, axis=0)[:2] - margin) * degree_px).astype(int)
    high = np.ceil((np.max(boxes, axis=0)[2:] + margin) * degree_px).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
