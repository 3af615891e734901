"""Shifts do not depend on the order of samples; near hashes are those that comparing all pairs finds."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from bench.draft import Bands, Row
from numpy.typing import NDArray
from scipy import ndimage

from landmark.corpus.near_pairs import near_pairs
from landmark.corpus.perceptual_hash import HASH_LENGTH, perceptual_hash
from landmark.quality.chips.registration import (
    Registration,
    Surface,
    correlate,
    edge_image,
    locate_peak,
    merge_surfaces,
)


def landscape(seed: int, size: int = 140) -> NDArray[np.float64]:
    """(size, size) fields: 40 parcels, each of its own level."""
    random = np.random.default_rng(seed)
    points, levels = random.uniform(0, size, (40, 2)), random.permutation(np.linspace(0, 1, 40))
    pixels = np.indices((size, size)).reshape(2, -1).T
    nearest = ((pixels[:, None] - points[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.asarray(levels[nearest].reshape(size, size))


def optical(ground: NDArray[np.float64]) -> Bands:
    bright = ndimage.gaussian_filter(600 + 3000 * ground, 0.7)
    return {"B04": bright.astype("<u2"), "B08": (5000 - bright).astype("<u2")}


def radar(ground: NDArray[np.float64], seed: int) -> Bands:
    """Inverted contrasts with speckle of 4.4 looks."""
    looks = np.random.default_rng(seed).gamma(4.4, 1 / 4.4, (2, *ground.shape))
    db = -6 - 12 * ground + 10 * np.log10(looks)
    return {"vv": (100 * db[0]).astype("<i2"), "vh": (100 * db[1] - 700).astype("<i2")}


def crop(ground: NDArray[np.float64], south: int = 0, east: int = 0) -> NDArray[np.float64]:
    """120 px of the ground, with its content moved by pixels."""
    return ground[10 - south : 130 - south, 10 - east : 130 - east]


def correlated(optical_bands: Bands, radar_bands: Bands) -> Surface:
    edges, radar_edges = edge_image(optical_bands), edge_image(radar_bands)
    assert edges is not None and radar_edges is not None
    return correlate(edges, radar_edges)


def row(id: str, sensor: str, pair: str | None, item: str = "item") -> Row:
    return {"id": id, "sensor": sensor, "pair": pair, "items": [item]}


def samples() -> Iterator[tuple[Row, Bands]]:
    """Two optical samples paired with one radar sample, and one without a pair."""
    ground = landscape(1)
    yield row("s2_a", "s2", "s1_a"), optical(crop(ground))
    yield row("s2_b", "s2", "s1_a", "item 2"), optical(crop(ground, 1, 1))
    yield row("s1_a", "s1", "s2_a"), radar(crop(ground, 4, -2), 0)
    yield row("s2_c", "s2", None), optical(crop(landscape(2)))


@pytest.mark.parametrize("shift", [(0, 0), (6, -3), (-9, 9)])
def test_the_peak_is_at_the_shift_of_the_radar_image(shift: tuple[int, int]) -> None:
    ground = landscape(0)
    peak = locate_peak(correlated(optical(crop(ground)), radar(crop(ground, *shift), 0)))
    assert (peak.y_px, peak.x_px) == pytest.approx(shift, abs=0.5) and peak.strength > 9


def test_half_pixels_are_resolved() -> None:
    fine = ndimage.gaussian_filter(landscape(0, 280), 1.5)
    surface = correlated(optical(fine[20:260:2, 20:260:2]), radar(fine[19:259:2, 20:260:2], 0))
    assert locate_peak(surface).y_px == pytest.approx(0.5, abs=0.25)


def test_shifts_do_not_depend_on_the_order_of_samples() -> None:
    results = []
    for order in permutations(samples()):
        registration = Registration()
        for facts, bands in order:
            registration.add(facts, bands)
        results.append((registration.shifts, {items: s.chips for items, s in registration.surfaces.items()}))
    assert all(result == results[0] for result in results)
    shifts, chips = results[0]
    assert shifts.keys() == {"s2_a", "s2_b"} and chips == {("item", "item"): 1, ("item 2", "item"): 1}
    assert shifts["s2_b"][:2] == pytest.approx((3, -3), abs=0.5)


def test_sums_of_surfaces_are_exact_in_any_order() -> None:
    surfaces = [
        {("a", "b"): correlated(optical(crop(landscape(seed))), radar(crop(landscape(seed)), seed))}
        for seed in range(3)
    ]
    sums = [merge_surfaces(merge_surfaces(a, b), c)["a", "b"] for a, b, c in permutations(surfaces)]
    assert all((surface.total == sums[0].total).all() and surface.chips == 3 for surface in sums)


def test_edge_images_are_small_and_need_complete_chips_of_48_px() -> None:
    edges = edge_image(optical(landscape(0, 240)))
    assert edges is not None and edges.nbytes <= 10_000
    assert edge_image(optical(landscape(0, 36))) is None
    holed = radar(landscape(0), 0)
    holed["vv"][:5, :5] = -32768
    assert edge_image(holed) is None


def test_near_pairs_are_those_of_comparing_all_pairs() -> None:
    random = np.random.default_rng(0)
    hashes = np.clip(42 * random.standard_normal((2000, HASH_LENGTH)), -127, 127)
    hashes[1000:1100] = np.clip(hashes[:100] + 6 * random.standard_normal((100, HASH_LENGTH)), -127, 127)
    hashes[1100:1120] = hashes[0]
    stored = hashes.astype(np.int8)
    unit = stored / np.linalg.norm(stored.astype(float), axis=1, keepdims=True)
    expected = {(int(a), int(b)) for a, b in np.argwhere(np.triu(unit @ unit.T, 1) >= 0.98)}
    result = list(near_pairs(stored, 0.98))
    pairs = {(first, second) for first, second, _ in result}
    assert len(pairs) == len(result) and pairs <= expected
    # Of many copies of one image not all pairs are found, but each copy is in one.
    assert {index for pair in pairs for index in pair} == {index for pair in expected for index in pair}


def hash_of(bands: Bands) -> NDArray[np.float64]:
    """A hash as a unit vector."""
    values = np.frombuffer(perceptual_hash(bands, 0) or b"", dtype=np.int8).astype(float)
    return np.asarray(values / np.linalg.norm(values))


def test_hashes_of_different_places_differ_and_those_of_copies_hardly() -> None:
    places = [optical(crop(landscape(seed))) for seed in range(30)]
    brighter = {name: (1.1 * band + 30).astype("<u2") for name, band in places[0].items()}
    similarity = [float(hash_of(brighter) @ hash_of(bands)) for bands in places]
    assert similarity[0] > 0.999 and max(similarity[1:]) < 0.8


def test_a_gap_hardly_changes_a_hash() -> None:
    bands = optical(crop(landscape(0)))
    holed = {name: np.where(np.arange(120) < 2, 0, band).astype("<u2") for name, band in bands.items()}
    assert float(hash_of(bands) @ hash_of(holed)) > 0.95


@pytest.mark.parametrize("number", [0, 3])
def test_empty_hashes_are_similar_to_nothing(number: int) -> None:
    assert list(near_pairs(np.zeros((number, HASH_LENGTH), dtype=np.int8), 0.98)) == []
