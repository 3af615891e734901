"""The loss against a double loop in float64, and the effect of its targets."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landmark.train.loss import contrastive_loss, target_similarity
from tests.parts import examples

KINDS = ("identity", "equal", "overlap")


def naive_similarity(sets, kind, power):
    """Pair by pair, by the definition."""

    def compare(i, j):
        if kind == "identity":
            return float(i == j)
        if kind == "equal":
            return float(sets[i] == sets[j])
        union = sets[i] | sets[j]
        return (len(sets[i] & sets[j]) / len(union)) ** power if union else 1.0

    return [[compare(i, j) for j in range(len(sets))] for i in range(len(sets))]


def naive_loss(images, texts, similarity, scale):
    """Cross-entropy in both directions, number by number."""
    count, total = len(images), 0.0
    for rows, columns in ((images, texts), (texts, images)):
        for i in range(count):
            logits = [scale * math.fsum(a * b for a, b in zip(rows[i], columns[j], strict=True)) for j in range(count)]
            log_sum = max(logits) + math.log(math.fsum(math.exp(logit - max(logits)) for logit in logits))
            weight = math.fsum(similarity[i])
            total -= math.fsum(similarity[i][j] / weight * (logits[j] - log_sum) for j in range(count)) / count
    return total / 2


@given(
    st.lists(st.sets(st.sampled_from(range(4))), min_size=2, max_size=7),
    st.sampled_from(KINDS),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([1.0, 14.3, 100.0]),
    st.integers(0, 1000),
)
@examples(60)
def test_loss_equals_the_double_loop(sets, kind, power, scale, seed):
    chance = np.random.default_rng(seed)
    images, texts = (chance.normal(size=(len(sets), 5)) for _ in range(2))
    images, texts = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (images, texts))
    labels = torch.tensor([[key in labels for key in range(4)] for labels in sets])
    similarity = target_similarity(labels, kind, power).double()
    expected = naive_similarity([frozenset(labels) for labels in sets], kind, power)
    assert np.allclose(similarity.numpy(), expected, atol=1e-6)
    loss = contrastive_loss(
        torch.from_numpy(images), torch.from_numpy(texts), similarity, torch.tensor(scale, dtype=torch.float64)
    )
    assert float(loss) == pytest.approx(naive_loss(images, texts, similarity.tolist(), scale), rel=1e-9)


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
