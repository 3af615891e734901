"""The losses against loops in float64, and the effect of their targets."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landmark.train.closp import Embeddings
from landmark.train.loss import SensorTargets, closp_loss, contrastive_loss, distances_km, target_similarity
from landmark.train.profile import Objective
from tests.parts import examples

KINDS = ("identity", "equal", "overlap", "subset")


def naive_similarity(sets, kind, power, text_sets):
    """Pair by pair, by the definition; only `subset` has texts of other sets than the images."""

    def compare(i, j):
        if kind == "identity":
            return float(i == j)
        if kind == "equal":
            return float(sets[i] == sets[j])
        if kind == "subset":
            return float(text_sets[j] <= sets[i])
        union = sets[i] | sets[j]
        return (len(sets[i] & sets[j]) / len(union)) ** power if union else 1.0

    return [[compare(i, j) for j in range(len(sets))] for i in range(len(sets))]


def naive_loss(images, matches, similarity, scale):
    """Cross-entropy in both directions, number by number."""
    total, transposed = 0.0, list(zip(*similarity, strict=True))
    for rows, columns, weights in ((images, matches, similarity), (matches, images, transposed)):
        for i, row in enumerate(rows):
            logits = [scale * math.fsum(a * b for a, b in zip(row, column, strict=True)) for column in columns]
            log_sum = max(logits) + math.log(math.fsum(math.exp(logit - max(logits)) for logit in logits))
            weight = math.fsum(weights[i])
            total -= math.fsum(w / weight * (z - log_sum) for w, z in zip(weights[i], logits, strict=True)) / len(rows)
    return total / 2


def naive_km(first, second):
    """Great-circle distance by the chord, in extended precision."""
    lon, lat = np.radians(np.longdouble([first, second])).T
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    half_chord = np.sqrt(((points[0] - points[1]) ** 2).sum()) / 2
    return float(2 * np.longdouble(6371.0088) * np.arcsin(min(half_chord, np.longdouble(1))))


def unit_vectors(chance, count):
    vectors = chance.normal(size=(count, 5))
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


SETS = st.lists(st.sets(st.sampled_from(range(4))), min_size=2, max_size=7)
SCALES = st.sampled_from([1.0, 14.3, 100.0])


def multi_hot(sets):
    return torch.tensor([[key in labels for key in range(4)] for labels in sets])


@given(SETS, st.sampled_from(KINDS), st.sampled_from([0.5, 1.0, 2.0]), SCALES, st.integers(0, 1000))
@examples(60)
def test_loss_equals_the_double_loop(sets, kind, power, scale, seed):
    chance = np.random.default_rng(seed)
    images, texts = (unit_vectors(chance, len(sets)) for _ in range(2))
    text_sets = [{key for key in labels if chance.random() < 0.6} for labels in sets]
    similarity = target_similarity(multi_hot(sets), kind, power, text_labels=multi_hot(text_sets))
    expected = naive_similarity([frozenset(labels) for labels in sets], kind, power, text_sets)
    assert np.allclose(similarity.numpy(), expected, rtol=1e-14)
    loss = contrastive_loss(images, texts, similarity, torch.tensor(scale, dtype=torch.float64))
    assert float(loss) == pytest.approx(naive_loss(images.tolist(), texts.tolist(), expected, scale), rel=1e-9)


# Of one cell, of neighbouring cells, and far away across the antimeridian.
PLACES = [(179.99, 60.0), (179.99, 60.0), (-179.995, 60.003), (12.3, -45.4), (12.31, -45.4), (12.3, 90.0)]


def random_batch(chance, sizes, places, pairs):
    """Embeddings and targets of sensors with these numbers of images."""
    embeddings, targets = {}, {}
    for sensor, size in sizes.items():
        embeddings[sensor] = Embeddings(*(unit_vectors(chance, size) for _ in range(3)))
        labels = chance.random((size, 4)) < 0.5
        targets[sensor] = SensorTargets(
            torch.from_numpy(labels),
            torch.tensor([places[index] for index in chance.integers(0, len(places), size)], dtype=torch.float64),
            torch.from_numpy(chance.choice(pairs, size)),
            torch.from_numpy(labels & (chance.random((size, 4)) < 0.6)),
        )
    return embeddings, targets


def naive_geoclosp(embeddings, targets, scale, objective):
    """The whole loss, term by term."""
    sensors = []
    for sensor, own in embeddings.items():
        images, texts, locations = (vectors.tolist() for vectors in (own.images, own.texts, own.locations))
        sets, text_sets = (
            [frozenset(np.flatnonzero(row).tolist()) for row in rows.numpy()]
            for rows in (targets[sensor].labels, targets[sensor].text_labels)
        )
        similarity = naive_similarity(sets, objective.targets, objective.overlap_power, text_sets)
        text = naive_loss(images, texts, similarity, scale)
        places = targets[sensor].coordinates.tolist()
        near = [[math.exp(-naive_km(a, b) / objective.location_km) for b in places] for a in places]
        weight = objective.location_weight
        sensors.append((text + weight * naive_loss(images, locations, near, scale)) / (1 + weight))
    loss = sum(sensors) / len(sensors)
    first, second = ([*targets[sensor].pair.tolist()] for sensor in ("s1", "s2"))
    rows = [i for i, number in enumerate(first) if number >= 0 and number in second]
    columns = [j for j, number in enumerate(second) if number >= 0 and number in first]
    if not rows:
        return loss
    images = [[embeddings[name].images.tolist()[i] for i in paired] for name, paired in (("s1", rows), ("s2", columns))]
    pair = naive_loss(*images, [[float(first[i] == second[j]) for j in columns] for i in rows], scale)
    return (loss + objective.pair_weight * pair) / (1 + objective.pair_weight)


@given(
    st.sampled_from(KINDS),
    SCALES,
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.sampled_from([0.3, 1.0, 500.0]),
    st.sampled_from([0.0, 0.7]),
    st.sampled_from([[-1], [-1, 4], [0, 1, 2, 3], [-1, 0, 1]]),
    st.integers(0, 1000),
)
@examples(60)
def test_loss_of_geoclosp_equals_the_double_loop(kind, scale, location_weight, location_km, pair_weight, pairs, seed):
    objective = Objective(
        targets=kind,
        scale=scale,
        learn_scale=False,
        location_weight=location_weight,
        location_km=location_km,
        pair_weight=pair_weight,
    )
    embeddings, targets = random_batch(np.random.default_rng(seed), {"s1": 5, "s2": 6}, PLACES, pairs)
    loss = closp_loss(embeddings, targets, torch.tensor(scale, dtype=torch.float64), objective)
    assert float(loss) == pytest.approx(naive_geoclosp(embeddings, targets, scale, objective), rel=1e-9)


def test_without_location_weight_the_loss_is_that_of_closp():
    objective = Objective(targets="overlap", scale=5, learn_scale=False, location_weight=0)
    embeddings, targets = random_batch(np.random.default_rng(3), {"s1": 5, "s2": 6}, PLACES, [0, 1])
    expected = torch.stack(
        [
            contrastive_loss(
                own.images, own.texts, target_similarity(targets[name].labels, "overlap", 1), torch.tensor(5.0)
            )
            for name, own in embeddings.items()
        ]
    ).mean()
    assert float(closp_loss(embeddings, targets, torch.tensor(5.0), objective)) == float(expected)
    bare = {name: Embeddings(own.images, own.texts) for name, own in embeddings.items()}
    labels = {name: SensorTargets(own.labels) for name, own in targets.items()}
    weighted = objective.model_copy(update={"location_weight": 1.0, "pair_weight": 1.0})
    assert float(closp_loss(bare, labels, torch.tensor(5.0), weighted)) == float(expected)


@pytest.mark.parametrize(("pairs", "moved"), [([-1, -1, 3], False), ([4, -1, -1], False), ([4, 3, -1], True)])
def test_pairs_attract_each_other_and_repel_other_pairs(pairs, moved):
    """A pair alone has nothing to be told from, so that its term is 0."""
    objective = Objective(targets="identity", scale=3, learn_scale=False, pair_weight=1e6)
    embeddings, targets = random_batch(np.random.default_rng(0), {"s1": 3, "s2": 3}, PLACES, [-1])
    targets["s1"] = replace(targets["s1"], pair=torch.tensor(pairs))
    targets["s2"] = replace(targets["s2"], pair=torch.tensor([3, 4, -1]))
    images = embeddings["s1"].images.clone().requires_grad_()
    embeddings["s1"] = replace(embeddings["s1"], images=images)
    loss = closp_loss(embeddings, targets, torch.tensor(3.0), objective)
    (gradient,) = torch.autograd.grad(loss, images)
    assert torch.isfinite(loss) and (float(gradient.abs().max()) > 1e-3) is moved
    if moved:
        matches = embeddings["s2"].images
        assert float(gradient[1] @ (matches[0] - matches[1])) < 0


@pytest.mark.parametrize(
    ("first", "second", "km"),
    [
        ((12.0, 45.0), (12.0, 45.0), 0.0),
        ((0.0, 0.0), (180.0, 0.0), math.pi * 6371.0088),
        ((0.0, 90.0), (123.0, -90.0), math.pi * 6371.0088),
        ((179.9, 0.0), (-179.9, 0.0), math.radians(0.2) * 6371.0088),
        ((20.0, 45.0), (110.0, 45.0), math.pi / 3 * 6371.0088),
    ],
)
def test_distances_are_great_circles(first, second, km):
    distances = distances_km(torch.tensor([first, second], dtype=torch.float64))
    assert torch.equal(distances.diag(), torch.zeros(2, dtype=torch.float64)) and torch.equal(distances, distances.T)
    assert float(distances[0, 1]) == pytest.approx(km, rel=1e-12, abs=1e-9)


LABELS = torch.tensor([[True, False], [True, False], [False, True]])


@pytest.mark.parametrize(("kind", "pulled"), [("identity", False), ("equal", True), ("overlap", True)])
def test_texts_of_the_same_label_set_are_not_negatives(kind, pulled):
    """The gradient moves the first image towards the text of the second, which has the same labels."""
    images = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], requires_grad=True)
    texts = torch.eye(3)
    contrastive_loss(images, texts, target_similarity(LABELS, kind, 2.0), torch.tensor(3.0)).backward()
    assert (float(images.grad[0] @ texts[1]) < 0) is pulled


def test_equal_targets_equal_identity_where_a_label_set_has_a_single_text():
    """Attraction and repulsion cancel within the samples of a text."""
    chance = torch.Generator().manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(3, 4, generator=chance), dim=1)
    texts = torch.nn.functional.normalize(torch.randn(2, 4, generator=chance), dim=1)[[0, 0, 1]]
    losses = [
        contrastive_loss(images, texts, target_similarity(LABELS, kind, 1.0), torch.tensor(9.0)) for kind in KINDS[:2]
    ]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)
