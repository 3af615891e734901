"""The local plane of a place: projection from map coordinates, seeded random numbers, noise and sites."""

from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy import ndimage

from landmark.core.crs import transformer

F = NDArray[np.floating[Any]]
U = NDArray[np.uint32]
TEXELS = 1024
DERIVED = 1 << 32  # seeds from here on come from `seed_of`; their noise shares the textures of seed 0


def seed_of(seed: int, *names: object) -> int:
    """Return a 64-bit seed derived from a seed and names, the same on every machine."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def rng(seed: int, *names: object) -> np.random.Generator:
    """Return a generator seeded by `seed_of`."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, *names)))


@cache
def fractal(seed: int, slope: float) -> NDArray[np.float32]:
    """Return a periodic field of mean 0 and deviation 1 whose amplitude falls as frequency^-slope."""
    white = np.fft.rfft2(rng(seed, "fractal", slope).standard_normal((TEXELS, TEXELS)))
    fy, fx = np.fft.fftfreq(TEXELS)[:, None], np.fft.rfftfreq(TEXELS)[None, :]
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1.0
    # Damp waves longer than a tenth of the period: they would make regions of the world differ systematically.
    weight = np.minimum(frequency, 1.0) ** -slope * (1 - np.exp(-((frequency * TEXELS / 9) ** 2)))
    weight[0, 0] = 0.0
    field = np.fft.irfft2(white * weight, s=(TEXELS, TEXELS))
    return np.asarray(field / field.std(), np.float32)


@cache
def _spline(seed: int, slope: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.spline_filter(fractal(seed, slope), order=3, mode="grid-wrap", output=np.float32))


class Noise:
    """Named fractal fields of one seed: each name samples a shared texture at its own offset and rotation."""

    def __init__(self, seed: int) -> None:
        """Store the seed; textures are cached per slope."""
        self.seed, self.texture_seed = seed, seed if seed < DERIVED else 0

    def __call__(self, name: str, at: tuple[F, F], *, texel_m: float, slope: float, smooth: bool = False) -> F:
        """Return the field at plane coordinates in metres; `smooth` interpolates cubically, for gradients."""
        u, v = at
        shift_u, shift_v, angle = rng(self.seed, "noise", name).uniform(0, TEXELS, 3)
        cos, sin = np.cos(angle) / texel_m, np.sin(angle) / texel_m
        position = np.stack([u * cos - v * sin + shift_u, u * sin + v * cos + shift_v])
        texture, order = (_spline(self.texture_seed, slope), 3) if smooth else (fractal(self.texture_seed, slope), 1)
        values = ndimage.map_coordinates(
            texture, position, order=order, mode="grid-wrap", prefilter=False, output=np.float32
        )
        return np.asarray(values)


def mix(*keys: Any) -> U:
    """Return a 32-bit hash of integer arrays, element by element."""
    state = np.asarray(np.uint32(0x9E3779B9))
    for key in keys:
        state = _scramble(state ^ np.asarray(key).astype(np.int64).astype(np.uint32))
    return state


def _scramble(state: NDArray[np.uint32]) -> U:
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint32(16))) * np.uint32(0x7FEB352D)
        state = (state ^ (state >> np.uint32(15))) * np.uint32(0x846CA68B)
        return state ^ (state >> np.uint32(16))


