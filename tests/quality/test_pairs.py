"""Shifts add up in any order and cost little memory; prints find what comparing all pairs finds."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from landmark.quality.perceptual_hash import HASH_LENGTH, near_pairs, perceptual_hash
from landmark.quality.registration import Registration, merge, peak, structure, surface_of
from tests.quality.chips import Bands, Record


def landscape(seed: int, size: int = 140) -> NDArray[np.float64]:
    """Fields: 40 parcels, each of its own level."""
    draw = np.random.default_rng(seed)
    points, levels = draw.uniform(0, size, (40, 2)), draw.permutation(np.linspace(0, 1, 40))
    where = np.indices((size, size)).reshape(2, -1).T
    nearest = ((where[:, None] - points[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.asarray(levels[nearest].reshape(size, size))


def optical(ground: NDArray[np.float64]) -> Bands:
    bright = ndimage.gaussian_filter(600 + 3000 * ground, 0.7)
    return {"B04": bright.astype("<u2"), "B08": (5000 - bright).astype("<u2")}


def radar(ground: NDArray[np.float64], seed: int) -> Bands:
    """Contrasts reversed, under speckle of 4.4 looks."""
    looks = np.random.default_rng(seed).gamma(4.4, 1 / 4.4, (2, *ground.shape))
    db = -6 - 12 * ground + 10 * np.log10(looks)
    return {"vv": (100 * db[0]).astype("<i2"), "vh": (100 * db[1] - 700).astype("<i2")}


def cut(ground: NDArray[np.float64], south: int = 0, east: int = 0) -> NDArray[np.float64]:
    """120 px of the ground, so that what it shows lies south and east by so many."""
    return ground[10 - south : 130 - south, 10 - east : 130 - east]


def record(id: str, sensor: str, pair: str | None, item: str = "take") -> Record:
    return {"id": id, "sensor": sensor, "pair": pair, "items": [item]}


def stream() -> Iterator[tuple[Record, Bands]]:
    """Two optical samples and the radar sample they both name, and one without a pair."""
    ground = landscape(1)
    yield record("s2_a", "s2", "s1_a"), optical(cut(ground))
    yield record("s2_b", "s2", "s1_a", "other"), optical(cut(ground, 1, 1))
    yield record("s1_a", "s1", "s2_a"), radar(cut(ground, 4, -2), 0)
    yield record("s2_c", "s2", None), optical(cut(landscape(2)))


@pytest.mark.parametrize("shift", [(0, 0), (6, -3), (-9, 9)])
def test_the_shift_is_where_the_radar_lies(shift: tuple[int, int]) -> None:
    ground = landscape(0)
    one, other = structure(optical(cut(ground))), structure(radar(cut(ground, *shift), 0))
    assert one is not None and other is not None
    found = peak(surface_of(one, other))
    assert (found.y_px, found.x_px) == pytest.approx(shift, abs=0.5) and found.strength > 9


def test_half_pixels_are_seen() -> None:
    ground = landscape(0, 280)
    fine = ndimage.gaussian_filter(ground, 1.5)
    one = structure(optical(fine[20:260:2, 20:260:2]))
    other = structure(radar(fine[19:259:2, 20:260:2], 0))
    assert one is not None and other is not None
    assert peak(surface_of(one, other)).y_px == pytest.approx(0.5, abs=0.25)


def test_whichever_comes_first_the_shifts_are_the_same() -> None:
    results = []
    for order in permutations(stream()):
        registration = Registration()
        for row, bands in order:
            registration.add(row, bands)
        results.append((registration.shifts, {item: one.chips for item, one in registration.surfaces.items()}))
    assert all(result == results[0] for result in results)
    shifts, chips = results[0]
    assert shifts.keys() == {"s2_a", "s2_b"} and chips == {"take": 1, "other": 1}
    assert shifts["s2_b"][:2] == pytest.approx((3, -3), abs=0.5)


def test_portions_add_up_in_any_order_to_the_last_digit() -> None:
    surfaces = []
    for seed in range(3):
        one, other = structure(optical(cut(landscape(seed)))), structure(radar(cut(landscape(seed)), seed))
        assert one is not None and other is not None
        surfaces.append({"take": surface_of(one, other)})
    sums = [merge(merge(a, b), c)["take"] for a, b, c in permutations(surfaces)]
    assert all((one.total == sums[0].total).all() and one.chips == 3 for one in sums)


def test_a_waiting_image_is_small_and_gaps_or_tiny_chips_do_not_wait() -> None:
    edges = structure(optical(landscape(0, 240)))
    assert edges is not None and edges.nbytes <= 10_000
    assert structure(optical(landscape(0, 36))) is None
    holed = radar(landscape(0), 0)
    holed["vv"][:5, :5] = -32768
    assert structure(holed) is None


def test_sorted_neighbours_find_what_comparing_all_pairs_finds() -> None:
    draw = np.random.default_rng(0)
    prints = np.clip(42 * draw.standard_normal((2000, HASH_LENGTH)), -127, 127)
    prints[1000:1100] = np.clip(prints[:100] + 6 * draw.standard_normal((100, HASH_LENGTH)), -127, 127)
    prints[1100:1120] = prints[0]
    stored = prints.astype(np.int8)
    unit = stored / np.linalg.norm(stored.astype(float), axis=1, keepdims=True)
    every = {(int(a), int(b)) for a, b in np.argwhere(np.triu(unit @ unit.T, 1) >= 0.98)}
    found = list(near_pairs(stored, 0.98))
    pairs = {(one, other) for one, other, _ in found}
    assert len(pairs) == len(found) and pairs <= every
    # Of many copies of one image neighbours suffice: each is in some pair.
    assert {row for pair in pairs for row in pair} == {row for pair in every for row in pair}


def test_prints_of_other_places_differ_and_of_copies_hardly() -> None:
    places = [optical(cut(landscape(seed))) for seed in range(30)]
    prints = [np.frombuffer(perceptual_hash(bands, 0) or b"", dtype=np.int8).astype(float) for bands in places]
    brighter = {name: (1.1 * band + 30).astype("<u2") for name, band in places[0].items()}
    copy = np.frombuffer(perceptual_hash(brighter, 0) or b"", dtype=np.int8).astype(float)
    likeness = [float(copy @ one / np.linalg.norm(copy) / np.linalg.norm(one)) for one in prints]
    assert likeness[0] > 0.999 and max(likeness[1:]) < 0.8


def test_a_gap_hardly_changes_a_print() -> None:
    bands = optical(cut(landscape(0)))
    holed = {name: np.where(np.arange(120) < 2, 0, band).astype("<u2") for name, band in bands.items()}
    one, other = (np.frombuffer(perceptual_hash(one, 0) or b"", dtype=np.int8).astype(float) for one in (bands, holed))
    assert float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)) > 0.95


def test_no_prints_and_blank_prints_are_like_nothing() -> None:
    assert list(near_pairs(np.zeros((0, HASH_LENGTH), dtype=np.int8), 0.98)) == []
    assert list(near_pairs(np.zeros((3, HASH_LENGTH), dtype=np.int8), 0.98)) == []
