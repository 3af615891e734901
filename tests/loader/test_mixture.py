"""Shares of mixtures, and the pool of a sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.loader.mixture import UNITS, Mixture, assign_pools, share_units
from tests.loader.oracle import keeps_shares
from tests.parts import examples


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
@examples(15)
def test_every_beginning_of_a_mixture_has_the_shares(weights: list[int]) -> None:
    units = share_units([weight / sum(weights) for weight in weights])[:-1]
    mixture = Mixture(units)
    edges = np.array([mixture.totals(rows) for rows in range(UNITS + 1)])
    assert set(np.diff(edges, axis=0).sum(axis=1)) == {1}
    pools = np.diff(edges, axis=0).argmax(axis=1).tolist()
    assert keeps_shares(pools, units)
    assert mixture.totals(3 * UNITS + 7) == [3 * share + part for share, part in zip(units, edges[7], strict=True)]


@pytest.mark.parametrize(
    ("shares", "units"),
    [
        ([0.25], [2500, 7500]),
        ([1 / 3] * 3, [3334, 3333, 3333, 0]),
        ([0.1] * 10, [1000] * 10 + [0]),
        ([0.0001], [1, 9999]),
        ([1], [10_000, 0]),
    ],
)
def test_shares_in_hundredths_of_a_percent(shares: list[float], units: list[int]) -> None:
    assert share_units(shares) == units


def test_sample_is_of_the_rarest_pool() -> None:
    members = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0]], dtype=bool)
    assert assign_pools(members).tolist() == [0, 1, 1, 2, -1]
