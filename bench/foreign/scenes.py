"""Complete acquisitions, platforms and corpora: levels, units, noise and places."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row
from bench.foreign.optical import TEN, block
from bench.foreign.radar import lee
from bench.foreign.rows import (
    Array,
    as_scene,
    decibels,
    independent,
    moved,
    power,
    reflectance,
    repainted,
    scene,
    unrounded,
    window,
)
from bench.registry import Unsuited


def _scene(draft: Draft, sensor: str, salt: str, change: Callable[[Bands], Bands], **columns: Any) -> Planted:
    return as_scene(draft, repainted(draft, scene(draft, sensor, salt, **columns), change))


def _brighter(bands: Bands, decibel: float) -> Bands:
    return {name: (band + round(100 * decibel)).astype(np.int16) for name, band in bands.items()}


@independent("pixels", "scenes", "sigma0 for gamma0 in one acquisition: lower by the cosine of 36 to 41 degrees")
def sigma0_for_gamma0(draft: Draft) -> Planted:
    rows = scene(draft, "s1", "sigma0")
    east = {row["id"]: row["transform"][2] for row in rows}
    span = max(east.values()) - min(east.values()) or 1.0
    edits = {}
    for row in rows:
        angle = np.deg2rad(36 + 5 * (east[row["id"]] - min(east.values())) / span)
        edits[row["id"]] = {"bands": _brighter(draft.bands(row["id"]), float(10 * np.log10(np.cos(angle))))}
    return as_scene(draft, Planted((), 0, edits))


@independent("pixels", "scenes", "one radar acquisition 2 dB brighter: another calibration constant")
def two_decibels_brighter(draft: Draft) -> Planted:
    return _scene(draft, "s1", "calibration", lambda bands: _brighter(bands, 2.0))


@independent("pixels", "scenes", "VH of one radar acquisition 1.5 dB darker")
def vh_of_a_scene_darker(draft: Draft) -> Planted:
    return _scene(draft, "s1", "vh-darker", lambda bands: {"vh": (bands["vh"] - 150).astype(np.int16)})


@independent("pixels", "s1-looks", "speckle filtered in one radar acquisition: Lee, 5 by 5")
def scene_filtered(draft: Draft) -> Planted:
    return _scene(
        draft,
        "s1",
        "scene-lee",
        lambda bands: {name: decibels(lee(power(band), 5)) for name, band in bands.items()},
    )


@independent("pixels", "scenes", "thermal noise kept in one radar acquisition: a floor of -24 dB in VH, -26 in VV")
def scene_with_noise_floor(draft: Draft) -> Planted:
    floors = {"vv": 10**-2.6, "vh": 10**-2.4}
    return _scene(
        draft,
        "s1",
        "floor",
        lambda bands: {name: decibels(power(band) + floors[name]) for name, band in bands.items()},
    )


@independent("pixels", "registration", "one radar acquisition 60 m to the east: no terrain correction")
def radar_scene_shifted(draft: Draft) -> Planted:
    return _scene(
        draft,
        "s1",
        "radar-shift",
        lambda bands: {name: moved(band, right=6) for name, band in bands.items()},
    )


@independent("pixels", "registration-groups", "one radar acquisition 25 m off, interpolated")
def radar_scene_shifted_a_little(draft: Draft) -> Planted:
    def shifted(bands: Bands) -> Bands:
        return {
            name: decibels(ndimage.shift(power(band), (1.8, -1.8), order=1, mode="mirror"))
            for name, band in bands.items()
        }

    return _scene(draft, "s1", "radar-little", shifted)


@independent("pixels", "registration", "one optical acquisition 60 m to the south, neighbours cut along")
def optical_scene_shifted(draft: Draft) -> Planted:
    edits = {}
    for row in scene(draft, "s2", "optical-shift"):
        bands = window(draft, row, right=0, down=6)
        if bands is None:
            own = draft.bands(row["id"])
            bands = {name: moved(band, down=-(6 * len(band) // 120)) for name, band in own.items() if len(band) > 20}
            bands = own | bands
        edits[row["id"]] = {"bands": bands}
    return as_scene(draft, Planted((), 0, edits))


@independent("pixels", "scenes", "one optical acquisition 15 % brighter")
def optical_scene_brighter(draft: Draft) -> Planted:
    return _scene(
        draft,
        "s2",
        "brighter",
        lambda bands: {name: reflectance(1.15 * unrounded(band)) for name, band in bands.items()},
    )


@independent("pixels", "scenes", "one optical acquisition half as bright again")
def optical_scene_half_as_bright_again(draft: Draft) -> Planted:
    return _scene(
        draft,
        "s2",
        "half-again",
        lambda bands: {name: reflectance(1.5 * unrounded(band)) for name, band in bands.items()},
    )


@independent("pixels", "scenes", "one optical acquisition of top-of-atmosphere reflectance")
def scene_at_top_of_atmosphere(draft: Draft) -> Planted:
    path = {"B01": 1050, "B02": 680, "B03": 390, "B04": 210, "B05": 160, "B06": 130, "B07": 100}
    return _scene(
        draft,
        "s2",
        "scene-toa",
        lambda bands: {name: reflectance(0.93 * unrounded(band) + path.get(name, 40)) for name, band in bands.items()},
    )


@independent("pixels", "sharpness", "10 m bands of one optical acquisition made from 20 m")
def scene_at_twenty_metres(draft: Draft) -> Planted:
    def coarse(bands: Bands) -> Bands:
        return {
            name: reflectance(ndimage.zoom(block(bands[name], 2), 2, order=1, grid_mode=True, mode="nearest"))
            for name in TEN
        }

    return _scene(draft, "s2", "scene-20", coarse)


@independent("pixels", "scenes", "B11 and B12 of one optical acquisition 8 % darker: another spectral response")
def swir_of_a_scene_darker(draft: Draft) -> Planted:
    return _scene(
        draft,
        "s2",
        "swir-scene",
        lambda bands: {name: reflectance(0.92 * unrounded(bands[name])) for name in ("B11", "B12")},
    )


def _platform(draft: Draft, sensor: str, change: Callable[[Bands], Bands]) -> Planted:
    """Change all images of the sensor's second platform or, where it has one, of one orbit."""
    key = "platform" if len({row["platform"] for row in draft.rows(sensor=sensor)}) > 1 else "relative_orbit"
    values = sorted({row[key] for row in draft.rows(sensor=sensor)})
    if len(values) < 2:
        raise Unsuited("one platform and orbit")
    rows = draft.rows(sensor=sensor, **{key: values[-1]})
    planted = repainted(draft, rows, change)
    return Planted(((str(values[-1]),),), len(values), planted.edits)


