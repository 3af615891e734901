"""Simulate the sensors over a view: reflectance with clouds, and backscatter with speckle."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landmark.world.ground import COVER, At, signatures
from landmark.world.place import Place
from landmark.world.plane import F, Noise, U, fractal, rng, seed_of, unit
from landmark.world.variation import haze, variation
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
    """Sun angles in degrees."""

    zenith_deg: float
    azimuth_deg: float


def sun_position(when: datetime, lon: float, lat: float) -> Sun:
    """Return the sun angles, accurate to about a degree."""
    day = when.timetuple().tm_yday
    tilt = np.radians(-23.44 * np.cos(2 * np.pi * (day + 10) / 365.25))
    hour = np.radians((when.hour + when.minute / 60 + lon / 15 - 12) * 15)
    phi = np.radians(lat)
    height = np.arcsin(np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.cos(hour))
    east = -np.cos(tilt) * np.sin(hour)
    north = np.cos(phi) * np.sin(tilt) - np.sin(phi) * np.cos(tilt) * np.cos(hour)
    return Sun(float(90 - np.degrees(height)), float(np.degrees(np.arctan2(east, north)) % 360))


def _monthly(curve: list[float], day: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate a monthly curve at days of the year, linearly between mid-months."""
    return np.interp(day, np.arange(12) * 30.44 + 15.2, curve, period=365.25)


