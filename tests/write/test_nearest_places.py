"""Labels of the nearest train cells, against great-circle distances of every pair."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.corpus.manifest import Leakage
from landmark.corpus.metrics import average_precisions, chance_average_precisions
from landmark.write.nearest_places import measure_leakage, score_by_nearest_places
from tests.parts import examples

CLASSES = ["trees", "water"]
# Both poles, the antimeridian from both sides, and places that are equally far from others.
LONGITUDES, LATITUDES = [-180.0, -179.5, -1.0, 0.0, 1.0, 179.5, 180.0], [-90.0, -89.5, -1.0, 0.0, 1.0, 89.5, 90.0]


def table(rows):
    """Samples (cell, lon, lat, labels)."""
    columns = dict(zip(("cell", "lon", "lat", "labels"), zip(*rows, strict=True), strict=True))
    return pa.table(columns, schema=pa.schema(
        {"cell": pa.string(), "lon": pa.float64(), "lat": pa.float64(), "labels": pa.list_(pa.string())}
    ))  # fmt: skip


def distance_m(a, b):
    """Great-circle distance, by Vincenty's formula for a sphere."""
    (lon_a, lat_a), (lon_b, lat_b) = (map(math.radians, place) for place in (a, b))
    across = math.cos(lat_b) * math.sin(lon_b - lon_a)
    along = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(lon_b - lon_a)
    cosine = math.sin(lat_a) * math.sin(lat_b) + math.cos(lat_a) * math.cos(lat_b) * math.cos(lon_b - lon_a)
    return 6_371_000 * math.atan2(math.hypot(across, along), cosine)


def naive_scores(train, samples, k):
    labels = {}
    for cell, lon, lat, keys in train:
        labels.setdefault((cell, lon, lat), []).append(keys)
    scores = []
    for _, lon, lat, _ in samples:
        near = sorted(labels, key=lambda place: (round(distance_m(place[1:], (lon, lat)), 3), place[0]))[:k]
        means = [[np.mean([key in keys for keys in labels[place]]) for place in near] for key in CLASSES]
        scores.append(np.mean(means, axis=1))
    return np.array(scores).T


@st.composite
def samples(draw):
    """Samples of cells at distinct places, some of them twice."""
    place = st.tuples(st.sampled_from(LONGITUDES), st.sampled_from(LATITUDES))
    places = draw(st.lists(place, min_size=1, max_size=14, unique=True))
    names = draw(st.permutations([f"c{number}" for number in range(len(places))]))
    cells = [(name, *place) for name, place in zip(names, places, strict=True)]
    keys = st.lists(st.sampled_from(CLASSES), unique=True)
    return [(*cell, draw(keys)) for cell in cells + draw(st.lists(st.sampled_from(cells), max_size=6))]


@given(samples(), samples())
@examples(60)
def test_scores_are_the_mean_labels_of_the_nearest_cells(train, test):
    for k in (1, 5):
        scores = score_by_nearest_places(table(train), table(test), CLASSES, k=k)
        assert scores == pytest.approx(naive_scores(train, test, k), abs=1e-8)


def index_rows(chance):
    """Two samples of each of 60 cells, in three splits and two sensors, more water in the east."""
    rows = []
    for number, lon in enumerate(chance.uniform(0, 10, 60).repeat(2).tolist()):
        split = ("train", "train", "val", "test")[number // 2 % 4]
        keys = ["water"] if chance.random() < lon / 10 else ["trees"]
        rows += [(sensor, split, f"c{number // 2}", lon, 45.0, keys) for sensor in ("s1", "s2")]
    return rows


def test_leakage_is_measured_by_sensor_in_any_order_of_the_rows():
    rows = index_rows(np.random.default_rng(0))
    names = ("sensor", "split", "cell", "lon", "lat", "labels")
    index = pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))
    # Sensor s3 has no sample, volcano no test sample; without labels nothing is measured.
    leakage = measure_leakage(index, ["s1", "s2", "s3"], [*CLASSES, "volcano"])
    assert set(leakage) == {"s1", "s2"} and leakage["s1"].classes == 2
    train, test = ([row[2:] for row in rows if row[:2] == ("s2", split)] for split in ("train", "test"))
    relevant = np.array([[key in row[3] for row in test] for key in CLASSES])
    precision = average_precisions(naive_scores(train, test, 5).round(9), relevant).mean()
    chance = chance_average_precisions(relevant).mean()
    expected = {
        "map": precision,
        "chance_map": chance,
        "above_chance": (precision - chance) / (1 - chance),
        "classes": 2,
    }
    assert leakage["s2"] == Leakage(**{name: round(value, 4) for name, value in expected.items()})
    shuffled = random.Random(1).sample(range(len(rows)), len(rows))
    assert measure_leakage(index.take(shuffled), ["s1", "s2"], CLASSES) == leakage
    without = index.set_column(5, "labels", pa.array([[]] * len(rows), pa.list_(pa.string())))
    assert measure_leakage(without, ["s1"], CLASSES) == {}
    assert measure_leakage(index.slice(0, 1), ["s1"], CLASSES) == {}
