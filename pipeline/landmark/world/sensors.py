"""What the two satellites record of a painted window: reflectance with clouds, backscatter with speckle."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landmark.world.ground import COVER, At, signatures
from landmark.world.plane import F, Noise, U, fractal, rng, seed_of, unit
from landmark.world.window import HALO, View

BANDS: dict[str, int] = {
    "B01": 6, "B02": 1, "B03": 1, "B04": 1, "B05": 2, "B06": 2, "B07": 2, "B08": 1, "B8A": 2, "B09": 6,
    "B11": 2, "B12": 2,
}  # fmt: skip
PHASES, VIGOURS = 8, 8
RED_EDGE_AND_NIR = ("B06", "B07", "B08", "B8A", "B09")
CLOUD = dict(zip(BANDS, (5700, 5800, 5700, 5800, 5900, 5950, 6000, 6050, 6100, 5200, 4300, 3300), strict=True))
SHADE = dict(zip(BANDS, (.72, .66, .58, .52, .48, .46, .44, .44, .42, .42, .36, .36), strict=True))  # fmt: skip


class Sun(NamedTuple):
    """Where the sun stands, in degrees."""

    zenith_deg: float
    azimuth_deg: float


def sun(when: datetime, lon: float, lat: float) -> Sun:
    """Return the sun's place in the sky, to about a degree."""
    day = when.timetuple().tm_yday
    tilt = np.radians(-23.44 * np.cos(2 * np.pi * (day + 10) / 365.25))
    hour = np.radians((when.hour + when.minute / 60 + lon / 15 - 12) * 15)
    phi = np.radians(lat)
    height = np.arcsin(np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.cos(hour))
    east = -np.cos(tilt) * np.sin(hour)
    north = np.cos(phi) * np.sin(tilt) - np.sin(phi) * np.cos(tilt) * np.cos(hour)
    return Sun(float(90 - np.degrees(height)), float(np.degrees(np.arctan2(east, north)) % 360))


