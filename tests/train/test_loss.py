"""The loss against a double loop in float64, and what its targets mean."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landmark.train.loss import contrast, similarity
from tests.parts import examples

KINDS = ("identity", "equal", "overlap")


def naive_likeness(sets, kind, power):
    """Two samples at a time, by the definition."""

    def like(i, j):
        if kind == "identity":
            return float(i == j)
        one, other = sets[i], sets[j]
        if kind == "equal":
            return float(one == other)
        return (len(one & other) / len(one | other)) ** power if one | other else 1.0

    return [[like(i, j) for j in range(len(sets))] for i in range(len(sets))]


def naive_loss(images, texts, likeness, scale):
    """Cross-entropy both ways, number by number."""
    count, total = len(images), 0.0
    for rows, columns in ((images, texts), (texts, images)):
        for i in range(count):
            logits = [scale * math.fsum(a * b for a, b in zip(rows[i], columns[j], strict=True)) for j in range(count)]
            log_sum = max(logits) + math.log(math.fsum(math.exp(one - max(logits)) for one in logits))
            weight = math.fsum(likeness[i])
            total -= math.fsum(likeness[i][j] / weight * (logits[j] - log_sum) for j in range(count)) / count
    return total / 2


@given(
    st.lists(st.sets(st.sampled_from(range(4))), min_size=2, max_size=7),
    st.sampled_from(KINDS),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([1.0, 14.3, 100.0]),
    st.integers(0, 1000),
)
@examples(60)
def test_loss_is_the_double_loops(sets, kind, power, scale, seed):
    chance = np.random.default_rng(seed)
    images, texts = (chance.normal(size=(len(sets), 5)) for _ in range(2))
    images, texts = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (images, texts))
    labels = torch.tensor([[key in one for key in range(4)] for one in sets])
    likeness = similarity(labels, kind, power).double()
    expected = naive_likeness([frozenset(one) for one in sets], kind, power)
    assert np.allclose(likeness.numpy(), expected, atol=1e-6)
    loss = contrast(
        torch.from_numpy(images), torch.from_numpy(texts), likeness, torch.tensor(scale, dtype=torch.float64)
    )
    assert float(loss) == pytest.approx(naive_loss(images, texts, likeness.tolist(), scale), rel=1e-9)


LABELS = torch.tensor([[True, False], [True, False], [False, True]])


@pytest.mark.parametrize(("kind", "pulled"), [("identity", False), ("equal", True), ("overlap", True)])
def test_another_wording_of_the_same_label_set_is_no_negative(kind, pulled):
    """The first image, far from the second one's text, which says the same."""
    images = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], requires_grad=True)
    texts = torch.eye(3)
    contrast(images, texts, similarity(LABELS, kind, 2.0), torch.tensor(3.0)).backward()
    assert (float(images.grad[0] @ texts[1]) < 0) is pulled


def test_equal_targets_are_identity_where_equal_label_sets_have_one_text():
    """Summed over a group of one text, what identity pushes apart it pulls together again."""
    chance = torch.Generator().manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(3, 4, generator=chance), dim=1)
    texts = torch.nn.functional.normalize(torch.randn(2, 4, generator=chance), dim=1)[[0, 0, 1]]
    losses = [contrast(images, texts, similarity(LABELS, kind, 1.0), torch.tensor(9.0)) for kind in KINDS[:2]]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)
