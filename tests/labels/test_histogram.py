from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.labels.histogram import joint_histogram
from tests.parts import examples


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([1, 2, 10, 45, 300]), min_size=1, max_size=4))
@examples(60)
def test_combinations_are_counted_per_cell_and_sorted_by_code(seed, sizes):
    """With few combinations (bincount) and with many (sorting)."""
    rng = np.random.default_rng(seed)
    ranks = [rng.integers(0, size, (3, 50)).astype(np.min_scalar_type(size)) for size in sizes]
    codes = [np.sort(rng.choice(1000, size, replace=False) - 1).astype(np.int32) for size in sizes]
    cells, combinations, pixels = joint_histogram(ranks, codes)
    code_maps = [map_codes[rank] for map_codes, rank in zip(codes, ranks, strict=True)]
    expected = [
        (cell, *combination, count)
        for cell in range(3)
        for combination, count in sorted(
            Counter(zip(*(code_map[cell].tolist() for code_map in code_maps), strict=True)).items()
        )
    ]
    assert np.column_stack([cells, combinations, pixels]).tolist() == [list(row) for row in expected]


@pytest.mark.parametrize("size", [255, 256, 257])
def test_maps_with_more_classes_than_fit_a_byte_are_counted(size):
    ranks = np.arange(size)[None].astype(np.min_scalar_type(size))
    codes = np.arange(-1, size - 1, dtype=np.int32)
    _, combinations, pixels = joint_histogram([ranks, ranks], [codes, codes])
    assert (combinations == codes[:, None]).all() and (pixels == 1).all() and len(pixels) == size
