"""The parts landscapes are painted from: kinds of ground, parcels, settlements, streams."""

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
    """Return `signatures.yaml` as it stands."""
    with (Path(__file__).parent / "signatures.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


KINDS: dict[str, int] = {name: index for index, name in enumerate(signatures()["kinds"])}
COVER = np.array([kind["cover"] for kind in signatures()["kinds"].values()], np.uint8)


@dataclass(frozen=True, slots=True)
class Land:
    """What lies at every point (y, x) of a window; `over` is a thinner thing that fills `share` of the point."""

    kind: NDArray[np.uint8]
    over: NDArray[np.uint8]
    share: NDArray[np.float32]
    parcel: U
    height_m: F

    @property
    def most(self) -> NDArray[np.uint8]:
        """The kind of ground that fills most of the point."""
        return np.where(self.share > 0.5, self.over, self.kind)

    def cut(self, to: tuple[slice, slice]) -> "Land":
        """Return rows and columns of it; they share its memory."""
        return Land(self.kind[to], self.over[to], self.share[to], self.parcel[to], self.height_m[to])


BEND_M = 38.0  # how far grown borders stray from drawn ones (deviation)


class Canvas:
    """A window being painted: later strokes cover earlier ones."""

    def __init__(self, at: At, noise: Noise) -> None:
        """Start with pasture everywhere; `bent` are the coordinates of borders that grew rather than were drawn."""
        self.at, self.noise = at, noise
        self.kind = np.full(at[0].shape, KINDS["pasture"], np.uint8)
        self.over, self.share = np.zeros_like(self.kind), np.zeros(at[0].shape, np.float32)
        self.parcel = np.zeros(at[0].shape, np.uint32)
        self.height_m: F = np.zeros(at[0].shape, np.float32)
        self.bent = (at[0] + BEND_M * self.field("bend-u", 9, 1.25), at[1] + BEND_M * self.field("bend-v", 9, 1.25))

    def field(self, name: str, texel_m: float, slope: float, *, bent: bool = False, smooth: bool = False) -> F:
        """Return a fractal field over the window."""
        return self.noise(name, self.bent if bent else self.at, texel_m=texel_m, slope=slope, smooth=smooth)

    def paint(self, where: B, kind: str) -> None:
        """Make the points `where` of this kind, whatever they were."""
        self.kind[where] = KINDS[kind]
        self.share[where] = 0

    def choose(self, where: B, draw: F, kinds: dict[str, float]) -> None:
        """Paint `where` with kinds by their shares of a uniform draw."""
        bounds = np.cumsum(list(kinds.values()))
        codes = np.array([KINDS[name] for name in kinds], np.uint8)
        pick = codes[np.minimum(np.searchsorted(bounds, draw[where] * bounds[-1]), len(codes) - 1)]
        self.kind[where] = pick
        self.share[where] = 0

    def line(
        self, distance_m: F, kind: str, *, half_width_m: ArrayLike, where: ArrayLike = True, most: float = 1
    ) -> None:
        """Lay a line over the ground; a pixel on its edge takes the part that 10 m would see."""
        share = np.clip((np.asarray(half_width_m) - distance_m) / 10 + 0.5, 0, most).astype(np.float32)
        wins = (share > self.share) & np.asarray(where)
        self.share[wins], self.over[wins] = share[wins], KINDS[kind]

    def land(self) -> Land:
        """Return what was painted."""
        return Land(self.kind, self.over, self.share, self.parcel, self.height_m)


def turned(at: At, origin: At, angle: F | float) -> At:
    """Return the coordinates of points in axes turned about an origin."""
    du, dv, cos, sin = at[0] - origin[0], at[1] - origin[1], np.cos(angle), np.sin(angle)
    return du * cos + dv * sin, dv * cos - du * sin


class Parcels(NamedTuple):
    """Which parcel a point lies in, and how far it is from the parcel's and the block's edge."""

    key: U
    edge_m: F
    block_edge_m: F
    block: U


SPLITS = np.array([(1, 1), (2, 1), (3, 1), (5, 1), (1, 2), (2, 2), (3, 2), (4, 1)])


def parcels(at: At, sites: Sites, *, width_m: float, depth_m: float, turn: float = 0.0) -> Parcels:
    """Divide the land of each site into blocks along its own axes, and each block into one to six parcels."""
    key = sites.key
    p, q = turned(at, (sites.u, sites.v), (unit(key, 11) * np.pi + turn).astype(np.float64))
    width, depth = width_m * (0.7 + 0.7 * unit(key, 12)), depth_m * (0.7 + 0.7 * unit(key, 13))
    row = q / depth + unit(key, 14)
    j = np.floor(row)
    column = p / (width * (0.75 + 0.6 * unit(key, j, 16))) + unit(key, j, 15)
    i = np.floor(column)
    block = mix(key, i, j)
    return _split(block, (column - i, row - j), (width, depth))


def _split(block: U, inside: At, size_m: At) -> Parcels:
    """Split blocks unevenly, by hash, into the parcels that the fractions `inside` fall in."""
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


def settle(canvas: Canvas, sites: Sites, radius_m: F, *, leafy: float = 0.5) -> B:
    """Build a settlement of streets, houses, gardens, parks and works round each site; return where."""
    wobble = canvas.field("town", 24, 1.5)
    depth = (radius_m * (1 + 0.3 * wobble) - sites.distance_m) / np.maximum(radius_m, 1)
    inside = (depth > 0) & (radius_m > 60)
    (p, q), block_m = streets(canvas.at, canvas.noise, sites)
    _houses(canvas, inside, (p, q), sites, depth + leafy * 0.25 * canvas.field("leafy", 25, 1.25) - leafy * 0.3)
    works = (depth > -0.25) & (radius_m > 420) & (p > 0.42 * radius_m) & (np.abs(q + 120) < 0.44 * radius_m)
    _works(canvas, works, (p, q), sites)
    quiet = np.floor(p / block_m[0]), np.floor(q / block_m[1])
    park = inside & ~works & (unit(sites.key, *quiet, 23) < 0.07)
    canvas.choose(park, unit(np.floor(p / 31), np.floor(q / 27), 24), {"lawn": 0.6, "deciduous": 0.4})
    for along, size in ((p, block_m[0]), (q, block_m[1])):
        off = np.abs(along / size - np.rint(along / size)) * size
        canvas.line(off, "street", half_width_m=6.5, where=(inside & ~works))
    return np.asarray(inside | works)


def streets(at: At, noise: Noise, sites: Sites) -> tuple[At, At]:
    """Return points in the axes of their site's streets, and the size of its blocks, both in metres."""
    turn = (unit(sites.key, 11) * np.pi).astype(np.float64)
    p, q = turned(at, (sites.u, sites.v), turn)
    sway = (14 * noise(f"street-{axis}", at, texel_m=60, slope=1.75) for axis in "uv")
    block_m = (84 + 44 * unit(sites.key, 21), 110 + 70 * unit(sites.key, 22))
    return (p + next(sway), q + next(sway)), block_m


def _houses(canvas: Canvas, inside: B, at: At, sites: Sites, density: F) -> None:
    """Fill blocks with houses where the town is dense and with gardens where it is not."""
    cell = np.floor(at[0] / 21), np.floor(at[1] / 17)
    draw, tone = unit(*cell, sites.key, 25), unit(*cell, sites.key, 26)
    house = draw < np.clip(0.34 + 0.75 * density, 0.25, 0.8)
    canvas.choose(inside & house, tone, {"tiles": 0.62, "slates": 0.26, "halls": 0.015, "yard": 0.105})
    garden = {"lawn": 0.5, "deciduous": 0.22, "yard": 0.28}
    canvas.choose(inside & ~house & (density < 0.55), tone, garden)
    canvas.paint(inside & ~house & (density >= 0.55), "yard")
    canvas.parcel[inside] = mix(*cell, sites.key)[inside]


def _works(canvas: Canvas, where: B, at: At, sites: Sites) -> None:
    """Build large halls with yards between them."""
    size = 118.0, 74.0
    cell = np.floor(at[0] / size[0]), np.floor(at[1] / size[1])
    inset = [np.abs(a / s - np.rint(a / s)) * s for a, s in zip(at, size, strict=True)]
    draw = unit(*cell, sites.key, 27)
    where = where & (draw < 0.85)
    hall = where & (np.minimum(inset[0], inset[1]) > 9 + 9 * unit(*cell, 28)) & (draw < 0.7)
    canvas.choose(where & ~hall, draw / 0.85, {"yard": 0.45, "street": 0.55})
    canvas.choose(hall, unit(*cell, sites.key, 29), {"halls": 0.34, "slates": 0.42, "tiles": 0.1, "yard": 0.14})
    canvas.parcel[where] = mix(*cell, sites.key)[where]


def roads(canvas: Canvas, sites: Sites, *, half_width_m: float = 4.5, where: ArrayLike = True) -> None:
    """Join neighbouring sites by roads that sway a little."""
    sway = canvas.at[0] + 55 * canvas.field("sway-u", 300, 1.75), canvas.at[1] + 55 * canvas.field("sway-v", 300, 1.75)
    distance = segment_distance(sway, (sites.u, sites.v), (sites.next_u, sites.next_v))
    pair = np.minimum(sites.key, sites.next_key), np.maximum(sites.key, sites.next_key)
    canvas.line(distance, "street", half_width_m=half_width_m, where=(unit(*pair, 31) < 0.8) & np.asarray(where))


class Bank(NamedTuple):
    """Where a point lies by its nearest stream: distance, chainage, and how far inside a bend (-1..1)."""

    distance_m: F
    along_m: F
    inside: F


class Stream:
    """A meandering river as a line of points 8 m apart."""

    REACH_M = 450.0

    def __init__(
        self, seed: int, name: str, *, through: tuple[float, float], heading_deg: float, wave_m: float,
        bend_rad: float = 1.25, up_m: float = 260_000, down_m: float = 260_000,
    ) -> None:  # fmt: skip
        """Grow the line down and up from a point, by the sine-generated curve that real meanders follow."""
        draw = rng(seed, "stream", name)
        count = int((up_m + down_m) / 8)
        chain = np.arange(count) * 8.0 - up_m
        slow = [_smooth_walk(draw, count, wave_m * k) for k in (1.4, 2.6, 5.0)]
        angle = np.radians(heading_deg) + 0.34 * slow[2]
        swing = bend_rad * (1 + 0.32 * np.clip(slow[0], -1.5, 1.5))
        angle = angle + swing * np.sin(2 * np.pi * chain / wave_m + 1.5 * slow[1])
        u, v = np.cumsum(8 * np.cos(angle)), np.cumsum(8 * np.sin(angle))
        start = int(up_m / 8) - 1
        self.points = np.stack([u - u[start] + through[0], v - v[start] + through[1]], axis=1)
        self.angle, self.along_m = angle, chain
        bend = np.gradient(angle)
        self.bend = bend / np.abs(bend).max().clip(1e-9) * 1.6
        self.tree = cKDTree(self.points)

    def bank(self, canvas: Canvas) -> Bank:
        """Return every point's place by the stream, in bent coordinates; no distance exceeds `REACH_M`."""
        at = canvas.bent
        distance, index = np.full(at[0].shape, self.REACH_M), np.zeros(at[0].shape, np.intp)
        near = self._near(canvas.at)
        spots = np.stack([at[0][near], at[1][near]], axis=1)
        found, which = self.tree.query(spots, distance_upper_bound=self.REACH_M)
        distance[near] = np.minimum(found, self.REACH_M)
        index[near] = np.minimum(which, len(self.points) - 1)
        off_u, off_v = at[0] - self.points[index, 0], at[1] - self.points[index, 1]
        side = np.sign(np.cos(self.angle)[index] * off_v - np.sin(self.angle)[index] * off_u)
        return Bank(distance, self.along_m[index], np.clip(side * self.bend[index], -1, 1))

    def _near(self, at: At) -> B:
        """Return a superset of the points within reach, found by looking at every eighth; they may lie 20 m apart."""
        thin = at[0][::8, ::8], at[1][::8, ::8]
        spots = np.stack([axis.ravel() for axis in thin], axis=1)
        found, _ = self.tree.query(spots, distance_upper_bound=self.REACH_M + 8 * 28.4 + 1.5 * BEND_M * 5)
        held = np.isfinite(found).reshape(thin[0].shape)
        return np.asarray(held.repeat(8, axis=0).repeat(8, axis=1)[: at[0].shape[0], : at[0].shape[1]])


def _smooth_walk(draw: np.random.Generator, count: int, scale_m: float) -> F:
    """Return a smooth random series of deviation about 1 that changes over `scale_m`, in steps of 8 m."""
    knots = draw.standard_normal(int(count * 8 / scale_m) + 3)
    where = np.arange(count) * 8 / scale_m
    index, part = where.astype(np.intp), where % 1
    ease = part * part * (3 - 2 * part)
    return np.asarray(knots[index] * (1 - ease) + knots[index + 1] * ease)