def _season(curve: list[float], day: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a monthly curve at days of the year, linear between the months' middles."""
    return np.interp(day, np.arange(12) * 30.44 + 15.2, curve, period=365.25)


@cache
def _states(day: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each kind's spectrum and growth (0..1) by phase and vigour: (kind*phase*vigour, band) and (…,)."""
    book = signatures()
    phase, vigour = np.meshgrid((np.arange(PHASES) - 3.5) * 5.0, np.linspace(0.72, 1.06, VIGOURS), indexing="ij")
    spectra, growth = [], []
    for kind in book["kinds"].values():
        parts = [_season(curve, day + phase) * vigour for curve in kind["states"].values()]
        total = np.sum(parts, axis=0) if parts else np.zeros_like(vigour)
        scale = 1 / np.maximum(total, 1)
        mixture = [(1 - np.minimum(total, 1))[..., None] * np.array(book["materials"][kind["rest"]])]
        mixture += [
            (part * scale)[..., None] * np.array(book["materials"][name])
            for part, name in zip(parts, kind["states"], strict=True)
        ]
        spectra.append(np.sum(mixture, axis=0))
        growth.append(np.clip(parts[0] if parts else np.ones_like(vigour), 0, 1))
    return np.array(spectra, np.float32).reshape(-1, 12), np.array(growth, np.float32).reshape(-1)


@cache
def _trait(name: str) -> NDArray[np.float32]:
    return np.array([kind[name] for kind in signatures()["kinds"].values()], np.float32)


def _state(codes: NDArray[np.uint8], parcel: U) -> NDArray[np.intp]:
    """Return each point's row in `_states`: parcels sow earlier or later and thrive more or less."""
    phase = (unit(parcel, 91) * PHASES).astype(np.intp)
    vigour = (unit(parcel, 92) * VIGOURS).astype(np.intp)
    # Only what is farmed comes in parcels; woods and wild land change with texture alone.
    farmed = (COVER[codes] == 40) | (COVER[codes] == 30)
    phase, vigour = np.where(farmed, phase, PHASES // 2), np.where(farmed, vigour, VIGOURS - 3)
    return (codes.astype(np.intp) * PHASES + phase) * VIGOURS + vigour


def _slopes(view: View) -> tuple[F, F]:
    """Return the ground's rise per metre to the east and to the north."""
    down, right = np.gradient(view.land.height_m, 10.0)
    return np.asarray(right), np.asarray(-down)


class Ground10(NamedTuple):
    """What all acquisitions of a window share: texture, each kind of ground's to be scaled by its trait, and slopes."""

    grain: F
    mottle: F
    east: F
    north: F


def ground10(view: View, seed: int) -> Ground10:
    """Return a window's texture and slopes."""
    noise = Noise(seed)
    grain = noise("grain", view.at, texel_m=8.3, slope=0.4)
    mottle = noise("mottle", view.at, texel_m=19, slope=1.25)
    return Ground10(grain, mottle, *_slopes(view))


def _texture(view: View, base: Ground10) -> tuple[F, F]:
    """Return grain and mottle of what lies there now."""
    kind = view.land.kind
    return base.grain * _trait("grain")[kind], base.mottle * _trait("mottle")[kind]


class Sky(NamedTuple):
    """The clouds of one datatake over its zone: the field's name, what of it is cloud, the sun behind it."""

    name: str
    threshold: float
    sun: Sun


def sky(name: str, share: float, at: At, *, seed: int, where: Sun) -> Sky:
    """Return the sky that hides this share of the zone sampled at `at`."""
    threshold = float(np.quantile(_billows(name, at, seed), 1 - share)) if share > 0 else np.inf
    return Sky(name, threshold, where)


def _billows(name: str, at: At, seed: int) -> F:
    """Return the fractal that clouds are cut from; datatakes look at different regions of it."""
    shift = rng(seed, "sky", name).uniform(-1e5, 1e5, 2)
    there = at[0] + shift[0], at[1] + shift[1]
    noise = Noise(seed)
    puffs = noise("puffs", there, texel_m=14, slope=1.25)
    return np.asarray(noise("billows", there, texel_m=26, slope=1.75) + 0.28 * puffs)


class Veil(NamedTuple):
    """How opaque cloud is at each point, and how deep the shadow of cloud elsewhere."""

    cloud: F
    shadow: F


def veil(sky_: Sky, at: At, seed: int) -> Veil:
    """Return cloud and shadow over a window; shadow falls away from the sun by the clouds' height."""
    cloud = _opacity(_billows(sky_.name, at, seed) - sky_.threshold)
    length = 850 * np.tan(np.radians(min(sky_.sun.zenith_deg, 68)))
    towards = np.radians(sky_.sun.azimuth_deg)
    over = at[0] + length * np.sin(towards), at[1] + length * np.cos(towards)
    shadow = _opacity(_billows(sky_.name, over, seed) - sky_.threshold)
    return Veil(cloud, shadow * (1 - cloud))


def _opacity(excess: F) -> F:
    return np.asarray(1 - np.exp(-1.9 * np.maximum(excess + 0.06, 0) ** 1.2))


def reflectances(view: View, base: Ground10, *, day: int, veil_: Veil, where: Sun) -> Iterator[tuple[str, F]]:
    """Yield each band's reflectance x 10000 at 10 m under this sun and sky."""
    spectra, _ = _states(day)
    land, rows = view.land, _state(view.land.kind, view.land.parcel)
    mixed = land.share > 0
    over = _state(land.over[mixed], land.parcel[mixed])
    tan = 0.5 * np.tan(np.radians(min(where.zenith_deg, 52)))
    azimuth = np.radians(where.azimuth_deg)
    lit = np.clip(1 - tan * (base.east * np.sin(azimuth) + base.north * np.cos(azimuth)), 0.35, 1.5)
    grain, mottle = _texture(view, base)
    visible = (1 + grain + mottle) * lit
    infrared = (1 + 0.75 * grain - 0.35 * mottle) * lit
    for index, band in enumerate(BANDS):
        field = spectra[rows, index]
        field[mixed] += land.share[mixed] * (spectra[over, index] - field[mixed])
        field *= np.clip(infrared if band in RED_EDGE_AND_NIR else visible, 0.3, 2.0)
        field *= 1 - (1 - SHADE[band]) * veil_.shadow
        yield band, field + (CLOUD[band] * (0.42 + 0.62 * veil_.cloud) - field) * veil_.cloud


BLUR = np.array([0.13, 0.74, 0.13], np.float32)


def recorded(band: str, field: F, view: View, *, take: str, offset: int, seed: int) -> NDArray[np.uint16]:
    """Return a band as the instrument stores it: blurred or averaged to its pixel, noisy, offset, without the halo."""
    step = BANDS[band]
    if step == 1:
        field = ndimage.correlate1d(ndimage.correlate1d(field, BLUR, axis=0), BLUR, axis=1)
    field = area_mean(field[HALO:-HALO, HALO:-HALO], step)
    jitter = lattice_noise(seed_of(seed, take, band), view.row // step, view.column // step, field.shape)
    noisy = field * (1 + 0.004 * jitter) + 9 * jitter
    return (np.clip(np.rint(noisy), 1, 16000) + offset).astype(np.uint16)


def area_mean(field: F, step: int) -> F:
    """Return the mean of every step x step pixels."""
    height, width = field.shape
    return np.asarray(field.reshape(height // step, step, width // step, step).mean(axis=(1, 3)))


def lattice_noise(shift: int, row: int, column: int, shape: tuple[int, ...], slope: float = 0.0) -> F:
    """Return noise tied to the zone's lattice, so that tiles which overlap record the same pixel."""
    field = fractal(0, slope)
    rows = (row + np.arange(shape[0]) + shift % 997) % field.shape[0]
    columns = (column + np.arange(shape[1]) + shift // 997 % 1009) % field.shape[1]
    return np.asarray(field[np.ix_(rows, columns)])


def scene_classes(bands: dict[str, F], view: View, veil_: Veil) -> NDArray[np.uint8]:
    """Return the scene classification at 20 m, from reflectance, water and what is known of the clouds."""
    inner = np.s_[HALO:-HALO, HALO:-HALO]
    cloud, shadow = area_mean(veil_.cloud[inner], 2), area_mean(veil_.shadow[inner], 2)
    water = area_mean((COVER[view.land.kind[inner]] == 80).astype(np.float32), 2)
    green, red, nir, swir = (np.maximum(bands[name], 1) for name in ("B03", "B04", "B8A", "B11"))
    classes = np.where((nir - red) / (nir + red) > 0.34, 4, 5).astype(np.uint8)
    classes[water > 0.5] = 6
    classes[((green - swir) / (green + swir) > 0.42) & (green > 2500)] = 11
    classes[shadow > 0.35] = 3
    for least, code in ((0.07, 7), (0.1, 10), (0.2, 8), (0.5, 9)):
        classes[cloud > least] = code
    return classes


class Radar(NamedTuple):
    """How one pass looked: its name, direction and day of the year."""

    name: str
    ascending: bool
    day: int


def backscatter(view: View, base: Ground10, radar: Radar, *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return gamma0 (linear power) of vv and vh over a window, without its halo."""
    mood = rng(seed, "weather", radar.name)
    wind, damp = mood.uniform(-1.2, 2.6), mood.uniform(-0.7, 1.1)
    quiet, corner = _quiet_db(view, base, radar), _corners(view, radar)
    result = {}
    for name, least in (("vv", 1.0), ("vh", 0.55)):
        field = quiet[name]
        water = COVER[view.land.kind] == 80
        bare = (COVER[view.land.kind] == 60) | (COVER[view.land.kind] == 40)
        field = field + np.where(water, wind * least, np.where(bare, damp * least, 0))
        power = 10 ** (field / 10) + 10 ** ((corner - (0 if name == "vv" else 7)) / 10)
        power = ndimage.correlate1d(ndimage.correlate1d(power, RESPONSE, axis=0), RESPONSE, axis=1)
        result[name] = _trimmed(_speckled(power[HALO:-HALO, HALO:-HALO], view, f"{radar.name}/{name}", seed))
    return result


RESPONSE = np.array([0.2, 0.6, 0.2])  # how 20 m of resolution spread over 10 m pixels


def _quiet_db(view: View, base: Ground10, radar: Radar) -> dict[str, F]:
    """Return gamma0 in dB before speckle: class, growth, parcel, texture and slope towards the radar."""
    land, (_, growth) = view.land, _states(radar.day)
    grown = growth[_state(land.kind, land.parcel)]
    facing = base.east * (-1 if radar.ascending else 1)
    terrain = np.clip(6.5 * facing, -2.4, 3.2)
    rows = np.where(COVER[land.kind] == 40, 2.2 * (unit(land.parcel, 93 + radar.ascending) - 0.5), 0)
    grain, mottle = _texture(view, base)
    clutter = terrain + rows + 3.2 * mottle + 2.0 * grain
    grows = np.array([kind["grows"] for kind in signatures()["kinds"].values()], np.float32)
    result = {}
    for index, name in enumerate(("vv", "vh")):
        level = _trait(name)[land.kind] + grows[land.kind, index] * grown
        over = _trait(name)[land.over]
        power = 10 ** (level / 10) * (1 - land.share) + 10 ** (over / 10) * land.share
        result[name] = 10 * np.log10(power) + clutter
    return result


def _corners(view: View, radar: Radar) -> F:
    """Return in dB the echo of the corners that face this pass; -60 where there is none."""
    cell = np.floor(view.at[0] / 14), np.floor(view.at[1] / 14)
    faces = unit(*cell, 95 + radar.ascending)
    kind = np.where(view.land.share > 0.5, view.land.over, view.land.kind)
    # Streets that run along the track return far more than those across it.
    street = 0.5 + unit(view.land.parcel, 97)
    return np.where(faces < _trait("points")[kind] * street, 1.0 + 11 * unit(*cell, 98), -60.0)


def _speckled(power: F, view: View, name: str, seed: int) -> F:
    """Multiply power by 4.4-look speckle, correlated between neighbours; rows draw apart, so windows do not matter."""
    height, width = power.shape
    first = view.row - 1
    looks = 1.336
    draws = [rng(seed, "speckle", name, first + row).gamma(looks, 1 / looks, width + 2) for row in range(height + 2)]
    kernel = np.array([0.2, 1.0, 0.2]) / 1.4
    smooth = ndimage.correlate1d(ndimage.correlate1d(np.array(draws), kernel, axis=0), kernel, axis=1)
    return np.asarray(power * smooth[1:-1, 1:-1])


def _trimmed(power: F) -> NDArray[np.float32]:
    """Round to 10 bits of mantissa (0.004 dB at most), which halves the file and stays far below 0.01 dB."""
    bits = power.astype(np.float32).view(np.uint32) + np.uint32(1 << 12)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)