def unit(*keys: Any) -> NDArray[np.float32]:
    """Return a hash of integer arrays as floats in [0, 1)."""
    return (mix(*keys) >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


class Sites(NamedTuple):
    """The nearest and second nearest site of every point: key, coordinates and distance."""

    key: U
    u: F
    v: F
    distance_m: F
    next_key: U
    next_u: F
    next_v: F
    next_distance_m: F


def nearest_sites(at: tuple[F, F], *, spacing_m: float, salt: int, spread: float = 0.36) -> Sites:
    """Return the two nearest sites of a jittered lattice, searched in the 3 x 3 cells about each point."""
    u, v = at
    column, row = np.floor(u / spacing_m).astype(np.int64), np.floor(v / spacing_m).astype(np.int64)
    west, south = int(column.min()) - 1, int(row.min()) - 1
    i, j = np.meshgrid(np.arange(west, column.max() + 2), np.arange(south, row.max() + 2))
    key = mix(i, j, salt + 2).ravel()
    site_u = ((i + 0.5 + spread * (2 * unit(i, j, salt).astype(np.float64) - 1)) * spacing_m).ravel()
    site_v = ((j + 0.5 + spread * (2 * unit(i, j, salt + 1).astype(np.float64) - 1)) * spacing_m).ravel()
    cell = (row - south) * i.shape[1] + (column - west)
    best, second = cell, cell
    least, next_least = np.full(u.shape, np.inf), np.full(u.shape, np.inf)
    for step in (-i.shape[1], 0, i.shape[1]):
        for candidate in (cell + step - 1, cell + step, cell + step + 1):
            square = (u - site_u[candidate]) ** 2 + (v - site_v[candidate]) ** 2
            nearer = square < least
            rival = np.where(nearer, least, square)
            second = np.where(rival < next_least, np.where(nearer, best, candidate), second)
            next_least = np.minimum(next_least, rival)
            best, least = np.where(nearer, candidate, best), np.minimum(least, square)
    return Sites(
        key[best], site_u[best], site_v[best], np.sqrt(least),
        key[second], site_u[second], site_v[second], np.sqrt(next_least),
    )  # fmt: skip


def segment_distance(at: tuple[F, F], start: tuple[F, F], end: tuple[F, F]) -> F:
    """Return the distance of every point from the segment between `start` and `end`, in metres."""
    du, dv = end[0] - start[0], end[1] - start[1]
    along = ((at[0] - start[0]) * du + (at[1] - start[1]) * dv) / np.maximum(du * du + dv * dv, 1e-9)
    along = np.clip(along, 0.0, 1.0)
    return np.sqrt((at[0] - start[0] - along * du) ** 2 + (at[1] - start[1] - along * dv) ** 2)


def to_plane(lon: float, lat: float, epsg: int) -> Transformer:
    """Return the transformer from EPSG:`epsg` to the plane of (lon, lat)."""
    local = f"+proj=tmerc +lon_0={lon} +lat_0={lat} +k=1 +datum=WGS84 +units=m"
    return Transformer.from_crs(f"EPSG:{epsg}", local, always_xy=True)


class Plane:
    """Transformation from one conformal map to the plane of a place (transverse Mercator on its centre).

    The transformation between conformal maps is analytic, so a complex polynomial approximates it to 0.1 mm within
    200 km. Evaluated elementwise, it gives a pixel the same coordinates in every window.
    """

    REACH_M, DEGREE = 200_000.0, 9

    def __init__(self, lon: float, lat: float, epsg: int) -> None:
        """Fit the polynomial from EPSG:`epsg` to the plane of (lon, lat)."""
        to_map = transformer(4326, epsg)
        self.x, self.y = to_map.transform(lon, lat)
        side = np.cos(np.pi * (np.arange(40) + 0.5) / 40) * self.REACH_M
        dx, dy = (grid.ravel() for grid in np.meshgrid(side, side))
        u, v = to_plane(lon, lat, epsg).transform(self.x + dx, self.y + dy)
        powers = np.vander((dx + 1j * dy) / self.REACH_M, self.DEGREE + 1)
        self.coefficients = np.linalg.lstsq(powers, np.asarray(u) + 1j * np.asarray(v), rcond=None)[0]

    def at(self, x: F, y: F) -> tuple[F, F]:
        """Return plane coordinates of the pixels at columns `x` and rows `y`, both in map metres."""
        a, b = np.meshgrid((x - self.x) / self.REACH_M, (y - self.y) / self.REACH_M)
        u, v = np.full(a.shape, self.coefficients[0].real), np.full(a.shape, self.coefficients[0].imag)
        for term in self.coefficients[1:]:
            u, v = u * a - v * b + term.real, u * b + v * a + term.imag
        return u, v