@cache
def _spectral_states(day: int, place: Place, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return spectra (kind*phase*vigour, band) and growth (kind*phase*vigour,) in 0..1 for a day of the year."""
    table, nature = signatures(), variation(place, seed)
    phase, vigour = np.meshgrid((np.arange(PHASES) - 3.5) * 5.0, np.linspace(0.72, 1.06, VIGOURS), indexing="ij")
    vigour = vigour * nature.vigour
    spectra, growth = [], []
    for name, kind in table["kinds"].items():
        shift = nature.shift_days[name in table["southern"]]
        parts = [_monthly(curve, day + phase + shift) * vigour for curve in kind["states"].values()]
        total = np.sum(parts, axis=0) if parts else np.zeros_like(vigour)
        scale = 1 / np.maximum(total, 1)
        mixture = [(1 - np.minimum(total, 1))[..., None] * nature.materials[kind["rest"]]]
        mixture += [
            (part * scale)[..., None] * nature.materials[material]
            for part, material in zip(parts, kind["states"], strict=True)
        ]
        spectra.append(np.sum(mixture, axis=0))
        growth.append(np.clip(parts[0] if parts else np.ones_like(vigour), 0, 1))
    return np.array(spectra, np.float32).reshape(-1, 12), np.array(growth, np.float32).reshape(-1)


@cache
def _trait(name: str) -> NDArray[np.float32]:
    return np.array([kind[name] for kind in signatures()["kinds"].values()], np.float32)


def _state_index(codes: NDArray[np.uint8], parcel: U) -> NDArray[np.intp]:
    """Return each point's row in `_spectral_states`; phase and vigour vary between parcels of farmland alone."""
    phase = (unit(parcel, 91) * PHASES).astype(np.intp)
    vigour = (unit(parcel, 92) * VIGOURS).astype(np.intp)
    farmed = (COVER[codes] == 40) | (COVER[codes] == 30)
    phase, vigour = np.where(farmed, phase, PHASES // 2), np.where(farmed, vigour, VIGOURS - 3)
    return (codes.astype(np.intp) * PHASES + phase) * VIGOURS + vigour


def _slopes(view: View) -> tuple[F, F]:
    """Return the slopes to the east and to the north (rise per metre)."""
    down, right = np.gradient(view.land.height_m, 10.0)
    return np.asarray(right), np.asarray(-down)


class Ground10(NamedTuple):
    """Inputs shared by all acquisitions of a view: seed, unscaled texture at two scales, and slopes."""

    seed: int
    grain: F
    mottle: F
    east: F
    north: F


def ground10(view: View, seed: int) -> Ground10:
    """Compute the texture and slopes of a view."""
    noise = Noise(seed)
    grain = noise("grain", view.at, texel_m=8.3, slope=0.4)
    mottle = noise("mottle", view.at, texel_m=19, slope=1.25)
    return Ground10(seed, grain, mottle, *_slopes(view))


def _texture(view: View, base: Ground10) -> tuple[F, F]:
    """Return grain and mottle, scaled by the traits of the land cover."""
    kind = view.land.kind
    return base.grain * _trait("grain")[kind], base.mottle * _trait("mottle")[kind]


class Sky(NamedTuple):
    """The clouds of one datatake: name of the noise field, threshold above which it is cloud, and sun angles."""

    name: str
    threshold: float
    sun: Sun


def make_sky(name: str, share: float, at: At, *, seed: int, sun: Sun) -> Sky:
    """Return the sky with cloud share `share` over the zone, which is sampled at `at`."""
    threshold = float(np.quantile(_cloud_field(name, at, seed), 1 - share)) if share > 0 else np.inf
    return Sky(name, threshold, sun)


def _cloud_field(name: str, at: At, seed: int) -> F:
    """Return the noise field of the clouds, with an offset per datatake."""
    shift = rng(seed, "sky", name).uniform(-1e5, 1e5, 2)
    position = at[0] + shift[0], at[1] + shift[1]
    noise = Noise(seed)
    puffs = noise("puffs", position, texel_m=14, slope=1.25)
    return np.asarray(noise("billows", position, texel_m=26, slope=1.75) + 0.28 * puffs)


class Veil(NamedTuple):
    """Opacity of cloud and of cloud shadow per point, 0 to 1."""

    cloud: F
    shadow: F


def make_veil(sky: Sky, at: At, seed: int) -> Veil:
    """Return cloud and shadow over a window; shadows are displaced away from the sun."""
    cloud = _opacity(_cloud_field(sky.name, at, seed) - sky.threshold)
    length = 850 * np.tan(np.radians(min(sky.sun.zenith_deg, 68)))
    towards = np.radians(sky.sun.azimuth_deg)
    source = at[0] + length * np.sin(towards), at[1] + length * np.cos(towards)
    shadow = _opacity(_cloud_field(sky.name, source, seed) - sky.threshold)
    return Veil(cloud, shadow * (1 - cloud))


def _opacity(excess: F) -> F:
    return np.asarray(1 - np.exp(-1.9 * np.maximum(excess + 0.06, 0) ** 1.2))


def reflectances(view: View, base: Ground10, *, day: int, veil: Veil, sun: Sun) -> Iterator[tuple[str, F]]:
    """Yield each band's reflectance x 10000 at 10 m."""
    spectra, _ = _spectral_states(day, view.place, base.seed)
    added, transmitted = haze(view.place, base.seed, day)
    land, rows = view.land, _state_index(view.land.kind, view.land.parcel)
    mixed = land.share > 0
    overlay = _state_index(land.overlay[mixed], land.parcel[mixed])
    tan = 0.5 * np.tan(np.radians(min(sun.zenith_deg, 52)))
    azimuth = np.radians(sun.azimuth_deg)
    lit = np.clip(1 - tan * (base.east * np.sin(azimuth) + base.north * np.cos(azimuth)), 0.35, 1.5)
    grain, mottle = _texture(view, base)
    visible = (1 + grain + mottle) * lit
    infrared = (1 + 0.75 * grain - 0.35 * mottle) * lit
    for index, band in enumerate(BANDS):
        field = spectra[rows, index]
        field[mixed] += land.share[mixed] * (spectra[overlay, index] - field[mixed])
        field *= np.clip(infrared if band in RED_EDGE_AND_NIR else visible, 0.3, 2.0)
        field *= 1 - (1 - SHADE[band]) * veil.shadow
        if view.place.biome:
            field = field * transmitted[index] + added[index]
        yield band, field + (CLOUD[band] * (0.42 + 0.62 * veil.cloud) - field) * veil.cloud


BLUR = np.array([0.13, 0.74, 0.13], np.float32)


def record_band(band: str, field: F, view: View, *, datatake: str, offset: int, seed: int) -> NDArray[np.uint16]:
    """Return a band as stored: blurred or averaged to its resolution, with noise and offset, without the margin."""
    step = BANDS[band]
    if step == 1:
        field = ndimage.correlate1d(ndimage.correlate1d(field, BLUR, axis=0), BLUR, axis=1)
    field = area_mean(field[HALO:-HALO, HALO:-HALO], step)
    jitter = lattice_noise(seed_of(seed, datatake, band), view.row // step, view.column // step, field.shape)
    noisy = field * (1 + 0.004 * jitter) + 9 * jitter
    return (np.clip(np.rint(noisy), 1, 16000) + offset).astype(np.uint16)


def area_mean(field: F, step: int) -> F:
    """Return the block mean of step x step pixels."""
    height, width = field.shape
    return np.asarray(field.reshape(height // step, step, width // step, step).mean(axis=(1, 3)))


def lattice_noise(shift: int, row: int, column: int, shape: tuple[int, ...], slope: float = 0.0) -> F:
    """Return noise indexed by the zone's lattice, so that overlapping tiles have equal pixels."""
    field = fractal(0, slope)
    rows = (row + np.arange(shape[0]) + shift % 997) % field.shape[0]
    columns = (column + np.arange(shape[1]) + shift // 997 % 1009) % field.shape[1]
    return np.asarray(field[np.ix_(rows, columns)])


def scene_classes(bands: dict[str, F], view: View, veil: Veil) -> NDArray[np.uint8]:
    """Return the scene classification at 20 m from reflectance, true water and true clouds."""
    inner = np.s_[HALO:-HALO, HALO:-HALO]
    cloud, shadow = area_mean(veil.cloud[inner], 2), area_mean(veil.shadow[inner], 2)
    water = area_mean((COVER[view.land.kind[inner]] == 80).astype(np.float32), 2)
    green, red, nir, swir = (np.maximum(bands[name], 1) for name in ("B03", "B04", "B8A", "B11"))
    classes = np.where((nir - red) / (nir + red) > 0.34, 4, 5).astype(np.uint8)
    classes[water > 0.5] = 6
    classes[((green - swir) / (green + swir) > 0.42) & (green > 2500)] = 11
    classes[shadow > 0.35] = 3
    for threshold, code in ((0.07, 7), (0.1, 10), (0.2, 8), (0.5, 9)):
        classes[cloud > threshold] = code
    return classes


class Radar(NamedTuple):
    """Geometry and date of one pass: its id, direction and day of the year."""

    name: str
    ascending: bool
    day: int


def backscatter(view: View, base: Ground10, radar: Radar, *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return gamma0 (linear power) of vv and vh over a view, without its margin."""
    weather = rng(seed, "weather", radar.name)
    wind, moisture = weather.uniform(-1.2, 2.6), weather.uniform(-0.7, 1.1)
    mean_db, corner_db = _mean_backscatter_db(view, base, radar), _corner_echoes_db(view, radar)
    result = {}
    for name, sensitivity in (("vv", 1.0), ("vh", 0.55)):
        field = mean_db[name]
        water = COVER[view.land.kind] == 80
        bare = (COVER[view.land.kind] == 60) | (COVER[view.land.kind] == 40)
        field = field + np.where(water, wind * sensitivity, np.where(bare, moisture * sensitivity, 0))
        power = 10 ** (field / 10) + 10 ** ((corner_db - (0 if name == "vv" else 7)) / 10)
        power = ndimage.correlate1d(ndimage.correlate1d(power, RESPONSE, axis=0), RESPONSE, axis=1)
        result[name] = _round_mantissa(_add_speckle(power[HALO:-HALO, HALO:-HALO], view, f"{radar.name}/{name}", seed))
    return result


RESPONSE = np.array([0.2, 0.6, 0.2])  # point spread of 20 m resolution on 10 m pixels


def _mean_backscatter_db(view: View, base: Ground10, radar: Radar) -> dict[str, F]:
    """Return gamma0 in dB without speckle, from land cover, growth, parcel, texture and slope towards the radar."""
    land, (_, growth) = view.land, _spectral_states(radar.day, view.place, base.seed)
    offset_db = variation(view.place, base.seed).offset_db
    development = growth[_state_index(land.kind, land.parcel)]
    facing = base.east * (-1 if radar.ascending else 1)
    terrain = np.clip(6.5 * facing, -2.4, 3.2)
    rows = np.where(COVER[land.kind] == 40, 2.2 * (unit(land.parcel, 93 + radar.ascending) - 0.5), 0)
    grain, mottle = _texture(view, base)
    clutter = terrain + rows + 3.2 * mottle + 2.0 * grain
    grows = np.array([kind["grows"] for kind in signatures()["kinds"].values()], np.float32)
    result = {}
    for index, name in enumerate(("vv", "vh")):
        level = (_trait(name) + offset_db)[land.kind] + grows[land.kind, index] * development
        overlay = (_trait(name) + offset_db)[land.overlay]
        power = 10 ** (level / 10) * (1 - land.share) + 10 ** (overlay / 10) * land.share
        result[name] = 10 * np.log10(power) + clutter
    return result


def _corner_echoes_db(view: View, radar: Radar) -> F:
    """Return the echo of corner reflectors that face the pass in dB, -60 without one."""
    cell = np.floor(view.at[0] / 14), np.floor(view.at[1] / 14)
    faces = unit(*cell, 95 + radar.ascending)
    kind = np.where(view.land.share > 0.5, view.land.overlay, view.land.kind)
    # Streets parallel to the track have stronger echoes.
    street = 0.5 + unit(view.land.parcel, 97)
    return np.where(faces < _trait("points")[kind] * street, 1.0 + 11 * unit(*cell, 98), -60.0)


def _add_speckle(power: F, view: View, name: str, seed: int) -> F:
    """Multiply by spatially correlated 4.4-look speckle; one generator per row, so that windows do not matter."""
    height, width = power.shape
    first = view.row - 1
    looks = 1.336
    draws = [rng(seed, "speckle", name, first + row).gamma(looks, 1 / looks, width + 2) for row in range(height + 2)]
    kernel = np.array([0.2, 1.0, 0.2]) / 1.4
    smooth = ndimage.correlate1d(ndimage.correlate1d(np.array(draws), kernel, axis=0), kernel, axis=1)
    return np.asarray(power * smooth[1:-1, 1:-1])


def _round_mantissa(power: F) -> NDArray[np.float32]:
    """Round to 10 bits of mantissa (error below 0.004 dB), which halves the file size."""
    bits = power.astype(np.float32).view(np.uint32) + np.uint32(1 << 12)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)
