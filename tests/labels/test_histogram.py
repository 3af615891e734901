from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.labels.histogram import joint_histogram
from tests.parts import examples


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([1, 2, 10, 45, 300]), min_size=1, max_size=4))
@examples(60)
def test_combinations_are_counted_per_cell_in_the_order_of_their_codes(seed, sizes):
    """With few combinations and with so many that no counter each would do."""
    chance = np.random.default_rng(seed)
    ranks = [chance.integers(0, size, (3, 50)).astype(np.min_scalar_type(size)) for size in sizes]
    codes = [np.sort(chance.choice(1000, size, replace=False) - 1).astype(np.int32) for size in sizes]
    cells, combinations, pixels = joint_histogram(ranks, codes)
    said = [known[rank] for known, rank in zip(codes, ranks, strict=True)]
    expected = [
        (cell, *combination, count)
        for cell in range(3)
        for combination, count in sorted(Counter(zip(*(each[cell].tolist() for each in said), strict=True)).items())
    ]
    assert np.column_stack([cells, combinations, pixels]).tolist() == [list(row) for row in expected]


@pytest.mark.parametrize("size", [255, 256, 257])
def test_a_map_of_many_classes_is_counted_as_one_of_few(size):
    """Ranks up to the last that fits a byte, and beyond."""
    ranks = np.arange(size)[None].astype(np.min_scalar_type(size))
    codes = np.arange(-1, size - 1, dtype=np.int32)
    _, combinations, pixels = joint_histogram([ranks, ranks], [codes, codes])
    assert (combinations == codes[:, None]).all() and (pixels == 1).all() and len(pixels) == size