@independent("pixels", "drift", "all images of one optical platform 10 % darker")
def platform_darker(draft: Draft) -> Planted:
    return _platform(
        draft, "s2", lambda bands: {name: reflectance(0.9 * unrounded(band)) for name, band in bands.items()}
    )


@independent("pixels", "registration-groups", "all images of one optical platform a pixel to the east")
def platform_shifted(draft: Draft) -> Planted:
    def shifted(bands: Bands) -> Bands:
        return {
            name: reflectance(ndimage.shift(band.astype(np.float64), (0, len(band) / 120), order=1, mode="mirror"))
            for name, band in bands.items()
        }

    return _platform(draft, "s2", shifted)


@independent("pixels", "registration-groups", "all ascending radar images 30 m to the west")
def ascending_shifted(draft: Draft) -> Planted:
    rows = draft.rows(sensor="s1", orbit_direction="ascending")
    planted = repainted(draft, rows, lambda bands: {name: moved(band, right=-3) for name, band in bands.items()})
    items = tuple(sorted({item for row in rows for item in row["items"]}))
    return Planted((("ascending", *items),), 2, planted.edits)


@independent("pixels", "scenes", "pixels of two acquisitions of the same cells exchanged: a join by cell")
def scenes_exchanged(draft: Draft) -> Planted:
    first = scene(draft, "s2", "exchanged")
    second = {
        row["cell"]: row
        for row in draft.rows(sensor="s2")
        if row["items"] != first[0]["items"] and row["baseline"] != first[0]["baseline"]
    }
    pairs: list[tuple[Row, Row]] = [(row, second[row["cell"]]) for row in first if row["cell"] in second]
    if not pairs:
        raise Unsuited("no second date of the same cells")
    edits: dict[str, Row] = {}
    for row, other_date in pairs:
        images: list[Bands] = [draft.bands(row["id"]), draft.bands(other_date["id"])]
        edits |= {row["id"]: {"bands": images[1]}, other_date["id"]: {"bands": images[0]}}
    return as_scene(draft, Planted((), 0, edits))


@independent("pixels", "", "every radar image 3 dB brighter")
def all_radar_brighter(draft: Draft) -> Planted:
    planted = repainted(draft, draft.rows(sensor="s1"), lambda bands: _brighter(bands, 3.0))
    return Planted((("s1", "corpus"),), 1, planted.edits)


@independent("pixels", "", "every optical image half as bright again")
def all_optical_brighter(draft: Draft) -> Planted:
    planted = repainted(
        draft,
        draft.rows(sensor="s2"),
        lambda bands: {name: reflectance(1.5 * unrounded(band)) for name, band in bands.items()},
    )
    return Planted((("s2", "corpus"),), 1, planted.edits)


def _speckle_filtered(bands: Bands) -> Bands:
    return {name: decibels(lee(power(band))) for name, band in bands.items()}


@independent("pixels", "s1-looks", "every radar image speckle filtered: Lee, 7 by 7")
def all_radar_filtered(draft: Draft) -> Planted:
    planted = repainted(draft, draft.rows(sensor="s1"), _speckle_filtered)
    return Planted((("s1", "corpus"),), 1, planted.edits)


def _line(band: Array) -> Array:
    """Slow change of brightness across a chip, as of an antenna pattern that was not removed."""
    column: Array = np.linspace(-80, 80, len(band))
    return (band + column[None, :]).astype(np.int16)


@independent("pixels", "scenes", "antenna pattern left in one radar acquisition: 1.6 dB across each chip")
def antenna_pattern(draft: Draft) -> Planted:
    return _scene(draft, "s1", "antenna", lambda bands: {name: _line(band) for name, band in bands.items()})
