"""Resizing with nodata against the codec of the corpus and against torch."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from landmark.corpus import stats
from landmark.loader.resize import bilinear, block_mean, crop, magnify
from tests.parts import examples

KINDS = {"s1": ("<i2", -32768), "s2": ("<u2", 0)}


def squares(dtype: str, nodata: int, edges: tuple[int, ...]) -> st.SearchStrategy[NDArray[Any]]:
    """Square images in which some pixels are missing."""
    kind = np.iinfo(dtype)
    values = st.one_of(st.just(nodata), st.integers(int(kind.min), int(kind.max)))
    return st.sampled_from(edges).flatmap(lambda edge: arrays(dtype, (edge, edge), elements=values))


def random_image(edge: int, dtype: str, *, missing: float = 0.0) -> NDArray[Any]:
    chance = np.random.default_rng(edge)
    image = chance.integers(1, 20_000, (edge, edge)).astype(dtype)
    image[chance.random(image.shape) < missing] = dict(KINDS.values())[dtype]
    return image


def repeated(image: NDArray[Any], factor: int) -> NDArray[Any]:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


@given(st.data(), st.sampled_from(list(KINDS.values())), st.sampled_from([1, 2, 3, 6]))
@examples(60)
def test_block_means_are_those_of_statistics(data: st.DataObject, kind: tuple[str, int], factor: int) -> None:
    image = data.draw(squares(*kind, (6, 12)))
    out = np.empty([image.shape[0] // factor] * 2, image.dtype)
    block_mean(image, factor, kind[1], out)
    assert np.array_equal(out, stats.block_mean(image, factor, kind[1]))


def test_sums_of_large_blocks_do_not_overflow() -> None:
    image, out = np.full((384, 384), 65535, "<u2"), np.empty((2, 2), "<u2")
    block_mean(image, 192, 0, out)
    assert (out == 65535).all()


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_coarse_pixels_are_repeated_and_crops_are_cut_out_of_them(factor: int) -> None:
    image = random_image(6, "<u2")
    full = np.empty([6 * factor] * 2, "<u2")
    magnify(image, factor, full)
    assert np.array_equal(full, repeated(image, factor))
    for offset in range(3):
        part = np.empty([6 * factor - 2 * offset - 1] * 2, "<u2")
        crop(image, factor, offset, part)
        end = offset + len(part)
        assert np.array_equal(part, full[offset:end, offset:end])


@pytest.mark.parametrize("size", [224, 64, 121])
@pytest.mark.parametrize("factor", [1, 2, 6])
def test_bilinear_is_that_of_torch(size: int, factor: int) -> None:
    image, out = random_image(120 // factor, "<u2"), np.empty((size, size), "<u2")
    bilinear(image, factor, 0, out)
    source = torch.from_numpy(repeated(image, factor).astype(np.float64))[None, None]
    expected = interpolate(source, (size, size), mode="bilinear", align_corners=False)[0, 0].numpy()
    assert np.abs(out - expected).max() < 0.51


@pytest.mark.parametrize(("dtype", "nodata"), KINDS.values())
def test_missing_pixels_neither_spread_nor_shrink(dtype: str, nodata: int) -> None:
    image, out = random_image(20, dtype, missing=0.3), np.empty((48, 48), dtype)
    bilinear(image, 1, nodata, out)
    nearest = np.rint((np.arange(48) + 0.5) * 20 / 48 - 0.5).astype(int).clip(0, 19)
    assert np.array_equal(out == nodata, image[np.ix_(nearest, nearest)] == nodata)
    # Means of valid pixels alone: a constant stays what it is.
    flat = np.where(image == nodata, nodata, 1234).astype(dtype)
    bilinear(flat, 1, nodata, out)
    assert set(np.unique(out).tolist()) == {nodata, 1234}
