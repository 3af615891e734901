"""Pixel codecs against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landmark.corpus.pixels import gamma0_to_stored, remove_offset
from tests.parts import examples


def defined(power):
    """Hundredths of a dB by the logarithm itself, in float64."""
    exact = power.astype(np.float64)
    measured = (exact > 0) & np.isfinite(exact)
    hundredths = np.rint(100 * (10 * np.log10(np.where(measured, exact, 1))))
    return np.where(measured, np.clip(hundredths, -32767, 32767), -32768)


def agree(power):
    assert (gamma0_to_stored(power, np.ones(power.shape, dtype=bool)) == defined(power)).all()


def neighbours(power, count=3):
    """The numbers next to some, on both sides, in their own type."""
    bits = power.view({4: np.int32, 8: np.int64}[power.itemsize])
    return np.concatenate([bits + step for step in range(-count, count + 1)]).view(power.dtype)


def test_single_precision_is_exact_on_both_sides_of_every_step():
    steps = 10.0 ** ((np.arange(-37_000, 38_500) - 0.5) / 1000)
    agree(neighbours(steps.astype(np.float32)))


def test_double_precision_is_exact_near_every_step():
    steps = 10.0 ** ((np.arange(-33_000, 33_000) - 0.5) / 1000)
    for factor in (1 - 1e-6, 1 - 1e-12, 1 + 1e-12, 1 + 1e-6):
        agree(steps * factor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_are_exact_where_their_leading_bits_change(dtype):
    halves = 2.0 ** np.arange(-126, 127)[:, None] * (1 + np.arange(512) / 512)
    agree(neighbours(halves.ravel().astype(dtype)))


@pytest.mark.parametrize(("dtype", "bits"), [("float32", "uint32"), ("float64", "uint64")])
def test_any_bit_pattern_is_converted_or_nodata(dtype, bits):
    drawn = np.random.default_rng(0).integers(0, np.iinfo(bits).max, 1_000_000, bits, endpoint=True).view(dtype)
    drawn[np.isnan(drawn)] = np.nan  # of the quiet kind
    agree(drawn)
    finite, tiny = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    agree(np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, finite, -finite, tiny, -tiny], dtype))


@given(arrays(np.float32, (7, 5), elements=st.floats(width=32)), arrays(np.bool_, (7, 5)))
@examples(60)
def test_invalid_pixels_are_nodata(power, valid):
    stored = gamma0_to_stored(power, valid)
    assert stored.dtype == "<i2" and (stored == np.where(valid, defined(power), -32768)).all()


@pytest.mark.parametrize("offset_dn", [0, 1, 999, 1000, 65_533, 65_535, 65_536, 80_000, -1, -1000, -65_535, -80_000])
def test_offset_is_subtracted_and_clipped(offset_dn):
    numbers = np.arange(65_536, dtype=np.uint16)
    expected = [0] + [min(max(number - offset_dn, 1), 65_535) for number in range(1, 65_536)]
    remove_offset(numbers, offset_dn, shifted := np.empty_like(numbers))
    assert shifted.tolist() == expected
    assert (numbers == np.arange(65_536)).all()
