"""Elements of a landscape: kinds of land cover, parcels, settlements, roads and streams."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from landmark.world.plane import F, Noise, Sites, U, mix, rng, segment_distance, unit

At = tuple[F, F]
B = NDArray[np.bool_]


@cache
def signatures() -> dict[str, Any]:
    """Return the content of `signatures.yaml`."""
    with (Path(__file__).parent / "signatures.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


KINDS: dict[str, int] = {name: index for index, name in enumerate(signatures()["kinds"])}
COVER = np.array([kind["cover"] for kind in signatures()["kinds"].values()], np.uint8)


@dataclass(frozen=True, slots=True)
class Land:
    """Land cover, parcel and height per point (y, x) of a window; kind `overlay` covers `share` of a point."""

    kind: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    share: NDArray[np.float32]
    parcel: U
    height_m: F

    @property
    def dominant(self) -> NDArray[np.uint8]:
        """The kind that covers the larger share of each point."""
        return np.where(self.share > 0.5, self.overlay, self.kind)

    def crop(self, window: tuple[slice, slice]) -> "Land":
        """Return a view (no copy) of rows and columns."""
        return Land(
            self.kind[window], self.overlay[window], self.share[window], self.parcel[window], self.height_m[window]
        )


WARP_M = 38.0  # standard deviation by which natural borders are displaced


class Canvas:
    """A window of land under construction: later calls overwrite earlier ones."""

    def __init__(self, at: At, noise: Noise) -> None:
        """Start with pasture; `warped` are displaced coordinates for borders of natural vegetation and water."""
        self.at, self.noise = at, noise
        self.kind = np.full(at[0].shape, KINDS["pasture"], np.uint8)
        self.overlay, self.share = np.zeros_like(self.kind), np.zeros(at[0].shape, np.float32)
        self.parcel = np.zeros(at[0].shape, np.uint32)
        self.height_m: F = np.zeros(at[0].shape, np.float32)
        self.warped = (at[0] + WARP_M * self.field("bend-u", 9, 1.25), at[1] + WARP_M * self.field("bend-v", 9, 1.25))

    def field(self, name: str, texel_m: float, slope: float, *, warped: bool = False, smooth: bool = False) -> F:
        """Return a fractal field over the window."""
        return self.noise(name, self.warped if warped else self.at, texel_m=texel_m, slope=slope, smooth=smooth)

    def paint(self, where: B, kind: str) -> None:
        """Set the points `where` to one kind."""
        self.kind[where] = KINDS[kind]
        self.share[where] = 0

    def choose(self, where: B, draw: F, kinds: dict[str, float]) -> None:
        """Set the points `where` to kinds with given shares, selected by a uniform draw in [0, 1)."""
        bounds = np.cumsum(list(kinds.values()))
        codes = np.array([KINDS[name] for name in kinds], np.uint8)
        pick = codes[np.minimum(np.searchsorted(bounds, draw[where] * bounds[-1]), len(codes) - 1)]
        self.kind[where] = pick
        self.share[where] = 0

    def line(
        self, distance_m: F, kind: str, *, half_width_m: ArrayLike, where: ArrayLike = True, max_share: float = 1
    ) -> None:
        """Draw a line; pixels on its edge are covered in part, as a 10 m pixel would be."""
        share = np.clip((np.asarray(half_width_m) - distance_m) / 10 + 0.5, 0, max_share).astype(np.float32)
        covers = (share > self.share) & np.asarray(where)
        self.share[covers], self.overlay[covers] = share[covers], KINDS[kind]

    def land(self) -> Land:
        """Return the finished land."""
        return Land(self.kind, self.overlay, self.share, self.parcel, self.height_m)


def rotate(at: At, origin: At, angle: F | float) -> At:
    """Return coordinates in axes rotated about an origin by `angle` radians."""
    du, dv, cos, sin = at[0] - origin[0], at[1] - origin[1], np.cos(angle), np.sin(angle)
    return du * cos + dv * sin, dv * cos - du * sin


class Parcels(NamedTuple):
    """Parcel and block of each point, and its distances from their edges in metres."""

    key: U
    edge_m: F
    block_edge_m: F
    block: U


SPLITS = np.array([(1, 1), (2, 1), (3, 1), (5, 1), (1, 2), (2, 2), (3, 2), (4, 1)])


def parcels(at: At, sites: Sites, *, width_m: float, depth_m: float, turn: float = 0.0) -> Parcels:
    """Divide the area of each site into blocks along its own axes, and each block into one to six parcels."""
    key = sites.key
    p, q = rotate(at, (sites.u, sites.v), (unit(key, 11) * np.pi + turn).astype(np.float64))
    width, depth = width_m * (0.7 + 0.7 * unit(key, 12)), depth_m * (0.7 + 0.7 * unit(key, 13))
    row = q / depth + unit(key, 14)
    j = np.floor(row)
    column = p / (width * (0.75 + 0.6 * unit(key, j, 16))) + unit(key, j, 15)
    i = np.floor(column)
    block = mix(key, i, j)
    return _split_blocks(block, (column - i, row - j), (width, depth))


def _split_blocks(block: U, inside: At, size_m: At) -> Parcels:
    """Divide blocks unevenly into parcels; `inside` are the fractional coordinates in the block, `size_m` its size."""
    count = SPLITS[(unit(block, 17) * len(SPLITS)).astype(np.intp)]
    edge: F = np.full(block.shape, np.inf)
    block_edge, parcel = edge, block
    for axis in (0, 1):
        power = 0.75 + 0.6 * unit(block, 18 + axis)
        share = np.clip(inside[axis], 1e-6, 1 - 1e-6)
        block_edge = np.minimum(block_edge, size_m[axis] * np.minimum(share, 1 - share))
        cell = share**power * count[..., axis]
        part = np.floor(cell)
        parcel = mix(parcel, part, axis)
        edge = np.minimum(edge, size_m[axis] * np.minimum(cell - part, 1 - cell + part) / count[..., axis])
    return Parcels(parcel, edge, block_edge, block)


def draw_settlements(canvas: Canvas, sites: Sites, radius_m: F, *, leafy: float = 0.5) -> B:
    """Draw streets, houses, gardens, parks and industry around each site; return the settled mask."""
    wobble = canvas.field("town", 24, 1.5)
    depth = (radius_m * (1 + 0.3 * wobble) - sites.distance_m) / np.maximum(radius_m, 1)
    inside = (depth > 0) & (radius_m > 60)
    (p, q), block_m = street_axes(canvas.at, canvas.noise, sites)
    _draw_houses(canvas, inside, (p, q), sites, depth + leafy * 0.25 * canvas.field("leafy", 25, 1.25) - leafy * 0.3)
    works = (depth > -0.25) & (radius_m > 420) & (p > 0.42 * radius_m) & (np.abs(q + 120) < 0.44 * radius_m)
    _draw_industry(canvas, works, (p, q), sites)
    block = np.floor(p / block_m[0]), np.floor(q / block_m[1])
    park = inside & ~works & (unit(sites.key, *block, 23) < 0.07)
    canvas.choose(park, unit(np.floor(p / 31), np.floor(q / 27), 24), {"lawn": 0.6, "deciduous": 0.4})
    for along, size in ((p, block_m[0]), (q, block_m[1])):
        off = np.abs(along / size - np.rint(along / size)) * size
        canvas.line(off, "street", half_width_m=6.5, where=(inside & ~works))
    return np.asarray(inside | works)


def street_axes(at: At, noise: Noise, sites: Sites) -> tuple[At, At]:
    """Return coordinates along the street axes of the nearest site and its block size, both in metres."""
    turn = (unit(sites.key, 11) * np.pi).astype(np.float64)
    p, q = rotate(at, (sites.u, sites.v), turn)
    sway = (14 * noise(f"street-{axis}", at, texel_m=60, slope=1.75) for axis in "uv")
    block_m = (84 + 44 * unit(sites.key, 21), 110 + 70 * unit(sites.key, 22))
    return (p + next(sway), q + next(sway)), block_m


def _draw_houses(canvas: Canvas, inside: B, at: At, sites: Sites, density: F) -> None:
    """Fill dense blocks with houses and yards, sparse ones with gardens."""
    cell = np.floor(at[0] / 21), np.floor(at[1] / 17)
    draw, tone = unit(*cell, sites.key, 25), unit(*cell, sites.key, 26)
    house = draw < np.clip(0.34 + 0.75 * density, 0.25, 0.8)
    canvas.choose(inside & house, tone, {"tiles": 0.62, "slates": 0.26, "halls": 0.015, "yard": 0.105})
    garden = {"lawn": 0.5, "deciduous": 0.22, "yard": 0.28}
    canvas.choose(inside & ~house & (density < 0.55), tone, garden)
    canvas.paint(inside & ~house & (density >= 0.55), "yard")
    canvas.parcel[inside] = mix(*cell, sites.key)[inside]


def _draw_industry(canvas: Canvas, where: B, at: At, sites: Sites) -> None:
    """Draw large halls with yards between them."""
    size = 118.0, 74.0
    cell = np.floor(at[0] / size[0]), np.floor(at[1] / size[1])
    inset = [np.abs(a / s - np.rint(a / s)) * s for a, s in zip(at, size, strict=True)]
    draw = unit(*cell, sites.key, 27)
    where = where & (draw < 0.85)
    hall = where & (np.minimum(inset[0], inset[1]) > 9 + 9 * unit(*cell, 28)) & (draw < 0.7)
    canvas.choose(where & ~hall, draw / 0.85, {"yard": 0.45, "street": 0.55})
    canvas.choose(hall, unit(*cell, sites.key, 29), {"halls": 0.34, "slates": 0.42, "tiles": 0.1, "yard": 0.14})
    canvas.parcel[where] = mix(*cell, sites.key)[where]


def draw_roads(canvas: Canvas, sites: Sites, *, half_width_m: float = 4.5, where: ArrayLike = True) -> None:
    """Connect neighbouring sites by slightly winding roads."""
    sway = canvas.at[0] + 55 * canvas.field("sway-u", 300, 1.75), canvas.at[1] + 55 * canvas.field("sway-v", 300, 1.75)
    distance = segment_distance(sway, (sites.u, sites.v), (sites.next_u, sites.next_v))
    pair = np.minimum(sites.key, sites.next_key), np.maximum(sites.key, sites.next_key)
    canvas.line(distance, "street", half_width_m=half_width_m, where=(unit(*pair, 31) < 0.8) & np.asarray(where))


class Bank(NamedTuple):
    """Position relative to the nearest stream: distance, chainage, and side of the bend (-1 outside, 1 inside)."""

    distance_m: F
    along_m: F
    inside: F


@dataclass(frozen=True, slots=True)
class Course:
    """Parameters of a meandering stream: a point on it, the mean heading, and wavelength and amplitude of its bends.

    `name` seeds the bends; `up_m` and `down_m` are the lengths up- and downstream of the point.
    """

    name: str
    through: tuple[float, float]
    heading_deg: float
    wave_m: float
    bend_rad: float = 1.25
    up_m: float = 260_000
    down_m: float = 260_000


class Stream:
    """A meandering river as a line of points 8 m apart."""

    REACH_M = 450.0

    def __init__(self, seed: int, course: Course) -> None:
        """Build the line up and down from a point as a sine-generated curve (Langbein and Leopold, 1966)."""
        draw = rng(seed, "stream", course.name)
        count = int((course.up_m + course.down_m) / 8)
        chain = np.arange(count) * 8.0 - course.up_m
        slow = [_smooth_walk(draw, count, course.wave_m * k) for k in (1.4, 2.6, 5.0)]
        angle = np.radians(course.heading_deg) + 0.34 * slow[2]
        swing = course.bend_rad * (1 + 0.32 * np.clip(slow[0], -1.5, 1.5))
        angle = angle + swing * np.sin(2 * np.pi * chain / course.wave_m + 1.5 * slow[1])
        u, v = np.cumsum(8 * np.cos(angle)), np.cumsum(8 * np.sin(angle))
        start = int(course.up_m / 8) - 1
        self.points = np.stack([u - u[start] + course.through[0], v - v[start] + course.through[1]], axis=1)
        self.angle, self.along_m = angle, chain
        bend = np.gradient(angle)
        self.bend = bend / np.abs(bend).max().clip(1e-9) * 1.6
        self.tree = cKDTree(self.points)

    def bank(self, canvas: Canvas) -> Bank:
        """Return the position of every point relative to the stream in warped coordinates, up to `REACH_M`."""
        at = canvas.warped
        distance, index = np.full(at[0].shape, self.REACH_M), np.zeros(at[0].shape, np.intp)
        near = self._near(canvas.at)
        spots = np.stack([at[0][near], at[1][near]], axis=1)
        near_m, nearest = self.tree.query(spots, distance_upper_bound=self.REACH_M)
        distance[near] = np.minimum(near_m, self.REACH_M)
        index[near] = np.minimum(nearest, len(self.points) - 1)
        off_u, off_v = at[0] - self.points[index, 0], at[1] - self.points[index, 1]
        side = np.sign(np.cos(self.angle)[index] * off_v - np.sin(self.angle)[index] * off_u)
        return Bank(distance, self.along_m[index], np.clip(side * self.bend[index], -1, 1))

    def _near(self, at: At) -> B:
        """Return a superset of the points within reach, from every eighth point of a lattice of 20 m or less."""
        thin = at[0][::8, ::8], at[1][::8, ::8]
        spots = np.stack([axis.ravel() for axis in thin], axis=1)
        near_m, _ = self.tree.query(spots, distance_upper_bound=self.REACH_M + 8 * 28.4 + 1.5 * WARP_M * 5)
        reachable = np.isfinite(near_m).reshape(thin[0].shape)
        return np.asarray(reachable.repeat(8, axis=0).repeat(8, axis=1)[: at[0].shape[0], : at[0].shape[1]])


def _smooth_walk(draw: np.random.Generator, count: int, scale_m: float) -> F:
    """Return a smooth random series (standard deviation about 1) with scale `scale_m` at steps of 8 m."""
    knots = draw.standard_normal(int(count * 8 / scale_m) + 3)
    where = np.arange(count) * 8 / scale_m
    index, part = where.astype(np.intp), where % 1
    ease = part * part * (3 - 2 * part)
    return np.asarray(knots[index] * (1 - ease) + knots[index + 1] * ease)
