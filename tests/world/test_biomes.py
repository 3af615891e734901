"""Land of the planet's places: what events need, the same land in every window, and how places differ."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from landmark.world import biomes
from landmark.world.ground import COVER, KINDS, At, Canvas, signatures
from landmark.world.patterns import draw_patterns
from landmark.world.place import Place, planet_places
from landmark.world.plane import Noise, seed_of
from landmark.world.sensors import Sun, Veil, ground10, reflectances
from landmark.world.variation import HAZE, haze, variation
from landmark.world.window import View

PLACES = planet_places()
EASY = Place("europe", 12.0, 45.45)


def lattice(half_m: float, step_m: float) -> At:
    """Coordinates of a square about the centre of a place."""
    u, v = np.meshgrid(axis := np.arange(-half_m + step_m / 2, half_m, step_m), axis)
    return u, v


@pytest.mark.parametrize("place", [place for place in PLACES.values() if place.event], ids=lambda place: place.name)
def test_places_of_events_have_what_the_event_needs(place: Place) -> None:
    at, seed = lattice(1200, 60), seed_of(0, "place", place.name)
    away_m, cover = np.hypot(*at), COVER[biomes.paint(place, at, seed).dominant]
    if place.event == "flood":
        assert away_m[biomes.water_distance_m(place, at, seed) < 0].min() < 800
    elif place.event == "fire":
        assert np.isin(cover[away_m < 1000], (10, 20, 30)).mean() > 0.4
    else:
        assert (cover[away_m < 700] == 50).mean() > 0.25


def test_land_does_not_depend_on_the_window() -> None:
    for place in list(PLACES.values())[::6]:
        at, seed = lattice(400, 10), seed_of(0, "place", place.name)
        window = np.s_[17:40, 30:75]
        part = biomes.paint(place, (at[0][window], at[1][window]), seed)
        full = biomes.paint(place, at, seed).crop(window)
        for name in ("kind", "overlay", "share", "parcel"):
            np.testing.assert_array_equal(getattr(part, name), getattr(full, name), err_msg=f"{place.name} {name}")


def test_kinds_of_a_palette_are_of_several_classes() -> None:
    kinds = signatures()["kinds"]
    for rows in biomes.table()["palettes"].values():
        for row in rows:
            covers = [kinds[kind]["cover"] for kind in row.values()]
            assert len(set(covers)) >= min(len(covers), 3)


def test_patterns_leave_the_label() -> None:
    canvas = Canvas(lattice(300, 10), Noise(1))
    for kind, pattern in biomes.table()["patterns"].items():
        canvas.paint(np.ones(canvas.kind.shape, bool), kind)
        draw_patterns(canvas, {kind: pattern}, lambda name: {"ground": "red_ground"}.get(name, name))
        assert 0.05 < canvas.share.mean() < 0.49 and (canvas.land().dominant == KINDS[kind]).all()


def test_spectra_vary_by_place_and_only_on_the_planet() -> None:
    def natures(key: str) -> np.ndarray:
        spectra = [variation(place, seed_of(0, "place", name)).materials[key] for name, place in PLACES.items()]
        return np.log(np.array(spectra) / variation(EASY, 0).materials[key])

    spread = natures("needles").std(axis=0)
    assert (spread > 0.12).all() and (spread < 0.24).all()
    assert abs(np.corrcoef(natures("needles")[:, 3], natures("straw")[:, 3])[0, 1]) < 0.35
    south, north = (variation(replace(EASY, lat=lat, biome="steppe"), 5).shift_days for lat in (-45, 45))
    assert south[0] - north[0] == pytest.approx(182.6)


def test_haze_adds_light_to_each_image_of_a_planet_place() -> None:
    land = biomes.paint(
        place := PLACES["underfield"], at := lattice(300, 10), seed := seed_of(0, "place", "underfield")
    )
    clear = Veil(np.zeros_like(at[0]), np.zeros_like(at[0]))
    added, transmitted = haze(place, seed, 170)
    assert (added > 0).all() and added[0] == pytest.approx(HAZE[0] * added[1] / HAZE[1])
    assert (transmitted < 1).all() and haze(EASY, seed, 170)[0].max() == 0
    view = View(land, at, 0, 0, place)
    bands = dict(reflectances(view, ground10(view, seed), day=170, veil=clear, sun=Sun(30, datetime(2022, 6, 19).day)))
    assert all(
        np.isfinite(field).all() and field.min() >= value for field, value in zip(bands.values(), added, strict=True)
    )
